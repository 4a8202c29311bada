"""AnalogNAS-Bench: the cells of NAS-Bench-201 on CIFAR-10 for analog in-memory computing.

The package ``analog-nasbench`` contains its data. The data is read without importing the package,
because that needs ``pkg_resources`` and pandas.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nas_gym.spaces import NB201Space
from nas_gym.tables.sources import pickles, reading
from nas_gym.tables.table import Metric, Objective, Table
from nas_gym.utils.errors import DamagedDataError

REQUIREMENT = "analog-nasbench==0.1.3"
SHA256 = "85f3435b877aa2d36268d55ce07f6ff6d73643d17a840f1941745da5eb80db32"
PUBLISHER = "the Python package index, as analog-nasbench 0.1.3"

ACCURACIES = {
    "baseline_accuracy": "test accuracy of the digital network",
    "ptq_accuracy": "test accuracy after post-training quantization",
    "qat_accuracy": "test accuracy after quantization-aware training",
    "noisy_accuracy": "test accuracy of the digital network's weights under analog noise",
    "analog_accuracy": "test accuracy after analog hardware-aware training, under analog noise",
}
DRIFTS = {
    f"{network}_drift_{seconds}": f"test accuracy of the {network} network on analog memory, "
    f"{seconds} s after programming"
    for network in ("baseline", "analog")
    for seconds in (60, 3600, 86400, 2592000)
}

# a key of the package lists the edges 0→1, 0→2, 0→3, 1→2, 1→3, 2→3, with operations in the order
# skip_connect, none, nor_conv_3x3, nor_conv_1x1, avg_pool_3x3
_EDGE_ORDER = np.array([0, 1, 3, 2, 4, 5])
_OPERATION = np.array([1, 0, 3, 2, 4])


class _Architecture:
    """Stand-in for ``analognasbench.data.Architecture``, with attributes only."""


class _DriftMeasurement:
    """Stand-in for ``analognasbench.data.DriftMeasurement``, with attributes only."""


_ALLOWED = {
    ("analognasbench.data", "Architecture"): _Architecture,
    ("analognasbench.data", "DriftMeasurement"): _DriftMeasurement,
}


def read_analog() -> Table:
    """Read the table ``analog-nasbench`` from the installed package ``analog-nasbench`` 0.1.3.

    The table has 15,625 cells and 21 metrics: 13 accuracies in %, named as in the package, and the
    standard deviations ``<name>_std`` of the eight accuracies after drift. There is no validation
    accuracy, so the signal of the only data set, ``cifar10``, is the reported metric itself.

    Raises:
        MissingDataError: If the package is not installed.
        DamagedDataError: If the package's file is not the file of version 0.1.3.
    """
    path = reading.find_package_file("analognasbench", "data.anb", REQUIREMENT)
    content = reading.read_published_file(path, PUBLISHER)
    version = reading.installed_version("analog-nasbench")
    advice = (
        f"analog-nasbench {version} is installed; get version 0.1.3 with "
        f"`pip install --force-reinstall --no-deps {REQUIREMENT}`."
    )
    reading.check_sha256(content, SHA256, path, advice)
    return _table(pickles.load_pickle(content, _ALLOWED, str(path), is_published=True), path)


def _table(cells: dict[tuple[int, ...], Any], path: Path) -> Table:
    space = NB201Space()
    codes = np.array(list(cells))
    indices = space.encode(_OPERATION[codes[:, _EDGE_ORDER]])
    if len(np.unique(indices)) != space.size:
        raise DamagedDataError(
            f"{path} covers {len(np.unique(indices)):,} cells, {space.size:,} were expected."
        )
    values = np.empty((space.size, len(ACCURACIES) + 2 * len(DRIFTS)))
    values[indices] = [
        [getattr(cell, name) for name in ACCURACIES]
        + [getattr(cell, name).value for name in DRIFTS]
        + [getattr(cell, name).uncertainty for name in DRIFTS]
        for cell in cells.values()
    ]
    accuracies = [Metric(name, "%", True, text) for name, text in (ACCURACIES | DRIFTS).items()]
    spreads = [
        Metric(f"{name}_std", "%", False, f"uncertainty of {name}, as published") for name in DRIFTS
    ]
    return Table(
        name="analog-nasbench",
        space=space,
        metrics=(*accuracies, *spreads),
        values=values,
        objectives={"cifar10": Objective("baseline_accuracy", "baseline_accuracy")},
        provenance={
            "package": REQUIREMENT.replace("==", " "),
            "file": "analognasbench/data.anb",
            "sha256": SHA256,
        },
    )
