"""Meta-training of a supernet together with a population of architectures (AT-NAS, Algorithm 1)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas_gym.networks.few_shot.adaptation import (
    Weights,
    adaptation_accuracies,
    adapted_weights,
    query_gradients,
)
from nas_gym.networks.few_shot.processes import Processes
from nas_gym.networks.few_shot.task_training import TaskTraining
from nas_gym.networks.training import tensors_with_prefix
from nas_gym.predictors.code_predictors import predict_from_codes
from nas_gym.spaces.evolution import Accept, next_generation, replace_rejected
from nas_gym.utils.errors import DivergedError

if TYPE_CHECKING:
    from nas_gym.networks.data.few_shot import FewShotBatch, TaskSampler
    from nas_gym.networks.few_shot.plans import FewShotTrainingConfig
    from nas_gym.spaces import SearchSpace

_PATHS, _TASKS, _POPULATION, _EVOLUTION, _VALIDATION, _PREDICTOR = range(
    6
)  # purposes of random numbers
_VALIDATED_ARCHITECTURES = 4  # after each epoch without a population
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # state of Adam


class FewShotTraining(TaskTraining):
    """Meta-training of the weights of a supernet, and evolution of a population (Algorithm 1).

    Each meta-update draws architectures and tasks, adapts the weights of each architecture to the
    support set of each task, and updates the supernet with the mean gradient on the query sets
    (Eq. 6). Architectures are uniformly random during the warm-up and members of the population
    afterwards. The population evolves (Algorithm 2) by the accuracy of its members on the query
    sets of validation tasks, after adaptation to their support sets.

    With several processes, gradients and fitness are averaged over processes (Eq. 7).

    Args:
        network: Supernet, or network of one architecture, without running batch-norm statistics,
            on its device.
        train: Sampler of the tasks that train the weights.
        valid: Sampler of the tasks that determine the fitness.
        config: Settings of the training.
        seed: Seed of all random draws.
        space: Search space of the supernet; ``None`` trains the network of one architecture.
        accept: Function that says which architectures the population may have.
        processes: Processes of a distributed training.

    Attributes:
        epoch: Number of finished epochs.
        genotypes: Population, ``(K, L)`` int64.
        fitness: Fitness of the members in %, ``(K,)``; NaN for members that were not evaluated.
    """

    def __init__(
        self,
        network: nn.Module,
        train: TaskSampler,
        valid: TaskSampler,
        config: FewShotTrainingConfig,
        seed: int,
        space: SearchSpace | None = None,
        accept: Accept | None = None,
        processes: Processes | None = None,
    ) -> None:
        super().__init__(network, train, valid, seed, processes)
        self.config, self.space, self.accept = config, space, accept
        self._optimizer = torch.optim.Adam(network.parameters(), lr=config.meta_rate)
        members = 0 if space is None else config.population
        self.genotypes = np.empty((0, 0), np.int64)
        if space is not None:
            self.genotypes = self._sample(members, self._rng(_POPULATION, 0))
        self.fitness = np.full(members, np.nan)

    def run_epoch(self) -> dict[str, float]:
        """Run the meta-updates of one epoch.

        Returns:
            ``loss``, the mean query loss; ``valid_accuracy``, the mean fitness of the latest
            generation in %, or that of random architectures if there is no population yet; and
            ``best_accuracy``, the highest fitness among these.

        Raises:
            DivergedError: If the loss is NaN or infinite.
            TrainingError: If another process ended.
        """
        losses, latest = [], None
        first = self.epoch * self.config.updates
        for step in range(first, first + self.config.updates):
            losses.append(self.meta_update(step))
            if self._evolves and (step + 1) % self.config.updates_per_generation == 0:
                latest = self.evolve(step)
        self.epoch += 1
        if latest is None:
            latest = self._validate(first)
        return {"loss": float(np.mean(losses)), **_accuracy_metrics(latest)}

    @property
    def _evolves(self) -> bool:
        return len(self.genotypes) > 0 and self.epoch >= self.config.warmup

    # -- weights ----------------------------------------------------------------------------------

    def meta_update(self, step: int) -> float:
        """Update the supernet once (Eq. 6 and 7); return the mean loss on the query sets.

        Args:
            step: Number of the update, which determines its architectures and tasks.

        Raises:
            DivergedError: If the loss is NaN or infinite.
            TrainingError: If another process ended.
        """
        batch = self._tasks(self.train, self.config.tasks, self._rng(_TASKS, step))
        genotypes = self._draw_paths(self._rng(_PATHS, step))
        total: Weights = {}
        loss = self._zeros(())
        for genotype in genotypes:
            for task in range(len(batch)):
                task_loss, gradients = self.task_gradients(genotype, batch.part(task, task + 1))
                loss += task_loss
                for name, gradient in gradients.items():
                    if name not in total:
                        total[name] = self._zeros(gradient.shape)
                    total[name] += gradient
        names = sorted(total)  # the same in all processes, which train the same architectures
        self.processes.average([loss, *(total[name] for name in names)])
        count = len(genotypes) * len(batch)
        value = loss.item() / count
        if not math.isfinite(value):
            raise DivergedError(
                f"The loss was {value} in meta-update {step + 1}: training diverged. Lower "
                f"inner_rate ({self.config.inner_rate:g}) or meta_rate "
                f"({self.config.meta_rate:g})."
            )
        if self.config.cosine:
            share = step / (self.config.epochs * self.config.updates)
            rate = self.config.meta_rate * (1 + math.cos(math.pi * share)) / 2
            self._optimizer.param_groups[0]["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        parameters = dict(self.network.named_parameters())
        for name in names:
            parameters[name].grad = (total[name] / count).to(parameters[name].dtype)
        self._optimizer.step()
        return value

    def task_gradients(self, genotype: Any, task: FewShotBatch) -> tuple[Tensor, Weights]:
        """Return the query loss of one architecture on one task, and the meta-gradient.

        The meta-gradient of first order is the gradient on the query set at the adapted weights
        (Eq. 5). The one of second order is differentiated through the adaptation (MAML). Reptile's
        is the difference between the initial weights and the weights adapted to all images of the
        task.

        Args:
            genotype: Architecture, ``(num_decisions,)``; ``None`` for the network of one
                architecture.
            task: A batch of one task.
        """
        config = self.config
        support, query = task.support_images[0], task.query_images[0]
        labels, query_labels = task.support_labels[0], task.query_labels[0]
        if config.order == "reptile":
            support, labels = torch.cat([support, query]), torch.cat([labels, query_labels])
        second = config.order == "second"
        weights = adapted_weights(
            self.network, genotype, support, labels, config.steps, config.inner_rate, second
        )
        initial: Weights = dict(self.network.named_parameters())
        wrt = initial if second else weights
        loss, gradients = query_gradients(self.network, genotype, weights, query, query_labels, wrt)
        if config.order == "reptile":
            gradients = {k: (initial[k] - each).detach() for k, each in weights.items()}
        return loss, gradients

    def _draw_paths(self, rng: np.random.Generator) -> list[Any]:
        count = self.config.architectures
        if self.space is None:
            return [None]
        if not self._evolves:
            return list(self._sample(count, rng))
        members = rng.choice(len(self.genotypes), min(count, len(self.genotypes)), replace=False)
        return list(self.genotypes[members])

    def _sample(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        assert self.space is not None
        drawn = self.space.sample(count, rng)
        if self.accept is None:
            return drawn
        return replace_rejected(self.space, drawn, self.accept, rng)

    # -- architectures ----------------------------------------------------------------------------

    def evolve(self, step: int) -> NDArray[np.float64]:
        """Evaluate the population and replace it by the next generation (Algorithm 2).

        Args:
            step: Number of the latest meta-update.

        Returns:
            Fitness of the evaluated generation in %, ``(K,)``.
        """
        assert self.space is not None
        config = self.config
        evaluated = self.evaluate(self.genotypes, step)
        following = next_generation(
            self.space,
            self.genotypes,
            evaluated,
            self._rng(_EVOLUTION, step),
            parents=config.parents,
            crossover=config.crossover,
            mutation=config.mutation,
            accept=self.accept,
        )
        self.genotypes, self.fitness = following, np.full(len(following), np.nan)
        return evaluated

    def finish(self) -> dict[str, float]:
        """Set the fitness of all members.

        Returns:
            ``valid_accuracy`` and ``best_accuracy`` of the population; see :meth:`run_epoch`. Empty
            if there is no population.
        """
        if not len(self.genotypes):
            return {}
        self.fitness = self.evaluate(self.genotypes, self.epoch * self.config.updates)
        return _accuracy_metrics(self.fitness)

    def evaluate(self, genotypes: NDArray[np.int64], step: int) -> NDArray[np.float64]:
        """Return the fitness of architectures in %, ``(n, L)`` -> ``(n,)``.

        The fitness is the mean accuracy on the query sets of validation tasks after adaptation to
        their support sets (section 3.3). With a predictor, some of the architectures are evaluated,
        and the fitness of the others is predicted (section 3.4).

        Args:
            genotypes: Architectures.
            step: Number that determines the validation tasks.
        """
        batch = self._tasks(self.valid, self.config.fitness_tasks, self._rng(_VALIDATION, step))
        distinct, inverse = np.unique(genotypes, axis=0, return_inverse=True)
        return self._fitness(distinct, batch, step)[inverse.reshape(-1)]

    def _fitness(
        self, genotypes: NDArray[np.int64], batch: FewShotBatch, step: int
    ) -> NDArray[np.float64]:
        """Evaluate distinct architectures; with a predictor, evaluate some and predict the rest."""
        kind, samples = self.config.predictor, self.config.predictor_samples
        if kind == "none" or samples >= len(genotypes):
            return self._accuracies(list(genotypes), batch)
        assert self.space is not None
        order = self._rng(_PREDICTOR, step).permutation(len(genotypes))
        evaluated, others = order[:samples], order[samples:]
        fitness = np.empty(len(genotypes))
        fitness[evaluated] = self._accuracies(list(genotypes[evaluated]), batch)
        fitness[others] = predict_from_codes(
            kind,
            self.space,
            genotypes[evaluated],
            fitness[evaluated],
            genotypes[others],
            self.seed,
        )
        return fitness

    def _validate(self, step: int) -> NDArray[np.float64]:
        rng = self._rng(_VALIDATION, step)
        genotypes: list[Any] = [None]
        if self.space is not None:
            genotypes = list(self._sample(_VALIDATED_ARCHITECTURES, rng))
        return self._accuracies(genotypes, self._tasks(self.valid, self.config.fitness_tasks, rng))

    def _accuracies(self, genotypes: list[Any], batch: FewShotBatch) -> NDArray[np.float64]:
        config = self.config
        means = torch.zeros(len(genotypes), dtype=torch.float64)
        for i, genotype in enumerate(genotypes):
            found = adaptation_accuracies(
                self.network, genotype, batch, config.steps, config.inner_rate
            )
            means[i] = found.double().mean()
        device = next(self.network.parameters()).device
        averaged = means.to(device) if device.type == "cuda" else means
        self.processes.average([averaged])
        return averaged.cpu().numpy()

    # -- saving and resuming ----------------------------------------------------------------------

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state of the training: weights, Adam's moments, population and epoch."""
        found = {f"network/{name}": each for name, each in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            for moment, value in self._optimizer.state[parameter].items():
                found[f"adam/{moment}/{name}"] = value
        arrays = {name: each.detach().cpu().numpy().copy() for name, each in found.items()}
        return arrays | {
            "epoch": np.array(self.epoch),
            "population": self.genotypes,
            "fitness": self.fitness,
        }

    def load_state_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Restore a state that :meth:`state_arrays` returned.

        Raises:
            ValueError: If a moment of Adam does not have the shape of its parameter, or if the
                population has another shape.
        """
        self.network.load_state_dict(tensors_with_prefix(arrays, "network/"))
        moments = {each: tensors_with_prefix(arrays, f"adam/{each}/") for each in _MOMENTS}
        for name, parameter in self.network.named_parameters():
            if name not in moments["step"]:
                continue
            own = {each: moments[each][name] for each in _MOMENTS}
            if any(own[each].shape != parameter.shape for each in _MOMENTS[:2]):
                raise ValueError(f"the moments of {name} have another shape")
            state = {each: own[each].to(parameter.device) for each in _MOMENTS[:2]}
            self._optimizer.state[parameter] = state | {"step": own["step"]}
        genotypes, fitness = arrays["population"], arrays["fitness"]
        if genotypes.shape != self.genotypes.shape or fitness.shape != self.fitness.shape:
            raise ValueError("the population has another size")
        if self.space is not None:
            self.space.check(genotypes)
        self.genotypes, self.fitness = genotypes.copy(), fitness.copy()
        self.epoch = int(arrays["epoch"])


def _accuracy_metrics(accuracies: NDArray[np.float64]) -> dict[str, float]:
    return {
        "valid_accuracy": float(accuracies.mean()),
        "best_accuracy": float(accuracies.max()),
    }
