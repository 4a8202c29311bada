"""Where networks are computed, in what precision, and what if memory does not do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn

from nas_gym.utils.errors import TrainingError

_Module = TypeVar("_Module", bound=nn.Module)
_T = TypeVar("_T")
_OUT_OF_MEMORY = ("out of memory", "allocate memory", "not enough memory", "ALLOC_FAILED")


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


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where it is fast, on CUDA; float32 elsewhere."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


@contextmanager
def without_tf32() -> Iterator[None]:
    """No TensorFloat-32 on CUDA: all digits of float32, as finite differences need them."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


def move_to_device(network: _Module, device: torch.device) -> _Module:
    """A network on a device, its weights in the order that convolutions are fastest with."""
    network = network.to(device)
    if device.type == "cuda":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def to_fast_layout(images: Tensor) -> Tensor:
    """Images in the order that convolutions are fastest with: channels last on CUDA."""
    if images.device.type == "cuda":
        return images.contiguous(memory_format=torch.channels_last)
    return images.contiguous()


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether it says that memory did not do, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in _OUT_OF_MEMORY
    )


def halve_on_out_of_memory(attempt: Callable[[int], _T], size: int) -> _T:
    """The result of a computation on so many images at a time, or on half as many.

    Raises:
        TrainingError: memory does not do for half as many, either.
    """
    try:
        return attempt(size)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    half = max(size // 2, 1)
    try:
        return attempt(half)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"Memory does not do for {half} images at a time. Lower the network's channels, or "
            "let other programs on the device end."
        ) from error
