"""Meta-training of agents: saved after every epoch, and resumable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.meta_agent import MetaAgent, TaskEmbeddings
from nas_gym.agents.common.saved import agent_file
from nas_gym.agents.registry import RegisteredAgent, find_agent, meta_agent_names
from nas_gym.envs.sequential import SequentialVectorEnv
from nas_gym.tasks import task_sets
from nas_gym.tasks.task_set import TaskSet, task_set_of_environments


def find_task_set(name: str, test: str | None = None) -> TaskSet:
    """Return the task set of a name, or of environment IDs.

    Args:
        name: Name, see :func:`nas_gym.tasks.task_sets.load_task_set`; or the environment IDs to
            learn from, separated by commas.
        test: Environment IDs to test on, separated by commas, if ``name`` is a list of IDs.

    Raises:
        KeyError: If there is no task set of this name.
        ValueError: If IDs are given without ``test``, or a name with it.
        LeakError: If the training tasks reveal the test tasks.
    """
    if "-v" not in name:
        if test is not None:
            raise ValueError(f"{name} has test environments of its own: leave out --test (test=).")
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
) -> MetaAgent:
    """Meta-train an agent and save it after each epoch; resume if the file holds fewer epochs.

    A folder with the name of the file, without its suffix, receives TensorBoard event files: the
    diagnostics of each epoch and, after the last one, the agent's embeddings of tasks (if it has
    any) for TensorBoard's projector.

    Args:
        tasks: Task set to learn from.
        name: Name of a meta-learning agent, or ``"module:Class"``.
        path: File of the agent, ``.safetensors``; it may hold an agent of fewer epochs.
        epochs: Number of epochs; the agent's ``meta_epochs`` by default.
        queries: Number of architectures per task; the agent's ``meta_queries`` by default.
        seeds: Number of agents, each trained independently.
        first_seed: Seed of the first agent; agent ``i`` has seed ``first_seed + i``.
        settings: Settings of the agent that differ from its defaults.
        progress_bar: Whether to show a progress bar on the terminal.

    Returns:
        The meta-trained agent.

    Raises:
        ValueError: If the agent does not meta-learn, a number is below 1, or the file holds an
            agent with other settings or seeds, or of another task set or search space.
        TypeError: If the agent has no such setting.
    """
    registered = _find_meta_agent(name)
    if seeds < 1 or first_seed < 0:
        raise ValueError(
            f"seeds must be at least 1 and first_seed at least 0, got {seeds} and {first_seed}."
        )
    if settings.get("pretrained"):
        raise ValueError(
            "Leave out pretrained=: to train a saved agent further, give its file as --out (path)."
        )
    path = agent_file(path)
    practice = SequentialVectorEnv(seeds, task=tasks.draw(np.random.default_rng(first_seed)))
    agent: Any = registered.make_agent(practice, settings, seed=first_seed)
    epochs = agent.meta_epochs if epochs is None else epochs
    queries = agent.meta_queries if queries is None else queries
    if path.exists():
        _resume(agent, path)
    agent.check_tasks(tasks, epochs, queries)
    if agent.epochs < epochs:
        _learn(agent, tasks, path, epochs, queries, progress_bar)
    _write_embeddings(agent, tasks, path.with_suffix(""))
    found: MetaAgent = agent
    return found


def _find_meta_agent(name: str) -> RegisteredAgent:
    """Return the meta-learning agent of a name; refuse other agents."""
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
    agent.load_state_dict(state)


def _learn(
    agent: MetaAgent, tasks: TaskSet, path: Path, epochs: int, queries: int, progress_bar: bool
) -> None:
    """Meta-train, and save and log after each epoch."""
    from stable_baselines3.common.logger import configure

    logger = configure(str(path.with_suffix("")), ["tensorboard"])

    def after_epoch(_: Agent) -> None:
        agent.save(path)
        for key, value in agent.meta_diagnostics().items():
            logger.record(key, value)
        logger.dump(step=agent.epochs)

    agent.meta_learn(tasks, epochs, queries, after_epoch, progress_bar)
    logger.close()


def _write_embeddings(agent: MetaAgent, tasks: TaskSet, folder: Path) -> None:
    """Write the agent's embeddings of tasks for TensorBoard's projector, unless they are there."""
    if (folder / f"{agent.epochs:05d}").exists():
        return
    embeddings: TaskEmbeddings | None = agent.task_embeddings(tasks)
    if embeddings is None:
        return
    from torch.utils.tensorboard import SummaryWriter

    vectors, labels = embeddings
    with SummaryWriter(str(folder)) as writer:
        writer.add_embedding(
            vectors,
            metadata=[list(each.values()) for each in labels],
            metadata_header=list(labels[0]),
            global_step=agent.epochs,
            tag="z",
        )
