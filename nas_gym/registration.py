"""Registration of all environment IDs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from nas_gym.networks.data.imported import imported_images, is_imported
from nas_gym.tables import SOURCES, DamagedDataError, Table, imported_tables, store
from nas_gym.tables.catalog import GRAPH_DATASETS
from nas_gym.tables.store import stored_datasets

if TYPE_CHECKING:
    from nas_gym.tasks import Task

_NAME = "at most 100 letters, digits, '_', '.' and '-', beginning with a letter or digit"

BUILT_IN: dict[str, dict[str, str]] = {
    "NB201-cifar10": {"table": "analog-nasbench", "dataset": "cifar10"},
    "NB201-cifar100": {"table": "nats-bench", "dataset": "cifar100"},
    "NB201-ImageNet16-120": {"table": "nats-bench", "dataset": "ImageNet16-120"},
    "NB201-ninapro": {"table": "hw-nas-bench-360", "dataset": "ninapro"},
    "NB201-darcy": {"table": "hw-nas-bench-360", "dataset": "darcy"},
    **{
        f"NBGraph-{dataset}": {"table": f"nas-bench-graph-{dataset}", "dataset": dataset}
        for dataset in GRAPH_DATASETS
    },
    "MnasNet-ImageNet": {
        "table": "accel-nasbench",
        "dataset": "ImageNet",
        "evaluator": "surrogate",
    },
    "NB201-digits": {"space": "NB201", "dataset": "digits"},
    "DARTS-digits": {"space": "DARTS", "dataset": "digits"},
    "MnasNet-digits": {"space": "MnasNet", "dataset": "digits"},
    "DARTS-cifar10": {"space": "DARTS", "dataset": "cifar10"},
    "DARTS-cifar100": {"space": "DARTS", "dataset": "cifar100"},
    **{
        f"NB201-{dataset}-supernet": {"space": "NB201", "dataset": dataset}
        for dataset in ("cifar10", "cifar100", "ImageNet16-120")
    },
    **{
        f"{space}-omniglot-{ways}way{shots}shot": {
            "space": space,
            "dataset": "omniglot",
            "evaluator": f"few-shot(ways={ways},shots={shots})",
        }
        for space in ("DARTS", "NB201")
        for ways in (5, 20)
        for shots in (1, 5)
    },
    **{
        f"{space}-omniglot-oneshot": {
            "space": space,
            "dataset": "omniglot-oneshot",
            "evaluator": "few-shot(ways=20,shots=1)",
        }
        for space in ("DARTS", "NB201")
    },
}
"""The tasks of this package: ID without mode and version -> arguments of ``make_task``."""


_ACCURACY = {"table": "nats-bench", "dataset": "cifar10"}

MULTI_OBJECTIVE: dict[str, dict[str, Any]] = {
    **{
        f"{name}-mo": {**BUILT_IN[name], "objectives": ("signal", "params")}
        for name in ("NB201-cifar10", "NB201-cifar100", "NB201-ImageNet16-120")
    },
    "MnasNet-ImageNet-mo": {
        **BUILT_IN["MnasNet-ImageNet"],
        "objectives": ("signal", "zcu102-latency"),
    },
    **{
        f"NBGraph-{dataset}-mo": {
            **BUILT_IN[f"NBGraph-{dataset}"],
            "objectives": ("signal", "latency", "para"),
        }
        for dataset in GRAPH_DATASETS
    },
    **{
        f"NB201-MO{number}": {**_ACCURACY, "objectives": ("signal", *objectives)}
        for number, objectives in enumerate(
            (
                ("help-latency:raspi4",),
                ("help-latency:raspi4", "help-latency:fpga"),
                (
                    "help-latency:raspi4",
                    "help-latency:fpga",
                    "help-latency:eyeriss",
                    "help-latency:titan_rtx_1",
                ),
                ("params", "help-latency:pixel3"),
                ("params", "flops", "help-latency:raspi4"),
                (
                    "params",
                    "flops",
                    "help-latency:pixel3",
                    "help-latency:fpga",
                    "help-latency:gold_6226",
                ),
            ),
            start=1,
        )
    },
}
"""Tasks with objectives: ID without version -> arguments of ``make_task``. They have sequential
mode only."""


IMAGE_SPACES = ("NB201", "DARTS", "MnasNet")
"""Search spaces of the environments of imported images."""


class Mode(Enum):
    """The three modes of an environment; the value is the suffix of the IDs."""

    SEQUENTIAL = ""
    ALPHA = "-alpha"
    POPULATION = "-population"

    @property
    def entry_point(self) -> str:
        """Module and class of the scalar environment."""
        return f"nas_gym.envs.{self.name.lower()}:{self.name.capitalize()}Env"

    @property
    def vector_entry_point(self) -> str:
        """Module and class of the vector environment."""
        return f"nas_gym.envs.{self.name.lower()}:{self.name.capitalize()}VectorEnv"

    @property
    def max_episode_steps(self) -> int | None:
        """Number of steps after which an episode is truncated by default."""
        return {"SEQUENTIAL": None, "ALPHA": 500, "POPULATION": 490}[self.name]


def environment_ids(name: str, modes: Iterable[Mode] = Mode) -> list[str]:
    """Return the IDs of a task, one per mode."""
    return [f"{name}{mode.value}-v0" for mode in modes]


def in_mode(env_id: str, mode: Mode) -> str:
    """Return the ID of the same task in another mode.

    Raises:
        gymnasium.error.Error: If ``env_id`` is unknown, or has no such mode.
    """
    gym.spec(env_id)
    for other in sorted(Mode, key=lambda each: len(each.value), reverse=True):
        name = env_id.removesuffix(f"{other.value}-v0")
        if name != env_id and f"{name}{mode.value}-v0" in gym.registry:
            return f"{name}{mode.value}-v0"
    raise gym.error.NameNotFound(
        f"{env_id} has no {mode.name.lower()} mode. Use an environment of nas_gym."
    )


def register_environments(
    name: str, arguments: Mapping[str, Any], modes: Iterable[Mode] = Mode
) -> list[str]:
    """Register a task, replacing environments that have its IDs.

    Args:
        name: The IDs are ``<name>-v0``, ``<name>-alpha-v0`` and ``<name>-population-v0``.
        arguments: Keyword arguments of :func:`nas_gym.tasks.make_task`.
        modes: Modes to register the task in; all three by default.

    Returns:
        The IDs.
    """
    modes = list(modes)
    for env_id, mode in zip(environment_ids(name, modes), modes, strict=True):
        gym.registry.pop(env_id, None)
        gym.register(
            env_id,
            entry_point=mode.entry_point,
            vector_entry_point=mode.vector_entry_point,
            max_episode_steps=mode.max_episode_steps,
            # Gymnasium's wrappers would hide env.action_masks().
            order_enforce=mode is not Mode.SEQUENTIAL,
            disable_env_checker=mode is Mode.SEQUENTIAL,
            kwargs=dict(arguments),
        )
    return environment_ids(name, modes)


def register_task(name: str, task: Task) -> list[str]:
    """Register your own task as environments in all three modes.

    A task with objectives has only sequential mode, ``<name>-v0``. The IDs exist in this process
    and in the worker processes of comparisons that this process starts. A task that is registered
    under the name of an earlier task replaces that task.

    Args:
        name: The IDs are ``<name>-v0``, ``<name>-alpha-v0`` and ``<name>-population-v0``.
        task: Task that the environments search.

    Returns:
        The IDs.

    Raises:
        TypeError: If ``task`` is not a :class:`nas_gym.Task`.
        ValueError: If the name cannot be part of an ID, or one of the IDs belongs to another
            environment.

    Example:
        >>> import gymnasium as gym
        >>> import nas_gym
        >>> task = nas_gym.make_task(
        ...     table="analog-nasbench", dataset="cifar10", signal="analog_accuracy"
        ... )
        >>> nas_gym.register_task("Analog", task)
        ['Analog-v0', 'Analog-alpha-v0', 'Analog-population-v0']
        >>> env = gym.make("Analog-v0")
    """
    from nas_gym.tasks import Task

    if not isinstance(task, Task):
        raise TypeError(f"register_task takes a nas_gym.Task, got {type(task).__name__}.")
    _check_name(name)
    if name in BUILT_IN or name in MULTI_OBJECTIVE:
        raise ValueError(f"{name!r} is the name of a built-in task. Choose another one.")
    _check_ids_are_free(
        [name], [env_id for env_id in gym.registry if "task" in gym.registry[env_id].kwargs]
    )
    modes = [Mode.SEQUENTIAL] if task.objectives else Mode
    return register_environments(name, {"task": task}, modes)


def _check_name(name: str) -> None:
    """Raise ``ValueError`` if the name cannot be part of an environment ID."""
    if not store.NAME_PATTERN.fullmatch(name) or re.search(r"-v\d+$", name):
        raise ValueError(
            f"{name!r} cannot be a name. A name must have {_NAME}, and must not end in a version "
            "such as '-v0', which is added."
        )


def _check_ids_are_free(names: Iterable[str], own: Iterable[str]) -> None:
    """Raise ``ValueError`` if an ID derived from one of the names is taken.

    IDs in ``own`` may be reused.
    """
    taken = set(gym.registry) - set(own)
    for env_id in (env_id for name in names for env_id in environment_ids(name)):
        if env_id in taken:
            raise ValueError(f"Another environment has the ID {env_id}. Choose another name.")


# -- tables of users ------------------------------------------------------------------------------


def _table_tasks(
    table: str, datasets: list[str], *, surrogate: bool = False
) -> dict[str, dict[str, str]]:
    """Return the tasks of a user's table: names -> arguments of ``make_task``.

    Args:
        table: Name of the table.
        datasets: Data sets of the table.
        surrogate: Whether to include the tasks of the table's surrogate.
    """
    tasks = {
        table if len(datasets) == 1 else f"{table}-{dataset}": {"table": table, "dataset": dataset}
        for dataset in datasets
    }
    if surrogate:
        predicted = {"evaluator": "surrogate"}
        tasks |= {f"{name}-surrogate": own | predicted for name, own in list(tasks.items())}
    return tasks


def user_environments() -> dict[str, dict[str, str]]:
    """Return the tasks of imported tables on this machine: names -> arguments of ``make_task``.

    If a table has one task, the task has the name of the table; if it has several tasks, they are
    named ``<table>-<dataset>``. If the table has a surrogate, there are further tasks whose names
    end in ``-surrogate``. A table that cannot be read is skipped with a warning, so that
    importing the package never fails.
    """
    try:
        tables = imported_tables()
    except OSError as error:
        gym.logger.warn(
            f"The cache cannot be read, so your own tables have no IDs: {error}. Make it "
            "readable, or name another folder in NAS_GYM_CACHE."
        )
        tables = []
    return {
        task: arguments
        for table in tables
        for task, arguments in _table_tasks(
            table, _datasets(table), surrogate=store.surrogate_path(table).is_file()
        ).items()
    }


def _datasets(table: str) -> list[str]:
    try:
        return stored_datasets(table)
    except DamagedDataError as error:
        gym.logger.warn(str(error))
        return []


def image_environments() -> dict[str, dict[str, str]]:
    """Return the tasks of imported images on this machine: names -> arguments of ``make_task``."""
    try:
        found = imported_images()
    except OSError:  # user_environments() warns of a cache that cannot be read
        return {}
    return {task: arguments for name in found for task, arguments in _image_tasks(name).items()}


def _image_tasks(name: str) -> dict[str, dict[str, str]]:
    return {f"{space}-{name}": {"space": space, "dataset": name} for space in IMAGE_SPACES}


def environments() -> dict[str, dict[str, str]]:
    """Return every task that has IDs, built-in or of the user: names -> arguments."""
    return {**user_environments(), **image_environments(), **BUILT_IN}


def register_all() -> None:
    """Register the IDs of every task of the package, and of the user's tables and images."""
    for name, arguments in environments().items():
        register_environments(name, arguments)
    for name, arguments in MULTI_OBJECTIVE.items():
        register_environments(name, arguments, [Mode.SEQUENTIAL])


