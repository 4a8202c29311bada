"""Task sets: what an agent learns to search from, and what it is tested on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from nas_gym import tables
from nas_gym.evaluators import PREDICTOR
from nas_gym.tables.catalog import GRAPH_DATASETS
from nas_gym.tasks.make import TaskArguments, make_task, task_arguments
from nas_gym.tasks.task import Task

Draw = Callable[[np.random.Generator], TaskArguments]


class LeakError(ValueError):
    """What an agent would learn from tells of what it is tested on."""


@dataclass(frozen=True)
class TaskSet:
    """Tasks of one search space to learn from, drawn at random, and named ones to be tested on.

    Attributes:
        name: as :func:`load_task_set` knows it.
        columns: everything that training tasks are made of, ``"table:metric"``.
        draw_arguments: one training task, as the arguments of an environment.
        test: the arguments of each test task, by name.
        separate_datasets: whether nothing that was measured on a test task's data set may occur in
            training, besides the test tasks' own columns.

    Raises:
        LeakError: a column of a test task, or one of its data set where these are separate, is
            among ``columns``.
        ValueError: no test task, or one over another search space.
    """

    name: str
    columns: tuple[str, ...]
    draw_arguments: Draw
    test: Mapping[str, TaskArguments]
    separate_datasets: bool = True

    def __post_init__(self) -> None:
        if not self.test:
            raise ValueError(f"{self.name} needs a test task.")
        for name in self.test:
            self._check(name)

    def _check(self, name: str) -> None:
        task = self.test_task(name)
        tested = {str(column) for column in task.columns}
        shared = sorted(tested & set(self.columns))
        if shared:
            raise LeakError(
                f"{self.name}: the test task {name} is made of {', '.join(shared)}, too."
            )
        if not self.separate_datasets:
            return
        datasets = {dataset_of(column) for column in tested} - {""}
        for column in self.columns:
            if dataset_of(column) in datasets:
                raise LeakError(
                    f"{self.name}: {column} was measured on {dataset_of(column)}, as the test task "
                    f"{name} is."
                )

    @property
    def datasets(self) -> dict[str, str]:
        """The data set that each column was measured on; empty where these are not separate."""
        known = self.separate_datasets
        return {column: dataset_of(column) if known else "" for column in self.columns}

    def draw(self, rng: np.random.Generator) -> Task:
        """One training task.

        Raises:
            LeakError: it is made of a column that the set does not name.
        """
        task = make_task(**self.draw_arguments(rng))
        others = {str(column) for column in task.columns} - set(self.columns)
        if others:
            raise LeakError(f"{self.name} drew a task of {', '.join(sorted(others))}.")
        return task

    def test_task(self, name: str) -> Task:
        """A test task, by name."""
        if name not in self.test:
            raise KeyError(
                f"{self.name} has no test task {name!r}. It has: {', '.join(self.test)}."
            )
        return make_task(**self.test[name])


def dataset_of(column: str) -> str:
    """The data set that a column ``"table:metric"`` was measured on; empty where on none, or where
    the table does not say."""
    table, _, metric = column.partition(":")
    if table == PREDICTOR:
        return ""
    datasets = list(tables.load_table(table).objectives)
    if len(datasets) == 1:
        return datasets[0]
    return next((each for each in datasets if metric.startswith(f"{each}-")), "")


# -- NAS-Bench-201, image classification ----------------------------------------------------------

_IMAGES = ("cifar10", "cifar100", "ImageNet16-120")
_TWELVE = "nb201-12epochs"


def _nb201_images(target: str) -> TaskSet:
    """Mixtures of the other data sets' validation accuracies after 12 epochs, which stand in for
    the ImageNet16 subsets of CATCH (section 4.2); tested on the target after 200 epochs."""
    columns = tuple(f"{_TWELVE}:{dataset}-val" for dataset in _IMAGES if dataset != target)
    test: TaskArguments = {"table": "nats-bench", "dataset": target}
    return TaskSet(
        f"nb201-images/{target}", columns, partial(_draw_mixture, columns), {target: test}
    )


def _draw_mixture(columns: Sequence[str], rng: np.random.Generator) -> TaskArguments:
    """A mixture of accuracies with weights from a flat Dirichlet distribution, with noise."""
    signal = _mixture(columns, rng)
    # the table and the report are the first column's, whatever is searched
    table, _, metric = columns[0].partition(":")
    dataset = dataset_of(columns[0])
    return {
        "table": table, "dataset": dataset, "signal": signal, "report": metric, "noise": 0.3
    }  # fmt: skip


def _mixture(columns: Sequence[str], rng: np.random.Generator) -> str:
    weights = rng.dirichlet(np.ones(len(columns)))
    return " + ".join(f"{w:.6f} * {c}" for w, c in zip(weights, columns, strict=True))


# -- NAS-Bench-201, conflicting preferences -------------------------------------------------------

_TEST_FAMILIES = ("fpga", "pixel3", "titan", "raspi4")  # of devices; Titan X, Xp and RTX, too


def _nb201_conflicting() -> TaskSet:
    """Accuracy, accuracy against latency, and its opposite (the slower, the better), on devices and
    data sets other than those tested: tasks that only what was observed can tell apart."""
    devices = [metric.name for metric in tables.load_table("help-latency").metrics]
    known = [each for each in devices if not each.startswith(_TEST_FAMILIES)]
    accuracies = tuple(f"{_TWELVE}:{dataset}-val" for dataset in _IMAGES[1:])
    columns = accuracies + tuple(f"help-latency:{device}" for device in known)
    test = {
        "accuracy": _traded("cifar10-test", "fpga", 0.0),
        "fpga": _traded("cifar10-test", "fpga", -0.2),
        "pixel3": _traded("cifar10-test", "pixel3", -1.5),
        "titan": _traded("cifar10-test", "titan_rtx_32", -0.5),
        "raspi4-slow": _traded("cifar10-test", "raspi4", 0.3),
        "pixel3-slow": _traded("cifar10-test", "pixel3", 1.5),
        "drift": _analog("analog_drift_86400"),
        "noise": _analog("noisy_accuracy"),
    }
    draw = partial(_draw_conflicting, accuracies, known)
    return TaskSet("nb201-conflicting", columns, draw, test)


def _traded(accuracy: str, device: str, weight: float) -> TaskArguments:
    """CATCH's reward (section 4.3) with the median latency as the target."""
    return {
        "table": "nats-bench",
        "dataset": "cifar10",
        "signal": accuracy,
        "report": accuracy,
        "reward": _latency_reward(device, weight),
    }


