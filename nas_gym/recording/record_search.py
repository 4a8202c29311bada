"""Recording a search: every query, how the search stood after it, and what the agent spent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    """Notes what an environment was asked, and the time between its answers and the next question.

    Args:
        env: the environment itself, without wrappers.
        pool: whether a vector of environments serves one search together, so that its queries are
            put in one row: step by step, and within a step environment by environment.
    """

    def __init__(self, env: SearchEnv | SearchVectorEnv, pool: bool) -> None:
        self._env = env
        self._pool = pool
        self._history = env.history
        self._noted = env.history.queries
        self._indices: list[NDArray[np.int64]] = []
        self._rewards: list[NDArray[np.float64]] = []
        self._seconds: list[NDArray[np.float64]] = []
        self._spent = 0.0
        self._answered: float | None = None  # when; nothing is spent before the first question
        self._folder: Path | None = None  # of the event files
        self._written = 0

    @property
    def task(self) -> Task:
        """What is searched."""
        return self._env.task

    def asked(self) -> None:
        """To be called before the environment is."""
        if self._answered is not None:
            now = time.perf_counter()
            self._spent += now - self._answered
            self._answered = now  # should the environment raise an error, and be asked again

    def goes_on(self) -> None:
        """The agent's time begins anew, if it had begun."""
        if self._answered is not None:
            self._answered = time.perf_counter()

    def answered(self) -> None:
        """To be called after the environment was."""
        self._note()
        if self._env.history is not self._history:  # a reset began another
            self._history, self._noted = self._env.history, 0
            self._note()
        self._answered = time.perf_counter()

    def _note(self) -> None:
        if self._history.queries == self._noted:
            return
        fresh = self._history.since(self._noted)
        self._noted = self._history.queries
        rewards = self.task.reward(fresh, self._history.keys)
        trials = fresh.shape[1]
        if self._pool:
            fresh, rewards, trials = fresh.reshape(-1, 1), rewards.reshape(-1, 1), 1
        self._indices.append(fresh)
        self._rewards.append(rewards)
        # searches in lockstep share the time
        self._seconds.append(np.full(fresh.shape, self._spent / trials))

    @property
    def agent_seconds(self) -> NDArray[np.float64]:
        """What the agent had spent at each query, shape ``(queries, trials)``."""
        return np.concatenate(self._seconds) if self._seconds else np.empty((0, 1))

    def curves(self) -> Curves:
        """What was recorded so far."""
        indices = np.concatenate(self._indices or [np.empty((0, 1), np.int64)])
        rewards = np.concatenate(self._rewards or [np.empty((0, 1))])
        return compute_curves(self.task, indices, rewards, self.agent_seconds)

    def write_events(self, log: str | Path | None) -> None:
        """Write TensorBoard's event files, or write them anew if there is more by now.

        They lie in a folder of their own, ``search_1``, ``search_2``, …, as SB3's do; in subfolders
        of it where there are several trials.
        """
        if log is None or not self._indices or self._written == len(self._indices):
            return
        self._written = len(self._indices)
        self._folder = folder = self._folder or _next_folder(Path(log))
        trials = self._indices[0].shape[1]
        folders = [folder / f"trial-{i}" for i in range(trials)] if trials > 1 else [folder]
        write_events(folders, self.task, self.curves(), {})


def _next_folder(log: Path) -> Path:
    for number in count(1):
        folder = log / f"search_{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        break
    return folder


class RecordSearch(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Records every query of an environment, whoever steps it: these agents, SB3's, or a loop.

    The record goes on over resets, for every architecture evaluated was paid for. It holds the
    architectures with their rewards, the incumbent, its reported metric and regret, the number of
    distinct architectures, the seconds that the agent spent between the environment's answers,
    and, where the table says so, the seconds that training the architectures would have taken.

    Args:
        env: an environment of this package, possibly wrapped.
        tensorboard_log: a folder for TensorBoard's event files; none by default. They are
            written to its subfolder ``search_1`` (or 2, …) when the environment is closed.

    Raises:
        TypeError: another environment.

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
            raise TypeError(f"{env} is not an environment of nas_gym.")
        self._recorder = Recorder(inner, pool=False)
        self._tensorboard_log = tensorboard_log

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """As the environment's; what a reset evaluates is recorded, too."""
        self._recorder.asked()
        result = self.env.reset(seed=seed, options=options)
        self._recorder.answered()
        return result

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's."""
        self._recorder.asked()
        result = self.env.step(action)
        self._recorder.answered()
        return result

    def curves(self) -> Curves:
        """What was recorded, arrays of shape ``(queries, 1)``."""
        return self._recorder.curves()

    def close(self) -> None:
        """Close the environment, and finish the event files."""
        self._recorder.write_events(self._tensorboard_log)
        super().close()


class RecordVectorSearch(VectorWrapper):
    """Records every query of a vector environment; see :class:`RecordSearch`.

    Args:
        envs: a vector environment of this package (``gym.make_vec``), possibly wrapped.
        pool: whether the environments serve one search together, as with SB3's ``n_envs``. Without
            it, each is a trial of its own.
        tensorboard_log: a folder for TensorBoard's event files, a run for each trial; none by
            default. They are written to its subfolder ``search_1`` (or 2, …) when the environment
            is closed.

    Raises:
        TypeError: another environment, such as Gymnasium's ``SyncVectorEnv``: wrap each of the
            environments in it instead.

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
                f"{envs} is not a vector environment of nas_gym as gym.make_vec makes it. Wrap "
                "single environments in RecordSearch."
            )
        if pool:
            inner.share_noise()
        self._recorder = Recorder(inner, pool)
        self._tensorboard_log = tensorboard_log

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """As the environment's; what a reset evaluates is recorded, too."""
        self._recorder.asked()
        result = self.env.reset(seed=seed, options=options)
        self._recorder.answered()
        return result

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """As the environment's."""
        self._recorder.asked()
        result = self.env.step(actions)
        self._recorder.answered()
        return result

    @property
    def agent_seconds(self) -> NDArray[np.float64]:
        """What the agent had spent at each query, shape ``(queries, trials)``."""
        return self._recorder.agent_seconds

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out of the agent's seconds what is done inside, such as writing files."""
        self._recorder.asked()
        try:
            yield
        finally:
            self._recorder.goes_on()

    def curves(self) -> Curves:
        """What was recorded, arrays of shape ``(queries, trials)``; one trial where pooled."""
        return self._recorder.curves()

    def close(self, **kwargs: Any) -> None:
        """Close the environments, and finish the event files."""
        self._recorder.write_events(self._tensorboard_log)
        super().close(**kwargs)
