"""Action spaces of restricted search spaces: ``sample()`` draws valid actions only.

Gymnasium's own spaces know nothing of an environment's state, so their samples may be invalid.
These ask for the masks or genotypes that are valid now; everything else is inherited. What is
pickled, for a worker process or a saved model, is the plain space without its environment; a deep
copy belongs to the copy of the environment.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from nas_gym.spaces import RandomSource

_Space = TypeVar("_Space", bound=spaces.Space[Any])


def _deepcopy(space: _Space, memo: dict[int, Any]) -> _Space:
    # by hand, since __reduce__ makes plain spaces
    copied = memo[id(space)] = object.__new__(type(space))
    copied.__dict__.update(deepcopy(space.__dict__, memo))
    return copied


class MaskedDiscrete(spaces.Discrete):
    """``Discrete(n)`` whose samples follow the current action mask.

    Args:
        n: the number of actions.
        current_mask: gives the mask that holds now, shape ``(n,)``.
    """

    def __init__(self, n: int, current_mask: Callable[[], NDArray[Any]]) -> None:
        super().__init__(n)
        self._current_mask = current_mask

    def sample(self, mask: Any = None, probability: Any = None) -> np.int64:
        """As ``Discrete.sample``; without a mask and probabilities, the current mask."""
        if mask is None and probability is None:
            mask = self._current_mask().astype(np.int8)
        return super().sample(mask, probability)

    __deepcopy__ = _deepcopy

    def __reduce__(self) -> tuple[Any, ...]:
        return spaces.Discrete, (int(self.n),)


class DrawnMultiDiscrete(spaces.MultiDiscrete):
    """``MultiDiscrete`` whose samples are drawn by the search space.

    Args:
        nvec: the number of choices of each entry.
        draw: makes one sample from a generator, shape of ``nvec``.
    """

    def __init__(
        self, nvec: NDArray[np.int64], draw: Callable[[RandomSource], NDArray[np.int64]]
    ) -> None:
        super().__init__(nvec)
        self._draw = draw

    def sample(self, mask: Any = None, probability: Any = None) -> NDArray[np.int64]:
        """As ``MultiDiscrete.sample``; without a mask and probabilities, a valid sample."""
        if mask is None and probability is None:
            return self._draw(self.np_random)
        return super().sample(mask, probability)

    __deepcopy__ = _deepcopy

    def __reduce__(self) -> tuple[Any, ...]:
        return spaces.MultiDiscrete, (self.nvec,)
