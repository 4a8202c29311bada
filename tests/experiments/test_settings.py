"""Settings of searches."""

from __future__ import annotations

import pytest

from nas_gym.experiments.settings import SearchSettings


def test_bad_search_settings():
    with pytest.raises(ValueError, match=r"random, local, rea.*ppo.*tqc"):
        SearchSettings("NB201-cifar10-v0", "evolution", 1, 1)
    with pytest.raises(ValueError, match=r"queries must be at least 1 .*, got 0"):
        SearchSettings("NB201-cifar10-v0", "rea", 0, 1)
    with pytest.raises(ValueError, match=r"Seeds must be at least 0 .*, got -1"):
        SearchSettings("NB201-cifar10-v0", "rea", 1, 1, first_seed=-1)
    with pytest.raises(ValueError, match="--first-seed"):
        SearchSettings("NB201-cifar10-v0", "rea", 1, 1, agent_settings={"seed": 3})
