"""nas_gym: Gymnasium environments in which searching for a neural architecture is the task.

Importing the package registers its environments::

    import gymnasium as gym
    import nas_gym

    env = gym.make("NB201-cifar10-v0")
"""

from nas_gym.registration import import_table, register_all

__version__ = "0.1.0"
__all__ = ["import_table"]

register_all()