def _analog(metric: str) -> TaskArguments:
    return {"table": "analog-nasbench", "dataset": "cifar10", "signal": metric, "report": metric}


def _latency_reward(device: str, weight: float) -> str:
    target = float(np.median(tables.load_table("help-latency").column(device)))
    return f"latency(column=help-latency:{device},target={target:.4g},weight={weight:.4g})"


def _draw_conflicting(
    accuracies: Sequence[str], devices: Sequence[str], rng: np.random.Generator
) -> TaskArguments:
    arguments = _draw_mixture(accuracies, rng)
    sign = int(rng.integers(-1, 2))
    weight, device = sign * rng.uniform(0.1, 2.0), devices[int(rng.integers(len(devices)))]
    if sign:
        arguments["reward"] = _latency_reward(device, weight)
    return arguments


# -- NAS-Bench-201, accuracies and latencies ------------------------------------------------------

_ANALOG = "analog-nasbench"
_DEVICES = {
    "cpu": ("gold", "silver"),
    "gpu": ("1080ti", "2080ti", "titan"),
}
"""Kinds of devices, and how the names of such devices begin."""


def _nb201_metrics(target: str) -> TaskSet:
    """All that was measured of NAS-Bench-201's cells, but for one data set or kind of device, which
    is left out: accuracies after 12 and 200 epochs, analog accuracies, latencies on CPUs and GPUs
    (as in MP-NAS, section 4.3)."""
    measured = _accuracies() | {kind: _latencies(kind) for kind in _DEVICES}
    columns = [each for name, found in measured.items() if name != target for each in found]
    if target in _DEVICES:
        test = {_metric_of(column): _one(column) for column in measured[target]}
    else:
        test = {target: TaskArguments(table="nats-bench", dataset=target)}
    draw = partial(_draw_one, [_one(column) for column in columns])
    return TaskSet(f"nb201-metrics/{target}", tuple(columns), draw, test)


