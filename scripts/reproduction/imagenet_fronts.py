"""Pareto fronts of accuracy and speed on each device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nas_gym.recording.front_curves import median_attainment
from reproduction.imagenet_devices import DEVICES, SPEEDS, make_device_task, run_trials
from reproduction.imagenet_surrogate import SURROGATE
from reproduction.pages import markdown_table, mean_with_interval
from reproduction.studies import Measurement, mean_over_seeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AGENTS = {
    "random": "random search (`random`)",
    "nsga2": "NSGA-II (`nsga2`)",
    "mo-rea": "evolution with ranks and crowding (`mo-rea`)",
    "scalarized": "regularized evolution, random Chebyshev weights (`scalarized`)",
}
QUERIES, TRIALS = 1000, 5


def measure_fronts() -> dict[str, Any]:
    """Return the fronts that each agent finds on each device.

    Returns:
        ``hypervolume``: the mean over the trials and its interval, by device and agent;
        ``curves``: the median attainment curve of each agent and the reference front, by device.
        A curve is a list of points (reported accuracy, speed), in the units of the metrics.
    """
    found: dict[str, Any] = {"hypervolume": {}, "curves": {}}
    for device in DEVICES:
        task = make_device_task(objectives=f"signal,{SPEEDS[device]}")
        front = task.reported_front
        found["hypervolume"][device], curves = {}, {"reference": front.vectors}
        for agent in AGENTS:
            indices = run_trials(task, agent, QUERIES, TRIALS)
            volumes = [front.hypervolume(task.reported_objectives(own)) for own in indices.T]
            found["hypervolume"][device][agent] = mean_over_seeds(np.array(volumes))
            curves[agent] = median_attainment(task, indices)
        sign = 1.0 if task.metric(task.objectives[1]).maximize else -1.0
        found["curves"][device] = {
            name: (curve * [1.0, sign]).round(3).tolist() for name, curve in curves.items()
        }
    return found


FRONTS = Measurement("imagenet-fronts", measure_fronts)


def front_table() -> str:
    """Return the table of the hypervolumes of the fronts that each agent found."""
    rows = [
        [f"`{SPEEDS[device]}`", *(mean_with_interval(found[agent], 3) for agent in AGENTS)]
        for device, found in FRONTS.result["hypervolume"].items()
    ]
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

    speed, curves = SPEEDS[device], FRONTS.result["curves"][device]
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
