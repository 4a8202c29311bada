"""Sequential mode: one decision of the architecture per step."""

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

from nas_gym.envs.action_spaces import MaskedDiscrete, ValidMultiDiscrete
from nas_gym.envs.base import SearchBase, SearchEnv, SearchVectorEnv
from nas_gym.envs.vector_rewards import VectorReward
from nas_gym.spaces import RandomSource, SearchSpace
from nas_gym.tasks import TaskArguments, make_task

_LARGEST_TABLE = 2**24
"""Maximum size in bytes of the table of precomputed observations at each depth."""


class SequentialDynamics:
    """The transition and the observation of sequential mode, as pure functions.

    A state is ``(depth, nodes)``. ``depth`` is the number of decisions made so far. ``nodes``, an
    int64 array of shape ``(n,)``, identifies the decisions of each search: they are nodes of the
    prefix tree of the search space (:meth:`SearchSpace.extend`). Scalar environments pass one node
    and one action as Python ints to the same functions.

    Args:
        space: Search space.

    Attributes:
        space: Search space.
        length: Number of decisions of an architecture.
        width: Number of entries of an observation.
        observation_space: Observation space of one environment.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.length = space.num_decisions
        self.width = space.one_hot_size + 1
        self._choices: list[int] = space.num_choices.tolist()
        # NumPy compares with 0-dimensional arrays faster than with Python ints.
        self._limits = [np.array(choices, np.uint64) for choices in self._choices]
        self._tables: dict[int, NDArray[np.uint8] | None] = {}
        self._dtype = np.min_scalar_type(self.length)  # uint8 up to 255 decisions
        high = np.ones(self.width, self._dtype)
        high[-1] = self.length
        self.observation_space = Box(np.zeros_like(high), high, dtype=self._dtype.type)

    def observe(self, depth: int, nodes: Any) -> NDArray[np.uint8]:
        """Return the observation of one node, ``(width,)``, or of ``n`` nodes, ``(n, width)``."""
        if depth not in self._tables:
            self._tables[depth] = self._precompute(depth)
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

    def _precompute(self, depth: int) -> NDArray[np.uint8] | None:
        """Return the observations of all nodes of a depth; ``None`` if there are too many."""
        # Rows are padded to a power of two, which NumPy copies several times faster.
        padded = 1 << (self.width - 1).bit_length() if self.width <= 32 else self.width
        nodes = self.space.num_prefixes(depth)
        if nodes * padded > _LARGEST_TABLE:
            return None
        table = np.zeros((nodes, padded), self._dtype)
        table[:, : self.width] = self._encode(depth, np.arange(nodes))
        return table

    def advance(self, depth: int, nodes: Any, actions: Any) -> Any:
        """Return the nodes, of depth ``depth + 1``, that the actions lead to.

        Raises:
            ValueError: If an action is invalid after the decisions of its node.
        """
        if isinstance(actions, int):
            valid = 0 <= actions < self._choices[depth]
        else:
            # One comparison also finds negative numbers, which are huge as unsigned ones.
            in_range = actions.view(np.uint64) < self._limits[depth]
            valid = b"\0" not in in_range.tobytes()  # five times as fast as in_range.all()
        if valid:
            after = self.space.extend(depth, nodes, actions)
            if not self.space.has_masks or np.min(after) >= 0:
                return after
        raise self._invalid_action(depth, np.atleast_1d(nodes), np.atleast_1d(actions))

    def masks(self, depth: int, nodes: Any) -> NDArray[np.bool_]:
        """Return whether each action is valid, ``(..., max_choices)`` bool.

        Once the architecture is complete, all actions count as valid.
        """
        if depth == self.length:
            return np.ones((*np.shape(nodes), self.space.max_choices), bool)
        return self.space.prefix_masks(depth, nodes)

    def partial_genotypes(self, depth: int, nodes: Any) -> NDArray[np.int64] | None:
        """Return the decisions made so far, ``(n, depth)``; ``None`` once all are made."""
        return None if depth == self.length else self.space.decode_prefixes(depth, nodes)

    def _invalid_action(self, depth: int, nodes: NDArray[Any], actions: NDArray[Any]) -> ValueError:
        """Return the error that describes the first invalid action."""
        masks = np.pad(self.masks(depth, nodes), ((0, 0), (0, 1)))
        known = np.where((actions < 0) | (actions >= masks.shape[1]), -1, actions).astype(np.int64)
        first = int(np.argmin(masks[np.arange(len(actions)), known]))
        prefix = self.space.decode_prefixes(depth, nodes[[first]])[0].tolist()
        return ValueError(
            f"Action {actions[first]} of environment {first} is invalid: decision {depth} "
            f"({self.space.decision_names[depth]}) after {prefix} takes one of "
            f"{np.flatnonzero(masks[first]).tolist()}. See env.action_masks()."
        )


# Environments over the same search space share precomputed observations.
@lru_cache(maxsize=64)
def _dynamics(space: SearchSpace) -> SequentialDynamics:
    return SequentialDynamics(space)


class _SequentialBase(SearchBase):
    """Base class of both environments, with pickles that omit the precomputed observations."""

    _dynamics: SequentialDynamics

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        del state["_dynamics"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._dynamics = _dynamics(self.task.space)


class SequentialEnv(_SequentialBase, SearchEnv):
    """
    ## Description
    Build an architecture decision by decision, as the controllers of reinforcement-learning NAS do
    (such as CATCH, ENAS and NASNet). One episode builds one architecture, which is evaluated once;
    this is one *query*. The search history continues across episodes until `reset` is called with a
    seed.

    ## Action Space
    `Discrete(max_choices)`: the choice for the current decision. The six decisions of
    NAS-Bench-201 are the edges (0→1) (0→2) (1→2) (0→3) (1→3) (2→3) of its cell. Their choices are

    | action | operation     |
    |--------|---------------|
    | 0      | none          |
    | 1      | skip_connect  |
    | 2      | nor_conv_1x1  |
    | 3      | nor_conv_3x3  |
    | 4      | avg_pool_3x3  |

    NAS-Bench-Graph has five decisions: the link structure (9 choices), and four operations (9
    choices; 5 on proteins). In this space, some actions are invalid. `info["action_mask"]` (int8)
    marks the valid actions with 1; `env.action_masks()` returns the same mask as booleans, as
    sb3-contrib's MaskablePPO expects. (A wrapper of Gymnasium hides this method:
    `env.get_wrapper_attr("action_masks")()` finds it.) `action_space.sample()` samples valid
    actions only. An invalid action raises `ValueError` and changes nothing.

    ## Observation Space
    `Box(uint8)`, shape `(sum of choices + 1,)`: `(31,)` for NAS-Bench-201. The observation
    concatenates the one-hot decisions so far, with zeros for open decisions. The last entry is the
    number of decisions made.

    ## Rewards
    The reward is 0 until the last decision, which receives the reward of the architecture. By
    default, this is the search signal in the unit of that metric (percent for NAS-Bench-201, a
    fraction of 1 for NAS-Bench-Graph), negated if the metric is minimized. The argument `reward`
    selects another function of the signal. With the argument `objectives`, rewards are vectors.

    ## Starting State
    The observation is all zeros, because no decision has been made.

    ## Episode End
    The episode terminates with the last decision. `info` then describes the query and the search so
    far:

    | key                | content                                                              |
    |--------------------|----------------------------------------------------------------------|
    | `genotype`         | the architecture: the choice of each decision, int64                 |
    | `index`            | its index in the search space                                        |
    | `arch`             | its text, in the notation of the benchmark                           |
    | `metrics`          | all its metrics by name, and other columns that the task names       |
    | `queries`          | number of queries of this search so far                              |
    | `unique_queries`   | number of distinct architectures among them                          |
    | `incumbent`        | index of the architecture of highest reward so far                   |
    | `incumbent_reward` | its reward                                                           |
    | `incumbent_report` | its reported metric, in the unit of that metric                      |
    | `regret`           | distance of `incumbent_report` from the optimum of the space, >= 0   |
    | `signal`, `report` | names of the columns, such as `analog-nasbench:baseline_accuracy`    |

    In a task with constraints, `info` also has `feasible` and `violation` of the architecture, and
    `incumbent_feasible`. In a task with objectives, `info` has `non_dominated` in place of
    `incumbent`, `incumbent_reward`, `incumbent_report` and `regret`: whether no earlier query of
    the search has a reward that dominates that of the architecture.

    If the reward combines several metrics, such as accuracy and latency, the report is the same
    combination, with the reported metric in place of the signal; `incumbent_report`, `regret` and
    the optimum refer to this combination. (A reported metric that differs from the signal in
    unit or direction is reported alone.) If the optimum is unknown, regret is the distance from
    100 for a metric in percent, and from 0 for another metric that is minimized; of another metric
    that is maximized, it is the negated value.

    `incumbent_report` and `regret` are for evaluation only. Rewards and observations do not depend
    on the reported metric, and an agent must not learn from this metric.

    ## Arguments
    * `table`: name of the table that is searched; `nas-gym data list` shows all tables. Each ID has
      a default. `NB201-cifar10` searches `analog-nasbench`: all 15,625 cells of NAS-Bench-201,
      retrained on CIFAR-10. The table is part of the Python package of the same name. Its
      `baseline_accuracy` is both signal and report. It has a Pearson correlation of 0.9994
      (Spearman 0.991) with NAS-Bench-201's own test accuracy after 200 epochs. `NB201-cifar100` and
      `NB201-ImageNet16-120` search `nats-bench`, which `nas-gym data fetch nats-bench` downloads.
      `NB201-ninapro` and `NB201-darcy` search `hw-nas-bench-360`, which is downloaded in the same
      way.
    * `dataset`: data set, which selects the default signal and report of a table; or the images
      that networks are trained on.
    * `signal`: metric that rewards are computed from: `"metric"` of the evaluator,
      `"table:metric"` of another table over the same search space, `"predictor:FILE"` (a saved
      predictor), or a weighted sum of metrics in one unit, `"0.3 * metric + 0.7 * table:metric"`.
    * `report`: metric that searches are judged by, `"metric"` or `"table:metric"`, such as
      `"nats-bench:cifar10-test"`. `"metric:denoised"` is the mean over isomorphic architectures,
      which a table holds as separate trainings of one network.
    * `noise`: standard deviation of Gaussian noise on the signal, in the unit of the signal. It
      simulates the spread of single training runs. The noise depends on the seed of the search;
      within a search, an architecture always has the same noise. Reports and regrets have no noise.
    * `reward`: function that computes rewards from signals. `"signal"`, the default, is the signal
      itself; `"exponential"` is `100 ** accuracy` (L2NAS paper, Eq. 3); `"rescaled(best=0.94)"` is
      `100 ** (accuracy / best)` (L2NAS paper, Eq. 7), where `accuracy` is a fraction of 1;
      `"latency(column=help-latency:fpga,target=5,weight=-0.07)"` is
      `signal * (latency / target) ** weight`, with the signal in its own unit (CATCH paper, section
      4.3). An object of a subclass of `nas_gym.tasks.rewards.Reward` is also accepted.
    * `constraint`: a bound on a metric in its own unit, such as `"help-latency:raspi4 <= 5"` or
      `"params <= 0.5"`; or a list of bounds. Every feasible architecture has a higher reward than
      every infeasible one. The optimum, ranks and regret are those of the feasible architectures.
    * `objectives`: at least two metrics, such as `["signal", "help-latency:raspi4", "params"]`,
      where `"signal"` is the search signal. Rewards are then vectors, in the conventions of
      MO-Gymnasium: one entry per objective in its own unit, negated if the metric is minimized.
      `env.reward_space` is their space, and `env.pareto_front()` returns the Pareto front.
    * `evaluator`: an object of a subclass of `nas_gym.Evaluator`, which evaluates architectures in
      place of the table; `signal` and `report` are then metrics of this object. Alternatively, the
      string of a network evaluator, such as `"training(epochs=12)"`.
    * `space`: search space of networks, `"NB201"` or `"DARTS"`; or a `nas_gym.SearchSpace` object,
      together with `evaluator`.
    * `supernet`, `device`, `size`: supernet file, torch device and image size of a network
      evaluator; see `nas_gym.make_task`. `NB201-digits` is an example of such an environment.
    * `task`: a complete `nas_gym.Task` in place of all arguments above.
    * `render_mode`: `"ansi"` (text) or `"rgb_array"` (a drawing of the architecture).

    ```python
    >>> import gymnasium as gym
    >>> import nas_gym
    >>> env = gym.make("NB201-cifar10-v0", signal="analog_accuracy", noise=0.3)

    ```

    `nas_gym.register_task(name, task)` registers your own task under the IDs `<name>-v0`,
    `<name>-alpha-v0` and `<name>-population-v0`.

    ## Vectorized environment
    `gym.make_vec(id, num_envs=1024)` steps all searches in one NumPy call. It takes the argument
    `autoreset_mode`: `AutoresetMode.NEXT_STEP` (Gymnasium's default), `AutoresetMode.SAME_STEP` or
    `AutoresetMode.DISABLED`. The episodes of all searches begin and end together. Therefore
    `envs.reset(options={"reset_mask": mask})` takes a mask that selects all searches. Entries of
    `infos` that are expensive are computed when they are first read.

    ## Version History
    * v0: Initial version.
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
        self._depth, self._node = self._dynamics.length, 0  # step() asks for a reset

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Begin the next architecture; with a seed, also a new search.

        Args:
            seed: Seed of a new search, which determines its noise. Without it, the current search
                continues.
            options: Ignored.
        """
        super().reset(seed=seed)
        if seed is not None:
            self._begin_search(seed)
        self._depth, self._node = 0, 0
        return self._dynamics.observe(0, 0), {"action_mask": self._mask()}

    def step(self, action: Any) -> tuple[NDArray[np.uint8], Any, bool, bool, dict[str, Any]]:
        """Make one decision.

        Args:
            action: The choice for the current decision, an integer.

        Raises:
            TypeError: If the action is not an integer.
            ValueError: If the action is out of range or masked. The state does not change then.
            gymnasium.error.ResetNeeded: If the architecture is complete, or before the first
                reset.
        """
        dynamics, depth = self._dynamics, self._depth
        if depth == dynamics.length:
            raise gym.error.ResetNeeded("No architecture is in progress: call env.reset().")
        try:
            if action is True or action is False:  # operator.index would accept them
                raise TypeError
            action = operator.index(action)
        except TypeError:
            raise TypeError(f"An action must be one integer, got {action!r}.") from None
        self._node = node = dynamics.advance(depth, self._node, action)
        self._depth = depth = depth + 1
        observation = dynamics.observe(depth, node)
        known = {"action_mask": self._mask()}
        if depth < dynamics.length:
            return observation, self._as_reward(None), False, False, known
        space = dynamics.space
        index = space.leaf_to_index(np.array([node]))
        info = self._record(index, partial(space.decode_prefixes, depth, [node]), known)
        return observation, self._as_reward(self.history.reward(index)[0]), True, False, info

    def _as_reward(self, value: Any) -> Any:
        """Return a reward as a float or, with objectives, as an array; ``None`` stands for 0."""
        if not self.task.objectives:
            return 0.0 if value is None else float(value)
        vector = np.zeros(self.reward_dim) if value is None else value
        return vector.view(VectorReward)

    def _mask(self) -> NDArray[np.int8]:
        if not self.task.space.has_masks:
            return np.ones(self.task.space.max_choices, np.int8)
        return self.action_masks().astype(np.int8)

    def action_masks(self) -> NDArray[np.bool_]:
        """Return whether each action is valid now, ``(max_choices,)`` bool.

        If no architecture is in progress, all actions count as valid.
        """
        return self._dynamics.masks(self._depth, self._node)

    def _partial_genotypes(self) -> NDArray[np.int64] | None:
        return self._dynamics.partial_genotypes(self._depth, [self._node])


class SequentialVectorEnv(_SequentialBase, SearchVectorEnv):
    """Several :class:`SequentialEnv` in lockstep.

    Args:
        num_envs: Number of searches.
        render_mode, **task: See :class:`SequentialEnv`.
        autoreset_mode: When a new episode follows an episode that has ended, as a
            :class:`gymnasium.vector.AutoresetMode`: in the next step (``NEXT_STEP``), in the same
            step (``SAME_STEP``), or only after a call of :meth:`reset` (``DISABLED``).
        max_episode_steps: Number of decisions after which every episode is truncated; ``None`` for
            no limit.
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
            ValidMultiDiscrete(choices, self._sample_valid)
            if space.has_masks
            else MultiDiscrete(choices)
        )
        # Spaces without masks use one read-only mask for every step.
        self._all_valid = np.ones((num_envs, space.max_choices), np.int8)
        self._all_valid.flags.writeable = False
        self._shape = (num_envs,)
        self._depth = 0
        self._nodes = np.zeros(num_envs, np.int64)

    def _seed(self, seeds: list[int | None]) -> None:
        super()._seed(seeds)
        self._new_search()  # here, because not every episode begins a search

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
            raise TypeError(f"Actions must be integers, got an array of {array.dtype}.")
        if array.shape != self._shape:
            raise ValueError(
                f"{self.num_envs} environments need actions of shape ({self.num_envs},), "
                f"got {array.shape}."
            )
        return array.astype(np.int64)

    def action_masks(self) -> NDArray[np.bool_]:
        """Return whether each action is valid now, ``(num_envs, max_choices)`` bool."""
        return self._dynamics.masks(self._depth, self._nodes)

    def _masks_info(self) -> dict[str, Any]:
        masks = self._all_valid
        if self.task.space.has_masks:
            masks = self.action_masks().astype(np.int8)
        return {"action_mask": masks, "_action_mask": self._all_true}

    def _sample_valid(self, rng: RandomSource) -> NDArray[np.int64]:
        masks = self.action_masks()
        # The largest of the valid actions' uniform numbers is at a uniformly random valid action.
        numbers = np.where(masks, rng.random(masks.shape), -1.0)
        sampled: NDArray[np.int64] = numbers.argmax(axis=1)
        return sampled

    def _partial_genotypes(self) -> NDArray[np.int64] | None:
        return self._dynamics.partial_genotypes(self._depth, self._nodes)

    def _mode_state(self) -> dict[str, NDArray[Any]]:
        return {"depth": np.array(self._depth), "nodes": self._nodes}

    def _set_mode_state(self, state: dict[str, NDArray[Any]]) -> None:
        self._depth, self._nodes = int(state["depth"]), state["nodes"].copy()
