"""Few-shot learning with a meta-learned supernet (AT-NAS; Rong et al., 2022).

- :mod:`~nas_gym.networks.few_shot.adaptation` adapts one architecture to few-shot tasks.
- :mod:`~nas_gym.networks.few_shot.plans` has the settings of a meta-supernet.
- :mod:`~nas_gym.networks.few_shot.task_training` has the base class of meta-trainings.
- :mod:`~nas_gym.networks.few_shot.checkpoints` saves and resumes meta-trainings.
- :mod:`~nas_gym.networks.few_shot.meta_training` trains the weights and evolves the population.
- :mod:`~nas_gym.networks.few_shot.flops` limits the multiply-adds of the population.
- :mod:`~nas_gym.networks.few_shot.processes` averages over the processes of a distributed training.
- :mod:`~nas_gym.networks.few_shot.meta_supernet` has files of meta-supernets.
- :mod:`~nas_gym.networks.few_shot.transfer` transfers them to a supervised data set.
"""
