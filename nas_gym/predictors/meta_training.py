"""Meta-training of a predictor on the architectures and labels of earlier tasks.

MP-NAS (Loya et al., NeurIPS 2023), section 3.2: the outer loop. It begins with joint pre-training,
the same network for all tasks at once: where tasks agree, this gets most of the way at a fraction
of the cost, and what tasks disagree on is left to the inner loop.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from nas_gym.predictors.config import MetaTrainingConfig, PredictorConfig
from nas_gym.predictors.maml import meta_loss
from nas_gym.predictors.predictor import Predictor
from nas_gym.utils.ranks import rank_scores

_LARGEST_GRADIENT = 1.0
_RISING = 0.3  # share of a phase in which the learning rate goes up; it comes down in the rest

Arrays = dict[str, NDArray[np.float32]]


class MetricSource:
    """Tasks that share their architectures, such as all metrics measured on one data set.

    Args:
        inputs: ``n`` architectures, as :func:`~nas_gym.predictors.gcn.to_tensors` gives them.
        labels: what was measured, ``(tasks, n)``; only the order counts.
        weight: how often it is drawn, beside others.
    """

    def __init__(
        self, inputs: tuple[Tensor, ...], labels: NDArray[np.float64], weight: float = 1.0
    ) -> None:
        self.weight = weight
        self.inputs = inputs
        self.labels = torch.from_numpy(rank_scores(labels).astype(np.float32))


class MetaTraining:
    """One predictor, and how far its training has come.

    Every epoch draws from a stream of its own, so that training can go on where it was cut off.

    Args:
        predictor_config: of the predictor.
        config: of its training.
        sources: what it learns from; their tasks are drawn equally often.
        seed: of the first parameters and of all that is drawn.
    """

    def __init__(
        self,
        predictor_config: PredictorConfig,
        config: MetaTrainingConfig,
        sources: Sequence[MetricSource],
        seed: int,
    ) -> None:
        self.config = config
        self.sources = sources
        weights = np.array([source.weight for source in sources])
        self._shares = weights / weights.sum()
        self.seed = seed
        self.epoch = 0
        self.predictor = Predictor(predictor_config, seed=seed)
        for parameter in self.predictor.parameters.values():
            parameter.requires_grad_()
        self._new_optimizer()

    def _new_optimizer(self) -> None:
        self._optimizer = torch.optim.AdamW(self.predictor.parameters.values())

    def run_epoch(self) -> float:
        """One epoch more; gives its mean loss."""
        if self.epoch in (0, self.config.joint_epochs):
            self._new_optimizer()
        rng = np.random.default_rng([self.seed, self.epoch])
        self.predictor.model.train()
        with torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**31)))  # of dropout
            losses = [self._step(step, rng) for step in range(self.config.steps)]
        self.predictor.model.eval()
        self.epoch += 1
        return float(np.mean(losses))

    def _step(self, step: int, rng: np.random.Generator) -> float:
        loss = self._joint_loss(rng) if self._is_joint else self._meta_loss(rng)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = list(self.predictor.parameters.values())
        torch.nn.utils.clip_grad_norm_(parameters, _LARGEST_GRADIENT)
        self._optimizer.param_groups[0]["lr"] = self._learning_rate(step)
        self._optimizer.step()
        return float(loss.detach())

    @property
    def current_predictor(self) -> Predictor:
        """The predictor as it is now; training goes on without it."""
        parameters = self.predictor.parameters
        return self.predictor.with_parameters(
            {name: each.detach().clone() for name, each in parameters.items()}
        )

    @property
    def _is_joint(self) -> bool:
        return self.epoch < self.config.joint_epochs

    def _learning_rate(self, step: int) -> float:
        config = self.config
        joint = config.joint_epochs
        first, last = (0, joint) if self._is_joint else (joint, config.epochs)
        done = (step + 1 + (self.epoch - first) * config.steps) / ((last - first) * config.steps)
        return config.outer_rate * max(0.0, min(done / _RISING, (1 - done) / (1 - _RISING)))

    def _joint_loss(self, rng: np.random.Generator) -> Tensor:
        *inputs, labels = self._draw(self.config.validation, rng)
        flat = tuple(each.flatten(0, 1) for each in inputs)
        predicted = functional_call(self.predictor.model, self.predictor.parameters, flat)
        return torch.square(predicted.reshape(labels.shape) - labels).mean()

    def _meta_loss(self, rng: np.random.Generator) -> Tensor:
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
        """Architectures of some tasks and their labels, ``(tasks, count, ...)`` each."""
        drawn = []
        for _ in range(self.config.tasks):
            source = self.sources[int(rng.choice(len(self.sources), p=self._shares))]
            labels = source.labels[int(rng.integers(len(source.labels)))]
            rows = torch.from_numpy(rng.choice(len(labels), count, replace=False))
            drawn.append([each[rows] for each in (*source.inputs, labels)])
        return tuple(torch.stack(each) for each in zip(*drawn, strict=True))

    # -- keeping --------------------------------------------------------------------------------

    def state_arrays(self) -> Arrays:
        """All that going on needs besides the epoch: parameters, and what AdamW keeps."""
        kept = self._optimizer.state_dict()["state"]
        names = list(self.predictor.parameters)
        adam = {
            f"{key}/{names[i]}": each.numpy()
            for i, state in kept.items()
            for key, each in state.items()
        }
        return {**{f"parameters/{k}": v for k, v in self.predictor.state_arrays().items()}, **adam}

    def load_state_arrays(self, arrays: Arrays, epoch: int) -> None:
        """Go on from what :meth:`state_arrays` gave after so many epochs."""
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
