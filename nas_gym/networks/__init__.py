"""Neural networks of architectures, in PyTorch: definition, training and evaluation.

Definition, one module per search space:

- :mod:`~nas_gym.networks.network`: :class:`Network`, the base class of supernets and of the
  stand-alone networks of single architectures;
- :mod:`~nas_gym.networks.nb201_network` and :mod:`~nas_gym.networks.darts_network`, with the layers
  of DARTS in :mod:`~nas_gym.networks.darts_layers`;
- :mod:`~nas_gym.networks.cell_network`: the network of a cell that is given as a graph;
- :mod:`~nas_gym.networks.layers`: layers that several networks share.

Training and evaluation:

- :mod:`~nas_gym.networks.plans`: :func:`supernet_plan` and :func:`training_plan` return the
  published settings of a search space and a data set;
- :mod:`~nas_gym.networks.training`: :class:`Training` trains a network epoch by epoch;
- :mod:`~nas_gym.networks.evaluation`: :func:`evaluate_network` returns accuracy and loss;
- :mod:`~nas_gym.networks.supernet`: :func:`train_supernet`, :func:`load_supernet` and
  :func:`find_supernet`;
- :mod:`~nas_gym.networks.one_shot`: searches that train a supernet and choose an architecture at
  the same time;
- :mod:`~nas_gym.networks.memory`: the memory of a training step;
- :mod:`~nas_gym.networks.data`: :func:`load_images` and :func:`fetch_images`;
- :mod:`~nas_gym.networks.batches`, :mod:`~nas_gym.networks.device` and
  :mod:`~nas_gym.networks.progress`: mini-batches, devices and progress bars.

Example:
    >>> import torch
    >>> from nas_gym.networks.data import load_images
    >>> from nas_gym.networks.plans import supernet_plan
    >>> plan = supernet_plan("NB201", load_images("digits"))
    >>> plan.build()(torch.zeros(2, 1, 8, 8), genotype=[3, 1, 2, 0, 4, 3]).shape
    torch.Size([2, 10])
"""
