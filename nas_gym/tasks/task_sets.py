"""Task sets of this package, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from nas_gym.tables import load_table
from nas_gym.tables.catalog import GRAPH_DATASETS
from nas_gym.tasks.make import TaskArguments, make_task
from nas_gym.tasks.task_set import TaskSet, dataset_of, draw_one

# -- NAS-Bench-201, image classification ----------------------------------------------------------

_IMAGE_DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
_TWELVE_EPOCHS = "nb201-12epochs"
_NOISE = 0.3  # standard deviation, in %, of the accuracy of one training


def _nb201_images(target: str) -> TaskSet:
    """Train on the other two image data sets, test on ``target`` after 200 epochs.

    A training task is a mixture of validation accuracies after 12 epochs. Mixtures replace the
    subsets of ImageNet16 that the CATCH paper uses (section 4.2).
    """
    columns = tuple(
        f"{_TWELVE_EPOCHS}:{dataset}-val" for dataset in _IMAGE_DATASETS if dataset != target
    )
    test: TaskArguments = {"table": "nats-bench", "dataset": target}
    return TaskSet(
        f"nb201-images/{target}", columns, partial(_draw_mixture, columns), {target: test}
    )


def _draw_mixture(columns: Sequence[str], rng: np.random.Generator) -> TaskArguments:
    """Draw a task with noise: a mixture with weights from a flat Dirichlet distribution."""
    signal = _random_mixture(columns, rng)
    # a task needs a table and a report, but training does not use the report
    table, _, metric = columns[0].partition(":")
    dataset = dataset_of(columns[0])
    return {
        "table": table, "dataset": dataset, "signal": signal, "report": metric, "noise": _NOISE
    }  # fmt: skip


def _random_mixture(columns: Sequence[str], rng: np.random.Generator) -> str:
    weights = rng.dirichlet(np.ones(len(columns)))
    return " + ".join(f"{w:.6f} * {c}" for w, c in zip(weights, columns, strict=True))


# -- NAS-Bench-201, conflicting preferences -------------------------------------------------------

_TEST_DEVICES = ("fpga", "pixel3", "titan", "raspi4")
"""Prefixes of the names of the test devices (Titan X, Xp and RTX)."""


def _nb201_conflicting() -> TaskSet:
    """Return tasks with conflicting preferences, which only the rewards reveal.

    A training task rewards accuracy alone, accuracy and low latency, or accuracy and high latency.
    Its devices and data sets are not those of the test tasks.
    """
    devices = [metric.name for metric in load_table("help-latency").metrics]
    known = [each for each in devices if not each.startswith(_TEST_DEVICES)]
    accuracies = tuple(f"{_TWELVE_EPOCHS}:{dataset}-val" for dataset in _IMAGE_DATASETS[1:])
    columns = accuracies + tuple(f"help-latency:{device}" for device in known)
    test = {
        "accuracy": _latency_task("cifar10-test", "fpga", 0.0),
        "fpga": _latency_task("cifar10-test", "fpga", -0.2),
        "pixel3": _latency_task("cifar10-test", "pixel3", -1.5),
        "titan": _latency_task("cifar10-test", "titan_rtx_32", -0.5),
        "raspi4-slow": _latency_task("cifar10-test", "raspi4", 0.3),
        "pixel3-slow": _latency_task("cifar10-test", "pixel3", 1.5),
        "drift": _analog_task("analog_drift_86400"),
        "noise": _analog_task("noisy_accuracy"),
    }
    draw = partial(_draw_conflicting, accuracies, known)
    return TaskSet("nb201-conflicting", columns, draw, test)


def _latency_task(accuracy: str, device: str, weight: float) -> TaskArguments:
    return {
        "table": "nats-bench",
        "dataset": "cifar10",
        "signal": accuracy,
        "report": accuracy,
        "reward": _latency_reward(device, weight),
    }


def _analog_task(metric: str) -> TaskArguments:
    return {"table": "analog-nasbench", "dataset": "cifar10", "signal": metric, "report": metric}


def _latency_reward(device: str, weight: float) -> str:
    """Return the CATCH paper's reward (section 4.3), with the median latency as the target."""
    target = float(np.median(load_table("help-latency").column(device)))
    return f"latency(column=help-latency:{device},target={target:.4g},weight={weight:.4g})"


