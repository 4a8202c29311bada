"""Search space of a user's table, with choices that are read from the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self

from nas_gym.spaces.base import SearchSpace


class CategoricalSpace(SearchSpace):
    """A search space that is completely described by its decisions and choices.

    A table from a user's file has this space if the architectures in the file are not written in
    the notation of a known benchmark.

    Args:
        choices: Labels of the choices; see :class:`SearchSpace`.
        names: Names of the decisions; see :class:`SearchSpace`.
        genotypes: Architectures of the space; see :class:`SearchSpace`.
        name: Name of the space.
        separator: Separator of the labels in an architecture's string: ``","``, or ``""`` if each
            label is one character, as in the digit string ``00213``.

    Attributes:
        separator: Separator of the labels in an architecture's string.

    Raises:
        ValueError: If the separator is neither ``","`` nor ``""``, or if it is ``""`` and a label
            has more than one character.

    Example:
        >>> space = CategoricalSpace([("conv", "pool"), ("relu", "gelu", "tanh")])
        >>> space.decode([0, 5]).tolist()
        [[0, 0], [1, 2]]
    """

    kind: ClassVar[str] = "categorical"

    def __init__(
        self,
        choices: Sequence[Sequence[str]],
        names: Sequence[str] | None = None,
        genotypes: ArrayLike | None = None,
        name: str = "",
        separator: str = ",",
    ) -> None:
        super().__init__(choices, names, genotypes, name)
        if separator not in (",", ""):
            raise ValueError(f"The separator must be ',' or '', got {separator!r}.")
        if not separator and any(len(label) != 1 for labels in self.choices for label in labels):
            raise ValueError("With separator='', each label of a choice must have one character.")
        self.separator = separator

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Return each genotype as a string: the labels of its choices, joined by the separator."""
        texts = super().to_text(genotypes)
        return texts if self.separator else [text.replace(",", "") for text in texts]

    def from_text(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Parse strings in the notation of :meth:`to_text`, or the same labels separated by commas.

        Raises:
            ValueError: If a string has a wrong number of labels, or an unknown label.
        """
        if not self.separator:
            texts = [text if "," in text else ",".join(text.strip()) for text in texts]
        return super().from_text(texts)

    def describe(self) -> dict[str, Any]:
        """Return the decisions and choices as JSON values."""
        return {
            **super().describe(),
            "names": list(self.decision_names),
            "choices": [list(labels) for labels in self.choices],
            **({} if self.separator == "," else {"separator": self.separator}),
        }

    @classmethod
    def from_description(
        cls, description: Mapping[str, Any], genotypes: ArrayLike | None = None
    ) -> Self:
        """Build a space from a description; see :meth:`SearchSpace.from_description`."""
        return cls(
            description["choices"],
            description["names"],
            genotypes,
            description["name"],
            description.get("separator", ","),
        )
