"""Program of test_processes.py: meta-updates in several processes, started by torchrun."""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from networks.bayesian import small_meta
from networks.few_shot.small_tasks import make_data, make_plan

from nas_gym.networks.few_shot.meta_supernet import train_meta_supernet
from nas_gym.networks.few_shot.meta_training import FewShotTraining
from nas_gym.networks.few_shot.plans import task_sampler
from nas_gym.networks.few_shot.processes import joined_processes

CPU = torch.device("cpu")


def make_training(processes, tasks):
    data = make_data()
    plan = make_plan(data, tasks=tasks, fitness_tasks=tasks, epochs=1, warmup=0)
    samplers = (task_sampler(plan, data, split, CPU) for split in ("train", "valid"))
    network = plan.build()
    return FewShotTraining(network, *samplers, plan.training, 0, network.space, processes=processes)


def run_steps(processes, tasks=1):
    """Return the state after 20 meta-updates, each followed by a generation."""
    training = make_training(processes, tasks)
    for step in range(20):
        training.meta_update(step)
        training.evolve(step)
    return training.state_arrays()


def run_base_steps(processes, tasks=1):
    """Return the state of BASE after five updates."""
    training = small_meta.make_training(processes, tasks=tasks)
    for step in range(5):
        training.update(step)
    return training.state_arrays()


def train_until_a_process_ends(path, processes):
    """Train; the second process ends without a word after the second epoch."""

    def on_epoch(epoch, metrics):
        if processes.rank == 1 and epoch == 2:
            os._exit(1)

    data = make_data()
    plan = make_plan(data, epochs=4)
    train_meta_supernet(plan, data, Path(path), CPU, on_epoch, seconds=0, processes=processes)


def main():
    torch.set_num_threads(1)
    with joined_processes(CPU) as processes:
        if sys.argv[1] == "end":
            train_until_a_process_ends(sys.argv[2], processes)
        run = run_base_steps if sys.argv[1] == "base-steps" else run_steps
        state = run(processes)
        if processes.rank == 0:
            np.savez(sys.argv[2], **state)


if __name__ == "__main__":
    main()
