"""The table of the package analog-nasbench."""

import hashlib
import importlib.util
import io
import itertools
import pickle
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from nas_gym.spaces import NB201Space
from nas_gym.tables.sources import analog, nats_csv
from nas_gym.utils.errors import DamagedDataError, MissingDataError


@pytest.fixture(scope="module")
def table():
    return analog.read_analog()


def test_contents(table):
    assert table.name == "analog-nasbench"
    assert table.values.shape == (15625, 21)
    assert not np.isnan(table.values).any()
    assert table.column("baseline_accuracy").max() == 94.0664
    assert sum(metric.maximize for metric in table.metrics) == 13
    assert table.metric("analog_drift_60_std").maximize is False
    assert table.objectives["cifar10"].report == "baseline_accuracy"
    assert table.provenance["package"] == "analog-nasbench 0.1.3"


def test_the_package_is_not_imported(run_python):
    run_python(
        "import sys; from nas_gym.tables.sources import analog; analog.read_analog(); "
        "assert 'analognasbench' not in sys.modules"
    )


def test_rows_of_known_cells(table):
    # code (0, …, 0) is six times skip_connect, (4, 0, 1, 2, 3, 1) tells edges and operations apart
    space = NB201Space()
    texts = [
        "|{0}~0|+|{0}~0|{0}~1|+|{0}~0|{0}~1|{0}~2|".format("skip_connect"),
        "|avg_pool_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|none~2|",
    ]
    rows = space.encode(space.from_text(texts))
    names = (
        "baseline_accuracy",
        "noisy_accuracy",
        "analog_drift_60",
        "analog_drift_60_std",
    )
    expected = [_raw()[code] for code in ((0,) * 6, (4, 0, 1, 2, 3, 1))]
    for row, cell in zip(rows, expected, strict=True):
        drift = cell.analog_drift_60
        values = [
            cell.baseline_accuracy,
            cell.noisy_accuracy,
            drift.value,
            drift.uncertainty,
        ]
        assert [table.lookup([row], name)[0] for name in names] == values
    assert table.lookup(rows[:1], "baseline_accuracy")[0] == 60.7836


def _raw():
    spec = importlib.util.find_spec("analognasbench")
    content = Path(spec.submodule_search_locations[0], "data.anb").read_bytes()

    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            assert module == "analognasbench.data"
            return type(name, (), {})

    return Reader(io.BytesIO(content)).load()


def _ranks(values):
    """Ranks, the mean rank where values are equal: correlated, they give Spearman's r."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def test_decoded_cells_agree_best_with_nas_bench_201(table, data):
    test = nats_csv.read_nats_csv(data("nb201/nats_bench.csv")).column("cifar10-test")
    baseline = table.column("baseline_accuracy")
    best = np.corrcoef(baseline, test)[0, 1]
    assert best >= 0.999
    assert round(best, 4) == 0.9994  # as the README says
    ranks = np.corrcoef(_ranks(baseline), _ranks(test))[0, 1]
    assert round(ranks, 3) == 0.991

    space = NB201Space()
    genotypes = space.decode(np.arange(space.size))
    others = [genotypes[:, list(edges)] for edges in itertools.permutations(range(6))][1:]
    others += [np.array(ops)[genotypes] for ops in itertools.permutations(range(5))][1:]
    found = [np.corrcoef(baseline[space.encode(other)], test)[0, 1] for other in others]
    assert max(found) < best


def test_another_version_or_a_damaged_file_is_refused(tmp_path, monkeypatch, hostile):
    thing, ran = hostile
    path = tmp_path / "data.anb"
    monkeypatch.setattr(analog.reading, "find_package_file", lambda *_: path)
    for content in (b"", pickle.dumps([thing])):
        path.write_bytes(content)
        with pytest.raises(
            DamagedDataError, match=r"sha256.*pip install.*analog-nasbench==0\.1\.3"
        ):
            analog.read_analog()
    # even where the sha256 would agree, nothing runs
    monkeypatch.setattr(analog, "SHA256", hashlib.sha256(content).hexdigest())
    with pytest.raises(DamagedDataError, match=r"system.*No code of it was run"):
        analog.read_analog()
    assert not ran.exists()


def test_a_package_that_is_not_installed(monkeypatch):
    for spec in (None, ModuleSpec("analognasbench", None, is_package=True)):
        monkeypatch.setattr(importlib.util, "find_spec", lambda _, spec=spec: spec)
        with pytest.raises(MissingDataError, match=r"pip install analog-nasbench==0\.1\.3"):
            analog.read_analog()
