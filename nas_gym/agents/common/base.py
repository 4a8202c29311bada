"""Base class of all agents, with the methods of stable-baselines3."""

from __future__ import annotations

import json
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from typing_extensions import Self

from nas_gym.agents.common.checks import check_genotypes
from nas_gym.agents.common.config import AgentConfig
from nas_gym.agents.common.driver import EnvironmentDriver, as_vector
from nas_gym.agents.common.random_streams import RandomStreams
from nas_gym.agents.common.saved import (
    AgentMismatchError,
    State,
    agent_file,
    check_entries,
    explain_damage,
    pretrained_file,
    read_agent,
    refuse_nan,
    saved_class_name,
    state_key,
)
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import write_tensors

Callback = Callable[["Agent"], bool | None]


class Agent(ABC):
    """A search method that proposes one architecture at a time and learns from its fitness.

    A vector environment holds ``num_trials`` independent trials, which run in lockstep: in each
    query, every trial evaluates one architecture. Trial ``i`` draws random numbers from its own
    stream, with seed ``seed + i``; the trial's history does not depend on the number of trials.

    A subclass implements :meth:`ask` and, if the agent learns, :meth:`setup` and :meth:`tell`. It
    names a dataclass of its settings in :attr:`config_class` and lists the arrays to be saved in
    :attr:`state_attributes`. For trials to be independent and repeatable, :meth:`ask` and
    :meth:`tell` draw random numbers from :attr:`rng` only, equally many for each trial.

    Args:
        env: Environment of this package, scalar or vector, or an environment ID.
        seed: Seed of the first trial; trial ``i`` has seed ``seed + i``. Random by default.
        tensorboard_log: Folder for TensorBoard event files; none are written by default.
        verbose: 1 prints each new incumbent of the first trial; 0 prints nothing.
        config: Settings as an instance of :attr:`config_class`; the defaults if left out.
        **settings: Settings that replace those of ``config``.

    Attributes:
        config: Settings of the agent.
        env: Vector environment.
        task: Task of the environment.
        space: Search space of the task.
        num_trials: Number of trials, ``n``.
        seed: Seed of the first trial.
        rng: Random number generator with one stream per trial.
        num_queries: Number of architectures that each trial has evaluated.
        num_timesteps: Number of environment steps that each trial has taken.
        best_genotypes: Best architecture of each trial, ``(n, L)`` int64, for ``L`` decisions.
        best_fitness: Fitness of ``best_genotypes``, ``(n,)`` float64. In a task with ``D``
            objectives, ``(n, D)``; an architecture then replaces the best one if it dominates it.

    Raises:
        TypeError: If the environment is not one of this package, or a setting is unknown or has
            the wrong type.
        ValueError: If a setting is outside its range, the seed is negative, or the task has
            objectives that the agent cannot search for.

    Example:
        >>> import nas_gym
        >>> from nas_gym.agents import Agent
        >>> class Mutation(Agent):
        ...     state_attributes = ("parents", "fitness")
        ...     def setup(self):
        ...         self.parents = self.space.sample(self.num_trials, self.rng)
        ...         self.fitness = self.best_fitness.copy()
        ...     def ask(self):
        ...         return self.space.mutate(self.parents, self.rng)
        ...     def tell(self, genotypes, fitness):
        ...         better = fitness > self.fitness
        ...         self.parents[better], self.fitness[better] = genotypes[better], fitness[better]
        >>> Mutation("NB201-cifar10-alpha-v0", seed=0).learn(100).num_queries
        100
    """

    config_class: ClassVar[type[AgentConfig]] = AgentConfig
    """Dataclass of the agent's settings."""

    presets: ClassVar[Mapping[str, AgentConfig]] = {}
    """Named configurations other than the defaults, by their registered names."""

    preset_notes: ClassVar[Mapping[str, str]] = {}
    """Sentences about presets, by the presets' names, for ``nas-gym agents``."""

    state_attributes: ClassVar[tuple[str, ...]] = ()
    """Attributes that :meth:`save` writes, in addition to the state attributes of base classes.

    Each value is an array, a number or a string; :meth:`setup` sets all of them.
    """

    checks_state: ClassVar[bool] = False
    """``True`` if :meth:`load_state_dict` is to refuse an array whose type or shape differs from
    the array that :meth:`setup` made.

    An array that :meth:`setup` made with an axis of length 0 may have grown along this axis.
    """

    uses_torch: ClassVar[bool] = False
    """``True`` if the agent imports PyTorch."""

    searches_in: ClassVar[str] = "every environment"
    """Description of the environments that the agent can search, for ``nas-gym agents``."""

    multi_objective: ClassVar[bool] = False
    """``True`` if the agent accepts vector rewards, as tasks with several objectives have."""

    packages: ClassVar[tuple[str, ...]] = ()
    """Further packages whose version affects the agent's proposals; ``config.json`` lists them."""

    config: Any  # an instance of config_class; subclasses annotate it

    def __init__(
        self,
        env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any] | str,
        seed: int | None = None,
        tensorboard_log: str | Path | None = None,
        verbose: int = 0,
        *,
        config: AgentConfig | None = None,
        **settings: Any,
    ) -> None:
        self.config = self.check_settings(settings, config)
        self.env = as_vector(env)
        self._driver = EnvironmentDriver(self.env)
        self.task = self._driver.task
        self.space = self.task.space
        self.num_trials = self._driver.num_trials
        if self.task.objectives and not self.multi_objective:
            raise ValueError(
                f"{type(self).__name__} maximizes one reward, but this task has "
                f"{len(self.task.objectives)} objectives. Use scalarized(agent=NAME), or an agent "
                "for several objectives; `nas-gym agents` lists them."
            )
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        self.seed = seed = operator.index(seed)  # also accepts NumPy's integers
        if seed < 0:
            raise ValueError(f"seed must be at least 0, got {seed}.")
        self.rng = RandomStreams([seed + i for i in range(self.num_trials)])
        self.tensorboard_log = tensorboard_log
        self.verbose = verbose
        self.num_queries = 0
        self.num_timesteps = 0
        self.best_genotypes = np.zeros((self.num_trials, self.space.num_decisions), np.int64)
        dimensions = (len(self.task.objectives),) if self.task.objectives else ()
        self.best_fitness = np.full((self.num_trials, *dimensions), -np.inf)
        self.setup()
        for name in self._state_names():
            if not hasattr(self, name):
                raise AttributeError(
                    f"{type(self).__name__}.state_attributes lists {name!r}, which setup() must "
                    "set."
                )
            _check_can_be_saved(getattr(self, name), f"{type(self).__name__}.{name}")
        self._has_begun = False
        self._fresh_state = {name: np.asarray(getattr(self, name)) for name in self._state_names()}
        self._start_from_pretrained()

    def _start_from_pretrained(self) -> None:  # noqa: B027
        """Start from the saved agent that the setting `pretrained` names; meta-learners override
        this method."""

    @classmethod
    def check_settings(
        cls, settings: Mapping[str, Any], config: AgentConfig | None = None
    ) -> AgentConfig:
        """Return a configuration with some settings changed.

        Args:
            settings: New values of settings, by name.
            config: Configuration to start from; the defaults if left out.

        Raises:
            TypeError: If a setting is unknown or has the wrong type, or ``config`` is not an
                instance of :attr:`config_class`.
            ValueError: If a setting is outside its range.
        """
        config = cls.config_class() if config is None else config
        if not isinstance(config, cls.config_class):
            raise TypeError(
                f"config must be a {cls.config_class.__name__}, got a {type(config).__name__}."
            )
        return config.with_settings(settings, cls.__name__)

    # -- methods that subclasses implement --------------------------------------------------------

    def setup(self) -> None:  # noqa: B027 (not every agent has a state)
        """Prepare the state of a fresh agent; called once, at the end of the constructor."""

    @abstractmethod
    def ask(self) -> NDArray[np.int64]:
        """Propose the next genotype of each trial.

        Returns:
            Genotypes, ``(num_trials, L)`` integers; each row must be an architecture of the search
            space.
        """

    def tell(  # noqa: B027 (not every agent learns)
        self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]
    ) -> None:
        """Learn from evaluated genotypes.

        The genotypes are those that :meth:`ask` returned. In a population environment, the members
        of the environment's random first generation come before them.

        Args:
            genotypes: One genotype per trial, ``(num_trials, L)`` int64.
            fitness: Rewards of the genotypes, ``(num_trials,)`` float64; higher is better. In a
                task with ``D`` objectives, ``(num_trials, D)``.
        """

    def diagnostics(self) -> dict[str, NDArray[np.float64]]:
        """Return values to plot in TensorBoard, such as losses, by name.

        Returns:
            Arrays ``(queries, num_trials)``; NaN marks queries without a value.
        """
        return {}

    # -- the methods of stable-baselines3 ---------------------------------------------------------

    def learn(
        self, total_timesteps: int, callback: Callback | None = None, progress_bar: bool = False
    ) -> Self:
        """Search for a number of environment steps; the last query is always completed.

        Args:
            total_timesteps: Number of steps of each environment. A query takes one step in alpha
                and population mode, and one step per decision in sequential mode.
            callback: Function that is called with the agent after each query; the search stops
                when the function returns ``False``.
            progress_bar: Whether to show a progress bar on the terminal.
        """
        from nas_gym.agents.common.search_log import SearchLog, track

        log = SearchLog(self) if self.tensorboard_log or self.verbose else None
        queries = -(-total_timesteps // self._driver.steps_per_query)
        for _ in track(range(queries), type(self).__name__, enabled=progress_bar):
            self.query()
            if log is not None:
                log.write()
            if callback is not None and callback(self) is False:
                break
        return self

    def query(self) -> None:
        """Propose, evaluate and learn from one architecture in every trial.

        Raises:
            ValueError: If :meth:`ask` returns anything but one valid genotype per trial.
        """
        if not self._has_begun:
            self._begin()
        genotypes = check_genotypes(
            self.ask(), self.space, self.num_trials, f"genotypes of {type(self).__name__}.ask()"
        )
        fitness = self._driver.evaluate(genotypes)
        self.num_queries += 1
        self.num_timesteps += self._driver.steps_per_query
        self._learn_from(genotypes, fitness)

    def _begin(self) -> None:
        self._has_begun = True
        is_loaded = self.num_queries > 0
        evaluated = self._driver.reset(self.seed)
        if evaluated is None:
            return
        # A population environment evaluates its own first generation, unless the agent was loaded
        # from a file, with its population.
        self.num_queries += evaluated[1].shape[1]
        if not is_loaded:
            for i in range(evaluated[1].shape[1]):
                self._learn_from(evaluated[0][:, i], evaluated[1][:, i])

    def _learn_from(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        better = fitness > self.best_fitness
        if self.task.objectives:
            better = np.all(fitness >= self.best_fitness, axis=1) & np.any(better, axis=1)
        self.best_genotypes[better] = genotypes[better]
        self.best_fitness[better] = fitness[better]
        self.tell(genotypes, fitness)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, None]:
        """Return actions that build the best architecture found so far.

        Args:
            observation: Observation of one environment, or of ``num_trials`` environments.
            state, episode_start, deterministic: Ignored; present for compatibility with
                stable-baselines3.

        Returns:
            The actions, and ``None`` in place of the state of stable-baselines3.
        """
        is_single = isinstance(observation, dict) and np.ndim(observation["fitness"]) == 1
        if not isinstance(observation, dict):
            is_single, observation = np.ndim(observation) == 1, np.atleast_2d(observation)
        genotypes = self.best_genotypes[:1] if is_single else self.best_genotypes
        actions = self._driver.next_actions(genotypes, observation)
        return (actions[0] if is_single else actions), None

    # -- saving and loading -----------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the state of the agent to one file (``.safetensors``)."""
        write_tensors(agent_file(path), self.state_dict())

    @classmethod
    def load(
        cls,
        path: str | Path,
        env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any] | str,
        **arguments: Any,
    ) -> Self:
        """Load an agent from a file that :meth:`save` wrote; it continues its search in ``env``.

        Args:
            path: File of the saved agent.
            env: Environment with the saved agent's number of trials and search space.
            **arguments: Further arguments of the constructor, such as ``tensorboard_log``.

        Raises:
            ValueError: If the saved agent is of another class, or has another number of trials or
                another search space.
            DamagedDataError: If the file is not a complete saved agent.
        """
        state = read_agent(agent_file(path))
        if saved_class_name(state) != cls.__name__:
            raise AgentMismatchError(f"{path} holds a {state['agent']}, not a {cls.__name__}.")
        with explain_damage(path):
            config = cls.saved_config(state)
        agent = cls(env, seed=int(state["seed"]), config=config, **arguments)
        agent.restore(state, path)
        if str(state["task"]) != agent._task_text():
            gym.logger.warn(
                f"{path} was saved on another task, {state['task']}; the saved queries and "
                "rewards belong to that task. To start a new search with the saved networks, use "
                "the setting pretrained=."
            )
        return agent

    @classmethod
    def saved_config(cls, state: State) -> AgentConfig:
        """Return the settings of a saved agent; a setting that was not saved has its default.

        Raises:
            DamagedDataError: If the saved agent has a setting that this class does not have, or a
                value that it does not accept.
        """
        try:
            settings = json.loads(str(state["settings"]))
            if not isinstance(settings, dict):
                raise TypeError("an object was expected")
            return cls.check_settings(settings)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise DamagedDataError(f"The settings of the saved agent are wrong: {error}") from error

    def restore(self, state: State, source: str | Path, *, env_restored: bool = False) -> None:
        """Restore a state that was read from a file; see :meth:`load_state_dict`.

        Args:
            state: State of an agent with the same class, number of trials and search space.
            source: Name of the file, for the message.
            env_restored: Whether the caller also restores the state of the environment.

        Raises:
            ValueError: If the state is of an agent of another class, or with another number of
                trials or another search space.
            DamagedDataError: If the state is damaged.
        """
        with explain_damage(source):
            check_entries(state)
            self.load_state_dict(state, env_restored=env_restored)

    def read_pretrained(self, path: str | Path) -> State:
        """Read a saved agent, with any number of trials, from which this agent can start.

        Args:
            path: Path of the file, or the name of a pretrained agent in this package.

        Raises:
            ValueError: If the saved agent is of another class, or for another search space.
        """
        state = read_agent(pretrained_file(path))
        self.check_start(state, path)
        return state

    def check_start(self, state: State, source: str | Path) -> None:
        """Raise an error if this agent cannot start from a saved one.

        Args:
            state: State of the saved agent.
            source: Name of the saved agent, for the message.

        Raises:
            ValueError: If the saved agent is of another class, or for another search space.
        """
        found = (saved_class_name(state), str(state["space"]))
        expected = (type(self).__name__, self.space.name)
        # tables of one's own over the same choices have different names
        same_choices = str(state["choices"]) == self._choices_text()
        if found[0] != expected[0] or not same_choices:
            raise AgentMismatchError(
                f"{source} is a {found[0]} trained on {found[1]}, and cannot start a "
                f"{expected[0]} on {expected[1]}{'' if same_choices else ' with other choices'}."
            )

    def check_same_settings(self, state: State, source: str | Path, names: tuple[str, ...]) -> None:
        """Raise an error if some settings of a saved agent differ from this agent's.

        Args:
            state: State of the saved agent.
            source: Name of the saved agent, for the message.
            names: Names of the settings to compare, such as sizes of networks.

        Raises:
            ValueError: If the two agents differ in one of the settings.
        """
        with explain_damage(source):
            saved = self.saved_config(state)
        for name in names:
            value = getattr(saved, name)
            if value != getattr(self.config, name):
                raise AgentMismatchError(
                    f"{source} was trained with {name} = {value}; use the same value here."
                )

    def state_dict(self) -> State:
        """Return the state of the agent as arrays by name.

        An agent whose state includes more than :attr:`state_attributes`, such as networks, extends
        this method and :meth:`load_state_dict`.
        """
        settings = asdict(self.config)
        if "pretrained" in settings:
            settings["pretrained"] = ""  # the arrays already include the pretrained weights
        state: State = {
            "agent": np.array(type(self).__name__),
            "settings": np.array(json.dumps(settings)),
            "space": np.array(self.space.name),
            "choices": np.array(self._choices_text()),
            "task": np.array(self._task_text()),
            "seed": np.array(self.seed),
            "drawn": np.array(self.rng.drawn),
            "reset_is_due": np.array(self._driver.reset_is_due),
            "num_queries": np.array(self.num_queries),
            "num_timesteps": np.array(self.num_timesteps),
            "best_genotypes": self.best_genotypes,
            "best_fitness": self.best_fitness,
            **{state_key(name): np.asarray(getattr(self, name)) for name in self._state_names()},
        }
        return {name: array.copy() for name, array in state.items()}

    def load_state_dict(self, state: State, *, env_restored: bool = False) -> None:
        """Restore a state that :meth:`state_dict` returned.

        Args:
            state: State of an agent with the same class, number of trials and search space.
            env_restored: Whether the caller also restores the state of the environment. If not,
                the environment is reset before the next query.

        Raises:
            ValueError: If the state is of an agent of another class, or with another number of
                trials or another search space.
            DamagedDataError: If the state lacks an array.
            ValueError: If :attr:`checks_state`, and an array has another type or shape.
        """
        missing = {state_key(name) for name in self._state_names()} - state.keys()
        if missing:
            raise DamagedDataError(f"The saved agent lacks {', '.join(sorted(missing))}.")
        found = (saved_class_name(state), str(state["space"]), state["best_genotypes"].shape)
        expected = (type(self).__name__, self.space.name, self.best_genotypes.shape)
        # tables of one's own over the same choices have different names
        if (found[0], found[2]) != (expected[0], expected[2]):
            raise AgentMismatchError(
                "The saved agent is a {} on {} with best genotypes of shape {}; ".format(*found)
                + "a {} on {} with {} was expected.".format(*expected)
            )
        if str(state["choices"]) != self._choices_text():
            raise AgentMismatchError(
                f"The saved agent is on {found[1]}, which has other choices than {expected[1]}."
            )
        if self.checks_state:
            for name, fresh in self._fresh_state.items():
                _check_like(state[state_key(name)], fresh, state_key(name))
        self.seed = int(state["seed"])
        self.rng = RandomStreams.resume(
            [self.seed + i for i in range(self.num_trials)], int(state["drawn"])
        )
        self._driver.reset_is_due = bool(state["reset_is_due"])
        self.num_queries = int(state["num_queries"])
        self.num_timesteps = int(state["num_timesteps"])
        self.best_genotypes = state["best_genotypes"].copy()
        self.best_fitness = state["best_fitness"].copy()
        for name in self._state_names():
            array = state[state_key(name)].copy()
            is_array = isinstance(getattr(self, name), np.ndarray)
            setattr(self, name, array if is_array else array.item())
        self._has_begun = env_restored
        self.check_state()

    def check_state(self) -> None:
        """Raise an error if a loaded state cannot result from a search.

        Raises:
            ValueError: If an architecture is not in the search space, or the state is otherwise
                invalid; subclasses extend this check.
        """
        refuse_nan({"best_fitness": self.best_fitness})
        fitness = self.best_fitness
        if self.task.objectives:
            fitness = fitness.min(axis=1)
        self.check_architectures("best_genotypes", self.best_genotypes, fitness)

    def check_architectures(
        self, name: str, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]
    ) -> None:
        """Raise an error if genotypes of a loaded state are not in the search space.

        Args:
            name: Name of the genotypes, for the message.
            genotypes: Genotypes, ``(..., L)`` integers.
            fitness: Fitness of these, ``(...)``. Genotypes of fitness ``-inf`` are placeholders.

        Raises:
            ValueError: If the shapes differ, or a genotype is not in the search space.
        """
        if genotypes.shape[:-1] != fitness.shape:
            raise ValueError(f"{name} and its fitness differ in shape")
        rows = self.space.check(genotypes.reshape(-1, self.space.num_decisions))
        if not self.space.contains(rows[~np.isneginf(fitness.reshape(-1))]).all():
            raise ValueError(f"{name} holds a genotype that is not in {self.space.name}")

    @classmethod
    def _state_names(cls) -> list[str]:
        """Return the state attributes of the class and its base classes."""
        listed = [vars(each).get("state_attributes", ()) for each in reversed(cls.__mro__)]
        return list(dict.fromkeys(name for names in listed for name in names))

    def _task_text(self) -> str:
        found = self.task.describe()
        return ", ".join(f"{name} {found[name]}" for name in ("signal", "noise", "reward"))

    def _choices_text(self) -> str:
        return json.dumps(self.space.choices)


def _check_can_be_saved(value: Any, name: str) -> None:
    """Raise an error if the value of a state attribute is not an array, a number or a string.

    Raises:
        TypeError: If it is not; the message has its name.
    """
    if not isinstance(value, np.ndarray | np.generic | bool | int | float | str):
        raise TypeError(
            f"{name} is in state_attributes, so setup() must set it to an array, a number or a "
            f"string, not to a {type(value).__name__}. Use np.array(...), or save it in "
            "state_dict() and restore it in load_state_dict()."
        )


def _check_like(array: NDArray[Any], fresh: NDArray[Any], name: str) -> None:
    """Raise an error if a saved array has another type or shape than a fresh agent's.

    Raises:
        ValueError: If it has; the message has its name.
    """
    has_shape = array.ndim == fresh.ndim and all(
        own in (0, found) for own, found in zip(fresh.shape, array.shape, strict=True)
    )
    if array.dtype.kind != fresh.dtype.kind or not has_shape:
        raise ValueError(
            f"{name} is {array.dtype} of shape {array.shape}; {fresh.dtype} of shape {fresh.shape} "
            "was expected, where an axis of length 0 may be longer"
        )
