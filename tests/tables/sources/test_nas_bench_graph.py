"""The tables of the package nas-bench-graph."""

import hashlib
import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas_gym.tables.sources import nas_bench_graph
from nas_gym.utils.errors import DamagedDataError


def test_the_package_is_not_imported(run_python):
    run_python(
        "import sys; from nas_gym.tables.sources import nas_bench_graph as source; "
        "source.read_nas_bench_graph('proteins'); assert 'nas_bench_graph' not in sys.modules"
    )


@pytest.mark.parametrize("dataset", nas_bench_graph.SHA256)
def test_every_value_is_that_of_the_package(dataset):
    table = nas_bench_graph.read_nas_bench_graph(dataset)
    rows = 2021 if dataset == "proteins" else 26206
    assert table.name == f"nas-bench-graph-{dataset}"
    assert table.values.shape == (rows, 4)
    assert not np.isnan(table.values).any()
    assert table.values[:, :2].min() >= 0
    assert table.values[:, :2].max() <= 1
    assert [metric.maximize for metric in table.metrics] == [True, True, False, False]
    assert table.objectives[dataset].signal == "valid_perf"

    folder = importlib.util.find_spec("nas_bench_graph").submodule_search_locations[0]
    bench = pickle.loads(Path(folder, "light", f"{dataset}.bench").read_bytes())
    for name in ("valid_perf", "perf", "latency", "para"):
        expected = [bench[key][name] for key in table.space.keys.tolist()]
        np.testing.assert_array_equal(table.column(name), expected)


def test_rows_are_found_by_their_architecture():
    script = (
        "from nas_bench_graph import Arch, light_read;"
        "a = Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc', 'cheb']);"
        "print(a.valid_hash(), light_read('cora')[a.valid_hash()]['perf'])"
    )
    command = [sys.executable, "-c", script]
    key, perf = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    table = nas_bench_graph.read_nas_bench_graph("cora")
    [row] = table.space.encode(table.space.from_text(["[0,1,2,1] gcn gin fc cheb"]))
    assert table.space.keys[row] == int(key) == 61237
    assert table.lookup([row], "perf")[0] == float(perf)


def test_unknown_data_sets_are_named():
    with pytest.raises(ValueError, match=r"'mnist'.*cora, citeseer"):
        nas_bench_graph.read_nas_bench_graph("mnist")


def test_damaged_files_are_refused(tmp_path, monkeypatch, hostile):
    thing, ran = hostile
    path = tmp_path / "cora.bench"
    monkeypatch.setattr(nas_bench_graph.reading, "find_package_file", lambda *_: path)
    for content in (b"", pickle.dumps([thing])):
        path.write_bytes(content)
        with pytest.raises(DamagedDataError, match=r"sha256.*nas-bench-graph==1\.4\.0"):
            nas_bench_graph.read_nas_bench_graph("cora")

    def accept(content):
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        monkeypatch.setitem(nas_bench_graph.SHA256, "cora", digest)

    accept(pickle.dumps([thing]))
    with pytest.raises(DamagedDataError, match=r"system.*No code of it was run"):
        nas_bench_graph.read_nas_bench_graph("cora")
    assert not ran.exists()

    accept(pickle.dumps({0: {}}))
    with pytest.raises(DamagedDataError, match="26,206 others were expected"):
        nas_bench_graph.read_nas_bench_graph("cora")
