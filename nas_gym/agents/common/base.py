"""What every agent of this package offers: the calls of stable-baselines3."""

from __future__ import annotations

import json
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from typing_extensions import Self

from nas_gym.agents.common.driver import Player, as_vector
from nas_gym.agents.common.random_streams import TrialStreams
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import read_tensors, write_tensors

Callback = Callable[["Agent"], bool | None]
State = dict[str, NDArray[Any]]

_SHIPPED = Path(__file__).parents[1] / "pretrained"


class Agent(ABC):
    """A search method that proposes one architecture after another and learns their fitness.

    A vector environment gives as many independent trials, which run in lockstep: trial ``i``
    draws from a stream of its own, seeded with ``seed + i``, and its history is the same however
    many run beside it.

    Args:
        env: an environment of this package, scalar or vector, or an ID.
        seed: of the first trial; trial ``i`` has ``seed + i``. Drawn at random where not given.
        tensorboard_log: a folder for TensorBoard event files; none by default.
        verbose: 1 prints each new incumbent of the first trial.
        **settings: the agent's own settings, as named in its class.

    Raises:
        TypeError: an environment that is not of this package, or an unknown setting.
    """

    settings: ClassVar[dict[str, Any]] = {}
    """The names and defaults of the agent's own settings."""

    def __init__(
        self,
        env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any] | str,
        seed: int | None = None,
        tensorboard_log: str | Path | None = None,
        verbose: int = 0,
        **settings: Any,
    ) -> None:
        self.check_settings(settings)
        self.__dict__.update(self.settings | settings)
        self.env = as_vector(env)
        self._player = Player(self.env)
        self.task = self._player.task
        self.space = self.task.space
        self.num_trials = self._player.num_trials
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        self.seed = seed = operator.index(seed)  # NumPy's integers, too
        if seed < 0:
            raise ValueError(f"seed is at least 0, got {seed}.")
        self.streams = TrialStreams([seed + i for i in range(self.num_trials)])
        self.tensorboard_log = tensorboard_log
        self.verbose = verbose
        self.num_queries = 0
        self.num_timesteps = 0
        self.best_genotypes = np.zeros((self.num_trials, self.space.num_decisions), np.int64)
        self.best_fitness = np.full(self.num_trials, -np.inf)
        self._setup()
        self._began = False

    @classmethod
    def check_settings(cls, settings: Mapping[str, Any]) -> None:
        """Refuse settings that this agent does not have.

        Raises:
            TypeError: an unknown name, or a value of another type than the default's.
        """
        unknown = settings.keys() - cls.settings.keys()
        if unknown:
            raise TypeError(
                f"{cls.__name__} has no setting {', '.join(sorted(unknown))}. "
                f"It has: {', '.join(cls.settings) or 'none'}."
            )
        for name, value in settings.items():
            types = {type(cls.settings[name])}
            if types == {float}:
                types.add(int)
            if type(value) not in types:
                expected = type(cls.settings[name]).__name__
                raise TypeError(f"{name} takes a value of type {expected}, got {value!r}.")

    uses_torch: ClassVar[bool] = False
    """Whether it learns with PyTorch, which takes long to import."""

    # -- what an agent adds -----------------------------------------------------------------------

    _STATE: ClassVar[tuple[str, ...]] = ()
    """The arrays that an agent knows things by: attributes of these names, after a ``_``."""

    def _setup(self) -> None:  # noqa: B027 (not every agent has a state)
        """Prepare the state of a fresh agent."""

    @abstractmethod
    def _ask(self) -> NDArray[np.int64]:
        """The next genotype of each trial, ``(n, L)``."""

    def diagnostics(self) -> dict[str, NDArray[np.float64]]:
        """Losses and the like of each query, for TensorBoard, ``(queries, n)`` each."""
        return {}

    def _tell(  # noqa: B027 (not every agent learns)
        self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]
    ) -> None:
        """Learn from evaluated genotypes, ``(n, L)`` and ``(n,)``."""

    # -- the calls of stable-baselines3 ---------------------------------------------------------

    def learn(
        self, total_timesteps: int, callback: Callback | None = None, progress_bar: bool = False
    ) -> Self:
        """Search for so many environment steps more; the last query is always finished.

        Args:
            total_timesteps: steps of each environment. A query takes one step in alpha and
                population mode, and as many as there are decisions in sequential mode.
            callback: called with the agent after each query; returning ``False`` stops.
            progress_bar: show one on the terminal.
        """
        from nas_gym.agents.common.search_log import SearchLog, track

        log = SearchLog(self) if self.tensorboard_log or self.verbose else None
        queries = -(-total_timesteps // self._player.steps_per_query)
        for _ in track(range(queries), type(self).__name__, enabled=progress_bar):
            self.query()
            if log is not None:
                log.write()
            if callback is not None and callback(self) is False:
                break
        return self

    def query(self) -> None:
        """Propose, evaluate and learn from one architecture in every trial."""
        if not self._began:
            self._begin()
        genotypes = self._ask()
        fitness = self._player.evaluate(genotypes)
        self.num_queries += 1
        self.num_timesteps += self._player.steps_per_query
        self._learn_from(genotypes, fitness)

    def _begin(self) -> None:
        self._began = True
        loaded = self.num_queries > 0
        evaluated = self._player.reset(self.seed)
        if evaluated is None:
            return
        # A population environment's own first generation. An agent that was loaded has a
        # population already.
        self.num_queries += evaluated[1].shape[1]
        if not loaded:
            for i in range(evaluated[1].shape[1]):
                self._learn_from(evaluated[0][:, i], evaluated[1][:, i])

    def _learn_from(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        better = fitness > self.best_fitness
        self.best_genotypes[better] = genotypes[better]
        self.best_fitness[better] = fitness[better]
        self._tell(genotypes, fitness)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, None]:
        """Actions that build the best architecture found so far, and no state.

        Args:
            observation: of one environment, or of as many as there are trials.
            state, episode_start, deterministic: as in stable-baselines3; of no effect.
        """
        one = isinstance(observation, dict) and np.ndim(observation["fitness"]) == 1
        if not isinstance(observation, dict):
            one, observation = np.ndim(observation) == 1, np.atleast_2d(observation)
        genotypes = self.best_genotypes[:1] if one else self.best_genotypes
        actions = self._player.action(genotypes, observation)
        return (actions[0] if one else actions), None

    def save(self, path: str | Path) -> None:
        """Write everything that the agent knows to one file (``.safetensors``)."""
        write_tensors(agent_file(path), self.state_dict())

    @classmethod
    def load(
        cls,
        path: str | Path,
        env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any] | str,
        **arguments: Any,
    ) -> Self:
        """An agent as :meth:`save` wrote it, to go on in ``env``.

        Raises:
            ValueError: the file holds another kind of agent, another number of trials or another
                search space.
        """
        state = _read(agent_file(path))
        if str(state["agent"]) != cls.__name__:
            raise ValueError(f"{path} holds a {state['agent']}, not a {cls.__name__}.")
        settings = json.loads(str(state["settings"]))
        agent = cls(env, seed=int(state["seed"]), **settings, **arguments)
        agent.load_state_dict(state)
        if str(state["task"]) != agent._task_text():
            gym.logger.warn(
                f"{path} was saved on another task, {state['task']}: what it remembers is of that "
                "one. To begin anew with what an agent has learned there is pretrained=."
            )
        return agent

    def _task_text(self) -> str:
        found = self.task.describe()
        return ", ".join(f"{name} {found[name]}" for name in ("signal", "noise", "reward"))

    def _choices(self) -> str:
        return json.dumps(self.space.choices)

    def read_pretrained(self, path: str | Path) -> State:
        """The state of a saved agent that this one can begin from, of any number of trials.

        Args:
            path: of the file, or the name of one that comes with this package.

        Raises:
            ValueError: another kind of agent, or another search space.
        """
        state = _read(pretrained_file(path))
        self._check_start(state, path)
        return state

    def _check_start(self, state: State, whose: str | Path) -> None:
        found = (str(state["agent"]), str(state["space"]))
        expected = (type(self).__name__, self.space.name)
        same_choices = str(state["choices"]) == self._choices()
        if found != expected or not same_choices:
            raise ValueError(
                f"{whose} is a {found[0]} trained on {found[1]}, and cannot start a "
                f"{expected[0]} on {expected[1]}{'' if same_choices else ' of other choices'}."
            )

    def state_dict(self) -> State:
        """The agent as arrays, settings included."""
        settings = {name: getattr(self, name) for name in self.settings}
        settings |= {"pretrained": ""} if "pretrained" in settings else {}  # that is in the arrays
        state: State = {
            "agent": np.array(type(self).__name__),
            "settings": np.array(json.dumps(settings)),
            "space": np.array(self.space.name),
            "choices": np.array(self._choices()),
            "task": np.array(self._task_text()),
            "seed": np.array(self.seed),
            "drawn": np.array(self.streams.drawn),
            "reset_is_due": np.array(self._player.reset_is_due),
            "num_queries": np.array(self.num_queries),
            "num_timesteps": np.array(self.num_timesteps),
            "best_genotypes": self.best_genotypes,
            "best_fitness": self.best_fitness,
            **{f"own/{name}": getattr(self, f"_{name}") for name in self._STATE},
        }
        return {name: array.copy() for name, array in state.items()}

    def load_state_dict(self, state: State, *, began: bool = False) -> None:
        """Take over what :meth:`state_dict` gave.

        Args:
            state: of an agent of this class, with as many trials, over the same search space.
            began: whether the environment goes on, too, rather than being reset first.

        Raises:
            ValueError: of another kind of agent, other trials, or another search space.
            DamagedDataError: something is missing.
        """
        missing = {f"own/{name}" for name in self._STATE} - state.keys()
        if missing:
            raise DamagedDataError(f"The saved agent lacks {', '.join(sorted(missing))}.")
        found = (str(state["agent"]), str(state["space"]), state["best_genotypes"].shape)
        expected = (type(self).__name__, self.space.name, self.best_genotypes.shape)
        if found != expected:
            raise ValueError(
                "The saved agent is a {} on {} with best genotypes of shape {}; ".format(*found)
                + "a {} on {} with {} was expected.".format(*expected)
            )
        if str(state["choices"]) != self._choices():
            raise ValueError(f"The saved agent is on a {found[1]} with other choices.")
        self.seed = int(state["seed"])
        self.streams = TrialStreams.resume(
            [self.seed + i for i in range(self.num_trials)], int(state["drawn"])
        )
        self._player.reset_is_due = bool(state["reset_is_due"])
        self.num_queries = int(state["num_queries"])
        self.num_timesteps = int(state["num_timesteps"])
        self.best_genotypes = state["best_genotypes"].copy()
        self.best_fitness = state["best_fitness"].copy()
        for name in self._STATE:
            setattr(self, f"_{name}", state[f"own/{name}"].copy())
        self._began = began


Value = TypeVar("Value")


def part(state: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """The entries whose names begin with a prefix, by the rest of their names."""
    return {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}


def _read(path: Path) -> State:
    state = read_tensors(path)
    if {"agent", "settings", "space", "choices", "task"} - state.keys():
        raise DamagedDataError(f"{path} is not a whole saved agent.")
    return state


def pretrained_file(path: str | Path) -> Path:
    """A saved agent: a file, or one that comes with this package, by its name."""
    shipped = _SHIPPED / f"{path}.safetensors"
    return shipped if shipped.parent == _SHIPPED and shipped.is_file() else agent_file(path)


def agent_file(path: str | Path) -> Path:
    """Where an agent is saved; the suffix may be left out."""
    path = Path(path)
    if not path.name:
        raise ValueError(f"{str(path)!r} names no file.")
    suffix = ".safetensors"
    return path if path.suffix == suffix else path.with_name(path.name + suffix)
