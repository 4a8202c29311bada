"""What the three modes share: the task, the search history, autoreset and rendering."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from nas_gym.envs.history import SearchHistory
from nas_gym.envs.lazy_info import LazyInfo
from nas_gym.envs.query_info import of_first, query_info, with_masks
from nas_gym.tasks import Task
from nas_gym.tasks.noise import next_keys

# Genotypes of the latest queries, decoded when somebody looks.
Genotypes = Callable[[], NDArray[np.int64]]

# One seed for each search, or the first of as many in a row.
Seeds = int | Sequence[int | None] | None

METADATA: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}


class SearchEnv(gym.Env[Any, Any]):
    """One search as a Gymnasium environment; the base of the modes' scalar environments."""

    metadata: ClassVar[dict[str, Any]] = METADATA  # type: ignore[misc]

    def __init__(self, task: Task, render_mode: str | None) -> None:
        check_render_mode(render_mode)
        self.task = task
        self.render_mode = render_mode
        self._next_keys = task.noise_keys([None])  # of the noise of the next search
        self._new_search()

    def _new_search(self, seed: int | None = None) -> None:
        """Begin a history; without a seed, its noise follows from that of the search before."""
        keys = self._next_keys if seed is None else self.task.noise_keys([seed])
        self._next_keys = next_keys(keys)
        self.history = SearchHistory(self.task, 1, keys)
        self._last_genotypes: Genotypes | None = None

    def _record(
        self, indices: NDArray[np.int64], genotypes: Genotypes, known: dict[str, Any]
    ) -> dict[str, Any]:
        """Note queries, shape ``(1,)`` or ``(1, m)``, in the history; the step's info."""
        self._last_genotypes = genotypes
        task, history = self.task, self.history
        append(history, indices)
        queries = history.queries
        return LazyInfo(
            {**known, "queries": queries},
            lambda: of_first(query_info(task, history, queries, genotypes())),
        )

    def _partial_genotype(self) -> NDArray[np.int64] | None:
        """The decisions of an architecture that is not finished, if there are any."""
        return None

    def render(self) -> Any:
        """The architecture at hand as text (``"ansi"``) or as an image (``"rgb_array"``).

        The image is a uint8 array of shape ``(height, width, 3)``.
        """
        return render_search(self, 0, self._partial_genotype())


