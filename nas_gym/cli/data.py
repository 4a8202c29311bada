"""``nas-gym data``: list, fetch, import, describe and delete tables and images, and clean the
cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_gym.cli.images import (
    import_from_command_line,
    list_imported_images,
    print_imported_images,
)
from nas_gym.cli.options import JSONOption, SizeOption, complete_tables, given
from nas_gym.cli.output import (
    console,
    describe_ceiling,
    make_grid,
    print_grid,
    print_json,
)

if TYPE_CHECKING:
    from nas_gym.tables.training_noise import TrainingNoise

app = typer.Typer(
    help="List, fetch, import, describe and delete tables and images.", no_args_is_help=True
)

TableArgument = Annotated[
    str, typer.Argument(help="Name of the table or images.", autocompletion=complete_tables)
]


@app.command("list")
def data_list_command(as_json: JSONOption = False) -> None:
    """List tables and imported images, where they come from, and whether they are on this
    machine."""
    from nas_gym.tables import SOURCES, imported_tables, store

    rows = [
        (each.name, store.is_stored(each.name), each.summary, each.origin)
        for each in SOURCES.values()
    ]
    rows += [
        (name, True, "imported by you", str(store.table_folder(name))) for name in imported_tables()
    ]
    rows += list_imported_images()
    headers = ("table", "here", "content", "source")
    if as_json:
        print_json([dict(zip(headers, row, strict=True)) for row in rows])
        return
    grid = make_grid(*headers, wrapped=headers[2:])
    for name, here, *texts in rows:
        grid.add_row(name, "yes" if here else "-", *texts)
    print_grid(grid)


@app.command("fetch")
def data_fetch_command(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Tables, as `nas-gym data list` names them, or images, such as cifar10-images.",
            autocompletion=complete_tables,
        ),
    ],
) -> None:
    """Download the files of tables or images, check their sha256, and convert them."""
    from nas_gym import tables
    from nas_gym.networks import data as images

    for name in names:
        dataset = name.removesuffix("-images")
        if dataset != name and dataset in images.DOWNLOADABLE:
            images.fetch_images(dataset)
            console.print(f"The images of {dataset} are on this machine.")
        else:
            console.print(f"{tables.fetch_table(name)!r}", markup=False)


@app.command("import")
def data_import_command(
    path: Annotated[
        Path,
        typer.Argument(
            help="CSV, JSON, Parquet or .npz file, NAS-Bench-201 .pth file, NATS-Bench folder, or "
            "folder or zip file of images."
        ),
    ],
    name: Annotated[
        str,
        typer.Option(
            help="Name of the table, with which its environment IDs begin, or of the images."
        ),
    ],
    signal: Annotated[
        str | None, typer.Option(help="Metric from which rewards are computed.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(help="Metric to report; the signal if omitted.")
    ] = None,
    arch: Annotated[str | None, typer.Option(help="Column that holds the architecture.")] = None,
    decisions: Annotated[
        str | None, typer.Option(help="Columns that hold one decision each, separated by commas.")
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="Search space of the architectures: NB201, or a registered kind."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="Metric columns, separated by commas; all numeric ones if omitted."),
    ] = None,
    ignore: Annotated[
        str | None, typer.Option(help="Columns to leave out, separated by commas.")
    ] = None,
    minimize: Annotated[
        str | None, typer.Option(help="Metrics where lower is better, separated by commas.")
    ] = None,
    seconds: Annotated[
        str | None, typer.Option(help="Column of training times in seconds.")
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option("--unit", help="METRIC=UNIT, such as val_acc=%. May be given several times."),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Accept missing values in metrics that no task needs."
        ),
    ] = False,
    size: SizeOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite an earlier import of the same name.")
    ] = False,
    surrogate: Annotated[
        bool,
        typer.Option(
            "--surrogate",
            help="Predict the architectures of the search space that the file lacks, and register "
            "NAME-surrogate-v0, which searches the whole space.",
        ),
    ] = False,
) -> None:
    """Convert a file into a table, or a folder of images into a data set, and register its
    environments in all three modes."""
    from nas_gym import import_table

    lists = given(decisions=decisions, metrics=metrics, ignore=ignore, minimize=minimize)
    columns: dict[str, Any] = {
        **given(signal=signal, report=report, arch=arch, space=space, seconds=seconds),
        **{option: text.split(",") for option, text in lists.items()},
        **given(units=_parse_units(unit or []) or None, allow_missing=allow_missing or None),
        **given(surrogate=surrogate or None),
    }
    if import_from_command_line(path, name, size, replace, columns):
        return
    ids = import_table(path, name, replace=replace, **columns)
    if ids:
        console.print("Registered: " + ", ".join(ids))
    else:
        console.print("Imported. The table has only costs, so no environment is registered.")


def _parse_units(texts: list[str]) -> dict[str, str]:
    """Parse units such as ``val_acc=%``; return them by the name of the metric.

    Raises:
        ValueError: If a text has another form, or a metric is named twice.
    """
    units: dict[str, str] = {}
    for text in texts:
        metric, _, unit = text.rpartition("=")
        if not metric or not unit:
            raise ValueError(f"--unit takes METRIC=UNIT, such as val_acc=%, got {text!r}.")
        if metric in units:
            raise ValueError(f"The unit of {metric!r} is given twice.")
        units[metric] = unit
    return units


@app.command("info")
def data_info_command(table: TableArgument) -> None:
    """Show a table's search space, metrics, tasks and provenance, or the classes of images.

    The noise is the standard deviation of one value among the best tenth of the architectures (in
    brackets: among all), estimated from isomorphic architectures or from several training seeds.
    """
    import numpy as np

    from nas_gym.networks.data.imported import is_imported
    from nas_gym.tables import load_table
    from nas_gym.tables.training_noise import column_noise
    from nas_gym.tasks import make_task
    from nas_gym.tasks.ceiling import compute_ceiling

    if is_imported(table):
        print_imported_images(table)
        return
    found = load_table(table)
    console.print(f"{found!r} over {found.space!r}", markup=False)
    headers = (
        "metric", "unit", "better", "values", "lowest", "mean", "highest", "noise", "description"
    )  # fmt: skip
    grid = make_grid(*headers, wrapped=headers[-1:])
    for metric in found.metrics:
        values = found.column(metric.name)
        present = values[~np.isnan(values)]
        numbers = (present.min(), present.mean(), present.max()) if len(present) else ("-",) * 3
        grid.add_row(
            metric.name,
            metric.unit,
            "higher" if metric.maximize else "lower",
            f"{len(present):,}",
            *(f"{number:.6g}" if number != "-" else "-" for number in numbers),
            _noise_cell(column_noise(found, metric.name)),
            metric.description,
        )
    print_grid(grid)
    for dataset, objective in found.objectives.items():
        console.print(f"task {dataset}: signal {objective.signal}, report {objective.report}")
        ceiling = compute_ceiling(make_task(table=table, dataset=dataset))
        if ceiling and ceiling.regret:
            unit = found.metric(objective.report).unit
            text = describe_ceiling(ceiling.regret, ceiling.noise, unit)
            console.print(f"  {text}", markup=False)
    for key, value in found.provenance.items():
        console.print(f"{key}: {value}", markup=False)


def _noise_cell(noise: TrainingNoise | None) -> str:
    """Return the standard deviation of one value near the best and, in brackets, overall."""
    return "-" if noise is None else f"{noise.near_best:.3g} ({noise.overall:.3g})"


@app.command("remove")
def data_remove_command(table: TableArgument) -> None:
    """Delete a converted table or imported images from the cache. To restore what you imported,
    import it again."""
    from nas_gym.networks.data.imported import (
        imported_images_path,
        is_imported,
        remove_imported_images,
    )
    from nas_gym.tables import store

    if is_imported(table):
        remove_imported_images(table)
        console.print(f"Deleted {imported_images_path(table)}.", markup=False)
        return
    if not store.is_stored(table):
        raise KeyError(f"There is no table {table!r} in the cache; `nas-gym data list` shows all.")
    store.remove_table(table)
    console.print(f"Deleted {store.table_folder(table)}.")


@app.command("clean")
def data_clean_command() -> None:
    """Delete files that interrupted commands left in the cache. Tables are kept."""
    from nas_gym.tables import store

    removed = store.clean_cache()
    for path in removed:
        console.print(f"Deleted {path}.", markup=False, soft_wrap=True)
    if not removed:
        console.print("Nothing to clean.")
