"""The official folder of NATS-Bench."""

import bz2
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from nas_gym.tables.sources import nats_folder
from nas_gym.utils.errors import DamagedDataError, MissingDataError

nats_bench = pytest.importorskip("nats_bench")
api = nats_bench.api_utils

ALL = {name: (777, 888, 999) for name in ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")}


def save(thing, path):
    nats_bench.pickle_save(thing, str(path).removesuffix(".pbz2"))


@pytest.fixture
def folder(tmp_path, arch_strings, make_results):
    """What the publisher's script saves, for three architectures."""
    folder = tmp_path / "NATS-tss-v1_0-small-simple"
    folder.mkdir()
    meta = {"meta_archs": arch_strings, "total_archs": 15625, "arch2infos": None}
    save(meta | {"evaluated_indexes": set()}, folder / "meta.pickle.pbz2")
    for number in (0, 7, 15624):
        results = OrderedDict()
        for hp, seeds in (("12", {name: (777,) for name in ALL}), ("200", ALL)):
            made = make_results(api, number, arch_strings[number], int(hp), seeds)
            for dataset in seeds:
                made.reset_latency(dataset, None, 0.01 + number / 1e6)
            results[hp] = made.state_dict()
        save(results, folder / f"{number:06d}.pickle.pbz2")
    return folder


def test_values_are_those_of_the_package(folder):
    table = nats_folder.read_nats_folder(folder)
    reference = nats_bench.create(str(folder), "tss", fast_mode=True, verbose=False)
    for number in (0, 7, 15624):
        row = dict(zip((m.name for m in table.metrics), table.values[number], strict=True))
        for hp in ("12", "200"):
            for dataset in ALL:
                info = reference.get_more_info(number, dataset, hp=hp, is_random=False)
                for split in ("train", "valid", "test", "valtest"):
                    name = f"{dataset}-{split}-{hp}"
                    assert (name in row) == (f"{split}-accuracy" in info)
                    if name in row:
                        assert row[name] == pytest.approx(info[f"{split}-accuracy"], rel=1e-12)
                cost = reference.get_cost_info(number, dataset, hp)
                assert row[f"{dataset}-latency-{hp}"] == pytest.approx(cost["latency"])
                assert row[f"{dataset}-flops-{hp}"] == pytest.approx(cost["flops"])
                assert row[f"{dataset}-params-{hp}"] == pytest.approx(cost["params"])
                total = cost["T-train@total"]
                assert row[f"{dataset}-train-time-{hp}"] == pytest.approx(total)
        one = reference.get_more_info(number, "cifar100", hp="200", is_random=999)
        assert row["cifar100-test-200@999"] == one["test-accuracy"]
    assert np.isnan(table.values[1]).all()
    assert table.objectives == {}  # three architectures are no search space


def test_flops_that_differ_between_seeds(folder, arch_strings, make_results):
    made = make_results(api, 3, arch_strings[3], 200, ALL)
    made.query("cifar10", 777).flop = 99.0
    made.query("cifar10", 777).params = 98.0
    save({"200": made.state_dict()}, folder / "000003.pickle.pbz2")
    cost = made.get_compute_costs("cifar10")
    table = nats_folder.read_nats_folder(folder)
    assert table.lookup([3], "cifar10-flops-200")[0] == cost["flops"] == 10.5
    assert table.lookup([3], "cifar10-params-200")[0] == cost["params"]


def test_a_folder_without_results(folder):
    for path in folder.glob("0*"):
        path.unlink()
    with pytest.raises(DamagedDataError, match="no results of any architecture"):
        nats_folder.read_nats_folder(folder)
    (folder / "meta.pickle.pbz2").unlink()
    for wrong in (folder, folder / "none"):
        with pytest.raises(MissingDataError, match=r"NATS-tss-v1_0-3ffb9-simple\.tar"):
            nats_folder.read_nats_folder(wrong)


def test_the_size_search_space_is_refused(folder):
    meta = {"meta_archs": ["8:8:8:8:8", "8:8:8:8:16"], "evaluated_indexes": set()}
    save(meta, folder / "meta.pickle.pbz2")
    with pytest.raises(DamagedDataError, match=r"size search space.*Only the topology"):
        nats_folder.read_nats_folder(folder)


def test_damaged_and_hostile_files_are_refused(folder, hostile):
    thing, ran = hostile
    for name in ("meta.pickle.pbz2", "000007.pickle.pbz2"):
        path = folder / name
        good = path.read_bytes()
        pickled = bz2.decompress(good)
        for content, reason in (
            (good[: len(good) // 2], "truncated"),
            (b"", "could not be read"),
            (b"text", "truncated or not a bz2 file"),
            (bz2.compress(pickled[:-10]), "could not be read"),
            (bz2.compress(pickle.dumps({"200": thing})), r"system.*No code of it was run"),
            (bz2.compress(pickle.dumps([])), "has a list"),
            (
                bz2.compress(pickle.dumps({"200": 3})),
                "could not be read|not list the cells",
            ),
            (
                bz2.compress(pickle.dumps({"x": {}})),
                "could not be read|not list the cells",
            ),
        ):
            path.write_bytes(content)
            with pytest.raises(DamagedDataError, match=reason):
                nats_folder.read_nats_folder(folder)
        path.write_bytes(good)
    assert not ran.exists()


def test_provenance_changes_with_the_content(folder, arch_strings, make_results):
    before = nats_folder.read_nats_folder(folder).provenance
    assert before == nats_folder.read_nats_folder(folder).provenance
    made = make_results(api, 3, arch_strings[3], 12, {"cifar10": (777,)})
    save({"12": made.state_dict()}, folder / "000003.pickle.pbz2")
    assert before["sha256"] != nats_folder.read_nats_folder(folder).provenance["sha256"]
