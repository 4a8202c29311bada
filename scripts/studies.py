"""What the reproduction scripts share: studies, and pages of Markdown made of their results."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import nas_gym
from nas_gym.experiments import bootstrap
from nas_gym.experiments.compare import Comparison, compare, contenders
from nas_gym.experiments.jobs import cores
from nas_gym.experiments.records import Trials
from nas_gym.experiments.search import run_search
from nas_gym.experiments.settings import SearchSettings, parse_agents
from nas_gym.tasks import task_sets
from nas_gym.utils.files import write_atomically

DOCS = Path(__file__).parents[1] / "docs"
RUNS = Path("runs/reproduce")


@dataclass(frozen=True)
class Result:
    """What a study came to, kept with the documentation."""

    name: str

    @property
    def result_file(self) -> Path:
        """Where it is kept."""
        return DOCS / "results" / f"{self.name}.json"

    @property
    def result(self) -> Any:
        """It."""
        return json.loads(self.result_file.read_text())

    def keep(self, result: Any, indent: int | None = 1) -> None:
        """Write it."""
        write_atomically(self.result_file, (json.dumps(result, indent=indent) + "\n").encode())


@dataclass(frozen=True)
class Study(Result):
    """One call of ``nas-gym compare``."""

    envs: list[str]
    agents: str
    queries: int
    seeds: int
    first_seed: int = 1000  # seeds that nothing was tuned on
    env_arguments: dict[str, Any] = field(default_factory=dict)
    pictured: bool = True  # whether its curves are kept

    verb: ClassVar[str] = "compare"

    @property
    def command(self) -> str:
        """The command line."""
        option = "--agents" if self.verb == "compare" else "--agent"
        words = ["nas-gym", self.verb, *self.envs, option, self.agents]
        words += ["--queries", str(self.queries), "--seeds", str(self.seeds)]
        words += ["--first-seed", str(self.first_seed)]
        for name, value in self.env_arguments.items():
            words += [f"--{name}", str(value)]
        return shlex.join([*words, "--out", str(RUNS / self.name)])

    def run(self) -> None:
        """Run it, and keep its summary and its figures with the documentation."""
        comparison = Comparison(
            self.envs,
            self.agents,
            self.queries,
            self.seeds,
            self.first_seed,
            self.env_arguments,
        )
        self._keep(_without_seeds(compare(comparison, RUNS / self.name, command=self.command)))
        if self.pictured:
            self._keep_pictures("curves-*.png")

    def trials(self) -> list[Trials]:
        """All trials, as they were kept."""
        wanted = Comparison(
            self.envs, self.agents, self.queries, self.seeds, self.first_seed, self.env_arguments
        )
        return [contender.trials() for contender in contenders(wanted, RUNS / self.name)]

    def _keep(self, summary: dict[str, Any]) -> None:
        self.keep({"command": self.command, "nas_gym": nas_gym.__version__, **summary})

    def _keep_pictures(self, pattern: str) -> None:
        (DOCS / "figures").mkdir(exist_ok=True)
        for png in (RUNS / self.name).glob(pattern):
            shutil.copy(png, DOCS / "figures" / f"{self.name}-{png.name}")

    def at(self, env: str, agent: str, queries: int, of: str = "at_queries") -> dict[str, Any]:
        """The statistics of an agent after so many queries, or ``of="at_unique_queries"``."""
        return dict(self.result["environments"][env]["agents"][agent][of][str(queries)])


@dataclass(frozen=True)
class Search(Study):
    """One call of ``nas-gym search``, whose agent is saved, with what the best have in common."""

    verb: ClassVar[str] = "search"

    def run(self) -> None:
        """Run it, and keep its summary and its figure with the documentation."""
        ((agent, settings),) = parse_agents(self.agents).values()
        wanted = SearchSettings(
            self.envs[0], agent, self.queries, self.seeds, self.first_seed, self.env_arguments,
            settings,
        )  # fmt: skip
        summary = run_search(wanted, RUNS / self.name)
        del summary["trials"]
        self._keep(summary)
        if self.pictured:
            self._keep_pictures("in_common.png")


def saved_agent(study: str, set_name: str, variant: str) -> Path:
    """Where the meta-trained agents of a task set are."""
    return RUNS / study / f"{set_name.replace('/', '-')}-{variant}.safetensors"


@dataclass(frozen=True)
class MetaTraining:
    """One call of ``nas-gym meta-train``."""

    agent: str
    set_name: str
    variant: str  # what its file is called by
    settings: dict[str, Any]
    epochs: int
    seeds: int
    first_seed: int
    queries: int | None = None

    @property
    def path(self) -> Path:
        """Where the agents are saved."""
        return saved_agent(f"{self.agent}-meta-training", self.set_name, self.variant)

    @property
    def command(self) -> str:
        """The command line."""
        words = ["nas-gym", "meta-train", self.set_name]
        words += [] if self.agent == "catch" else ["--agent", self.agent]
        words += ["--epochs", str(self.epochs)]
        words += [] if self.queries is None else ["--queries", str(self.queries)]
        words += ["--seeds", str(self.seeds), "--first-seed", str(self.first_seed)]
        for name, value in self.settings.items():
            words += ["--set", f"{name}={value}"]
        return shlex.join([*words, "--out", str(self.path)])

    def run(self) -> None:
        """Run it, on one core."""
        import torch

        from nas_gym.experiments.meta_train import meta_train

        torch.set_num_threads(1)
        meta_train(
            task_sets.load(self.set_name),
            self.agent,
            self.path,
            epochs=self.epochs,
            queries=self.queries,
            seeds=self.seeds,
            first_seed=self.first_seed,
            settings=self.settings,
            progress_bar=False,
        )


@dataclass(frozen=True)
class Trainings(Result):
    """All meta-trainings of a page, over the cores."""

    members: Sequence[MetaTraining]

    @property
    def commands(self) -> list[str]:
        """The command lines."""
        return [training.command for training in self.members]

    def run(self) -> None:
        """Run what is missing."""
        (RUNS / self.name).mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(cores()) as pool:
            list(pool.map(MetaTraining.run, self.members))
        self.keep({"commands": self.commands})


def _without_seeds(result: dict[str, Any]) -> dict[str, Any]:
    """Seeds follow from the command; a list of hundreds would hide the figures."""
    for env in result["environments"].values():
        for agent in env["agents"].values():
            del agent["seeds"]
    return result


def interval(entry: dict[str, Any], digits: int = 2) -> str:
    """Mean ± standard deviation [interval of the mean]."""
    low, high = entry["mean_interval"]
    mean = f"{entry['mean']:.{digits}f} ± {entry['std']:.{digits}f}"
    return f"{mean} [{low:.{digits}f}, {high:.{digits}f}]"


def clustered(by_seed: NDArray[np.float64]) -> dict[str, float]:
    """The mean over meta-seeds, and its 95 % bootstrap interval."""
    low, high = bootstrap.interval(by_seed, "mean")
    return {"mean": float(by_seed.mean()), "low": float(low), "high": float(high)}


def table(headers: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def command(study: Study) -> str:
    """The study's command as a block of Markdown."""
    return f"```bash\n{study.command}\n```"


def reproduce(
    description: str | None, studies: Sequence[Study], page: str, write: Callable[[], str]
) -> None:
    """The command line of a reproduction script: run studies, and write their page.

    Args:
        description: of the script.
        studies: all that the page tells of.
        page: its name in docs/.
        write: makes its text out of the results.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [study.name for study in studies]
    parser.add_argument("--only", choices=[*names, "page"], help="one study, or the page alone")
    arguments = parser.parse_args()
    for study in studies:
        if arguments.only in (None, study.name):
            study.run()
    missing = [study.name for study in studies if not study.result_file.exists()]
    if missing:
        print(f"docs/{page} needs the results of {', '.join(missing)}, too.")
    else:
        (DOCS / page).write_text(write())
