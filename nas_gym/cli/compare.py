"""``nas-gym compare``: run several agents with the same seeds and the same number of queries."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_gym.cli.options import (
    FirstSeedOption,
    QueriesOption,
    RayGPUsOption,
    RayOption,
    TensorBoardTrialsOption,
    complete_agents,
    complete_environments,
    environment_options,
    ray_runner,
    resumable,
)
from nas_gym.cli.output import (
    console,
    describe_ceiling,
    describe_reward,
    format_optimum,
    incumbent_cells,
    incumbent_headers,
    make_grid,
    print_failures,
    print_grid,
    print_tensorboard_command,
)

app = typer.Typer()

_LOWER_REGRETS = (
    "* marks lower regrets, which would not last if the architectures were trained again."
)


@app.command("compare")
@environment_options()
def compare_command(
    envs: Annotated[
        list[str],
        typer.Argument(
            help="Environment IDs, such as NB201-cifar10-v0.", autocompletion=complete_environments
        ),
    ],
    agents: Annotated[
        str,
        typer.Option(
            help='Names, with settings where needed: "random,rea(sample_size=5),ppo"; your own '
            "agents are module:Class or module:function.",
            autocompletion=complete_agents,
        ),
    ] = "random,local,rea,reinforce",
    queries: QueriesOption = 500,
    seeds: Annotated[
        int, typer.Option(help="Number of trials of each agent in each environment.")
    ] = 20,
    first_seed: FirstSeedOption = 0,
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("runs/compare"),
    tensorboard_trials: TensorBoardTrialsOption = 0,
    ray: RayOption = None,
    ray_gpus: RayGPUsOption = None,
    *,
    env_arguments: dict[str, Any],
) -> None:
    """Compare agents on equal budgets and seeds, over all cores or on a Ray cluster.

    Resumes if OUT holds the same comparison; agents and seeds can be added. With more queries, the
    trials are run again.
    """
    import nas_gym  # noqa: F401  (registers the environments)
    from nas_gym.experiments.compare import Comparison, run_comparison

    comparison = Comparison(envs, agents, queries, seeds, first_seed, env_arguments)
    with resumable(), ray_runner(ray, ray_gpus) as runner:
        summary = run_comparison(
            comparison,
            out,
            command=shlex.join(["nas-gym", *sys.argv[1:]]),
            runner=runner,
            tensorboard_trials=tensorboard_trials,
        )
    _print_comparison(summary, out)
    entries = [a for env in summary["environments"].values() for a in env["agents"].values()]
    if any(entry["failures"] for entry in entries):
        raise typer.Exit(1)


def _print_comparison(summary: dict[str, Any], folder: Path) -> None:
    """Print the state of each agent after its last query, and where the report is."""
    from nas_gym.experiments.statistics import below_ceiling

    for env, found in summary["environments"].items():
        metric, queries = found["metric"], str(found["queries"])
        best = format_optimum(found["optimum"], metric["unit"])
        console.print(
            f"{env} after {queries} queries. Reward: {describe_reward(found['task'])}. Mean "
            f"and regret are of {metric['regret_of']} (best of the space: {best}).",
            markup=False,
        )
        headers = max(map(incumbent_headers, found["agents"].values()), key=len)
        grid = make_grid(
            "agent", "mean ± std", "regret [95 %]", *headers, "best", "unique", "s/trial"
        )
        lucky = {
            agent
            for agent, entry in found["agents"].items()
            if entry["trials"] and below_ceiling(found, agent)
        }
        for agent, entry in found["agents"].items():
            grid.add_row(agent, *_last_query_cells(entry, queries, "*" * (agent in lucky)))
        print_grid(grid)
        if found["ceiling"] and found["ceiling"]["regret"]:
            text = describe_ceiling(**found["ceiling"], unit=metric["unit"])
            console.print(f"{text} {_LOWER_REGRETS}" if lucky else text, markup=False)
        for agent, entry in found["agents"].items():
            print_failures(agent, entry["failures"])
    console.print(f"Report: {folder / 'report.html'}", markup=False)
    print_tensorboard_command(folder / "tensorboard")


def _last_query_cells(entry: dict[str, Any], queries: str, mark: str) -> list[str]:
    """Return the cells of an agent's row, without its name; ``mark`` follows the regret."""
    if not entry["trials"]:
        return ["failed"]
    at_end = entry["at_queries"][queries]
    report, regret = at_end["report"], at_end["regret"]
    low, high = regret["mean_interval"]
    return [
        f"{report['mean']:.5g} ± {report['std']:.2g}",
        f"{regret['mean']:.3g}{mark} [{low:.3g}, {high:.3g}]",
        *incumbent_cells(entry),
        "-" if entry["reached"]["best"] is None else f"{100 * entry['reached']['best']:.0f} %",
        f"{entry['unique_queries']:.0f}",
        f"{entry['agent_seconds']:.2g}",
    ]
