"""Training of a supernet with a progress bar, TensorBoard event files and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas_gym.networks import data as images
from nas_gym.networks.device import find_device
from nas_gym.networks.plans import supernet_plan
from nas_gym.networks.progress import progress_bar
from nas_gym.networks.supernet import Curves, Supernet, supernet_path, train_supernet
from nas_gym.utils.files import check_writable, explain_write_errors


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
        DataError: If images are missing, a file cannot be read or written, or another process
            trains the same file.
        TrainingError: If the training diverges, or there is too little memory.
    """
    if out is not None:
        _check_output(_with_suffix(out))
    where = find_device(device)
    data = images.load_images(dataset, size)
    plan = supernet_plan(space, data, seed).with_settings(**settings)
    path = supernet_path(plan, data.name) if out is None else _with_suffix(out)
    _check_output(path)
    events = _EventFile(path.with_suffix(""))
    with progress_bar(f"{space} on {data.name}", plan.training.epochs) as show:

        def on_epoch(epoch: int, values: dict[str, float]) -> None:
            show(epoch, values)
            events.write(epoch, values)

        found = train_supernet(
            plan, data, path, where, on_epoch, on_resume=events.begin, wait=False
        )
    events.close()
    return path, found


class _EventFile:
    """TensorBoard event file of a training.

    The file of a supernet also has the curves. When an interrupted training resumes, the event file
    is written again from these curves, so the event file is complete and has no epoch twice.

    Args:
        folder: Folder of the event file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._logger: Any = None

    def begin(self, curves: Curves | None) -> None:
        """Open the event file and write the curves of earlier epochs.

        Args:
            curves: The curves; ``None`` keeps earlier event files, which have them.
        """
        from stable_baselines3.common.logger import configure

        with explain_write_errors(self._folder):
            if curves is not None:
                for old in self._folder.glob("events.out.tfevents.*"):
                    old.unlink()
            self._logger = configure(str(self._folder), ["tensorboard"])
        epochs = zip(*(curves or {}).values(), strict=True)
        for epoch, values in enumerate(epochs, 1):
            self.write(epoch, dict(zip(curves or {}, values, strict=True)))

    def write(self, epoch: int, values: dict[str, float]) -> None:
        """Write the metrics of an epoch."""
        for name, value in values.items():
            self._logger.record(f"supernet/{name}", value)
        self._logger.dump(epoch)

    def close(self) -> None:
        """Write everything to disk."""
        self._logger.close()


def _check_output(path: Path) -> None:
    """Raise an error unless the file and the folder of the event file can be written."""
    check_writable(path)
    with explain_write_errors(path.with_suffix("")):
        path.with_suffix("").mkdir(exist_ok=True)


def _with_suffix(out: Path) -> Path:
    """Return a path with the suffix ``.safetensors``; names such as ``lr0.05`` keep their dots.

    Raises:
        ValueError: If the path does not end with the name of a file.
    """
    if out.name in ("", ".."):
        raise ValueError(f"{str(out)!r} is not the name of a file. Name one with --out FILE.")
    return out if out.suffix == ".safetensors" else out.with_name(f"{out.name}.safetensors")