class SearchVectorEnv(VectorEnv[Any, Any, Any], ABC):
    """Many searches in lockstep; the base of the modes' vector environments.

    All searches begin and end their episodes together, since the length of an episode depends on
    nothing that an agent does.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        **METADATA,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        task: Task,
        num_envs: int,
        render_mode: str | None,
        autoreset_mode: AutoresetMode | str,
        max_episode_steps: int | None,
    ) -> None:
        check_render_mode(render_mode)
        mode = AutoresetMode(autoreset_mode)
        if mode is AutoresetMode.DISABLED:
            raise ValueError(
                "These environments reset themselves: autoreset_mode is NEXT_STEP or SAME_STEP."
            )
        if num_envs < 1:
            raise ValueError(f"num_envs is at least 1, got {num_envs}.")
        if max_episode_steps is not None and max_episode_steps < 1:
            raise ValueError(f"max_episode_steps is at least 1, got {max_episode_steps}.")
        self.metadata = {**self.metadata, "autoreset_mode": mode}  # type: ignore[misc]
        self.task = task
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self._steps = 0  # of this episode
        self.render_mode = render_mode
        self._one_search = False
        self._next_keys = task.noise_keys([None] * num_envs)  # of the noise of the next searches
        self._new_search()
        self._everyone = np.ones(num_envs, bool)
        self._everyone.flags.writeable = False
        self._begun = False
        self._ended = False

    def _new_search(self) -> None:
        """Begin histories; without new seeds, their noise follows from that of those before."""
        keys = self._next_keys
        self._next_keys = next_keys(keys)
        self.history = SearchHistory(self.task, self.num_envs, keys)
        self._last_genotypes: Genotypes | None = None

    def share_noise(self) -> None:
        """Let the environments have the same noise: they are parts of one search.

        Raises:
            RuntimeError: there is noise, and the first reset has begun searches of their own.
        """
        if self._one_search or not self.task.noise:
            return
        if self._begun:
            raise RuntimeError(
                "These environments have begun searches of their own, each with its own noise. "
                "Let them serve one search before their first reset."
            )
        self._one_search = True
        self._next_keys[:] = self._next_keys[0]
        self._new_search()

    # -- what a mode adds -------------------------------------------------------------------------

    @abstractmethod
    def _begin(self) -> tuple[Any, dict[str, Any]]:
        """Begin an episode of every search: observations and infos."""

    @abstractmethod
    def _advance(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64] | None, bool, dict[str, Any]]:
        """One step of every search: observations, rewards (None where all are zero), whether the
        episodes are at their end, and infos."""

    def _partial_genotypes(self) -> NDArray[np.int64] | None:
        return None

    # -- Gymnasium -------------------------------------------------------------------------------

    def reset(
        self, *, seed: Seeds = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode of every search.

        Args:
            seed: a seed for each search, or an int for ``seed, seed + 1, …``, as in Gymnasium's
                ``SyncVectorEnv``.
            options: none are known.

        Raises:
            ValueError: another number of seeds than searches, or ``options["reset_mask"]``:
                searches in lockstep begin together.
        """
        if options and "reset_mask" in options:
            raise ValueError("These searches run in lockstep: reset all of them, without a mask.")
        if seed is not None:
            seeds: list[int | None] = (
                [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else list(seed)
            )
            if len(seeds) != self.num_envs:
                raise ValueError(f"{self.num_envs} searches take as many seeds, got {len(seeds)}.")
            super().reset(seed=seeds[0])
            self._seed(seeds)
        self._begun = True
        return self._restart()

    def _seed(self, seeds: list[int | None]) -> None:
        """Let the next searches have these seeds."""
        if self._one_search:
            seeds = [seeds[0]] * self.num_envs
        self._next_keys = self.task.noise_keys(seeds)

    def _restart(self) -> tuple[Any, dict[str, Any]]:
        self._steps, self._ended = 0, False
        return self._begin()

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Step every search; see :class:`gymnasium.vector.VectorEnv`."""
        n = self.num_envs
        if not self._begun:
            raise gym.error.ResetNeeded("Call envs.reset() before the first step.")
        if self._ended:
            observations, infos = self._restart()
            return observations, np.zeros(n), np.zeros(n, bool), np.zeros(n, bool), infos
        observations, rewards, terminated, infos = self._advance(actions)
        self._steps += 1
        truncated = self._steps == self.max_episode_steps
        if terminated or truncated:
            if self.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP:
                self._ended = True
            else:
                final = {"final_obs": observations, "_final_obs": self._everyone}
                final |= {"final_info": infos, "_final_info": self._everyone}
                observations, infos = self._restart()
                infos = infos | final
        return (
            observations,
            np.zeros(n) if rewards is None else rewards,
            self._everyone.copy() if terminated else np.zeros(n, bool),
            self._everyone.copy() if truncated else np.zeros(n, bool),
            infos,
        )

    def clone_state(self) -> dict[str, NDArray[Any]]:
        """Everything that the next steps depend on, as arrays (to be written to a file, say)."""
        state = {"steps": np.array(self._steps), "ended": np.array(self._ended)}
        state |= {"keys": self.history.keys, "next_keys": self._next_keys}
        state |= {"history": self.history.indices, **self._mode_state()}
        return {name: array.copy() for name, array in state.items()}

    def restore_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what :meth:`clone_state` gave, of an environment made alike."""
        self._next_keys = state["keys"].copy()
        self._new_search()
        self._next_keys = state["next_keys"].copy()
        for indices in state["history"]:
            self.history.append(indices)
            self._last_genotypes = partial(self.task.space.decode, indices)
        self._begun, self._ended = True, bool(state["ended"])
        self._steps = int(state["steps"])
        self._set_mode_state(state)

    @abstractmethod
    def _mode_state(self) -> dict[str, NDArray[Any]]:
        """What a mode's next steps depend on, as arrays."""

    @abstractmethod
    def _set_mode_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Take over what :meth:`_mode_state` gave."""

    def _record(
        self, indices: NDArray[np.int64], genotypes: Genotypes, known: dict[str, Any]
    ) -> dict[str, Any]:
        """Note queries, shape ``(n,)`` or ``(n, m)``, in the history; the step's infos."""
        self._last_genotypes = genotypes
        task, history, present = self.task, self.history, self._everyone
        append(history, indices)
        queries = history.queries
        return LazyInfo(
            {**known, "_queries": present},
            lambda: with_masks(query_info(task, history, queries, genotypes()), present),
        )

    def render(self) -> Any:
        """A tuple of what :meth:`SearchEnv.render` gives, one entry a search."""
        partial = self._partial_genotypes()
        return tuple(
            render_search(self, i, None if partial is None else partial[i])
            for i in range(self.num_envs)
        )


def append(history: SearchHistory, indices: NDArray[np.int64]) -> None:
    """Add one query of every search, ``(n,)``, or ``m`` in a row, ``(n, m)``."""
    if indices.ndim == 1:
        history.append(indices)
    else:
        for column in indices.T:
            history.append(column)


def check_render_mode(render_mode: str | None) -> None:
    """Refuse a render mode that there is not."""
    if render_mode is not None and render_mode not in METADATA["render_modes"]:
        raise ValueError(
            f"render_mode is one of {', '.join(METADATA['render_modes'])}, or None; "
            f"got {render_mode!r}."
        )


def render_search(
    env: SearchEnv | SearchVectorEnv, search: int, partial: NDArray[np.int64] | None
) -> Any:
    """Draw one search of an environment: an unfinished architecture, or the latest query."""
    from nas_gym.envs import render

    if env.render_mode is None:
        name = env.spec.id if env.spec else type(env).__name__
        gym.logger.warn(
            f"render() needs a render mode: gym.make({name!r}, render_mode='rgb_array') or 'ansi'."
        )
        return None
    genotype, caption = partial, ""
    if genotype is None and env._last_genotypes is not None:
        # of a generation, the latest architecture
        genotype = env._last_genotypes()[search].reshape(-1, env.task.space.num_decisions)[-1]
        caption = _caption(env.task, genotype)
    if env.render_mode == "ansi":
        return render.as_text(env.task.space, genotype, caption)
    return render.as_image(env.task.space, genotype, caption)


def _caption(task: Task, genotype: NDArray[np.int64]) -> str:
    index = task.space.encode(genotype)
    metric = task.metric(task.report)
    return f"{task.report.metric} {task.reported(index)[0]:.4g} {metric.unit}".rstrip()
