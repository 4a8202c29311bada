"""The official file of NAS-Bench-201."""

import numpy as np
import pytest

from nas_gym.tables.sources import nas201_pth, nb201_results
from nas_gym.utils.errors import DamagedDataError, MissingDataError

torch = pytest.importorskip("torch")
nas_201_api = pytest.importorskip("nas_201_api")
api = nas_201_api.api_utils

ONCE = {
    "cifar10-valid": (777, 888),
    "cifar10": (777,),
    "cifar100": (777,),
    "ImageNet16-120": (777,),
}


@pytest.fixture
def content(arch_strings, make_results):
    """What the publisher's script saves, for four architectures; one has results of old style."""
    infos = {}
    for number in (0, 7, 15624, 9):
        arch = arch_strings[number]
        less = make_results(api, number, arch, 12, ONCE)
        full = make_results(api, number, arch, 200, timed=number != 9)
        infos[number] = {"less": less.state_dict(), "full": full.state_dict()}
    return {
        "meta_archs": arch_strings,
        "total_archs": 15625,
        "basestr": "C16-N5",
        "arch2infos": infos,
        "evaluated_indexes": set(infos),
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "NAS-Bench-201-v1_1-small.pth"


@pytest.mark.parametrize("zipped", [True, False])
def test_values_are_those_of_the_package(content, path, zipped):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    table = nas201_pth.read_nas201_pth(path)
    reference = nas_201_api.NASBench201API(content, verbose=False)
    assert table.name == "nas-bench-201"
    for number in (0, 7, 15624, 9):
        row = dict(zip((m.name for m in table.metrics), table.values[number], strict=True))
        for hp in ("12", "200"):
            for dataset in ("cifar10-valid", "cifar10", "cifar100"):
                info = reference.get_more_info(number, dataset, hp=hp, is_random=False)
                for split in ("train", "valid", "test", "valtest"):
                    name = f"{dataset}-{split}-{hp}"
                    assert (name in row) == (f"{split}-accuracy" in info)
                    if name in row:
                        assert row[name] == pytest.approx(info[f"{split}-accuracy"], rel=1e-12)
                cost = reference.get_cost_info(number, dataset, hp)
                for name, key in (
                    ("train-time", "T-train@total"),
                    ("latency", "latency"),
                    ("flops", "flops"),
                    ("params", "params"),
                ):
                    found = row.get(f"{dataset}-{name}-{hp}", np.nan)
                    expected = np.nan if cost[key] is None else cost[key]
                    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)
                results = reference.arch2infos_dict[number][hp]
                for seed in results.get_dataset_seeds(dataset):
                    train = results.get_metrics(dataset, "train", is_random=seed)
                    assert row[f"{dataset}-train-{hp}@{seed}"] == train["accuracy"]


def test_missing_trainings_are_nan(content, path):
    torch.save(content, path)
    table = nas201_pth.read_nas201_pth(path)
    trained = ~np.isnan(table.values).all(axis=1)
    assert np.flatnonzero(trained).tolist() == [0, 7, 9, 15624]
    names = {metric.name for metric in table.metrics}
    assert "cifar10-test-200@999" in names
    assert "cifar10-test-12@999" not in names
    assert "ImageNet16-120-test-200" not in names
    assert "ImageNet16-120-test-12" in names
    assert np.isnan(table.lookup([9], "cifar10-train-time-200"))
    assert table.lookup([9], "cifar10-latency-200") == 0.02
    assert table.metric("cifar10-flops-200").unit == "M"
    assert table.metric("cifar10-train-time-12").maximize is False
    # what an accuracy cost, and a training seed's own cost
    assert table.metric("cifar10-test-12").seconds == "cifar10-train-time-12"
    assert table.metric("cifar10-train-time-12").seconds == ""
    for metric in table.metrics:
        if metric.seconds and "@" in metric.name:
            assert metric.seconds.rpartition("@")[2] == metric.name.rpartition("@")[2]


@pytest.fixture
def collector(content, path):
    return nb201_results.ResultsCollector(content["meta_archs"], api.ArchResults, path)


def fill(collector, epochs, but=()):
    """Results of every architecture, but for some columns of which one lacks its own."""
    for dataset, splits in nb201_results.SPLITS.items():
        for split in splits:
            column = collector._column(dataset, split, epochs, 777)
            column[:] = epochs
            column[1] = np.nan if f"{dataset}-{split}" in but else epochs


