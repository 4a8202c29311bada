"""Images, networks and plans small enough for tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nas_gym.networks import data
from nas_gym.networks.plans import NetworkPlan, supernet_plan, training_plan

_RNG = np.random.default_rng(0)

NETWORKS = {
    "NB201": {"channels": 8, "cells": 1},
    "DARTS": {"channels": 4, "layers": 3, "partial": 2},
    "MnasNet": {"channels": 4},
}


def small(plan: NetworkPlan, epochs: int = 2) -> NetworkPlan:
    """Return a plan with fewer epochs and channels."""
    plan = replace(plan, network={**plan.network, **NETWORKS[plan.space]})
    return plan.with_settings(epochs=epochs)


def small_supernet(space: str, epochs: int = 2) -> NetworkPlan:
    return small(supernet_plan(space, data.load_images("digits")), epochs)


def small_training(space: str, epochs: int = 1) -> NetworkPlan:
    return small(training_plan(space, data.load_images("digits")), epochs)


def random_images(n, side=32):
    """Return random images, ``(n, 3, side, side)`` uint8; each call returns different ones."""
    return _RNG.integers(0, 256, (n, 3, side, side), np.uint8)
