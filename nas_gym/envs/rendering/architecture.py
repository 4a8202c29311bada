"""Rendering of architectures that may be unfinished or missing."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from nas_gym.envs.rendering.cell import draw_cell
from nas_gym.envs.rendering.darts_cells import draw_darts_cells
from nas_gym.envs.rendering.decisions import draw_decisions
from nas_gym.envs.rendering.graph import draw_graph, is_chain
from nas_gym.envs.rendering.page import (
    DRAWING_BOTTOM,
    DRAWING_TOP,
    GREY,
    MARGIN,
    WIDTH,
    Page,
)
from nas_gym.spaces import DARTSSpace, NB201Space, SearchSpace

NO_ARCHITECTURE = "no architecture yet"


def write_architecture(space: SearchSpace, genotype: NDArray[np.int64] | None, caption: str) -> str:
    """Return an architecture as a few lines of text.

    Args:
        space: Search space.
        genotype: The decisions so far, ``(depth,)`` int64 with ``depth <= space.num_decisions``;
            ``None`` if there is no architecture.
        caption: Line to add at the end, such as the accuracy; may be empty.
    """
    if genotype is None:
        lines = [NO_ARCHITECTURE]
    elif _is_complete(space, genotype):
        lines = space.to_text(genotype)
    else:
        labels = _labels(space, genotype)
        lines = [f"{space.name}: {_progress(space, genotype)}"]
        lines += [
            f"{name}: {label}" for name, label in zip(space.decision_names, labels, strict=False)
        ]
        lines.append(f"open: {', '.join(space.decision_names[len(labels) :])}")
    return "\n".join([*lines, caption] if caption else lines)


def draw_architecture(
    space: SearchSpace, genotype: NDArray[np.int64] | None, caption: str
) -> NDArray[np.uint8]:
    """Return an architecture as an image, ``(HEIGHT, WIDTH, 3)`` uint8.

    A cell of NAS-Bench-201 is drawn as in the NAS-Bench-201 paper, with operations on the edges. An
    architecture of DARTS is drawn as two cells. Architectures of other spaces are drawn as graphs
    (:meth:`SearchSpace.to_graph`). Unfinished architectures of these other spaces, and
    architectures whose graph merely lists the decisions in order, are drawn as a sequence of
    decisions.

    Args:
        space: Search space.
        genotype: The decisions so far, ``(depth,)`` int64 with ``depth <= space.num_decisions``;
            ``None`` if there is no architecture.
        caption: Text above the drawing, such as the accuracy; may be empty.
    """
    page = Page()
    page.text((MARGIN, 374), space.name, 12, 200, weight="bold", ha="left")
    title, notes = _title_and_notes(space, genotype, caption)
    page.text((WIDTH - MARGIN, 374), title, 12, 370, ha="right")
    if genotype is None:
        center = (WIDTH / 2, (DRAWING_TOP + DRAWING_BOTTOM) / 2)
        page.text(center, NO_ARCHITECTURE, 13, WIDTH / 2, color=GREY)
        return page.pixels()
    if isinstance(space, NB201Space):
        draw_cell(page, _labels(space, genotype))
    elif isinstance(space, DARTSSpace):
        draw_darts_cells(page, genotype)
    elif _is_complete(space, genotype) and not is_chain(space, genotype):
        draw_graph(page, space, genotype)
    else:
        draw_decisions(page, space, genotype)
    _draw_notes(page, notes)
    return page.pixels()


def _is_complete(space: SearchSpace, genotype: NDArray[np.int64]) -> bool:
    """Return whether all decisions are made."""
    return len(genotype) >= space.num_decisions


def _labels(space: SearchSpace, genotype: NDArray[np.int64]) -> list[str]:
    """Return the labels of the choices made so far."""
    return [
        labels[choice] for labels, choice in zip(space.choices, genotype.tolist(), strict=False)
    ]


def _progress(space: SearchSpace, genotype: NDArray[np.int64]) -> str:
    return f"{len(genotype)} of {space.num_decisions} decisions"


def _title_and_notes(
    space: SearchSpace, genotype: NDArray[np.int64] | None, caption: str
) -> tuple[str, str]:
    """Return the title above a drawing, and the notes below it."""
    if genotype is None:
        return caption, ""
    if _is_complete(space, genotype):
        return caption, space.to_text(genotype)[0]
    return caption or _progress(space, genotype), f"next: {space.decision_names[len(genotype)]}"


def _draw_notes(page: Page, words: str) -> None:
    """Draw small text below a drawing, in at most three lines."""
    lines = [""]
    for piece in re.split(r"(?<=[+, ])", words):
        if lines[-1] and len(lines[-1]) + len(piece) > 84:
            lines.append("")
        lines[-1] += piece
    if len(lines) > 3:
        lines[2:] = [lines[2] + "…"]
    for i, line in enumerate(lines):
        at = (WIDTH / 2, 40 - 13 * i + 6.5 * (len(lines) - 1) - 8)
        page.text(at, line, 8, WIDTH - MARGIN, color=GREY, family="DejaVu Sans Mono")