def import_table(
    path: str | Path,
    name: str,
    *,
    replace: bool = False,
    surrogate: bool = False,
    **columns: Any,
) -> list[str]:
    """Convert your own file into a table, and register its tasks in all three modes.

    The IDs, ``<name>-v0``, ``<name>-alpha-v0`` and ``<name>-population-v0``, also exist in every
    later process that imports ``nas_gym``. Nothing is stored unless the whole file is valid.

    Args:
        path: CSV, JSON, Parquet or ``.npz`` file with one architecture per row (see
            :func:`nas_gym.tables.user_file.read_user_file`); an official NAS-Bench-201 ``.pth``;
            or a NATS-Bench topology folder.
        name: Name of the table and beginning of its IDs.
        replace: Whether an existing table of that name is overwritten.
        surrogate: Whether to fit a surrogate, which predicts the other architectures of the search
            space, and to register environments ``<name>-surrogate-v0`` and so on that search the
            whole space.
        **columns: Arguments of :func:`nas_gym.tables.user_file.read_user_file`, such as
            ``signal="val"`` and ``report="test"``.

    Returns:
        The registered IDs; empty for a table with costs only.

    Raises:
        ValueError: If the name is taken or cannot be part of an ID, or the file is invalid; the
            message names the place.
        DataError: If the cache cannot be written to, or a surrogate cannot be fitted because the
            table has too few architectures or all of them.
    """
    from nas_gym.evaluators import COST, PREDICTOR  # not needed by `import nas_gym`

    _check_name(name)
    if name in SOURCES or name in BUILT_IN or name in MULTI_OBJECTIVE or name in (COST, PREDICTOR):
        raise ValueError(f"{name!r} is the name of a built-in table or task. Choose another one.")
    if is_imported(name):
        raise ValueError(f"{name!r} is the name of imported images. Choose another name.")
    if store.is_stored(name) and not replace:
        raise ValueError(
            f"There is already a table {name!r}. Use replace=True to overwrite it, or "
            f"delete it with `nas-gym data remove {name}`."
        )
    table = _read(Path(path), name, columns)
    tasks = _table_tasks(name, list(table.objectives), surrogate=surrogate)
    fitted = None
    if surrogate:  # before the table is stored, because it may fail
        from nas_gym.evaluators.surrogate import fit_surrogate

        fitted = fit_surrogate(table)
    old = [env_id for env_id in gym.registry if _belongs_to_table(env_id, name)]
    _check_ids_are_free(tasks, old)
    store.save_table(table, replace=replace)
    if fitted is not None:
        from nas_gym.evaluators.surrogate import save_surrogate

        save_surrogate(table, fitted)
    elif store.surrogate_path(name).exists():
        store.surrogate_path(name).unlink()  # of the table that was replaced
    for env_id in old:
        del gym.registry[env_id]
    return [env_id for task in tasks.items() for env_id in register_environments(*task)]


