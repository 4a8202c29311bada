"""Construction of tasks from the arguments of an environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict
from weakref import WeakValueDictionary

import gymnasium as gym

from nas_gym.evaluators import Evaluator, TableEvaluator
from nas_gym.evaluators.base import SURROGATE
from nas_gym.evaluators.named import network_evaluator
from nas_gym.spaces import SearchSpace
from nas_gym.spaces.registry import build_whole_space, find_space_class
from nas_gym.tables import DataError, load_table
from nas_gym.tasks.rewards import Reward
from nas_gym.tasks.task import Task

_NETWORK_ARGUMENTS = {"supernet", "device", "size"}


class TaskArguments(TypedDict, total=False):
    """Arguments of an environment that specify its task; see :func:`make_task`."""

    table: str
    dataset: str
    signal: str | None
    report: str | None
    noise: float
    reward: str | Reward
    constraint: str | Sequence[str] | None
    objectives: str | Sequence[str] | None
    task: Task | None
    space: str | SearchSpace | None
    evaluator: str | Evaluator | None
    supernet: str | Path | None
    device: str
    size: int | None


def make_task(
    table: str | None = None,
    dataset: str | None = None,
    signal: str | None = None,
    report: str | None = None,
    noise: float = 0.0,
    reward: str | Reward = "signal",
    constraint: str | Sequence[str] | None = None,
    objectives: str | Sequence[str] | None = None,
    task: Task | None = None,
    space: str | SearchSpace | None = None,
    evaluator: str | Evaluator | None = None,
    **network_arguments: Any,
) -> Task:
    """Make a task over a table, over networks, or over your own evaluator.

    Calls with the same names of a table, data set and columns return the same task object. A pickle
    of this task holds only the names: the process that reads the pickle opens the table by name.

    Args:
        table: Name of a table in which architectures are looked up; ``nas-gym data list`` shows all
            tables.
        dataset: Data set. For a table, it selects the default signal and report; for networks, it
            names images, or a folder or zip file of images
            (:func:`nas_gym.networks.data.load_images`).
        signal, report, noise, reward, constraint, objectives: See :class:`Task`.
        task: A task that is returned unchanged.
        space: Search space of networks, ``"NB201"``, ``"DARTS"`` or ``"MnasNet"``; or a search
            space object, which needs ``evaluator``.
        evaluator: An :class:`~nas_gym.evaluators.Evaluator`, which replaces the table's look-up;
            or a string for an evaluator of networks. ``"supernet"`` (the default for networks)
            evaluates networks with weights inherited from a supernet. ``"training"`` trains
            networks from scratch; ``"training(epochs=12)"`` sets the number of epochs. In
            ``"supernet(calibration=0,images=500)"``, ``calibration`` is the number of training
            images used to recalibrate batch norm for each architecture (1,000 by default; 0 uses
            the statistics of each evaluation batch), and ``images`` is the number of validation
            images on which accuracy is measured (all by default). ``"few-shot(ways=5,shots=1)"``
            adapts networks to few-shot tasks from the weights of a meta-supernet; ``tasks`` and
            ``test_tasks`` set the numbers of meta-validation and meta-test tasks. With ``table``,
            ``"surrogate"`` predicts all architectures of the search space from those of the table
            (:class:`~nas_gym.evaluators.surrogate.SurrogateEvaluator`).
        **network_arguments: ``supernet`` is the file of a supernet that ``nas-gym train-supernet``
            saved (by default, the supernet in the cache). ``device`` is ``"auto"`` (CUDA, MPS or
            the CPU) or a device name of torch. ``size`` is the height and width in pixels to which
            the images of a folder are scaled.

    Raises:
        TypeError: If an argument is unknown or missing, or cannot be combined with the others.
        KeyError, ValueError, MissingDataError: For the same reasons as in :class:`Task`, or if the
            space, evaluator, device or supernet does not exist.

    Example:
        >>> from nas_gym.tasks import make_task
        >>> make_task(table="analog-nasbench", dataset="cifar10").space.size
        15625
    """
    unknown = [name for name in network_arguments if name not in _NETWORK_ARGUMENTS]
    if unknown:
        # TorchRL recognizes this error by the wording of Python's own message.
        raise TypeError(
            f"make_task() got an unexpected keyword argument {unknown[0]!r}. Every environment "
            "takes table, dataset, signal, report, noise, reward, constraint, objectives, task "
            "and render_mode; "
            "help(nas_gym.make_task) explains all arguments."
        )
    objective: dict[str, Any] = {
        "signal": signal,
        "report": report,
        "noise": noise,
        "reward": reward,
        # tuples can be hashed
        "constraint": tuple(constraint) if isinstance(constraint, list) else constraint,
        "objectives": tuple(objectives) if isinstance(objectives, list) else objectives,
    }
    if task is not None:
        defaults = dict.fromkeys(objective) | {"noise": 0.0, "reward": "signal"}
        if network_arguments or evaluator is not None or objective != defaults:
            raise TypeError(
                "A ready task= has its own signal, report, noise, reward, constraint, objectives "
                "and evaluator: pass these arguments when you make the task."
            )
        return task
    if isinstance(evaluator, Evaluator):
        searched = _searched_space(space, table, evaluator)
        return Task(searched, evaluator, dataset=dataset or "", **objective)
    if isinstance(space, SearchSpace):
        raise TypeError("A search space object needs evaluator=, an object that evaluates it.")
    if space is not None and dataset is not None and table is None:
        named = "supernet" if evaluator is None else evaluator
        found = network_evaluator(space, dataset, named, **network_arguments)
        return Task(found.space, found, dataset=dataset, **objective)
    if evaluator == SURROGATE and table is not None and not network_arguments:
        # imported on use, so that the first environment is made quickly
        from nas_gym.evaluators.surrogate import surrogate_evaluator

        predicted = surrogate_evaluator(table)
        return Task(predicted.space, predicted, dataset=dataset or "", **objective)
    if evaluator is not None:
        network_arguments["evaluator"] = evaluator
    if network_arguments:
        raise TypeError(
            f"{', '.join(sorted(network_arguments))} is for environments whose architectures are "
            "networks, such as NB201-digits-v0 and NB201-cifar10-supernet-v0; this one has a table."
        )
    if space is not None and table is not None:
        raise TypeError(
            f"This environment evaluates networks of {space} and does not accept table=. To report "
            "a column of a table, use report='TABLE:METRIC'."
        )
    if table is None or dataset is None:
        raise TypeError("An environment needs table= and dataset=, or a ready task=.")
    return _task_of_table(table, dataset, objective)


_shared: WeakValueDictionary[tuple[Any, ...], Task] = WeakValueDictionary()
"""Tasks of tables that are in use, by the arguments of :func:`make_task`."""


def _task_of_table(table: str, dataset: str, objective: dict[str, Any]) -> Task:
    """Return the task of a table. All environments with the same arguments share one task."""
    key = (table, dataset, *objective.values())
    shareable = isinstance(objective["reward"], str)  # other rewards may be changed by the user
    if shareable and (shared := _shared.get(key)) and shared.is_made_of_stored_tables():
        return shared
    evaluator = TableEvaluator(load_table(table))
    task = Task(evaluator.space, evaluator, dataset=dataset, **objective)
    if shareable and task.is_made_of_stored_tables():
        task.origin = _task_again, {"table": table, "dataset": dataset, **objective}
        _shared[key] = task
    return task


def _task_again(arguments: Mapping[str, Any], description: dict[str, object]) -> Task:
    """Return a task that was pickled.

    Raises:
        DataError: If a table differs from the table that the task was pickled with.
    """
    task = make_task(**arguments)
    if task.describe() != description:
        raise DataError(
            f"{task} was pickled with another version of its tables, so its values would "
            "differ. Pickle it again with the current tables."
        )
    return task


def _searched_space(
    space: str | SearchSpace | None, table: str | None, evaluator: Evaluator
) -> SearchSpace:
    """Return the search space for an evaluator object."""
    if isinstance(space, SearchSpace):
        return space
    if table is not None:
        return load_table(table).space
    if evaluator.space is not None:
        return evaluator.space
    if space is not None:
        return build_whole_space(find_space_class(space))
    raise TypeError("An evaluator object needs a search space: give space= or table=.")


def task_arguments(env_id: str) -> TaskArguments:
    """Return the arguments that specify the task of an environment ID.

    Raises:
        ValueError: If the environment is not one of this package, or has no single task.
    """
    registered = gym.spec(env_id).kwargs
    if "task" not in registered and (
        "dataset" not in registered or not {"table", "space"} & registered.keys()
    ):
        raise ValueError(f"{env_id} is not an environment of nas_gym with a single task.")
    known = TaskArguments.__annotations__
    arguments: TaskArguments = {k: v for k, v in registered.items() if k in known}  # type: ignore[assignment]
    return arguments
