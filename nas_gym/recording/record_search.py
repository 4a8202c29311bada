"""Wrappers that record the queries of a search, and the time that the agent spends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from numpy.typing import NDArray

from nas_gym.envs.base import SearchEnv, SearchVectorEnv
from nas_gym.recording.curves import Curves, compute_curves
from nas_gym.recording.tensorboard import write_events
from nas_gym.tasks import Task


class Recorder:
    """Record of an environment's queries and of the agent's time.

    The time between two calls of the environment counts as the agent's time; the time within a call
    does not.

    Args:
        env: Environment without wrappers.
        pool: Whether all environments of a vector together run one search. Their queries then form
            one sequence, ordered by step and, within a step, by environment.
    """

    def __init__(self, env: SearchEnv | SearchVectorEnv, pool: bool) -> None:
        self._env = env
        self._pool = pool
        self._history = env.history
        self._num_recorded = env.history.queries  # recorded queries of the current history
        self._indices: list[NDArray[np.int64]] = []
        self._rewards: list[NDArray[np.float64]] = []
        self._seconds: list[NDArray[np.float64]] = []
        self._agent_seconds = 0.0
        # Time when the agent's timer was last started; it does not run before the first call.
        self._timer_start: float | None = None
        self._folder: Path | None = None  # folder of the event files
        self._num_written = 0  # entries of self._indices that the event files contain

    @property
    def task(self) -> Task:
        """The task that is searched."""
        return self._env.task

    @contextmanager
    def environment_call(self) -> Iterator[None]:
        """Stop the agent's timer during a call of the environment, and record its queries."""
        self._add_agent_time()
        yield
        self._record()
        if self._env.history is not self._history:  # a reset began a new history
            self._history, self._num_recorded = self._env.history, 0
            self._record()
        self._timer_start = time.perf_counter()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the agent's timer while the block runs."""
        self._add_agent_time()
        try:
            yield
        finally:
            if self._timer_start is not None:
                self._timer_start = time.perf_counter()

    def _add_agent_time(self) -> None:
        if self._timer_start is not None:
            now = time.perf_counter()
            self._agent_seconds += now - self._timer_start
            self._timer_start = now  # so that no time counts twice if the environment raises

    def _record(self) -> None:
        """Record the queries that were appended to the history since the last call."""
        if self._history.queries == self._num_recorded:
            return
        indices = self._history.indices_since(self._num_recorded)
        self._num_recorded = self._history.queries
        rewards = self.task.reward(indices, self._history.keys)
        trials = indices.shape[1]
        if self._pool:
            rewards = rewards.reshape(-1, 1, *rewards.shape[2:])
            indices, trials = indices.reshape(-1, 1), 1
        self._indices.append(indices)
        self._rewards.append(rewards)
        # Trials in lockstep share the time equally.
        self._seconds.append(np.full(indices.shape, self._agent_seconds / trials))

    @property
    def agent_seconds(self) -> NDArray[np.float64]:
        """Seconds that the agent had spent before each query, ``(queries, trials)`` float64."""
        return np.concatenate(self._seconds) if self._seconds else np.empty((0, 1))

    def curves(self) -> Curves:
        """Return the curves of all recorded queries."""
        indices = np.concatenate(self._indices or [np.empty((0, 1), np.int64)])
        dimensions = (len(self.task.objectives),) if self.task.objectives else ()
        rewards = np.concatenate(self._rewards or [np.empty((0, 1, *dimensions))])
        return compute_curves(self.task, indices, rewards, self.agent_seconds)

    def write_events(self, log: str | Path | None) -> None:
        """Write TensorBoard's event files, unless they already contain every recorded query.

        Args:
            log: Folder that gets a new subfolder ``search_1``, ``search_2``, …, numbered as in
                stable-baselines3. With several trials, the new subfolder has one subfolder per
                trial. ``None`` writes nothing.
        """
        if log is None or not self._indices or self._num_written == len(self._indices):
            return
        self._num_written = len(self._indices)
        self._folder = folder = self._folder or _next_folder(Path(log))
        trials = self._indices[0].shape[1]
        folders = [folder / f"trial-{i}" for i in range(trials)] if trials > 1 else [folder]
        write_events(folders, self.task, self.curves())


def _next_folder(log: Path) -> Path:
    """Create the first folder ``search_<number>`` that does not exist, and return it."""
    for number in count(1):
        folder = log / f"search_{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        break
    return folder


