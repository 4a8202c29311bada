"""The command line: ``nas-gym``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table as Grid

# Heavy imports are inside the commands that need them, so that `nas-gym --help` is quick.

app = typer.Typer(
    help="Neural architecture search as Gymnasium environments.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Tables: list, fetch, import, describe, delete.", no_args_is_help=True)
app.add_typer(data_app, name="data")
console = Console()
_SHOWN = (".jsonl", ".json", ".png", ".safetensors")

# options of several commands
TableOption = Annotated[str | None, typer.Option(help="Search another table.")]
SignalOption = Annotated[str | None, typer.Option(help="Column of the reward.")]
ReportOption = Annotated[str | None, typer.Option(help="Column to report.")]
NoiseOption = Annotated[
    float | None, typer.Option(help="Standard deviation of noise on the signal, in its unit.")
]
RewardOption = Annotated[
    str | None, typer.Option(help="exponential, or rescaled(best=0.94): of an accuracy.")
]
EvaluatorOption = Annotated[
    str | None,
    typer.Option(help="supernet, or training(epochs=12): where architectures are networks."),
]
SupernetOption = Annotated[
    Path | None, typer.Option(help="A file of `nas-gym train-supernet`, in place of the cache's.")
]
DeviceOption = Annotated[str | None, typer.Option(help="auto, cpu, cuda, ...")]
QueriesOption = Annotated[int, typer.Option(help="Architecture evaluations of each trial.")]
FirstSeedOption = Annotated[int, typer.Option(help="Seed of the first trial.")]


@app.command()
def envs() -> None:
    """List the environment IDs and whether their data is on this machine."""
    from nas_gym.registration import environments

    grid = make_grid("ID", "evaluated by", "data")
    for name, arguments in environments().items():
        if "table" in arguments:
            grid.add_row(f"{name}-v0", arguments["table"], _table_state(arguments["table"]))
        else:
            grid.add_row(f"{name}-v0", "supernet", _supernet_state(**arguments))
    console.print(grid)
    console.print("Each also as NAME-alpha-v0 and NAME-population-v0.")


def _table_state(table: str) -> str:
    from nas_gym.tables import SOURCES, store

    source = SOURCES.get(table)
    if store.is_stored(table) or source is None or not _is_missing(table):
        return "ready"
    return f"nas-gym data fetch {table}" if source.files else "missing"


def _supernet_state(space: str, dataset: str) -> str:
    from nas_gym.networks import supernet

    if supernet.is_supernet_cached(space, dataset):
        return "ready"
    if dataset in supernet.TRAINED_ON_DEMAND:
        return "trained on first use"
    return f"nas-gym train-supernet {space} {dataset}"


def make_grid(*headers: str) -> Grid:
    """A table for the terminal; long entries are wrapped, never cut."""
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        grid.add_column(header, overflow="fold")
    grid.columns[0].no_wrap = True
    return grid


def _is_missing(table: str) -> bool:
    from nas_gym.tables import MissingDataError, load_table

    try:
        load_table(table)
    except MissingDataError:
        return True
    return False


@app.command()
def search(
    env: Annotated[str, typer.Argument(help="Environment ID, such as NB201-cifar10-v0.")],
    agent: Annotated[
        str,
        typer.Option(help="random, local, rea, tpe, l2nas, catch, mpnas, ppo, sac, ..."),
    ] = "rea",
    queries: QueriesOption = 500,
    seeds: Annotated[int, typer.Option(help="Number of trials.")] = 10,
    first_seed: FirstSeedOption = 0,
    out: Annotated[Path | None, typer.Option(help="Folder; runs/<ENV>/<AGENT> by default.")] = None,
    table: TableOption = None,
    signal: SignalOption = None,
    report: ReportOption = None,
    noise: NoiseOption = None,
    reward: RewardOption = None,
    evaluator: EvaluatorOption = None,
    supernet: SupernetOption = None,
    device: DeviceOption = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE, a setting of the agent.")
    ] = None,
    pretrained: Annotated[
        Path | None, typer.Option(help="A saved agent to begin with; or catch-nb201.")
    ] = None,
) -> None:
    """Search with one agent; taken up where it was cut off if OUT holds the same search."""
    import nas_gym  # noqa: F401  (registers the environments)
    from nas_gym.experiments.search import run_search
    from nas_gym.experiments.settings import SearchSettings, parse_agents, parse_settings

    (label, (name, agent_settings)), *others = parse_agents(agent).items()
    if others:
        raise ValueError("search runs one agent; `nas-gym compare` runs several.")
    agent_settings |= parse_settings(setting or [])
    if pretrained is not None:
        agent_settings["pretrained"] = str(pretrained)
    settings = SearchSettings(
        env=env,
        agent=name,
        queries=queries,
        seeds=seeds,
        first_seed=first_seed,
        env_arguments=_given(
            table=table,
            signal=signal,
            report=report,
            noise=noise,
            reward=reward,
            evaluator=evaluator,
            supernet=supernet,
            device=device,
        ),
        agent_settings=agent_settings,
    )
    folder = out or Path("runs") / env / label
    try:
        summary = run_search(settings, folder)
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on from here.")
        raise typer.Exit(130) from None
    print_summaries({agent: summary})
    files = [each.name for each in sorted(folder.iterdir()) if each.suffix in _SHOWN]
    console.print(f"{folder}: {', '.join(files)}", markup=False)
    _print_tensorboard(folder)


@app.command()
def compare(
    envs: Annotated[list[str], typer.Argument(help="Environment IDs, such as NB201-cifar10-v0.")],
    agents: Annotated[
        str, typer.Option(help='Names, with settings if need be: "random,rea(sample_size=5),ppo".')
    ] = "random,local,rea,reinforce",
    queries: QueriesOption = 500,
    seeds: Annotated[int, typer.Option(help="Trials of each agent in each environment.")] = 20,
    first_seed: FirstSeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder.")] = Path("runs/compare"),
    table: TableOption = None,
    signal: SignalOption = None,
    report: ReportOption = None,
    noise: NoiseOption = None,
    reward: RewardOption = None,
    evaluator: EvaluatorOption = None,
    supernet: SupernetOption = None,
    device: DeviceOption = None,
) -> None:
    """Compare agents on equal budgets and seeds; goes on where it was cut off, over all cores."""
    import nas_gym  # noqa: F401  (registers the environments)
    from nas_gym.experiments.compare import Comparison
    from nas_gym.experiments.compare import compare as run

    arguments = _given(
        table=table, signal=signal, report=report, noise=noise, reward=reward,
        evaluator=evaluator, supernet=supernet, device=device,
    )  # fmt: skip
    comparison = Comparison(envs, agents, queries, seeds, first_seed, arguments)
    try:
        summary = run(comparison, out, command=shlex.join(["nas-gym", *sys.argv[1:]]))
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on from here.")
        raise typer.Exit(130) from None
    print_comparison(summary, out)
    agents_found = [a for env in summary["environments"].values() for a in env["agents"].values()]
    if any(agent["failures"] for agent in agents_found):
        raise typer.Exit(1)


@app.command()
def meta_train(
    task_set: Annotated[
        str, typer.Argument(help="Such as nb201-images/cifar10; or environment IDs, with commas.")
    ],
    out: Annotated[Path, typer.Option(help="File to save to, .safetensors.")],
    agent: Annotated[str, typer.Option(help="catch, or mpnas.")] = "catch",
    test: Annotated[
        str | None, typer.Option(help="IDs to be tested on, where IDs are learned from.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="catch: tasks to learn from; mpnas: 100 gradient steps each.")
    ] = None,
    queries: Annotated[
        int | None, typer.Option(help="Architectures of each task that it learns from.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Agents that learn side by side.")] = 1,
    first_seed: FirstSeedOption = 0,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE, a setting of the agent.")
    ] = None,
) -> None:
    """Let an agent learn from tasks; what it saves is for `search --pretrained`. Goes on where it
    was cut off."""
    import nas_gym  # noqa: F401  (registers the environments)
    from nas_gym.agents.common.base import agent_file
    from nas_gym.experiments import meta_train as meta
    from nas_gym.experiments.settings import parse_settings

    tasks = meta.find(task_set, test)
    settings = parse_settings(setting or [])
    try:
        learned = meta.meta_train(
            tasks,
            agent,
            out,
            epochs=epochs,
            queries=queries,
            seeds=seeds,
            first_seed=first_seed,
            settings=settings,
        )
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on from here.")
        raise typer.Exit(130) from None
    file = agent_file(out)
    console.print(f"Learned in {learned.epochs} epochs from {tasks.name}: {file}", markup=False)
    console.print(f"Made for: {', '.join(tasks.test)}", markup=False)
    console.print(f"TensorBoard: tensorboard --logdir {file.with_suffix('')}", markup=False)


@app.command()
def train_supernet(
    space: Annotated[str, typer.Argument(help="NB201 or DARTS.")],
    dataset: Annotated[
        str, typer.Argument(help="digits, cifar10, cifar100, ImageNet16-120; a folder or zip file.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="File, .safetensors; where environments look by default.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE: batch_size, learning_rate, channels, cells, ..."),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Scale a folder's images to it.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights and training.")] = 0,
    device: DeviceOption = None,
) -> None:
    """Train a weight-sharing network of a whole search space. Goes on where it was cut off."""
    from nas_gym.experiments.settings import parse_settings
    from nas_gym.experiments.train_supernet import train_supernet as run

    settings = _given(epochs=epochs) | parse_settings(setting or [])
    try:
        path, found = run(
            space, dataset, out, size=size, device=device or "auto", seed=seed, **settings
        )
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on from the epoch that it saved last.")
        raise typer.Exit(130) from None
    console.print(f"{path}: best validation accuracy {found.best_accuracy:.2f} %", markup=False)
    if out is not None or settings or seed or size:
        console.print(f"Environments take it with --supernet {path}.", markup=False)
    _print_tensorboard(path.with_suffix(""))


@app.command()
def predict(
    env: Annotated[str, typer.Argument(help="Environment ID, such as NB201-cifar10-v0.")],
    pretrained: Annotated[Path, typer.Option(help="A meta-trained mpnas agent.")],
    shots: Annotated[int, typer.Option(help="Architectures, at random, to look at first.")] = 5,
    seed: Annotated[int, typer.Option(help="Of what is drawn, and of the saved agents.")] = 0,
    top: Annotated[int, typer.Option(help="Architectures to show.")] = 10,
    save: Annotated[
        Path | None, typer.Option(help="Keep the fitted predictor, .safetensors.")
    ] = None,
    table: TableOption = None,
    signal: SignalOption = None,
    report: ReportOption = None,
    noise: NoiseOption = None,
    reward: RewardOption = None,
) -> None:
    """Rank the architectures of a task by a meta-learned predictor and a few evaluations."""
    import numpy as np

    import nas_gym  # noqa: F401  (registers the environments)
    from nas_gym.agents.common.base import agent_file
    from nas_gym.envs.base import make_task
    from nas_gym.evaluators import PREDICTOR
    from nas_gym.experiments.predict import rank
    from nas_gym.tasks.task_sets import arguments_of
    from nas_gym.utils.ranks import spearman

    given = _given(table=table, signal=signal, report=report, noise=noise, reward=reward)
    task = make_task(**{**arguments_of(env), **given})
    found = rank(task, pretrained, shots, seed)
    metric = task.metric(task.report)
    grid = make_grid("score", f"{metric.name} {metric.unit}".rstrip(), "architecture")
    for index, score in zip(found.indices[:top].tolist(), found.scores, strict=False):
        text = task.space.to_text(task.space.decode([index]))[0]
        grid.add_row(f"{score:.4f}", f"{task.reported(np.array(index)):.6g}", text)
    console.print(grid)
    others = ~np.isin(found.indices, found.shots)
    correlation = spearman(found.scores[others], task.reward(found.indices[others]))
    console.print(
        f"{shots} shots, {found.predictor.steps} steps of fine-tuning; Spearman correlation with "
        f"the rewards of the {others.sum():,} others: {correlation:.3f}"
    )
    if save is not None:
        file = agent_file(save)
        what = f"{task.signal} of {task.dataset}, {shots} shots, seed {seed}"
        found.predictor.save(file, maximize=task.direction > 0, what=what)
        console.print(f"An environment on it: gym.make({env!r}, signal='{PREDICTOR}:{file}')")


@app.command()
def audit(
    env: Annotated[str, typer.Argument(help="Environment ID, such as NB201-cifar10-v0.")],
    signals: Annotated[
        list[str],
        typer.Argument(
            help="METRIC, TABLE:METRIC, predictor:FILE, supernet, training(epochs=12); any number."
        ),
    ],
    table: TableOption = None,
    report: ReportOption = None,
    sample: Annotated[
        int | None, typer.Option(help="Architectures; all, or 200 where networks are computed.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    supernet: SupernetOption = None,
    device: DeviceOption = None,
    out: Annotated[Path | None, typer.Option(help="Keep the figures in a JSON file.")] = None,
) -> None:
    """Tell how well signals rank architectures: against what an environment reports."""
    import json

    import nas_gym  # noqa: F401  (registers the environments)
    from nas_gym.experiments.audit import BEST
    from nas_gym.experiments.audit import audit as run
    from nas_gym.utils.files import write_atomically

    rows = run(
        env, signals, _given(table=table, report=report), sample=sample, seed=seed,
        **_given(supernet=supernet, device=device),
    )  # fmt: skip
    precisions = [f"precision_at_{k}" for k in BEST if f"precision_at_{k}" in rows[0]]
    grid = make_grid(
        "signal", "Spearman", "Kendall",
        *(name.replace("precision_at_", "P@") for name in precisions), "regret",
    )  # fmt: skip
    grid.columns[0].no_wrap = False
    for column in grid.columns[1:]:
        column.no_wrap = True
    for row in rows:
        shares = (f"{100 * row[name]:.0f} %" for name in precisions)
        grid.add_row(
            row["signal"], f"{row['spearman']:.3f}", f"{row['kendall']:.3f}", *shares,
            f"{row['regret']:.3g}",
        )  # fmt: skip
    console.print(grid)
    console.print(f"Over {rows[0]['architectures']:,} architectures.")
    if out is not None:
        write_atomically(out, (json.dumps(rows, indent=1) + "\n").encode())


def _given(**named: Any) -> dict[str, Any]:
    """The arguments of an environment that were given."""
    values = {name: str(v) if isinstance(v, Path) else v for name, v in named.items()}
    return {name: value for name, value in values.items() if value is not None}


def _optimum(value: float | None, unit: str = "") -> str:
    return "unknown" if value is None else f"{value:.6g} {unit}".rstrip()


def print_comparison(summary: dict[str, Any], folder: Path) -> None:
    """Print how the agents of a comparison stood at the end, and where the report is."""
    for env, found in summary["environments"].items():
        metric, queries = found["metric"], str(found["queries"])
        best = _optimum(found["optimum"], metric["unit"])
        console.print(f"{env} after {queries} queries; best {metric['name']}: {best}")
        grid = make_grid("agent", "mean ± std", "regret [95 %]", "best", "unique", "s/trial")
        grid.columns[0].no_wrap = False
        for column in grid.columns[1:]:
            column.no_wrap = True
        for agent, entry in found["agents"].items():
            grid.add_row(agent, *_comparison_row(entry, queries))
        console.print(grid)
        for agent, entry in found["agents"].items():
            _print_failures(agent, entry)
    console.print(f"Report: {folder / 'report.html'}", markup=False)
    _print_tensorboard(folder / "tensorboard")


def _print_tensorboard(folder: Path) -> None:
    console.print(
        f"TensorBoard: {shlex.join(['tensorboard', '--logdir', str(folder)])}", markup=False
    )


def _comparison_row(entry: dict[str, Any], queries: str) -> list[str]:
    if not entry["trials"]:
        return ["failed"]
    at_end = entry["at_queries"][queries]
    report, regret = at_end["report"], at_end["regret"]
    low, high = regret["mean_interval"]
    return [
        f"{report['mean']:.5g} ± {report['std']:.2g}",
        f"{regret['mean']:.3g} [{low:.3g}, {high:.3g}]",
        "-" if entry["reached"]["best"] is None else f"{100 * entry['reached']['best']:.0f} %",
        f"{entry['unique_queries']:.0f}",
        f"{entry['agent_seconds']:.2g}",
    ]


def _print_failures(agent: str, entry: dict[str, Any]) -> None:
    """Print what trials failed with, those of one error in one line."""
    by_error: dict[str, list[str]] = {}
    for seed, error in entry["failures"].items():
        by_error.setdefault(error.splitlines()[0], []).append(seed)
    for error, seeds in by_error.items():
        console.print(
            f"{agent} failed with seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}: {error}",
            markup=False,
        )


def print_summaries(summaries: dict[str, dict[str, Any]]) -> None:
    """Print a table of summaries, one agent a row and budget."""
    grid = make_grid("agent", "queries", "unique", "report: mean ± std", "regret: mean", "IQM")
    for agent, summary in summaries.items():
        for queries, at in summary["at_queries"].items():
            report, regret = at["report"], at["regret"]
            grid.add_row(
                agent,
                queries,
                f"{at['unique_queries']:.1f}",
                f"{report['mean']:.5g} ± {report['std']:.2g}",
                f"{regret['mean']:.3g}",
                f"{regret['iqm']:.3g}",
            )
    any_summary = next(iter(summaries.values()))
    task = any_summary["task"]
    console.print(
        f"{any_summary['env']}, {any_summary['seeds']} seeds, signal {task['signal']}, "
        f"report {task['report']} (best of the space: {_optimum(any_summary['optimum'])})"
    )
    console.print(grid)


@app.command()
def bench() -> None:
    """Measure this machine: steps per second against Gymnasium's CartPole, imports, look-ups."""
    from nas_gym.experiments.bench import measure

    grid = make_grid("bound", "measured", "what")
    for what, measured, bound in measure():
        grid.add_row(bound, measured, what)
    console.print(grid)


