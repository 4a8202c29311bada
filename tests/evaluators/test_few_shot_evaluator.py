"""Evaluation by adaptation to few-shot tasks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from evaluators.helpers import drawn, values_at

from nas_gym.evaluators import few_shot as few_shot_evaluators
from nas_gym.evaluators.few_shot import FewShotEvaluator
from nas_gym.evaluators.named import network_evaluator
from nas_gym.networks.data.few_shot import TaskSampler, load_few_shot
from nas_gym.networks.data.omniglot import OneShotRuns
from nas_gym.networks.few_shot.adaptation import adaptation_accuracies
from nas_gym.networks.few_shot.meta_supernet import MetaSupernet, load_meta_supernet
from nas_gym.networks.few_shot.plans import few_shot_plan
from nas_gym.utils.errors import DivergedError, MissingDataError

CPU = torch.device("cpu")


@pytest.fixture
def data(few_shot_files):
    return load_few_shot(str(few_shot_files["images"]))


@pytest.fixture
def make(few_shot_files, data, tmp_path):
    supernets = {name: load_meta_supernet(few_shot_files[name], CPU) for name in ("NB201", "DARTS")}

    def make(space="NB201", images=data, **settings):
        given = {"tasks": 4, "test_tasks": 6, "folder": tmp_path / "results", **settings}
        return FewShotEvaluator(supernets[space], images, **given)

    return make


@pytest.fixture
def adapted(monkeypatch):
    """Numbers of tasks of all adaptations."""
    found = []

    def spy(network, genotype, batch, steps, learning_rate):
        found.append(len(batch))
        return adaptation_accuracies(network, genotype, batch, steps, learning_rate)

    monkeypatch.setattr(few_shot_evaluators, "adaptation_accuracies", spy)
    return found


@pytest.mark.parametrize("space", ["NB201", "DARTS"])
def test_accuracy_is_the_mean_over_tasks(space, make, data):
    evaluator = make(space)
    index = drawn(evaluator.space, 1)[0]
    plan = evaluator.supernet.plan
    for split, count, seed in (("valid", 4, 1), ("test", 6, 2)):
        batch = TaskSampler(data, split, 3, 1, plan.queries, plan.rotations).draw(count, [seed, 0])
        accuracies = adaptation_accuracies(
            evaluator.supernet.network,
            evaluator.space.decode([index])[0],
            batch,
            plan.training.steps,
            plan.training.inner_rate,
        ).numpy()
        (mean,) = values_at(evaluator, f"{split}_accuracy", [index])
        (half,) = values_at(evaluator, f"{split}_interval", [index])
        assert mean == pytest.approx(accuracies.mean(), abs=1e-4)
        assert half == pytest.approx(1.96 * accuracies.std(ddof=1) / count**0.5, abs=1e-4)


def test_test_tasks_are_used_only_if_asked_for(make, adapted):
    evaluator = make()
    genotypes = evaluator.space.decode(drawn(evaluator.space, 2))
    found = evaluator.all_values(genotypes)
    assert found.keys() == {"valid_accuracy", "valid_interval", "params", "seconds"}
    assert adapted == [4, 4]
    evaluator.values("valid_accuracy", genotypes)
    assert adapted == [4, 4]
    evaluator.values("test_accuracy", genotypes)
    evaluator.values("test_interval", genotypes)
    assert adapted == [4, 4, 6, 6]
    assert evaluator.evaluate(genotypes).keys() == evaluator.metrics.keys()


def test_tasks_come_in_parts_that_fit_in_memory(make, adapted):
    evaluator = make(test_tasks=45)
    values_at(evaluator, "test_accuracy", drawn(evaluator.space, 1))
    assert adapted == [20, 20, 5]


def test_results_are_stored(make, adapted):
    indices = drawn(make().space, 3)
    first = {name: values_at(make(), name, indices) for name in make().metrics}
    tasks = list(adapted)
    again = make()
    for name, values in first.items():
        np.testing.assert_array_equal(values_at(again, name, indices), values)
    assert adapted == tasks
    values_at(make(tasks=5), "valid_accuracy", indices)  # other tasks are other results
    assert adapted == [*tasks, 5, 5, 5]


def test_reported_classes_do_not_change_the_signal(make, data):
    other = replace(data, test=data.test.select("less", list(data.test.classes[:3])))
    indices = drawn(make().space, 4)
    one, two = (
        [values_at(make(images=each), f"{split}_accuracy", indices) for split in ("valid", "test")]
        for each in (data, other)
    )
    np.testing.assert_array_equal(one[0], two[0])
    assert (one[1] != two[1]).any()


def test_fixed_runs_replace_the_test_tasks(make, data, adapted):
    rng = np.random.default_rng(0)
    drawings = rng.integers(0, 256, (5, 3, 1, 8, 8), np.uint8)
    labels = np.array([rng.permutation(3) for _ in range(5)])
    query = np.stack([run[label] for run, label in zip(drawings, labels, strict=True)])
    fixed = replace(data, runs=OneShotRuns(drawings, query, labels))
    evaluator = make(images=fixed)
    indices = drawn(evaluator.space, 3)
    found = values_at(evaluator, "test_accuracy", indices)
    assert adapted == [5, 5, 5]
    assert found.max() > 60  # the query drawings are the support drawings
    few = replace(data, runs=OneShotRuns(drawings[:, :2], query[:, :2], labels[:, :2]))
    with pytest.raises(ValueError, match=r"2-way 1-shot tasks, .* Use few-shot\(ways=2,shots=1\)"):
        make(images=few)


def test_a_diverged_adaptation_counts_as_guessing(make, monkeypatch):
    def diverge(*_):
        raise DivergedError("An adaptation diverged.")

    monkeypatch.setattr(few_shot_evaluators, "adaptation_accuracies", diverge)
    evaluator = make()
    with pytest.warns(UserWarning, match=r"nor_conv|none|skip|avg"):
        (accuracy,) = values_at(evaluator, "valid_accuracy", drawn(evaluator.space, 1))
    assert accuracy == pytest.approx(100 / 3)


def test_the_population_is_that_of_the_supernet(make):
    evaluator = make()
    assert evaluator.population.shape == (4, 6)
    assert evaluator.space.contains(evaluator.population).all()


def test_a_supernet_of_other_classes(make, data):
    swapped = replace(data, train=data.valid, valid=data.train)
    with pytest.raises(ValueError, match=r"other classes than those of signs. Name its images"):
        make(images=swapped)
    with pytest.raises(ValueError, match="tasks and test_tasks are at least 2"):
        make(tasks=1)


@pytest.mark.parametrize("layers", [2, 8])
def test_cells_with_architectures_of_their_own(layers, data, tmp_path):
    settings = {"layers": layers, "own_cells": True, "channels": 4, "queries": 2}
    plan = few_shot_plan("DARTS", data, 3, 1).with_settings(**settings)
    network = plan.build()
    genotypes = network.space.sample(2, np.random.default_rng(0))
    supernet = MetaSupernet(network.eval(), plan, genotypes, np.zeros(2))
    if layers == 8:
        with pytest.raises(
            ValueError, match=r"1\.3e\+72 architectures, too many .*own_cells=False"
        ):
            FewShotEvaluator(supernet, data, folder=tmp_path)
        return
    evaluator = FewShotEvaluator(supernet, data, tasks=2, folder=tmp_path)
    accuracy = evaluator.values("valid_accuracy", genotypes)
    assert ((accuracy >= 0) & (accuracy <= 100)).all()


def test_evaluators_by_name(few_shot_files, cache):
    images = str(few_shot_files["images"])

    def named(text, space="NB201", supernet="NB201", dataset=images, **more):
        file = few_shot_files.get(supernet)
        return network_evaluator(space, dataset, text, file, "cpu", **more)

    evaluator = named("few-shot(ways=3,shots=1,tasks=2,test_tasks=3)")
    assert evaluator.identity() == {"evaluator": "few-shot(ways=3,shots=1,tasks=2,test_tasks=3)"}
    assert evaluator.default_columns("signs") == ("valid_accuracy", "test_accuracy")
    values_at(evaluator, "valid_accuracy", drawn(evaluator.space, 1))
    assert [path.suffix for path in (cache / "few-shot").glob("NB201-signs-*")] == [".sqlite"]
    with pytest.raises(ValueError, match="of NB201 for 3-way 1-shot tasks, not of NB201 for 5-way"):
        named("few-shot")
    with pytest.raises(ValueError, match="not of DARTS for 3-way"):
        named("few-shot(ways=3)", space="DARTS")
    with pytest.raises(ValueError, match="trained on other classes"):
        named("few-shot(ways=3)", size=4)
    with pytest.raises(ValueError, match="evaluator is 'supernet', 'training', 'few-shot'"):
        named("few-shot(ways=three)")
    with pytest.raises(ValueError, match="too few for 9-way tasks"):
        named("few-shot(ways=9)", supernet=None)
    with pytest.raises(
        MissingDataError, match="nas-gym train-supernet NB201 FOLDER --ways 3 --shots 2"
    ):
        named("few-shot(ways=3,shots=2)", supernet=None)
    with pytest.raises(MissingDataError, match="neither a few-shot data set"):
        named("few-shot", dataset="digits", supernet=None)
