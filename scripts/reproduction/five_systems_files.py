"""Meta-learned files from which the comparison of the five systems starts."""

from __future__ import annotations

from reproduction import atnas, base, five_systems, mpnas_domains
from reproduction.pages import Page

STUDIES = [
    five_systems.CATCH_TRAINING,
    *five_systems.PRETRAINING.values(),
    mpnas_domains.TRAINING,
    atnas.SECOND,
    atnas.THIRD,
    base.ADAPTATION,
    base.CELLS,
    base.NATURAL,
]

PAGE = Page("results/five-systems.md", STUDIES, five_systems.blocks)
