"""Pareto fronts and their measures, compared with brute force."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nas_gym import make_task
from nas_gym.registration import MULTI_OBJECTIVE
from nas_gym.tasks.fronts import ParetoFront, non_dominated


def _brute_force(vectors):
    return [
        not any((other >= each).all() and (other > each).any() for other in vectors)
        for each in vectors
    ]


@given(arrays(float, st.tuples(st.integers(0, 30), st.integers(1, 4)), elements=st.integers(0, 4)))
def test_non_dominated(vectors):
    assert non_dominated(vectors).tolist() == _brute_force(vectors)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("NB201-MO1", 43),
        ("NB201-MO2", 75),
        ("NB201-MO3", 181),
        ("NB201-MO4", 75),
        ("NB201-MO5", 63),
        ("NB201-MO6", 165),
    ],
)
def test_named_problems(open_table, name, size):
    open_table("nats-bench"), open_table("help-latency")
    moocore = pytest.importorskip("moocore")
    task = make_task(**MULTI_OBJECTIVE[name])
    vectors = task.reported_objectives(np.arange(task.space.size))
    np.testing.assert_array_equal(vectors, task.rewards)  # signal and report are one column
    front = task.front
    assert len(front.vectors) == size
    expected = moocore.is_nondominated(vectors, maximise=True, keep_weakly=True)
    np.testing.assert_array_equal(front.indices, np.flatnonzero(expected))
    # the reference point is the nadir, as in EvoXBench
    ideal, nadir = vectors[expected].max(axis=0), vectors[expected].min(axis=0)
    rows = np.random.default_rng(0).integers(task.space.size, size=200)
    scaled = [(each - nadir) / (ideal - nadir) for each in (vectors[rows], vectors[expected])]
    volumes = [
        moocore.hypervolume(1 - np.maximum(each, 0), ref=np.ones(len(ideal))) for each in scaled
    ]
    assert front.hypervolume(vectors[rows]) == pytest.approx(volumes[0] / volumes[1])
    assert front.hypervolume(front.vectors) == 1
    assert front.share(front.vectors) == 1
    assert front.distance(front.vectors) == 0


def test_measures_by_hand():
    pytest.importorskip("moocore")
    every = np.array([[4.0, 0.0], [2.0, 2.0], [0.0, 4.0], [1.0, 1.0], [9.0, 9.0]])
    front = ParetoFront.of_space(every, np.array([True, True, True, True, False]))
    assert front.indices.tolist() == [0, 1, 2]
    assert front.vectors.tolist() == [[4, 0], [2, 2], [0, 4]]
    assert front.volume == 0.25
    assert front.hypervolume(np.array([[1.0, 1.0]])) == 0.25
    assert front.hypervolume(np.array([[4.0, 0.0]])) == 0
    assert front.hypervolume(np.empty((0, 2))) == 0
    assert front.share(np.array([[2.0, 2.0], [1.0, 1.0]])) == pytest.approx(1 / 3)
    # from (1, 1): 3/4 to (4, 0), (1/4, 1/4) to (2, 2), 3/4 to (0, 4)
    expected = (0.75 + np.hypot(0.25, 0.25) + 0.75) / 3
    assert front.distance(np.array([[1.0, 1.0]])) == pytest.approx(expected)


def test_an_objective_that_is_the_same_on_the_front():
    pytest.importorskip("moocore")
    front = ParetoFront.of_space(np.array([[1.0, 5.0], [0.0, 5.0]]), np.ones(2, bool))
    assert front.hypervolume(np.array([[1.0, 5.0]])) == 1
    assert 0 <= front.hypervolume(np.array([[0.0, 5.0]])) < 1


@pytest.mark.long
def test_time_of_a_front():
    vectors = np.random.default_rng(0).normal(size=(15625, 3))
    start = time.process_time()
    non_dominated(vectors)
    assert time.process_time() - start < 0.2