def _draw_conflicting(
    accuracies: Sequence[str], devices: Sequence[str], rng: np.random.Generator
) -> TaskArguments:
    """Draw a mixture of accuracies, and whether latency is ignored, penalized or rewarded."""
    arguments = _draw_mixture(accuracies, rng)
    sign = int(rng.integers(-1, 2))
    weight, device = sign * rng.uniform(0.1, 2.0), devices[int(rng.integers(len(devices)))]
    if sign:
        arguments["reward"] = _latency_reward(device, weight)
    return arguments


# -- NAS-Bench-201, accuracies and latencies ------------------------------------------------------

_ANALOG = "analog-nasbench"
_DEVICE_KINDS = {
    "cpu": ("gold", "silver"),
    "gpu": ("1080ti", "2080ti", "titan"),
}
"""Kinds of devices, and the prefixes of their names."""


def _nb201_metrics(target: str) -> TaskSet:
    """Train on every measured metric except the metrics of the target.

    The target is a data set or a kind of device. Metrics are accuracies after 12 and 200 epochs,
    analog accuracies, and latencies on CPUs and GPUs, as in section 4.3 of the MP-NAS paper.
    """
    columns_of = _accuracy_columns() | {kind: _latency_columns(kind) for kind in _DEVICE_KINDS}
    columns = _columns_without(target, columns_of)
    draw = partial(draw_one, [_column_task(column) for column in columns])
    test = _test_tasks(target, columns_of[target], "nats-bench")
    return TaskSet(f"nb201-metrics/{target}", tuple(columns), draw, test)


def _columns_without(target: str, columns_of: Mapping[str, list[str]]) -> list[str]:
    return [each for name, found in columns_of.items() if name != target for each in found]


def _test_tasks(target: str, columns: Sequence[str], table: str) -> dict[str, TaskArguments]:
    """Return one task for each column of a kind of device, or the task of a data set."""
    if target in _DEVICE_KINDS:
        return {_metric_of(column): _column_task(column) for column in columns}
    return {target: TaskArguments(table=table, dataset=target)}


def _accuracy_columns() -> dict[str, list[str]]:
    found = {
        dataset: [f"nats-bench:{dataset}-test", f"{_TWELVE_EPOCHS}:{dataset}-val"]
        for dataset in _IMAGE_DATASETS
    }
    analog = (metric.name for metric in load_table(_ANALOG).metrics if metric.maximize)
    found["cifar10"] += [f"{_ANALOG}:{name}" for name in analog]
    return found


def _latency_columns(kind: str) -> list[str]:
    devices = (metric.name for metric in load_table("help-latency").metrics)
    return [f"help-latency:{each}" for each in devices if each.startswith(_DEVICE_KINDS[kind])]


def _metric_of(column: str) -> str:
    return column.partition(":")[2]


def _column_task(column: str) -> TaskArguments:
    """Return the arguments of a task with one column as both signal and report."""
    table, _, metric = column.partition(":")
    return {"table": table, "dataset": dataset_of(column), "signal": metric, "report": metric}


# -- NAS-Bench-201, domains -----------------------------------------------------------------------

_DOMAINS_TABLE = "hw-nas-bench-360"
_NEW_DOMAINS = ("ninapro", "darcy")
"""Data sets of :data:`_DOMAINS_TABLE` that are not images."""


