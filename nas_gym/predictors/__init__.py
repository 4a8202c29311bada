"""Graph predictors of architectures' performance, and their meta-training (MP-NAS).

MP-NAS (Loya et al., NeurIPS 2023) in reading order:

- :mod:`~nas_gym.predictors.config`: all settings, without PyTorch;
- :mod:`~nas_gym.predictors.gcn`: the graph convolutional network (Table 9);
- :mod:`~nas_gym.predictors.maml`: the inner loop (Eq. 4 and 6) and the outer loop's loss (Eq. 5 and
  7);
- :mod:`~nas_gym.predictors.fine_tuning`: adaptation to a new task (section 3.2);
- :mod:`~nas_gym.predictors.predictor`: :class:`Predictor`, which users call: ``fit``, ``predict``
  and ``save``;
- :mod:`~nas_gym.predictors.meta_training`: :class:`MetaTraining`, the outer loop over the metrics
  of earlier tasks.

The agent that searches with a meta-trained predictor is :class:`nas_gym.agents.mpnas.MPNAS`.
"""
