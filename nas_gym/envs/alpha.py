"""Alpha mode: one relaxed architecture per step."""

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
    """The ``size`` distinct architectures of highest reward so far, for each of several searches.

    Args:
        space: Search space.
        num_searches: Number of searches.
        size: Number of architectures per search (K in section 2.2 of the L2NAS paper).

    Raises:
        ValueError: If ``size`` is less than 1.
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
        """Add one architecture per search, if it is new and better than the search's worst.

        Args:
            genotypes: Genotypes of the architectures, ``(num_searches, L)`` int64.
            indices: Indices of the architectures, ``(num_searches,)`` int64.
            rewards: Rewards of the architectures, ``(num_searches,)`` float64.
        """
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
        """Return the mean one-hot alpha of the architectures, ``(num_searches, alpha_size)``.

        A search without architectures has zeros.
        """
        count = np.maximum((self._indices >= 0).sum(axis=1, keepdims=True), 1)
        mean: NDArray[np.float32] = (self._sums / count).astype(np.float32)
        return mean

    _STATE = ("rewards", "indices", "one_hots", "sums")

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that hold the architectures, without copying them."""
        return {name: getattr(self, f"_{name}") for name in self._STATE}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Restore copies of the arrays that :meth:`state_dict` returned.

        Raises:
            KeyError: If an array is missing.
            ValueError: If an array has another type or shape, or an index is out of range.
        """
        for name in self._STATE:
            own, found = getattr(self, f"_{name}"), state[name]
            if (own.dtype, own.shape) != (found.dtype, found.shape):
                raise ValueError(
                    f"{name} is {found.dtype} of shape {found.shape}; {own.dtype} of shape "
                    f"{own.shape} was expected"
                )
        indices = state["indices"]
        if indices.min() < -1 or indices.max() >= self._space.size:
            raise ValueError(f"indices holds {indices.min()} to {indices.max()}")
        for name in self._STATE:
            setattr(self, f"_{name}", state[name].copy())


class AlphaDynamics:
    """The transition and the observation of alpha mode, for one or several searches.

    Args:
        history: History of the searches.
        top_k: Number of architectures that an observation averages.
    """

    def __init__(self, history: SearchHistory, top_k: int) -> None:
        self._history = history
        self._num_searches = len(history.keys)
        self._top_k = top_k
        self.top = TopArchitectures(history.space, self._num_searches, top_k)

    @classmethod
    def _restore(
        cls, history: SearchHistory, top_k: int, state: dict[str, NDArray[Any]]
    ) -> AlphaDynamics:
        restored = cls(history, top_k)
        restored.top.load_state_dict(state)
        return restored

    def __reduce__(self) -> tuple[Any, ...]:
        # The search space is not pickled: the task of the history has it.
        return self._restore, (self._history, self._top_k, self.top.state_dict())

    def observe(self) -> NDArray[np.float32]:
        """Return the observations, ``(num_searches, alpha_size)`` float32."""
        return self.top.mean()

    def step(
        self, actions: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Query the architecture of each action, and update the top architectures.

        Args:
            actions: Actions in [-1, 1], ``(num_searches, alpha_size)``.

        Returns:
            Genotypes, ``(num_searches, L)``, indices, ``(num_searches,)``, and rewards,
            ``(num_searches,)``, of the architectures.

        Raises:
            TypeError: If the actions are not numbers.
            ValueError: If they have the wrong shape, are NaN, or lie outside [-1, 1].
        """
        # The action is a scaled alpha, and scaling does not change the argmax of a row.
        genotypes = self._history.space.alpha_to_genotype(self._check(actions))
        indices = self._history.space.encode(genotypes)
        rewards = self._history.reward(indices)
        self.top.add(genotypes, indices, rewards)
        return genotypes, indices, rewards

    def _check(self, actions: ArrayLike) -> NDArray[Any]:
        space, n = self._history.space, self._num_searches
        array = np.asarray(actions)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"Actions must be numbers in [-1, 1], got an array of {array.dtype}.")
        if array.shape != (n, space.alpha_size):
            raise ValueError(
                f"Actions of {n} alpha environments over {space.name} have shape "
                f"({n}, {space.alpha_size}), got {array.shape}."
            )
        if not ((array >= -1.0) & (array <= 1.0)).all():  # NaN fails both comparisons
            raise ValueError(
                f"Actions must be in [-1, 1], got {array.min()} to {array.max()}. "
                "Clip them, or scale them with gymnasium.wrappers.RescaleAction."
            )
        return array


def _spaces(space: SearchSpace) -> tuple[Box, Box]:
    """Return the observation space and the action space of one environment."""
    shape = (space.alpha_size,)
    return Box(0.0, 1.0, shape, np.float32), Box(-1.0, 1.0, shape, np.float32)


