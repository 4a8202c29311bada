"""Sequential mode: one decision of the architecture a step."""

from __future__ import annotations

import operator
from functools import lru_cache, partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from nas_gym.envs.action_spaces import DrawnMultiDiscrete, MaskedDiscrete
from nas_gym.envs.base import SearchEnv, SearchVectorEnv
from nas_gym.spaces import RandomSource, SearchSpace
from nas_gym.tasks import TaskArguments, make_task

# Observations of a depth are tabulated where they fit into this many bytes.
_TABLE_BYTES = 2**24


class SequentialDynamics:
    """The transition and the observation of sequential mode, as pure functions.

    A state is ``(depth, nodes)``: how many decisions are made, and for each search its node in
    the search space's prefix tree, an array of shape ``(n,)``. Scalar environments pass one node
    and one action as plain ints through the same functions.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.length = space.num_decisions
        self.width = space.one_hot_size + 1
        self._choices: list[int] = space.num_choices.tolist()
        # as arrays of no dimension, which NumPy compares with faster than with Python's numbers
        self._limits = [np.array(choices, np.uint64) for choices in self._choices]
        self._tables: dict[int, NDArray[np.uint8] | None] = {}
        self._dtype = np.min_scalar_type(self.length)  # uint8 up to 255 decisions
        high = np.ones(self.width, self._dtype)
        high[-1] = self.length
        self.observation_space = Box(np.zeros_like(high), high, dtype=self._dtype.type)

    def observe(self, depth: int, nodes: Any) -> NDArray[np.uint8]:
        """Observations of states: ``(width,)`` for one node, ``(n, width)`` for many."""
        if depth not in self._tables:
            self._tables[depth] = self._tabulate(depth)
        table = self._tables[depth]
        if table is not None:
            rows: NDArray[np.uint8] = table.take(nodes, 0)
            return rows[:, : self.width] if rows.ndim == 2 else rows[: self.width]
        rows = self._encode(depth, np.atleast_1d(nodes))
        return rows if np.ndim(nodes) else rows[0]

    def _encode(self, depth: int, nodes: NDArray[Any]) -> NDArray[np.uint8]:
        rows = np.zeros((len(nodes), self.width), self._dtype)
        decisions = self.space.decode_prefixes(depth, nodes)
        np.put_along_axis(rows, decisions + self.space.one_hot_offsets[:depth], 1, axis=1)
        rows[:, -1] = depth
        return rows

    def _tabulate(self, depth: int) -> NDArray[np.uint8] | None:
        # Rows are padded to a power of two, which NumPy copies several times faster.
        padded = 1 << (self.width - 1).bit_length() if self.width <= 32 else self.width
        nodes = self.space.num_prefixes(depth)
        if nodes * padded > _TABLE_BYTES:
            return None
        table = np.zeros((nodes, padded), self._dtype)
        table[:, : self.width] = self._encode(depth, np.arange(nodes))
        return table

    def advance(self, depth: int, nodes: Any, actions: Any) -> Any:
        """The nodes that actions lead to, of ``depth + 1``.

        Raises:
            ValueError: an action that is invalid after its prefix.
        """
        if isinstance(actions, int):
            valid = 0 <= actions < self._choices[depth]
        else:
            # one comparison finds negative numbers too: unsigned, they are huge
            in_range = actions.view(np.uint64) < self._limits[depth]
            valid = b"\0" not in in_range.tobytes()  # all(), at a fifth of its cost
        if valid:
            after = self.space.extend(depth, nodes, actions)
            if not self.space.has_masks or np.min(after) >= 0:
                return after
        raise self._invalid(depth, np.atleast_1d(nodes), np.atleast_1d(actions))

    def masks(self, depth: int, nodes: Any) -> NDArray[np.bool_]:
        """Which actions are valid, shape ``(..., max_choices)``; all of them at the end."""
        if depth == self.length:
            return np.ones((*np.shape(nodes), self.space.max_choices), bool)
        return self.space.prefix_masks(depth, nodes)

    def _invalid(self, depth: int, nodes: NDArray[Any], actions: NDArray[Any]) -> ValueError:
        masks = np.pad(self.masks(depth, nodes), ((0, 0), (0, 1)))
        known = np.where((actions < 0) | (actions >= masks.shape[1]), -1, actions).astype(np.int64)
        first = int(np.argmin(masks[np.arange(len(actions)), known]))
        so_far = self.space.decode_prefixes(depth, nodes[[first]])[0].tolist()
        return ValueError(
            f"Action {actions[first]} of environment {first} is invalid: decision {depth} "
            f"({self.space.decision_names[depth]}) after {so_far} takes one of "
            f"{np.flatnonzero(masks[first]).tolist()}. See env.action_masks()."
        )


# Environments over one table share its dynamics and their tabulated observations.
@lru_cache(maxsize=64)
def _dynamics(space: SearchSpace) -> SequentialDynamics:
    return SequentialDynamics(space)


class SequentialEnv(SearchEnv):
    """
    ## Description
    Build an architecture decision by decision, as a controller in reinforcement-learning NAS
    does (CATCH, section 3; ENAS; NASNet). One episode is one architecture, that is one *query* of
    the benchmark. The search history goes on over episodes until `reset` is given a seed.

    ## Action Space
    `Discrete(max_choices)`: the choice for the current decision. For NAS-Bench-201 the six
    decisions are the edges (0→1) (0→2) (1→2) (0→3) (1→3) (2→3), and the choices

    | action | operation     |
    |--------|---------------|
    | 0      | none          |
    | 1      | skip_connect  |
    | 2      | nor_conv_1x1  |
    | 3      | nor_conv_3x3  |
    | 4      | avg_pool_3x3  |

    For NAS-Bench-Graph the first decision is the link structure (nine) and four operations follow
    (nine; five on proteins). Not every action is valid everywhere: `info["action_mask"]` (int8,
    as `action_space.sample(mask)` takes it) and `env.action_masks()` (bool, as sb3-contrib's
    MaskablePPO takes it) tell. An invalid action raises `ValueError`; nothing is repaired.
    Where a search space has invalid actions, `action_space.sample()` draws from the valid ones.

    ## Observation Space
    `Box(uint8)`, shape `(sum of choices + 1,)`, `(31,)` for NAS-Bench-201: the decisions so far,
    one-hot and laid end to end, zeros for those to come; then the number of decisions made.

    ## Rewards
    0 until the last decision, then the architecture's search signal, in its own unit (percent for
    NAS-Bench-201, a fraction for NAS-Bench-Graph), negated where less is better; or what `reward`
    makes of it.

    ## Starting State
    No decision made: all zeros.

    ## Episode End
    Terminates with the last decision. `info` then holds `genotype`, `index` (as the benchmark
    numbers it), `arch` (its text), `metrics` (every column of the table), `queries`,
    `unique_queries`, `incumbent` (index of the best by reward so far), `incumbent_reward`,
    `incumbent_report`, `regret` (of the reported metric, in its unit, >= 0), and which columns
    `signal` and `report` are, such as `analog-nasbench:baseline_accuracy`. What comes from the
    reported metric is for evaluation: an agent must not learn from it.

    ## Arguments
    * `table`: the table searched; `nas-gym data list` shows them. Each ID has its own default:
      `NB201-cifar10` searches `analog-nasbench`, all 15,625 cells retrained on CIFAR-10, which
      comes with the package of that name; its `baseline_accuracy` is both signal and report, and
      has Pearson r = 0.9994 (Spearman 0.991) with NAS-Bench-201's own 200-epoch test accuracy.
      `NB201-cifar100` and `NB201-ImageNet16-120` search `nats-bench`, to be fetched once.
    * `dataset`: picks the table's columns for a data set.
    * `signal`, `report`: other columns for the reward and for the report, `"metric"` or
      `"table:metric"`, such as `report="nats-bench:cifar10-test"`.
    * `noise`: standard deviation, in the signal's unit, of Gaussian noise on the signal: that of
      training an architecture once. It is drawn anew for each search, from its seed, and is the
      same whenever the search asks again; reports and regrets are free of it.
    * `reward`: `"signal"`, or what to make of an accuracy: `"exponential"` (`100 ** accuracy`,
      L2NAS, Eq. 3) or `"rescaled(best=0.94)"` (`100 ** (accuracy / best)`, L2NAS, Eq. 7).
    * `space`, `evaluator`, `supernet`, `device`, `size`: in place of `table`, networks of a search
      space, evaluated by a supernet or by training, as `nas_gym.make_task` describes;
      `NB201-digits` is such a task.
    * `task`: a ready `nas_gym.tasks.Task` in place of all of these.
    * `render_mode`: `"ansi"` (text) or `"rgb_array"` (a drawing of the cell).

    ```python
    >>> import gymnasium as gym
    >>> import nas_gym
    >>> env = gym.make("NB201-cifar10-v0", signal="analog_accuracy", noise=0.3)

    ```

    ## Vectorized environment
    `gym.make_vec(id, num_envs=1024)` steps all searches in one NumPy call. Its extra argument
    `autoreset_mode` is `AutoresetMode.NEXT_STEP` (Gymnasium's default) or `SAME_STEP`. Entries of
    `infos` that take long are computed when they are first read.

    ## Version History
    * v0: initial version.
    """

    def __init__(self, render_mode: str | None = None, **task: Unpack[TaskArguments]) -> None:
        super().__init__(make_task(**task), render_mode)
        space = self.task.space
        self._dynamics = _dynamics(space)
        self.observation_space = self._dynamics.observation_space
        self.action_space: Discrete[np.int64] = (
            MaskedDiscrete(space.max_choices, self.action_masks)
            if space.has_masks
            else Discrete(space.max_choices)
        )
        self._depth, self._node = 0, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Begin the next architecture; with a seed, a new search."""
        super().reset(seed=seed)
        if seed is not None:
            self._new_search(seed)
        self._depth, self._node = 0, 0
        return self._dynamics.observe(0, 0), {"action_mask": self._mask()}

    def step(self, action: Any) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Make one decision.

        Raises:
            TypeError: an action that is not an integer.
            ValueError: an action that is out of range or masked; the state stays as it was.
            gymnasium.error.ResetNeeded: the architecture is complete.
        """
        dynamics, depth = self._dynamics, self._depth
        if depth == dynamics.length:
            raise gym.error.ResetNeeded("The architecture is complete: call env.reset().")
        try:
            action = operator.index(action)
        except TypeError:
            raise TypeError(f"An action is one integer, got {action!r}.") from None
        self._node = node = dynamics.advance(depth, self._node, action)
        self._depth = depth = depth + 1
        observation = dynamics.observe(depth, node)
        known = {"action_mask": self._mask()}
        if depth < dynamics.length:
            return observation, 0.0, False, False, known
        space = dynamics.space
        index = space.leaf_to_index(np.array([node]))
        info = self._record(index, partial(space.decode_prefixes, depth, [node]), known)
        return observation, float(self.history.reward(index)[0]), True, False, info

    def _mask(self) -> NDArray[np.int8]:
        if not self.task.space.has_masks:
            return np.ones(self.task.space.max_choices, np.int8)
        return self.action_masks().astype(np.int8)

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are valid now, shape ``(max_choices,)``; all once the cell is complete."""
        return self._dynamics.masks(self._depth, self._node)

    def _partial_genotype(self) -> NDArray[np.int64] | None:
        if self._depth == self.task.space.num_decisions:
            return None
        return self.task.space.decode_prefixes(self._depth, [self._node]).reshape(-1)


class SequentialVectorEnv(SearchVectorEnv):
    """Many :class:`SequentialEnv` in lockstep, one NumPy transition for all of them.

    Args:
        num_envs: how many searches.
        autoreset_mode: ``AutoresetMode.NEXT_STEP`` or ``AutoresetMode.SAME_STEP``.
        max_episode_steps: truncates episodes, as ``gym.make``'s argument of that name does.

    The other arguments are those of :class:`SequentialEnv`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **task: Unpack[TaskArguments],
    ) -> None:
        super().__init__(
            make_task(**task), num_envs, render_mode, autoreset_mode, max_episode_steps
        )
        space = self.task.space
        self._dynamics = _dynamics(space)
        self.single_observation_space = self._dynamics.observation_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.single_action_space = Discrete(space.max_choices)
        choices = np.full(num_envs, space.max_choices)
        self.action_space: MultiDiscrete = (
            DrawnMultiDiscrete(choices, self._draw_valid)
            if space.has_masks
            else MultiDiscrete(choices)
        )
        # Where everything is valid, one read-only mask serves every step.
        self._all_valid = np.ones((num_envs, space.max_choices), np.int8)
        self._all_valid.flags.writeable = False
        self._shape = (num_envs,)
        self._depth = 0
        self._nodes = np.zeros(num_envs, np.int64)

    def _seed(self, seeds: list[int | None]) -> None:
        super()._seed(seeds)
        self._new_search()  # which other episodes than the first do not begin

    def _begin(self) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        self._depth = 0
        self._nodes = np.zeros(self.num_envs, np.int64)
        return self._dynamics.observe(0, self._nodes), self._masks_info()

    def _advance(
        self, actions: ArrayLike
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64] | None, bool, dict[str, Any]]:
        dynamics = self._dynamics
        nodes = dynamics.advance(self._depth, self._nodes, self._check(actions))
        self._nodes = nodes
        self._depth = depth = self._depth + 1
        observations = dynamics.observe(depth, nodes)
        if depth < dynamics.length:
            return observations, None, False, self._masks_info()
        space = dynamics.space
        indices = space.leaf_to_index(nodes)
        infos = self._record(
            indices, partial(space.decode_prefixes, depth, nodes), self._masks_info()
        )
        return observations, self.history.reward(indices), True, infos

    def _check(self, actions: ArrayLike) -> NDArray[np.int64]:
        array = np.asarray(actions)
        if array.dtype == np.int64 and array.shape == self._shape:
            return array
        if array.dtype.kind not in "iu":
            raise TypeError(f"Actions are integers, got an array of {array.dtype}.")
        if array.shape != self._shape:
            raise ValueError(
                f"{self.num_envs} environments take actions of shape ({self.num_envs},), "
                f"got {array.shape}."
            )
        return array.astype(np.int64)

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are valid now, shape ``(num_envs, max_choices)``."""
        return self._dynamics.masks(self._depth, self._nodes)

    def _masks_info(self) -> dict[str, Any]:
        masks = self._all_valid
        if self.task.space.has_masks:
            masks = self.action_masks().astype(np.int8)
        return {"action_mask": masks, "_action_mask": self._everyone}

    def _draw_valid(self, rng: RandomSource) -> NDArray[np.int64]:
        masks = self.action_masks()
        # the largest of as many uniform numbers as there are valid actions
        drawn: NDArray[np.int64] = np.where(masks, rng.random(masks.shape), -1.0).argmax(axis=1)
        return drawn

    def _partial_genotypes(self) -> NDArray[np.int64] | None:
        if self._depth == self.task.space.num_decisions:
            return None
        return self.task.space.decode_prefixes(self._depth, self._nodes)

    def _mode_state(self) -> dict[str, NDArray[Any]]:
        return {"depth": np.array(self._depth), "nodes": self._nodes}

    def _set_mode_state(self, state: dict[str, NDArray[Any]]) -> None:
        self._depth, self._nodes = int(state["depth"]), state["nodes"].copy()
