"""Meta-networks of BASE: training, files, and adaptation to a target."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from nas_gym.networks.bayesian.distribution import NetworkDistribution
from nas_gym.networks.bayesian.embedding import Batch, optimization_embedding
from nas_gym.networks.bayesian.meta_training import (
    BASETraining,
    initial_distribution,
    restored_distribution,
)
from nas_gym.networks.bayesian.plans import BASEPlan
from nas_gym.networks.data.class_images import FewShotData
from nas_gym.networks.device import move_to_device
from nas_gym.networks.few_shot.checkpoints import (
    Arrays,
    CheckpointFormat,
    TrainingOptions,
    read_finished,
    run_meta_training,
)
from nas_gym.networks.few_shot.plans import task_sampler
from nas_gym.networks.few_shot.processes import Processes
from nas_gym.networks.network import Network
from nas_gym.networks.progress import EpochCallback
from nas_gym.networks.supernet import Curves


@dataclass(frozen=True)
class MetaNetwork:
    """Meta-parameters of BASE with their network.

    ``prior.genotype(network.space)`` is the architecture of the multi-task prior, which needs no
    data of the target.

    Attributes:
        network: Supernet on its device.
        plan: Plan of the meta-training.
        prior: Meta-parameters W.
    """

    network: Network
    plan: BASEPlan
    prior: NetworkDistribution

    def adapt(
        self, batches: Iterable[Batch], num_images: int, generator: torch.Generator
    ) -> NetworkDistribution:
        """Return the posterior of a target.

        Args:
            batches: Batches of the target's images, one for each gradient step.
            num_images: Images of the target.
            generator: CPU generator of the noise.

        Raises:
            DivergedError: If the posterior diverges.
        """
        config = self.plan.training
        temperature = config.final_temperature
        return optimization_embedding(
            self.network, self.prior, batches, num_images, config, temperature, generator
        )

    def discrete_network(self, distribution: NetworkDistribution) -> Network:
        """Return the stand-alone network of a distribution's architecture, with the mean weights.

        Args:
            distribution: The prior, or the posterior of a target.
        """
        return self.plan.build_with(distribution.genotype(self.network.space), distribution.mean)

    def for_images(self, num_classes: int, in_channels: int, seed: int = 0) -> MetaNetwork:
        """Return a copy for other images and classes.

        Layers whose shape depends on the number of channels or classes get random weights, and the
        classifier always does.

        Args:
            num_classes: Classes of the target.
            in_channels: Channels of the target's images.
            seed: Seed of the random weights.
        """
        shape = (in_channels, *self.plan.shape[1:])
        plan = replace(self.plan, ways=num_classes, shape=shape, seed=seed)
        fresh = untrained_meta_network(plan, next(iter(self.prior.mean.values())).device)
        own, found = self.prior.parameters(), {}
        for name, each in fresh.prior.parameters().items():
            is_new = "/head." in name or own[name].shape != each.shape
            found[name] = each if is_new else own[name]
        return replace(fresh, prior=NetworkDistribution.from_parameters(found))


def untrained_meta_network(plan: BASEPlan, device: torch.device) -> MetaNetwork:
    """Return the meta-network of a plan before meta-training: random weights, even operations.

    Args:
        plan: Plan of the meta-network.
        device: Device of the network.
    """
    network = move_to_device(plan.build(), device)
    return MetaNetwork(network, plan, initial_distribution(network, plan.training, plan.seed))


def train_meta_network(
    plan: BASEPlan,
    data: FewShotData,
    path: Path,
    device: torch.device,
    on_epoch: EpochCallback | None = None,
    seconds: float = 10.0,
    *,
    on_resume: Callable[[Curves], None] | None = None,
    wait: bool = True,
    processes: Processes | None = None,
) -> MetaNetwork:
    """Meta-train a meta-network and save it, or resume an interrupted training.

    Args:
        plan: Plan of the meta-network.
        data: Few-shot data that the plan was made for.
        path: File of the meta-network (``.safetensors``).
        device: Device of the training.
        on_epoch: Callback that receives the metrics of :meth:`BASETraining.run_epoch` after each
            epoch.
        seconds, on_resume, wait, processes: See
            :class:`~nas_gym.networks.few_shot.checkpoints.TrainingOptions`.

    Raises:
        ValueError, DataError, TrainingError: See
            :func:`~nas_gym.networks.few_shot.checkpoints.run_meta_training`.
    """
    options = TrainingOptions(on_epoch, seconds, on_resume, wait, processes)
    make_training = partial(_make_training, plan, data, device)
    training = run_meta_training(_FORMAT, make_training, plan, data, path, device, options)
    return MetaNetwork(training.network, plan, training.prior)


def _make_training(
    plan: BASEPlan, data: FewShotData, device: torch.device, processes: Processes
) -> BASETraining:
    network = move_to_device(plan.build(), device)
    train, valid = (task_sampler(plan, data, split, device) for split in ("train", "valid"))
    return BASETraining(network, train, valid, plan.training, plan.seed, processes)


def _check_parameters(plan: BASEPlan, network: Network, arrays: Arrays) -> None:
    untrained = untrained_meta_network(plan, torch.device("cpu"))
    restored_distribution(untrained.prior, arrays).check()


_FORMAT = CheckpointFormat(
    "meta-network of BASE",
    BASEPlan,
    "base_plan",
    frozenset({"alpha_logits", "skipped"}),
    _check_parameters,
)


def load_meta_network(path: Path, device: torch.device) -> MetaNetwork:
    """Return a meta-network from its file.

    Args:
        path: File that :func:`train_meta_network` wrote.
        device: Device of the network.

    Raises:
        MissingDataError: If there is no such file, or its training is not finished.
        DamagedDataError: If the file holds no meta-network.
    """
    content = read_finished(_FORMAT, path)
    untrained = untrained_meta_network(content.plan, device)
    return replace(untrained, prior=restored_distribution(untrained.prior, content.arrays))