@data_app.command("list")
def data_list() -> None:
    """List the tables: where they come from, and whether they are here."""
    from nas_gym.tables import SOURCES, imported_tables, store

    grid = make_grid("table", "here", "holds", "from")
    for source in SOURCES.values():
        here = "yes" if store.is_stored(source.name) else "-"
        grid.add_row(source.name, here, source.summary, source.origin)
    for name in imported_tables():
        grid.add_row(name, "yes", "your own", str(store.table_folder(name)))
    console.print(grid)


@data_app.command("fetch")
def data_fetch(
    names: Annotated[
        list[str],
        typer.Argument(help="Tables, as `nas-gym data list` names them; or cifar10-images, ..."),
    ],
) -> None:
    """Download what tables are read from, check it, and convert it; or images."""
    from nas_gym import tables
    from nas_gym.networks import data as images

    for name in names:
        dataset = name.removesuffix("-images")
        if dataset != name and dataset in images.DOWNLOADABLE:
            images.fetch_images(dataset)
            console.print(f"The images of {dataset} are here.")
        else:
            console.print(f"{tables.fetch_table(name)!r}", markup=False)


@data_app.command("import")
def data_import(
    path: Annotated[Path, typer.Argument(help="CSV, JSON, Parquet, .npz, .pth or NATS folder.")],
    name: Annotated[str, typer.Option(help="What to call it; its IDs begin with it.")],
    signal: Annotated[str | None, typer.Option(help="Metric that rewards are made of.")] = None,
    report: Annotated[str | None, typer.Option(help="Metric to report; the signal's.")] = None,
    arch: Annotated[str | None, typer.Option(help="Column that holds the architecture.")] = None,
    decisions: Annotated[
        str | None, typer.Option(help="Columns of the decisions, separated by commas.")
    ] = None,
    metrics: Annotated[str | None, typer.Option(help="Metric columns; all numeric ones.")] = None,
    ignore: Annotated[str | None, typer.Option(help="Columns to leave out.")] = None,
    minimize: Annotated[str | None, typer.Option(help="Metrics where lower is better.")] = None,
    seconds: Annotated[str | None, typer.Option(help="Column of training times, in s.")] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Let other metrics have gaps.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite such a table.")] = False,
) -> None:
    """Convert a table of your own and register it in all three modes."""
    from nas_gym import import_table

    given: dict[str, Any] = {
        "signal": signal,
        "report": report,
        "arch": arch,
        "seconds": seconds,
    }
    lists = {"decisions": decisions, "metrics": metrics, "ignore": ignore, "minimize": minimize}
    given |= {key: value.split(",") for key, value in lists.items() if value is not None}
    columns = {key: value for key, value in given.items() if value is not None}
    if allow_missing:
        columns["allow_missing"] = True
    ids = import_table(path, name, replace=replace, **columns)
    console.print("Registered: " + ", ".join(ids) if ids else "Imported; it has no task.")


