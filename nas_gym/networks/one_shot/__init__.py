"""One-shot searches: a supernet is trained while an architecture is chosen.

Each search is a :class:`nas_gym.networks.training.Training` that also learns from validation images
which architecture is best. One module per method:

- :mod:`~nas_gym.networks.one_shot.single_path`: random search with weight sharing (RSWS);
- :mod:`~nas_gym.networks.one_shot.darts`: DARTS, first and second order;
- :mod:`~nas_gym.networks.one_shot.gdas`: GDAS;
- :mod:`~nas_gym.networks.one_shot.setn`: SETN;
- :mod:`~nas_gym.networks.one_shot.enas`: ENAS.

:mod:`~nas_gym.networks.one_shot.base` has the base class of all searches, and
:mod:`~nas_gym.networks.one_shot.differentiable` that of the searches that learn alpha by gradients.
Settings are those of the baselines in NAS-Bench-201 (Dong and Yang, 2020, section 5 and its code),
which CATCH compares with (Table 1).
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
"""Searches by their names in CATCH's Table 1 and in NAS-Bench-201."""
