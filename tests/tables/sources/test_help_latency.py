"""The latencies of HELP."""

import shutil

import numpy as np
import pytest

from nas_gym.tables.sources import help_latency
from nas_gym.utils.errors import DamagedDataError, MissingDataError

CSV = "latency/help_nb201_latency_ms.csv"


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def folder(data, torch, tmp_path):
    """The publisher's files, in each form that a file may have."""
    table = help_latency.read_help_csv(data(CSV))
    noise = np.random.default_rng(0).uniform(-4e-5, 4e-5, table.values.shape)
    forms = (
        np.ndarray.tolist,
        np.asarray,
        torch.from_numpy,
        torch.FloatTensor,
        list,  # of NumPy scalars
        lambda column: column.astype(np.float32),
        lambda column: torch.from_numpy(column)[:, None],
    )
    for i, metric in enumerate(table.metrics):
        column = table.column(metric.name) + noise[:, i] * (i % 2)
        zipped = i % 3 > 0
        file = tmp_path / f"{metric.name}.pt"
        torch.save(forms[i % len(forms)](column), file, _use_new_zipfile_serialization=zipped)
    return tmp_path


def test_csv(data):
    table = help_latency.read_help_csv(data(CSV))
    assert table.values.shape == (15625, 27)
    assert (table.values > 0).all()
    assert {(metric.unit, metric.maximize) for metric in table.metrics} == {("ms", False)}
    assert table.lookup([0, 1], "raspi4").tolist() == [10.4820, 54.7774]
    assert table.objectives == {}


def test_both_ways_give_the_same_table(data, folder):
    first, second = help_latency.read_help_csv(data(CSV)), help_latency.read_help_files(folder)
    np.testing.assert_array_equal(first.values, second.values)
    assert first.metrics == second.metrics
    assert first.provenance == second.provenance


def test_other_content_is_refused(torch, folder):
    path = folder / "fpga.pt"
    good = torch.load(path, weights_only=False)
    swapped = np.array(good)[::-1].copy()
    for content, reason in (
        (swapped, "does not have the published latencies of fpga"),
        (swapped[1:], r"shape \(15624,\)"),
        ("text", "not an array of numbers"),
        (torch.zeros(3, 15625), r"shape \(3, 15625\)"),
        ({"latency": [1]}, "not an array of numbers"),
    ):
        torch.save(content, path)
        with pytest.raises(DamagedDataError, match=reason):
            help_latency.read_help_files(folder)


def test_damaged_files_are_refused(torch, folder, hostile):
    path = folder / "fpga.pt"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DamagedDataError, match=r"fpga\.pt could not be read"):
        help_latency.read_help_files(folder)
    thing, ran = hostile
    torch.save(thing, path)
    with pytest.raises(DamagedDataError, match=r"system.*No code of it was run"):
        help_latency.read_help_files(folder)
    assert not ran.exists()


def test_missing_files_are_named(folder):
    (folder / "fpga.pt").unlink()
    with pytest.raises(MissingDataError, match=r"1 of the 27.*fpga\.pt.*HayeonLee"):
        help_latency.read_help_files(folder)


def test_an_altered_csv_is_refused(data, tmp_path):
    path = tmp_path / "x.csv"
    shutil.copyfile(data(CSV), path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedDataError, match="sha256"):
        help_latency.read_help_csv(path)
