"""Every environment ID, in one table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gymnasium as gym

from nas_gym.tables import SOURCES, DamagedDataError, Table, imported_tables, store
from nas_gym.tables.catalog import GRAPH_DATASETS
from nas_gym.tables.store import stored_datasets

# ID without mode and version -> the arguments that name its task
BUILT_IN: dict[str, dict[str, str]] = {
    "NB201-cifar10": {"table": "analog-nasbench", "dataset": "cifar10"},
    "NB201-cifar100": {"table": "nats-bench", "dataset": "cifar100"},
    "NB201-ImageNet16-120": {"table": "nats-bench", "dataset": "ImageNet16-120"},
    **{
        f"NBGraph-{dataset}": {"table": f"nas-bench-graph-{dataset}", "dataset": dataset}
        for dataset in GRAPH_DATASETS
    },
    "NB201-digits": {"space": "NB201", "dataset": "digits"},
    "DARTS-digits": {"space": "DARTS", "dataset": "digits"},
    "DARTS-cifar10": {"space": "DARTS", "dataset": "cifar10"},
    "DARTS-cifar100": {"space": "DARTS", "dataset": "cifar100"},
    **{
        f"NB201-{dataset}-supernet": {"space": "NB201", "dataset": dataset}
        for dataset in ("cifar10", "cifar100", "ImageNet16-120")
    },
}

# suffix of the ID -> the classes, and how many steps an episode has by default
MODES: dict[str, tuple[str, int | None]] = {
    "": ("Sequential", None),
    "-alpha": ("Alpha", 500),
    "-population": ("Population", 490),
}


def ids(name: str) -> list[str]:
    """The IDs of a task, one for each mode."""
    return [f"{name}{suffix}-v0" for suffix in MODES]


def in_mode(env_id: str, suffix: str) -> str:
    """The ID of the same task in the mode of a suffix of :data:`MODES`.

    Raises:
        gymnasium.error.Error: there is none, or ``env_id`` itself is unknown.
    """
    gym.spec(env_id)
    for other in sorted(MODES, key=len, reverse=True):
        name = env_id.removesuffix(f"{other}-v0")
        if name != env_id and f"{name}{suffix}-v0" in gym.registry:
            return f"{name}{suffix}-v0"
    raise gym.error.NameNotFound(
        f"{env_id} has no twin {'in' if suffix else 'without a'} mode {suffix or 'suffix'!r}. "
        "Use an environment of nas_gym."
    )


def register(name: str, arguments: dict[str, Any]) -> list[str]:
    """Register a task in all three modes, in place of what had its IDs; returns the IDs."""
    for env_id, (mode, steps) in zip(ids(name), MODES.values(), strict=True):
        module = f"nas_gym.envs.{mode.lower()}"
        gym.registry.pop(env_id, None)
        gym.register(
            env_id,
            entry_point=f"{module}:{mode}Env",
            vector_entry_point=f"{module}:{mode}VectorEnv",
            max_episode_steps=steps,
            kwargs=arguments,
        )
    return ids(name)


def _tasks(table: str, datasets: list[str]) -> dict[str, dict[str, str]]:
    """The tasks of a user's table: names -> arguments."""
    return {
        table if len(datasets) == 1 else f"{table}-{dataset}": {"table": table, "dataset": dataset}
        for dataset in datasets
    }


def user_environments() -> dict[str, dict[str, str]]:
    """The tasks of imported tables on this machine: names -> arguments.

    A table with one task gives it its own name; one with several names them
    ``<table>-<dataset>``. What cannot be read is reported as a warning and skipped, so that
    importing the package never fails.
    """
    try:
        tables = imported_tables()
    except OSError as error:
        gym.logger.warn(
            f"Your own tables have no IDs, for the cache cannot be read: {error}. Make it "
            "readable, or name another folder in NAS_GYM_CACHE."
        )
        tables = []
    return {
        task: arguments
        for table in tables
        for task, arguments in _tasks(table, _datasets(table)).items()
    }