class AlphaEnv(SearchEnv):
    """
    ## Description
    Propose a whole relaxed architecture at each step, as in section 2 of the L2NAS paper. The
    action is the matrix alpha of architecture parameters. Alpha is discretized to one architecture,
    which is queried. One step is one query, and one episode is one search.

    ## Action Space
    `Box(-1, 1, (alpha_size,), float32)`. For most search spaces `alpha_size` is the sum of the
    numbers of choices of all decisions: 30 for NAS-Bench-201, with 6 decisions of 5 choices. The
    action holds the concatenated rows of alpha, one row per decision, scaled as
    `alpha = (action + 1) / 2`. (Alpha itself lies in [0, 1]; stable-baselines3 asks for a
    symmetric action space.)

    The choice of each decision is the argmax of its row; of equal values, the first is chosen
    (Algorithm 1 of the L2NAS paper).
    If a search space is restricted, as NAS-Bench-Graph is, the argmax is taken over the choices
    that are valid after the previous decisions. For DARTS, alpha has shape `(196,)`: two cells of
    14 edges with 7 operations each, discretized by Algorithm 2 of the L2NAS paper.

    ## Observation Space
    `Box(0, 1, (alpha_size,), float32)`: the mean of the one-hot alphas of the `top_k` distinct
    architectures of highest reward so far (section 2.2 of the L2NAS paper).

    ## Rewards
    By default, the reward of an architecture is its search signal in the unit of that metric,
    negated if the metric is minimized. The argument `reward` selects another function of the
    signal.

    ## Starting State
    The observation is all zeros, because no architecture has been queried.

    ## Episode End
    The episode is truncated after `max_episode_steps` queries: 500 by default, or the argument of
    that name of `gym.make`. `reset` begins a new search.

    At every step `info` describes the query. It has the same entries as at the end of an episode in
    sequential mode (see `SequentialEnv`): `genotype`, `index`, `arch`, `metrics`, `queries`,
    `unique_queries`, `incumbent`, `incumbent_reward`, `incumbent_report`, `regret`, `signal` and
    `report`.

    ## Arguments
    * `top_k`: number of architectures that the observation averages; 64 by default.
    * `table`, `dataset`, `signal`, `report`, `noise`, `reward`, `constraint`, `space`, `evaluator`,
      `supernet`, `device`, `size`, `task`, `render_mode`: as in sequential mode (see
      `SequentialEnv`).
      `NB201-cifar10-alpha` searches the table `analog-nasbench` by default.

    ```python
    >>> import gymnasium as gym
    >>> import nas_gym
    >>> env = gym.make("NB201-cifar10-alpha-v0", max_episode_steps=1000)

    ```

    ## Vectorized environment
    `gym.make_vec(id, num_envs=64)` steps all searches in one NumPy call. It takes the argument
    `autoreset_mode`, as in sequential mode.

    ## Version History
    * v0: Initial version.
    """

    def __init__(
        self,
        render_mode: str | None = None,
        top_k: int = 64,
        **task: Unpack[TaskArguments],
    ) -> None:
        super().__init__(make_task(**task), render_mode)
        self._refuse_objectives()
        self.observation_space, self.action_space = _spaces(self.task.space)
        self._top_k = top_k
        self._dynamics = AlphaDynamics(self.history, top_k)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin a new search.

        Args:
            seed: Seed of the search, which determines its noise.
            options: Ignored.
        """
        super().reset(seed=seed)
        self._begin_search(seed)
        self._dynamics = AlphaDynamics(self.history, self._top_k)
        return self._dynamics.observe()[0], {}

    def step(self, action: ArrayLike) -> tuple[NDArray[np.float32], float, bool, bool, Any]:
        """Query the architecture of one alpha.

        Args:
            action: Scaled alpha, ``(alpha_size,)``, numbers in [-1, 1].

        Raises:
            TypeError: If the action is not numbers.
            ValueError: If it has the wrong shape, is NaN, or lies outside [-1, 1]. Nothing is
                queried then.
        """
        genotypes, indices, rewards = self._dynamics.step(np.asarray(action)[None])
        info = self._record(indices, partial(np.asarray, genotypes), {})
        return self._dynamics.observe()[0], float(rewards[0]), False, False, info


class AlphaVectorEnv(SearchVectorEnv):
    """Several :class:`AlphaEnv` in lockstep.

    Args:
        num_envs: Number of searches.
        render_mode, top_k, **task: See :class:`AlphaEnv`.
        max_episode_steps: Number of queries after which every search is truncated; ``None`` for
            no limit.
        autoreset_mode: When a new episode follows an episode that has ended, as a
            :class:`gymnasium.vector.AutoresetMode`: in the next step (``NEXT_STEP``), in the same
            step (``SAME_STEP``), or only after a call of :meth:`reset` (``DISABLED``).
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
        self._refuse_objectives()
        self.single_observation_space, self.single_action_space = _spaces(self.task.space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._top_k = top_k
        self._dynamics = AlphaDynamics(self.history, top_k)

    def _begin(self) -> tuple[NDArray[np.float32], dict[str, Any]]:
        self._new_search()
        self._dynamics = AlphaDynamics(self.history, self._top_k)
        return self._dynamics.observe(), {}

    def _advance(
        self, actions: ArrayLike
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], bool, dict[str, Any]]:
        genotypes, indices, rewards = self._dynamics.step(actions)
        infos = self._record(indices, partial(np.asarray, genotypes), {})
        return self._dynamics.observe(), rewards, False, infos

    def _mode_state(self) -> dict[str, NDArray[Any]]:
        return self._dynamics.top.state_dict()

    def _set_mode_state(self, state: dict[str, NDArray[Any]]) -> None:
        self._dynamics = AlphaDynamics(self.history, self._top_k)
        self._dynamics.top.load_state_dict(state)
