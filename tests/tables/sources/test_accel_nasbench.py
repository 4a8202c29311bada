"""Accel-NASBench: exact facts of the published archive, and archives that are not it."""

import io
import json
import tarfile

import numpy as np
import pytest

from nas_gym.tables.sources import accel_nasbench
from nas_gym.tables.sources.accel_nasbench import (
    build_accel_nasbench,
    read_accel_nasbench,
    read_trainings,
)
from nas_gym.tables.training_noise import column_noise
from nas_gym.utils.errors import DamagedDataError, MissingDataError

GAPS = {
    "3090-throughput": 3, "tpuv2-throughput": 37, "tpuv3-throughput": 44,
    "zcu102-throughput": 2, "vck190-throughput": 2, "zcu102-latency": 2, "vck190-latency": 2,
    "top1@1": 5112, "top5@1": 5112,
}  # fmt: skip


@pytest.fixture
def published(data):
    return data("anb/anb_dataset_jsons.tar.gz")


def make_training(**changes):
    blocks = {"e": 4, "k": 3, "l": 2, "se": False}
    architecture = {f"block{b}_{name}": v for b in range(7) for name, v in blocks.items()}
    platforms = {
        f"{kind}_{device}": {f"{kind}_mean": 10.0, f"{kind}_std": None}
        for device in accel_nasbench.DEVICES
        for kind in ("latency", "throughput")
    }
    return {
        "architecture": {**architecture, **changes},
        "metrics": {"val_top1": 60.0, "val_top5": 80.0, "train_time": 1000.0},
        "model_info": {"macs": 300.0, "params": 3.0},
        "platform_perf": platforms,
    }


def make_archive(files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return content.getvalue()


def test_facts_of_the_archive(published):
    table = read_accel_nasbench(published)
    assert table.values.shape == (5125, 17)
    missing = {m.name: int(np.isnan(table.column(m.name)).sum()) for m in table.metrics}
    assert {name: count for name, count in missing.items() if count} == GAPS
    (index,) = table.space.encode(
        table.space.from_text(["e4k5l1-e1k5l1-e4k3l3-e6k3l1-e4k5l2-e6k5l1-e6k3l2"])
    )
    row = dict(zip([m.name for m in table.metrics], table.values[index], strict=True))
    assert (row["top1"], row["params"], row["macs"]) == (62.054, 4.042824, 369.019616)
    assert row["zcu102-latency"] == 4.957744897889697
    assert row["a100-throughput"] == 11102.789495589122
    assert table.column("top1").max() == 67.052
    assert not table.metric("zcu102-latency").maximize
    assert table.metric("zcu102-throughput").maximize


def test_networks_that_were_trained_twice(published):
    table = read_accel_nasbench(published)
    first, second = table.column("top1@0"), table.column("top1@1")
    twice = ~np.isnan(second)
    assert twice.sum() == 13
    np.testing.assert_allclose(table.column("top1")[twice], (first + second)[twice] / 2)
    noise = column_noise(table, "top1@0")
    assert noise.networks == 13
    differences = (first - second)[twice]
    assert noise.overall == pytest.approx(np.sqrt((differences**2).mean() / 2))
    assert noise.overall == pytest.approx(0.27, abs=0.005)


def test_other_files_are_refused(published, tmp_path):
    content = published.read_bytes()
    path = tmp_path / "anb_dataset_jsons.tar.gz"
    for damaged in (content[:-1], content[:1000], b"", content + b"x"):
        path.write_bytes(damaged)
        with pytest.raises(DamagedDataError, match=r"sha256.*data fetch accel-nasbench"):
            read_accel_nasbench(path)
    with pytest.raises(MissingDataError, match=r"published at https://raw\.githubusercontent"):
        read_accel_nasbench(tmp_path / "none.tar.gz")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        make_archive({"a.json": b"{"}),
        make_archive({"a.json": json.dumps(make_training()).encode()})[:60],
    ],
    # an archive holds the time at which it was made, and workers must agree on names
    ids=["empty", "no archive", "no JSON", "truncated"],
)
def test_archives_that_cannot_be_read(content):
    with pytest.raises(DamagedDataError, match="x is not a tar archive of JSON files"):
        list(read_trainings(content, "x"))


def test_missing_measurements_are_gaps():
    training = make_training()
    training["platform_perf"]["latency_zcu102"]["latency_mean"] = None
    table = build_accel_nasbench([("a.json", training), ("b.json", make_training())], "x")
    assert table.column("zcu102-latency").tolist() == [10.0]  # the mean of what was measured
    table = build_accel_nasbench([("a.json", training)], "x")
    assert np.isnan(table.column("zcu102-latency")).all()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda t: t.pop("architecture"), "a.json is not a training: KeyError.'architecture'"),
        (lambda t: t["platform_perf"].pop("throughput_a100"), "KeyError.'throughput_a100'"),
        (lambda t: t["metrics"].update(val_top1=None), "metrics.val_top1 is a positive number"),
        (lambda t: t["metrics"].update(val_top1="60"), "got '60'"),
        (lambda t: t["model_info"].update(macs=float("nan")), "got nan"),
        (lambda t: t["architecture"].update(block0_se=1), "block0_se is true or false, got 1"),
        (lambda t: t["architecture"].update(block0_e=3), "is not an architecture of MnasNet"),
        (lambda t: t["architecture"].update(block0_l=4), "is not an architecture of MnasNet"),
    ],
)
def test_trainings_that_cannot_be_read(spoil, reason):
    training = make_training()
    spoil(training)
    with pytest.raises(DamagedDataError, match=reason):
        build_accel_nasbench([("a.json", training)], "x")


def test_an_empty_archive():
    with pytest.raises(DamagedDataError, match="has no trainings"):
        build_accel_nasbench(list(read_trainings(make_archive({}), "x")), "x")
