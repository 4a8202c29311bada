"""Files of meta-supernets: resumed, checked, loaded."""

import numpy as np
import pytest
import torch
from networks.few_shot.small_tasks import make_data, make_plan

from nas_gym.networks.data.few_shot import TaskSampler
from nas_gym.networks.few_shot.adaptation import adaptation_accuracies
from nas_gym.networks.few_shot.meta_supernet import load_meta_supernet, train_meta_supernet
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError
from nas_gym.utils.files import read_tensors, write_tensors

CPU = torch.device("cpu")


class Stop(Exception):
    pass


def stop_after(epochs):
    def on_epoch(epoch, metrics):
        if epoch > epochs:
            raise Stop

    return on_epoch


@pytest.fixture
def data():
    return make_data()


def assert_equal_files(first, second):
    found, expected = read_tensors(first), read_tensors(second)
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])


def test_interrupted_training_equals_uninterrupted(data, tmp_path):
    plan = make_plan(data, epochs=3)
    train_meta_supernet(plan, data, tmp_path / "whole.safetensors", CPU)
    cut = tmp_path / "cut.safetensors"
    with pytest.raises(Stop):
        train_meta_supernet(plan, data, cut, CPU, stop_after(1), seconds=0)
    with pytest.raises(MissingDataError, match="1 of 3 epochs"):
        load_meta_supernet(cut, CPU)
    seen = []
    train_meta_supernet(
        plan, data, cut, CPU, on_resume=lambda curves: seen.append(curves["loss"].copy())
    )
    assert [len(each) for each in seen] == [1]
    assert_equal_files(cut, tmp_path / "whole.safetensors")


def test_the_last_epoch_reports_the_final_population(data, tmp_path):
    path, metrics = tmp_path / "meta.safetensors", {}

    def record(epoch, found):
        metrics[epoch] = found

    meta = train_meta_supernet(make_plan(data), data, path, CPU, record)
    last = metrics[meta.plan.training.epochs]
    assert last["best_accuracy"] == meta.fitness[0]
    assert last["valid_accuracy"] == pytest.approx(meta.fitness.mean())
    none = make_plan(data, population=0)
    assert not len(train_meta_supernet(none, data, tmp_path / "none.safetensors", CPU).fitness)


def test_loading(data, tmp_path):
    plan, path = make_plan(data, "DARTS"), tmp_path / "darts.safetensors"
    trained = train_meta_supernet(plan, data, path, CPU)
    loaded = load_meta_supernet(path, CPU)
    assert loaded.plan == plan
    np.testing.assert_array_equal(loaded.population, trained.population)
    assert (np.diff(loaded.fitness) <= 0).all()
    batch = TaskSampler(data, "test", plan.ways, plan.shots, plan.queries).draw(2, 0)
    genotype = loaded.population[0]
    expected = adaptation_accuracies(loaded.network, genotype, batch, 1, 0.1)
    assert torch.equal(
        adaptation_accuracies(loaded.subnet(genotype), None, batch, 1, 0.1), expected
    )


def test_other_plans_and_other_classes_are_refused(data, tmp_path):
    path = tmp_path / "meta.safetensors"
    train_meta_supernet(make_plan(data), data, path, CPU)
    with pytest.raises(ValueError, match="other settings"):
        train_meta_supernet(make_plan(data, inner_rate=0.5), data, path, CPU)
    other = make_data(seed=1)
    with pytest.raises(ValueError, match="another split of their classes"):
        train_meta_supernet(make_plan(other), other, path, CPU)
    with pytest.raises(ValueError, match="The plan was made for other images"):
        train_meta_supernet(make_plan(data), other, path, CPU)


def test_too_few_classes_or_images(data, tmp_path):
    few = make_data(classes=2)
    with pytest.raises(ValueError, match="too few for 3-way tasks"):
        train_meta_supernet(make_plan(few), few, tmp_path / "few.safetensors", CPU)
    with pytest.raises(ValueError, match="fewer than 1 \\+ 9 images"):
        train_meta_supernet(make_plan(data, queries=9), data, tmp_path / "few.safetensors", CPU)


def test_damaged_files(data, tmp_path):
    path = tmp_path / "meta.safetensors"
    with pytest.raises(MissingDataError, match="There is no meta-supernet"):
        load_meta_supernet(path, CPU)
    train_meta_supernet(make_plan(data), data, path, CPU)
    arrays = read_tensors(path)
    name = next(each for each in arrays if each.startswith("network/"))
    for change in (
        {name: arrays[name] * np.nan},
        {name: arrays[name][:1]},
        {"population": arrays["population"][:1]},
        {"population": arrays["population"] + 100},
        {"few_shot_plan": np.array("{}")},
        {"epoch": np.array(99)},
    ):
        write_tensors(path, {**arrays, **change})
        with pytest.raises(DamagedDataError):
            load_meta_supernet(path, CPU)
    del arrays["population"]
    write_tensors(path, arrays)
    with pytest.raises(DamagedDataError, match="holds no meta-supernet"):
        load_meta_supernet(path, CPU)


def test_one_process_at_a_time(data, tmp_path):
    path = tmp_path / "meta.safetensors"

    def start_another(epoch, metrics):
        with pytest.raises(DataError, match="Another process trains"):
            train_meta_supernet(make_plan(data), data, path, CPU, wait=False)

    train_meta_supernet(make_plan(data), data, path, CPU, start_another)
