"""TensorBoard event files of trainings of networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas_gym.networks.supernet import Curves
from nas_gym.utils.files import explain_write_errors


class TrainingEvents:
    """TensorBoard event file of a training.

    The checkpoint of a training also has the curves. When an interrupted training resumes, the
    event file is written again from these curves, so it is complete and has no epoch twice.

    Args:
        folder: Folder of the event file.
        prefix: First part of the names of metrics, before a slash.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder, self._prefix = folder, prefix
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
            self._logger.record(f"{self._prefix}/{name}", value)
        self._logger.dump(epoch)

    def close(self) -> None:
        """Write everything to disk."""
        self._logger.close()
