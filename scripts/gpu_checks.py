"""Measure the speed and the memory of networks on a GPU, and print the results.

    python scripts/gpu_checks.py                        # a few minutes
    python scripts/gpu_checks.py --full                 # hours; trains a supernet and 20 cells
    python scripts/gpu_checks.py --device cpu --quick   # the same code on a CPU, in a minute

The measurements use CIFAR-10, or random images of the same shape if CIFAR-10 is not on this
machine. ``--full`` needs CIFAR-10.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import nn

from nas_gym.evaluators.supernet import SupernetEvaluator
from nas_gym.experiments.audit import audit
from nas_gym.experiments.train_supernet import run_supernet_training
from nas_gym.networks import data as images
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.device import find_device, mixed_precision, move_to_device, to_fast_layout
from nas_gym.networks.memory import measure_method_memory
from nas_gym.networks.network import Network
from nas_gym.networks.plans import NetworkPlan, supernet_plan
from nas_gym.networks.supernet import Supernet
from nas_gym.networks.training import Training
from nas_gym.utils.errors import MissingDataError

LARGEST = np.full(6, 3)
"""Genotype of the largest cell: 3x3 convolutions on all edges."""


def cifar10_or_random_images() -> images.ImageData:
    """Return CIFAR-10, or random images if it is not on this machine."""
    try:
        return images.load_images("cifar10")
    except MissingDataError:
        return random_images(5000)


def random_images(count: int) -> images.ImageData:
    """Return random images of the shape of CIFAR-10, ``count`` in each split."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 10
    split = images.Split(rng.integers(0, 256, (count, 3, 32, 32), np.uint8), labels)
    return images.ImageData("cifar10", tuple("abcdefghij"), split, split, split)


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def median_seconds(call: Callable[[], object], device: torch.device, times: int) -> float:
    """Return the median time in seconds of ``times`` calls, after two calls to warm up."""
    found = []
    for number in range(times + 2):
        synchronize(device)
        begun = time.perf_counter()
        call()
        synchronize(device)
        if number > 1:
            found.append(time.perf_counter() - begun)
    return float(np.median(found))


def measure_evaluations(
    plan: NetworkPlan, data: images.ImageData, device: torch.device, count: int, valid: int
) -> None:
    """Print the number of architectures that a supernet evaluates per second.

    Args:
        plan: Plan of the supernet.
        data: Images.
        device: Device to compute on.
        count: Number of architectures.
        valid: Number of validation images.
    """
    supernet = Supernet(move_to_device(plan.build(), device), plan.describe(), 0.0)
    for calibration in (1000, 0):
        evaluator = SupernetEvaluator(supernet, data, calibration, valid)
        genotypes = evaluator.space.sample(count + 2, np.random.default_rng(0))
        evaluator.values("valid_accuracy", genotypes[:2])  # warm up
        synchronize(device)
        begun = time.perf_counter()
        evaluator.values("valid_accuracy", genotypes[2:])
        synchronize(device)
        rate = count / (time.perf_counter() - begun)
        print(f"supernet evaluations on {valid} images, calibration {calibration}: {rate:.1f}/s")


class Convolution(NamedTuple):
    """A convolution of a network, and the inputs of the convolution.

    Attributes:
        layer: The convolution.
        inputs: Inputs of the convolution in a forward pass of the network.
        first: Whether the convolution is the first layer, which needs no gradient of the inputs.
    """

    layer: nn.Conv2d
    inputs: torch.Tensor
    first: bool

    def output(self) -> torch.Tensor:
        """Return the output of the convolution."""
        with mixed_precision(self.inputs.device):
            result: torch.Tensor = self.layer(self.inputs)
        return result

    def forward_and_backward(self) -> None:
        """Compute the output and the gradients, as a training step does."""
        result = self.output()
        wanted = [self.layer.weight, *([] if self.first else [self.inputs])]
        torch.autograd.grad(result, wanted, torch.ones_like(result))

    def work(self) -> tuple[float, float]:
        """Return the floating-point operations and the moved bytes (bfloat16) of both passes."""
        with torch.no_grad():
            result = self.output()
        passes = 2 if self.first else 3  # forward, weights, inputs
        macs = result.numel() * self.layer.weight[0].numel()
        moved = result.numel() + self.inputs.numel() + self.layer.weight.numel()
        return 2.0 * macs * passes, 2.0 * moved * passes


