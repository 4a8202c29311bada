"""Base classes of the environments: search history, info, autoreset and rendering."""

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
from nas_gym.envs.query_info import add_presence_masks, first_info, query_info
from nas_gym.envs.vector_rewards import VectorRewards
from nas_gym.tasks import Task
from nas_gym.tasks.noise import next_keys

DecodeGenotypes = Callable[[], NDArray[np.int64]]
"""Function that returns the genotypes of the latest queries; called only if they are needed."""

Seeds = int | Sequence[int | None] | None
"""One seed per search; or the seed of search 0, in which case search ``i`` has ``seed + i``."""

METADATA: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}


class SearchBase(VectorRewards, ABC):
    """Base class of scalar and vector environments: task, search history, info and rendering.

    Attributes:
        task: The task that is searched.
        history: Queries of the current searches.
        render_mode: ``"ansi"``, ``"rgb_array"`` or ``None``.
    """

    spec: gym.envs.registration.EnvSpec | None = None

    task: Task
    history: SearchHistory
    render_mode: str | None

    def _initialize(self, task: Task, num_searches: int, render_mode: str | None) -> None:
        if render_mode is not None and render_mode not in METADATA["render_modes"]:
            raise ValueError(
                f"render_mode is one of {', '.join(METADATA['render_modes'])}, or None; "
                f"got {render_mode!r}."
            )
        self.task = task
        self.render_mode = render_mode
        self._declare_rewards()
        self._next_keys = task.noise_keys([None] * num_searches)  # noise of the next searches
        self._new_search()

    def _new_search(self) -> None:
        """Begin new histories. Without new seeds, the noise keys follow from the previous keys."""
        keys = self._next_keys
        self._next_keys = next_keys(keys)
        self.history = SearchHistory(self.task, len(keys), keys)
        self._last_genotypes: DecodeGenotypes | None = None

    def _record(
        self, indices: NDArray[np.int64], genotypes: DecodeGenotypes, known: dict[str, Any]
    ) -> dict[str, Any]:
        """Append queries to the history, and return the info of the step.

        Args:
            indices: Indices of the queried architectures, ``(n,)`` or ``(n, m)`` int64.
            genotypes: Function that returns the genotypes of the queried architectures.
            known: Entries of the info that the mode has already computed.
        """
        self._last_genotypes = genotypes
        task, history = self.task, self.history
        history.append(indices)
        queries = history.queries
        return LazyInfo(
            self._known_info(known, queries),
            lambda: self._format_info(query_info(task, history, queries, genotypes())),
        )

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._last_genotypes is not None:  # a method of the search space, which may be large
            state["_last_genotypes"] = partial(np.asarray, self._last_genotypes())
        return state

    @abstractmethod
    def _known_info(self, known: dict[str, Any], queries: int) -> dict[str, Any]:
        """Return ``known`` with one entry about the queries, so that the info is never empty."""

    @abstractmethod
    def _format_info(self, infos: dict[str, Any]) -> dict[str, Any]:
        """Convert the result of :func:`query_info` into the form that the environment returns."""

    def _partial_genotypes(self) -> NDArray[np.int64] | None:
        """Return the unfinished architectures, ``(n, depth)``; ``None`` if there are none."""
        return None

    def _render_search(self, search: int) -> Any:
        """Render the unfinished architecture of a search, or else its latest query."""
        from nas_gym.envs.rendering import draw_architecture, write_architecture

        if self.render_mode is None:
            name = self.spec.id if self.spec else type(self).__name__
            gym.logger.warn(
                f"render() needs a render mode: gym.make({name!r}, render_mode='rgb_array') or "
                "'ansi'."
            )
            return None
        partial_genotypes = self._partial_genotypes()
        genotype, caption = None, ""
        if partial_genotypes is not None:
            genotype = partial_genotypes[search]
        elif self._last_genotypes is not None:
            # If one step queried a whole generation, its last architecture is rendered.
            shape = (-1, self.task.space.num_decisions)
            genotype = self._last_genotypes()[search].reshape(shape)[-1]
            caption = _reported_caption(self.task, genotype)
        render = write_architecture if self.render_mode == "ansi" else draw_architecture
        return render(self.task.space, genotype, caption)


