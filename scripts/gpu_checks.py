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
from functools import partial

import numpy as np
import torch
from torch import nn

from nas_gym.errors import MissingDataError
from nas_gym.evaluators.supernet import SupernetEvaluator
from nas_gym.experiments.audit import audit
from nas_gym.experiments.train_supernet import train_supernet
from nas_gym.supernets import data as images
from nas_gym.supernets.batches import Resident
from nas_gym.supernets.device import arranged, find_device, precision
from nas_gym.supernets.memory import memory_of_step
from nas_gym.supernets.network import Network
from nas_gym.supernets.plans import Plan, supernet_plan
from nas_gym.supernets.searches import SEARCHES
from nas_gym.supernets.supernet import Supernet
from nas_gym.supernets.training import Training

LARGEST = [3] * 6  # all edges with 3x3 convolutions


def cifar10(count: int) -> images.ImageData:
    """CIFAR-10, or noise of its shape."""
    try:
        return images.load("cifar10")
    except MissingDataError:
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
    plan: Plan, data: images.ImageData, device: torch.device, count: int, valid: int
) -> None:
    """Evaluations a second of a supernet on some validation images."""
    supernet = Supernet(plan.build().to(device), plan.describe(), 0.0)
    for calibration in (1000, 0):
        evaluator = SupernetEvaluator(supernet, data, calibration, valid)
        indices = evaluator.space.encode(
            evaluator.space.sample(count + 2, np.random.default_rng(0))
        )
        evaluator.values("valid_accuracy", indices[:2])  # warm up
        wait(device)
        begun = time.perf_counter()
        evaluator.values("valid_accuracy", indices[2:])
        wait(device)
        rate = count / (time.perf_counter() - begun)
        print(f"supernet evaluations on {valid} images, calibration {calibration}: {rate:.1f}/s")


def convolutions(network: Network, batch: torch.Tensor) -> list[tuple[nn.Module, torch.Tensor]]:
    """The convolutions of a network, and what each is given."""
    found: list[tuple[nn.Module, torch.Tensor]] = []

    def note(layer: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        found.append((layer, given[0].detach().clone().requires_grad_()))

    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    with precision(batch.device):
        network(arranged(batch))
    for hook in hooks:
        hook.remove()
    return found


def step_against_convolutions(plan: Plan, train: Resident, batch: int, times: int) -> None:
    """A step of the largest path of the supernet, and its convolutions forward and back alone."""
    device = train.images.device
    choose = partial(np.array, LARGEST)
    training = Training(plan.build().to(device), train, plan.recipe, 0, lambda _: choose())
    given, labels = next(train.in_order(batch))
    step = seconds(lambda: training.step(given, labels), device, times)
    parts = convolutions(training.network.subnet(LARGEST), given)

    def alone() -> None:
        for layer, inputs in parts:
            with precision(device):
                result = layer(inputs)
            result.backward(torch.ones_like(result))

    bare = seconds(alone, device, times)
    print(
        f"step on {batch} images: {1e3 * step:.2f} ms; its {len(parts)} convolutions alone: "
        f"{1e3 * bare:.2f} ms; ratio {step / bare:.2f}"
    )
    profile(lambda: training.step(given, labels), device)


def profile(call: Callable[[], object], device: torch.device) -> None:
    """Where the time goes, and how much of it the GPU is busy."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    wait(device)
    begun = time.perf_counter()
    with torch.profiler.profile(activities=activities, with_flops=True) as profiler:
        for _ in range(5):
            call()
        wait(device)
    wall = time.perf_counter() - begun
    averages = profiler.key_averages()
    order = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    print(averages.table(sort_by=order, row_limit=12, max_name_column_width=50))
    if device.type == "cuda":
        busy = sum(each.self_device_time_total for each in averages) / 1e6
        flops = sum(each.flops for each in averages)
        print(
            f"GPU busy {busy / wall:.0%} of the time; {flops / busy / 1e12:.1f} TFLOP/s while busy"
        )


def memory(plan: Plan, data: images.ImageData, device: torch.device, batch: int) -> None:
    """Memory of a step: the largest single network, the supernet's path, and each method."""
    train, valid = (Resident.of(data, split, device) for split in (data.train, data.valid))
    largest = Training(plan.build(LARGEST).to(device), train, plan.recipe, 0)
    whole = memory_of_step(largest, batch)
    choose = partial(np.array, LARGEST)
    path = Training(plan.build().to(device), train, plan.recipe, 0, lambda _: choose())
    found = {"largest network": whole, "its path of the supernet": memory_of_step(path, batch)}
    for name, search in SEARCHES.items():
        training = search(plan.build().to(device), train, valid, plan.recipe, 0)
        training.begin_epoch()
        found[name] = memory_of_step(training, batch)
    for name, each in found.items():
        print(
            f"{name}: {each.total / 2**20:.1f} MiB counted, {each.allocated / 2**20:.1f} MiB "
            f"allocated, {each.total / whole.total:.2f} of the largest network"
        )


def full(device: str) -> None:
    """Train the supernet of CIFAR-10 with the full budget; how it and 12 epochs rank cells."""
    train_supernet("NB201", "cifar10", device=device)
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
    device = find_device(arguments.device)
    count, valid, batch, times = (2, 100, 8, 1) if arguments.quick else (100, 5000, 256, 20)
    data = cifar10(valid)
    plan = supernet_plan("NB201", data).with_settings(batch_size=batch)
    if arguments.quick:
        plan = plan.with_settings(channels=4, cells=1)
    evaluations(plan, data, device, count, valid)
    step_against_convolutions(plan, Resident.of(data, data.train, device), batch, times)
    memory(plan, data, device, batch)
    if arguments.full:
        full(arguments.device)


if __name__ == "__main__":
    main()
