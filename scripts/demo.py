"""The demo: random search and regularized evolution on NB201-cifar10-v0, several seeds."""

from __future__ import annotations

import argparse
from pathlib import Path

from nas_gym.cli import console, print_summaries
from nas_gym.experiments import records
from nas_gym.experiments.plots import plot_curves
from nas_gym.experiments.search import SearchSettings, run_search
from nas_gym.tasks import Task

ENV = "NB201-cifar10-v0"


def main() -> None:
    """Run both searches, draw them together and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    task = Task("analog-nasbench", "cifar10")
    summaries, searches = {}, {}
    for agent in ("random", "rea"):
        settings = SearchSettings(ENV, agent, arguments.queries, arguments.seeds)
        folder = arguments.out / agent
        summaries[agent] = run_search(settings, folder)
        indices, _ = records.read(folder / "history.jsonl")
        searches[agent] = records.curves(task, indices)
    plot_curves(task, searches, arguments.out / "curves.png", ENV)
    print_summaries(summaries)
    console.print(f"Search curves: {arguments.out / 'curves.png'}")
    console.print(f"TensorBoard:   .venv/bin/tensorboard --logdir {arguments.out}")


if __name__ == "__main__":
    main()