class SearchEnv(SearchBase, gym.Env[Any, Any]):
    """One search as a Gymnasium environment; base class of the scalar environments."""

    metadata: ClassVar[dict[str, Any]] = METADATA  # type: ignore[misc]

    def __init__(self, task: Task, render_mode: str | None) -> None:
        self._initialize(task, 1, render_mode)

    def _begin_search(self, seed: int | None) -> None:
        """Begin a new search, whose noise depends on ``seed`` if one is given."""
        if seed is not None:
            self._next_keys = self.task.noise_keys([seed])
        self._new_search()

    def _known_info(self, known: dict[str, Any], queries: int) -> dict[str, Any]:
        return {**known, "queries": queries}

    def _format_info(self, infos: dict[str, Any]) -> dict[str, Any]:
        return first_info(infos)

    def render(self) -> Any:
        """Return the current architecture as text (``"ansi"``) or as an image (``"rgb_array"``).

        The current architecture is the unfinished one in sequential mode, else the latest query.
        The image is a uint8 array of shape ``(height, width, 3)``.
        """
        return self._render_search(0)


class SearchVectorEnv(SearchBase, VectorEnv[Any, Any, Any]):
    """Several searches in lockstep; base class of the vector environments.

    All searches begin and end their episodes together, because the length of an episode does not
    depend on the actions.
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
        mode = AutoresetMode(autoreset_mode)
        if num_envs < 1:
            raise ValueError(f"num_envs is at least 1, got {num_envs}.")
        if max_episode_steps is not None and max_episode_steps < 1:
            raise ValueError(f"max_episode_steps is at least 1, got {max_episode_steps}.")
        self._initialize(task, num_envs, render_mode)
        self.metadata = {**self.metadata, "autoreset_mode": mode}  # type: ignore[misc]
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self._steps = 0  # number of steps in the current episode
        self._noise_is_shared = False
        self._all_true = np.ones(num_envs, bool)
        self._all_true.flags.writeable = False
        self._was_reset = False
        self._episode_ended = False

    def share_noise(self) -> None:
        """Give all environments the same noise, because together they run one search.

        Call this before the first reset. It has no effect on a task without noise.

        Raises:
            RuntimeError: If the task has noise, and the environments were reset before.
        """
        if self._noise_is_shared or not self.task.noise:
            return
        if self._was_reset:
            raise RuntimeError(
                "These environments have already begun separate searches, each with its own noise. "
                "Call share_noise(), or wrap them with pool=True, before their first reset."
            )
        self._noise_is_shared = True
        self._next_keys[:] = self._next_keys[0]
        self._new_search()

    # -- to be defined by each mode -------------------------------------------------------------

    @abstractmethod
    def _begin(self) -> tuple[Any, dict[str, Any]]:
        """Begin an episode of every search, and return observations and infos."""

    @abstractmethod
    def _advance(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64] | None, bool, dict[str, Any]]:
        """Make one step of every search.

        Returns:
            Observations; rewards, ``(num_envs,)`` or ``(num_envs, D)`` float64, or ``None`` if all
            are zero; whether the episodes terminate; and infos.
        """

    @abstractmethod
    def _mode_state(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that the next steps of this mode depend on."""

    @abstractmethod
    def _set_mode_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Restore the arrays that :meth:`_mode_state` returned."""

    # -- Gymnasium ------------------------------------------------------------------------------

    def reset(
        self, *, seed: Seeds = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode of every search.

        Args:
            seed: One seed per search; or an int, which gives search ``i`` the seed ``seed + i``, as
                in Gymnasium's ``SyncVectorEnv``.
            options: ``{"reset_mask": mask}`` selects the searches to reset, ``(num_envs,)`` bool.
                All searches are in lockstep, so the mask must select all searches. Other entries
                are ignored.

        Returns:
            Observations and infos.

        Raises:
            TypeError: If the mask is not a NumPy array of bool.
            ValueError: If the number of seeds is not ``num_envs``, or the mask has a wrong shape or
                selects only some of the searches.
        """
        if options and "reset_mask" in options:
            self._check_reset_mask(options["reset_mask"])
        if seed is not None:
            seeds: list[int | None] = (
                [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else list(seed)
            )
            if len(seeds) != self.num_envs:
                raise ValueError(
                    f"{self.num_envs} searches need {self.num_envs} seeds, got {len(seeds)}. Give "
                    "one seed per search, or one int."
                )
            super().reset(seed=seeds[0])
            self._seed(seeds)
        self._was_reset = True
        return self._begin_episode()

    def _check_reset_mask(self, mask: Any) -> None:
        """Raise ``TypeError`` or ``ValueError`` if a mask does not select all searches."""
        name = "options['reset_mask']"
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            given = f"an array of {mask.dtype}" if isinstance(mask, np.ndarray) else repr(mask)
            raise TypeError(f"{name} must be a NumPy array of bool, got {given}.")
        if mask.shape != (self.num_envs,):
            raise ValueError(f"{name} must have shape ({self.num_envs},), got {mask.shape}.")
        if not mask.all():
            raise ValueError(
                f"{name} selects {mask.sum()} of {self.num_envs} searches. They run in lockstep: "
                "select all of them, or reset them without a mask. For searches that are reset one "
                "by one, use gym.make_vec(..., vectorization_mode='sync')."
            )

    def _seed(self, seeds: list[int | None]) -> None:
        """Seed the noise of the next searches."""
        if self._noise_is_shared:
            seeds = [seeds[0]] * self.num_envs
        self._next_keys = self.task.noise_keys(seeds)

    def _begin_episode(self) -> tuple[Any, dict[str, Any]]:
        self._steps, self._episode_ended = 0, False
        return self._begin()

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Make one step of every search; see :class:`gymnasium.vector.VectorEnv`.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset; and if the episodes have ended and
                the autoreset mode is ``DISABLED``.
        """
        n = self.num_envs
        if not self._was_reset:
            raise gym.error.ResetNeeded("Call envs.reset() before the first step.")
        if self._episode_ended:
            if self.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
                raise gym.error.ResetNeeded(
                    "The episodes have ended, and autoreset_mode is DISABLED: call envs.reset()."
                )
            observations, infos = self._begin_episode()
            return observations, self._no_rewards(), np.zeros(n, bool), np.zeros(n, bool), infos
        observations, rewards, terminated, infos = self._advance(actions)
        self._steps += 1
        truncated = self._steps == self.max_episode_steps
        if terminated or truncated:
            if self.metadata["autoreset_mode"] is not AutoresetMode.SAME_STEP:
                self._episode_ended = True
            else:
                final = {"final_obs": observations, "_final_obs": self._all_true}
                final |= {"final_info": infos, "_final_info": self._all_true}
                observations, infos = self._begin_episode()
                infos = infos | final
        return (
            observations,
            self._no_rewards() if rewards is None else rewards,
            self._all_true.copy() if terminated else np.zeros(n, bool),
            self._all_true.copy() if truncated else np.zeros(n, bool),
            infos,
        )

    def _no_rewards(self) -> NDArray[np.float64]:
        """Return the rewards of a step without queries."""
        n = self.num_envs
        return np.zeros((n, self.reward_dim)) if self.task.objectives else np.zeros(n)

    def clone_state(self) -> dict[str, NDArray[Any]]:
        """Return copies of the arrays that the next steps depend on, for saving to a file."""
        state = {"steps": np.array(self._steps), "ended": np.array(self._episode_ended)}
        state |= {"keys": self.history.keys, "next_keys": self._next_keys}
        state |= {"history": self.history.indices, **self._mode_state()}
        return {name: array.copy() for name, array in state.items()}

    def restore_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from a state of an environment that was made with the same arguments.

        Args:
            state: The result of :meth:`clone_state`.
        """
        self._next_keys = state["keys"].copy()
        self._new_search()
        self._next_keys = state["next_keys"].copy()
        for indices in state["history"]:
            self.history.append(indices)
            self._last_genotypes = partial(self.task.space.decode, indices)
        self._was_reset, self._episode_ended = True, bool(state["ended"])
        self._steps = int(state["steps"])
        self._set_mode_state(state)

    def _known_info(self, known: dict[str, Any], queries: int) -> dict[str, Any]:
        return {**known, "_queries": self._all_true}

    def _format_info(self, infos: dict[str, Any]) -> dict[str, Any]:
        return add_presence_masks(infos, self._all_true)

    def render(self) -> Any:
        """Return a tuple with one frame per search; see :meth:`SearchEnv.render`."""
        return tuple(self._render_search(i) for i in range(self.num_envs))


def _reported_caption(task: Task, genotype: NDArray[np.int64]) -> str:
    """Return the reported value of an architecture, with its name and unit."""
    value = task.reported(task.space.encode(genotype))[0]
    metric = task.report_metric
    return f"{metric.name} {value:.4g} {metric.unit}".rstrip()
