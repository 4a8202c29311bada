"""One-shot baselines: agents that train a supernet during the search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent
from nas_gym.agents.common.config import AgentConfig, setting
from nas_gym.agents.common.saved import State, part, refuse_infinite

if TYPE_CHECKING:
    from nas_gym.networks.one_shot import OneShotSearch


@dataclass(frozen=True)
class OneShotConfig(AgentConfig):
    """Settings of the one-shot baselines.

    With 0, a setting takes the search space's value in
    :func:`nas_gym.networks.plans.supernet_plan`.
    """

    epochs: int = setting(
        0,
        "Number of epochs over which the learning rate is annealed; set it to the number of "
        "queries of the search. Afterwards, the learning rate keeps its final value. 0 is the "
        "default of the search space.",
        low=0,
        high=1_000_000,
    )
    images: str = setting(
        "", "Image data set, or a folder or zip file of images; by default the task's data set."
    )
    channels: int = setting(
        0,
        "Number of channels of the supernet; 0 for the default of the search space.",
        low=0,
        high=1024,
    )
    batch_size: int = setting(
        0,
        "Number of images per batch; 0 for the default of the search space.",
        low=0,
        high=65_536,
    )
    device: str = setting("auto", "Device on which the supernet is trained: auto, cpu, cuda, ...")


class OneShot(Agent):
    """Base class of agents that search with a weight-sharing method.

    Before each query, each trial trains its supernet for one more epoch, on the images of the
    task's data set. The query is the architecture that the method derives from the supernet. The
    method does not learn from rewards. Rewards only show how good the architecture is according to
    the environment's evaluator, which is a table in ``NB201-cifar10-v0``, for example. Table 1 of
    the CATCH paper compares such methods. The trials are computed one after another.

    Raises:
        ValueError: If the search space has no networks, or a setting is out of range.
        MissingDataError: If the images are not on this machine.
    """

    config_class = OneShotConfig
    config: OneShotConfig
    state_attributes = ("losses",)
    checks_state = True
    uses_torch = True
    searches_in = "spaces with networks"
    method: ClassVar[str]
    """Name of the method in :data:`nas_gym.networks.one_shot.ONE_SHOT_SEARCHES`."""

    def setup(self) -> None:
        """Build a supernet for each trial; see :meth:`Agent.setup`."""
        self.searches = [self._make_search(seed) for seed in self.rng.seeds]
        self.losses = np.empty((self.num_trials, 0))
        self._latest_losses = np.full(self.num_trials, np.nan)

    def _make_search(self, seed: int) -> OneShotSearch:
        from nas_gym.networks.batches import DeviceImages
        from nas_gym.networks.data import load_images
        from nas_gym.networks.device import find_device, move_to_device
        from nas_gym.networks.one_shot import ONE_SHOT_SEARCHES
        from nas_gym.networks.plans import check_space, supernet_plan

        config = self.config
        check_space(self.space.name)
        data = load_images(config.images or self.task.dataset)
        given = {name: getattr(config, name) for name in ("epochs", "channels", "batch_size")}
        plan = supernet_plan(self.space.name, data, seed).with_settings(
            **{name: value for name, value in given.items() if value}
        )
        device = find_device(config.device)
        train, valid = (
            DeviceImages.from_split(data, split, device) for split in (data.train, data.valid)
        )
        network = move_to_device(plan.build(), device)
        return ONE_SHOT_SEARCHES[self.method](network, train, valid, plan.training, seed)

    def ask(self) -> NDArray[np.int64]:
        """Train for one epoch and derive architectures; see :meth:`Agent.ask`."""
        self._latest_losses = np.array([search.run_epoch() for search in self.searches])
        return np.stack([search.derive() for search in self.searches])

    def tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        """Record the losses; rewards are ignored."""
        self.losses = np.concatenate([self.losses, self._latest_losses[:, None]], axis=1)

    def diagnostics(self) -> dict[str, NDArray[np.float64]]:
        """Return ``supernet_loss``: the training loss in the epoch before each query,
        ``(queries, n)``."""
        return {"supernet_loss": self.losses.T}

    def state_dict(self) -> State:
        """Return the state, including the supernets; see :meth:`Agent.state_dict`."""
        searches = {
            f"searches/{trial}/{name}": array
            for trial, search in enumerate(self.searches)
            for name, array in search.state_arrays().items()
        }
        return super().state_dict() | searches

    def load_state_dict(self, state: State, *, env_restored: bool = False) -> None:
        """Restore a state, including the supernets; see :meth:`Agent.load_state_dict`."""
        super().load_state_dict(state, env_restored=env_restored)
        arrays = part(state, "searches/")
        refuse_infinite({k: each for k, each in arrays.items() if not k.endswith("/baseline")})
        for trial, search in enumerate(self.searches):
            search.load_state_arrays(part(state, f"searches/{trial}/"))


class RandomSearchWS(OneShot):
    """Random search with weight sharing (Li and Talwalkar, UAI 2019); see :class:`OneShot`."""

    method = "rsws"


class DARTSFirstOrder(OneShot):
    """DARTS, first order (Liu, Simonyan and Yang, ICLR 2019); see :class:`OneShot`."""

    method = "darts-v1"


class DARTSSecondOrder(OneShot):
    """DARTS, second order (Liu, Simonyan and Yang, ICLR 2019); see :class:`OneShot`."""

    method = "darts-v2"


class GDAS(OneShot):
    """GDAS (Dong and Yang, CVPR 2019); see :class:`OneShot`."""

    method = "gdas"


class SETN(OneShot):
    """SETN (Dong and Yang, ICCV 2019); see :class:`OneShot`."""

    method = "setn"


class ENAS(OneShot):
    """ENAS (Pham et al., ICML 2018); see :class:`OneShot`."""

    method = "enas"
