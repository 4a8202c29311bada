"""One-shot searches: a supernet is trained while an architecture is chosen.

Each search is a :class:`nas_gym.networks.training.Training` that also learns from validation images
which architecture is best. There is one module per method:

- :mod:`~nas_gym.networks.one_shot.single_path` has random search with weight sharing (RSWS).
- :mod:`~nas_gym.networks.one_shot.darts` has first-order and second-order DARTS.
- :mod:`~nas_gym.networks.one_shot.gdas` has GDAS.
- :mod:`~nas_gym.networks.one_shot.setn` has SETN.
- :mod:`~nas_gym.networks.one_shot.enas` has ENAS.

:mod:`~nas_gym.networks.one_shot.base` has the base class of all searches.
:mod:`~nas_gym.networks.one_shot.differentiable` has the base class of searches that learn alpha by
gradients. The settings are from the baselines of NAS-Bench-201 (Dong and Yang, ICLR 2020, section 5
and published code), with which Table 1 of the CATCH paper compares.
"""

from __future__ import annotations

from nas_gym.networks.one_shot.base import OneShotSearch
from nas_gym.networks.one_shot.darts import DARTSSearch, SecondOrderDARTSSearch
from nas_gym.networks.one_shot.enas import ENASSearch
from nas_gym.networks.one_shot.gdas import GDASSearch
from nas_gym.networks.one_shot.setn import SETNSearch
from nas_gym.networks.one_shot.single_path import SinglePathSearch

__all__ = [
    "ONE_SHOT_SEARCHES",
    "DARTSSearch",
    "ENASSearch",
    "GDASSearch",
    "OneShotSearch",
    "SETNSearch",
    "SecondOrderDARTSSearch",
    "SinglePathSearch",
]

ONE_SHOT_SEARCHES: dict[str, type[OneShotSearch]] = {
    "rsws": SinglePathSearch,
    "darts-v1": DARTSSearch,
    "darts-v2": SecondOrderDARTSSearch,
    "gdas": GDASSearch,
    "setn": SETNSearch,
    "enas": ENASSearch,
}
"""Searches by their names in the NAS-Bench-201 paper and in Table 1 of the CATCH paper."""
