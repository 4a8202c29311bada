"""Macro search space of mobile networks, as in MnasNet (Tan et al., CVPR 2019) and
Accel-NASBench."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.spaces.base import Genotypes, SearchSpace

EXPANSIONS = (1, 4, 6)
KERNELS = (3, 5)
DEPTHS = (3, 3, 3, 3, 3, 4, 3)
"""Largest number of layers of each block. The sixth block may have four layers, as in
EfficientNet-B0."""

STRIDES = (1, 2, 2, 2, 1, 2, 1)
WIDTHS = (16, 24, 40, 80, 112, 192, 320)
STEM_WIDTH, HEAD_WIDTH = 32, 1280

BLOCKS = len(DEPTHS)
KINDS = ("expansion", "kernel", "layers", "se")
"""Decisions about a block, in the order of a genotype."""

OPERATIONS = tuple(
    f"e{expansion}k{kernel}{se}"
    for expansion in EXPANSIONS
    for kernel in KERNELS
    for se in ("", "se")
)
"""Operations of a block: every combination of expansion, kernel and squeeze-and-excitation."""

_PATTERN = re.compile(r"e(\d)k(\d)l(\d)(se)?")
_EXAMPLE = "-".join(["e1k3l1se", "e6k3l2se", "e6k5l2", "e6k3l3", "e6k5l3", "e6k5l4", "e6k3l1"])


class BlockSettings(NamedTuple):
    """Settings of the blocks of architectures, each of shape ``(n, 7)``.

    Attributes:
        expansion: Ratio of the channels inside a layer to its input channels, int64.
        kernel: Kernel size of the depthwise convolutions, int64.
        layers: Number of layers, int64.
        se: Whether the layers have squeeze-and-excitation, bool.
    """

    expansion: NDArray[np.int64]
    kernel: NDArray[np.int64]
    layers: NDArray[np.int64]
    se: NDArray[np.bool_]


class MnasNetSpace(SearchSpace):
    """Networks of seven blocks of inverted residual layers, as in MnasNet and EfficientNet.

    A genotype has four decisions per block: the expansion (1, 4 or 6), the kernel size (3 or 5),
    the number of layers (1 to 3; 1 to 4 in the sixth block) and whether the layers have
    squeeze-and-excitation. All layers of a block have the same settings. There are 36^6 * 48 =
    1.04 * 10^11 architectures. Strides and widths are fixed (:data:`STRIDES`, :data:`WIDTHS`).

    The string of an architecture has the settings of each block, separated by hyphens. For example,
    ``e6k5l2se`` is a block with expansion 6, kernel size 5, two layers and squeeze-and-excitation.

    Alpha consists of two matrices, as for Once-for-All in the L2NAS paper (section 3.3): the
    operations, ``(7, 12)``, with one row per block and one column per operation of
    :data:`OPERATIONS`; and the numbers of layers, one row of 3 (or 4) per block. The matrices are
    discretized separately.

    The module :mod:`nas_gym.spaces.mnasnet_cost` computes parameters and multiply-adds.

    Args:
        genotypes: Architectures of a partial space, shape ``(n, 28)``. All architectures by
            default.
        name: Name of the space in histories and messages.

    Example:
        >>> space = MnasNetSpace()
        >>> space.size == 36**6 * 48
        True
        >>> space.to_text([[1, 0, 2, 1] * 7])[0]
        'e4k3l3se-e4k3l3se-e4k3l3se-e4k3l3se-e4k3l3se-e4k3l3se-e4k3l3se'
    """

    def __init__(self, genotypes: ArrayLike | None = None, name: str = "MnasNet") -> None:
        choices: list[Sequence[str]] = []
        for depth in DEPTHS:
            choices += [
                [str(expansion) for expansion in EXPANSIONS],
                [str(kernel) for kernel in KERNELS],
                [str(layers) for layers in range(1, depth + 1)],
                ["no", "yes"],
            ]
        names = [f"block{block}.{kind}" for block in range(BLOCKS) for kind in KINDS]
        super().__init__(choices, names, genotypes, name)
        self.alpha_size = BLOCKS * len(OPERATIONS) + sum(DEPTHS)

    @property
    def decision_groups(self) -> NDArray[np.int64]:
        """Block of each decision; see :attr:`SearchSpace.decision_groups`."""
        return np.arange(self.num_decisions) // len(KINDS)

    def blocks(self, genotypes: ArrayLike) -> BlockSettings:
        """Return the settings of the blocks, ``(n, 28)`` -> four arrays ``(n, 7)``."""
        expansion, kernel, layers, se = self._by_kind(genotypes)
        return BlockSettings(
            np.array(EXPANSIONS)[expansion], np.array(KERNELS)[kernel], layers + 1, se == 1
        )

    def operations(self, genotypes: ArrayLike) -> NDArray[np.int64]:
        """Return the operation of each block as an index into :data:`OPERATIONS`, ``(n, 7)``."""
        expansion, kernel, _, se = self._by_kind(genotypes)
        found: NDArray[np.int64] = (expansion * len(KERNELS) + kernel) * 2 + se
        return found

    def _by_kind(self, genotypes: ArrayLike) -> Genotypes:
        """Return the choices of each kind of decision, ``(n, 28)`` -> ``(4, n, 7)``."""
        return self.check(genotypes).reshape(-1, BLOCKS, len(KINDS)).transpose(2, 0, 1)

    # -- text ---------------------------------------------------------------------------------

    def to_text(self, genotypes: ArrayLike) -> list[str]:
        """Return strings such as ``e1k3l1se-e6k3l2se-...``, with one part per block."""
        settings = self.blocks(genotypes)
        return [
            "-".join(
                f"e{expansion}k{kernel}l{layers}{'se' if se else ''}"
                for expansion, kernel, layers, se in zip(*row, strict=True)
            )
            for row in zip(*(each.tolist() for each in settings), strict=True)
        ]

    def from_text(self, texts: Sequence[str]) -> Genotypes:
        """Parse strings in the notation of :meth:`to_text` and return their genotypes.

        Raises:
            ValueError: If a string is not in this notation, or a setting is not in the space.
        """
        rows = [[choice for block in _parse(text) for choice in block] for text in texts]
        return np.array(rows, np.int64).reshape(-1, self.num_decisions)

    # -- continuous relaxation ----------------------------------------------------------------

    def genotype_to_alpha(self, genotypes: ArrayLike) -> NDArray[np.float32]:
        """Return alpha with 1 at the operation and at the number of layers of each block, and 0
        elsewhere, ``(n, 28)`` -> ``(n, 106)``."""
        operations, layers = self.operations(genotypes), self._by_kind(genotypes)[2]
        alpha = np.zeros((len(operations), self.alpha_size), np.float32)
        for block, (start, middle) in enumerate(_ROWS):
            np.put_along_axis(alpha, start + operations[:, block, None], 1.0, axis=1)
            np.put_along_axis(alpha, middle + layers[:, block, None], 1.0, axis=1)
        return alpha

    def alpha_to_genotype(self, alpha: ArrayLike) -> Genotypes:
        """Discretize relaxed architectures, ``(n, 106)`` -> ``(n, 28)``.

        Each row of the two matrices is discretized by argmax (Algorithm 1 of the L2NAS paper). Of
        equal values, the first is chosen. In a partial space, the result is the architecture of the
        space whose choices have the highest sum of alpha.

        Raises:
            ValueError: If the shape is wrong, or a value is NaN.
        """
        alpha = self.check_alpha(alpha)
        if self.tree is not None:
            every = self.decode(np.arange(self.size))
            best: NDArray[np.int64] = (alpha @ self.genotype_to_alpha(every).T).argmax(axis=1)
            return every[best]
        genotypes = np.empty((len(alpha), BLOCKS, len(KINDS)), np.int64)
        for block, (start, middle) in enumerate(_ROWS):
            operation = alpha[:, start : start + len(OPERATIONS)].argmax(axis=1)
            genotypes[:, block, 0] = operation // (2 * len(KERNELS))
            genotypes[:, block, 1] = operation // 2 % len(KERNELS)
            genotypes[:, block, 2] = alpha[:, middle : middle + DEPTHS[block]].argmax(axis=1)
            genotypes[:, block, 3] = operation % 2
        return genotypes.reshape(len(alpha), self.num_decisions)

    # -- graphs -------------------------------------------------------------------------------

    @property
    def node_labels(self) -> tuple[str, ...]:
        """Names of the node operations of :meth:`to_graph`."""
        layers = (f"block{block}:{name}" for block in range(BLOCKS) for name in OPERATIONS)
        return ("input", "output", "absent", *layers)

    def to_graph(self, genotypes: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Return architectures as chains with one node per layer.

        Returns:
            Adjacency matrices, ``(n, 24, 24)``, and operations of the nodes, ``(n, 24)``, as
            indices into :attr:`node_labels`. Layers that an architecture does not have are
            ``absent`` nodes without edges.
        """
        operations, layers = self.operations(genotypes), self.blocks(genotypes).layers
        block = np.repeat(np.arange(BLOCKS), DEPTHS)
        number = np.concatenate([np.arange(depth) for depth in DEPTHS])
        labels = 3 + block * len(OPERATIONS) + operations[:, block]
        nodes = np.ones((len(operations), len(block) + 2), np.int64)
        nodes[:, 0] = 0
        nodes[:, 1:-1] = np.where(number < layers[:, block], labels, 2)
        adjacency = np.zeros((*nodes.shape, nodes.shape[1]), np.int8)
        for row, matrix in zip(nodes, adjacency, strict=True):
            present = np.flatnonzero(row != 2)
            matrix[present[:-1], present[1:]] = 1
        return adjacency, nodes


def _alpha_rows() -> list[tuple[int, int]]:
    """Return where the rows of each block begin in alpha: operations, and numbers of layers."""
    first = BLOCKS * len(OPERATIONS)
    return [(block * len(OPERATIONS), first + sum(DEPTHS[:block])) for block in range(BLOCKS)]


_ROWS = _alpha_rows()


def _parse(text: str) -> list[list[int]]:
    """Return the four choices of each block of one string."""
    matches = [_PATTERN.fullmatch(part) for part in text.strip().split("-")]
    try:
        found = [
            [
                EXPANSIONS.index(int(match[1])),
                KERNELS.index(int(match[2])),
                range(1, depth + 1).index(int(match[3])),
                int(match[4] is not None),
            ]
            for match, depth in zip(matches, DEPTHS, strict=True)
            if match is not None
        ]
        if len(found) == BLOCKS:
            return found
    except ValueError:
        pass
    raise ValueError(
        f"{text!r} is not an architecture of MnasNet. Expected {BLOCKS} blocks separated by "
        f"hyphens, such as {_EXAMPLE}, with e one of 1, 4, 6; k one of 3, 5; l 1 to 3 (1 to 4 in "
        "the sixth block)."
    )
