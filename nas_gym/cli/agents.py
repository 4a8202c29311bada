"""``nas-gym agents``: search methods and their settings."""

from __future__ import annotations

import inspect
import re
from typing import Annotated, Any

import typer

from nas_gym.cli.output import console, make_grid

app = typer.Typer()


@app.command("agents")
def agents_command(
    name: Annotated[
        str | None,
        typer.Argument(help="Agent to describe, or module:Class; all are listed if omitted."),
    ] = None,
) -> None:
    """List the agents, or show the settings of one."""
    if name is None:
        _list_agents()
    else:
        _describe_agent(name)


def _list_agents() -> None:
    """Print one row for each agent."""
    from nas_gym.agents.registry import AgentLookupError, agent_names, find_agent
    from nas_gym.agents.sb3.models import ALGORITHMS

    grid = make_grid("agent", "searches in", "description")
    for name in agent_names():
        try:
            agent = find_agent(name)
        except AgentLookupError as error:  # another package is broken
            grid.add_row(name, "-", str(error))
            continue
        where = "every environment" if agent.is_function else agent.agent_class.searches_in
        preset = "Preset with the settings of the paper. " if agent.config else ""
        preset += f"{agent.note} " if agent.note else ""
        grid.add_row(name, where, preset + _summary_of(agent.target))
    for name, algorithm in ALGORITHMS.items():
        where = f"{algorithm.mode.name.lower()} mode"
        grid.add_row(name, where, f"{algorithm.name} of {algorithm.module}.")
    grid.columns[1].no_wrap = True
    console.print(grid)
    console.print("`nas-gym agents NAME` shows the settings of one agent.")
    console.print("Your own agent is module:Class or module:function, in place of a name.")


def _summary_of(target: Any) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join(_plain_docstring(target).partition("\n\n")[0].split())


def _plain_docstring(target: Any) -> str:
    """Return a docstring without the marks of reStructuredText."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"\1", inspect.getdoc(target) or "")
    return text.replace("``", "")


def _describe_agent(name: str) -> None:
    """Print the documentation and the settings of one agent."""
    from nas_gym.agents.registry import find_agent
    from nas_gym.agents.sb3.models import ALGORITHMS, read_hyperparams

    if name in ALGORITHMS:
        algorithm = ALGORITHMS[name]
        console.print(
            f"{name}: {algorithm.name} of {algorithm.module}, in {algorithm.mode.name.lower()} "
            "mode. Settings: the arguments of its class. Tuned values:",
            markup=False,
        )
        grid = make_grid("setting", "value")
        for hyperparam, value in read_hyperparams(name).items():
            grid.add_row(hyperparam, str(value))
        console.print(grid)
        return
    agent = find_agent(name)
    console.print(f"{name}: {_plain_docstring(agent.target)}", markup=False)
    if agent.is_function:
        signature = inspect.signature(agent.target)
        console.print(f"Settings: further arguments of {name}{signature}", markup=False)
        return
    config = agent.config or agent.agent_class.config_class()
    grid = make_grid("setting", "type", "default", "accepted", "explanation")
    for setting in config.describe_settings():
        default = repr(getattr(config, setting.name))
        grid.add_row(setting.name, setting.type, default, setting.accepted, setting.help)
    console.print(grid if grid.row_count else "It has no settings.")
