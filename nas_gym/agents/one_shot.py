"""One-shot baselines: agents that train a supernet of their own while they search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nas_gym.agents.common.base import Agent, State, part

if TYPE_CHECKING:
    from nas_gym.networks.one_shot import OneShotSearch


class OneShot(Agent):
    """A weight-sharing method (CATCH, Table 1): each query is what it would choose by then.

    Before each query, a supernet is trained for one epoch more, on the images of the environment's
    data set; the query is the architecture that the method derives from it. Rewards teach it
    nothing: they tell how good its choice is, by the environment's own measure, so that
    ``NB201-cifar10-v0`` scores it by the table. Trials run one after the other.

    Settings:
        epochs: that the learning rate is annealed over, as many as queries are to come; 0: those
            of :func:`nas_gym.networks.plans.supernet_plan`. It stays at its end afterwards.
        images: a data set, or a folder or zip file of images; that of the environment by default.
        channels: of the supernet; 0: those of the plan.
        batch_size: 0: that of the plan.
        device: where to compute; the fastest by default.

    Raises:
        ValueError: a search space without networks, or settings that make no sense.
        MissingDataError: the images are not on this machine.
    """

    settings: ClassVar[dict[str, Any]] = {
        "epochs": 0,
        "images": "",
        "channels": 0,
        "batch_size": 0,
        "device": "auto",
    }
    uses_torch = True
    epochs: int
    images: str
    channels: int
    batch_size: int
    device: str
    method: ClassVar[str]
    """The name of the search, of :data:`nas_gym.networks.one_shot.ONE_SHOT_SEARCHES`."""

    def _setup(self) -> None:
        for name in ("epochs", "channels", "batch_size"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is at least 0, got {getattr(self, name)}.")
        self._searches = [self._search(seed) for seed in self.streams.seeds]
        self._losses = np.empty((self.num_trials, 0))
        self._latest = np.full(self.num_trials, np.nan)

    def _search(self, seed: int) -> OneShotSearch:
        from nas_gym.networks import data as images
        from nas_gym.networks.batches import DeviceImages
        from nas_gym.networks.device import find_device, move_to_device
        from nas_gym.networks.one_shot import ONE_SHOT_SEARCHES
        from nas_gym.networks.plans import check_space, supernet_plan

        check_space(self.space.name)
        data = images.load_images(self.images or self.task.dataset)
        given = {name: getattr(self, name) for name in ("epochs", "channels", "batch_size")}
        plan = supernet_plan(self.space.name, data, seed).with_settings(
            **{name: value for name, value in given.items() if value}
        )
        device = find_device(self.device)
        train, valid = (
            DeviceImages.from_split(data, split, device) for split in (data.train, data.valid)
        )
        network = move_to_device(plan.build(), device)
        return ONE_SHOT_SEARCHES[self.method](network, train, valid, plan.training, seed)

    def _ask(self) -> NDArray[np.int64]:
        self._latest = np.array([search.run_epoch() for search in self._searches])
        return np.stack([search.derive() for search in self._searches])

    def _tell(self, genotypes: NDArray[np.int64], fitness: NDArray[np.float64]) -> None:
        self._losses = np.concatenate([self._losses, self._latest[:, None]], axis=1)

    def diagnostics(self) -> dict[str, NDArray[np.float64]]:
        """``supernet_loss``, the training loss of the epoch before each query, ``(queries, n)``."""
        return {"supernet_loss": self._losses.T}

    _STATE = ("losses",)

    def state_dict(self) -> State:
        """As :meth:`Agent.state_dict`, supernets included."""
        searches = {
            f"searches/{trial}/{name}": array
            for trial, search in enumerate(self._searches)
            for name, array in search.state_arrays().items()
        }
        return super().state_dict() | searches

    def load_state_dict(self, state: State, *, began: bool = False) -> None:
        """As :meth:`Agent.load_state_dict`, supernets included."""
        super().load_state_dict(state, began=began)
        for trial, search in enumerate(self._searches):
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
