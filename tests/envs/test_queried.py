"""Sets of queried architectures, compared with Python sets."""

import numpy as np
import pytest

from nas_gym.envs.queried import QueriedArchitectures


@pytest.mark.parametrize("size", [50, 10**12], ids=["bitmap", "sets"])
def test_membership_equals_that_of_python_sets(size):
    rng = np.random.default_rng(0)
    queried = QueriedArchitectures(3, size)
    assert queried.is_enumerable == (size == 50)
    expected = [set(), set(), set()]
    for _ in range(60):
        indices = rng.integers(0, 50, 3)
        is_new = [index not in own for index, own in zip(indices, expected, strict=True)]
        np.testing.assert_array_equal(queried.add(indices), is_new)
        for index, own in zip(indices, expected, strict=True):
            own.add(index)
    everything = np.tile(np.arange(50), (3, 1))
    members = np.array([[index in own for index in range(50)] for own in expected])
    np.testing.assert_array_equal(queried.contains(everything), members)
    np.testing.assert_array_equal(
        queried.contains(everything[:2], searches=np.array([2, 0])), members[[2, 0]]
    )
    if queried.is_enumerable:
        for search, own in enumerate(expected):
            assert queried.unqueried(search).tolist() == sorted(set(range(50)) - own)
