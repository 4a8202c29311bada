"""Predictor that weights earlier tasks by a few labels of a new task.

The graph network has one output per earlier task (multi-task learning, Caruana, 1997). A new task
is modelled as one of the earlier tasks, at an unknown scale and offset, plus a Gaussian process.
Labels of the new task give the posterior: a weight for each earlier task, and a correction by the
Gaussian process. The weights tell which earlier tasks the new task resembles. If it resembles none,
the correction dominates.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.func import functional_call
from typing_extensions import Self

from nas_gym.predictors.config import ALGORITHMS, MIXTURE, PredictorConfig
from nas_gym.predictors.gcn import GCN, to_tensors
from nas_gym.predictors.maml import Parameters
from nas_gym.predictors.predictor import Predictor
from nas_gym.spaces.graphs import NODES, Graphs

_SCALES = (0.1, 0.2, 0.35, 0.6, 1.0)
"""Factors that map scores among the labels to scores among all architectures.

The factor is about 1 for random architectures. It is small if only good architectures have labels.
"""

_NOISE = 0.1  # variance of the noise of a label, in scores among the labels
_DEVIATION = 0.3  # variance of the difference between a new task and an earlier one
_OFFSET = 4.0  # variance of the unknown offset of the labels
_MIN_SCALE = 1e-6  # avoids a division by zero for equal features
_STRUCTURE = 2.0  # number of differing nodes after which the covariance has fallen by a factor e


@dataclass(frozen=True)
class Embedding:
    """Inputs of the Gaussian process and of the mixture of earlier tasks.

    Attributes:
        scores: Predicted scores in each earlier task, ``(n, tasks)`` float64.
        features: Normalized features of the network, ``(n, width)`` float64.
        structure: Nodes and edges of the graphs, ``(n, numbers)`` float64. The squared distance of
            two rows is the number of nodes and edges that differ.
    """

    scores: NDArray[np.float64]
    features: NDArray[np.float64]
    structure: NDArray[np.float64]

    def select(self, rows: NDArray[np.int64]) -> Embedding:
        """Return some of the architectures."""
        return Embedding(self.scores[rows], self.features[rows], self.structure[rows])

    def covariance(self, other: Embedding) -> NDArray[np.float64]:
        """Return the prior covariance of the Gaussian process, ``(n, m)``.

        The first half is linear in the features, so it generalizes like the earlier tasks. The
        second half depends on differing nodes and edges, so it can fit single architectures.
        """
        own, others = (np.square(each.structure).sum(axis=1) for each in (self, other))
        products = self.structure @ other.structure.T
        distance = np.maximum(own[:, None] + others - 2 * products, 0.0)
        linear = self.features @ other.features.T
        covariance: NDArray[np.float64] = linear + np.exp(-distance / _STRUCTURE)
        return _DEVIATION / 2 * covariance


@dataclass(frozen=True)
class Posterior:
    """Posterior of a new task, given its labels.

    Attributes:
        weights: Probability that the new task resembles each earlier task, ``(tasks,)``.
        shots: Labelled architectures; ``None`` without labels.
        coefficients: Coefficients of the covariances with the shots, ``(k,)``.
    """

    weights: NDArray[np.float64]
    shots: Embedding | None = None
    coefficients: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def mean(self, architectures: Embedding) -> NDArray[np.float64]:
        """Return the expected scores of architectures, ``(n,)``."""
        expected: NDArray[np.float64] = architectures.scores @ self.weights
        if self.shots is not None:
            expected = expected + architectures.covariance(self.shots) @ self.coefficients
        return expected


def infer_task(
    prior: NDArray[np.float64], shots: Embedding, labels: NDArray[np.float64]
) -> Posterior:
    """Return the posterior of a new task.

    Args:
        prior: Probability of each earlier task before there are labels, ``(tasks,)``.
        shots: ``k`` labelled architectures.
        labels: Normal scores of the labels among each other, ``(k,)``.
    """
    count = len(labels)
    covariance = shots.covariance(shots) + _OFFSET
    evidence = np.empty((len(_SCALES), len(prior)))
    corrections = np.empty((len(_SCALES), len(prior), count))
    for i, scale in enumerate(_SCALES):
        noisy = covariance + scale**2 * _NOISE * np.eye(count)
        residuals = scale * labels - shots.scores.T
        corrections[i] = np.linalg.solve(noisy, residuals.T).T
        fit = (corrections[i] * residuals).sum(axis=1)
        evidence[i] = count * np.log(scale) - (np.linalg.slogdet(noisy)[1] + fit) / 2
    evidence += np.log(prior)
    joint = np.exp(evidence - evidence.max())
    joint /= joint.sum()
    return Posterior(joint.sum(axis=0), shots, np.einsum("st,stk->k", joint, corrections))


class MultiTaskGCN(GCN):
    """Graph network with one output per task.

    Args:
        config: Settings of the network.
        tasks: Number of tasks.
        node_types: Number of types of nodes.
    """

    def __init__(self, config: PredictorConfig, tasks: int, node_types: int) -> None:
        super().__init__(config.width, config.layers, config.dropout, node_types)
        self.head = nn.Linear(config.width, tasks)

    def forward(self, gather: Tensor, operations: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return features ``(n, width)``, and one score per task, ``(n, tasks)``."""
        features = self.global_features(gather, operations)[:, 0]
        return features, self.head(features)


