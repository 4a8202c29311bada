"""Training of a supernet with a progress bar, TensorBoard event files and checkpoints."""

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
    """Train the supernet of a search space on a data set; resume from the last saved epoch.

    Args:
        space: ``"NB201"`` or ``"DARTS"``.
        dataset: Name of images, or a folder or zip file of images.
        out: File of the supernet, ``.safetensors``; by default the cached one, which environments
            find. A folder of the same name, without the suffix, receives TensorBoard event files.
        size: Height and width in pixels that images of a folder are scaled to.
        device: Device to compute on.
        seed: Seed of the initial weights and of the training.
        **settings: Values that differ from :func:`nas_gym.networks.plans.supernet_plan`, such as
            ``epochs`` and ``channels``.

    Returns:
        The file, and the supernet in it.

    Raises:
        ValueError: If the space, the device or a setting is unknown, or the file was trained with
            other settings.
        DataError: If images are missing, or a file cannot be read or written.
        TrainingError: If the training diverges, or there is too little memory.
    """
    from stable_baselines3.common.logger import configure

    where = find_device(device)
    data = images.load_images(dataset, size)
    plan = supernet_plan(space, data, seed).with_settings(**settings)
    path = supernet_path(plan, data.name) if out is None else _with_suffix(out)
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


def _with_suffix(out: Path) -> Path:
    """Return a path with the suffix ``.safetensors``; names such as ``lr0.05`` keep their dots."""
    return out if out.suffix == ".safetensors" else out.with_name(f"{out.name}.safetensors")
