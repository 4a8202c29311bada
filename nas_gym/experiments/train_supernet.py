"""Train a supernet from the command line: with a progress bar, TensorBoard and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas_gym.networks import data as images
from nas_gym.networks.device import find_device
from nas_gym.networks.plans import supernet_plan
from nas_gym.networks.progress import progress_bar
from nas_gym.networks.supernet import Supernet, supernet_path, train_supernet


def run_supernet_training(
    space: str,
    dataset: str,
    out: Path | None = None,
    *,
    size: int | None = None,
    device: str = "auto",
    seed: int = 0,
    **settings: Any,
) -> tuple[Path, Supernet]:
    """Train the supernet of a search space on a data set; goes on where that was cut off.

    Args:
        space: ``"NB201"`` or ``"DARTS"``.
        dataset: images by name, or a folder or zip file of them.
        out: the file, ``.safetensors``; by default that of the cache, which environments find.
            TensorBoard event files lie beside it, in a folder of its name.
        size: images of a folder are scaled to so many pixels.
        device: where to compute.
        seed: of weights and training.
        **settings: other numbers than those of :func:`nas_gym.networks.plans.supernet_plan`, such
            as ``epochs`` and ``channels``.

    Returns:
        the file, and what is in it.

    Raises:
        ValueError: an unknown space, device or setting, or the file is of other settings.
        DataError: images that are not here, or a file that cannot be read or written.
        TrainingError: it diverged, or memory does not do.
    """
    from stable_baselines3.common.logger import configure

    where = find_device(device)
    data = images.load_images(dataset, size)
    plan = supernet_plan(space, data, seed).with_settings(**settings)
    path = supernet_path(plan, data.name) if out is None else _named(out)
    logger = configure(str(path.with_suffix("")), ["tensorboard"])
    with progress_bar(f"{space} on {data.name}", plan.training.epochs) as show:

        def report(epoch: int, values: dict[str, float]) -> None:
            show(epoch, values)
            for name, value in values.items():
                logger.record(f"supernet/{name}", value)
            logger.dump(epoch)

        found = train_supernet(plan, data, path, where, report)
    logger.close()
    return path, found


def _named(out: Path) -> Path:
    """The file with its ending; a name may have dots of its own, such as ``lr0.05``."""
    return out if out.suffix == ".safetensors" else out.with_name(f"{out.name}.safetensors")
