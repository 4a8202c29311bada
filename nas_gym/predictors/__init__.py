"""Graph predictors of the performance of architectures, and meta-training of these predictors.

The modules implement the MP-NAS paper (Loya et al., NeurIPS 2023), to which section, equation and
table numbers refer. In reading order:

- :mod:`~nas_gym.predictors.config` holds all settings and does not need PyTorch.
- :mod:`~nas_gym.predictors.gcn` defines the graph convolutional network (Table 9).
- :mod:`~nas_gym.predictors.maml` defines the inner loop (Eq. 4 and 6) and the outer loop's loss
  (Eq. 5 and 7).
- :mod:`~nas_gym.predictors.fine_tuning` adapts a predictor to a new task (section 3.2).
- :mod:`~nas_gym.predictors.predictor` defines :class:`Predictor` with the methods ``fit``,
  ``predict`` and ``save`` for users.
- :mod:`~nas_gym.predictors.mixture` defines :class:`MixturePredictor`, an addition to the paper
  that weights earlier tasks by a few labels.
- :mod:`~nas_gym.predictors.meta_training` defines :class:`MetaTraining`, the outer loop over the
  metrics of earlier tasks.

The module :mod:`~nas_gym.predictors.code_predictors` has simple regressions on architecture codes,
from the AT-NAS paper.

The agent that searches with a meta-trained predictor is :class:`nas_gym.agents.mpnas.MPNAS`.
"""
