"""HW-NAS-Bench-360: exact facts of the published file, and files that are not it."""

import hashlib
import sys

import numpy as np
import pytest

from nas_gym.spaces import NB201Space
from nas_gym.tables.sources import hw_nas_bench_360, nats_csv
from nas_gym.tables.sources.hw_nas_bench_360 import read_hw_nas_bench_360
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError

PI_FRAMEWORKS = ("litert", "onnx", "torchmobile")


@pytest.fixture
def published(data):
    return data("nb360/hw_nas_bench_360.parquet")


@pytest.fixture
def table(published):
    pytest.importorskip("pyarrow")
    return read_hw_nas_bench_360(published)


def test_metrics_and_optima(table):
    assert table.values.shape == (15_625, 33)
    assert not np.isnan(table.values).any()
    best = {task: table.column(f"{task}-test") for task in ("cifar100", "ninapro", "darcy")}
    assert {task: int(values.argmax()) for task, values in best.items()} == {
        "cifar100": 9930, "ninapro": 6186, "darcy": 3976
    }  # fmt: skip
    tops = [values.max() for values in best.values()]
    np.testing.assert_allclose(tops, [73.513333, 94.385432, 98.481136], atol=5e-7)
    assert best["darcy"].min() == pytest.approx(-79.9799)
    assert table.lookup([0], "cifar100-pi5-onnx-latency")[0] == pytest.approx(1.8305045, abs=5e-8)
    assert table.lookup([1], "cifar100-pi5-litert-energy")[0] == pytest.approx(12.08262, abs=5e-6)
    assert list(table.objectives) == list(best)


def test_names_units_and_directions(table):
    for task in ("cifar100", "ninapro", "darcy"):
        assert table.metric(f"{task}-test").maximize
        assert table.metric(f"{task}-test").unit == "%"
        for framework in PI_FRAMEWORKS:
            name = f"{task}-pi5-{framework}"
            units = [table.metric(f"{name}-{each}").unit for each in
                     ("latency", "latency-variance", "energy")]  # fmt: skip
            assert units == ["ms", "ms²", "mJ"]
        pixel = [m.name for m in table.metrics if m.name.startswith(f"{task}-pixel")]
        assert pixel == [f"{task}-pixel-litert-latency"]
    assert not any(metric.maximize for metric in table.metrics if "-test" not in metric.name)


def test_rows_are_in_index_order(table, data):
    nats = nats_csv.read_nats_csv(data("nb201/nats_bench.csv"))
    same = np.corrcoef(table.column("cifar100-test"), nats.column("cifar100-test"))[0, 1]
    assert same > 0.9999
    shifted = np.roll(table.column("cifar100-test"), 1)
    assert np.corrcoef(shifted, nats.column("cifar100-test"))[0, 1] < 0.99


def test_isomorphic_cells_share_measurements_but_not_trainings(table):
    structures = NB201Space().structures(NB201Space().decode(np.arange(15_625)))
    first = np.unique(structures, return_index=True)[1][structures]
    for metric in table.metrics:
        values = table.column(metric.name)
        shared = np.array_equal(values, values[first])
        assert shared == (metric.name not in {f"{t}-test" for t in hw_nas_bench_360.TASKS})


def test_a_higher_value_of_darcy_is_better(table):
    """Cells without a path from input to output are among the worst, as on CIFAR-100."""
    space = NB201Space()
    broken = space.structures(space.decode(np.arange(15_625))) == space.structures(
        space.from_text(["|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"])
    )
    for task in ("cifar100", "darcy"):
        values = table.column(f"{task}-test")
        assert (values < np.median(values))[broken].all()
    assert np.median(table.column("darcy-test")[broken]) == pytest.approx(74.72, abs=0.01)


def test_other_files_are_refused(published, tmp_path):
    content = published.read_bytes()
    for damaged in (content[:-1], content[:100], b"", content + b"x"):
        path = tmp_path / "dataset.parquet"
        path.write_bytes(damaged)
        with pytest.raises(DamagedDataError, match=r"sha256.*data fetch hw-nas-bench-360"):
            read_hw_nas_bench_360(path)
    with pytest.raises(MissingDataError, match=r"published at https://raw\.githubusercontent"):
        read_hw_nas_bench_360(tmp_path / "none.parquet")


def test_pyarrow_is_an_extra(published, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r'needs .* pyarrow.*`pip install "nas-gym\[parquet\]"`'):
        read_hw_nas_bench_360(published)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t, pc: t.filter(pc.not_equal(t["device"], "pixel")), "'cifar100' on pixel/litert"),
        (lambda t, pc: t.slice(1), "15,624 rows, 15,625 were expected"),
        (lambda t, pc: t.drop_columns(["energy_mj"]), "with the columns arch_idx"),
        (lambda t, pc: t.filter(pc.not_equal(t["task"], "darcy")), "'darcy' on pi5/litert: 0 rows"),
    ],
)
def test_missing_rows_and_columns(change, reason, published, tmp_path, monkeypatch):
    compute = pytest.importorskip("pyarrow.compute")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "x.parquet"
    parquet.write_table(change(parquet.read_table(published), compute), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(hw_nas_bench_360, "SHA256", digest)
    with pytest.raises(DamagedDataError, match=reason):
        read_hw_nas_bench_360(path)


def test_content_that_is_not_parquet(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 not really PAR1")
    monkeypatch.setattr(hw_nas_bench_360, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(DamagedDataError, match="not a Parquet file"):
        read_hw_nas_bench_360(path)
