"""Pareto fronts of accuracy and speed on each device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nas_gym.experiments.records import TrialResults
from nas_gym.recording.front_curves import median_attainment
from reproduction.imagenet_devices import DEVICES, SPEEDS
from reproduction.imagenet_surrogate import ENV, SURROGATE
from reproduction.pages import markdown_table, value_with_interval
from reproduction.studies import FIRST_SEED, ComparisonStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AGENTS = {
    "random": "random search (`random`)",
    "nsga2": "NSGA-II (`nsga2`)",
    "mo-rea": "evolution with ranks and crowding (`mo-rea`)",
    "scalarized": "regularized evolution, random Chebyshev weights (`scalarized`)",
}
QUERIES = 1000


def describe_curves(trials: Sequence[TrialResults]) -> dict[str, Any]:
    """Return the reference front and the median attainment curve of each agent.

    Each curve is a list of points (reported accuracy, speed), in the units of the metrics.
    """
    task = trials[0].task
    signs = np.array([1.0 if task.metric(each).maximize else -1.0 for each in task.objectives])
    curves = {one.agent: median_attainment(task, one.curves.indices) for one in trials}
    curves["reference"] = task.reported_front.vectors
    return {"curves": {name: (curve * signs).round(4).tolist() for name, curve in curves.items()}}


def front_study(device: str) -> ComparisonStudy:
    """Return the comparison of agents for accuracy and the speed on a device."""
    return ComparisonStudy(
        f"imagenet-front-{device}",
        envs=[ENV],
        agents=list(AGENTS),
        queries=QUERIES,
        seeds=5,
        first_seed=FIRST_SEED,
        env_arguments={"objectives": f"signal,{SPEEDS[device]}"},
        statistics=describe_curves,
    )


STUDIES = {device: front_study(device) for device in DEVICES}


def front_table() -> str:
    """Return the table of the hypervolumes of the fronts that each agent found."""
    rows = []
    for device, study in STUDIES.items():
        found = [study.at(ENV, agent, QUERIES)["report"] for agent in AGENTS]
        rows.append(
            [
                f"`{SPEEDS[device]}`",
                *(value_with_interval(r["mean"], r["mean_interval"], 3) for r in found),
            ]
        )
    return markdown_table(["speed", *AGENTS.values()], rows)


def draw_fronts() -> Figure:
    """Draw the reference front and the median fronts of the agents, with one panel per device."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 5.6), layout="constrained")
    panels = figure.subplots(2, 3, sharey=True)
    for axes, device in zip(panels.flat, DEVICES, strict=True):
        _draw_panel(axes, device)
    for axes in panels[:, 0]:
        axes.set_ylabel("top-1 accuracy, %")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8)
    return figure


def _draw_panel(axes: Axes, device: str) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    speed, curves = SPEEDS[device], STUDIES[device].result["curves"]
    is_latency = speed.endswith("latency")
    front = np.array(curves["reference"])
    axes.plot(front[:, 1], front[:, 0], color="black", linewidth=1, label="reference front")
    for agent in AGENTS:
        curve = np.array(curves[agent])
        axes.step(curve[:, 1], curve[:, 0], where="pre", linewidth=1.2, label=agent)
    known = SURROGATE.result["efficientnet_b0"]
    axes.plot(
        known[speed], known["top1@half2"], "*", color="black", markersize=9, label="EfficientNet-B0"
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(50, 70)
    if is_latency:
        axes.invert_xaxis()  # fast networks are on the right in every panel
    axes.set_xlabel(f"{device}: {'latency, ms' if is_latency else 'throughput, images/s'}")