def _datasets(table: str) -> list[str]:
    try:
        return stored_datasets(table)
    except DamagedDataError as error:
        gym.logger.warn(str(error))
        return []


def environments() -> dict[str, dict[str, str]]:
    """Every task that has IDs, the project's and the user's own: names -> arguments."""
    return {**user_environments(), **BUILT_IN}


def register_all() -> None:
    """Register the IDs of every task."""
    for name, arguments in environments().items():
        register(name, arguments)


def import_table(
    path: str | Path, name: str, *, replace: bool = False, **columns: Any
) -> list[str]:
    """Convert a file of your own into a table, and register it in all three modes.

    The IDs, ``<name>-v0``, ``<name>-alpha-v0`` and ``<name>-population-v0``, are there again in
    every later process that imports ``nas_gym``. Nothing is stored unless the whole file is good.

    Args:
        path: a CSV, JSON, Parquet or ``.npz`` file, one architecture a row (see
            :func:`nas_gym.tables.user_file.read_user_file`); an official NAS-Bench-201 ``.pth``;
            or a NATS-Bench topology folder.
        name: what to call it.
        replace: overwrite a table of that name.
        **columns: arguments of :func:`nas_gym.tables.user_file.read_user_file`, such as
            ``signal="val"`` and ``report="test"``.

    Returns:
        the registered IDs; none for a table that has only costs.

    Raises:
        ValueError: a name that is taken or cannot be an ID, or a file with a fault; the message
            says where.
        DataError: the cache cannot be written to.
    """
    from nas_gym.evaluators import PREDICTOR  # not needed by `import nas_gym`

    if not store.NAME_PATTERN.fullmatch(name) or re.search(r"-v\d+$", name):
        raise ValueError(
            f"{name!r} cannot be a name: at most 100 letters, digits, '_', '.' and '-' are "
            "allowed, beginning with a letter or digit and not ending in a version like '-v0' (it "
            "is added)."
        )
    if name in SOURCES or name in BUILT_IN or name == PREDICTOR:
        raise ValueError(f"{name!r} is the name of a built-in table or task. Choose another one.")
    if store.is_stored(name) and not replace:
        raise ValueError(
            f"There is a table {name!r} already. Use replace=True (--replace) to overwrite it, or "
            f"delete it with `nas-gym data remove {name}`."
        )
    table = _read(Path(path), name, columns)
    tasks = _tasks(name, list(table.objectives))
    old = [env_id for env_id in gym.registry if _is_of(env_id, name)]
    for env_id in (env_id for task in tasks for env_id in ids(task)):
        if env_id in gym.registry and env_id not in old:
            raise ValueError(
                f"The ID {env_id} is taken by another environment. Choose another name."
            )
    store.save_table(table, replace=replace)
    for env_id in old:
        del gym.registry[env_id]
    return [env_id for task in tasks.items() for env_id in register(*task)]


def _is_of(env_id: str, table: str) -> bool:
    """Whether we registered an ID for a table, rather than the user."""
    spec = gym.registry[env_id]
    return (
        str(spec.entry_point).startswith("nas_gym.envs.")
        and spec.kwargs.get("table") == table
        and env_id in (*ids(table), *ids(f"{table}-{spec.kwargs.get('dataset')}"))
    )


def _read(path: Path, name: str, columns: dict[str, Any]) -> Table:
    if path.suffix != ".pth" and not path.is_dir():
        from nas_gym.tables import user_file

        return user_file.read_user_file(path, name, **columns)
    if columns:
        raise ValueError(
            f"{path} is an official file, whose columns are known: {', '.join(columns)} cannot be "
            "given. Choose columns when an environment is made, with signal= and report=."
        )
    if path.is_dir():
        from nas_gym.tables.sources import nats_folder

        return nats_folder.read_nats_folder(path, name)
    from nas_gym.tables.sources import nas201_pth

    return nas201_pth.read_nas201_pth(path, name)
