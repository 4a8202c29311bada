"""Let an agent learn from a task set: saved after every epoch, taken up where it was cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.meta_agent import MetaAgent
from nas_gym.agents.common.saved import agent_file
from nas_gym.agents.registry import find_agent, meta_agent_names
from nas_gym.envs.sequential import SequentialVectorEnv
from nas_gym.tasks import task_sets
from nas_gym.tasks.task_set import TaskSet, task_set_of_environments


def find_task_set(name: str, test: str | None = None) -> TaskSet:
    """The task set of a name, or of environment IDs separated by commas.

    Args:
        name: as :func:`nas_gym.tasks.task_sets.load_task_set` knows it, or the IDs to learn from.
        test: the IDs to be tested on, where IDs are given.

    Raises:
        KeyError: an unknown name.
        ValueError: IDs without ``test``.
        LeakError: training would tell of the tests.
    """
    if "-v" not in name:
        if test is not None:
            raise ValueError(f"{name} has its own tests: leave out --test.")
        return task_sets.load_task_set(name)
    if test is None:
        raise ValueError("Environments to learn from need others to be tested on: give --test IDS.")
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
    settings: dict[str, Any],
    progress_bar: bool = True,
) -> MetaAgent:
    """Meta-train an agent and save it, whole after each epoch; go on from what is there.

    TensorBoard event files go to a folder beside the file: means over each epoch and, at the end,
    the agent's embeddings of its tasks for TensorBoard's projector, if it has any.

    Args:
        tasks: what it learns from.
        name: Name of a meta-learning agent.
        path: the file, ``.safetensors``; it may hold an agent of fewer epochs.
        epochs, queries: as of the agent's ``meta_learn``; its own defaults where not given.
        seeds: how many agents learn side by side, each from tasks of its own.
        first_seed: of the first of them.
        settings: of the agent.
        progress_bar: show one on the terminal.

    Raises:
        ValueError: the file holds an agent with other settings, seeds, another task set or search
            space; an agent that does not meta-learn; or counts below 1.
    """
    registered = find_agent(name)
    if registered.is_function or not issubclass(registered.agent_class, MetaAgent):
        names = ", ".join(meta_agent_names())
        raise ValueError(f"{name!r} does not meta-learn. Agents that do: {names}.")
    if seeds < 1 or first_seed < 0:
        raise ValueError(
            f"There is at least 1 seed, the first at least 0; got {seeds} from {first_seed} on."
        )
    if settings.get("pretrained"):
        raise ValueError("Leave out pretrained=: to train a saved agent further, name it as --out.")
    path = agent_file(path)
    practice = SequentialVectorEnv(seeds, task=tasks.draw(np.random.default_rng(first_seed)))
    agent = registered.make_agent(practice, settings, seed=first_seed)
    assert isinstance(agent, MetaAgent)
    epochs = agent.meta_epochs if epochs is None else epochs
    queries = agent.meta_queries if queries is None else queries
    if path.exists():
        state = agent.read_pretrained(path.absolute())
        found = agent.saved_config(state), int(state["seed"]), len(state["best_fitness"])
        wanted = agent.config, first_seed, seeds
        if found != wanted:
            raise ValueError(
                f"{path} holds an agent with other settings or seeds. Choose another --out, or "
                "delete it."
            )
        agent.load_state_dict(state)
    agent.check_tasks(tasks, epochs, queries)
    if agent.epochs < epochs:
        _learn(agent, tasks, path, epochs, queries, progress_bar)
    folder = path.with_suffix("")
    if not (folder / f"{agent.epochs:05d}").exists():
        write_embeddings(agent, tasks, folder)
    return agent


def _learn(
    agent: MetaAgent, tasks: TaskSet, path: Path, epochs: int, queries: int, progress_bar: bool
) -> None:
    """Meta-learn, saving and logging after each epoch."""
    from stable_baselines3.common.logger import configure

    logger = configure(str(path.with_suffix("")), ["tensorboard"])

    def keep(_: Agent) -> None:
        agent.save(path)
        for key, value in agent.meta_diagnostics().items():
            logger.record(key, value)
        logger.dump(step=agent.epochs)

    agent.meta_learn(tasks, epochs, queries, keep, progress_bar)
    logger.close()


def write_embeddings(agent: MetaAgent, tasks: TaskSet, folder: Path) -> None:
    """Write the agent's embeddings of the tasks that it met, for TensorBoard's projector.

    Args:
        agent: Agent that was meta-trained on ``tasks``; nothing is written if it has no embeddings.
        tasks: Task set that it has learned from.
        folder: Folder of the TensorBoard event files.
    """
    embeddings = agent.task_embeddings(tasks)
    if embeddings is None:
        return
    from torch.utils.tensorboard import SummaryWriter

    vectors, labels = embeddings
    with SummaryWriter(str(folder)) as writer:
        writer.add_embedding(
            vectors,
            metadata=[list(row.values()) for row in labels],
            metadata_header=list(labels[0]),
            global_step=agent.epochs,
            tag="z",
        )
