"""Small meta-networks of BASE."""

import torch
from networks.few_shot.small_tasks import make_data

from nas_gym.networks.bayesian.meta_training import BASETraining
from nas_gym.networks.bayesian.plans import base_plan
from nas_gym.networks.few_shot.plans import task_sampler

CPU = torch.device("cpu")
QUICK = {
    "epochs": 2,
    "updates": 2,
    "tasks": 2,
    "steps": 2,
    "queries": 2,
    "valid_tasks": 2,
    "channels": 2,
    "deviation": 0.1,
    "kl_weight": 0.1,
    "variational": True,
}


def make_base_plan(data, space="NB201", seed=0, **changes):
    return base_plan(space, data, 3, 1, seed).with_settings(**QUICK | changes)


def make_training(processes=None, seed=0, **changes):
    data = make_data()
    plan = make_base_plan(data, seed=seed, **changes)
    train, valid = (task_sampler(plan, data, split, CPU) for split in ("train", "valid"))
    return BASETraining(plan.build(), train, valid, plan.training, plan.seed, processes)
