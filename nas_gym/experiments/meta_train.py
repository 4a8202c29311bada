"""Meta-training of agents: saved after every epoch, and resumable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.meta_agent import MetaAgent, TaskEmbeddings
from nas_gym.agents.common.saved import agent_file
from nas_gym.agents.common.search_log import track
from nas_gym.agents.registry import RegisteredAgent, find_agent, meta_agent_names
from nas_gym.experiments.inputs import find_meta_training_inputs
from nas_gym.experiments.meta_training_job import MetaTrainingJob, make_copies, train_copies
from nas_gym.experiments.outputs import locked_folder
from nas_gym.experiments.runners import Runner
from nas_gym.experiments.settings import check_seeds
from nas_gym.tasks import task_sets
from nas_gym.tasks.task_set import TaskSet, task_set_of_environments
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import check_writable, explain_write_errors, read_json, write_atomically

_CHECKPOINTS = 10  # times that a meta-training in jobs is saved


def find_task_set(name: str, test: str | None = None) -> TaskSet:
    """Return a task set by its name, or make one from environment IDs.

    Args:
        name: Name, see :func:`nas_gym.tasks.task_sets.load_task_set`; or the environment IDs to
            learn from, separated by commas.
        test: Environment IDs to test on, separated by commas, if ``name`` is a list of IDs.

    Raises:
        KeyError: If there is no task set of this name.
        ValueError: If IDs are given without ``test``, or a name is given with ``test``.
        LeakError: If the training tasks reveal the test tasks.
    """
    if "-v" not in name:
        if test is not None:
            raise ValueError(f"{name} has its own test environments: leave out --test (test=).")
        return task_sets.load_task_set(name)
    if test is None:
        raise ValueError(
            "A list of environments to learn from needs others to test on: give --test IDS (test=)."
        )
    train, test = (each.replace(" ", "") for each in (name, test))
    return task_set_of_environments(train.split(","), test.split(","))


def meta_train(
    tasks: TaskSet,
    name: str,
    path: Path,
    *,
    epochs: int | None = None,
    queries: int | None = None,
    seeds: int = 1,
    first_seed: int = 0,
    settings: Mapping[str, Any],
    progress_bar: bool = True,
    runner: Runner | None = None,
) -> MetaAgent:
    """Meta-train an agent and save it after each epoch; resume if the file holds fewer epochs.

    A folder with the name of the file, without its suffix, receives the diagnostics of each epoch,
    in ``curves.json`` and as a TensorBoard event file, and, after the last epoch, the agent's
    embeddings of tasks (if it has any) for TensorBoard's projector.

    Args:
        tasks: Task set to learn from.
        name: Name of a meta-learning agent, or ``"module:Class"``.
        path: File of the agent, ``.safetensors``. If the file holds an agent that was trained for
            fewer epochs, continue its training.
        epochs: Number of epochs; the agent's ``meta_epochs`` by default.
        queries: Number of architectures per task; the agent's ``meta_queries`` by default.
        seeds: Number of independent copies of the agent, all saved in one file.
        first_seed: Seed of the first copy; copy ``i`` has seed ``first_seed + i``.
        settings: Settings of the agent that differ from its defaults.
        progress_bar: Whether to show a progress bar on the terminal.
        runner: Runner that trains each copy in a job of its own; by default, this process trains
            all copies together.

    Returns:
        The meta-trained agent, with one copy per seed.

    Raises:
        ValueError: If the agent does not meta-learn; if a number is below 1; if the file holds an
            agent with other settings, seeds, task set or search space; or if another command is
            writing the file.
        TypeError: If the agent has no such setting.
        DataError: If a file cannot be read or written.
    """
    registered = _find_meta_agent(name)
    check_seeds(first_seed, seeds)
    if settings.get("pretrained"):
        raise ValueError(
            "Leave out pretrained=: to train a saved agent further, give its file as --out (path)."
        )
    path = agent_file(path)
    check_writable(path)
    agent: Any = make_copies(registered, tasks, settings, first_seed, seeds, first_seed)
    epochs = agent.meta_epochs if epochs is None else epochs
    queries = agent.meta_queries if queries is None else queries
    agent.check_tasks(tasks, epochs, queries)  # before a folder is made
    with locked_folder(path.with_suffix("")):
        if path.exists():
            _resume(agent, path)
            agent.check_tasks(tasks, epochs, queries)
        if runner is None:
            _learn(agent, tasks, path, epochs, queries, progress_bar)
        else:
            files = find_meta_training_inputs(tasks, registered.agent_class)
            job = MetaTrainingJob(
                registered, tasks, settings, first_seed, first_seed, epochs, queries, files
            )
            _learn_in_jobs(agent, job, runner, path, progress_bar)
        _write_embeddings(agent, tasks, path.with_suffix(""))
    found: MetaAgent = agent
    return found


def _find_meta_agent(name: str) -> RegisteredAgent:
    """Return the meta-learning agent with a given name; raise ``ValueError`` for other agents."""
    registered = find_agent(name)
    if registered.is_function or not issubclass(registered.agent_class, MetaAgent):
        raise ValueError(
            f"{name!r} does not meta-learn. Agents that do: {', '.join(meta_agent_names())}, and "
            "subclasses of nas_gym.MetaAgent, as module:Class."
        )
    return registered


def _resume(agent: MetaAgent, path: Path) -> None:
    """Load the state of a file into an agent, if its settings and seeds are the same."""
    state = agent.read_pretrained(path.absolute())
    found = agent.saved_config(state), int(state["seed"]), len(state["best_fitness"])
    if found != (agent.config, agent.seed, agent.num_trials):
        raise ValueError(
            f"{path} holds an agent with other settings or seeds. Choose another --out (path), or "
            "delete the file."
        )
    agent.restore(state, path)


def _learn(
    agent: MetaAgent, tasks: TaskSet, path: Path, epochs: int, queries: int, progress_bar: bool
) -> None:
    """Meta-train up to a number of epochs; log and then save after each epoch."""
    curves = _MetaCurves(path.with_suffix(""), agent.epochs)

    def after_epoch(_: Agent) -> None:
        curves.add(agent.epochs, agent.meta_diagnostics())
        agent.save(path)

    if agent.epochs < epochs:
        agent.meta_learn(tasks, epochs, queries, after_epoch, None if progress_bar else False)
    curves.close()


def _learn_in_jobs(
    agent: MetaAgent, job: MetaTrainingJob, runner: Runner, path: Path, progress_bar: bool
) -> None:
    """Meta-train each copy in jobs of some epochs; log and then save when all copies are there."""
    curves = _MetaCurves(path.with_suffix(""), agent.epochs)
    size = -(-job.epochs // _CHECKPOINTS)
    ends = _ends(agent.epochs, job.epochs, size)
    for end in track(ends, "parts of meta-training", enabled=None if progress_bar else False):
        before = agent.epochs
        for epoch, values in enumerate(train_copies(job, agent, runner, end), before + 1):
            curves.add(epoch, values)
        agent.save(path)
    curves.close()


def _ends(completed: int, epochs: int, size: int) -> Sequence[int]:
    """Return the numbers of epochs after which the agent is saved."""
    return [min(start + size, epochs) for start in range(completed, epochs, size)]


class _MetaCurves:
    """Diagnostics of each epoch, in ``curves.json`` and in a TensorBoard event file.

    When an interrupted meta-training continues, the event file is written again from
    ``curves.json``, so the event file is complete and has no epoch twice.

    Args:
        folder: Output folder.
        epochs: Number of epochs that the saved agent has completed.

    Raises:
        DamagedDataError: If ``curves.json`` cannot be read.
        DataError: If the folder cannot be written to.
    """

    def __init__(self, folder: Path, epochs: int) -> None:
        from stable_baselines3.common.logger import configure

        self._file = folder / "curves.json"
        stored = read_json(self._file) if self._file.exists() else {}
        if not isinstance(stored, dict):
            raise DamagedDataError(f"{self._file} is damaged. Delete it to go on without it.")
        # an epoch that was logged and not saved is trained again
        self._values = {epoch: v for epoch, v in stored.items() if int(epoch) <= epochs}
        with explain_write_errors(folder):
            if stored:
                for old in folder.glob("events.out.tfevents.*"):
                    old.unlink()
            self._logger: Any = configure(str(folder), ["tensorboard"])
        for epoch, values in self._values.items():
            self._log(int(epoch), values)

    def add(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write the diagnostics of an epoch."""
        self._values[str(epoch)] = {name: float(value) for name, value in values.items()}
        write_atomically(self._file, (json.dumps(self._values, indent=1) + "\n").encode())
        self._log(epoch, values)

    def _log(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._logger.record(name, value)
        self._logger.dump(step=epoch)

    def close(self) -> None:
        """Close the event file."""
        self._logger.close()


def _write_embeddings(agent: MetaAgent, tasks: TaskSet, folder: Path) -> None:
    """Write the agent's embeddings of tasks for TensorBoard's projector, unless they exist.

    The files are written to a temporary folder, which is then renamed. The projector's
    configuration is written last: if it is missing, the call was interrupted and has to be
    repeated.
    """
    step, config = f"{agent.epochs:05d}", folder / "projector_config.pbtxt"
    known = config.read_text() if config.exists() else ""
    if f'"{step}/' in known:
        return
    embeddings: TaskEmbeddings | None = agent.task_embeddings(tasks)
    if embeddings is None:
        return
    from torch.utils.tensorboard import SummaryWriter

    aside = folder / ".projector"
    vectors, labels = embeddings
    with explain_write_errors(folder):
        for earlier in (aside, folder / step):  # left by a killed process
            shutil.rmtree(earlier, ignore_errors=True)
        with SummaryWriter(str(aside)) as writer:
            writer.add_embedding(
                vectors,
                metadata=[list(each.values()) for each in labels],
                metadata_header=list(labels[0]),
                global_step=agent.epochs,
                tag="z",
            )
        (aside / step).replace(folder / step)
        write_atomically(config, (known + (aside / config.name).read_text()).encode())
        shutil.rmtree(aside)
