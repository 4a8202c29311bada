"""Where networks are computed, and in what precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def find_device(name: str = "auto") -> torch.device:
    """A device by name, or the fastest of this machine: CUDA, MPS or the CPU.

    Raises:
        ValueError: a device that is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"There is no device {name!r} here: {reason} Choose 'auto' or 'cpu'."
        ) from error
    return device


def precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where it is fast, on CUDA; float32 elsewhere."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def arranged(images: Tensor) -> Tensor:
    """Images in the order that convolutions are fastest with: channels last on CUDA."""
    if images.device.type == "cuda":
        return images.contiguous(memory_format=torch.channels_last)
    return images
