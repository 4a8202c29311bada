"""Kinds of studies, which run searches or functions and save the results."""

from __future__ import annotations

import json
import shlex
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

import nas_gym
from nas_gym.experiments.bootstrap import confidence_interval
from nas_gym.experiments.compare import Comparison, find_searches, run_comparison
from nas_gym.experiments.figures import to_png
from nas_gym.experiments.inputs import find_function_inputs
from nas_gym.experiments.local_runner import LocalRunner, available_cores
from nas_gym.experiments.meta_train import meta_train
from nas_gym.experiments.records import TrialResults
from nas_gym.experiments.runners import Outcome, Runner
from nas_gym.tasks import task_sets
from nas_gym.utils.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = DOCS / "results"
FIGURES = DOCS / "figures"
RUNS = Path("runs/reproduce")
"""Folder of the runs. It is relative to the working directory, as in the commands on the pages."""

CURVES = "curves-*.png"
"""Pattern of the figures with the curves of a comparison."""

FIRST_SEED = 1000
"""Seed of the first trial of most studies. No setting was tuned on this seed or a later one."""

GRAPH_TARGETS = [
    name.removeprefix("nbgraph/") for name in task_sets.TASK_SETS if "nbgraph/" in name
]
"""Graph data sets that have a task set."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Study(ABC):
    """A part of a result page that is computed once.

    Attributes:
        name: Name of the study, of the result file and of the folder in :data:`RUNS`.
    """

    name: str

    @property
    def result_file(self) -> Path:
        """Path of the JSON file that holds the result."""
        return RESULTS / f"{self.name}.json"

    @property
    def result(self) -> Any:
        """Saved result of the study."""
        return json.loads(self.result_file.read_text())

    @property
    def commands(self) -> Sequence[str]:
        """Command lines that run the study; empty if the study needs Python code."""
        return ()

    @abstractmethod
    def run(self, runner: Runner | None = None) -> None:
        """Run the missing parts of the study, and save the result.

        Args:
            runner: Runner of the study's searches and calls; all cores of this machine by default.
        """

    def save_result(self, result: Any, indent: int | None = 1) -> None:
        """Write the result file."""
        write_atomically(self.result_file, (json.dumps(result, indent=indent) + "\n").encode())


@dataclass(frozen=True, kw_only=True)
class TrialsStudy(Study):
    """A study that a ``nas-gym`` command runs: trials of agents in environments.

    Attributes:
        envs: Environment IDs.
        agents: Agents as the command line names them, such as ``"rea(sample_size=3)"``.
        queries: Queries in each trial.
        seeds: Number of trials of each agent in each environment.
        first_seed: Seed of the first trial.
        env_arguments: Further arguments of the environments, such as ``report``.
        figures: Pattern of the figures that are copied from the run's folder to the
            documentation; ``""`` copies none.
    """

    verb: ClassVar[str]
    agent_option: ClassVar[str]

    envs: Sequence[str]
    agents: Sequence[str]
    queries: int
    seeds: int
    first_seed: int = FIRST_SEED
    env_arguments: Mapping[str, Any] = field(default_factory=dict)
    figures: str = ""

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return RUNS / self.name

    @property
    def command(self) -> str:
        """Command line that runs the study."""
        words = ["nas-gym", self.verb, *self.envs, self.agent_option, ",".join(self.agents)]
        words += ["--queries", str(self.queries), "--seeds", str(self.seeds)]
        words += ["--first-seed", str(self.first_seed)]
        for name, value in self.env_arguments.items():
            words += [f"--{name}", str(value)]
        return shlex.join([*words, "--out", str(self.folder)])

    @property
    def commands(self) -> Sequence[str]:
        """Command line that runs the study, in a list."""
        return [self.command]

    def save_summary(self, summary: Mapping[str, Any]) -> None:
        """Save a summary, the command and the package version; copy the figures of the run."""
        origin = {"command": self.command, "nas_gym": nas_gym.__version__}
        self.save_result({**origin, **summary})
        FIGURES.mkdir(exist_ok=True)
        for file in self.folder.glob(self.figures) if self.figures else ():
            shutil.copy(file, FIGURES / f"{self.name}-{file.name}")


@dataclass(frozen=True, kw_only=True)
class ComparisonStudy(TrialsStudy):
    """One call of ``nas-gym compare``.

    Attributes:
        statistics: Function from the trials of all agents to entries that are added to the
            result; ``None`` adds none.
        draw: Function from the trials of all agents to figures, by the end of their file name;
            ``None`` draws none.
    """

    verb: ClassVar[str] = "compare"
    agent_option: ClassVar[str] = "--agents"

    statistics: Callable[[Sequence[TrialResults]], Mapping[str, Any]] | None = None
    draw: Callable[[Sequence[TrialResults]], Mapping[str, Figure]] | None = None

    def run(self, runner: Runner | None = None) -> None:
        """Run the missing trials, and save the summary and the figures."""
        comparison = Comparison(
            list(self.envs), list(self.agents), self.queries, self.seeds, self.first_seed,
            dict(self.env_arguments),
        )  # fmt: skip
        summary = run_comparison(comparison, self.folder, command=self.command, runner=runner)
        for env in summary["environments"].values():
            for agent in env["agents"].values():
                del agent["seeds"]  # the command gives them
        trials = [search.results() for search in find_searches(comparison, self.folder)]
        self.save_summary({**summary, **(self.statistics(trials) if self.statistics else {})})
        for ending, figure in (self.draw(trials) if self.draw else {}).items():
            save_figure(f"{self.name}-{ending}.png", figure)

    def at(
        self,
        env: str,
        agent: str,
        queries: int,
        count: Literal["at_queries", "at_unique_queries"] = "at_queries",
    ) -> dict[str, Any]:
        """Return the statistics of an agent after a number of queries or unique queries."""
        found = self.result["environments"][env]["agents"][agent]
        return dict(found[count][str(queries)])


@dataclass(frozen=True, kw_only=True)
class SearchStudy(TrialsStudy):
    """One call of ``nas-gym search``, with one environment and one agent.

    The folder of the run also holds the saved agent.
    """

    verb: ClassVar[str] = "search"
    agent_option: ClassVar[str] = "--agent"

    def run(self, runner: Runner | None = None) -> None:
        """Run the missing queries, and save the summary and the figures."""
        (env,), (agent,) = self.envs, self.agents
        summary = nas_gym.search(
            env,
            agent,
            queries=self.queries,
            seeds=self.seeds,
            first_seed=self.first_seed,
            out=self.folder,
            runner=runner,
            **self.env_arguments,
        )
        del summary["trials"]
        self.save_summary(summary)


@dataclass(frozen=True)
class MetaTrainingRun:
    """One call of ``nas-gym meta-train``.

    Attributes:
        agent: Name of the agent.
        task_set: Name of the task set.
        variant: Name of the variant of the agent, a part of the file name.
        settings: Settings of the agent.
        epochs: Number of epochs; an epoch of CATCH is one task.
        seeds: Number of agents that are trained, each with a different seed.
        first_seed: Seed of the first of these agents.
    """

    agent: str
    task_set: str
    variant: str
    settings: Mapping[str, Any]
    epochs: int
    seeds: int
    first_seed: int

    @property
    def checkpoint(self) -> Path:
        """Path of the file that holds the trained agents."""
        name = f"{self.task_set.replace('/', '-')}-{self.variant}.safetensors"
        return RUNS / f"{self.agent}-meta-training" / name

    @property
    def command(self) -> str:
        """Command line that trains the agents."""
        words = ["nas-gym", "meta-train", self.task_set]
        words += [] if self.agent == "catch" else ["--agent", self.agent]
        words += ["--epochs", str(self.epochs)]
        words += ["--seeds", str(self.seeds), "--first-seed", str(self.first_seed)]
        for name, value in self.settings.items():
            text = str(value).lower() if isinstance(value, bool) else value
            words += ["--set", f"{name}={text}"]
        return shlex.join([*words, "--out", str(self.checkpoint)])

    def run(self, runner: Runner | None = None) -> None:
        """Train the agents, or continue the training from the checkpoint.

        Args:
            runner: Runner that trains each agent in a job; this process by default.
        """
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        meta_train(
            task_sets.load_task_set(self.task_set),
            self.agent,
            self.checkpoint,
            epochs=self.epochs,
            seeds=self.seeds,
            first_seed=self.first_seed,
            settings=dict(self.settings),
            progress_bar=False,
            runner=runner,
        )


@dataclass(frozen=True)
class MetaTrainingStudy(Study):
    """The meta-training runs of a page, one run per core at a time.

    Attributes:
        runs: The meta-training runs.
    """

    runs: Sequence[MetaTrainingRun]

    @property
    def commands(self) -> Sequence[str]:
        """Command lines that train the agents."""
        return [run.command for run in self.runs]

    def run(self, runner: Runner | None = None) -> None:
        """Train the missing agents."""
        if runner is None:
            map_over_cores(MetaTrainingRun.run, self.runs)
        else:
            for run in self.runs:
                run.run(runner)
        self.save_result({"commands": self.commands})


@dataclass(frozen=True)
class Measurement(Study):
    """A study whose result is computed by one function call.

    Attributes:
        measure: Function that returns the result as JSON data.
    """

    measure: Callable[[], Any]

    def run(self, runner: Runner | None = None) -> None:
        """Call the function in this process, and save the returned value."""
        self.save_result(self.measure())


@dataclass(frozen=True)
class JobStudy(Study):
    """Many calls of one function on all cores; each result is saved when the call ends.

    Attributes:
        job: Module-level function that returns JSON data.
        arguments: Arguments of each call.
        merge: Function from the arguments and the results of all calls, in order, to the result
            of the study.
    """

    job: Callable[..., Any]
    arguments: Sequence[tuple[Any, ...]]
    merge: Callable[[Sequence[tuple[Any, ...]], list[Any]], Any] = field(repr=False)

    def run(self, runner: Runner | None = None) -> None:
        """Run the missing calls, and save the merged result."""
        folder = RUNS / self.name
        files = [folder / ("-".join(map(str, each)) + ".json") for each in self.arguments]
        inputs = find_function_inputs(self.job.__module__)
        jobs = [
            FunctionCall(self.job, each, file, inputs)
            for each, file in zip(self.arguments, files, strict=True)
            if not file.exists()
        ]
        if jobs:
            (LocalRunner() if runner is None else runner).run(jobs, _save_or_stop)
        results = [json.loads(file.read_text()) for file in files]
        self.save_result(self.merge(self.arguments, results), indent=None)


def name_arguments(
    *names: str,
) -> Callable[[Sequence[tuple[Any, ...]], list[Any]], list[dict[str, Any]]]:
    """Return a function for :attr:`JobStudy.merge` that makes one row of each call.

    Args:
        names: Names of the function's arguments; the row has them, and the items of the result.
    """

    def merge(arguments: Sequence[tuple[Any, ...]], results: list[Any]) -> list[dict[str, Any]]:
        return [
            dict(zip(names, each, strict=True)) | result
            for each, result in zip(arguments, results, strict=True)
        ]

    return merge


@dataclass(frozen=True)
class FunctionCall:
    """One call of a function; see :class:`nas_gym.experiments.runners.Job`.

    Attributes:
        function: Module-level function that returns JSON data.
        arguments: Arguments of the call.
        result_file: File that the process with the runner writes the result to.
        files: Files that the function may read.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    result_file: Path
    files: Mapping[str, Path]
    uses_gpu: ClassVar[bool] = False
    modules: ClassVar[Sequence[str]] = ("torch",)

    def moved_to(self, folder: Path) -> FunctionCall:
        """Return the call itself: no argument names a file."""
        return self

    def run(self) -> Any:
        """Return the result of the function, which uses one thread."""
        _use_one_thread()
        return self.function(*self.arguments)


def _save_or_stop(call: FunctionCall, outcome: Outcome) -> list[FunctionCall]:
    """Save the result of a call.

    Raises:
        RuntimeError: If the function raised an error.
    """
    if outcome.error:
        raise RuntimeError(f"{call.function.__name__}{call.arguments}: {outcome.error}")
    write_atomically(call.result_file, json.dumps(outcome.result).encode())
    return []


def map_over_cores(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Call a function with each item, in one process per core and one thread per process."""
    with ProcessPoolExecutor(available_cores(), initializer=_use_one_thread) as pool:
        return list(pool.map(function, items))


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def mean_over_seeds(values: NDArray[np.float64]) -> dict[str, float]:
    """Return the ``mean``, and the ends ``low`` and ``high`` of the 95 % bootstrap interval.

    Args:
        values: One value for each meta-seed, ``(n,)``.
    """
    low, high = confidence_interval(values, "mean")
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def save_figure(file_name: str, figure: Figure) -> None:
    """Write a figure to the documentation."""
    write_atomically(FIGURES / file_name, to_png(figure))
