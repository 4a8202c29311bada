"""``nas-gym agents``: search methods and their settings."""

from __future__ import annotations

import inspect
import re
from dataclasses import asdict
from typing import Annotated, Any

import typer

from nas_gym.cli.options import JSONOption, complete_agents
from nas_gym.cli.output import console, make_grid, print_grid, print_json

app = typer.Typer()


@app.command("agents")
def agents_command(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Agent to describe, or module:Class; all are listed if omitted.",
            autocompletion=complete_agents,
        ),
    ] = None,
    as_json: JSONOption = False,
) -> None:
    """List the agents, or show the settings of one."""
    from nas_gym.experiments.methods import find_method

    if name is None:
        _print_agents(as_json)
    elif as_json:
        find_method(name, {})  # raises an error for unknown names
        print_json(_settings_of(name))
    else:
        _describe_agent(name)


def _print_agents(as_json: bool) -> None:
    """Print one row, or one JSON object, per agent."""
    from nas_gym.agents.registry import AgentLookupError, agent_names, find_agent
    from nas_gym.agents.sb3.models import ALGORITHMS

    rows = []
    for name in agent_names():
        try:
            agent = find_agent(name)
        except AgentLookupError as error:  # another package is broken
            rows.append((name, "-", str(error)))
            continue
        where = "every environment" if agent.is_function else agent.agent_class.searches_in
        preset = "Preset with the settings of the paper. " if name.endswith("-paper") else ""
        preset += f"{agent.note} " if agent.note else ""
        rows.append((name, where, preset + _summary_of(agent.target)))
    for name, algorithm in ALGORITHMS.items():
        where = f"{algorithm.mode.name.lower()} mode"
        rows.append((name, where, f"{algorithm.name} of {algorithm.module}."))
    if as_json:
        names = ("name", "searches_in", "description")
        print_json([
            {**dict(zip(names, row, strict=True)), "settings": _settings_of(row[0])}
            for row in rows
        ])  # fmt: skip
        return
    grid = make_grid("agent", "searches in", "description", wrapped=("description",))
    for row in rows:
        grid.add_row(*row)
    print_grid(grid)
    console.print("`nas-gym agents NAME` shows the settings of one agent.")
    console.print("Your own agent is module:Class or module:function, in place of a name.")


def _settings_of(name: str) -> list[dict[str, Any]]:
    """Return name, type, default, accepted values and explanation of each setting of an agent."""
    from nas_gym.agents.registry import AgentLookupError, find_agent
    from nas_gym.agents.sb3.models import ALGORITHMS, read_hyperparams

    if name in ALGORITHMS:
        tuned = read_hyperparams(name).items()
        return [{"name": key, "default": value} for key, value in tuned]
    try:
        agent = find_agent(name)
    except AgentLookupError:
        return []
    if agent.is_function:
        parameters = list(inspect.signature(agent.target).parameters.values())[3:]
        return [{"name": each.name, "default": repr(each.default)} for each in parameters]
    config = agent.config or agent.agent_class.config_class()
    return [
        asdict(setting) | {"default": getattr(config, setting.name)}
        for setting in config.describe_settings()
    ]


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
        print_grid(grid)
        return
    agent = find_agent(name)
    console.print(f"{name}: {_plain_docstring(agent.target)}", markup=False)
    if agent.is_function:
        signature = inspect.signature(agent.target)
        console.print(f"Settings: further arguments of {name}{signature}", markup=False)
        return
    config = agent.config or agent.agent_class.config_class()
    headers = ("setting", "type", "default", "accepted", "explanation")
    grid = make_grid(*headers, wrapped=headers[3:])
    for setting in config.describe_settings():
        default = repr(getattr(config, setting.name))
        grid.add_row(setting.name, setting.type, default, setting.accepted, setting.help)
    print_grid(grid) if grid.row_count else console.print("It has no settings.")
