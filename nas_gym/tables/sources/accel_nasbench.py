"""Accel-NASBench: MnasNet-like networks trained on ImageNet and measured on six accelerators.

Ahmad et al., *Accel-NASBench: Sustainable Benchmarking for Accelerator-Aware NAS*, DAC 2024.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import MnasNetSpace
from nas_gym.spaces.mnasnet import BLOCKS
from nas_gym.tables.published import ACCEL_NASBENCH, ACCEL_NASBENCH_COMMIT
from nas_gym.tables.sources import reading
from nas_gym.tables.table import Metric, Objective, Table
from nas_gym.utils.errors import DamagedDataError

NAME = "accel-nasbench"
SHA256 = ACCEL_NASBENCH.sha256
URL = ACCEL_NASBENCH.url

DEVICES = {  # name in the files -> description
    "a100": "NVIDIA A100",
    "3090": "NVIDIA RTX 3090",
    "tpuv2": "Cloud TPU v2",
    "tpuv3": "Cloud TPU v3",
    "zcu102": "Xilinx ZCU102",
    "vck190": "Xilinx VCK190",
}
_FPGAS = ("zcu102", "vck190")
_TOP1, _TOP5 = ("metrics", "val_top1"), ("metrics", "val_top5")
_Place = tuple[str, ...]
"""Keys that lead to a number in the JSON value of a training."""

_PLACES: dict[str, _Place] = {  # of the metrics, without those of single trainings
    "top1": _TOP1,
    "top5": _TOP5,
    "seconds": ("metrics", "train_time"),
    "params": ("model_info", "params"),
    "macs": ("model_info", "macs"),
    **{
        f"{device}-throughput": ("platform_perf", f"throughput_{device}", "throughput_mean")
        for device in DEVICES
    },
    **{
        f"{device}-latency": ("platform_perf", f"latency_{device}", "latency_mean")
        for device in _FPGAS
    },
}
_LARGEST_FILE = 1_000_000  # bytes of a file of the archive; the published ones have 1.4 kB


def read_accel_nasbench(path: str | Path) -> Table:
    """Read the table ``accel-nasbench`` from the publisher's archive.

    The archive has 5,138 trainings of 5,125 networks; 13 networks were trained and measured twice.
    ``top1`` and ``top5`` are accuracies in % on the validation images of ImageNet after a short
    training (the benchmark's proxy), so they are lower than published accuracies; a network that
    was trained twice has the mean. ``top1@0``, ``top5@0``, ``top1@1`` and ``top5@1`` are the
    accuracies of the first and the second training. ``seconds`` is the time of a training,
    ``params`` the number of parameters and ``macs`` the number of operations, in millions (see
    :func:`nas_gym.spaces.mnasnet_cost.count_mnasnet_macs`).

    ``<device>-throughput`` is in images/s; higher is better. The two FPGAs also have
    ``<device>-latency`` in ms. Devices are the keys of :data:`DEVICES`. Some networks were not
    measured on a device.

    Source: https://github.com/afzalxo/Accel-NASBench (Apache-2.0).

    Raises:
        MissingDataError: If there is no such file.
        DamagedDataError: If it is not the published file.
    """
    content = reading.read_published_file(path, URL)
    advice = f"Delete or rename it, and run `nas-gym data fetch {NAME}`."
    reading.check_sha256(content, SHA256, path, advice)
    return build_accel_nasbench(list(read_trainings(content, path)), path)


def read_trainings(content: bytes, path: str | Path) -> Iterator[tuple[str, Any]]:
    """Yield the name and the JSON value of each training in an archive, in the order of names.

    Args:
        content: Content of the archive.
        path: Path of the archive, for messages.

    Raises:
        DamagedDataError: If it is not a tar archive of JSON files.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            members = [each for each in archive.getmembers() if each.name.endswith(".json")]
            for member in sorted(members, key=lambda each: (len(each.name), each.name)):
                file = archive.extractfile(member)
                if file is None or member.size > _LARGEST_FILE:
                    raise ValueError(f"{member.name} is not a file of {_LARGEST_FILE:,} bytes")
                yield member.name, json.loads(file.read())
    except (tarfile.TarError, ValueError, EOFError, OSError) as error:
        raise DamagedDataError(f"{path} is not a tar archive of JSON files: {error}.") from error


def build_accel_nasbench(trainings: list[tuple[str, Any]], path: str | Path) -> Table:
    """Return the table of the given trainings.

    Args:
        trainings: Name and JSON value of each file of the archive.
        path: Path of the archive, for messages.

    Raises:
        DamagedDataError: If there is no training, a file lacks a value, or a value is not a
            positive number.
    """
    if not trainings:
        raise DamagedDataError(f"{path} has no trainings.")
    read = [_read_training(name, training, path) for name, training in trainings]
    texts = [text for text, _ in read]
    try:
        space = MnasNetSpace(MnasNetSpace().from_text(texts))
    except ValueError as error:
        raise DamagedDataError(f"{path}: {error}") from error
    values = np.array([numbers for _, numbers in read])
    indices = space.encode(space.from_text(texts))
    return Table(
        name=NAME,
        space=space,
        metrics=_metrics(),
        values=_merge_trainings(values, indices, space.size, list(_PLACES.values())),
        objectives={"ImageNet": Objective("top1", "top1")},
        provenance={
            "repository": "github.com/afzalxo/Accel-NASBench",
            "commit": ACCEL_NASBENCH_COMMIT,
            "file": "anb_dataset/anb_dataset_jsons.tar.gz",
            "sha256": SHA256,
            "licence": "Apache-2.0",
            "url": URL,
        },
    )


def _metrics() -> tuple[Metric, ...]:
    accuracy = "accuracy on ImageNet after a short training"
    found = [
        Metric("top1", "%", True, f"top-1 {accuracy}", "seconds"),
        Metric("top5", "%", True, f"top-5 {accuracy}", "seconds"),
        Metric("seconds", "s", False, "time of the training"),
        Metric("params", "M", False, "parameters of the network"),
        Metric("macs", "M", False, "multiply-adds of the network for one image, with batch norm"),
    ]
    found += [
        Metric(f"{device}-throughput", "images/s", True, f"throughput on a {text}")
        for device, text in DEVICES.items()
    ]
    found += [
        Metric(f"{device}-latency", "ms", False, f"latency on a {DEVICES[device]}")
        for device in _FPGAS
    ]
    found += [
        Metric(f"top{k}@{training}", "%", True, f"top-{k} {accuracy}, training {training}")
        for k in (1, 5)
        for training in (0, 1)
    ]
    return tuple(found)


def _read_training(name: str, training: Any, path: str | Path) -> tuple[str, list[float]]:
    """Return the architecture of a training as a string, and its numbers.

    Raises:
        DamagedDataError: If the file lacks a value, or a value is not a positive number.
    """
    try:
        text = _read_architecture(training["architecture"])
        return text, [_number(training, place) for place in _PLACES.values()]
    except (LookupError, TypeError, ValueError) as error:
        raise DamagedDataError(f"{path}: {name} is not a training: {error!r}.") from error


def _read_architecture(settings: Mapping[str, Any]) -> str:
    """Return the architecture of a training as a string of the search space."""
    parts = []
    for block in range(BLOCKS):
        expansion, kernel, layers = (settings[f"block{block}_{kind}"] for kind in "ekl")
        if type(se := settings[f"block{block}_se"]) is not bool:
            raise TypeError(f"block{block}_se is true or false, got {se!r}")
        parts.append(f"e{expansion}k{kernel}l{layers}{'se' if se else ''}")
    return "-".join(parts)


def _number(training: Any, place: _Place) -> float:
    """Return a number of a training; NaN for a measurement that is ``null``."""
    found = training
    for key in place:
        found = found[key]
    if found is None and place[0] == "platform_perf":
        return float("nan")
    if type(found) not in (int, float) or not 0 < found < float("inf"):
        raise ValueError(f"{'.'.join(place)} is a positive number, got {found!r}")
    return float(found)


def _merge_trainings(
    values: NDArray[np.float64], indices: NDArray[np.int64], size: int, places: list[_Place]
) -> NDArray[np.float64]:
    """Return one row per network: the mean of its trainings, then the accuracies of each.

    Args:
        values: One row per training, ``(n, m)``.
        indices: Index of the network of each training, ``(n,)``.
        size: Number of networks.
        places: Place of each of the ``m`` columns in a file.

    Returns:
        The rows, ``(size, m + 4)``.
    """
    count = np.zeros((size, values.shape[1]))
    total = np.zeros_like(count)
    present = ~np.isnan(values)
    np.add.at(count, indices, present)
    np.add.at(total, indices, np.where(present, values, 0.0))
    means = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    single = np.full((size, 2, 2), np.nan)  # network, top-1 and top-5, training
    accuracies = values[:, [places.index(_TOP1), places.index(_TOP5)]]
    trained = np.zeros(size, np.int64)
    for index, row in zip(indices.tolist(), accuracies, strict=True):
        if trained[index] < single.shape[2]:
            single[index, :, trained[index]] = row
        trained[index] += 1
    return np.concatenate([means, single.reshape(size, 4)], axis=1)
