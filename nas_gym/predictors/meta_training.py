"""Meta-training of a predictor on the metrics of earlier tasks.

This is the outer loop in section 3.2 of the MP-NAS paper (Loya et al., NeurIPS 2023). Joint
pre-training, an addition to the paper, comes first. It trains one network on all tasks at once. The
network learns what the tasks have in common at a fraction of the cost of meta-training.
Meta-training then learns parameters from which the inner loop adapts well to a single task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from nas_gym.predictors.config import MetaTrainingConfig, PredictorConfig
from nas_gym.predictors.maml import meta_loss
from nas_gym.predictors.mixture import MixturePredictor
from nas_gym.predictors.predictor import Predictor
from nas_gym.spaces.graphs import NODES
from nas_gym.utils.ranks import rank_scores

_MAX_GRADIENT_NORM = 1.0
_WARM_UP = 0.3  # fraction of a phase in which the learning rate rises; then it falls

Arrays = dict[str, NDArray[np.float32]]


class MetricSource:
    """Metrics of the same architectures, such as all metrics measured on one data set.

    Each metric is a task.

    Args:
        inputs: ``n`` architectures, as :func:`~nas_gym.predictors.gcn.to_tensors` returns them.
        labels: Measured values, ``(tasks, n)``; only the order of the values matters.
        weight: Relative frequency with which this source is drawn.
    """

    def __init__(
        self, inputs: tuple[Tensor, ...], labels: NDArray[np.float64], weight: float = 1.0
    ) -> None:
        self.weight = weight
        self.inputs = inputs
        self.labels = torch.from_numpy(rank_scores(labels).astype(np.float32))


class MetaTraining:
    """Meta-training of one predictor, epoch by epoch.

    Each epoch has its own random stream, so training can be resumed between two epochs.

    Args:
        predictor_config: Settings of the predictor.
        config: Settings of the meta-training.
        sources: Tasks to learn from. A source is drawn by its weight, then one of its tasks
            uniformly.
        seed: Seed of the initial parameters and of all random draws.
        node_types: Types of the nodes of the graphs; those of unified graphs by default.
    """

    def __init__(
        self,
        predictor_config: PredictorConfig,
        config: MetaTrainingConfig,
        sources: Sequence[MetricSource],
        seed: int,
        node_types: tuple[str, ...] = NODES,
    ) -> None:
        self.config = config
        self.sources = sources
        weights = np.array([source.weight for source in sources])
        self._probabilities = weights / weights.sum()
        self.seed = seed
        self.epoch = 0
        self.predictor = self._make_predictor(predictor_config, node_types)
        for parameter in self.predictor.parameters.values():
            parameter.requires_grad_()
        self._reset_optimizer()

    def _make_predictor(self, config: PredictorConfig, node_types: tuple[str, ...]) -> Predictor:
        return Predictor(config, seed=self.seed, node_types=node_types)

    def _reset_optimizer(self) -> None:
        self._optimizer = torch.optim.AdamW(self.predictor.parameters.values())

    @property
    def current_predictor(self) -> Predictor:
        """Copy of the predictor with its current parameters; training does not change it."""
        parameters = self.predictor.parameters
        return self.predictor.with_parameters(
            {name: each.detach().clone() for name, each in parameters.items()}
        )

    def run_epoch(self) -> float:
        """Train for one epoch; return the mean loss of the epoch."""
        if self.epoch in (0, self.config.joint_epochs):
            self._reset_optimizer()
        rng = np.random.default_rng([self.seed, self.epoch])
        self.predictor.model.train()
        with torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**31)))  # dropout uses PyTorch's global generator
            losses = [self._step(step, rng) for step in range(self.config.steps)]
        self.predictor.model.eval()
        self.epoch += 1
        return float(np.mean(losses))

    def _step(self, step: int, rng: np.random.Generator) -> float:
        """Take one step of AdamW; return the loss."""
        loss = self._loss(rng)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = list(self.predictor.parameters.values())
        torch.nn.utils.clip_grad_norm_(parameters, _MAX_GRADIENT_NORM)
        self._optimizer.param_groups[0]["lr"] = self.learning_rate(step)
        self._optimizer.step()
        return float(loss.detach())

    def _loss(self, rng: np.random.Generator) -> Tensor:
        return self._joint_loss(rng) if self._is_joint else self._meta_loss(rng)

    @property
    def _is_joint(self) -> bool:
        return self.epoch < self.config.joint_epochs

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step of the current epoch.

        In each phase, the learning rate rises linearly from 0 to ``outer_rate`` and falls back to
        0.
        """
        config = self.config
        joint = config.joint_epochs
        first, last = (0, joint) if self._is_joint else (joint, config.epochs)
        progress = (step + 1 + (self.epoch - first) * config.steps) / (
            (last - first) * config.steps
        )
        return config.outer_rate * max(
            0.0, min(progress / _WARM_UP, (1 - progress) / (1 - _WARM_UP))
        )

    def _joint_loss(self, rng: np.random.Generator) -> Tensor:
        """Return the mean squared error of one network on all drawn tasks."""
        *inputs, labels = self._draw(self.config.validation, rng)
        flat = tuple(each.flatten(0, 1) for each in inputs)
        predicted = functional_call(self.predictor.model, self.predictor.parameters, flat)
        return torch.square(predicted.reshape(labels.shape) - labels).mean()

    def _meta_loss(self, rng: np.random.Generator) -> Tensor:
        """Return the outer loop's loss on the drawn tasks (MP-NAS paper, Eq. 5 and 7)."""
        shots = self.config.shots
        drawn = self._draw(shots + self.config.validation, rng)
        return meta_loss(
            self.predictor.model,
            self.predictor.parameters,
            tuple(each[:, :shots] for each in drawn),
            tuple(each[:, shots:] for each in drawn),
            algorithm=self.predictor.config.algorithm,
            learning_rate=self.predictor.config.inner_rate,
            steps=self.config.inner_steps,
            first_order=self.config.first_order,
        )

    def _draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Draw tasks and architectures; return inputs and labels, ``(tasks, count, ...)`` each."""
        drawn = []
        for _ in range(self.config.tasks):
            source = self.sources[int(rng.choice(len(self.sources), p=self._probabilities))]
            labels = source.labels[int(rng.integers(len(source.labels)))]
            rows = torch.from_numpy(rng.choice(len(labels), count, replace=False))
            drawn.append([each[rows] for each in (*source.inputs, labels)])
        return tuple(torch.stack(each) for each in zip(*drawn, strict=True))

    # -- saving and resuming --------------------------------------------------------------------

    def state_arrays(self) -> Arrays:
        """Return the parameters and the state of AdamW; the caller saves the number of epochs."""
        saved = self._optimizer.state_dict()["state"]
        names = list(self.predictor.parameters)
        adam = {
            f"{key}/{names[i]}": each.numpy()
            for i, state in saved.items()
            for key, each in state.items()
        }
        return {**{f"parameters/{k}": v for k, v in self.predictor.state_arrays().items()}, **adam}

    def load_state_arrays(self, arrays: Arrays, epoch: int) -> None:
        """Restore a state that :meth:`state_arrays` returned after ``epoch`` epochs."""
        self.epoch = epoch
        names = list(self.predictor.parameters)
        for name, parameter in self.predictor.parameters.items():
            parameter.data = torch.tensor(arrays[f"parameters/{name}"])
        keys = {key.split("/")[0] for key in arrays} - {"parameters"}
        state = {
            i: {key: torch.tensor(arrays[f"{key}/{name}"]) for key in keys}
            for i, name in enumerate(names)
        }
        self._optimizer.load_state_dict(
            self._optimizer.state_dict() | {"state": state if keys else {}}
        )


class MultiTaskTraining(MetaTraining):
    """Meta-training of a :class:`MixturePredictor`: each task trains its own head.

    All epochs are joint pre-training. A step draws ``validation`` architectures, and every head
    learns their labels in its task. The weight of a source is divided among its tasks. It is both
    the weight of the tasks in the loss and their prior probability.

    See :class:`MetaTraining`.

    Raises:
        ValueError: If the sources have different architectures.
    """

    predictor: MixturePredictor

    def __init__(
        self,
        predictor_config: PredictorConfig,
        config: MetaTrainingConfig,
        sources: Sequence[MetricSource],
        seed: int,
        node_types: tuple[str, ...] = NODES,
    ) -> None:
        if any(source.inputs is not sources[0].inputs for source in sources):
            raise ValueError("The sources of a mixture must have the same architectures.")
        self._labels = torch.cat([source.labels for source in sources]).T
        weights = [source.weight / len(source.labels) for source in sources for _ in source.labels]
        self._weights = torch.tensor(weights) / sum(weights)
        super().__init__(predictor_config, replace(config, joint=1.0), sources, seed, node_types)

    def _make_predictor(
        self, config: PredictorConfig, node_types: tuple[str, ...]
    ) -> MixturePredictor:
        return MixturePredictor(config, self.seed, node_types, self._weights.numpy())

    @property
    def current_predictor(self) -> MixturePredictor:
        """Copy of the predictor with its current parameters; training does not change it."""
        parameters = self.predictor.parameters
        copied = {name: each.detach().clone() for name, each in parameters.items()}
        return self.predictor.with_parameters(copied).with_reference(*self.sources[0].inputs)

    def _loss(self, rng: np.random.Generator) -> Tensor:
        count = min(self.config.validation, len(self._labels))
        rows = torch.from_numpy(rng.choice(len(self._labels), count, replace=False))
        inputs = tuple(each[rows] for each in self.sources[0].inputs)
        _, scores = functional_call(self.predictor.model, self.predictor.parameters, inputs)
        errors = torch.square(scores - self._labels[rows]).mean(dim=0)
        return (self._weights * errors).sum()
