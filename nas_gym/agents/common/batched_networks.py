"""Small multi-layer perceptrons of many trials, computed by one batched product per layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.agents.common.random_streams import RandomStreams
from nas_gym.agents.common.saved import refuse_infinite

Arrays = dict[str, NDArray[np.float32]]
"""Weights and Adam's moments by name."""

Activations = list[Tensor]
"""Inputs of each layer in a forward pass."""

# The longest vector instructions process 32 numbers at once. The remaining numbers are computed one
# by one and may be rounded differently.
_VECTOR_LENGTH = 32


def pad_vectors(x: Tensor) -> Tensor:
    """Pad the last dimension with zeros to a multiple of the vector length."""
    missing = -x.shape[-1] % _VECTOR_LENGTH
    return torch.nn.functional.pad(x, (0, missing)) if missing else x.contiguous()


def sigmoid(x: Tensor) -> Tensor:
    """Return the logistic function, with rounding that does not depend on the number of rows."""
    return pad_vectors(x).sigmoid()[..., : x.shape[-1]]


_MOMENTS = ("exp_avg", "exp_avg_sq")


class BatchedMLP:
    """Multi-layer perceptrons of many trials, with ReLU between layers, trained by Adam.

    The network of a trial depends only on the trial's random numbers and data; its weights are
    bit-identical for every number of trials. As in ``torch.nn.Linear``, initial weights are uniform
    in ``±1 / sqrt(inputs)``. :meth:`input_gradient` and :meth:`backward_and_step` compute gradients
    without ``torch.autograd``, whose overhead exceeds the time of products this small.

    Args:
        sizes: Number of inputs, number of units of each hidden layer, number of outputs. The last
            bits of results depend on the number of trials if a number of hidden units is not a
            multiple of 32, or a batch has fewer than 8 rows.
        learning_rate: Learning rate of Adam (Kingma and Ba, ICLR 2015).
        rng: Source of the initial weights.
        copies: Number of networks per trial; the networks of a trial are adjacent.

    Attributes:
        parameters: Weights ``(n * copies, inputs, outputs)`` and biases ``(n * copies, 1,
            outputs)``, alternating.
        gradients: Gradients of ``parameters``, in the same shapes, which :meth:`step` uses.
    """

    def __init__(
        self, sizes: Sequence[int], learning_rate: float, rng: RandomStreams, copies: int = 1
    ) -> None:
        self._seeds, self._copies = rng.seeds, copies
        initial: list[Tensor] = []  # weights and biases, alternating
        for inputs, outputs in pairwise(sizes):
            count = copies * (inputs + 1) * outputs
            numbers = torch.from_numpy(rng.random((len(rng.seeds), count)))
            layer = ((2 * numbers - 1) / inputs**0.5).float().reshape(-1, inputs + 1, outputs)
            initial += [layer[:, :-1], layer[:, -1:]]
        self._build(initial, learning_rate)

    def _build(self, initial: list[Tensor], learning_rate: float) -> None:
        # all parameters are views of one tensor: Adam is faster with one tensor than with eight
        flat = pad_vectors(torch.cat([each.flatten() for each in initial]))
        flat.grad = torch.zeros_like(flat)
        self._adam = torch.optim.Adam([flat], lr=learning_rate, fused=True)
        ends = np.cumsum([each.numel() for each in initial]).tolist()
        self.parameters, self.gradients = (
            [part.view(each.shape) for part, each in zip(parts, initial, strict=False)]
            for parts in (flat.tensor_split(ends), flat.grad.tensor_split(ends))
        )

    def __getstate__(self) -> dict[str, Any]:
        # pickling would turn views into copies
        rate, by_autograd = self._adam.param_groups[0]["lr"], self.parameters[0].requires_grad
        own = self._seeds, self._copies, rate, by_autograd
        return {"own": own, "arrays": self.arrays()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._seeds, self._copies, rate, by_autograd = state["own"]
        arrays = state["arrays"]
        count = sum(name.startswith("parameter.") for name in arrays)
        self._build([torch.from_numpy(arrays[f"parameter.{i}"]) for i in range(count)], rate)
        self.set_arrays(arrays)
        for parameter in self.parameters:
            parameter.requires_grad_(by_autograd)

    def __call__(self, x: Tensor) -> Tensor:
        """Return outputs ``(n, batch, outputs)`` of inputs ``(n, batch, inputs)``."""
        return self.forward(x)[0]

    def forward(self, x: Tensor) -> tuple[Tensor, Activations]:
        """Return the outputs, and the activations that the backward methods need."""
        *hidden, weight, bias = self.parameters
        activations = [x]
        for layer in range(0, len(hidden), 2):
            activations.append(
                torch.baddbmm(hidden[layer + 1], activations[-1], hidden[layer]).relu_()
            )
        if weight.shape[2] == 1:
            # baddbmm rounds a product with one column differently for one trial than for many
            product = (activations[-1] * weight.transpose(1, 2)).sum(2, keepdim=True)
            return product + bias, activations
        return torch.baddbmm(bias, activations[-1], weight), activations

    def input_gradient(self, activations: Activations, gradient: Tensor) -> Tensor:
        """Return the gradient of a loss with respect to the inputs.

        Args:
            activations: Activations of the forward pass.
            gradient: Gradient of the loss with respect to the outputs.
        """
        for layer in reversed(range(len(activations))):
            gradient = self._layer_input_gradient(layer, activations, gradient)
        return gradient

    def backward_and_step(self, activations: Activations, gradient: Tensor) -> None:
        """Compute the gradients of all parameters and take one step of Adam.

        Args:
            activations: Activations of the forward pass.
            gradient: Gradient of the loss with respect to the outputs.
        """
        for layer in reversed(range(len(activations))):
            weights, biases = self.gradients[2 * layer : 2 * layer + 2]
            torch.sum(gradient, 1, keepdim=True, out=biases)
            if gradient.shape[2] == 1:
                torch.sum(
                    activations[layer] * gradient, 1, keepdim=True, out=weights.transpose(1, 2)
                )
            else:
                torch.bmm(activations[layer].transpose(1, 2), gradient, out=weights)
            if layer:
                gradient = self._layer_input_gradient(layer, activations, gradient)
        self.step()

    def step(self) -> None:
        """Take one step of Adam along :attr:`gradients`, which the caller has filled."""
        self._adam.step()

    def _layer_input_gradient(
        self, layer: int, activations: Activations, gradient: Tensor
    ) -> Tensor:
        """Return the gradient with respect to a layer's input, before the ReLU of the previous
        layer."""
        weights = self.parameters[2 * layer].transpose(1, 2)
        gradient = gradient * weights if gradient.shape[2] == 1 else torch.bmm(gradient, weights)
        if not layer:
            return gradient
        masked: Tensor = torch.ops.aten.threshold_backward(gradient, activations[layer], 0)
        return masked

    def arrays(self) -> Arrays:
        """Return weights and Adam's moments by name."""
        arrays = {f"parameter.{i}": each.detach().numpy() for i, each in enumerate(self.parameters)}
        for moments in self._adam.state_dict()["state"].values():  # empty before the first step
            arrays |= {name: tensor.numpy() for name, tensor in moments.items()}
        return arrays

    def _check_arrays(self, arrays: Arrays) -> None:
        refuse_infinite(arrays)
        own = {f"parameter.{i}": tuple(each.shape) for i, each in enumerate(self.parameters)}
        expected = dict(own)
        if arrays.keys() - own.keys():
            moments = (self._adam.param_groups[0]["params"][0].numel(),)
            expected |= {"step": (), "exp_avg": moments, "exp_avg_sq": moments}
        for name, shape in expected.items():
            if arrays[name].shape != shape:
                raise ValueError(f"{name} has shape {arrays[name].shape}, not {shape}")

    def set_weights(self, arrays: Arrays) -> None:
        """Copy the weights, but not Adam's moments, from a result of :meth:`arrays`.

        The trial with seed ``s`` gets the weights of trial ``s % m``, where ``m`` is the number of
        trials in ``arrays``.
        """
        seeds = torch.tensor(self._seeds)
        refuse_infinite(arrays)
        for i, parameter in enumerate(self.parameters):
            found = torch.from_numpy(np.array(arrays[f"parameter.{i}"]))
            by_trial = found.reshape(-1, self._copies, *found.shape[1:])
            parameter.detach().copy_(by_trial[seeds % len(by_trial)].reshape(parameter.shape))

    def set_arrays(self, arrays: Arrays) -> None:
        """Restore weights and Adam's moments from a result of :meth:`arrays`.

        Raises:
            KeyError: If an array is missing.
            ValueError: If an array has another shape, or holds NaN or infinite numbers.
        """
        self._check_arrays(arrays)
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        for i, parameter in enumerate(self.parameters):
            parameter.detach().copy_(tensors.pop(f"parameter.{i}"))
        groups = self._adam.state_dict()["param_groups"]
        state = {0: tensors} if tensors else {}
        self._adam.load_state_dict({"state": state, "param_groups": groups})


def split_trials(arrays: Arrays, trials: int) -> list[Arrays]:
    """Return the arrays of each trial, given the arrays of :meth:`BatchedMLP.arrays`.

    Args:
        arrays: Arrays of all trials.
        trials: Number of trials.
    """
    found: list[Arrays] = [{} for _ in range(trials)]
    sizes = [each.size for each in _parameters(arrays)]
    for name, array in arrays.items():
        for row, own in enumerate(found):
            if name in _MOMENTS:
                sections = np.split(array[: sum(sizes)], np.cumsum(sizes)[:-1])
                own[name] = _padded([np.split(each, trials)[row] for each in sections])
            else:
                own[name] = np.split(array, trials)[row] if array.ndim else array
    return found


def join_trials(trials: Sequence[Arrays]) -> Arrays:
    """Return the arrays of all trials, given the arrays of each; see :func:`split_trials`."""
    ends = np.cumsum([each.size for each in _parameters(trials[0])])
    joined: Arrays = {}
    for name, first in trials[0].items():
        every = [each[name] for each in trials]
        if name in _MOMENTS:
            sections = zip(*(np.split(each[: ends[-1]], ends[:-1]) for each in every), strict=True)
            joined[name] = _padded([part for parts in sections for part in parts])
        else:
            joined[name] = np.concatenate(every) if first.ndim else first
    return joined


def _parameters(arrays: Arrays) -> list[NDArray[Any]]:
    """Return the parameters in the order in which Adam's moments are stored."""
    count = sum(name.startswith("parameter.") for name in arrays)
    return [arrays[f"parameter.{i}"] for i in range(count)]


def _padded(sections: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return Adam's moments of all parameters as it stores them, see :func:`pad_vectors`."""
    return pad_vectors(torch.from_numpy(np.concatenate(sections))).numpy()
