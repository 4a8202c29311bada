"""BASE: architectures from a meta-learned distribution that is adapted to the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.query_memory import QueryMemory
from nas_gym.agents.common.saved import State, pretrained_file, refuse_nan

if TYPE_CHECKING:
    from nas_gym.networks.batches import DeviceImages
    from nas_gym.networks.bayesian.meta_network import MetaNetwork
    from nas_gym.networks.data import ImageData

_CANDIDATES = 256  # drawn to find an architecture that a trial has not queried


@dataclass(frozen=True)
class BASEConfig(AgentConfig):
    """Settings of :class:`BASE`."""

    pretrained: str = setting(
        "",
        "File of a meta-network that `nas-gym train-supernet --method base` saved. Without it, the "
        "search starts from random weights and equal probabilities of all operations.",
    )
    method: str = setting(
        "base",
        "Objective of a search without a meta-network: base has the KL terms of the paper's "
        "derivation, and base-paper has none. A meta-network has its own objective.",
        choices=("base", "base-paper"),
    )
    steps: int = setting(
        200,
        "Gradient steps on the target's training images before the first query. With 0, the "
        "multi-task prior proposes architectures without looking at the target.",
        low=0,
        high=1_000_000,
    )
    batch_size: int = setting(64, "Number of images per step.", low=1, high=65_536)
    images: str = setting(
        "", "Image data set, or a folder or zip file of images; by default the task's data set."
    )
    device: str = setting("auto", "Device on which the network is adapted: auto, cpu, cuda, ...")


class BASE(QueryMemory, Agent):
    """BASE (Shaw et al., 2019): a distribution over architectures, meta-learned on other tasks.

    The meta-network has learned a distribution of weights and operations from many tasks
    (``nas-gym train-supernet --method base``). Before the first query, each trial adapts it to the
    images of the target by a few gradient steps, which gives the posterior of the target. The first
    query is the most probable architecture. Further queries are drawn from the posterior, without
    repetition; they show how certain the posterior is.

    The agent does not learn from rewards. The settings of the steps are those of the meta-network.
    Adaptation needs the images of the target; with ``steps=0``, none are needed.

    ``base-paper`` is the algorithm as printed, without KL terms. Both methods have point weights by
    default.

    Raises:
        ValueError: If the search space has no networks, or the meta-network is of another search
            space.
        DataError: If the meta-network or the images are not on this machine, or are damaged.
    """

    config_class = BASEConfig
    config: BASEConfig
    presets: ClassVar[Mapping[str, AgentConfig]] = {"base-paper": BASEConfig(method="base-paper")}
    state_attributes = ("log_alpha", "is_adapted")
    checks_state = True
    uses_torch = True
    searches_in = "NAS-Bench-201 and DARTS"

    def setup(self) -> None:
        """Prepare an empty memory of queries; see :meth:`Agent.setup`."""
        from nas_gym.networks.few_shot.plans import check_few_shot_space

        check_few_shot_space(self.space.name)
        self.forget_queries(self.num_trials)
        self.log_alpha = np.zeros((self.num_trials, self.space.alpha_size))
        self.is_adapted = False

    def _start_from_pretrained(self) -> None:
        self._meta_network = self._load_meta_network() if self.config.pretrained else None

    def _load_meta_network(self) -> MetaNetwork:
        from nas_gym.networks.bayesian.meta_network import load_meta_network
        from nas_gym.networks.device import find_device

        path = pretrained_file(self.config.pretrained)
        found = load_meta_network(path, find_device(self.config.device))
        if found.network.space.choices != self.space.choices:
            raise ValueError(
                f"{path} is a meta-network of {found.network.space.name}, and this environment "
                f"searches {self.space.name}."
            )
        if found.plan.dataset == (self.config.images or self.task.dataset):
            gym.logger.warn(
                f"{path} learned from classes of {found.plan.dataset}: results on this task do not "
                "show how well it does on a new one."
            )
        return found

    # -- adaptation -------------------------------------------------------------------------------

    def _adapt(self) -> None:
        """Compute the posterior of each trial, of which the search needs alpha only."""
        data = self._load_images() if self.config.steps else None
        for trial, seed in enumerate(self.rng.seeds):
            self.log_alpha[trial] = self._posterior_log_alpha(data, seed)
        self.is_adapted = True

    def _load_images(self) -> ImageData:
        from nas_gym.networks.data import load_images

        return load_images(self.config.images or self.task.dataset)

    def _posterior_log_alpha(self, data: ImageData | None, seed: int) -> NDArray[np.float64]:
        """Return the logarithms of the probabilities of all operations, ``(alpha_size,)``."""
        import torch

        from nas_gym.networks.batches import DeviceImages
        from nas_gym.networks.device import find_device

        device = find_device(self.config.device)
        meta = self._meta_network_for(data, seed, device)
        posterior = meta.prior
        if data is not None:
            train = DeviceImages.from_split(data, data.train, device)
            generator = torch.Generator().manual_seed(seed)
            batches = self._batches(train, data.name, generator)
            posterior = meta.adapt(batches, len(train), generator)
        logs = posterior.alpha_logits.log_softmax(dim=-1).double().cpu().numpy()
        return logs.reshape(self.space.alpha_size)

    def _meta_network_for(self, data: ImageData | None, seed: int, device: Any) -> MetaNetwork:
        from nas_gym.networks.bayesian.meta_network import untrained_meta_network
        from nas_gym.networks.bayesian.plans import untrained_plan

        meta = self._meta_network
        if meta is None:
            channels = 1 if data is None else data.shape[0]
            plan = untrained_plan(self.space.name, channels, seed, self.config.method)
            meta = untrained_meta_network(plan, device)
        if data is None:
            return meta
        return meta.for_images(len(data.classes), data.shape[0], seed)

    def _batches(self, train: DeviceImages, name: str, generator: Any) -> Iterator[Any]:
        """Yield one random batch of augmented images for each step."""
        from nas_gym.networks.batches import default_augmentation

        augmentation, left = default_augmentation(name), self.config.steps
        while left:
            for batch in train.shuffled(self.config.batch_size, augmentation, generator):
                yield batch
                left -= 1
                if not left:
                    return

    # -- search -----------------------------------------------------------------------------------

    def ask(self) -> NDArray[np.int64]:
        """Return the most probable architecture, later drawn ones; see :meth:`Agent.ask`."""
        if not self.is_adapted:
            self._adapt()
        return np.stack([self._propose(trial) for trial in range(self.num_trials)])

    def _propose(self, trial: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self.rng.seeds[trial], self.num_queries])
        scores = np.tile(self.log_alpha[trial], (1 + _CANDIDATES, 1))
        scores[1:] += rng.gumbel(size=scores[1:].shape)
        candidates = self.space.alpha_to_genotype(scores)
        known = self.seen.contains(self.space.encode(candidates)[None], np.array([trial]))[0]
        if known.all():
            return self.sample_unseen(trial, rng.random())
        genotype: NDArray[np.int64] = candidates[np.argmin(known)]
        return genotype

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Remember the queries; rewards are ignored."""
        self.remember_queries(self.space.encode(genotypes))

    def diagnostics(self) -> dict[str, NDArray[np.float64]]:
        """Return ``alpha_entropy``: the mean entropy of the operation of an edge in the posterior,
        in nats, ``(queries, n)``."""
        rows = (-np.exp(self.log_alpha) * self.log_alpha).sum(axis=1)
        edges = np.exp(self.log_alpha).sum(axis=1)
        return {"alpha_entropy": np.tile(rows / edges, (self.num_queries, 1))}

    def state_dict(self) -> State:
        """Return the state with the posterior, because it has no meta-network; see
        :meth:`Agent.state_dict`."""
        if not self.is_adapted:
            self._adapt()
        return super().state_dict()

    def check_state(self) -> None:
        """Raise an error if alpha is damaged; see :meth:`Agent.check_state`."""
        super().check_state()
        refuse_nan({"log_alpha": self.log_alpha})
