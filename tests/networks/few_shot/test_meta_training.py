"""Meta-training: equal to PyTorch's autograd and Adam, repeatable, and split over processes."""

import numpy as np
import pytest
import torch
from networks.few_shot.small_tasks import make_data, make_plan
from torch.nn.functional import cross_entropy

from nas_gym.networks.data.few_shot import TaskSampler
from nas_gym.networks.few_shot.meta_training import FewShotTraining
from nas_gym.networks.few_shot.plans import FewShotTrainingConfig

CELL = np.array([3, 1, 2, 0, 4, 3])


def make_training(**changes):
    data = make_data()
    plan = make_plan(data, **changes)
    train, valid = (
        TaskSampler(data, split, plan.ways, plan.shots, plan.queries)
        for split in ("train", "valid")
    )
    network = plan.build()
    return FewShotTraining(network, train, valid, plan.training, plan.seed, network.space)


def one_task(training):
    return training.train.draw(1, 5)


def copy_of(network):
    return {name: each.detach().clone() for name, each in network.named_parameters()}


def test_first_order_gradient_is_the_query_gradient_at_adapted_weights():
    training = make_training(steps=2)
    task, network = one_task(training), training.network
    loss, gradients = training.task_gradients(CELL, task)
    optimizer = torch.optim.SGD(network.parameters(), lr=training.config.inner_rate)
    for _ in range(2):
        optimizer.zero_grad()
        cross_entropy(network(task.support_images[0], CELL), task.support_labels[0]).backward()
        optimizer.step()
    optimizer.zero_grad()
    expected = cross_entropy(network(task.query_images[0], CELL), task.query_labels[0])
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    found = {name for name, each in network.named_parameters() if each.grad is not None}
    assert found == gradients.keys()
    for name, each in network.named_parameters():
        if name in gradients:
            torch.testing.assert_close(gradients[name], each.grad)


def test_reptile_moves_towards_the_adapted_weights():
    training = make_training(order="reptile", steps=1, inner_rate=0.25)
    task, network = one_task(training), training.network
    _, gradients = training.task_gradients(CELL, task)
    images = torch.cat([task.support_images[0], task.query_images[0]])
    labels = torch.cat([task.support_labels[0], task.query_labels[0]])
    cross_entropy(network(images, CELL), labels).backward()
    for name, each in network.named_parameters():
        if name in gradients:
            torch.testing.assert_close(gradients[name], 0.25 * each.grad, atol=1e-6, rtol=1e-4)


def test_orders_agree_without_adaptation_rate():
    tiny = {"inner_rate": 1e-9, "steps": 1}
    first, second = make_training(**tiny), make_training(**tiny, order="second")
    found = [each.task_gradients(CELL, one_task(each))[1] for each in (first, second)]
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], atol=1e-5, rtol=1e-4)


def test_an_update_trains_only_the_drawn_path():
    training = make_training(population=0)
    before = copy_of(training.network)
    training.meta_update(0)
    after = copy_of(training.network)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert before.keys() - changed  # the weights of other paths


def test_cosine_schedule_decreases_the_first_step_of_adam_to_almost_zero():
    def largest_change(step):
        training = make_training(epochs=2, updates=4, cosine=True, population=0, meta_rate=0.001)
        before = copy_of(training.network)
        training.meta_update(step)
        after = copy_of(training.network)
        return max(float((after[name] - before[name]).abs().max()) for name in before)

    rates = [0.001 * (1 + np.cos(np.pi * step / 8)) / 2 for step in (0, 7)]
    np.testing.assert_allclose([largest_change(step) for step in (0, 7)], rates, rtol=0.01)


def test_same_seed_same_run_and_resume_equals_uninterrupted():
    whole, again = make_training(epochs=3), make_training(epochs=3)
    metrics = [whole.run_epoch() for _ in range(3)]
    assert [again.run_epoch()] == metrics[:1]
    resumed = make_training(epochs=3)
    resumed.load_state_arrays(again.state_arrays())
    assert [resumed.run_epoch() for _ in range(2)] == metrics[1:]
    expected = whole.state_arrays()
    for name, array in resumed.state_arrays().items():
        np.testing.assert_array_equal(array, expected[name])


def test_evolution_starts_after_the_warmup_and_keeps_the_fittest():
    training = make_training(warmup=1, population=8)
    initial = training.genotypes.copy()
    training.run_epoch()
    np.testing.assert_array_equal(training.genotypes, initial)
    fitness = training.evolve(7)
    order = np.argsort(-fitness, kind="stable")
    np.testing.assert_array_equal(training.genotypes[:2], initial[order[:2]])
    training.finish()
    assert ((training.fitness >= 0) & (training.fitness <= 100)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is at least 1"),
        ({"order": "third"}, "order is one of first, second, reptile"),
        ({"inner_rate": 0.0}, "inner_rate and meta_rate are above 0"),
        ({"mutation": 1.5}, "are 0 to 1"),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        FewShotTrainingConfig(**changes)
