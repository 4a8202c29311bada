"""``nas-gym train-supernet`` and ``nas-gym audit``: neural networks, and signals that rank them."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_gym.cli.options import (
    DeviceOption,
    EnvArgument,
    SizeOption,
    ThreadsOption,
    environment_options,
    given,
    resumable,
)
from nas_gym.cli.output import (
    console,
    make_grid,
    print_grid,
    print_tensorboard_command,
)

app = typer.Typer()


@app.command("train-supernet")
def train_supernet_command(
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE_OR_ENV",
            help="NB201, DARTS or MnasNet, or the ID of an environment, such as NB201-photos-v0.",
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="digits, cifar10, cifar100, ImageNet16-120, omniglot, omniglot-full, imported "
            "images, or a folder or zip file of images; not after the ID of an environment."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to save the supernet to, .safetensors; by default the cache, where "
            "environments find it."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="NAME=VALUE: batch_size, learning_rate, channels, cells, ... May be given "
            "several times.",
        ),
    ] = None,
    ways: Annotated[
        int | None,
        typer.Option(
            help="Classes of a few-shot task; trains a meta-supernet. 5 by default on Omniglot."
        ),
    ] = None,
    shots: Annotated[
        int | None, typer.Option(help="Images per class of a few-shot task; 1 by default.")
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="Meta-training on few-shot tasks: atnas; base or base-paper for the agent base."
        ),
    ] = "atnas",
    size: SizeOption = None,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and of the training.")] = 0,
    device: DeviceOption = None,
    threads: ThreadsOption = 1,
) -> None:
    """Train a weight-sharing network of a search space. Resumes from the last saved epoch.

    With --ways, --shots or --method, or on Omniglot, it is trained on few-shot tasks."""
    from nas_gym.experiments.settings import use_torch_threads
    from nas_gym.experiments.train_supernet import (
        run_meta_supernet_training,
        run_supernet_training,
    )
    from nas_gym.networks.data.few_shot import FEW_SHOT_SETS
    from nas_gym.networks.few_shot.meta_supernet import MetaSupernet
    from nas_gym.utils.expressions import parse_settings

    use_torch_threads(threads)
    if dataset is None:
        space, dataset = _space_and_images(space)
    changed = parse_settings(settings or [])
    if epochs is not None:
        if "epochs" in changed:
            raise ValueError("The setting 'epochs' is given twice: with --epochs and with --set.")
        changed["epochs"] = epochs
    options: dict[str, Any] = {"size": size, "device": device or "auto", "seed": seed, **changed}
    tasks = given(ways=ways, shots=shots)
    is_default = out is None and not changed and not seed
    with resumable("The same command continues from the last saved epoch."):
        if tasks or method != "atnas" or dataset in FEW_SHOT_SETS:
            path, meta = run_meta_supernet_training(
                space, dataset, out, method=method, **tasks, **options
            )
            evaluator = f"few-shot(ways={meta.plan.ways},shots={meta.plan.shots})"
            what = f"{meta.plan.ways}-way {meta.plan.shots}-shot tasks"
            if isinstance(meta, MetaSupernet) and len(meta.fitness):
                what += f", best validation accuracy {meta.fitness[0]:.2f} %"
        else:
            path, found = run_supernet_training(space, dataset, out, **options)
            evaluator, what = None, f"best validation accuracy {found.best_accuracy:.2f} %"
    if os.environ.get("RANK", "0") != "0":  # torchrun started several processes; the first reports
        return
    console.print(f"{path}: {what}", markup=False)
    if method == "atnas":
        command = _search_command(space, dataset, size, None if is_default else path, evaluator)
    else:
        words = ["nas-gym", "search", f"{space}-cifar10-v0", "--agent", method]
        command = shlex.join([*words, "--pretrained", str(path)])
    console.print(f"Search with it: {command}", markup=False, soft_wrap=True)
    print_tensorboard_command(path.with_suffix(""))


def _space_and_images(env: str) -> tuple[str, str]:
    """Return the search space and the images of an environment of networks.

    Raises:
        ValueError: If the environment has no networks, or is missing.
    """
    import nas_gym  # noqa: F401  (registers the environments)
    from nas_gym.experiments.environments import check_env_id
    from nas_gym.networks.plans import NETWORKS
    from nas_gym.tasks import task_arguments

    if env in NETWORKS:
        raise ValueError(f"Name the images after {env}, such as {env} digits or {env} photos/.")
    check_env_id(env)
    arguments = task_arguments(env)
    space = arguments.get("space")
    if not isinstance(space, str) or "evaluator" in arguments:
        raise ValueError(f"{env} has no supernet. Name a search space and images, such as NB201 "
                         "photos/.")  # fmt: skip
    return space, arguments["dataset"]


def _search_command(
    space: str, dataset: str, size: int | None, supernet: Path | None, evaluator: str | None
) -> str:
    """Return the command that searches on a supernet.

    Args:
        space: Search space of the supernet.
        dataset: Images that it was trained on, as the user typed them.
        size: Height and width that the images were scaled to.
        supernet: Its file; ``None`` if environments find it in the cache.
        evaluator: Evaluator of few-shot tasks; ``None`` for a supernet of supervised learning.
    """
    from nas_gym.registration import BUILT_IN, image_environments

    known = {**BUILT_IN, **image_environments()}
    own = [(name, arguments) for name, arguments in known.items()
           if arguments.get("space") == space and "table" not in arguments]  # fmt: skip
    same = [each for each in own if each[1].get("evaluator") == evaluator]
    related = same or [each for each in own if "evaluator" in each[1]]
    tasks = {arguments["dataset"]: name for name, arguments in reversed(related)}
    env = tasks.get(dataset, related[0][0])
    options = given(
        evaluator=None if same else evaluator,
        dataset=None if dataset in tasks else dataset,
        size=size,
        supernet=supernet,
    )
    words = (word for name, value in options.items() for word in (f"--{name}", str(value)))
    return shlex.join(["nas-gym", "search", f"{env}-v0", *words])


@app.command("audit")
@environment_options("table", "report", "dataset", "size", "supernet", "device")
def audit_command(
    env: EnvArgument,
    signals: Annotated[
        list[str],
        typer.Argument(
            help="One or more signals: METRIC, TABLE:METRIC, predictor:FILE, supernet, "
            "training(epochs=12)."
        ),
    ],
    sample: Annotated[
        int | None,
        typer.Option(
            help="Number of random architectures; by default all, or 200 if a signal comes from "
            "neural networks."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    out: Annotated[Path | None, typer.Option(help="JSON file to write the results to.")] = None,
    *,
    env_arguments: dict[str, Any],
) -> None:
    """Measure how well the rankings of architectures by signals agree with the ranking by an
    environment's reported metric."""
    import nas_gym  # noqa: F401  (registers the environments)
    from nas_gym.experiments.audit import BEST, audit
    from nas_gym.utils.files import check_writable, write_atomically

    if out is not None:
        check_writable(out)
    names = ("dataset", "size", "supernet", "device")
    for_networks = {name: env_arguments.pop(name) for name in names if name in env_arguments}
    rows = audit(env, signals, env_arguments, sample=sample, seed=seed, **for_networks)
    precisions = [f"precision_at_{k}" for k in BEST if f"precision_at_{k}" in rows[0]]
    short = (name.replace("precision_at_", "P@") for name in precisions)
    grid = make_grid("signal", "Spearman", "Kendall", *short, "regret")
    for row in rows:
        shares = (f"{100 * row[name]:.0f} %" for name in precisions)
        correlations = (f"{row[name]:.3f}" for name in ("spearman", "kendall"))
        grid.add_row(row["signal"], *correlations, *shares, f"{row['regret']:.3g}")
    print_grid(grid)
    console.print(f"Over {rows[0]['architectures']:,} architectures.")
    if out is not None:
        write_atomically(out, (json.dumps(rows, indent=1) + "\n").encode())
