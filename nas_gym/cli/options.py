"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_gym.cli.output import console

if TYPE_CHECKING:
    from nas_gym.experiments.runners import Runner


def complete_environments(incomplete: str) -> list[str]:
    """Return the environment IDs that begin with a string, for shell completion."""
    from nas_gym.registration import MULTI_OBJECTIVE, environment_ids, environments

    ids = [env_id for name in environments() for env_id in environment_ids(name)]
    ids += [f"{name}-v0" for name in MULTI_OBJECTIVE]
    return [env_id for env_id in ids if env_id.startswith(incomplete)]


def complete_agents(incomplete: str) -> list[str]:
    """Return lists of agents that begin with a string; only the last name is completed."""
    from nas_gym.agents.registry import agent_names
    from nas_gym.agents.sb3.models import ALGORITHMS

    listed, comma, last = incomplete.rpartition(",")
    names = (*agent_names(), *ALGORITHMS)
    return [f"{listed}{comma}{name}" for name in names if name.startswith(last)]


def complete_tables(incomplete: str) -> list[str]:
    """Return the names of tables and imported images that begin with a string."""
    from nas_gym.networks.data.imported import imported_images
    from nas_gym.tables import SOURCES, imported_tables

    names = (*SOURCES, *imported_tables(), *imported_images())
    return [name for name in names if name.startswith(incomplete)]


EnvArgument = Annotated[
    str,
    typer.Argument(
        help="Environment ID, such as NB201-cifar10-v0.", autocompletion=complete_environments
    ),
]
JSONOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
QueriesOption = Annotated[int, typer.Option(help="Architecture evaluations per trial.")]
FirstSeedOption = Annotated[int, typer.Option(help="Seed of the first trial.")]
TensorBoardTrialsOption = Annotated[
    int,
    typer.Option(
        min=0,
        help="Number of single trials that TensorBoard shows in addition to their mean.",
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Ray cluster that runs the work: its address, `auto` for the cluster of this machine, "
        "or `local` to start Ray on this machine.",
    ),
]
RayGPUsOption = Annotated[
    float | None,
    typer.Option(
        "--ray-gpus",
        metavar="SHARE",
        help="Share of a GPU of the cluster for each job that computes with PyTorch, such as 0.25.",
    ),
]
DeviceOption = Annotated[str | None, typer.Option(help="auto, cpu, cuda, ...")]
SizeOption = Annotated[
    int | None,
    typer.Option(
        help="Height and width in pixels that images of a folder or of Omniglot are scaled to."
    ),
]
ThreadsOption = Annotated[
    int,
    typer.Option(
        min=1,
        max=1024,
        help="Threads on a CPU. More than one is slow if another program is running.",
    ),
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE, a setting of the agent. May be given several times."),
]

_ENVIRONMENT_OPTIONS: dict[str, Any] = {
    "table": Annotated[
        str | None,
        typer.Option(
            help="Table to search instead of the default.", autocompletion=complete_tables
        ),
    ],
    "signal": Annotated[
        str | None, typer.Option(help="METRIC or TABLE:METRIC from which rewards are computed.")
    ],
    "report": Annotated[
        str | None, typer.Option(help="METRIC or TABLE:METRIC in which results are reported.")
    ],
    "noise": Annotated[
        float | None,
        typer.Option(help="Standard deviation of the noise on the signal, in the signal's unit."),
    ],
    "reward": Annotated[
        str | None,
        typer.Option(
            help="signal, exponential, rescaled(best=0.94), or "
            "latency(column=TABLE:METRIC,target=5,weight=-0.07)."
        ),
    ],
    "constraint": Annotated[
        list[str] | None,
        typer.Option(
            help='Bound on a metric: "help-latency:raspi4 <= 5", "params <= 0.5". May be given '
            "several times."
        ),
    ],
    "objectives": Annotated[
        str | None,
        typer.Option(
            help="Metrics for vector rewards, such as signal,help-latency:raspi4,params. Needs an "
            "environment in sequential mode and an agent for several objectives."
        ),
    ],
    "evaluator": Annotated[
        str | None,
        typer.Option(
            help="supernet, training(epochs=12), few-shot(ways=5,shots=1) or zero-cost, in "
            "environments that evaluate neural networks."
        ),
    ],
    "dataset": Annotated[
        str | None,
        typer.Option(
            help="Images of environments that evaluate neural networks: digits, cifar10, cifar100, "
            "ImageNet16-120, omniglot, or a folder or zip file of images."
        ),
    ],
    "size": SizeOption,
    "supernet": Annotated[
        Path | None,
        typer.Option(help="File written by `nas-gym train-supernet`, instead of the cached one."),
    ],
    "device": DeviceOption,
}


