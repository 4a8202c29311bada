"""Curves of searches, computed from the queried architectures."""

import numpy as np

from nas_gym.recording.curves import compute_curves
from nas_gym.tasks import make_task


def test_curves_equal_those_of_a_loop():
    task = make_task(table="analog-nasbench", dataset="cifar10", report="analog_accuracy")
    indices = np.random.default_rng(0).integers(0, 40, (100, 4))  # few architectures, which repeat
    found = compute_curves(task, indices, task.reward(indices))
    for trial in range(4):
        best, queried = None, set()
        for query in range(100):
            index = indices[query, trial]
            queried.add(index)
            if best is None or task.rewards[index] > task.rewards[best]:
                best = index
            assert found.incumbents[query, trial] == best
            assert found.unique[query, trial] == len(queried)
            assert found.reports[query, trial] == task.reported(np.array([best]))[0]
    assert (found.regrets >= 0).all()


def test_incumbent_is_the_first_of_equal_rewards():
    task = make_task(table="analog-nasbench", dataset="cifar10")
    worst = np.flatnonzero(task.rewards == task.rewards.min())
    assert len(worst) > 1  # 10 %: cells that do not compute anything
    found = compute_curves(task, worst[:3, None], task.reward(worst[:3, None]))
    assert found.incumbents[:, 0].tolist() == [worst[0]] * 3


def test_parts_of_curves():
    task = make_task(table="analog-nasbench", dataset="cifar10")
    indices = np.random.default_rng(0).integers(0, task.space.size, (10, 3))
    curves = compute_curves(task, indices, task.reward(indices))
    assert curves.training_seconds is None  # this table does not have them
    assert curves.agent_seconds.tolist() == np.zeros((10, 3)).tolist()
    part = curves.first_queries(4).select_trials(slice(1, 3))
    expected = compute_curves(task, indices[:4, 1:3], task.reward(indices[:4, 1:3]))
    for name in ("indices", "rewards", "unique", "incumbents", "reports", "regrets"):
        np.testing.assert_array_equal(getattr(part, name), getattr(expected, name), name)
    assert part.training_seconds is None
