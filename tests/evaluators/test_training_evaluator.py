"""Evaluation by training from scratch: shared, resumed and interrupted trainings."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from evaluators.helpers import drawn, values_at
from networks.small import small_training

from nas_gym import import_table, tables
from nas_gym.evaluators import training as training_evaluators
from nas_gym.evaluators.network import parameter_count
from nas_gym.evaluators.training import TrainingEvaluator
from nas_gym.networks import data
from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.networks.plans import training_plan
from nas_gym.spaces import DARTSSpace, NB201Space
from nas_gym.utils.errors import DamagedDataError, DataError

CPU = torch.device("cpu")
DIGITS = data.load_images("digits")
SPACE = NB201Space()
DARTS_GENOTYPE = DARTSSpace().sample(1, np.random.default_rng(0))[0]


@pytest.fixture
def from_scratch(tmp_path):
    return TrainingEvaluator(small_training("NB201"), DIGITS, CPU, tmp_path / "trainings")


def test_trains_once(from_scratch, monkeypatch):
    indices = drawn(SPACE, 2)
    values = values_at(from_scratch, "valid_accuracy", indices)
    assert ((values > 5) & (values <= 100)).all()
    assert (values_at(from_scratch, "seconds", indices) > 0).all()
    monkeypatch.setattr(training_evaluators, "Training", None)  # any further training fails
    np.testing.assert_array_equal(values_at(from_scratch, "valid_accuracy", indices), values)
    another = TrainingEvaluator(
        small_training("NB201"), DIGITS, CPU, from_scratch.store.path.parent
    )
    np.testing.assert_array_equal(values_at(another, "valid_accuracy", indices), values)
    with pytest.raises(KeyError, match="no metric 'x'"):
        values_at(another, "x", indices)


def test_equal_cells_are_trained_once(from_scratch):
    # the cells are equivalent: neither uses node 2
    genotypes = np.array([[3, 0, 0, 2, 1, 0], [3, 4, 2, 2, 1, 0]])
    assert len(set(SPACE.structures(genotypes))) == 1
    one, other = values_at(from_scratch, "valid_loss", SPACE.encode(genotypes))
    assert one == other
    assert len(from_scratch.store.rows()) == 1


def test_parameters_are_those_of_the_cell_itself(from_scratch):
    """``params`` count the cell itself, not its representative, and no auxiliary head."""
    dead = SPACE.encode([[3, 0, 0, 0, 0, 1]])  # the only convolution does not reach the output
    assert from_scratch.store.rows() == {}
    (found,) = values_at(from_scratch, "params", dead)
    network = from_scratch.plan.build(SPACE.decode(dead)[0])
    assert found == sum(each.numel() for each in network.parameters()) / 1e6
    assert found > values_at(from_scratch, "params", SPACE.encode([[0, 0, 0, 0, 0, 1]]))[0]
    assert from_scratch.store.rows() == {}  # nothing was trained
    plan = training_plan("DARTS", DIGITS)
    bare, headed = (
        parameter_count(DARTSNetwork, {**plan.network, "auxiliary": auxiliary}, DARTS_GENOTYPE)
        for auxiliary in (False, True)
    )
    assert bare == headed


def test_same_seed_same_score(from_scratch, tmp_path):
    indices = drawn(SPACE, 1)
    again = TrainingEvaluator(small_training("NB201"), DIGITS, CPU, tmp_path / "again")
    assert values_at(from_scratch, "valid_loss", indices) == values_at(again, "valid_loss", indices)


def test_darts_is_trained(tmp_path):
    evaluator = TrainingEvaluator(small_training("DARTS"), DIGITS, CPU, tmp_path)
    space = DARTSSpace()
    found = evaluator.evaluate(space.decode(drawn(space, 1)))
    assert 0 <= found["valid_accuracy"][0] <= 100
    assert found["params"][0] > 0.001


def test_divergence_counts_as_guessing(tmp_path):
    plan = small_training("NB201").with_settings(learning_rate=1e20, clip=1e20)
    evaluator = TrainingEvaluator(plan, DIGITS, CPU, tmp_path)
    with pytest.warns(UserWarning, match="training diverged"):
        (value,) = values_at(evaluator, "valid_accuracy", SPACE.encode([[3] * 6]))
    assert value == 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the result is remembered
        assert values_at(evaluator, "valid_loss", SPACE.encode([[3] * 6])) == np.log(10)


class KilledError(Exception):
    pass


def test_a_killed_training_is_resumed(tmp_path, monkeypatch):
    # a checkpoint after each epoch
    monkeypatch.setattr(TrainingEvaluator, "checkpoint_seconds", -1.0)
    plan, index = small_training("NB201", 3), drawn(SPACE, 1)
    whole = TrainingEvaluator(plan, DIGITS, CPU, tmp_path / "whole")
    expected = values_at(whole, "valid_loss", index)
    run_epoch, ran = training_evaluators.Training.run_epoch, []

    def killed(training):
        ran.append(training.epoch)
        if len(ran) == 3:
            raise KilledError
        return run_epoch(training)

    monkeypatch.setattr(training_evaluators.Training, "run_epoch", killed)
    folder = tmp_path / "cut"
    with pytest.raises(KilledError):
        values_at(TrainingEvaluator(plan, DIGITS, CPU, folder), "valid_loss", index)
    assert len(list(folder.rglob("*.safetensors"))) == 1
    found = values_at(TrainingEvaluator(plan, DIGITS, CPU, folder), "valid_loss", index)
    assert ran == [0, 1, 2, 2]
    assert found == expected
    assert not list(folder.rglob("*.safetensors"))


def test_two_evaluators_share_a_training(tmp_path, monkeypatch):
    run_epoch, ran = training_evaluators.Training.run_epoch, []

    def counted(training):
        ran.append(training.epoch)
        return run_epoch(training)

    monkeypatch.setattr(training_evaluators.Training, "run_epoch", counted)
    index = drawn(SPACE, 1)

    def value(_):
        evaluator = TrainingEvaluator(small_training("NB201", 2), DIGITS, CPU, tmp_path)
        return values_at(evaluator, "valid_loss", index)[0]

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(value, range(2))
    assert first == second
    assert ran == [0, 1]
    assert not list(tmp_path.rglob("*.lock"))


def train_many(folder):
    torch.set_num_threads(1)
    evaluator = TrainingEvaluator(small_training("NB201"), DIGITS, CPU, folder)
    values_at(evaluator, "valid_loss", np.arange(1000))


@pytest.mark.long
def test_a_killed_process_leaves_whole_rows(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=train_many, args=(tmp_path,))
    process.start()
    store = TrainingEvaluator(small_training("NB201"), DIGITS, CPU, tmp_path).store
    until = time.monotonic() + 60
    while len(store.rows()) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    rows = store.rows()
    assert len(rows) >= 3
    evaluator = TrainingEvaluator(small_training("NB201"), DIGITS, CPU, tmp_path / "anew")
    index = next(iter(rows))
    assert values_at(evaluator, "valid_loss", np.array([index]))[0] == pytest.approx(
        rows[index]["valid_loss"], rel=1e-3
    )


def test_results_become_a_table(from_scratch, tmp_path, cache):
    indices = drawn(SPACE, 3)
    values_at(from_scratch, "valid_accuracy", indices)
    path = tmp_path / "results.csv"
    assert from_scratch.export(path) == 3
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0].keys() == {"arch", *from_scratch.metrics}
    import_table(path, "Trained", signal="valid_accuracy", report="test_accuracy")
    table = tables.load_table("Trained")
    genotypes = SPACE.canonical(SPACE.decode(indices))
    np.testing.assert_allclose(
        table.lookup(table.space.encode(genotypes), "valid_accuracy"),
        values_at(from_scratch, "valid_accuracy", indices),
    )


def test_a_damaged_store(from_scratch):
    path = from_scratch.store.path
    path.parent.mkdir()
    path.write_bytes(b"no database" * 100)
    with pytest.raises(DamagedDataError, match="Delete it to evaluate again"):
        values_at(from_scratch, "valid_loss", drawn(SPACE, 1))


def test_an_empty_store_file(from_scratch):
    path = from_scratch.store.path
    path.parent.mkdir()
    path.touch()
    assert from_scratch.store.get(3) is None
    assert from_scratch.store.rows() == {}
    values_at(from_scratch, "valid_loss", drawn(SPACE, 1))
    assert len(from_scratch.store.rows()) == 1


def test_unwritable_store_is_an_error_before_training(from_scratch, monkeypatch):
    monkeypatch.setattr(training_evaluators, "Training", None)  # any training fails
    from_scratch.store.path.parent.mkdir()
    from_scratch.store.path.with_name(f"{from_scratch.store.path.name}-journal").mkdir()
    with pytest.raises(DataError, match="They are not lost"):
        values_at(from_scratch, "valid_loss", drawn(SPACE, 1))
