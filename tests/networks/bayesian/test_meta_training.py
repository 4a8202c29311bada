"""Meta-training of BASE: the outer update, tasks that diverge, and several processes."""

import numpy as np
import pytest
import torch
from networks.bayesian.small_meta import make_base_plan, make_training
from networks.few_shot.distributed_steps import run_base_steps
from networks.few_shot.small_tasks import make_data
from networks.few_shot.test_processes import start_torchrun

from nas_gym.networks.bayesian import meta_training
from nas_gym.networks.bayesian.distribution import NetworkDistribution
from nas_gym.networks.few_shot.processes import Processes
from nas_gym.utils.errors import DivergedError


def values(distribution):
    return torch.cat([each.flatten() for each in distribution.parameters().values()])


def test_an_update_moves_towards_the_mean_of_the_posteriors():
    training = make_training(outer_rate=0.25, tasks=3)
    before, posteriors = training.prior, []

    def spied(*arguments, **more):
        posteriors.append(type(training).adapt(training, *arguments, **more))
        return posteriors[-1]

    training.adapt = spied
    training.update(0)
    mean = torch.stack([values(each) for each in posteriors]).mean(dim=0)
    expected = values(before) + 0.25 * (mean - values(before))
    torch.testing.assert_close(values(training.prior), expected, atol=1e-6, rtol=1e-5)


def test_alpha_stays_during_the_warmup():
    training = make_training(warmup=1, kl_weight=0.0)
    alpha, weights = training.prior.alpha_logits, values(training.prior)
    training.update(0)
    assert torch.equal(training.prior.alpha_logits, alpha)
    assert not torch.equal(values(training.prior), weights)
    training.epoch = 1
    training.update(1)
    assert not torch.equal(training.prior.alpha_logits, alpha)


def test_the_same_seed_gives_the_same_meta_parameters():
    found = []
    for seed in (0, 0, 1):
        training = make_training(seed=seed)
        training.update(0)
        found.append(values(training.prior))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_metrics_of_an_epoch():
    metrics = make_training().run_epoch()
    assert 0 <= metrics["valid_accuracy"] <= 100
    assert 0 < metrics["alpha_entropy"] <= np.log(5) + 1e-6
    assert 0 <= metrics["agreement"] <= 1
    assert metrics["skipped_tasks"] == 0


def test_a_task_that_diverges_is_left_out_with_a_warning_that_counts(monkeypatch):
    training = make_training(tasks=2)
    adapt, calls = meta_training.optimization_embedding, []

    def failing(*arguments):
        calls.append(0)
        if len(calls) % 2:
            raise DivergedError("The loss was nan.")
        return adapt(*arguments)

    monkeypatch.setattr(meta_training, "optimization_embedding", failing)
    before = values(training.prior)
    with pytest.warns(UserWarning, match=r"1 of 2 tasks of update 1 diverged .* 1 so far.*nan"):
        training.update(0)
    with pytest.warns(UserWarning, match=r"1 of 2 tasks of update 2 diverged .* 2 so far"):
        training.update(1)
    assert training.skipped == 2
    assert not torch.equal(values(training.prior), before)
    assert training.state_arrays()["skipped"] == 2


def test_an_update_without_any_posterior_is_an_error():
    training = make_training(inner_rate=9e5, alpha_rate=9e5, steps=4)
    with pytest.raises(DivergedError, match="All 2 tasks of update 1 diverged"):
        training.update(0)


@pytest.mark.parametrize("log_deviation", [-13.7, 2.25])
def test_deviations_that_collapse_or_explode_are_reported(log_deviation):
    """A deviation just inside its range, which a step of this size leaves."""
    training = make_training(inner_rate=9e4, kl_weight=1.0, tasks=1)
    spread = {k: torch.full_like(v, log_deviation) for k, v in training.prior.mean.items()}
    training.prior = NetworkDistribution(training.prior.mean, spread, training.prior.alpha_logits)
    with pytest.raises(DivergedError):
        training.update(0)


def test_state_round_trip_and_wrong_shapes():
    training, other = make_training(), make_training(seed=3)
    training.run_epoch()
    other.load_state_arrays(training.state_arrays())
    assert torch.equal(values(other.prior), values(training.prior))
    assert other.epoch == 1
    arrays = training.state_arrays()
    arrays["alpha_logits"] = arrays["alpha_logits"][:2]
    with pytest.raises(ValueError, match="alpha_logits is missing or has another shape"):
        other.load_state_arrays(arrays)


def test_temperature_follows_the_schedule(monkeypatch):
    training = make_training(temperature=4.0, final_temperature=1.0, epochs=2)
    seen = []
    adapt = meta_training.optimization_embedding

    def spied(*arguments):
        seen.append(arguments[5])
        return adapt(*arguments)

    monkeypatch.setattr(meta_training, "optimization_embedding", spied)
    training.run_epoch()
    training.update(9)
    assert seen[0] == 4.0
    assert seen[-1] == 1.0


@pytest.mark.long
def test_two_processes_equal_one_with_twice_the_tasks(tmp_path):
    process = start_torchrun("base-steps", tmp_path / "two.npz")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    expected = run_base_steps(Processes(), tasks=2)
    with np.load(tmp_path / "two.npz") as found:
        assert set(found) == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, atol=1e-5)


def test_each_process_has_its_own_tasks_and_noise():
    """Two processes, one after another, move as one process with all tasks."""
    moves = []

    class Second(Processes):
        def average(self, tensors):
            moves.append([each.clone() for each in tensors])

    for rank in (0, 1):
        make_training(Second(rank, 2), tasks=1).update(0)
    whole = []

    class Recording(Processes):
        def average(self, tensors):
            whole.append([each.clone() for each in tensors])

    make_training(Recording(), tasks=2).update(0)
    for first, second, both in zip(*moves, whole[0], strict=True):
        torch.testing.assert_close(first + second, both)


def test_plans_with_settings():
    plan = make_base_plan(make_data())
    assert plan.with_settings(relaxation="soft").training.relaxation == "soft"
    with pytest.raises(ValueError, match="no setting 'population'"):
        plan.with_settings(population=3)
    assert plan.build().settings["channels"] == 2
