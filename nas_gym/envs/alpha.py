"""Alpha mode: one whole relaxed architecture a step."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from nas_gym.envs.base import SearchEnv, SearchVectorEnv
from nas_gym.envs.history import SearchHistory
from nas_gym.spaces import SearchSpace
from nas_gym.tasks import TaskArguments, make_task


class TopArchitectures:
    """The distinct architectures of highest reward so far, for many searches side by side.

    Args:
        space: what is searched.
        num_searches: how many searches.
        size: how many architectures each keeps (K in L2NAS, section 2.2).
    """

    def __init__(self, space: SearchSpace, num_searches: int, size: int) -> None:
        if size < 1:
            raise ValueError(f"top_k is at least 1, got {size}.")
        self._space = space
        self._rows = np.arange(num_searches)
        self._rewards = np.full((num_searches, size), -np.inf)
        self._indices = np.full((num_searches, size), -1, np.int64)
        self._one_hots = np.zeros((num_searches, size, space.alpha_size), np.int8)
        self._sums = np.zeros((num_searches, space.alpha_size), np.int64)

    def add(
        self,
        genotypes: NDArray[np.int64],
        indices: NDArray[np.int64],
        rewards: NDArray[np.float64],
    ) -> None:
        """Offer one architecture to each search; a better one takes the place of the worst."""
        worst = self._rewards.argmin(axis=1)
        known = (self._indices == indices[:, None]).any(axis=1)
        better = ~known & (rewards > self._rewards[self._rows, worst])
        rows, slots = self._rows[better], worst[better]
        one_hots = self._space.genotype_to_alpha(genotypes[better]).astype(np.int8)
        self._sums[rows] += one_hots.astype(np.int64) - self._one_hots[rows, slots]
        self._one_hots[rows, slots] = one_hots
        self._rewards[rows, slots] = rewards[better]
        self._indices[rows, slots] = indices[better]

    def mean(self) -> NDArray[np.float32]:
        """Mean one-hot alpha of the architectures kept, ``(n, alpha_size)``; zeros before any."""
        count = np.maximum((self._indices >= 0).sum(axis=1, keepdims=True), 1)
        mean: NDArray[np.float32] = (self._sums / count).astype(np.float32)
        return mean

    _STATE = ("rewards", "indices", "one_hots", "sums")

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """What is kept, as arrays."""
        return {name: getattr(self, f"_{name}") for name in self._STATE}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Take over what :meth:`state` gave."""
        for name in self._STATE:
            setattr(self, f"_{name}", state[name].copy())


def _observation_space(space: SearchSpace) -> Box:
    return Box(0.0, 1.0, (space.alpha_size,), np.float32)


def _action_space(space: SearchSpace) -> Box:
    return Box(-1.0, 1.0, (space.alpha_size,), np.float32)


def discretize(space: SearchSpace, actions: ArrayLike, num_envs: int) -> NDArray[np.int64]:
    """Genotypes of actions, shape ``(num_envs, alpha_size)``.

    Raises:
        TypeError: not numbers.
        ValueError: wrong shape, NaN, or outside [-1, 1].
    """
    array = np.asarray(actions)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"Actions are numbers in [-1, 1], got an array of {array.dtype}.")
    if array.shape != (num_envs, space.alpha_size):
        raise ValueError(
            f"Actions of {num_envs} alpha environments over {space.name} have shape "
            f"({num_envs}, {space.alpha_size}), got {array.shape}."
        )
    if not ((array >= -1.0) & (array <= 1.0)).all():  # also where it is NaN
        raise ValueError(
            f"Actions lie in [-1, 1], got {array.min()} to {array.max()}. "
            "Clip them, or scale them with gymnasium.wrappers.RescaleAction."
        )
    return space.alpha_to_genotype(array)  # the argmax of alpha is the argmax of the action


