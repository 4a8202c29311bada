"""Other agents in the few-shot environment, with the meta-supernets of AT-NAS."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.registry import find_agent
from nas_gym.evaluators.few_shot import FewShotEvaluator
from nas_gym.networks.few_shot.meta_supernet import MetaSupernet, load_meta_supernet
from nas_gym.tables import load_table
from nas_gym.tasks import Task
from reproduction.atnas_method import (
    BUDGETS,
    CPU,
    FOLDER,
    final_training,
    make_plan,
    meta_supernet_path,
    test_accuracy,
)

BUDGET = "third"

CHOICES = ("rea", "l2nas", "best cell")
"""Agents, and NAS-Bench-201's best cell on CIFAR-10."""


def train_choice(choice: str, seed: int) -> dict[str, Any]:
    """Return the meta-test accuracy of an agent's architecture after the final training, in %.

    Agents have as many queries as the searches that :func:`~reproduction.atnas_method.
    compare_searches` compares, in the meta-supernet of the same seed.

    Args:
        choice: One of :data:`CHOICES`.
        seed: Seed of the meta-supernet and of the agent.
    """
    plan, data = make_plan(BUDGET, 5, 1, seed)
    meta = load_meta_supernet(meta_supernet_path(BUDGET, 5, 1, seed), CPU)
    if choice == "best cell":
        table = load_table("nats-bench")
        genotype = table.space.decode([int(table.column("cifar10-test").argmax())])[0]
    else:
        evaluator = FewShotEvaluator(
            meta, data, tasks=plan.training.fitness_tasks, folder=FOLDER / "evaluations"
        )
        genotype = search(choice, meta, evaluator, seed)
    network = meta.subnet(genotype)
    final_training(network, plan, data, BUDGETS[BUDGET].final_epochs)
    return {
        "accuracy": test_accuracy(network, plan, data),
        "cell": meta.network.space.to_text(genotype[None])[0],
    }


def search(
    name: str, meta: MetaSupernet, evaluator: FewShotEvaluator, seed: int
) -> NDArray[np.int64]:
    """Return the best architecture that an agent finds, by the fitness in the meta-supernet."""
    task = Task(meta.network.space, evaluator)
    envs = gym.make_vec("NB201-digits-alpha-v0", num_envs=1, task=task)
    agent = find_agent(name).make_agent(envs, {}, seed=seed)
    while agent.num_queries < BUDGETS[BUDGET].evaluations:
        agent.query()
    found: NDArray[np.int64] = agent.best_genotypes[0]
    return found
