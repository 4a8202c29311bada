"""Neural networks of architectures, in PyTorch: definition, training and evaluation.

The following modules define networks, with one module per search space:

- :mod:`~nas_gym.networks.network` has :class:`Network`, the base class of supernets and of
  stand-alone networks of single architectures.
- :mod:`~nas_gym.networks.nb201_network` and :mod:`~nas_gym.networks.darts_network` have the
  networks of NAS-Bench-201 and DARTS.
- :mod:`~nas_gym.networks.darts_layers` has the layers of DARTS.
- :mod:`~nas_gym.networks.cell_network` has the network of a cell that is given as a graph.
- :mod:`~nas_gym.networks.layers` has layers that several networks share.

The following modules train and evaluate networks:

- :mod:`~nas_gym.networks.plans` has :func:`supernet_plan` and :func:`training_plan`, which return
  the published settings for a search space and a data set.
- :mod:`~nas_gym.networks.training` has :class:`Training`, which trains a network epoch by epoch.
- :mod:`~nas_gym.networks.evaluation` has :func:`evaluate_network`, which returns accuracy and loss.
- :mod:`~nas_gym.networks.supernet` has :func:`train_supernet`, :func:`load_supernet` and
  :func:`find_supernet`.
- :mod:`~nas_gym.networks.one_shot` has searches that train a supernet and choose an architecture at
  the same time.
- :mod:`~nas_gym.networks.few_shot` has few-shot learning with AT-NAS, and
  :mod:`~nas_gym.networks.bayesian` has BASE.
- :mod:`~nas_gym.networks.memory` measures the memory of a training step.
- :mod:`~nas_gym.networks.data` has :func:`load_images` and :func:`fetch_images`.
- :mod:`~nas_gym.networks.batches`, :mod:`~nas_gym.networks.device` and
  :mod:`~nas_gym.networks.progress` handle mini-batches, devices and progress bars.

Example:
    >>> import torch
    >>> from nas_gym.networks.data import load_images
    >>> from nas_gym.networks.plans import supernet_plan
    >>> plan = supernet_plan("NB201", load_images("digits"))
    >>> plan.build()(torch.zeros(2, 1, 8, 8), genotype=[3, 1, 2, 0, 4, 3]).shape
    torch.Size([2, 10])
"""
