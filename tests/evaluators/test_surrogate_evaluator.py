"""The surrogate of a table as an evaluator, and in environments."""

import gymnasium as gym
import numpy as np
import pytest

import nas_gym
from nas_gym.evaluators.surrogate import SurrogateEvaluator, surrogate_evaluator
from nas_gym.registration import environments, import_table
from nas_gym.spaces import CategoricalSpace, MnasNetSpace
from nas_gym.spaces.mnasnet_cost import count_mnasnet_macs, count_mnasnet_parameters
from nas_gym.tables import DataError, load_table, store
from nas_gym.tasks import make_task
from nas_gym.utils.files import read_arrays

SPACE = CategoricalSpace([("1", "2", "3", "4")] * 4, [f"width{i}" for i in range(4)], name="Own")


@pytest.fixture
def write_table(cache, tmp_path):
    """Writes a CSV file of some architectures."""

    def write(rows=120, offset=0.0):
        genotypes = SPACE.decode(np.random.default_rng(0).permutation(SPACE.size)[:rows])
        lines = ["width0,width1,width2,width3,acc"]
        for row in genotypes.tolist():
            labels = ",".join(str(1 + choice) for choice in row)
            lines.append(f"{labels},{60 + offset + sum(row) + 0.1 * row[0] * row[1]}")
        path = tmp_path / "own.csv"
        path.write_text("\n".join(lines))
        return path

    yield write
    for env_id in [each for each in gym.registry if each.startswith("Own")]:
        del gym.registry[env_id]


def test_import_with_a_surrogate(write_table):
    decisions = [f"width{i}" for i in range(4)]
    ids = import_table(write_table(), "Own", decisions=decisions, surrogate=True)
    assert ids[3:] == ["Own-surrogate-v0", "Own-surrogate-alpha-v0", "Own-surrogate-population-v0"]
    assert set(environments()) >= {"Own", "Own-surrogate"}
    partial, whole = (gym.make(each).unwrapped.task for each in ("Own-v0", "Own-surrogate-v0"))
    assert (partial.space.size, whole.space.size) == (120, 256)
    assert (str(whole.signal), str(whole.report)) == (
        "surrogate:acc@half1", "surrogate:acc@half2"
    )  # fmt: skip
    best = whole.space.decode(np.array([255]))
    assert whole.evaluator.values("acc", best)[0] == pytest.approx(60 + 12 + 0.9, abs=0.3)
    assert whole.optimum is not None  # a small space is enumerated
    # a table without a surrogate takes its place
    assert len(import_table(write_table(), "Own", decisions=decisions, replace=True)) == 3
    assert "Own-surrogate" not in environments()
    assert "Own-surrogate-v0" not in gym.registry


def test_nothing_is_stored_if_the_surrogate_fails(write_table):
    decisions = [f"width{i}" for i in range(4)]
    with pytest.raises(DataError, match=r"at least 50 architectures.*has 49"):
        import_table(write_table(49), "Own", decisions=decisions, surrogate=True)
    assert not store.is_stored("Own")
    with pytest.raises(DataError, match=r"all 256 architectures.*Search in the table"):
        import_table(write_table(256), "Own", decisions=decisions, surrogate=True)
    assert "Own" not in environments()


