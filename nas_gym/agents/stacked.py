"""Small neural networks of many trials side by side: one batched product for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.agents.streams import TrialStreams

Arrays = dict[str, NDArray[np.float32]]


_MULTIPLE = 32
"""Vector instructions take so many numbers at a time, at most; what is left over at the end is
worked out one by one, and may be rounded differently."""


def padded(x: Tensor) -> Tensor:
    """With zeros at the end of the last dimension, so that nothing is left over in any row."""
    missing = -x.shape[-1] % _MULTIPLE
    return torch.nn.functional.pad(x, (0, missing)) if missing else x.contiguous()


def sigmoid(x: Tensor) -> Tensor:
    """The logistic function, of each row the same however many rows there are."""
    return padded(x).sigmoid()[..., : x.shape[-1]]


class StackedMLP:
    """Multi-layer perceptrons of many trials, with ReLU between layers, and Adam.

    The network of a trial depends on its own numbers alone, and is the same to the last bit however
    many there are beside it. Weights begin uniform in ``±1 / sqrt(inputs)``, as those of
    ``torch.nn.Linear``.

    Args:
        sizes: inputs, hidden units, outputs. With hidden units that are no multiple of 32, or
            batches of less than 8, the last bits do depend on the networks beside.
        learning_rate: Adam's (Kingma and Ba, ICLR 2015).
        streams: where the first weights are drawn from.
        per_trial: how many networks each trial has; they lie next to each other.
    """

    def __init__(
        self, sizes: Sequence[int], learning_rate: float, streams: TrialStreams, per_trial: int = 1
    ) -> None:
        self._seeds, self._per_trial = streams.seeds, per_trial
        self._stored: list[Tensor] = []  # one row a network, padded
        self.parameters: list[Tensor] = []  # of each layer (n, inputs, outputs) and (n, 1, outputs)
        for inputs, outputs in pairwise(sizes):
            count = per_trial * (inputs + 1) * outputs
            drawn = torch.from_numpy(streams.random((len(streams.seeds), count)))
            layer = ((2 * drawn - 1) / inputs**0.5).float().reshape(-1, inputs + 1, outputs)
            self._add(layer[:, :-1])
            self._add(layer[:, -1:])
        self._adam = torch.optim.Adam(self._stored, lr=learning_rate, fused=True)

    def _add(self, values: Tensor) -> None:
        size = values[0].numel()
        stored = padded(values.reshape(len(values), size))
        self._stored.append(stored)
        self.parameters.append(stored[:, :size].reshape(values.shape).requires_grad_())

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs ``(n, batch, outputs)`` of inputs ``(n, batch, inputs)``."""
        *hidden, weight, bias = self.parameters
        for layer in range(0, len(hidden), 2):
            x = torch.baddbmm(hidden[layer + 1], x, hidden[layer]).relu()
        if weight.shape[2] == 1:
            # a product with one column is rounded differently for one trial than for many
            return (x * weight.transpose(1, 2)).sum(2, keepdim=True) + bias
        return torch.baddbmm(bias, x, weight)

    def learn(self, losses: Tensor) -> None:
        """Take a step down the gradient of losses, one for each network, of any shape."""
        gradients = torch.autograd.grad(losses.sum(), self.parameters)
        for stored, gradient in zip(self._stored, gradients, strict=True):
            stored.grad = padded(gradient.reshape(len(gradient), -1))
        self._adam.step()

    def arrays(self) -> Arrays:
        """Weights, and what Adam keeps, by name."""
        arrays = {f"parameter.{i}": each.detach().numpy() for i, each in enumerate(self.parameters)}
        for i, kept in self._adam.state_dict()["state"].items():
            arrays |= {f"{name}.{i}": tensor.numpy() for name, tensor in kept.items()}
        return arrays

    def set_weights(self, arrays: Arrays) -> None:
        """Take the weights out of what :meth:`arrays` gave, of any number of trials, as a start.

        The trial of seed ``s`` takes those of trial ``s``, counted around. Adam begins anew.
        """
        seeds = torch.tensor(self._seeds)
        for i, parameter in enumerate(self.parameters):
            found = torch.from_numpy(np.array(arrays[f"parameter.{i}"]))
            by_trial = found.reshape(-1, self._per_trial, *found.shape[1:])
            parameter.data.copy_(by_trial[seeds % len(by_trial)].reshape(parameter.shape))

    def set_arrays(self, arrays: Arrays) -> None:
        """Take over what :meth:`arrays` gave."""
        kept: dict[int, dict[str, Tensor]] = {}
        for key, array in arrays.items():
            name, _, i = key.rpartition(".")
            tensor = torch.from_numpy(np.array(array))
            if name == "parameter":
                self.parameters[int(i)].data.copy_(tensor)
            else:
                kept.setdefault(int(i), {})[name] = tensor
        groups = self._adam.state_dict()["param_groups"]
        self._adam.load_state_dict({"state": kept, "param_groups": groups})