def _belongs_to_table(env_id: str, table: str) -> bool:
    """Return whether an ID was registered by this module for a table, not by the user."""
    spec = gym.registry[env_id]
    names = (table, f"{table}-{spec.kwargs.get('dataset')}")
    surrogates = tuple(f"{name}-surrogate" for name in names)
    return (
        str(spec.entry_point).startswith("nas_gym.envs.")
        and spec.kwargs.get("table") == table
        and any(env_id in environment_ids(name) for name in names + surrogates)
    )


def _read(path: Path, name: str, columns: dict[str, Any]) -> Table:
    is_folder = os.path.isdir(path)  # False also where Path.is_dir() raises an error
    if path.suffix != ".pth" and not is_folder:
        from nas_gym.tables import user_file

        return user_file.read_user_file(path, name, **columns)
    if columns:
        from nas_gym.tables.user_file.columns import file_error

        given = ", ".join(f"{name}=" for name in columns)
        raise file_error(
            f"{path} is an official file, whose columns are known: leave out {given}. Name the "
            "columns with signal= and report= when you make an environment or search in it."
        )
    if is_folder:
        from nas_gym.tables.sources import nats_folder

        return nats_folder.read_nats_folder(path, name)
    from nas_gym.tables.sources import nas201_pth

    return nas201_pth.read_nas201_pth(path, name)