def test_the_file_is_read_again_and_replaced_if_it_is_damaged(write_table, monkeypatch):
    import_table(write_table(), "Own", decisions=[f"width{i}" for i in range(4)], surrogate=True)
    path = store.surrogate_path("Own")
    content = path.read_bytes()
    genotypes = SPACE.sample(20, np.random.default_rng(0))
    values = surrogate_evaluator("Own").values("acc", genotypes)
    monkeypatch.setattr("nas_gym.evaluators.surrogate._opened", {})
    path.write_bytes(content[: len(content) // 2])
    np.testing.assert_array_equal(surrogate_evaluator("Own").values("acc", genotypes), values)
    assert {*read_arrays(path)} == {"cards", "weights", "digest"}
    store.remove_table("Own")
    assert not path.exists()


def test_a_complete_table_has_no_surrogate():
    with pytest.raises(DataError, match="all 15,625 architectures"):
        SurrogateEvaluator(load_table("analog-nasbench"))


@pytest.fixture
def accel(open_table):
    open_table("accel-nasbench")
    return surrogate_evaluator("accel-nasbench")


@pytest.mark.long
def test_quality_on_accel_nasbench(accel):
    cards = accel.cards
    assert not {"params", "macs"} & cards.keys()
    assert len(cards) == 11
    for metric, r2, kendall in (
        ("top1", 0.982, 0.917),
        ("zcu102-latency", 0.998, 0.982),
        ("a100-throughput", 0.998, 0.993),
    ):
        assert cards[metric].r2 > r2
        assert cards[metric].kendall > kendall
    assert cards["tpuv3-throughput"].rows == 5081


def test_parameters_and_macs_are_computed(accel):
    genotypes = MnasNetSpace().sample(50, np.random.default_rng(0))
    found = accel.evaluate(genotypes)
    np.testing.assert_array_equal(found["params"], count_mnasnet_parameters(genotypes) / 1e6)
    np.testing.assert_array_equal(found["macs"], count_mnasnet_macs(genotypes) / 1e6)
    assert found.keys() == accel.metrics.keys()
    assert all(np.isfinite(values).all() for values in found.values())


def test_the_halves_rank_the_best_alike(accel):
    """The other half confirms the best architectures of one half."""
    genotypes = np.unique(MnasNetSpace().sample(20_000, np.random.default_rng(0)), axis=0)
    signal, report = (accel.values(f"top1@{half}", genotypes) for half in ("half1", "half2"))
    best = np.argsort(-signal)[:100]
    assert np.corrcoef(signal, report)[0, 1] > 0.99
    assert (report[best] > np.quantile(report, 0.95)).all()


def test_environments(accel):
    for suffix in ("", "-alpha", "-population"):
        env = gym.make(f"MnasNet-ImageNet{suffix}-v0")
        assert env.unwrapped.task.space.size == 36**6 * 48
    task = env.unwrapped.task
    assert (str(task.signal), str(task.report)) == (
        "surrogate:top1@half1", "surrogate:top1@half2"
    )  # fmt: skip
    bounded = make_task(
        "accel-nasbench", "ImageNet", evaluator="surrogate", constraint="zcu102-latency <= 5"
    )
    indices = bounded.space.encode(bounded.space.sample(100, np.random.default_rng(0)))
    feasible = bounded.violations(indices) == 0
    assert 0 < feasible.sum() < 100
    assert bounded.reward(indices[feasible]).min() > bounded.reward(indices[~feasible]).max()


def test_errors(accel):
    with pytest.raises(KeyError, match=r"no metric .energy.\. It has: top1, top1@half1"):
        accel.values("energy", MnasNetSpace().sample(1, np.random.default_rng(0)))
    with pytest.raises(KeyError, match="no task for 'cifar10'"):
        make_task("accel-nasbench", "cifar10", evaluator="surrogate")
    with pytest.raises(KeyError, match="no task for 'cifar10'"):
        nas_gym.make_task(table="accel-nasbench", dataset="cifar10")


def test_objectives_in_a_space_that_cannot_be_enumerated(accel):
    pytest.importorskip("moocore")
    env = gym.make("MnasNet-ImageNet-mo-v0")
    task = env.unwrapped.task
    assert env.unwrapped.reward_space.shape == (2,)
    front = task.reported_front
    genotypes = task.space.decode(front.indices)
    vectors = task.reported_objectives(front.indices)
    np.testing.assert_array_equal(vectors[:, 0], accel.values("top1@half2", genotypes))
    np.testing.assert_array_equal(vectors[:, 1], -accel.values("zcu102-latency", genotypes))
    assert front.hypervolume(vectors) == 1.0
    random = task.space.encode(task.space.sample(2000, np.random.default_rng(1)))
    assert 0.5 < front.hypervolume(task.reported_objectives(random)) < 0.95
    alone = task.reported(random)
    assert (alone >= 0).all()
    assert alone.max() < 1
    with pytest.raises(ValueError, match=r"constraint need a search space that can be enumerated"):
        make_task(
            "accel-nasbench", "ImageNet", evaluator="surrogate", objectives="signal,params",
            constraint="macs <= 300",
        )  # fmt: skip
