"""Bayesian meta architecture search, BASE (Shaw, Wei, Liu, Song and Dai, NeurIPS 2019).

- :mod:`~nas_gym.networks.bayesian.distribution` has the distribution of weights and operations: the
  meta-parameters W, and the posterior of a task.
- :mod:`~nas_gym.networks.bayesian.embedding` computes the posterior of a task by gradient steps.
- :mod:`~nas_gym.networks.bayesian.meta_training` learns the meta-parameters from many tasks.
- :mod:`~nas_gym.networks.bayesian.plans` has the settings, with the presets ``base`` and
  ``base-paper``.
- :mod:`~nas_gym.networks.bayesian.meta_network` saves, loads and adapts meta-networks.
"""
