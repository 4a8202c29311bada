"""Benchmarks of speed: ratios to Gymnasium's CartPole, and seconds of searches and imports."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import gymnasium as gym
import numpy as np

import nas_gym  # noqa: F401  (registers the environments)
from nas_gym.agents import CATCH
from nas_gym.agents.registry import find_agent
from nas_gym.experiments.local_runner import available_cores
from nas_gym.experiments.training_bench import measure_training, measure_two_trainings
from nas_gym.spaces import NB201Space
from nas_gym.tables import MissingDataError, load_table
from nas_gym.tasks import task_sets

ENV = "NB201-cifar10-v0"
NUM_ENVS = 1024

Row = tuple[str, str]  # measurement, and result with unit

# agents, and the number of trials that run in lockstep
SEARCHES = (
    ("random", 300),
    ("local", 300),
    ("rea", 300),
    ("reinforce", 300),
    ("tpe", 1),
    ("l2nas", 1),
    ("l2nas", 16),
    ("l2nas-paper", 16),
)


def measure_speed() -> Iterator[Row]:
    """Yield rows of (measurement, result with unit).

    Each ratio compares this package with CartPole and is the median over pairs of alternating
    timings.
    """
    ratio, mine, theirs = paired(_vector_steps(ENV), _vector_steps("CartPole-v1"))
    steps = f"{NUM_ENVS / mine / 1e6:.0f} against {NUM_ENVS / theirs / 1e6:.0f} million steps/s"
    yield (f"{NUM_ENVS} {ENV} against {NUM_ENVS} CartPole-v1: {steps}", f"{ratio:.1f} x")
    ratio, mine, theirs = paired(_vector_steps(ENV, read=True), _vector_steps("CartPole-v1"))
    yield (f"{NUM_ENVS} {ENV} against {NUM_ENVS} CartPole-v1, every info read", f"{ratio:.1f} x")
    ratio, mine, theirs = paired(_scalar_steps(ENV), _scalar_steps("CartPole-v1"))
    steps = f"{1e-3 / mine:.0f} against {1e-3 / theirs:.0f} thousand steps/s"
    yield (f"one {ENV} against one CartPole-v1: {steps}", f"{ratio:.1f} x")
    yield ("look-up of 15,625 genotypes", f"{_lookup() * 1e3:.2f} ms")
    for agent, trials in SEARCHES:
        what = f"{agent}, 1,000 queries in {trials} trial{'s' if trials > 1 else ''}"
        yield (what, f"{_search(agent, trials):.2f} s")
    yield from _catch()
    yield from _mpnas()
    yield from measure_training()
    yield from measure_two_trainings()
    yield ("import nas_gym, beyond gymnasium", f"{_import_time() * 1e3:.0f} ms")
    yield (f"gym.make({ENV!r}) + reset, warm cache", f"{_make_time() * 1e3:.0f} ms")


def paired(
    first: Callable[[], float], second: Callable[[], float], pairs: int = 15
) -> tuple[float, float, float]:
    """Return the median ratio second / first of alternating timings, and both medians.

    Args:
        first: Function that returns a time in seconds.
        second: Function that returns a time in seconds.
        pairs: Number of pairs of timings.
    """
    first(), second()  # warm up
    times = [(first(), second()) for _ in range(pairs)]
    ratio = statistics.median(b / a for a, b in times)
    return ratio, *(statistics.median(column) for column in zip(*times, strict=True))


def _vector_steps(env_id: str, *, read: bool = False) -> Callable[[], float]:
    """Return a function that times one step of a vector environment, in seconds."""
    envs = gym.make_vec(env_id, num_envs=NUM_ENVS)
    actions = _reset_and_sample(envs, 8)

    def run(steps: int = 700) -> float:
        started = time.perf_counter()
        for step in range(steps):
            infos: dict[str, Any] = envs.step(actions[step % 8])[4]
            if read:
                dict(infos)
        return (time.perf_counter() - started) / steps

    return run


def _scalar_steps(env_id: str) -> Callable[[], float]:
    """Return a function that times one step of ``gym.make``'s environment, resets included."""
    env = gym.make(env_id)
    actions = _reset_and_sample(env, 64)

    def run(steps: int = 10_000) -> float:
        started = time.perf_counter()
        for step in range(steps):
            _, _, terminated, truncated, _ = env.step(actions[step % 64])
            if terminated or truncated:
                env.reset()
        return (time.perf_counter() - started) / steps

    return run


