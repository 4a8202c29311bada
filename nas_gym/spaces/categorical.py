"""The search space of a table whose choices are described by the table itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from numpy.typing import ArrayLike
from typing_extensions import Self

from nas_gym.spaces.base import SearchSpace


class CategoricalSpace(SearchSpace):
    """A search space that is described completely by its decisions and their choices.

    The tables of a user's own files have this space if their architectures are not written in the
    notation of a known benchmark. See :class:`SearchSpace` for the arguments.

    Example:
        >>> space = CategoricalSpace([("conv", "pool"), ("relu", "gelu", "tanh")])
        >>> space.decode([0, 5]).tolist()
        [[0, 0], [1, 2]]
    """

    kind: ClassVar[str] = "categorical"

    def describe(self) -> dict[str, Any]:
        """Return the decisions and their choices as JSON values."""
        return {
            **super().describe(),
            "names": list(self.decision_names),
            "choices": [list(labels) for labels in self.choices],
        }

    @classmethod
    def from_description(
        cls, description: Mapping[str, Any], genotypes: ArrayLike | None = None
    ) -> Self:
        """Build a space from a description; see :meth:`SearchSpace.from_description`."""
        return cls(description["choices"], description["names"], genotypes, description["name"])