@dataclass(frozen=True)
class Reference:
    """Statistics of meta-training that a mixture uses.

    Attributes:
        prior: Probability of each earlier task, ``(tasks,)``.
        center: Mean of the features over the architectures of meta-training, ``(width,)``.
        scale: Root mean square of the length of the centered features.
    """

    prior: NDArray[np.float32]
    center: NDArray[np.float32]
    scale: NDArray[np.float32]

    def check(self) -> None:
        """Raise an error if the prior is no probability, or a number is not finite."""
        if (self.prior < 0).any() or not np.isclose(self.prior.sum(), 1, atol=1e-3):
            raise ValueError("The prior of the tasks is not a probability distribution.")
        if not (np.isfinite(self.center).all() and 0 < self.scale < np.inf):
            raise ValueError("The mean or the scale of the features is not finite.")


class MixturePredictor(Predictor):
    """Predictor in which labels weight the heads of earlier tasks; see the module's docstring.

    Args:
        config: Settings of the network.
        seed: Seed of the initial parameters.
        node_types: Types of the nodes of the graphs to predict.
        prior: Probability of each earlier task, ``(tasks,)``. A new predictor knows one task, in
            which all architectures are equal.

    Attributes:
        reference: Statistics of meta-training.
        posterior: Posterior of the current task.
    """

    model: MultiTaskGCN

    def __init__(
        self,
        config: PredictorConfig,
        seed: int = 0,
        node_types: tuple[str, ...] = NODES,
        prior: ArrayLike = (1.0,),
    ) -> None:
        super().__init__(config, seed, node_types)
        tasks = np.asarray(prior, np.float32)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model = MultiTaskGCN(config, len(tasks), len(node_types))
        self.model.eval()
        self.parameters = {name: each.detach() for name, each in self.model.named_parameters()}
        if len(tasks) == 1:
            self.parameters |= {"head.weight": torch.zeros(1, config.width)}
        center, scale = np.zeros(config.width, np.float32), np.ones((), np.float32)
        self._refer_to(Reference(tasks, center, scale))

    def _refer_to(self, reference: Reference) -> None:
        self.reference = reference
        self.posterior = Posterior(reference.prior.astype(np.float64))

    def with_reference(self, *inputs: Tensor) -> Self:
        """Return a copy that normalizes features by their statistics over some architectures."""
        other = copy.copy(self)
        features = self._features_and_scores(*inputs)[0]
        center = features.mean(axis=0)
        scale = np.sqrt(np.square(features - center).sum(axis=1).mean())
        scale = np.asarray(max(scale, _MIN_SCALE), np.float32)
        other._refer_to(Reference(self.reference.prior, center, scale))
        return other

    def with_parameters(self, parameters: Parameters, fine_tuning_steps: int = 0) -> Self:
        """Return a copy of the predictor with other parameters, and without labels."""
        other = super().with_parameters(parameters, fine_tuning_steps)
        other._refer_to(self.reference)
        return other

    def fit(self, graphs: Graphs, labels: NDArray[np.float64] | list[float]) -> Self:
        """Return a predictor that knows labelled architectures; ``self`` is unchanged.

        See :meth:`Predictor.fit`. Only the order of the labels matters.
        """
        scores = self.label_scores(graphs, labels)
        other = copy.copy(self)
        shots = self.embed(*to_tensors(graphs))
        other.posterior = infer_task(self.reference.prior.astype(np.float64), shots, scores)
        return other

    def predict_tensors(self, *inputs: Tensor) -> NDArray[np.float64]:
        """Return the scores of architectures, ``(n,)``; see :meth:`Predictor.predict_tensors`."""
        return self.posterior.mean(self.embed(*inputs))

    def embed(self, gather: Tensor, operations: Tensor) -> Embedding:
        """Return the inputs of the Gaussian process and of the mixture of earlier tasks.

        Args:
            gather, operations: The tensors that :func:`~nas_gym.predictors.gcn.to_tensors` returns.
        """
        features, scores = self._features_and_scores(gather, operations)
        normalized = (features - self.reference.center) / self.reference.scale
        edges = (gather > 0).flatten(1).double()
        nodes = operations.flatten(1).double() / np.sqrt(2)  # a differing node counts once
        structure = torch.cat([nodes, edges], dim=1).numpy()
        return Embedding(scores.astype(np.float64), normalized.astype(np.float64), structure)

    def _features_and_scores(self, *inputs: Tensor) -> tuple[NDArray[np.float32], ...]:
        with torch.no_grad():
            found = [
                functional_call(self.model, self.parameters, part) for part in self.batches(*inputs)
            ]
        return tuple(torch.cat(each).numpy() for each in zip(*found, strict=True))

    def save(self, path: str | Path, *, maximize: bool = True, description: str = "") -> None:
        """Raise an error: files of predictors hold fine-tuned networks.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"A predictor with algorithm={MIXTURE!r} cannot be saved on its own. Save the "
            f"agent, or meta-train one of the algorithms {', '.join(ALGORITHMS)}."
        )

    def state_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the parameters and the statistics of meta-training, as arrays by name."""
        reference = {name: np.asarray(each) for name, each in vars(self.reference).items()}
        return super().state_arrays() | reference

    def with_state_arrays(self, arrays: dict[str, NDArray[np.float32]]) -> Self:
        """Return a copy with the state that :meth:`state_arrays` returned, for any number of tasks.

        See :meth:`Predictor.with_state_arrays`.
        """
        reference = Reference(*(arrays[name] for name in ("prior", "center", "scale")))
        reference.check()
        resized = type(self)(self.config, node_types=self.node_types, prior=reference.prior)
        if reference.center.shape != resized.reference.center.shape:
            raise ValueError(f"center has shape {reference.center.shape}.")
        found = super(MixturePredictor, resized).with_state_arrays(arrays)
        found._refer_to(reference)
        return found
