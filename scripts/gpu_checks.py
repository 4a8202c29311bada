"""Measure what networks take on a GPU, and print it.

    python scripts/gpu_checks.py           # speed and memory: a few minutes
    python scripts/gpu_checks.py --full    # also trains CIFAR-10's supernet and 20 cells: hours
    python scripts/gpu_checks.py --device cpu --quick   # the same code on a CPU, in a minute

CIFAR-10 is looked for as environments do; speed and memory are measured on noise where it is not.
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

LARGEST = np.full(6, 3)  # all edges with 3x3 convolutions


def cifar10() -> images.ImageData:
    """CIFAR-10, or noise of its shape."""
    try:
        return images.load_images("cifar10")
    except MissingDataError:
        return noise(5000)


def noise(count: int) -> images.ImageData:
    """So many images of the shape of those of CIFAR-10."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 10
    split = images.Split(rng.integers(0, 256, (count, 3, 32, 32), np.uint8), labels)
    return images.ImageData("cifar10", tuple("abcdefghij"), split, split, split)


def wait(device: torch.device) -> None:
    """Until everything is computed."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], object], device: torch.device, times: int) -> float:
    """The median of some calls, after two to warm up."""
    found = []
    for number in range(times + 2):
        wait(device)
        begun = time.perf_counter()
        call()
        wait(device)
        if number > 1:
            found.append(time.perf_counter() - begun)
    return float(np.median(found))


def evaluations(
    plan: NetworkPlan, data: images.ImageData, device: torch.device, count: int, valid: int
) -> None:
    """Evaluations a second of a supernet on some validation images."""
    supernet = Supernet(move_to_device(plan.build(), device), plan.describe(), 0.0)
    for calibration in (1000, 0):
        evaluator = SupernetEvaluator(supernet, data, calibration, valid)
        genotypes = evaluator.space.sample(count + 2, np.random.default_rng(0))
        evaluator.values("valid_accuracy", genotypes[:2])  # warm up
        wait(device)
        begun = time.perf_counter()
        evaluator.values("valid_accuracy", genotypes[2:])
        wait(device)
        rate = count / (time.perf_counter() - begun)
        print(f"supernet evaluations on {valid} images, calibration {calibration}: {rate:.1f}/s")


class Convolution(NamedTuple):
    """A convolution of a network, what it was given, and whether its backward pass ends there."""

    layer: nn.Conv2d
    inputs: torch.Tensor
    first: bool

    def output(self) -> torch.Tensor:
        """Its result."""
        with mixed_precision(self.inputs.device):
            result: torch.Tensor = self.layer(self.inputs)
        return result

    def forward_and_back(self) -> None:
        """What a step of training has to compute of it."""
        result = self.output()
        wanted = [self.layer.weight, *([] if self.first else [self.inputs])]
        torch.autograd.grad(result, wanted, torch.ones_like(result))

    def work(self) -> tuple[float, float]:
        """Floating-point operations and bytes in bfloat16, forward and back."""
        with torch.no_grad():
            result = self.output()
        passes = 2 if self.first else 3  # forward, weights, inputs
        macs = result.numel() * self.layer.weight[0].numel()
        moved = result.numel() + self.inputs.numel() + self.layer.weight.numel()
        return 2.0 * macs * passes, 2.0 * moved * passes


def convolutions(network: Network, batch: torch.Tensor) -> list[Convolution]:
    """All convolutions of a network."""
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


def step_against_convolutions(
    plan: NetworkPlan, train: DeviceImages, batch: int, times: int
) -> None:
    """A step of the largest path of the supernet, and its convolutions forward and back alone."""
    device = train.device
    network = move_to_device(plan.build(), device)
    training = Training(network, train, plan.training, 0, lambda _: LARGEST)
    given, labels = next(train.in_order(batch))
    drawn = torch.Generator().manual_seed(0)
    batches = seconds(
        lambda: next(train.shuffled(batch, plan.training.augmentation, drawn)), device, times
    )
    step = seconds(lambda: training.step(given, labels), device, times)
    parts = convolutions(network.subnet(LARGEST), given)
    bare = seconds(lambda: [part.forward_and_back() for part in parts], device, times)
    print(
        f"step on {batch} images: {1e3 * step:.2f} ms; its {len(parts)} convolutions alone: "
        f"{1e3 * bare:.2f} ms; ratio {step / bare:.2f}; augmenting the images: {1e3 * batches:.2f}"
        " ms"
    )
    roofline(parts, device, times)
    profile(lambda: training.step(given, labels), device)


def roofline(parts: list[Convolution], device: torch.device, times: int) -> None:
    """What convolutions reach of what the device can, by its measured peaks."""
    size = 8192 if device.type == "cuda" else 512
    square = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    peak = 2 * size**3 / seconds(lambda: square @ square, device, times)
    long = torch.empty(16 * size**2, device=device, dtype=torch.bfloat16)
    bandwidth = 2 * long.nbytes / seconds(long.clone, device, times)
    print(f"peaks: {peak / 1e12:.1f} TFLOP/s in bfloat16, {bandwidth / 1e9:.0f} GB/s")
    alike: dict[str, list[Convolution]] = {}
    for part in parts:
        shape = "x".join(map(str, part.inputs.shape))
        alike.setdefault(f"{tuple(part.layer.weight.shape)} on {shape}", []).append(part)
    for name, group in sorted(alike.items(), key=lambda item: -len(item[1])):
        taken = seconds(group[0].forward_and_back, device, times)
        operations, moved = group[0].work()
        roof = min(peak, operations / moved * bandwidth)
        print(
            f"{len(group)} of {name}: {1e3 * taken:.3f} ms, {operations / moved:.0f} FLOP a byte, "
            f"{operations / taken / 1e12:.2f} TFLOP/s, {operations / taken / roof:.0%} of the roof"
        )


def profile(call: Callable[[], object], device: torch.device) -> None:
    """Where the time goes, and how much of it the GPU is busy."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    wait(device)
    with torch.profiler.profile(activities=activities) as profiler:
        begun = time.perf_counter()
        for _ in range(5):
            call()
        wait(device)
        wall = time.perf_counter() - begun
    averages = profiler.key_averages()
    order = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    print(averages.table(sort_by=order, row_limit=12, max_name_column_width=50))
    kernels = [each for each in averages if each.device_type.name == "CUDA"]
    if kernels:  # operations of the CPU have the time of their kernels, too
        busy = sum(each.self_device_time_total for each in kernels) / 1e6
        print(f"GPU busy {busy / wall:.0%} of the time, the profiler's own included")


def memory(plan: NetworkPlan, data: images.ImageData, device: torch.device, batch: int) -> None:
    """Memory of a step: the largest single network, the supernet's path, and each method."""
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


def full(device: str) -> None:
    """Train the supernet of CIFAR-10 with the full budget; how it and 12 epochs rank cells."""
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
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="few and small, to try the code")
    parser.add_argument("--full", action="store_true", help="train, too")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here: skipped. (--device cpu --quick tries the code.)")
        return
    device = find_device(arguments.device)
    count, valid, batch, times = (2, 100, 8, 1) if arguments.quick else (100, 5000, 256, 20)
    data = noise(valid) if arguments.quick else cifar10()
    plan = supernet_plan("NB201", data).with_settings(batch_size=batch)
    if arguments.quick:
        plan = plan.with_settings(channels=4, cells=1)
    evaluations(plan, data, device, count, valid)
    step_against_convolutions(plan, DeviceImages.from_split(data, data.train, device), batch, times)
    memory(plan, data, device, batch)
    if arguments.full:
        full(arguments.device)


if __name__ == "__main__":
    main()
