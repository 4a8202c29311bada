"""Small few-shot data: noisy copies of one random pattern per class."""

import numpy as np

from nas_gym.networks.data.class_images import ClassImages, FewShotData
from nas_gym.networks.few_shot.plans import few_shot_plan

QUICK = {
    "epochs": 2,
    "updates": 2,
    "warmup": 1,
    "tasks": 2,
    "steps": 1,
    "queries": 2,
    "population": 4,
    "updates_per_generation": 1,
    "fitness_tasks": 2,
    "channels": 2,
}


def make_classes(name, count, seed, images=6, size=8):
    rng = np.random.default_rng(seed)
    patterns = rng.integers(256, size=(count, 1, 1, size, size))
    noise = rng.integers(-60, 60, size=(count, images, 1, size, size))
    pixels = (patterns + noise).clip(0, 255).astype(np.uint8).reshape(-1, 1, size, size)
    classes = tuple(f"{name}{number}" for number in range(count))
    return ClassImages(name, classes, pixels, np.arange(count + 1) * images)


def make_data(seed=0, classes=5):
    sets = [make_classes(name, classes, [seed, i]) for i, name in enumerate(["a", "b", "c"])]
    return FewShotData("patterns", *sets)


def make_plan(data, space="NB201", seed=0, **changes):
    return few_shot_plan(space, data, 3, 1, seed).with_settings(**QUICK | changes)
