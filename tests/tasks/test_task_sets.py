"""Task sets: what is drawn, what tests are made of, and that training tells nothing of them."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from nas_gym.tasks import task_sets
from nas_gym.tasks.task_set import LeakError, dataset_of, task_set_of_environments
from nas_gym.utils.ranks import spearman


@pytest.fixture
def load(open_table):
    """Load a task set, or skip where its tables are missing."""

    def load(name):
        for table in ("nats-bench", "nb201-12epochs", "help-latency"):
            if name.startswith("nb201"):
                open_table(table)
        if name.startswith(("nb201-domains", "nb201-results")):
            open_table("hw-nas-bench-360")
        return task_sets.load_task_set(name)

    return load


@pytest.mark.parametrize("name", task_sets.TASK_SETS)
def test_draws_are_tasks_of_the_tests_space(name, load):
    tasks = load(name)
    drawn = [tasks.draw(np.random.default_rng(seed)) for seed in range(6)]
    tested = [tasks.test_task(test) for test in tasks.test]
    assert len({task.space.choices for task in drawn + tested}) == 1
    assert len({(str(task.signal), task.reward_name) for task in drawn}) > 1
    again = tasks.draw(np.random.default_rng(3))
    assert again.describe() == drawn[3].describe()
    np.testing.assert_array_equal(again.rewards, drawn[3].rewards)


def test_image_tasks_are_mixtures_of_other_data_sets(load, open_table):
    tasks = load("nb201-images/cifar10")
    task = tasks.draw(np.random.default_rng(0))
    table = open_table("nb201-12epochs")
    columns = [table.column(f"{name}-val") for name in ("cifar100", "ImageNet16-120")]
    weights = np.random.default_rng(0).dirichlet([1, 1])
    np.testing.assert_allclose(task.rewards, weights @ np.array(columns), atol=1e-4)
    assert task.noise > 0
    assert tasks.test_task("cifar10").optimum == pytest.approx(94.3733, abs=5e-5)


def test_conflicting_tasks_have_different_optima(load):
    tasks = load("nb201-conflicting")
    tested = [tasks.test_task(name) for name in tasks.test]
    assert len({int(task.rewards.argmax()) for task in tested}) == len(tested)
    drawn = [tasks.draw(np.random.default_rng(seed)).rewards for seed in range(30)]
    correlations = np.corrcoef(np.argsort(np.argsort(drawn, axis=1), axis=1))
    assert correlations.min() < -0.2
    # devices of training and test are of different families
    tested = {str(column) for task in tested for column in task.columns}
    assert not tested & set(tasks.columns)


DOMAINS = ("cifar10", "cifar100", "ImageNet16-120", "ninapro", "darcy", "cpu", "gpu")


@pytest.mark.parametrize("target", DOMAINS)
def test_domains_leave_out_the_target_with_its_hardware(target, load):
    tasks = load(f"nb201-domains/{target}")
    left = {name for name in tasks.columns if target in (dataset_of(name), _kind(name))}
    assert not left
    others = {dataset_of(name) or _kind(name) for name in tasks.columns}
    assert others == set(DOMAINS) - {target}
    assert not [name for name in tasks.columns if "variance" in name]
    hardware = [name for name in tasks.columns if "-pi5-" in name or "-pixel-" in name]
    assert len(hardware) == 7 * (2 if target in ("cifar100", "ninapro", "darcy") else 3)


def test_image_data_sets_are_related(load):
    assert load("nb201-domains/cifar100").related == ("cifar10", "ImageNet16-120")
    for target in ("ninapro", "darcy", "cpu", "gpu"):
        assert load(f"nb201-domains/{target}").related == ()


def test_related_data_sets_without_a_column_are_refused(load):
    with pytest.raises(ValueError, match=r"on svhn\. .* among ImageNet16-120, cifar100"):
        replace(load("nb201-images/cifar10"), related=("cifar100", "svhn"))


def _kind(column):
    """The kind of a device of the table help-latency; empty for other columns."""
    if not column.startswith("help-latency:"):
        return ""
    return "cpu" if "gold" in column or "silver" in column else "gpu"


def test_draws_are_balanced_between_domains(load):
    tasks = load("nb201-domains/cpu")
    rng = np.random.default_rng(0)
    drawn = [str(tasks.draw(rng).signal) for _ in range(500)]
    # five data sets with accuracies, three with latency and with energy, and the GPUs
    groups = [(dataset_of(name), "latency" in name, "energy" in name) for name in drawn]
    counts = {each: groups.count(each) for each in groups}
    assert len(counts) == 12
    assert all(20 < count < 70 for count in counts.values()), counts  # 42 are expected


@pytest.mark.parametrize(
    ("target", "left_out"),
    [("images", {"cifar10", "cifar100", "ImageNet16-120"}), ("darcy", {"darcy"})],
)
def test_results_leave_out_a_domain(target, left_out, load):
    tasks = load(f"nb201-results/{target}")
    everything = {"cifar10", "cifar100", "ImageNet16-120", "ninapro", "darcy"}
    assert set(tasks.test) == left_out
    assert {dataset_of(column) for column in tasks.columns} == everything - left_out
    drawn = tasks.draw(np.random.default_rng(0))
    tested = tasks.test_task(next(iter(left_out)))
    metrics = [task.metric(task.signal) for task in (drawn, tested)]
    assert {(each.unit, each.maximize) for each in metrics} == {("%", True)}


def test_conflicting_tasks_of_a_domain(load):
    tasks = load("nb201-domains-conflicting/darcy")
    result, latency, energy = (tasks.test_task(name).rewards for name in tasks.test)
    assert spearman(result, latency) < -0.7
    assert spearman(latency, energy) > 0.7
    same = load("nb201-domains/darcy")
    for seed in range(5):
        drawn = [each.draw(np.random.default_rng(seed)) for each in (tasks, same)]
        assert drawn[0] is drawn[1]


@pytest.mark.parametrize("target", ["ninapro", "darcy"])
def test_leaks_between_domains_are_refused(target, load):
    tasks = load(f"nb201-domains/{target}")
    for metric in ("test", "pi5-onnx-energy"):
        column = f"hw-nas-bench-360:{target}-{metric}"
        with pytest.raises(LeakError, match=column):
            replace(tasks, columns=(*tasks.columns, column))


@pytest.mark.parametrize(
    "column",
    ["nb201-12epochs:cifar10-val", "analog-nasbench:qat_accuracy", "nats-bench:cifar10-test"],
)
def test_leaks_are_refused(column, load):
    tasks = load("nb201-images/cifar10")
    with pytest.raises(LeakError, match=column):
        replace(tasks, columns=(*tasks.columns, column))


def test_a_draw_of_something_else_is_refused(load):
    tasks = replace(
        load("nb201-images/cifar10"),
        draw_arguments=lambda rng: {"table": "nb201-12epochs", "dataset": "cifar10"},
    )
    with pytest.raises(LeakError, match="cifar10-val"):
        tasks.draw(np.random.default_rng(0))


def test_data_set_of_a_column(open_table):
    open_table("nb201-12epochs")
    assert dataset_of("nb201-12epochs:cifar10-val") == "cifar10"
    assert dataset_of("nb201-12epochs:cifar100-val") == "cifar100"
    assert dataset_of("analog-nasbench:noisy_accuracy") == "cifar10"
    open_table("help-latency")
    assert dataset_of("help-latency:fpga") == ""


def test_of_environments():
    tasks = task_set_of_environments(
        ["NBGraph-cora-v0", "NBGraph-photo-alpha-v0"], ["NBGraph-cs-v0"]
    )
    drawn = {tasks.draw(np.random.default_rng(seed)).dataset for seed in range(10)}
    assert drawn == {"cora", "photo"}
    with pytest.raises(LeakError, match="NBGraph-cora-alpha-v0"):
        task_set_of_environments(["NBGraph-cora-v0"], ["NBGraph-cora-alpha-v0"])
    with pytest.raises(ValueError, match="the same search space"):
        task_set_of_environments(["NBGraph-cora-v0"], ["NB201-cifar10-v0"])
    with pytest.raises(ValueError, match="needs a test task"):
        task_set_of_environments(["NBGraph-cora-v0"], [])
    with pytest.raises(gym.error.NameNotFound):
        task_set_of_environments(["NoSuch-v0"], ["NBGraph-cs-v0"])


def test_unknown_names(load):
    with pytest.raises(KeyError, match="nb201-conflicting"):
        task_sets.load_task_set("nb201")
    with pytest.raises(KeyError, match="It has: cora"):
        task_sets.load_task_set("nbgraph/cora").test_task("cs")
