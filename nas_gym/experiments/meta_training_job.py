"""Meta-training of the copies of an agent as jobs of a runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.batched_networks import join_trials, split_trials
from nas_gym.agents.common.meta_agent import MetaAgent
from nas_gym.agents.common.saved import State, part
from nas_gym.agents.registry import RegisteredAgent
from nas_gym.envs.sequential import SequentialVectorEnv
from nas_gym.experiments.runners import Outcome, Runner
from nas_gym.experiments.settings import use_one_torch_thread
from nas_gym.tasks.task_set import TaskSet
from nas_gym.utils.errors import TrainingError

Diagnostics = list[dict[str, float]]
"""Diagnostics of each epoch."""


def make_copies(
    agent: RegisteredAgent,
    tasks: TaskSet,
    settings: Mapping[str, Any],
    first_seed: int,
    seeds: int,
    drawn_with: int,
) -> MetaAgent:
    """Return fresh copies of a meta-learning agent.

    Args:
        agent: Registered agent.
        tasks: Task set to learn from.
        settings: Settings of the agent that differ from its defaults.
        first_seed: Seed of the first copy.
        seeds: Number of copies.
        drawn_with: Seed of the task of the environment that the copies are made in.
    """
    env = SequentialVectorEnv(seeds, task=tasks.draw(np.random.default_rng(drawn_with)))
    made: Any = agent.make_agent(env, settings, seed=first_seed)
    found: MetaAgent = made
    return found


@dataclass(frozen=True)
class MetaTrainingJob:
    """Some epochs of the meta-training of one copy; see :class:`nas_gym.experiments.runners.Job`.

    Attributes:
        agent: Registered agent.
        tasks: Task set to learn from.
        settings: Settings of the agent that differ from its defaults.
        seed: Seed of the copy.
        drawn_with: See :func:`make_copies`.
        state: State of the copy before these epochs; empty before the first one.
        end: Number of completed epochs at the end of the job.
        epochs: Total number of epochs.
        queries: Number of architectures; see :meth:`MetaAgent.meta_learn`.
        files: Files that the job reads.
    """

    agent: RegisteredAgent
    tasks: TaskSet
    settings: Mapping[str, Any]
    seed: int
    drawn_with: int
    epochs: int
    queries: int
    files: Mapping[str, Path]
    state: State = field(default_factory=dict)
    end: int = 0

    @property
    def uses_gpu(self) -> bool:
        """Whether the job computes on a GPU of this machine; it does not."""
        return False

    @property
    def modules(self) -> list[str]:
        """Modules that the job imports."""
        return [__name__, *(["torch"] if self.agent.agent_class.uses_torch else [])]

    def moved_to(self, folder: Path) -> MetaTrainingJob:
        """Return the job itself: no argument names a file."""
        return self

    def run(self) -> tuple[State, Diagnostics]:
        """Return the state after the last epoch of the job, and the diagnostics of its epochs."""
        if "torch" in self.modules:
            use_one_torch_thread()
        copy = make_copies(self.agent, self.tasks, self.settings, self.seed, 1, self.drawn_with)
        if self.state:
            copy.restore(self.state, f"The copy with seed {self.seed}")
        diagnostics: Diagnostics = []
        state: State = {}

        def after_epoch(_: Agent) -> bool:
            diagnostics.append(dict(copy.meta_diagnostics()))
            state.update(copy.state_dict())  # before the preparation of a search
            return copy.epochs < self.end

        copy.meta_learn(self.tasks, self.epochs, self.queries, after_epoch, progress_bar=False)
        return state, diagnostics


def train_copies(job: MetaTrainingJob, agent: MetaAgent, runner: Runner, end: int) -> Diagnostics:
    """Meta-train all copies of an agent up to an epoch, each in a job; update the agent.

    Args:
        job: Job of any copy.
        agent: Agent with all copies.
        runner: Runner of the jobs.
        end: Number of completed epochs to reach.

    Returns:
        Diagnostics of each epoch, means over the copies.

    Raises:
        TrainingError: If the training of a copy failed.
    """
    axes, seeds = _find_axes(job), list(agent.rng.seeds)
    states = _split(agent.state_dict(), seeds, axes) if agent.epochs else [{} for _ in seeds]
    jobs = [
        replace(job, seed=seed, state=state, end=end)
        for seed, state in zip(seeds, states, strict=True)
    ]
    results: dict[int, tuple[State, Diagnostics]] = {}

    def handle_end(ended: MetaTrainingJob, outcome: Outcome) -> list[MetaTrainingJob]:
        if outcome.error:
            raise TrainingError(f"The copy with seed {ended.seed} failed: {outcome.error}")
        results[ended.seed] = outcome.result
        return []

    runner.run(jobs, handle_end)
    found = [results[seed] for seed in seeds]
    agent.load_state_dict(_join([state for state, _ in found], axes))
    return [_means(each) for each in zip(*(of_copy for _, of_copy in found), strict=True)]


def _means(diagnostics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in diagnostics])) for name in diagnostics[0]}


Axes = dict[str, int | None]
"""Axis of the copies in each array of a state; ``None`` for arrays that the copies share."""


def _find_axes(job: MetaTrainingJob) -> Axes:
    """Return the axes of the copies in the arrays of a fresh agent."""
    two, three = (
        make_copies(
            job.agent, job.tasks, job.settings, job.seed, seeds, job.drawn_with
        ).state_dict()
        for seeds in (2, 3)
    )
    return {name: _different_axis(two[name].shape, three[name].shape) for name in two}


def _different_axis(two: Sequence[int], three: Sequence[int]) -> int | None:
    return next((axis for axis, (a, b) in enumerate(zip(two, three, strict=True)) if a != b), None)


def _axis(name: str, array: NDArray[Any], copies: int, axes: Axes) -> int | None:
    """Return the axis of the copies in an array of an agent; ``None`` if they share the array.

    Arrays that are not in a fresh agent, such as the state of an optimizer, have the axis first.
    """
    if name in axes:
        return axes[name]
    return 0 if array.shape[:1] == (copies,) else None


def _split(state: State, seeds: Sequence[int], axes: Axes) -> list[State]:
    """Return the state of each copy, given the state of an agent with all copies."""
    states: list[State] = [{"seed": np.array(seed)} for seed in seeds]
    names = set(state) - {"seed"}
    for prefix in _networks(state):
        networks = part(state, prefix)
        names -= {prefix + name for name in networks}
        for own, arrays in zip(states, split_trials(networks, len(seeds)), strict=True):
            own |= {prefix + name: array for name, array in arrays.items()}
    for name in names:
        axis = _axis(name, state[name], len(seeds), axes)
        for row, own in enumerate(states):
            own[name] = state[name] if axis is None else np.take(state[name], [row], axis)
    return states


def _join(states: Sequence[State], axes: Axes) -> State:
    """Return the state of an agent with copies that have the given states.

    Raises:
        TrainingError: If an array that copies share differs between them.
    """
    first = states[0]
    joined: State = {}
    for prefix in _networks(first):
        arrays = join_trials([part(state, prefix) for state in states])
        joined |= {prefix + name: array for name, array in arrays.items()}
    for name in first.keys() - joined.keys():
        axis, every = _axis(name, first[name], 1, axes), [state[name] for state in states]
        if axis is not None:
            joined[name] = np.concatenate(every, axis)
        elif name == "seed" or all(np.array_equal(first[name], each) for each in every):
            joined[name] = first[name]
        else:
            raise TrainingError(
                f"{name} differs between copies of the agent, which share it. Train this agent "
                "without --ray (runner=)."
            )
    return {name: joined[name] for name in first}


def _networks(state: State) -> list[str]:
    """Return the prefixes of the arrays of each :class:`BatchedMLP` in a state."""
    first = "parameter.0"
    return [name.removesuffix(first) for name in state if name.endswith(f".{first}")]
