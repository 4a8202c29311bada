"""Adaptation to few-shot tasks: equal to SGD by PyTorch, one task at a time, from fixed weights."""

import numpy as np
import pytest
import torch
from networks.few_shot.small_tasks import make_data, make_plan
from torch.nn.functional import cross_entropy

from nas_gym.networks.darts_network import DARTSNetwork
from nas_gym.networks.data.few_shot import FewShotBatch
from nas_gym.networks.evaluation import use_batch_statistics
from nas_gym.networks.few_shot import adaptation
from nas_gym.networks.few_shot.adaptation import (
    adaptation_accuracies,
    adapted_weights,
    query_gradients,
)
from nas_gym.networks.few_shot.meta_supernet import train_meta_supernet
from nas_gym.networks.few_shot.plans import task_sampler
from nas_gym.networks.few_shot.stacked import is_faster_stacked, stacked_weights
from nas_gym.networks.nb201_network import NB201Network
from nas_gym.utils.errors import DivergedError

CPU = torch.device("cpu")
CELL = [3, 1, 2, 0, 4, 3]


def make_supernet(seed=0):
    torch.manual_seed(seed)
    network = NB201Network(num_classes=3, in_channels=1, channels=2, cells=1)
    use_batch_statistics(network)
    return network


def make_batch(tasks=2, ways=3, queries=2, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(ways).repeat(tasks, 1)
    return FewShotBatch(
        support_images=torch.randn(tasks, ways, 1, size, size, generator=generator),
        support_labels=labels,
        query_images=torch.randn(tasks, ways * queries, 1, size, size, generator=generator),
        query_labels=labels.repeat(1, queries),
    )


def sgd(network, genotype, images, labels, steps, rate):
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(network(images, genotype), labels).backward()
        optimizer.step()


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_weights_equal_those_of_torch_sgd(steps):
    network, reference, batch = make_supernet(), make_supernet(), make_batch()
    weights = adapted_weights(
        network, CELL, batch.support_images[0], batch.support_labels[0], steps, 0.1
    )
    sgd(reference, CELL, batch.support_images[0], batch.support_labels[0], steps, 0.1)
    expected = dict(reference.named_parameters())
    for name, weight in weights.items():
        torch.testing.assert_close(weight, expected[name])
    unused = expected.keys() - weights.keys()
    assert (len(unused) > 0) == (steps > 0)  # only the path is adapted


def test_every_task_starts_from_the_same_weights():
    network, batch = make_supernet(), make_batch(tasks=3)
    before = {name: each.clone() for name, each in network.state_dict().items()}
    found = adaptation_accuracies(network, CELL, batch, 3, 0.1)
    for name, each in network.state_dict().items():
        assert torch.equal(each, before[name])
    for task in range(3):
        own = make_supernet()
        sgd(own, CELL, batch.support_images[task], batch.support_labels[task], 3, 0.1)
        logits = own(batch.query_images[task], CELL)
        correct = (logits.argmax(dim=1) == batch.query_labels[task]).float().mean()
        assert found[task] == pytest.approx(100 * correct.item())


def test_supernet_and_stand_alone_network_agree():
    supernet, batch = make_supernet(), make_batch()
    alone = NB201Network(num_classes=3, in_channels=1, channels=2, cells=1, genotype=CELL)
    use_batch_statistics(alone)
    own = supernet.state_dict()
    alone.load_state_dict({name: own[name] for name in alone.state_dict()})
    expected = adaptation_accuracies(supernet, CELL, batch, 2, 0.1)
    torch.testing.assert_close(adaptation_accuracies(alone, None, batch, 2, 0.1), expected)


def test_second_order_gradients_equal_finite_differences():
    network, batch = make_supernet().double(), make_batch()
    support, labels = batch.support_images[0].double(), batch.support_labels[0]
    query, query_labels = batch.query_images[0].double(), batch.query_labels[0]

    def run():
        weights = adapted_weights(network, CELL, support, labels, 2, 0.1, second_order=True)
        parameters = dict(network.named_parameters())
        return query_gradients(network, CELL, weights, query, query_labels, parameters)

    _, gradients = run()
    rng = np.random.default_rng(0)
    parameters = dict(network.named_parameters())
    for name in rng.choice(sorted(gradients), 5, replace=False):
        flat = parameters[name].data.view(-1)
        place = int(rng.integers(len(flat)))
        value, epsilon = flat[place].item(), 1e-5
        losses = []
        for moved in (value + epsilon, value - epsilon):
            flat[place] = moved
            losses.append(run()[0].item())
        flat[place] = value
        numeric = (losses[0] - losses[1]) / (2 * epsilon)
        assert gradients[name].view(-1)[place].item() == pytest.approx(numeric, rel=1e-4, abs=1e-7)


def test_divergence_is_an_error():
    with pytest.raises(DivergedError, match="Lower its learning rate"):
        adaptation_accuracies(make_supernet(), CELL, make_batch(), 8, 1e30)


def test_a_network_of_two_darts_cells_has_one_reduction():
    network = DARTSNetwork(3, in_channels=1, channels=2, layers=2)
    assert [cell.reduction for cell in network.cells] == [False, True]


def test_each_darts_cell_has_its_own_architecture():
    network = DARTSNetwork(3, in_channels=1, channels=2, layers=4, own_cells=True)
    use_batch_statistics(network)
    assert network.space.num_decisions == 4 * 11
    genotype = network.space.sample(1, np.random.default_rng(0))[0]
    images = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = network(images, genotype)
    changed = genotype.copy()
    changed[0] = (changed[0] + 1) % 7  # an operation of the first cell
    assert not torch.equal(network(images, changed), logits)
    alone = DARTSNetwork(3, 1, 2, 4, own_cells=True, genotype=genotype)
    use_batch_statistics(alone)
    own = network.state_dict()
    alone.load_state_dict({name: own[name] for name in alone.state_dict()})
    torch.testing.assert_close(alone(images), logits)


def test_large_supernets_with_their_own_cells_evolve(tmp_path):
    data = make_data()
    plan = make_plan(data, "DARTS", layers=8, own_cells=True, epochs=1, warmup=0, updates=1)
    found = train_meta_supernet(plan, data, tmp_path / "large.safetensors", CPU)
    assert found.population.shape == (4, 88)


@pytest.mark.parametrize("space", ["NB201", "DARTS"])
def test_tasks_adapted_together_equal_tasks_in_a_loop(space, monkeypatch):
    data = make_data()
    plan = make_plan(data, space)
    network = plan.build()
    batch = task_sampler(plan, data, "train", CPU).draw(3, seed=0)
    genotype = network.space.sample(1, np.random.default_rng(0))[0]
    weights = stacked_weights(network, genotype, batch, 2, 0.1)
    for task in range(3):
        expected = adapted_weights(
            network, genotype, batch.support_images[task], batch.support_labels[task], 2, 0.1
        )
        assert weights.keys() == expected.keys()
        for name, weight in expected.items():
            torch.testing.assert_close(weights[name][task], weight, rtol=1e-3, atol=1e-4)
    assert is_faster_stacked(network, batch)
    together = adaptation_accuracies(network, genotype, batch, 2, 0.1)
    monkeypatch.setattr(adaptation, "is_faster_stacked", lambda *_: False)
    torch.testing.assert_close(adaptation_accuracies(network, genotype, batch, 2, 0.1), together)
