"""Small neural networks of many trials side by side: one batched product for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.agents.streams import TrialStreams

Arrays = dict[str, NDArray[np.float32]]


class StackedMLP:
    """Multi-layer perceptrons of many trials, with ReLU between layers, and Adam.

    The network of a trial depends on its own numbers alone, and is the same however many there are
    beside it. Weights begin uniform in ``±1 / sqrt(inputs)``, as those of ``torch.nn.Linear``.

    Args:
        sizes: inputs, hidden units, outputs.
        learning_rate: Adam's (Kingma and Ba, ICLR 2015).
        streams: where the first weights are drawn from.
        per_trial: how many networks each trial has; they lie next to each other.
    """

    def __init__(
        self, sizes: Sequence[int], learning_rate: float, streams: TrialStreams, per_trial: int = 1
    ) -> None:
        self._seeds, self._per_trial = streams.seeds, per_trial
        trials = len(streams.seeds)
        self.parameters: list[Tensor] = []  # of each layer (n, inputs, outputs) and (n, 1, outputs)
        for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
            drawn = torch.from_numpy(streams.random((trials, per_trial * (inputs + 1) * outputs)))
            layer = ((2 * drawn - 1) / inputs**0.5).float().reshape(-1, inputs + 1, outputs)
            self.parameters += [layer[:, :-1].contiguous(), layer[:, -1:].contiguous()]
        for parameter in self.parameters:
            parameter.requires_grad_()
        self._adam = torch.optim.Adam(self.parameters, lr=learning_rate, fused=True)

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
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
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
