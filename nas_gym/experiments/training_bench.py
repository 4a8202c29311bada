"""Benchmarks of the training and evaluation of networks, on one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from torch import nn

from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.device import has_fast_bfloat16
from nas_gym.networks.nb201_network import NB201Network
from nas_gym.networks.training import Training, TrainingConfig

_BATCH, _SIDE, _CLASSES = 64, 32, 10
_CELL = (3, 3, 1, 1, 3, 2)
_PAIRS = 7
_STEPS = 20
"""Number of steps that are timed when two trainings run side by side."""


def measure_training() -> Iterator[tuple[str, str]]:
    """Yield rows of (measurement, result with unit) about a step of NAS-Bench-201's network.

    The network has 16 channels and 5 cells per stage; a batch has 64 images of 32x32 pixels. The
    step of :class:`Training` is compared with a plain step, in float32 and the usual layout of
    images. Timings alternate.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        own, plain = _step_of_training(), _plain_step()
        own(), plain()
        pairs = [(own(), plain()) for _ in range(_PAIRS)]
    finally:
        torch.set_num_threads(threads)
    ratio = statistics.median(other / mine for mine, other in pairs)
    mine, other = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
    precision = "bfloat16" if has_fast_bfloat16() else "float32, the CPU lacks AVX512-BF16"
    yield (
        f"training step of NAS-Bench-201's network ({precision}) against a plain step: "
        f"{mine:.0f} against {other:.0f} ms",
        f"{ratio:.2f} x",
    )


def measure_two_trainings() -> Iterator[tuple[str, str]]:
    """Yield a row about two processes that train side by side, each with one thread.

    The steps are those of :func:`measure_training`. The process that runs alone is timed before and
    after the two.
    """
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(_seconds_of_steps, [1, 1]))  # both processes have imported everything now
        before = pool.submit(_seconds_of_steps, _STEPS).result()
        both = statistics.mean(pool.map(_seconds_of_steps, [_STEPS, _STEPS]))
        after = pool.submit(_seconds_of_steps, _STEPS).result()
    yield (
        "two trainings side by side, each with one thread, against one training alone",
        f"{2 * both / (before + after):.2f} x the time",
    )


def _seconds_of_steps(steps: int) -> float:
    """Return the wall-clock time of steps on one thread, in seconds."""
    torch.set_num_threads(1)
    step = _step_of_training()
    step()
    return sum(step() for _ in range(steps))


def _step_of_training() -> Callable[[], float]:
    """Return a function that times a step of :class:`Training`, in seconds."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (_BATCH, 3, _SIDE, _SIDE), np.uint8)
    labels = torch.from_numpy(rng.integers(0, _CLASSES, _BATCH))
    ones = torch.full((3, 1, 1), 100.0)
    train = DeviceImages(torch.from_numpy(pixels), labels, ones, ones)
    training = Training(_network(), train, TrainingConfig(1, _BATCH, 0.1), 0)
    images = train.normalized(train.images)
    return _timed(lambda: training.step(images, labels))


def _plain_step() -> Callable[[], float]:
    """Return a function that times a step as it is usually written, in seconds."""
    network = _network()
    optimizer = torch.optim.SGD(
        network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    images, labels = torch.randn(_BATCH, 3, _SIDE, _SIDE), torch.arange(_BATCH) % _CLASSES

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()

    return _timed(step)


def _network() -> NB201Network:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return NB201Network(_CLASSES, channels=16, cells=5, genotype=_CELL).train()


def _timed(run: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        started = time.perf_counter()
        run()
        return time.perf_counter() - started

    return timed
