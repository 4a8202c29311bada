"""``nas-gym envs`` and ``nas-gym bench``: list environments, and measure speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from nas_gym.cli.options import JSONOption
from nas_gym.cli.output import console, make_grid, print_grid, print_json

app = typer.Typer()


@app.command("envs")
def envs_command(as_json: JSONOption = False) -> None:
    """List the environment IDs and whether their data is on this machine."""
    from nas_gym.registration import MULTI_OBJECTIVE, environment_ids, environments

    rows = []
    for name, arguments in environments().items():
        if "table" in arguments:
            of = "surrogate of " if "evaluator" in arguments else ""
            rows.append((name, of + arguments["table"], _table_state(arguments["table"])))
        elif "evaluator" in arguments:
            rows.append((name, arguments["evaluator"], _few_shot_state(**arguments)))
        else:
            rows.append((name, "supernet", _supernet_state(**arguments)))
    for name, arguments in MULTI_OBJECTIVE.items():
        rows.append((name, ", ".join(_tables(arguments)), _tables_state(_tables(arguments))))
    if as_json:
        print_json([
            {
                "ids": [f"{name}-v0"] if name in MULTI_OBJECTIVE else environment_ids(name),
                "evaluated_by": by,
                "data": state,
            }
            for name, by, state in rows
        ])  # fmt: skip
        return
    grid = make_grid("ID", "evaluated by", "data")
    for name, by, state in rows:
        grid.add_row(f"{name}-v0", by, state)
    print_grid(grid)
    console.print(
        "Each also as NAME-alpha-v0 and NAME-population-v0, except those with several objectives "
        "(-mo, -MO1, ...)."
    )


def _tables(arguments: Mapping[str, Any]) -> list[str]:
    """Return the tables of a task with objectives."""
    others = [each.partition(":")[0] for each in arguments["objectives"] if ":" in each]
    return list(dict.fromkeys([arguments["table"], *others]))


def _tables_state(tables: Sequence[str]) -> str:
    """Return ``ready``, or the state of the first table that is not ready."""
    states = [_table_state(table) for table in tables]
    return next((state for state in states if state != "ready"), "ready")


def _table_state(table: str) -> str:
    """Return ``ready``, or the command that downloads a table."""
    from nas_gym.tables import SOURCES, store

    source = SOURCES.get(table)
    if store.is_stored(table) or source is None or not _is_missing(table):
        return "ready"
    return f"nas-gym data fetch {table}" if source.files else "missing"


def _is_missing(table: str) -> bool:
    """Return whether the files of a table are not on this machine."""
    from nas_gym.tables import MissingDataError, load_table

    try:
        load_table(table)
    except MissingDataError:
        return True
    return False


def _supernet_state(space: str, dataset: str) -> str:
    """Return ``ready``, or how to get the supernet of a space on a data set."""
    from nas_gym.networks import supernet

    if supernet.is_supernet_cached(space, dataset):
        return "ready"
    if dataset in supernet.TRAINED_ON_DEMAND:
        return "trained on first use"
    return f"nas-gym train-supernet {space} {dataset}"


def _few_shot_state(space: str, dataset: str, evaluator: str) -> str:
    """Return ``ready``, or how to get the meta-supernet of a space on a few-shot data set."""
    from nas_gym.networks.few_shot.cached import TRAINED_ON_DEMAND, is_meta_supernet_cached
    from nas_gym.utils.errors import MissingDataError
    from nas_gym.utils.expressions import parse_call

    tasks = parse_call(evaluator).arguments
    try:
        if is_meta_supernet_cached(space, dataset, **tasks):
            return "ready"
    except MissingDataError:
        return "nas-gym data fetch omniglot-images"
    ways, shots = tasks["ways"], tasks["shots"]
    if (space, ways, shots) in TRAINED_ON_DEMAND:
        return "trained on first use"
    return f"nas-gym train-supernet {space} {dataset} --ways {ways} --shots {shots}"


@app.command("bench")
def bench_command() -> None:
    """Measure this machine: steps per second against Gymnasium's CartPole, imports, look-ups."""
    from nas_gym.experiments.bench import measure_speed

    grid = make_grid("measured", "what", wrapped=("what",))
    for what, measured in measure_speed():
        grid.add_row(measured, what)
    print_grid(grid)
