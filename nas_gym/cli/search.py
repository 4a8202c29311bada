"""``nas-gym search``: run one agent in one environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nas_gym.cli.options import (
    EnvArgument,
    FirstSeedOption,
    QueriesOption,
    RayGPUsOption,
    RayOption,
    SettingsOption,
    TensorBoardTrialsOption,
    complete_agents,
    environment_options,
    ray_runner,
    resumable,
)
from nas_gym.cli.output import (
    console,
    describe_reward,
    format_optimum,
    incumbent_cells,
    incumbent_headers,
    make_grid,
    print_grid,
    print_tensorboard_command,
)

app = typer.Typer()

_SHOWN = (".jsonl", ".json", ".png", ".safetensors")


@app.command("search")
@environment_options()
def search_command(
    env: EnvArgument,
    agent: Annotated[
        str,
        typer.Option(
            help="random, local, rea, tpe, l2nas, catch, mpnas, ppo, sac, ... (see "
            "`nas-gym agents`), or your own: module:Class, module:function. Settings may follow: "
            '"rea(sample_size=5)".',
            autocompletion=complete_agents,
        ),
    ] = "rea",
    queries: QueriesOption = 500,
    seeds: Annotated[int, typer.Option(help="Number of trials.")] = 10,
    first_seed: FirstSeedOption = 0,
    out: Annotated[
        Path | None, typer.Option(help="Output folder; runs/<ENV>/<AGENT> by default.")
    ] = None,
    settings: SettingsOption = None,
    pretrained: Annotated[
        Path | None,
        typer.Option(help="Saved agent to start from: a file, or the built-in catch-nb201."),
    ] = None,
    tensorboard_trials: TensorBoardTrialsOption = 0,
    ray: RayOption = None,
    ray_gpus: RayGPUsOption = None,
    *,
    env_arguments: dict[str, Any],
) -> None:
    """Search with one agent. Resumes if OUT holds the same search, or one of fewer queries."""
    import nas_gym  # noqa: F401  (registers the environments)
    from nas_gym.experiments.methods import parse_agents
    from nas_gym.experiments.outputs import folder_name
    from nas_gym.experiments.search import run_search
    from nas_gym.experiments.settings import SearchSettings
    from nas_gym.utils.expressions import merge_settings, parse_settings

    (label, (name, agent_settings)), *others = parse_agents(agent).items()
    if others:
        raise ValueError("search runs one agent; `nas-gym compare` runs several.")
    more = [*(settings or []), *([] if pretrained is None else [f"pretrained={pretrained}"])]
    agent_settings = merge_settings(agent_settings, parse_settings(more))
    search = SearchSettings(env, name, queries, seeds, first_seed, env_arguments, agent_settings)
    folder = out or Path("runs") / env / folder_name(label)
    with resumable(), ray_runner(ray, ray_gpus) as runner:
        summary = run_search(search, folder, runner=runner, tensorboard_trials=tensorboard_trials)
    _print_summary(label, summary)
    files = [each.name for each in sorted(folder.iterdir()) if each.suffix in _SHOWN]
    console.print(f"{folder}: {', '.join(files)}", markup=False)
    print_tensorboard_command(folder / "tensorboard")


def _print_summary(agent: str, summary: dict[str, Any]) -> None:
    """Print one row per number of queries in the summary of a search."""
    task, metric = summary["task"], summary["metric"]
    best = format_optimum(summary["optimum"], metric["unit"])
    console.print(
        f"{summary['env']}, {summary['seeds']} seeds. Signal: {task['signal']}. Reward: "
        f"{describe_reward(task)}. Mean and regret are of {metric['regret_of']} (best of the "
        f"space: {best}).",
        markup=False,
    )
    grid = make_grid("agent", "queries", "unique", "mean ± std", "regret: mean", "IQM")
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
    print_grid(grid)
    pairs = zip(incumbent_headers(summary), incumbent_cells(summary), strict=True)
    if found := ", ".join(f"{header} {cell}" for header, cell in pairs):
        console.print(f"Means of the last incumbents: {found}.", markup=False)