def _nb201_domains(target: str) -> TaskSet:
    """Train on the metrics of all domains and devices except the target.

    The target is a data set or a kind of device. The metrics of ``nb201-metrics`` are joined by the
    test results of NinaPro and Darcy Flow, and by latency and energy of the networks for
    CIFAR-100, NinaPro and Darcy Flow. If the target is a data set, training does not use the
    latency and energy of the target's networks either. The variances of latencies are left out,
    because they measure the device more than the architecture.

    If the target is images, the other image data sets are related to it. A draw is balanced: first
    a domain and a unit (%, ms or mJ), then one of their columns.
    """
    columns_of = _domain_columns()
    columns = _columns_without(target, columns_of)
    groups: dict[tuple[str, str], list[TaskArguments]] = {}
    for domain, found in columns_of.items():
        for column in found if domain != target else ():
            groups.setdefault((domain, _unit_of(column)), []).append(_column_task(column))
    draw = partial(_draw_balanced, list(groups.values()))
    table = _DOMAINS_TABLE if target in _NEW_DOMAINS else "nats-bench"
    test = _test_tasks(target, columns_of[target], table)
    images = tuple(each for each in _IMAGE_DATASETS if each != target)
    related = images if target in _IMAGE_DATASETS else ()
    return TaskSet(f"nb201-domains/{target}", tuple(columns), draw, test, related=related)


def _domain_columns() -> dict[str, list[str]]:
    """Return the columns of each data set and each kind of device."""
    found = _accuracy_columns() | {name: [] for name in _NEW_DOMAINS}
    for metric in load_table(_DOMAINS_TABLE).metrics:
        column = f"{_DOMAINS_TABLE}:{metric.name}"
        if not metric.name.endswith("variance"):
            found[dataset_of(column)].append(column)
    return found | {kind: _latency_columns(kind) for kind in _DEVICE_KINDS}


def _unit_of(column: str) -> str:
    table, _, metric = column.partition(":")
    return load_table(table).metric(metric).unit


def _draw_balanced(
    groups: Sequence[Sequence[TaskArguments]], rng: np.random.Generator
) -> TaskArguments:
    return draw_one(groups[int(rng.integers(len(groups)))], rng)


def _nb201_results(target: str) -> TaskSet:
    """Train on the results of the other domains, test on the domain ``target``.

    A training task is a mixture of one result per data set, as in ``nb201-images``: validation
    accuracies on images, and the test results of NinaPro and Darcy Flow, which have no validation
    results. The direction and the unit of the target are those of the training tasks.
    """
    column_of = {dataset: f"{_TWELVE_EPOCHS}:{dataset}-val" for dataset in _IMAGE_DATASETS}
    column_of |= {dataset: f"{_DOMAINS_TABLE}:{dataset}-test" for dataset in _NEW_DOMAINS}
    left_out = _IMAGE_DATASETS if target == "images" else (target,)
    columns = tuple(column for dataset, column in column_of.items() if dataset not in left_out)
    table = "nats-bench" if target == "images" else _DOMAINS_TABLE
    test = {dataset: TaskArguments(table=table, dataset=dataset) for dataset in left_out}
    return TaskSet(f"nb201-results/{target}", columns, partial(_draw_mixture, columns), test)


_TESTED_METRICS = ("test", "pixel-litert-latency", "pi5-onnx-energy")


def _nb201_domains_conflicting(target: str) -> TaskSet:
    """Return the training tasks of ``nb201-domains``, and conflicting test tasks of the target.

    The test tasks are the result on the target's data set, and the lowest latency and the lowest
    energy of its networks. Slow networks have the better results.
    """
    columns = [f"{_DOMAINS_TABLE}:{target}-{metric}" for metric in _TESTED_METRICS]
    test = {_metric_of(column): _column_task(column) for column in columns}
    return replace(_nb201_domains(target), name=f"nb201-domains-conflicting/{target}", test=test)


# -- NAS-Bench-Graph ------------------------------------------------------------------------------

_GRAPHS = tuple(dataset for dataset in GRAPH_DATASETS if dataset != "proteins")
"""The data sets with the same search space; the space of ``proteins`` has fewer operations."""


def _nbgraph(target: str) -> TaskSet:
    """Train on validation performance on the other data sets, test on ``target``."""
    sources = [dataset for dataset in _GRAPHS if dataset != target]
    tasks = [make_task(**_graph_task(dataset)) for dataset in sources]
    columns = tuple(str(column) for task in tasks for column in task.columns)
    draw = partial(draw_one, [_graph_task(dataset) for dataset in sources])
    return TaskSet(f"nbgraph/{target}", columns, draw, {target: _graph_task(target)})


def _graph_task(dataset: str) -> TaskArguments:
    return {"table": f"nas-bench-graph-{dataset}", "dataset": dataset}


