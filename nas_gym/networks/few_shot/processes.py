"""Averages over the processes of a distributed meta-training (AT-NAS paper, section 3.4)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed
from torch import Tensor

from nas_gym.utils.errors import TrainingError

_TIMEOUT = timedelta(minutes=10)  # after which a process that does not answer counts as dead


@dataclass(frozen=True)
class Processes:
    """Number of this process and of all processes of a distributed training.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over all processes, in one all-reduce.

        Raises:
            TrainingError: If another process ended or does not answer.
        """
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([each.reshape(-1) for each in tensors])
        try:
            torch.distributed.all_reduce(flat)
        except RuntimeError as error:
            raise TrainingError(
                f"Process {self.rank} of {self.size} lost another process: "
                f"{str(error).splitlines()[0]:.200} Run the same command again to continue from "
                "the latest checkpoint."
            ) from error
        flat /= self.size
        parts = torch.split(flat, [each.numel() for each in tensors])
        for each, part in zip(tensors, parts, strict=True):
            each.copy_(part.view_as(each))

    def part(self, count: int) -> tuple[int, int]:
        """Return the range of this process in ``size * count`` items."""
        return self.rank * count, (self.rank + 1) * count


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started; a process on its own joins none.

    Uses NCCL on CUDA devices, where ``"cuda"`` becomes the device of the process's local rank, and
    gloo on others.
    """
    if "WORLD_SIZE" not in os.environ:
        yield Processes()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group(backend, timeout=_TIMEOUT)
    try:
        yield Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()