class RecordSearch(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Wrapper that records every query of an environment.

    The record contains the queried architectures and rewards. For each query, it also contains the
    incumbent with reported metric and regret, the number of unique queries, the seconds that the
    agent has spent between calls of the environment and, if the table has training times, the
    seconds that training the architectures takes. The record continues when the environment is
    reset, because every evaluated architecture counts against the budget.

    Args:
        env: An environment of this package, possibly wrapped.
        tensorboard_log: Folder for TensorBoard's event files, which are written to a new subfolder
            ``search_1``, ``search_2``, … when the environment is closed; ``None`` writes none.

    Raises:
        TypeError: If ``env`` is not an environment of this package.

    Example:
        >>> import gymnasium as gym
        >>> import nas_gym
        >>> from nas_gym.recording import RecordSearch
        >>> env = RecordSearch(gym.make("NB201-cifar10-alpha-v0"))
        >>> _ = env.reset(seed=0)
        >>> env.action_space.seed(0)
        0
        >>> for _ in range(20):
        ...     _ = env.step(env.action_space.sample())
        >>> env.curves().regrets.shape  # queries, trials
        (20, 1)
    """

    def __init__(self, env: gym.Env[Any, Any], tensorboard_log: str | Path | None = None) -> None:
        RecordConstructorArgs.__init__(self, tensorboard_log=tensorboard_log)
        super().__init__(env)
        inner = env.unwrapped
        if not isinstance(inner, SearchEnv):
            raise TypeError(
                f"{env} is not an environment of nas_gym. Make one with gym.make, such as "
                "gym.make('NB201-cifar10-v0')."
            )
        self._recorder = Recorder(inner, pool=False)
        self._tensorboard_log = tensorboard_log

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environment, and record the queries of the reset."""
        with self._recorder.environment_call():
            return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment, and record the queries of the step."""
        with self._recorder.environment_call():
            return self.env.step(action)

    def curves(self) -> Curves:
        """Return the curves of all recorded queries; arrays have shape ``(queries, 1)``."""
        return self._recorder.curves()

    def close(self) -> None:
        """Write the event files, and close the environment."""
        self._recorder.write_events(self._tensorboard_log)
        super().close()


class RecordVectorSearch(VectorWrapper):
    """Wrapper that records every query of a vector environment; see :class:`RecordSearch`.

    Args:
        envs: A vector environment of this package (``gym.make_vec``), possibly wrapped.
        pool: Whether all environments run one search together, as stable-baselines3's ``n_envs``
            do. By default, each environment is a separate trial.
        tensorboard_log: Folder for TensorBoard's event files, one run per trial. They are
            written to a new subfolder ``search_1``, ``search_2``, … when the environment is closed;
            ``None`` writes none.

    Raises:
        TypeError: If ``envs`` is not a vector environment of this package. For Gymnasium's
            ``SyncVectorEnv``, wrap each of its environments in :class:`RecordSearch`.
        RuntimeError: If ``pool`` is true, the task has noise, and ``envs`` was reset before.

    Example:
        >>> import gymnasium as gym
        >>> import nas_gym
        >>> from nas_gym.agents import RandomSearch
        >>> from nas_gym.recording import RecordVectorSearch
        >>> envs = RecordVectorSearch(gym.make_vec("NB201-cifar10-alpha-v0", num_envs=4))
        >>> _ = RandomSearch(envs, seed=0).learn(20)
        >>> envs.curves().unique.shape  # queries, trials
        (20, 4)
    """

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        pool: bool = False,
        tensorboard_log: str | Path | None = None,
    ) -> None:
        super().__init__(envs)
        inner = envs.unwrapped
        if not isinstance(inner, SearchVectorEnv):
            raise TypeError(
                f"{envs} is not a vector environment of nas_gym. Make one with gym.make_vec, or "
                "wrap each single environment in RecordSearch."
            )
        if pool:
            inner.share_noise()
        self._recorder = Recorder(inner, pool)
        self._tensorboard_log = tensorboard_log

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environment, and record the queries of the reset."""
        with self._recorder.environment_call():
            return self.env.reset(seed=seed, options=options)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step the environments, and record the queries of the step."""
        with self._recorder.environment_call():
            return self.env.step(actions)

    @property
    def agent_seconds(self) -> NDArray[np.float64]:
        """Seconds that the agent had spent before each query, ``(queries, trials)`` float64."""
        return self._recorder.agent_seconds

    def paused(self) -> AbstractContextManager[None]:
        """Return a context that stops the agent's timer, for example while files are written."""
        return self._recorder.paused()

    def curves(self) -> Curves:
        """Return the search curves over all recorded queries.

        Arrays have shape ``(queries, trials)``; if the recorder was created with ``pool=True``, all
        environments count as one trial.
        """
        return self._recorder.curves()

    def close(self, **kwargs: Any) -> None:
        """Write the event files, and close the environments."""
        self._recorder.write_events(self._tensorboard_log)
        super().close(**kwargs)
