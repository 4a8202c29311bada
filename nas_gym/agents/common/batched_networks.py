"""Small neural networks of many trials side by side: one batched product for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.agents.common.random_streams import TrialStreams

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


Kept = list[Tensor]
"""The inputs of each layer, as :meth:`StackedMLP.forward` met them."""


class StackedMLP:
    """Multi-layer perceptrons of many trials, with ReLU between layers, and Adam.

    The network of a trial depends on its own numbers alone, and is the same to the last bit however
    many there are beside it. Weights begin uniform in ``±1 / sqrt(inputs)``, as those of
    ``torch.nn.Linear``. Gradients are worked out here rather than by ``torch.autograd``, whose
    bookkeeping takes longer than the products themselves in networks and batches this small.

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
        drawn: list[Tensor] = []  # weights (n, inputs, outputs) and biases (n, 1, outputs) in turn
        for inputs, outputs in pairwise(sizes):
            count = per_trial * (inputs + 1) * outputs
            numbers = torch.from_numpy(streams.random((len(streams.seeds), count)))
            layer = ((2 * numbers - 1) / inputs**0.5).float().reshape(-1, inputs + 1, outputs)
            drawn += [layer[:, :-1], layer[:, -1:]]
        self._build(drawn, learning_rate)

    def _build(self, drawn: list[Tensor], learning_rate: float) -> None:
        # Adam is quicker with one tensor than with eight
        flat = padded(torch.cat([each.flatten() for each in drawn]))
        flat.grad = torch.zeros_like(flat)
        self._adam = torch.optim.Adam([flat], lr=learning_rate, fused=True)
        ends = np.cumsum([each.numel() for each in drawn]).tolist()
        self.parameters, self.gradients = (
            [part.view(each.shape) for part, each in zip(parts, drawn, strict=False)]
            for parts in (flat.tensor_split(ends), flat.grad.tensor_split(ends))
        )

    def __getstate__(self) -> dict[str, Any]:
        # views would not be views any more
        rate, by_autograd = self._adam.param_groups[0]["lr"], self.parameters[0].requires_grad
        own = self._seeds, self._per_trial, rate, by_autograd
        return {"own": own, "arrays": self.arrays()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._seeds, self._per_trial, rate, by_autograd = state["own"]
        arrays = state["arrays"]
        count = sum(name.startswith("parameter.") for name in arrays)
        self._build([torch.from_numpy(arrays[f"parameter.{i}"]) for i in range(count)], rate)
        self.set_arrays(arrays)
        for parameter in self.parameters:
            parameter.requires_grad_(by_autograd)

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs ``(n, batch, outputs)`` of inputs ``(n, batch, inputs)``."""
        return self.forward(x)[0]

    def forward(self, x: Tensor) -> tuple[Tensor, Kept]:
        """Outputs of inputs, and what :meth:`backward` and :meth:`slopes` need to know."""
        *hidden, weight, bias = self.parameters
        kept = [x]
        for layer in range(0, len(hidden), 2):
            kept.append(torch.baddbmm(hidden[layer + 1], kept[-1], hidden[layer]).relu_())
        if weight.shape[2] == 1:
            # a product with one column is rounded differently for one trial than for many
            return (kept[-1] * weight.transpose(1, 2)).sum(2, keepdim=True) + bias, kept
        return torch.baddbmm(bias, kept[-1], weight), kept

    def slopes(self, kept: Kept, slope: Tensor) -> Tensor:
        """The loss's gradient by the inputs, of that by the outputs."""
        for layer in reversed(range(len(kept))):
            slope = self._before(layer, kept, slope)
        return slope

    def learn(self, kept: Kept, slope: Tensor) -> None:
        """Take a step down the gradient of the loss, given that by the outputs."""
        for layer in reversed(range(len(kept))):
            weights, biases = self.gradients[2 * layer : 2 * layer + 2]
            torch.sum(slope, 1, keepdim=True, out=biases)
            if slope.shape[2] == 1:
                torch.sum(kept[layer] * slope, 1, keepdim=True, out=weights.transpose(1, 2))
            else:
                torch.bmm(kept[layer].transpose(1, 2), slope, out=weights)
            if layer:
                slope = self._before(layer, kept, slope)
        self.step()

    def step(self) -> None:
        """Let Adam take a step down ``gradients``, which whoever has filled them gives."""
        self._adam.step()

    def _before(self, layer: int, kept: Kept, slope: Tensor) -> Tensor:
        """The gradient by what a layer was given, before the ReLU that made it."""
        weights = self.parameters[2 * layer].transpose(1, 2)
        slope = slope * weights if slope.shape[2] == 1 else torch.bmm(slope, weights)
        return torch.ops.aten.threshold_backward(slope, kept[layer], 0) if layer else slope

    def arrays(self) -> Arrays:
        """Weights, and what Adam keeps, by name."""
        arrays = {f"parameter.{i}": each.detach().numpy() for i, each in enumerate(self.parameters)}
        for kept in self._adam.state_dict()["state"].values():  # none before the first step
            arrays |= {name: tensor.numpy() for name, tensor in kept.items()}
        return arrays

    def set_weights(self, arrays: Arrays) -> None:
        """Take the weights out of what :meth:`arrays` gave, of any number of trials, as a start.

        The trial of seed ``s`` takes those of trial ``s``, counted around. Adam begins anew.
        """
        seeds = torch.tensor(self._seeds)
        for i, parameter in enumerate(self.parameters):
            found = torch.from_numpy(np.array(arrays[f"parameter.{i}"]))
            by_trial = found.reshape(-1, self._per_trial, *found.shape[1:])
            parameter.detach().copy_(by_trial[seeds % len(by_trial)].reshape(parameter.shape))

    def set_arrays(self, arrays: Arrays) -> None:
        """Take over what :meth:`arrays` gave."""
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        for i, parameter in enumerate(self.parameters):
            parameter.detach().copy_(tensors.pop(f"parameter.{i}"))
        groups = self._adam.state_dict()["param_groups"]
        state = {0: tensors} if tensors else {}
        self._adam.load_state_dict({"state": state, "param_groups": groups})