def convolutions(network: Network, batch: torch.Tensor) -> list[Convolution]:
    """Return the convolutions of a network with their inputs in a forward pass."""
    found: list[Convolution] = []

    def note(layer: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        inputs = given[0].detach().clone().requires_grad_()
        found.append(Convolution(cast("nn.Conv2d", layer), inputs, first=not found))

    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    with mixed_precision(batch.device):
        network(to_fast_layout(batch))
    for hook in hooks:
        hook.remove()
    return found


def measure_training_step(plan: NetworkPlan, train: DeviceImages, batch: int, times: int) -> None:
    """Print the time of a training step, and the time of the convolutions alone.

    Args:
        plan: Plan of the supernet; the step trains its largest path.
        train: Training images on the device.
        batch: Number of images in a batch.
        times: Number of timed steps.
    """
    device = train.device
    network = move_to_device(plan.build(), device)
    training = Training(network, train, plan.training, 0, lambda _: LARGEST)
    given, labels = next(train.in_order(batch))
    drawn = torch.Generator().manual_seed(0)
    batches = median_seconds(
        lambda: next(train.shuffled(batch, plan.training.augmentation, drawn)), device, times
    )
    step = median_seconds(lambda: training.step(given, labels), device, times)
    parts = convolutions(network.subnet(LARGEST), given)
    bare = median_seconds(lambda: [part.forward_and_backward() for part in parts], device, times)
    print(
        f"step on {batch} images: {1e3 * step:.2f} ms; its {len(parts)} convolutions alone: "
        f"{1e3 * bare:.2f} ms; ratio {step / bare:.2f}; augmenting the images: {1e3 * batches:.2f}"
        " ms"
    )
    measure_roofline(parts, device, times)
    print_profile(lambda: training.step(given, labels), device)


def measure_roofline(parts: list[Convolution], device: torch.device, times: int) -> None:
    """Print the speed of convolutions relative to the device's roofline.

    The roofline is computed from measured peaks of arithmetic and of memory bandwidth.
    """
    size = 8192 if device.type == "cuda" else 512
    square = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    peak = 2 * size**3 / median_seconds(lambda: square @ square, device, times)
    long = torch.empty(16 * size**2, device=device, dtype=torch.bfloat16)
    bandwidth = 2 * long.nbytes / median_seconds(long.clone, device, times)
    print(f"peaks: {peak / 1e12:.1f} TFLOP/s in bfloat16, {bandwidth / 1e9:.0f} GB/s")
    alike: dict[str, list[Convolution]] = {}
    for part in parts:
        shape = "x".join(map(str, part.inputs.shape))
        alike.setdefault(f"{tuple(part.layer.weight.shape)} on {shape}", []).append(part)
    for name, group in sorted(alike.items(), key=lambda item: -len(item[1])):
        taken = median_seconds(group[0].forward_and_backward, device, times)
        operations, moved = group[0].work()
        speed, roofline = operations / taken, min(peak, operations / moved * bandwidth)
        print(
            f"{len(group)} of {name}: {1e3 * taken:.3f} ms, {operations / moved:.0f} FLOP/byte, "
            f"{speed / 1e12:.2f} TFLOP/s, {speed / roofline:.0%} of the roofline"
        )


def print_profile(call: Callable[[], object], device: torch.device) -> None:
    """Print the slowest operations of five calls, and the share of time that the GPU is busy."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    synchronize(device)
    with torch.profiler.profile(activities=activities) as profiler:
        begun = time.perf_counter()
        for _ in range(5):
            call()
        synchronize(device)
        wall = time.perf_counter() - begun
    averages = profiler.key_averages()
    order = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    print(averages.table(sort_by=order, row_limit=12, max_name_column_width=50))
    kernels = [each for each in averages if each.device_type.name == "CUDA"]
    if kernels:  # entries of CPU operations would count the time of their kernels again
        busy = sum(each.self_device_time_total for each in kernels) / 1e6
        print(f"GPU busy {busy / wall:.0%} of the time, including the profiler's own")


def measure_memory(
    plan: NetworkPlan, data: images.ImageData, device: torch.device, batch: int
) -> None:
    """Print the memory of a training step of each method.

    Args:
        plan: Plan of the supernet.
        data: Images.
        device: Device to compute on.
        batch: Number of images in a batch.
    """
    train, valid = (
        DeviceImages.from_split(data, split, device) for split in (data.train, data.valid)
    )
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    found = measure_method_memory(plan, train, valid, LARGEST, batch)
    whole = found["largest network"]
    for name, each in found.items():
        print(
            f"{name}: {each.total / 2**20:.1f} MiB counted, "
            f"{max(each.allocated - before, 0) / 2**20:.1f} MiB allocated, "
            f"{each.total / whole.total:.2f} of the largest network"
        )


def audit_full_budget(device: str) -> None:
    """Print how well CIFAR-10's supernet, and 12 epochs of training from scratch, rank cells."""
    run_supernet_training("NB201", "cifar10", device=device)
    arguments = {"table": "nats-bench", "dataset": "cifar10"}
    for row in audit("NB201-cifar10-v0", ["supernet(images=5000)"], arguments, device=device):
        print(row)
    arguments = {"table": "nb201-12epochs", "dataset": "cifar10", "signal": "cifar10-val"}
    report = {"report": "cifar10-val"}
    for row in audit(
        "NB201-cifar10-v0", ["training(epochs=12)"], arguments | report, sample=20, device=device
    ):
        print(row)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--quick", action="store_true", help="measure only a little, to test the code"
    )
    parser.add_argument("--full", action="store_true", help="also train a supernet and 20 cells")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("Skipped: no CUDA device. To try the code, add --device cpu --quick.")
        return
    device = find_device(arguments.device)
    count, valid, batch, times = (2, 100, 8, 1) if arguments.quick else (100, 5000, 256, 20)
    data = random_images(valid) if arguments.quick else cifar10_or_random_images()
    plan = supernet_plan("NB201", data).with_settings(batch_size=batch)
    if arguments.quick:
        plan = plan.with_settings(channels=4, cells=1)
    measure_evaluations(plan, data, device, count, valid)
    measure_training_step(plan, DeviceImages.from_split(data, data.train, device), batch, times)
    measure_memory(plan, data, device, batch)
    if arguments.full:
        audit_full_budget(arguments.device)


if __name__ == "__main__":
    main()
