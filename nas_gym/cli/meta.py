"""``nas-gym meta-train`` and ``nas-gym predict``: agents that learn from earlier tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nas_gym.cli.options import (
    EnvArgument,
    FirstSeedOption,
    RayOption,
    SettingsOption,
    environment_options,
    ray_runner,
    resumable,
)
from nas_gym.cli.output import console, make_grid, print_grid, print_tensorboard_command

app = typer.Typer()


@app.command("meta-train")
def meta_train_command(
    task_set: Annotated[
        str,
        typer.Argument(
            help="Task set, such as nb201-images/cifar10; or environment IDs, separated by commas."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to save the agent to, .safetensors.")],
    agent: Annotated[
        str, typer.Option(help="catch, mpnas, mpnas-mixture, or module:Class.")
    ] = "catch",
    test: Annotated[
        str | None,
        typer.Option(help="IDs of the test environments, if TASK_SET is a list of IDs."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs of meta-training; the agent's default if omitted. One epoch is one task "
            "for catch, 100 gradient steps for mpnas."
        ),
    ] = None,
    queries: Annotated[
        int | None,
        typer.Option(
            help="Architectures that the agent learns from in each task; the agent's default if "
            "omitted."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of agents, each trained independently.")] = 1,
    first_seed: FirstSeedOption = 0,
    settings: SettingsOption = None,
    ray: RayOption = None,
) -> None:
    """Meta-train an agent for `search --pretrained`. Resumes if OUT holds fewer epochs."""
    import nas_gym  # noqa: F401  (registers the environments)
    from nas_gym.agents.common.saved import agent_file
    from nas_gym.experiments.meta_train import find_task_set, meta_train
    from nas_gym.utils.expressions import parse_settings

    tasks = find_task_set(task_set, test)
    with resumable(), ray_runner(ray, None) as runner:
        learned = meta_train(
            tasks,
            agent,
            out,
            epochs=epochs,
            queries=queries,
            seeds=seeds,
            first_seed=first_seed,
            settings=parse_settings(settings or []),
            runner=runner,
        )
    file = agent_file(out)
    epochs_learned = f"{learned.epochs} epoch{'s' * (learned.epochs != 1)}"
    console.print(f"Learned in {epochs_learned} from {tasks.name}: {file}", markup=False)
    console.print(f"Test environments: {', '.join(tasks.test)}", markup=False)
    print_tensorboard_command(file.with_suffix(""))


@app.command("predict")
@environment_options()
def predict_command(
    env: EnvArgument,
    pretrained: Annotated[Path, typer.Option(help="Meta-trained mpnas agent.")],
    shots: Annotated[
        int, typer.Option(help="Random architectures to evaluate and fine-tune on.")
    ] = 5,
    seed: Annotated[
        int,
        typer.Option(help="Seed of the random architectures, and number of the saved agent."),
    ] = 0,
    top: Annotated[int, typer.Option(help="Number of architectures to show.")] = 10,
    save: Annotated[
        Path | None, typer.Option(help="File to save the fitted predictor to, .safetensors.")
    ] = None,
    *,
    env_arguments: dict[str, Any],
) -> None:
    """Rank the architectures of a task with a meta-learned predictor and a few evaluations."""
    import numpy as np

    import nas_gym  # noqa: F401  (registers the environments)
    from nas_gym.agents.common.saved import agent_file
    from nas_gym.evaluators import PREDICTOR
    from nas_gym.experiments.environments import check_env_id
    from nas_gym.experiments.predict import rank_architectures
    from nas_gym.tasks import make_task, task_arguments
    from nas_gym.utils.files import check_writable
    from nas_gym.utils.ranks import spearman

    check_env_id(env)
    if save is not None:
        check_writable(agent_file(save))
    task = make_task(**{**task_arguments(env), **env_arguments})
    ranking = rank_architectures(task, pretrained, shots, seed)
    metric = task.report_metric
    grid = make_grid("score", f"{metric.name} {metric.unit}".rstrip(), "architecture")
    for index, score in zip(ranking.indices[:top].tolist(), ranking.scores, strict=False):
        text = task.space.to_text(task.space.decode([index]))[0]
        grid.add_row(f"{score:.4f}", f"{task.reported(np.array(index)):.6g}", text)
    print_grid(grid)
    console.print(f"{shots} shots, {ranking.predictor.fine_tuning_steps} steps of fine-tuning")
    if task.optimum is not None:  # otherwise the rewards of all others would have to be computed
        others = ~np.isin(ranking.indices, ranking.shots)
        correlation = spearman(ranking.scores[others], task.reward(ranking.indices[others]))
        console.print(
            f"Spearman correlation with the rewards of the {others.sum():,} others: "
            f"{correlation:.3f}"
        )
    if save is not None:
        file = agent_file(save)
        what = f"{task.signal} of {task.dataset}, {shots} shots, seed {seed}"
        ranking.predictor.save(file, maximize=task.direction > 0, description=what)
        console.print(f"An environment on it: gym.make({env!r}, signal='{PREDICTOR}:{file}')")