@data_app.command("info")
def data_info(table: Annotated[str, typer.Argument(help="The table's name.")]) -> None:
    """Describe a table: its space, metrics, tasks and provenance."""
    import numpy as np

    from nas_gym.tables import load_table

    found = load_table(table)
    console.print(f"{found!r} over {found.space!r}", markup=False)
    grid = make_grid("metric", "unit", "better", "values", "lowest", "mean", "highest")
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
        )
    console.print(grid)
    for dataset, objective in found.objectives.items():
        console.print(f"task {dataset}: signal {objective.signal}, report {objective.report}")
    for key, value in found.provenance.items():
        console.print(f"{key}: {value}", markup=False)


@data_app.command("remove")
def data_remove(table: Annotated[str, typer.Argument(help="The table's name.")]) -> None:
    """Delete a converted table from the cache. A table of your own needs another import."""
    from nas_gym.tables import store

    if not store.is_stored(table):
        raise KeyError(f"No table {table!r} in the cache.")
    store.remove_table(table)
    console.print(f"Deleted {store.table_folder(table)}.")


def main() -> None:
    """Run the command line; errors that users can mend are shown without a traceback."""
    import gymnasium as gym

    from nas_gym.utils.errors import DataError, TrainingError

    try:
        app()
    except FileNotFoundError as error:
        print(f"nas-gym: There is no file {error.filename or error}.", file=sys.stderr)
        sys.exit(2)
    except (DataError, TrainingError, gym.error.Error, KeyError, ValueError, TypeError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"nas-gym: {message}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
