"""Action spaces of restricted search spaces, whose ``sample()`` returns valid actions only.

Gymnasium's spaces do not know the state of the environment, so their samples may be invalid.
The classes here ask the environment for the current mask or for a valid sample; everything else is
inherited. Pickling one of these spaces produces a plain Gymnasium space without the environment, so
that worker processes and saved models do not receive the environment. A deep copy of an environment
contains a deep copy of its space, which refers to the copied environment.
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
    # copy.deepcopy would use __reduce__, which returns a plain Gymnasium space.
    copied = memo[id(space)] = object.__new__(type(space))
    copied.__dict__.update(deepcopy(space.__dict__, memo))
    return copied


class MaskedDiscrete(spaces.Discrete):
    """``Discrete(n)`` that samples from the actions that are valid now.

    Args:
        n: Number of actions.
        current_mask: Function that returns the current action mask, ``(n,)``.
    """

    def __init__(self, n: int, current_mask: Callable[[], NDArray[Any]]) -> None:
        super().__init__(n)
        self._current_mask = current_mask

    def sample(self, mask: Any = None, probability: Any = None) -> np.int64:
        """Return a valid action; see ``Discrete.sample``.

        Args:
            mask: Mask that replaces the current one, ``(n,)`` int8.
            probability: Probability of each action, which replaces the current mask, ``(n,)``.
        """
        if mask is None and probability is None:
            mask = self._current_mask().astype(np.int8)
        return super().sample(mask, probability)

    __deepcopy__ = _deepcopy

    def __reduce__(self) -> tuple[Any, ...]:
        return spaces.Discrete, (int(self.n),)


class ValidMultiDiscrete(spaces.MultiDiscrete):
    """``MultiDiscrete`` with valid samples, which a function returns.

    Args:
        nvec: Number of choices of each entry.
        sampler: Function that returns one valid sample, shape of ``nvec``, given a random
            generator.
    """

    def __init__(
        self, nvec: NDArray[np.int64], sampler: Callable[[RandomSource], NDArray[np.int64]]
    ) -> None:
        super().__init__(nvec)
        self._sampler = sampler

    def sample(self, mask: Any = None, probability: Any = None) -> NDArray[np.int64]:
        """Return a valid sample; see ``MultiDiscrete.sample``.

        Args:
            mask: Masks of the entries; if given, they replace the function.
            probability: Probabilities of the choices; if given, they replace the function.
        """
        if mask is None and probability is None:
            return self._sampler(self.np_random)
        return super().sample(mask, probability)

    __deepcopy__ = _deepcopy

    def __reduce__(self) -> tuple[Any, ...]:
        return spaces.MultiDiscrete, (self.nvec,)
