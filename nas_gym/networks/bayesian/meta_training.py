"""Meta-training of BASE: the outer loop of the algorithm."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_gym.networks.bayesian.distribution import NetworkDistribution, agreement
from nas_gym.networks.bayesian.embedding import (
    mean_network_logits,
    optimization_embedding,
    random_batches,
)
from nas_gym.networks.bayesian.plans import BASETrainingConfig
from nas_gym.networks.data.few_shot import FewShotBatch, TaskSampler
from nas_gym.networks.few_shot.processes import Processes
from nas_gym.networks.few_shot.task_training import TaskTraining
from nas_gym.networks.network import Network
from nas_gym.utils.errors import DivergedError

_START, _TASKS, _STEPS, _VALIDATION, _DRAWS = range(5)  # purposes of random numbers
_DRAWN_ARCHITECTURES = 16  # to measure their agreement


class BASETraining(TaskTraining):
    """Meta-training of BASE.

    Each update draws C tasks and computes the posterior of each one, from all of its images. Then
    the meta-parameters W move towards the mean of these posteriors:
    W <- W + lambda * mean(posterior - W). Means, logarithms of standard deviations, and logits of
    alpha are averaged. A task whose posterior diverges is left out with a warning.

    Args:
        network: Supernet without running batch-norm statistics, on its device. Its weights are the
            initial means.
        train: Sampler of the tasks to learn from.
        valid: Sampler of the validation tasks.
        config: Settings of the training.
        seed: Seed of all random draws.
        processes: Processes of a distributed training.

    Attributes:
        prior: Meta-parameters W.
        skipped: Number of tasks that were left out so far.
    """

    network: Network

    def __init__(
        self,
        network: Network,
        train: TaskSampler,
        valid: TaskSampler,
        config: BASETrainingConfig,
        seed: int,
        processes: Processes | None = None,
    ) -> None:
        super().__init__(network, train, valid, seed, processes)
        self.config = config
        self.prior = initial_distribution(network, config, seed)
        self.skipped = 0

    def run_epoch(self) -> dict[str, float]:
        """Run the updates of one epoch.

        Returns:
            ``valid_accuracy``, the mean accuracy in % on validation tasks after adaptation;
            ``alpha_entropy``, the mean entropy of the operation of an edge, in nats;
            ``agreement``, the fraction of decisions in which two drawn architectures agree; and
            ``skipped_tasks``, the number of tasks that were left out so far.

        Raises:
            DivergedError: If the posteriors of all tasks of an update diverge.
            TrainingError: If another process ended.
        """
        first = self.epoch * self.config.updates
        for step in range(first, first + self.config.updates):
            self.update(step)
        self.epoch += 1
        drawn = self.prior.sample_genotypes(
            self.network.space, _DRAWN_ARCHITECTURES, self._rng(_DRAWS, self.epoch)
        )
        return {
            "valid_accuracy": self.validate(),
            "alpha_entropy": self.prior.entropy(),
            "agreement": agreement(drawn),
            "skipped_tasks": float(self.skipped),
        }

    def update(self, step: int) -> None:
        """Update the meta-parameters once.

        Args:
            step: Number of the update, which determines its tasks and noise.

        Raises:
            DivergedError: If the posteriors of all tasks diverge.
            TrainingError: If another process ended.
        """
        count = self.config.tasks
        batch = self._tasks(self.train, count, self._rng(_TASKS, step))
        first, _ = self.processes.part(count)
        prior = self.prior.parameters()
        moves = {name: self._zeros(each.shape) for name, each in prior.items()}
        finished, reason = self._zeros(()), None
        for number in range(count):
            try:
                posterior = self.adapt(batch, number, self._generator(step, first + number))
            except DivergedError as error:
                reason = error
                continue
            finished += 1
            for name, each in posterior.parameters().items():
                moves[name] += each.to(moves[name].dtype) - prior[name]
        self.processes.average([finished, *moves.values()])
        self._count_skipped(step, finished, reason)
        rate = self.config.outer_rate
        self.prior = NetworkDistribution.from_parameters(
            {k: v + (rate * moves[k] / finished).to(v.dtype) for k, v in prior.items()}
        )

    def adapt(
        self, batch: FewShotBatch, task: int, generator: torch.Generator, *, query: bool = True
    ) -> NetworkDistribution:
        """Return the posterior of one task.

        Args:
            batch: Tasks.
            task: Number of the task in the batch.
            generator: CPU generator of the batches and the noise.
            query: Whether to learn from the query set, too.

        Raises:
            DivergedError: If the posterior diverges.
        """
        images, labels = batch.support_images[task], batch.support_labels[task]
        if query:
            images = torch.cat([images, batch.query_images[task]])
            labels = torch.cat([labels, batch.query_labels[task]])
        config = self.config
        if self.epoch < config.warmup:
            config = replace(config, alpha_rate=0.0)
        batches = random_batches(images, labels, config.batch_size, config.steps, generator)
        temperature = config.temperature_in(self.epoch)
        return optimization_embedding(
            self.network, self.prior, batches, len(labels), config, temperature, generator
        )

    def validate(self) -> float:
        """Return the mean accuracy in % on query sets after adaptation to support sets."""
        count = self.config.valid_tasks
        batch = self._tasks(self.valid, count, self._rng(_VALIDATION, self.epoch))
        first, _ = self.processes.part(count)
        correct = self._zeros(())
        for number in range(count):
            generator = self._generator(self.epoch, first + number, _VALIDATION)
            try:
                posterior = self.adapt(batch, number, generator, query=False)
            except DivergedError:  # counts as no correct answer
                continue
            logits = mean_network_logits(self.network, posterior, batch.query_images[number])
            correct += (logits.argmax(dim=1) == batch.query_labels[number]).float().mean()
        self.processes.average([correct])
        return 100 * correct.item() / count

    def _count_skipped(self, step: int, finished: Tensor, reason: DivergedError | None) -> None:
        """Count the tasks that were left out; ``finished`` is a mean over processes."""
        size, tasks = self.processes.size, self.config.tasks
        skipped = size * tasks - round(size * finished.item())
        self.skipped += skipped
        if skipped == size * tasks:
            raise DivergedError(
                f"All {skipped} tasks of update {step + 1} diverged. {reason or ''}"
            )
        if skipped:
            warnings.warn(
                f"{skipped} of {size * tasks} tasks of update {step + 1} diverged and were left "
                f"out, {self.skipped} so far. {reason or ''}",
                stacklevel=2,
            )

    def _generator(self, step: int, task: int, purpose: int = _STEPS) -> torch.Generator:
        seed = int(self._rng(purpose, step, task).integers(2**63))
        return torch.Generator().manual_seed(seed)

    # -- saving and resuming ----------------------------------------------------------------------

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the meta-parameters, the epoch and the number of tasks that were left out."""
        arrays = {k: each.cpu().numpy().copy() for k, each in self.prior.parameters().items()}
        return arrays | {"epoch": np.array(self.epoch), "skipped": np.array(self.skipped)}

    def load_state_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Restore a state that :meth:`state_arrays` returned.

        Raises:
            ValueError: If a parameter is missing or has another shape.
        """
        self.prior = restored_distribution(self.prior, arrays)
        self.epoch, self.skipped = int(arrays["epoch"]), int(arrays["skipped"])


def initial_distribution(
    network: Network, config: BASETrainingConfig, seed: int
) -> NetworkDistribution:
    """Return the meta-parameters before meta-training; the network's weights are the means.

    Args:
        network: Supernet.
        config: Settings; ``variational`` and ``deviation`` matter.
        seed: Seed of the logits of alpha.
    """
    generator = torch.Generator().manual_seed(
        int(np.random.default_rng([seed, _START]).integers(2**63))
    )
    deviation = config.deviation if config.variational else None
    return NetworkDistribution.initial(network, deviation, generator)


def restored_distribution(
    template: NetworkDistribution, arrays: dict[str, NDArray[Any]]
) -> NetworkDistribution:
    """Return the distribution in saved arrays.

    Args:
        template: Distribution with the names, shapes and device of all parameters.
        arrays: Arrays that :meth:`BASETraining.state_arrays` returned.

    Raises:
        ValueError: If a parameter is missing or has another shape.
    """
    restored = {}
    for name, each in template.parameters().items():
        if name not in arrays or arrays[name].shape != tuple(each.shape):
            raise ValueError(f"{name} is missing or has another shape")
        restored[name] = torch.from_numpy(np.array(arrays[name])).to(each.device)
    return NetworkDistribution.from_parameters(restored)