# -- images of users ------------------------------------------------------------------------------


def import_images(
    path: str | Path, name: str, *, size: int | None = None, replace: bool = False
) -> list[str]:
    """Convert a folder or zip file of images, and register tasks of networks on these images.

    The IDs, ``NB201-<name>-v0``, ``DARTS-<name>-v0`` and ``MnasNet-<name>-v0``, each in all three
    modes, also exist in every later process that imports ``nas_gym``. Nothing is stored unless
    all images can be read. If images have the pixels of an image in another split, a warning gives
    their number.

    Args:
        path: Folder or zip file; see
            :func:`nas_gym.networks.data.divided_folder.read_divided_folder`.
        name: Name of the images and part of their IDs.
        size: Height and width to which images are scaled, in pixels; by default, images keep their
            size.
        replace: Whether existing images of that name are overwritten.

    Returns:
        The registered IDs.

    Raises:
        ValueError: If the name is taken or cannot be part of an ID, or if ``size`` is below 1.
        DataError: If the folder holds no images, images cannot be read or are too large, a split
            has no images of a class, or the cache cannot be written to.

    Example:
        >>> import nas_gym
        >>> nas_gym.import_images("photos/", "photos", size=32)  # doctest: +SKIP
        ['NB201-photos-v0', 'NB201-photos-alpha-v0', ...]
    """
    from nas_gym.networks.data.divided_folder import count_duplicates, read_divided_folder
    from nas_gym.networks.data.imported import save_imported_images
    from nas_gym.networks.data.loading import check_image_size

    _check_name(name)
    _check_image_name(name, replace)
    check_image_size(size)
    tasks = _image_tasks(name)
    own = [env_id for task in tasks for env_id in environment_ids(task)]
    _check_ids_are_free(tasks, own if is_imported(name) else [])
    data = read_divided_folder(Path(path), name, size)
    duplicates = count_duplicates(data)
    save_imported_images(data, {"source": str(path), "duplicates": duplicates})
    if any(duplicates.values()):
        gym.logger.warn(
            f"Some images are copies of an image in another split (validation: "
            f"{duplicates['valid']}, test: {duplicates['test']}), so accuracies are too high. "
            "Delete the copies, and import the images again."
        )
    return [env_id for task in tasks.items() for env_id in register_environments(*task)]


def _check_image_name(name: str, replace: bool) -> None:
    """Raise ``ValueError`` if imported images cannot have a name."""
    from nas_gym.networks.data import DATA_SETS
    from nas_gym.networks.data.few_shot import FEW_SHOT_SETS

    if name in (*DATA_SETS, *FEW_SHOT_SETS, *SOURCES) or store.is_stored(name):
        raise ValueError(f"{name!r} is the name of a data set or table. Choose another name.")
    if is_imported(name) and not replace:
        raise ValueError(
            f"There are already images {name!r}. Use replace=True to overwrite them, or delete "
            f"them with `nas-gym data remove {name}`."
        )
