"""AT-NAS: evolution by queries, parents kept, and a start from a meta-learned population."""

import gymnasium as gym
import numpy as np
import torch
from quick import mean_regret, queried, run_agent

import nas_gym
from nas_gym import Evaluator, Metric, Task
from nas_gym.networks.few_shot.meta_supernet import load_meta_supernet
from nas_gym.spaces import NB201Space


class Convolutions(Evaluator):
    """Number of 3x3 convolutions, and the population of a meta-supernet."""

    name = "convolutions"
    metrics = {"count": Metric("count")}
    population = np.array([[3, 3, 3, 3, 3, 0], [3, 3, 3, 3, 0, 0], [3, 3, 3, 3, 3, 0]])

    def evaluate(self, genotypes):
        return {"count": (genotypes == 3).sum(axis=1).astype(float)}


nas_gym.register_task(
    "Convolutions", Task(NB201Space(), Convolutions(), signal="count", report="count")
)


def test_it_beats_random_search():
    assert mean_regret("atnas", 300) < 0.7 * mean_regret("random", 300)


def test_parents_are_not_queried_again():
    agent = run_agent("atnas", "NB201-cifar10-alpha-v0", 8 + 2 * 6, population_size=8)
    assert agent.generation == 2
    assert (agent.fitness[0, :2] == np.sort(agent.fitness[0, :2])[::-1]).all()
    assert agent.fitness[0, 0] == agent.best_fitness[0]


def test_it_starts_from_the_meta_population():
    agent = run_agent("atnas", "Convolutions-alpha-v0", 8)
    expected = agent.space.encode(Convolutions.population[:2])  # the third repeats the first
    np.testing.assert_array_equal(queried(agent)[:2, 0], expected)
    fresh = run_agent("atnas", "Convolutions-alpha-v0", 8, meta_population=False)
    assert (queried(fresh)[:2, 0] != expected).any()


def test_a_population_environment_brings_its_own_first_generation():
    env = gym.make("NB201-cifar10-population-v0", population_size=20)
    agent = run_agent("atnas", env, 40)
    assert agent.num_queries == 40
    assert agent.best_fitness[0] == agent.task.reward(queried(agent).reshape(-1)).max()


def test_few_shot_environments_bring_their_meta_population(few_shot_files, cache):
    env = gym.make(
        "NB201-omniglot-5way1shot-alpha-v0",
        dataset=str(few_shot_files["images"]),
        supernet=str(few_shot_files["NB201"]),
        evaluator="few-shot(ways=3,shots=1,tasks=2,test_tasks=3)",
        device="cpu",
    )
    agent = run_agent("atnas", env, 5, population_size=4)
    meta = load_meta_supernet(few_shot_files["NB201"], torch.device("cpu"))
    assert set(queried(agent)[:4, 0]) >= set(agent.space.encode(meta.population))
