"""Base class of jobs that compute with the task of a search."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gymnasium.envs.registration import EnvSpec
from typing_extensions import Self

from nas_gym.experiments.environments import environment_specs, networks_device, register_specs
from nas_gym.experiments.inputs import Inputs, find_inputs
from nas_gym.experiments.results_exchange import ResultsExchange, StoredResults
from nas_gym.experiments.settings import SearchSettings, use_one_torch_thread
from nas_gym.tasks import Task
from nas_gym.utils.errors import DataError


@dataclass(frozen=True)
class SearchContext:
    """Everything that a process needs to make the task of a search as another process has it.

    Attributes:
        specs: Registrations of the environment.
        evaluations: Folder of the results of slow evaluators.
        uses_gpu: Whether neural networks are computed on a GPU.
        uses_torch: Whether the search computes with PyTorch.
        inputs: Files that the search reads.
        known: Results of slow evaluators that other machines receive.
        task: Description of the task, which is the same on all machines.
        folder: Folder with copies of the files on another machine; ``None`` on this machine.
    """

    specs: Sequence[EnvSpec]
    evaluations: Path
    uses_gpu: bool
    uses_torch: bool
    inputs: Inputs
    known: StoredResults
    task: Mapping[str, Any]
    folder: Path | None = None


def uses_gpu(settings: SearchSettings, task: Task) -> bool:
    """Return whether the agent or the environment computes neural networks on a GPU."""
    device = networks_device(task)
    return settings.method.uses_gpu() or (device is not None and device.type != "cpu")


def make_context(
    settings: SearchSettings, task: Task, description: Mapping[str, Any], evaluations: Path
) -> SearchContext:
    """Return the context of a search on this machine.

    Args:
        settings: Settings of the search.
        task: Task that is searched.
        description: Description of the task in ``config.json``.
        evaluations: Folder of the results of slow evaluators.
    """
    return SearchContext(
        environment_specs(settings.env),
        evaluations,
        uses_gpu(settings, task),
        settings.uses_torch(task),
        find_inputs(settings, task),
        ResultsExchange(evaluations).known(task),
        description,
    )


@dataclass(frozen=True)
class TaskJob:
    """A job that computes with the task of a search; see :class:`nas_gym.experiments.runners.Job`.

    Attributes:
        settings: Settings of the search.
        context: Context of the search.
    """

    settings: SearchSettings
    context: SearchContext

    @property
    def uses_gpu(self) -> bool:
        """Whether the job computes on a GPU of this machine."""
        return self.context.uses_gpu

    @property
    def modules(self) -> list[str]:
        """Modules that the job imports."""
        torch = ["torch"] if self.context.uses_torch else []
        return [type(self).__module__, *torch, *self.settings.method.modules]

    @property
    def files(self) -> Mapping[str, Path]:
        """Files that the job reads."""
        return self.context.inputs.files

    def moved_to(self, folder: Path) -> Self:
        """Return the job for another machine, where a folder has copies of the files."""
        move = self.context.inputs.move
        settings = replace(
            self.settings,
            env_arguments=move(self.settings.env_arguments, folder),
            agent_settings=move(self.settings.agent_settings, folder),
        )
        context = replace(self.context, evaluations=folder / "evaluations", folder=folder)
        return replace(self, settings=settings, context=context)

    @contextmanager
    def open_task(self) -> Iterator[tuple[Task, StoredResults]]:
        """Yield the task, and the results of slow evaluators that the block uses.

        Raises:
            DataError: If the task differs from the task on the machine with the runner.
        """
        context, exchange = self.context, ResultsExchange(self.context.evaluations)
        register_specs(context.specs)
        if context.uses_torch:
            use_one_torch_thread()
        task = self.settings.make_task()
        if context.folder is not None:
            self._check_task(task, context.folder)
            exchange.add(context.known)
        task.keep_results(context.evaluations)
        with exchange.used() as results:
            yield task, results

    def _check_task(self, task: Task, folder: Path) -> None:
        text = json.dumps(task.describe(), default=str)
        found = json.loads(self.context.inputs.restore(text, folder))
        expected = self.context.task
        different = [key for key in expected if found.get(key) != expected[key]]
        if different:
            raise DataError(
                f"The task of {self.settings.env} differs on the worker {platform.node()}: "
                f"{', '.join(different)}. Its data must be the same on all machines."
            )