# -- by name --------------------------------------------------------------------------------------

# -- MnasNet on ImageNet, accelerators ------------------------------------------------------------

_ACCELERATORS = {
    "zcu102": "latency",
    "vck190": "latency",
    "a100": "throughput",
    "3090": "throughput",
    "tpuv2": "throughput",
    "tpuv3": "throughput",
}
"""Metric of the speed on each device."""

_ACCELERATOR_WEIGHT = 0.05  # absolute value of w in section 4.3 of the CATCH paper


def _mnasnet_devices(target: str) -> TaskSet:
    """Train on accuracy and the speed of other devices, test on accuracy and that of ``target``.

    The reward is that of the CATCH paper (section 4.3). Training tasks use the top-5 accuracy, from
    the half of the networks that is never reported.
    """
    columns = tuple(_speed_column(device) for device in _ACCELERATORS if device != target)
    test = _accelerator_task("top1@half1", "top1@half2", target)
    return TaskSet(
        f"mnasnet-devices/{target}",
        ("surrogate:top5@half1", *columns),
        partial(_draw_accelerator, [each for each in _ACCELERATORS if each != target]),
        {target: test},
        separate_datasets=False,
    )


def _draw_accelerator(devices: Sequence[str], rng: np.random.Generator) -> TaskArguments:
    device = devices[int(rng.integers(len(devices)))]
    return _accelerator_task("top5@half1", "top5@half1", device)


def _accelerator_task(signal: str, report: str, device: str) -> TaskArguments:
    table = load_table("accel-nasbench")
    metric = f"{device}-{_ACCELERATORS[device]}"
    weight = -_ACCELERATOR_WEIGHT if metric.endswith("latency") else _ACCELERATOR_WEIGHT
    target = float(np.nanmedian(table.column(metric)))
    return {
        "table": table.name,
        "dataset": "ImageNet",
        "evaluator": "surrogate",
        "signal": signal,
        "report": report,
        "reward": f"latency(column={metric},target={target:.4g},weight={weight:.4g})",
    }


def _speed_column(device: str) -> str:
    return f"surrogate:{device}-{_ACCELERATORS[device]}"


TASK_SETS: dict[str, Callable[[], TaskSet]] = {
    **{f"nb201-images/{target}": partial(_nb201_images, target) for target in _IMAGE_DATASETS},
    "nb201-conflicting": _nb201_conflicting,
    **{
        f"nb201-metrics/{target}": partial(_nb201_metrics, target)
        for target in (*_IMAGE_DATASETS, *_DEVICE_KINDS)
    },
    **{
        f"nb201-domains/{target}": partial(_nb201_domains, target)
        for target in (*_IMAGE_DATASETS, *_NEW_DOMAINS, *_DEVICE_KINDS)
    },
    **{
        f"nb201-results/{target}": partial(_nb201_results, target)
        for target in ("images", *_NEW_DOMAINS)
    },
    **{
        f"nb201-domains-conflicting/{target}": partial(_nb201_domains_conflicting, target)
        for target in _NEW_DOMAINS
    },
    **{f"nbgraph/{target}": partial(_nbgraph, target) for target in _GRAPHS},
    **{f"mnasnet-devices/{target}": partial(_mnasnet_devices, target) for target in _ACCELERATORS},
}
"""Functions that make the task sets, by name."""


def load_task_set(name: str) -> TaskSet:
    """Return a task set by its name; its training tasks reveal nothing about its test tasks.

    Args:
        name: ``"nb201-images/<dataset>"``, ``"nb201-conflicting"``, ``"nb201-metrics/<target>"``,
            ``"nb201-domains/<target>"``, ``"nb201-results/<domain>"``,
            ``"nb201-domains-conflicting/<dataset>"``, ``"nbgraph/<dataset>"`` or
            ``"mnasnet-devices/<device>"``; the part after the slash is the test data set or target.

    Raises:
        KeyError: If there is no such task set; the message lists all names.
        MissingDataError: If a table is not on this machine.
    """
    if name not in TASK_SETS:
        raise KeyError(f"There is no task set {name!r}. There are: {', '.join(TASK_SETS)}.")
    return TASK_SETS[name]()