def _reset_and_sample(env: Any, count: int) -> list[Any]:
    env.reset(seed=0)
    env.action_space.seed(0)
    return [env.action_space.sample() for _ in range(count)]


def _search(agent: str, trials: int, queries: int = 1000) -> float:
    """Return the seconds that trials in lockstep take on one core, environments included."""
    registered = find_agent(agent)
    if registered.agent_class.uses_torch:
        import torch

        torch.set_num_threads(1)
    searching = registered.make_agent(gym.make_vec(ENV, num_envs=trials), {}, seed=0)
    searching.query()  # warm up
    started = time.perf_counter()
    while searching.num_queries < queries:
        searching.query()
    return time.perf_counter() - started


def _catch() -> Iterator[Row]:
    """Measure CATCH's meta-training and adaptation, over all cores."""
    what = "catch, 40 meta-trainings of 25 tasks with 20 queries"
    try:
        task_sets.load_task_set("nb201-images/cifar10")
    except MissingDataError:
        yield (f"{what}: needs the table nb201-12epochs", "-")
    else:
        yield (f"{what}, {available_cores()} cores", f"{_over_cores(_meta_train, 40):.1f} s")
    what = f"catch, 500 adaptations of 50 queries, {available_cores()} cores"
    yield (what, f"{_over_cores(_adapt, 500):.1f} s")


def _mpnas() -> Iterator[Row]:
    """Measure MP-NAS's meta-training and predictions, on one core."""
    import torch

    from nas_gym.predictors.config import MetaTrainingConfig, PredictorConfig
    from nas_gym.predictors.gcn import to_tensors
    from nas_gym.predictors.meta_training import MetaTraining, MetricSource
    from nas_gym.spaces.graphs import to_graphs

    torch.set_num_threads(1)
    table = load_table("analog-nasbench")
    everything = table.space.decode(np.arange(table.space.size))
    source = MetricSource(to_tensors(to_graphs(table.space, everything[::2])), table.values[::2].T)
    training = MetaTraining(PredictorConfig(), MetaTrainingConfig(), [source], seed=0)
    seconds = _seconds(lambda: [training.run_epoch() for _ in range(training.config.epochs)])
    what = f"mpnas, one meta-training of width {PredictorConfig().width}"
    yield (what, f"{seconds:.1f} s")
    seconds = _seconds(
        lambda: training.current_predictor.predict(to_graphs(table.space, everything))
    )
    yield ("mpnas, conversion of 15,625 genotypes to graphs, and their scores", f"{seconds:.2f} s")


def _seconds(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _over_cores(run: Callable[[int], None], trials: int) -> float:
    """Return the seconds that trials take in one process per core, divided equally."""
    share = -(-trials // available_cores())
    with ProcessPoolExecutor(available_cores(), get_context("spawn")) as pool:
        list(pool.map(run, [1] * available_cores()))  # warm up
        started = time.perf_counter()
        list(pool.map(run, [share] * available_cores()))
        return time.perf_counter() - started


def _meta_train(trials: int) -> None:
    import torch

    torch.set_num_threads(1)
    agent = CATCH(gym.make_vec(ENV, num_envs=trials), seed=0)
    agent.meta_learn(
        task_sets.load_task_set("nb201-images/cifar10"), epochs=25 if trials > 1 else 1
    )


def _adapt(trials: int) -> None:
    import torch

    torch.set_num_threads(1)
    agent = CATCH(gym.make_vec(ENV, num_envs=trials), seed=0, pretrained="catch-nb201")
    for _ in range(50):
        agent.query()


def _lookup() -> float:
    table, space = load_table("analog-nasbench"), NB201Space()
    genotypes = space.decode(np.arange(space.size))
    times = []
    for _ in range(20):
        started = time.perf_counter()
        table.lookup(space.encode(genotypes), "baseline_accuracy")
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _import_time() -> float:
    with_us = "import gymnasium; t = time.perf_counter(); import nas_gym"
    return _in_fresh_processes(f"import time; {with_us}; print(time.perf_counter() - t)")


def _make_time() -> float:
    load_table("analog-nasbench")  # warm the cache
    make = f"t = time.perf_counter(); gym.make({ENV!r}).reset(seed=0)"
    return _in_fresh_processes(
        f"import time, gymnasium as gym, nas_gym; {make}; print(time.perf_counter() - t)"
    )


def _in_fresh_processes(program: str, processes: int = 7) -> float:
    """Return the median of the seconds that a program prints, over fresh processes."""
    command = [sys.executable, "-c", program]
    return statistics.median(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(processes)
    )
