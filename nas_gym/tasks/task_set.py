"""The class :class:`TaskSet`: training tasks and test tasks, checked for leaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from nas_gym.tables import load_table
from nas_gym.tasks.make import TaskArguments, make_task, task_arguments
from nas_gym.tasks.task import Task

DrawArguments = Callable[[np.random.Generator], TaskArguments]
"""Function that draws a training task and returns its arguments of :func:`nas_gym.make_task`."""


class LeakError(ValueError):
    """Error if training tasks reveal something about a test task."""


@dataclass(frozen=True)
class TaskSet:
    """Training tasks over one search space, drawn at random, and test tasks by name.

    Attributes:
        name: Name of the task set, as :func:`nas_gym.load_task_set` takes it.
        columns: Every column that training tasks use, ``"table:metric"``.
        draw_arguments: Function that draws the arguments of one training task.
        test: Arguments of each test task, by its name.
        separate_datasets: Whether training tasks must not use any column measured on the data set
            of a test task; otherwise, they must only not use the columns of the test tasks.
        related: Data sets in ``columns`` with the same kind of data as the test tasks, such as
            images. An agent may give their metrics more weight.

    Raises:
        LeakError: If ``columns`` contains a column of a test task or, with ``separate_datasets``, a
            column measured on the data set of a test task.
        ValueError: If there is no test task, or no column was measured on a related data set.

    Example:
        >>> from nas_gym.tasks.task_set import task_set_of_environments
        >>> tasks = task_set_of_environments(["NBGraph-cora-v0"], ["NBGraph-cs-v0"])
        >>> tasks.columns
        ('nas-bench-graph-cora:valid_perf', 'nas-bench-graph-cora:perf')
    """

    name: str
    columns: tuple[str, ...]
    draw_arguments: DrawArguments
    test: Mapping[str, TaskArguments]
    separate_datasets: bool = True
    related: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.test:
            raise ValueError(f"{self.name} needs a test task.")
        for name in self.test:
            self._check_leaks(name)
        measured = {dataset_of(column) for column in self.columns} if self.related else set()
        unknown = sorted(set(self.related) - measured)
        if unknown:
            raise ValueError(
                f"{self.name}: no column was measured on {', '.join(unknown)}. Related data sets "
                f"must be among {', '.join(sorted(measured - {''}))}."
            )

    def _check_leaks(self, name: str) -> None:
        tested = {str(column) for column in self.test_task(name).columns}
        shared = sorted(tested & set(self.columns))
        if shared:
            raise LeakError(
                f"{self.name}: the columns {', '.join(shared)} belong to both the test task {name} "
                "and the training tasks."
            )
        if not self.separate_datasets:
            return
        datasets = {dataset_of(column) for column in tested} - {""}
        for column in self.columns:
            if dataset_of(column) in datasets:
                raise LeakError(
                    f"{self.name}: the training column {column} was measured on "
                    f"{dataset_of(column)}, the data set of the test task {name}."
                )

    @property
    def datasets(self) -> dict[str, str]:
        """Data set of each column; empty strings without ``separate_datasets``."""
        separate = self.separate_datasets
        return {column: dataset_of(column) if separate else "" for column in self.columns}

    def draw(self, rng: np.random.Generator) -> Task:
        """Draw a training task.

        Raises:
            LeakError: If the task has a column that :attr:`columns` does not name.
        """
        task = make_task(**self.draw_arguments(rng))
        others = {str(column) for column in task.columns} - set(self.columns)
        if others:
            raise LeakError(
                f"{self.name} drew a task with the columns {', '.join(sorted(others))}, which are "
                "not among its columns."
            )
        return task

    def test_task(self, name: str) -> Task:
        """Return a test task by its name.

        Raises:
            KeyError: If there is no such test task.
        """
        if name not in self.test:
            raise KeyError(
                f"{self.name} has no test task {name!r}. It has: {', '.join(self.test)}."
            )
        return make_task(**self.test[name])


def dataset_of(column: str) -> str:
    """Return the data set that a column ``"table:metric"`` was measured on.

    Returns:
        Name of the data set; an empty string if the column is not from a table, or the table does
        not state its data set.
    """
    table, _, metric = column.partition(":")
    try:
        datasets = list(load_table(table).objectives)
    except KeyError:  # an evaluator that is not a table
        return ""
    if len(datasets) == 1:
        return datasets[0]
    return next((each for each in datasets if metric.startswith(f"{each}-")), "")


def task_set_of_environments(train: Sequence[str], test: Sequence[str]) -> TaskSet:
    """Make a task set from environment IDs, in any mode.

    Args:
        train: IDs of the training tasks.
        test: IDs of the test tasks.

    Raises:
        LeakError: If a training environment uses a column of a test environment. Training and test
            environments may share a data set.
        ValueError: If a list is empty, or the environments have different search spaces or belong
            to another package.
    """
    if isinstance(train, str) or isinstance(test, str) or not train:
        raise ValueError("A task set needs at least one training ID and at least one test ID.")
    train_arguments = [task_arguments(env_id) for env_id in train]
    test_arguments = {env_id: task_arguments(env_id) for env_id in test}
    tasks = [make_task(**arguments) for arguments in train_arguments]
    spaces = {task.space.choices for task in tasks}
    spaces |= {make_task(**arguments).space.choices for arguments in test_arguments.values()}
    if len(spaces) > 1:
        raise ValueError("The environments of a task set must have the same search space.")
    columns = tuple(dict.fromkeys(str(column) for task in tasks for column in task.columns))
    return TaskSet(
        ",".join(train),
        columns,
        partial(draw_one, train_arguments),
        test_arguments,
        separate_datasets=False,
    )


def draw_one(arguments: Sequence[TaskArguments], rng: np.random.Generator) -> TaskArguments:
    """Draw one of several tasks, uniformly."""
    return arguments[int(rng.integers(len(arguments)))]
