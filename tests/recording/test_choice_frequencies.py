"""Frequencies of the choices of the best architectures."""

import gymnasium as gym
import numpy as np

from nas_gym import Evaluator, Metric, Task
from nas_gym.recording import RecordSearch
from nas_gym.recording.choice_frequencies import choice_frequencies, plot_choice_frequencies
from nas_gym.recording.curves import compute_curves
from nas_gym.spaces import NB201Space
from nas_gym.tasks import make_task


class FewQueries(Evaluator):
    """An evaluator that has an optimum, but fails if it has to evaluate the whole space."""

    metrics = {"total": Metric("total")}

    def evaluate(self, genotypes):
        assert len(genotypes) < 100
        return {"total": genotypes.sum(axis=1).astype(float)}

    def optimum(self, metric):
        return 24.0


def random_queries(task, queries):
    indices = np.random.default_rng(0).integers(0, task.space.size, (queries, 2))
    return compute_curves(task, indices, task.reward(indices))


def test_frequencies_equal_those_of_a_loop():
    task = make_task(table="analog-nasbench", dataset="cifar10")
    curves = random_queries(task, 30)
    found = choice_frequencies(task, curves, count=5)
    best = [
        sorted(set(queried.tolist()), key=lambda i: -task.rewards[i])[:5]
        for queried in curves.indices.T
    ]
    overall = np.argsort(-task.rewards, kind="stable")[:5]
    for row, indices in zip(found, (np.concatenate(best), overall), strict=True):
        expected = np.zeros((6, 5))
        for genotype in task.space.decode(indices):
            expected[np.arange(6), genotype] += 1 / len(indices)
        np.testing.assert_allclose(row, expected.ravel(), atol=1e-6)
    assert (found[0] != choice_frequencies(task, curves.select_trials(slice(1)), count=5)[0]).any()


def test_frequencies_are_the_last_observation_of_alpha_mode():
    env = RecordSearch(gym.make("NB201-cifar10-alpha-v0", top_k=7))
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(30):
        observation = env.step(env.action_space.sample())[0]
    found = choice_frequencies(env.unwrapped.task, env.curves(), count=7)
    np.testing.assert_allclose(found[0], observation, atol=1e-6)


def test_a_space_that_cannot_be_evaluated_as_a_whole():
    task = Task(NB201Space(), FewQueries())
    curves = random_queries(task, 20)
    assert choice_frequencies(task, curves).shape == (1, 30)
    assert len(plot_choice_frequencies(task, curves).axes) == 1


def test_plot_has_a_panel_for_the_search_and_one_for_the_space():
    task = make_task(table="nas-bench-graph-proteins", dataset="proteins")
    curves = random_queries(task, 20)
    figure = plot_choice_frequencies(task, curves, count=5)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["best 5 found in 20 queries\nmean of 2 seeds, %", "best 5 of all 2,021, %"]
    figure = plot_choice_frequencies(task, curves.select_trials(slice(1)), count=5)
    assert figure.axes[0].get_title() == "best 5 found in 20 queries\none seed, %"