class AlphaEnv(SearchEnv):
    """
    ## Description
    Propose a whole relaxed architecture at each step, as L2NAS does (section 2). The action is
    the matrix alpha of architecture hyper-parameters; it is discretized to one architecture,
    which is queried. One step is one query, one episode is one search.

    ## Action Space
    `Box(-1, 1, (sum of choices,), float32)`, `(30,)` for NAS-Bench-201: the rows of alpha, one
    for each decision, laid end to end, scaled as `alpha = (action + 1) / 2`. (Alpha itself lies
    in [0, 1]; a symmetric action space is what stable-baselines3 asks for.) The architecture is
    the argmax of each row, the first of equals (L2NAS, Algorithm 1); where a search space is
    restricted, the argmax among the choices that are valid after the rows before. The space of
    DARTS has alpha of its own, `(196,)`: two cells, 14 edges, 7 operations, discretized by
    Algorithm 2.

    ## Observation Space
    `Box(0, 1, (sum of choices,), float32)`: the mean of the one-hot alphas of the `top_k`
    distinct architectures of highest reward so far (L2NAS, section 2.2).

    ## Rewards
    The architecture's search signal, in its own unit, negated where less is better.

    ## Starting State
    Zeros: no architecture is known.

    ## Episode End
    Truncated after `max_episode_steps` queries (500; change it in `gym.make`). Every step's
    `info` describes its query as at the end of a sequential episode: `genotype`, `index`, `arch`,
    `metrics`, `queries`, `unique_queries`, `incumbent`, `incumbent_reward`, `incumbent_report`,
    `regret`. `reset` begins a new search.

    ## Arguments
    * `top_k`: how many architectures the observation averages; 64.
    * `table`, `dataset`, `signal`, `report`, `noise`, `reward`, `space`, `evaluator`, `supernet`,
      `device`, `size`, `task`, `render_mode`: as in the sequential mode.
      `NB201-cifar10-alpha` searches `analog-nasbench` (the package's retrained cells) by default.

    ```python
    >>> import gymnasium as gym
    >>> import nas_gym
    >>> env = gym.make("NB201-cifar10-alpha-v0", max_episode_steps=1000)

    ```

    ## Vectorized environment
    `gym.make_vec(id, num_envs=64)`; `autoreset_mode` as in the sequential mode.

    ## Version History
    * v0: initial version.
    """

    def __init__(
        self,
        render_mode: str | None = None,
        top_k: int = 64,
        **task: Unpack[TaskArguments],
    ) -> None:
        super().__init__(make_task(**task), render_mode)
        space = self.task.space
        self.observation_space = _observation_space(space)
        self.action_space = _action_space(space)
        self._top_k = top_k
        self._top = TopArchitectures(space, 1, top_k)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin a new search."""
        super().reset(seed=seed)
        self._new_search(seed)
        self._top = TopArchitectures(self.task.space, 1, self._top_k)
        return self._top.mean()[0], {}

    def step(self, action: ArrayLike) -> tuple[NDArray[np.float32], float, bool, bool, Any]:
        """Query the architecture of one alpha.

        Raises:
            TypeError: an action that is not numbers.
            ValueError: wrong shape, NaN, or outside [-1, 1]; nothing is queried.
        """
        genotypes, indices, rewards = query(self.history, np.asarray(action)[None], self._top, 1)
        info = self._record(indices, partial(np.asarray, genotypes), {})
        return self._top.mean()[0], float(rewards[0]), False, False, info


class AlphaVectorEnv(SearchVectorEnv):
    """Many :class:`AlphaEnv` in lockstep.

    Args:
        num_envs: how many searches.
        max_episode_steps: the query budget, after which every search is truncated.
        autoreset_mode: ``AutoresetMode.NEXT_STEP`` or ``AutoresetMode.SAME_STEP``.

    The other arguments are those of :class:`AlphaEnv`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        render_mode: str | None = None,
        top_k: int = 64,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **task: Unpack[TaskArguments],
    ) -> None:
        super().__init__(
            make_task(**task), num_envs, render_mode, autoreset_mode, max_episode_steps
        )
        self.single_observation_space = _observation_space(self.task.space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.single_action_space = _action_space(self.task.space)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._top_k = top_k
        self._top = TopArchitectures(self.task.space, num_envs, top_k)

    def _begin(self) -> tuple[NDArray[np.float32], dict[str, Any]]:
        self._new_search()
        self._top = TopArchitectures(self.task.space, self.num_envs, self._top_k)
        return self._top.mean(), {}

    def _advance(
        self, actions: ArrayLike
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], bool, dict[str, Any]]:
        genotypes, indices, rewards = query(self.history, actions, self._top, self.num_envs)
        infos = self._record(indices, partial(np.asarray, genotypes), {})
        return self._top.mean(), rewards, False, infos

    def _mode_state(self) -> dict[str, NDArray[Any]]:
        return self._top.state_dict()

    def _set_mode_state(self, state: dict[str, NDArray[Any]]) -> None:
        self._top.load_state_dict(state)


def query(
    history: SearchHistory, actions: ArrayLike, top: TopArchitectures, num_envs: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The transition: discretize actions, evaluate them, and update the top architectures."""
    genotypes = discretize(history.space, actions, num_envs)
    indices = history.space.encode(genotypes)
    rewards = history.reward(indices)
    top.add(genotypes, indices, rewards)
    return genotypes, indices, rewards