def environment_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds the options of environments to a command.

    The command receives the options that were given as the dictionary ``env_arguments``.

    Args:
        *names: Names of the options to add; all options by default.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        added = names or tuple(_ENVIRONMENT_OPTIONS)

        @functools.wraps(command)
        def with_options(**arguments: Any) -> None:
            env_arguments = given(**{name: arguments.pop(name) for name in added})
            command(**arguments, env_arguments=env_arguments)

        signature = inspect.signature(command, eval_str=True)
        parameters = [
            *(each for each in signature.parameters.values() if each.name != "env_arguments"),
            *(
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=None,
                    annotation=_ENVIRONMENT_OPTIONS[name],
                )
                for name in added
            ),
        ]
        parameters.sort(key=lambda parameter: parameter.kind)
        # Typer reads both the signature and the annotations
        with_options.__dict__["__signature__"] = signature.replace(parameters=parameters)
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        return with_options

    return decorate


# arguments of Python that are options of the command line under the same name
_ARGUMENTS = (
    *_ENVIRONMENT_OPTIONS, "space", "arch", "decisions", "metrics", "ignore", "minimize", "seconds",
    "allow_missing", "replace",
)  # fmt: skip
_PYTHON_ARGUMENT = re.compile(
    rf"(?<![\w(,-])({'|'.join(_ARGUMENTS)})=(?:True\b|(?=['\".,;: )]|$))(?! \(--)"
)


def write_as_options(message: str) -> str:
    """Return a message in which command-line options replace Python arguments.

    For example, ``allow_missing=True`` becomes ``--allow-missing``. An argument is kept if the
    message also names its option.
    """

    def replace(match: re.Match[str]) -> str:
        option = "--" + match[1].replace("_", "-")
        if re.search(rf"{option}(?![\w-])", message):
            return match[0]
        return option + (" " if message[match.end() : match.end() + 1] in ("'", '"') else "")

    return _PYTHON_ARGUMENT.sub(replace, message)


def given(**values: Any) -> dict[str, Any]:
    """Return the values that are not ``None`` or an empty list, paths as text."""
    texts = {name: str(v) if isinstance(v, Path) else v for name, v in values.items()}
    return {name: value for name, value in texts.items() if value is not None and value != []}


@contextmanager
def ray_runner(address: str | None, gpus: float | None) -> Iterator[Runner | None]:
    """Yield the runner of a Ray cluster, and disconnect at the end; ``None`` without an address.

    Args:
        address: Value of ``--ray``.
        gpus: Value of ``--ray-gpus``.

    Raises:
        ValueError: If there is a share of a GPU without an address.
    """
    if address is None:
        if gpus is not None:
            raise ValueError("--ray-gpus needs a cluster: give --ray ADDRESS.")
        yield None
        return
    from nas_gym.experiments.ray_runner import RayRunner

    with RayRunner(address, gpus=gpus) as runner:
        yield runner


@contextmanager
def resumable(advice: str = "The same command continues the work.") -> Iterator[None]:
    """Exit with status 130 and a message when the user presses Ctrl-C.

    Args:
        advice: Sentence that says how to continue.
    """
    try:
        yield
    except KeyboardInterrupt:
        console.print(f"Stopped. {advice}")
        raise typer.Exit(130) from None