def test_objectives_take_200_epochs_where_all_were_trained(collector):
    fill(collector, 12)
    fill(collector, 200, but=["ImageNet16-120-test"])
    objectives = collector.table("x", {}).objectives
    assert objectives["cifar10"].signal == "cifar10-valid-valid-200"
    assert objectives["cifar10"].report == "cifar10-test-200"
    assert objectives["cifar100"].signal == "cifar100-valid-200"
    assert objectives["ImageNet16-120"].report == "ImageNet16-120-test-12"


def test_objectives_are_columns_without_nan(collector, content, path):
    fill(collector, 200, but=["cifar10-valid-valid", "cifar100-test"])
    assert set(collector.table("x", {}).objectives) == {"ImageNet16-120"}
    torch.save(content, path)  # of four architectures
    assert nas201_pth.read_nas201_pth(path).objectives == {}


def test_a_file_of_12_epochs_only(content, path):
    for info in content["arch2infos"].values():
        del info["full"]
    torch.save(content, path)
    table = nas201_pth.read_nas201_pth(path, "short")
    assert table.name == "short"
    assert not [metric.name for metric in table.metrics if "-200" in metric.name]


def test_objectives_of_12_epochs_only(collector):
    fill(collector, 12)
    objectives = collector.table("x", {}).objectives
    assert objectives["cifar10"].signal == "cifar10-valid-valid-12"
    assert set(objectives) == {"cifar10", "cifar100", "ImageNet16-120"}


def test_seeds_of_some_architectures_are_missing(content, path, arch_strings, make_results):
    one = make_results(api, 0, arch_strings[0], 200, {"cifar10": (888,)})
    content["arch2infos"][0] = {"full": one.state_dict()}
    torch.save(content, path)
    table = nas201_pth.read_nas201_pth(path)
    assert np.isnan(table.lookup([0], "cifar10-test-200@777"))
    assert table.lookup([0], "cifar10-test-200@888") == table.lookup([0], "cifar10-test-200")
    three = [table.lookup([7], f"cifar10-test-200@{seed}")[0] for seed in (777, 888, 999)]
    assert table.lookup([7], "cifar10-test-200")[0] == pytest.approx(np.mean(three), rel=1e-12)


def test_another_order_of_architectures(content, path):
    torch.save(content, path)
    expected = nas201_pth.read_nas201_pth(path)
    content["meta_archs"] = content["meta_archs"][::-1]
    infos = content["arch2infos"]
    content["arch2infos"] = {15624 - number: info for number, info in infos.items()}
    torch.save(content, path)
    np.testing.assert_array_equal(nas201_pth.read_nas201_pth(path).values, expected.values)


def test_provenance(content, path):
    torch.save(content, path)
    provenance = nas201_pth.read_nas201_pth(path).provenance
    assert provenance["file"] == path.name
    assert len(provenance["sha256"]) == 64


def test_other_files_are_refused(content, path, tmp_path):
    with pytest.raises(MissingDataError, match="no file"):
        nas201_pth.read_nas201_pth(path)
    infos = content["arch2infos"]
    archs = content["meta_archs"]
    first = infos[0]
    for change, reason in (
        ({"arch2infos": {}}, "no results of any architecture"),
        ({"meta_archs": ["64:64:8"]}, "size search space"),
        ({"meta_archs": ["x"]}, "does not list the cells"),
        ({"meta_archs": None}, "does not list the cells"),
        ({"meta_archs": [*archs, archs[0]]}, "twice"),
        ({"arch2infos": {1: first}}, "architecture 1 after 12 epochs could not"),
        ({"arch2infos": {15625: first}}, "architecture 15625 after"),
        ({"arch2infos": {0: {"less": {}}}}, "architecture 0 after 12"),
        ({"arch2infos": {0: {"medium": {}}}}, "'less' and 'full'"),
        ({"arch2infos": [1]}, "not a file of NAS-Bench-201"),
    ):
        torch.save(content | change, path)
        with pytest.raises(DamagedDataError, match=reason):
            nas201_pth.read_nas201_pth(path)
    torch.save([1, 2], path)
    with pytest.raises(DamagedDataError, match="not a file of NAS-Bench-201"):
        nas201_pth.read_nas201_pth(path)


def test_damaged_and_hostile_files_are_refused(content, path, hostile):
    for zipped in (True, False):
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DamagedDataError, match="could not be read"):
            nas201_pth.read_nas201_pth(path)
        thing, ran = hostile
        torch.save(content | {"basestr": thing}, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(DamagedDataError, match=r"system.*No code of it was run"):
            nas201_pth.read_nas201_pth(path)
        assert not ran.exists()
