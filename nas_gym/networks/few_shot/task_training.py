"""Base class of meta-trainings on few-shot tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas_gym.networks.data.few_shot import FewShotBatch, TaskSampler
from nas_gym.networks.few_shot.processes import Processes


class TaskTraining(ABC):
    """Meta-training, epoch by epoch; it can be saved and resumed between two epochs.

    All random numbers depend on the seed and on the number of the meta-update only. With several
    processes, each one takes its own tasks, and results are averaged over processes in double
    precision, so that ``K`` processes with ``B`` tasks compute the same as one process with
    ``K * B`` tasks.

    Args:
        network: Network without running batch-norm statistics, on its device.
        train: Sampler of the tasks to learn from.
        valid: Sampler of the validation tasks.
        seed: Seed of all random draws.
        processes: Processes of a distributed training.

    Attributes:
        epoch: Number of finished epochs.
    """

    def __init__(
        self,
        network: nn.Module,
        train: TaskSampler,
        valid: TaskSampler,
        seed: int,
        processes: Processes | None = None,
    ) -> None:
        self.network, self.train, self.valid, self.seed = network, train, valid, seed
        self.processes = Processes() if processes is None else processes
        self.epoch = 0

    @abstractmethod
    def run_epoch(self) -> dict[str, float]:
        """Run the meta-updates of one epoch; return metrics of the epoch by name."""

    def finish(self) -> dict[str, float]:
        """Complete the training after its last epoch; subclasses may override this.

        Returns:
            Metrics that replace those of the last epoch.
        """
        return {}

    @abstractmethod
    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state of the training, including ``epoch`` and the weights ``network/...``."""

    @abstractmethod
    def load_state_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Restore a state that :meth:`state_arrays` returned."""

    def _rng(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *purpose])

    def _tasks(self, sampler: TaskSampler, count: int, rng: np.random.Generator) -> FewShotBatch:
        """Draw the tasks of all processes, and return those of this process."""
        seed = int(rng.integers(2**63))
        return sampler.draw(count * self.processes.size, seed).part(*self.processes.part(count))

    def _zeros(self, shape: tuple[int, ...]) -> Tensor:
        device = next(self.network.parameters()).device
        dtype = torch.float32 if device.type == "mps" else torch.float64
        return torch.zeros(shape, dtype=dtype, device=device)
