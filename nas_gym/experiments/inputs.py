"""Files that the trials of a search read, and their places on another machine."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from nas_gym.agents.common.saved import agent_file
from nas_gym.evaluators import Evaluator, TableEvaluator
from nas_gym.evaluators.network import NetworkEvaluator
from nas_gym.experiments.settings import SearchSettings
from nas_gym.tables import SOURCES, imported_tables, load_table
from nas_gym.tables.store import is_stored, table_folder
from nas_gym.tasks import Task
from nas_gym.tasks.task_set import TaskSet
from nas_gym.utils.cache import cache_folder
from nas_gym.utils.download import found_files

CACHE, DATA, MODULES, OTHERS = "cache", "data", "modules", "files"
"""Folders of places: the cache folder, a folder of ``NAS_GYM_DATA``, a folder of Python modules,
and files that arguments name."""


@dataclass(frozen=True)
class Inputs:
    """Files that the trials of a search read.

    Attributes:
        files: Files and folders by their places, such as ``cache/tables-v1/Mine``.
        named: Places of files by the text that names them in an argument, such as a path.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)

    def move(self, value: Any, folder: Path) -> Any:
        """Return an argument that names the copies of files in a folder.

        Args:
            value: Argument of an environment or agent.
            folder: Folder with the copies, by their places.
        """
        if isinstance(value, Path):
            return Path(self.move(str(value), folder))
        if isinstance(value, str):
            # the longest first: a path may begin with another one
            for text in sorted(self.named, key=len, reverse=True):
                value = value.replace(text, str(folder / self.named[text]))
            return value
        if isinstance(value, list | tuple):
            return type(value)(self.move(each, folder) for each in value)
        if isinstance(value, dict):
            return {name: self.move(each, folder) for name, each in value.items()}
        return value

    def restore(self, text: str, folder: Path) -> str:
        """Return a text in which the original names of files replace those of the copies."""
        for name, place in self.named.items():
            text = text.replace(str(folder / place), name)
        return text


def enter_folder(folder: Path) -> None:
    """Let this process use the copies of files in a folder, by environment variables."""
    os.environ["NAS_GYM_CACHE"] = str(folder / CACHE)
    own = os.environ.get("NAS_GYM_DATA", "").split(os.pathsep)
    own = [each for each in own if each and each != str(folder / DATA)]
    os.environ["NAS_GYM_DATA"] = os.pathsep.join([str(folder / DATA), *own])
    modules = str(folder / MODULES)
    if modules not in sys.path:
        sys.path.insert(0, modules)


def find_inputs(settings: SearchSettings, task: Task) -> Inputs:
    """Return the files that the trials of a search read.

    Args:
        settings: Settings of the search.
        task: Task that is searched.
    """
    named = {
        text: f"{OTHERS}/{number}/{path.name}"
        for number, (text, path) in enumerate(_named_files(settings).items())
    }
    paths = dict(zip(named.values(), _named_files(settings).values(), strict=True))
    return Inputs(
        {
            **paths,
            **_cached_files(task.sources),
            **_data_files(settings, task),
            **_own_modules(_modules_of(settings)),
        },
        named,
    )


def _named_files(settings: SearchSettings) -> dict[str, Path]:
    """Return the files that arguments name, by their names there."""
    found: dict[str, Path] = {}
    pretrained = settings.agent_settings.get("pretrained")
    if pretrained and agent_file(pretrained).is_file():
        found[str(pretrained)] = agent_file(pretrained)
    for text in _texts([settings.env_arguments, settings.agent_settings]):
        for word in (text, *re.split(r"predictor:|[\s,()=*]+", text)):
            # a metric or an agent may have the name of a file in the current folder
            is_path = os.sep in word or bool(Path(word).suffix)
            if is_path and os.path.exists(word):
                found[word] = Path(word)
    for name in ("dataset", "supernet"):
        value = settings.env_arguments.get(name)
        if value is not None and os.path.exists(value) and str(value) not in _IMAGES:
            found[str(value)] = Path(value)
    return {text: path.absolute() for text, path in found.items()}


_IMAGES = ("digits", "cifar10", "cifar100", "ImageNet16-120", "omniglot")


def _texts(value: Any) -> Iterable[str]:
    """Yield the strings in an argument."""
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def find_meta_training_inputs(tasks: TaskSet, agent: type[Any]) -> dict[str, Path]:
    """Return the files that meta-training reads, by their places: tables, and the user's modules.

    Args:
        tasks: Task set to learn from.
        agent: Class of the agent.
    """
    tables = {column.partition(":")[0] for column in tasks.columns}
    sources = [TableEvaluator(load_table(name)) for name in tables if is_stored(name)]
    return {**_cached_files(sources), **_own_modules([agent.__module__])}


def _cached_files(sources: Iterable[Evaluator]) -> dict[str, Path]:
    """Return the files of the cache that evaluators were made from: tables and supernets."""
    paths: list[Path] = []
    for source in sources:
        if isinstance(source, TableEvaluator) and is_stored(source.name):
            paths.append(table_folder(source.name))
        if isinstance(source, NetworkEvaluator):
            paths += source.files
    return {f"{CACHE}/{path.relative_to(cache_folder())}": path for path in paths if path.exists()}


def _data_files(settings: SearchSettings, task: Task) -> dict[str, Path]:
    """Return the images that this process has read by name, if the trials may read images."""
    if not settings.uses_torch(task):
        return {}
    return {f"{DATA}/{name}": path for name, path in found_files().items()}


def _modules_of(settings: SearchSettings) -> list[str]:
    """Return the modules of the agent, of the environment, and of objects among the arguments."""
    agent = settings.agent
    own = agent.rpartition(":")[0] if isinstance(agent, str) else agent.__module__
    others = [type(each).__module__ for each in settings.env_arguments.values()]
    return [settings.env.rpartition(":")[0], own, *others]


def find_function_inputs(module: str) -> dict[str, Path]:
    """Return the files that any function of a module may read, by their places.

    These are all tables in the cache, and the module and those that it imports, if users wrote
    them.
    """
    names = [*SOURCES, *imported_tables()]
    paths = [table_folder(name) for name in names if is_stored(name)]
    tables = {f"{CACHE}/{path.relative_to(cache_folder())}": path for path in paths}
    return {**tables, **_own_modules([module])}


def _own_modules(names: Iterable[str]) -> dict[str, Path]:
    """Return the imported modules in the folders of modules that users wrote.

    Args:
        names: Names of modules, also of those of installed packages, which are left out.
    """
    folders = {folder for name in names if (folder := _folder_of_own_module(name))}
    found: dict[str, Path] = {}
    if not folders:
        return found
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and file.endswith(".py") and _folder_of_own_module(name) in folders:
            path = Path(file).absolute()
            found[f"{MODULES}/{path.relative_to(_folder_of_own_module(name) or path)}"] = path
    return found


def _folder_of_own_module(name: str) -> Path | None:
    """Return the folder on the import path that holds a module of the user; ``None`` for others."""
    top, _, _ = name.partition(".")
    file = getattr(sys.modules.get(name), "__file__", None)
    if not file or top in ("__main__", "nas_gym") or name == "__mp_main__":
        return None
    path = Path(file).absolute()
    if _installed_folders().intersection(path.parents):
        return None
    parents = name.count(".") + (path.name == "__init__.py")
    return path.parents[parents]


@cache
def _installed_folders() -> frozenset[Path]:
    """Return the folders of the standard library and of installed packages."""
    names = ("stdlib", "purelib", "platlib")
    return frozenset(Path(sysconfig.get_path(each)) for each in names)
