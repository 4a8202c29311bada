"""MAML, ANIL and BOIL: what the inner loop changes, and the outer loop's gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas_gym.predictors.maml import ALGORITHMS, adapt, correlation_loss, meta_loss


class Tiny(nn.Module):
    """Network with a body and a head."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 1)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))[:, 0]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Tiny().double()


def parameters(model):
    return {name: each.detach().clone() for name, each in model.named_parameters()}


def tasks(count, size, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, size, 3, generator=generator, dtype=torch.float64)
    return x, torch.randn(count, size, generator=generator, dtype=torch.float64)


def one(task):
    return tuple(each[0] for each in task)


@pytest.mark.parametrize(
    ("algorithm", "changed"),
    [("maml", {"body", "head"}), ("anil", {"head"}), ("boil", {"body"})],
)
def test_what_the_inner_loop_changes(model, algorithm, changed):
    before = parameters(model)
    support = one(tasks(1, 5, 1))
    after = adapt(model, before, support, algorithm=algorithm, learning_rate=0.1, steps=3)
    assert list(after) == list(before)
    found = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert found == changed


def test_inner_steps_are_sgd_steps(model):
    x, y = one(tasks(1, 5, 1))
    after = adapt(model, parameters(model), (x, y), algorithm="maml", learning_rate=0.1, steps=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        correlation_loss(model(x), y).backward()
        optimizer.step()
    for name, each in model.named_parameters():
        torch.testing.assert_close(after[name], each.detach())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_gradient_goes_through_the_inner_loop(model, algorithm):
    support, query = tasks(2, 4, 1), tasks(2, 6, 2)
    start = {name: each.requires_grad_() for name, each in parameters(model).items()}

    def loss(*values):
        named = dict(zip(start, values, strict=True))
        return meta_loss(
            model, named, support, query, algorithm=algorithm, learning_rate=0.2, steps=3
        )

    assert torch.autograd.gradcheck(loss, tuple(start.values()))


def test_first_order_gradient_is_that_of_the_adapted_parameters(model):
    support, query = tasks(1, 4, 1), tasks(1, 6, 2)
    start = {name: each.requires_grad_() for name, each in parameters(model).items()}
    how = {"algorithm": "maml", "learning_rate": 0.2, "steps": 3}
    losses = {
        first_order: meta_loss(model, start, support, query, first_order=first_order, **how)
        for first_order in (True, False)
    }
    torch.testing.assert_close(losses[True], losses[False])
    ends = adapt(model, parameters(model), one(support), **how)
    ends = {name: each.detach().requires_grad_() for name, each in ends.items()}
    x, y = one(query)
    at_the_end = torch.func.functional_call(model, ends, (x,))
    expected = torch.autograd.grad(correlation_loss(at_the_end, y), list(ends.values()))
    found, second = (torch.autograd.grad(losses[each], list(start.values())) for each in (1, 0))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert not torch.allclose(found[0], second[0])


def test_loss_of_many_tasks_is_the_mean_of_single_ones(model):
    support, query = tasks(3, 4, 1), tasks(3, 6, 2)
    how = {"algorithm": "boil", "learning_rate": 0.2, "steps": 2}
    together = meta_loss(model, parameters(model), support, query, **how)
    alone = [
        meta_loss(
            model,
            parameters(model),
            tuple(each[i : i + 1] for each in support),
            tuple(each[i : i + 1] for each in query),
            **how,
        )
        for i in range(3)
    ]
    torch.testing.assert_close(together, torch.stack(alone).mean())
