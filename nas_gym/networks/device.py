"""Device selection, mixed precision and out-of-memory handling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from nas_gym.utils.errors import TrainingError

_Module = TypeVar("_Module", bound=nn.Module)
_T = TypeVar("_T")
_LARGE_IMAGE = 256
"""Number of pixels from which layout and precision matter on a CPU; results on smaller images, such
as digits, are the same on every CPU."""
_OUT_OF_MEMORY = ("out of memory", "allocate memory", "not enough memory", "ALLOC_FAILED")


def find_device(name: str = "auto") -> torch.device:
    """Return a device by its name in PyTorch.

    Args:
        name: Name such as ``"cpu"`` or ``"cuda:1"``; ``"auto"`` selects CUDA, else MPS, else the
            CPU.

    Raises:
        ValueError: If this machine has no such device.
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
    """Return a context manager that enables bfloat16 autocasting on CUDA and does nothing on other
    devices."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def training_precision(images: Tensor) -> AbstractContextManager[object]:
    """Return a context manager that enables bfloat16 autocasting where it makes training faster.

    This is on CUDA, and on CPUs with AVX512-BF16 for images of at least 256 pixels.

    Args:
        images: Batch of images, ``(n, channels, height, width)``.
    """
    if is_large_on_cpu(images) and has_fast_bfloat16():
        return torch.autocast("cpu", torch.bfloat16)
    return mixed_precision(images.device)


def is_large_on_cpu(images: Tensor) -> bool:
    """Return whether images are on the CPU and have at least 256 pixels each."""
    return images.device.type == "cpu" and images.shape[-2:].numel() >= _LARGE_IMAGE


@cache
def has_fast_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 numbers, with AVX512-BF16 or AMX."""
    find_capabilities = getattr(torch.cpu, "get_capabilities", None)  # since PyTorch 2.9
    return find_capabilities is not None and bool(find_capabilities().get("avx512_bf16", False))


@contextmanager
def without_tf32() -> Iterator[None]:
    """Disable TensorFloat-32 on CUDA within a context: finite differences need full float32."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


def move_to_device(network: _Module, device: torch.device) -> _Module:
    """Move a network to a device; on CUDA, convert its weights to the channels-last layout."""
    network = network.to(device)
    if device.type == "cuda":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def to_fast_layout(images: Tensor) -> Tensor:
    """Return images in the fastest layout for convolutions: channels last on CUDA and, for images
    of at least 256 pixels, on CPUs."""
    if images.device.type == "cuda" or is_large_on_cpu(images):
        return images.contiguous(memory_format=torch.channels_last)
    return images.contiguous()


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error reports a failed allocation, on any device."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in _OUT_OF_MEMORY
    )


def halve_on_out_of_memory(compute: Callable[[int], _T], batch_size: int) -> _T:
    """Return ``compute(batch_size)``; retry once with half the batch size if memory runs out.

    Raises:
        TrainingError: If memory runs out again.
    """
    try:
        return compute(batch_size)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    half = max(batch_size // 2, 1)
    try:
        return compute(half)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"Out of memory with batches of {half} images. Lower the network's channels, or close "
            "other programs that use the device."
        ) from error
