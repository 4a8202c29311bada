"""``nas-gym train`` and ``nas-gym classify``: train the network of an architecture, and use it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_gym.cli.options import (
    DeviceOption,
    ThreadsOption,
    complete_environments,
    given,
    resumable,
)
from nas_gym.cli.output import console, print_tensorboard_command

app = typer.Typer()

_MOST_ERRORS = 10  # images that could not be read, shown one by one


@app.command("train")
def train_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_ARCHITECTURE",
            help="Folder of `nas-gym search`, whose best architecture is trained, or an "
            "architecture as text.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Output folder.")],
    task: Annotated[
        str | None,
        typer.Option(
            help="Environment with the images, such as NB201-photos; by default, that of the "
            "search.",
            autocompletion=complete_environments,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the training images; by default 200 for NB201 and 1,000 for DARTS."
        ),
    ] = None,
    fine_tune: Annotated[
        bool, typer.Option("--fine-tune", help="Start from the weights of the task's supernet.")
    ] = False,
    supernet: Annotated[
        Path | None, typer.Option(help="File of the supernet, instead of the cached one.")
    ] = None,
    validate: Annotated[
        bool,
        typer.Option(
            "--validate",
            help="Keep the validation images out of the training, and measure their accuracy after "
            "each epoch.",
        ),
    ] = False,
    onnx: Annotated[
        bool,
        typer.Option("--onnx", help="Also write an ONNX file, and compare it with PyTorch."),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="NAME=VALUE: batch_size, learning_rate, channels, pad, flip, cutout, auxiliary, "
            "drop_path, ... May be given several times.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and of the training.")] = 0,
    device: DeviceOption = None,
    threads: ThreadsOption = 1,
) -> None:
    """Train the network of the best architecture of a search, or of a given architecture.

    Resumes from the last checkpoint. Writes the weights, model.json, curves, a confusion matrix and
    a drawing."""
    import nas_gym
    from nas_gym.utils.expressions import parse_settings

    changed = parse_settings(settings or [])
    if epochs is not None and "epochs" in changed:
        raise ValueError("The setting 'epochs' is given twice: with --epochs and with --set.")
    with resumable("The same command continues from the last checkpoint."):
        network = nas_gym.train_network(
            source,
            task,
            out=out,
            fine_tune=fine_tune,
            supernet=supernet,
            validate=validate,
            onnx=onnx,
            seed=seed,
            device=device or "auto",
            threads=threads,
            **given(epochs=epochs),
            **changed,
        )
    metrics = network.description["metrics"]
    console.print(network.description["arch"], markup=False)
    console.print(
        f"test accuracy {metrics['test_accuracy']:.2f} % of {metrics['images']['test']:,} images, "
        f"{metrics['params']:.3g} M parameters, {metrics['training_seconds']:.0f} s of training"
    )
    names = sorted(each.name for each in out.iterdir() if not each.name.startswith("."))
    console.print(f"{out}: {', '.join(names)}", markup=False)
    print_tensorboard_command(out / "tensorboard")


@app.command("classify")
def classify_command(
    model: Annotated[Path, typer.Argument(help="Folder that `nas-gym train` wrote.")],
    images: Annotated[Path, typer.Argument(help="Folder or zip file of images.")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("predictions.csv"),
    device: DeviceOption = None,
) -> None:
    """Classify images with a trained network, and write a CSV file.

    If every image is in a folder with the name of a class, the accuracy is printed."""
    import nas_gym
    from nas_gym.experiments.classify import accuracy_by_folder, classify_images, to_csv
    from nas_gym.utils.files import check_writable, write_atomically

    check_writable(out)
    network = nas_gym.load_network(model, device or "cpu")
    rows = classify_images(network, images)
    write_atomically(out, to_csv(rows))
    failed = [row for row in rows if row.error]
    for row in failed[:_MOST_ERRORS]:
        console.print(row.error, markup=False)
    text = f"{out}: {len(rows) - len(failed):,} images classified"
    if failed:
        text += f", {len(failed):,} could not be read"
    console.print(text, markup=False)
    accuracy = accuracy_by_folder(rows, network.classes)
    if accuracy is not None:
        console.print(f"accuracy {accuracy:.2f} % (folders have the names of classes)")