def _accuracies() -> dict[str, list[str]]:
    found = {
        dataset: [f"nats-bench:{dataset}-test", f"{_TWELVE}:{dataset}-val"] for dataset in _IMAGES
    }
    analog = (metric.name for metric in tables.load_table(_ANALOG).metrics if metric.maximize)
    found["cifar10"] += [f"{_ANALOG}:{name}" for name in analog]
    return found


def _latencies(kind: str) -> list[str]:
    devices = (metric.name for metric in tables.load_table("help-latency").metrics)
    return [f"help-latency:{each}" for each in devices if each.startswith(_DEVICES[kind])]


def _metric_of(column: str) -> str:
    return column.partition(":")[2]


def _one(column: str) -> TaskArguments:
    """The task of one column."""
    table, _, metric = column.partition(":")
    return {"table": table, "dataset": dataset_of(column), "signal": metric, "report": metric}


# -- NAS-Bench-Graph ------------------------------------------------------------------------------

_GRAPHS = tuple(dataset for dataset in GRAPH_DATASETS if dataset != "proteins")
"""Those over one search space: proteins has fewer operations."""


def _nbgraph(target: str) -> TaskSet:
    """Validation on the other data sets; tested on one that is left out."""
    sources = [dataset for dataset in _GRAPHS if dataset != target]
    learned = [make_task(**_graph(dataset)) for dataset in sources]
    columns = tuple(str(column) for task in learned for column in task.columns)
    draw = partial(_draw_one, [_graph(dataset) for dataset in sources])
    return TaskSet(f"nbgraph/{target}", columns, draw, {target: _graph(target)})


def _graph(dataset: str) -> TaskArguments:
    return {"table": f"nas-bench-graph-{dataset}", "dataset": dataset}


# -- a user's own ---------------------------------------------------------------------------------


def of_environments(train: Sequence[str], test: Sequence[str]) -> TaskSet:
    """A task set of environment IDs, of any mode.

    Raises:
        LeakError: a column of a test environment is also one of training. Data sets may be shared.
        ValueError: environments over different search spaces, of another package, or none.
    """
    if isinstance(train, str) or isinstance(test, str) or not train:
        raise ValueError("A task set takes lists of IDs to learn from, and to be tested on.")
    learned = [task_arguments(env_id) for env_id in train]
    tasks = [make_task(**arguments) for arguments in learned]
    test_arguments = {env_id: task_arguments(env_id) for env_id in test}
    spaces = {task.space.choices for task in tasks}
    spaces |= {make_task(**arguments).space.choices for arguments in test_arguments.values()}
    if len(spaces) > 1:
        raise ValueError("The environments of a task set are over one search space; these are not.")
    columns = tuple(dict.fromkeys(str(column) for task in tasks for column in task.columns))
    return TaskSet(
        ",".join(train),
        columns,
        partial(_draw_one, learned),
        test_arguments,
        separate_datasets=False,
    )


def _draw_one(arguments: Sequence[TaskArguments], rng: np.random.Generator) -> TaskArguments:
    return arguments[int(rng.integers(len(arguments)))]


# -- by name --------------------------------------------------------------------------------------

TASK_SETS: dict[str, Callable[[], TaskSet]] = {
    **{f"nb201-images/{target}": partial(_nb201_images, target) for target in _IMAGES},
    "nb201-conflicting": _nb201_conflicting,
    **{
        f"nb201-metrics/{target}": partial(_nb201_metrics, target)
        for target in (*_IMAGES, *_DEVICES)
    },
    **{f"nbgraph/{target}": partial(_nbgraph, target) for target in _GRAPHS},
}


def load_task_set(name: str) -> TaskSet:
    """A task set by its name, leaks checked.

    Raises:
        KeyError: an unknown name; the message lists those there are.
        MissingDataError: a table that is not on this machine.
    """
    if name not in TASK_SETS:
        raise KeyError(f"There is no task set {name!r}. There are: {', '.join(TASK_SETS)}.")
    return TASK_SETS[name]()
