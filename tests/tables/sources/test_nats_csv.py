"""The two CSV files of accuracies."""

import csv
import hashlib
import random

import numpy as np
import pytest

from nas_gym.tables.sources import nats_csv, reading
from nas_gym.utils.errors import DamagedDataError, MissingDataError

DATASETS = ("cifar10", "cifar100", "ImageNet16-120")


def test_optima_of_the_200_epochs(data):
    table = nats_csv.read_nats_csv(data("nb201/nats_bench.csv"))
    best = [table.column(f"{dataset}-test").max() for dataset in DATASETS]
    np.testing.assert_allclose(best, [94.3733, 73.5133, 47.3111], atol=5e-5)
    assert table.values.shape == (15625, 3)
    assert not np.isnan(table.values).any()
    assert table.lookup([0], "cifar10-test")[0] == 85.86333333333334
    assert {o.signal == o.report for o in table.objectives.values()} == {True}


def test_first_row_of_the_12_epochs(data):
    table = nats_csv.read_nb201_12_epochs(data("nb201/nb201_12epochs.csv"))
    assert table.values[0].tolist() == [63.364, 69.55, 31.84, 31.26, 18.4667, 17.0]
    assert [metric.name for metric in table.metrics[:2]] == [
        "cifar10-val",
        "cifar10-test",
    ]
    assert table.objectives["cifar100"].signal == "cifar100-val"
    assert table.objectives["cifar100"].report == "cifar100-test"


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (nats_csv.read_nats_csv, "nb201/nats_bench.csv"),
        (nats_csv.read_nb201_12_epochs, "nb201/nb201_12epochs.csv"),
    ],
)
def test_altered_files_are_refused(read, name, data, tmp_path):
    content = data(name).read_bytes()
    for damaged in (content[:-1], content.replace(b"1", b"2", 1), b""):
        path = tmp_path / "x.csv"
        path.write_bytes(damaged)
        with pytest.raises(DamagedDataError, match="sha256"):
            read(path)
    with pytest.raises(MissingDataError, match=r"published at https://(raw\.)?github"):
        read(tmp_path / "none.csv")


@pytest.mark.parametrize(
    "name",
    [
        "nb201/nats_bench.csv",
        "nb201/nb201_12epochs.csv",
        "latency/help_nb201_latency_ms.csv",
    ],
)
def test_the_published_rows_are_in_index_order(name, data, arch_strings):
    with data(name).open(newline="") as file:
        assert [row["ArchitectureString"] for row in csv.DictReader(file)] == arch_strings


def _csv(archs, order):
    return "\n".join(["n,arch,m", *(f"{i},{archs[i]},{-i}" for i in order)]).encode()


def test_rows_may_come_in_any_order(arch_strings):
    order = random.Random(0).sample(range(15625), 15625)
    values = reading.read_nb201_csv(_csv(arch_strings, order), "arch", ["m", "n"], "x.csv")
    np.testing.assert_array_equal(values, np.arange(15625)[:, None] * [-1, 1])


def test_tables_of_another_form_are_refused(arch_strings, tmp_path, monkeypatch):
    whole = _csv(arch_strings, range(15625))
    for content, reason in (
        (_csv(arch_strings, range(15624)), "15,624 rows for 15,624 cells"),
        (_csv(arch_strings, [0, *range(15624)]), "15,625 rows for 15,624 cells"),
        (_csv(arch_strings, [0, *range(15625)]), "15,626 rows for 15,625 cells"),
        (whole.replace(b"nor_conv_1x1", b"conv", 1), "not an arch string"),
        (whole.replace(b",-5\n", b",five\n"), "five"),
        (whole.replace(b",-5\n", b"\n"), "columns arch, m"),
        (b"", "columns arch, m"),
        (b"\xff\xfe", "columns arch, m"),
    ):
        with pytest.raises(DamagedDataError, match=reason):
            reading.read_nb201_csv(content, "arch", ["m"], "x.csv")

    path = tmp_path / "x.csv"
    path.write_bytes(whole)
    monkeypatch.setattr(nats_csv, "SHA256", hashlib.sha256(whole).hexdigest())
    with pytest.raises(DamagedDataError, match="CIFAR10TestAccuracy200Epochs"):
        nats_csv.read_nats_csv(path)
