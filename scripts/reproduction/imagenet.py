"""MnasNet-like networks on ImageNet and six accelerators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reproduction import imagenet_devices as devices
from reproduction import imagenet_fronts as fronts
from reproduction.imagenet_few_shot import FEW_SHOT, few_shot_table
from reproduction.imagenet_search import (
    AGENTS,
    LONG_AGENTS,
    LONG_SEARCH,
    SEARCH,
    expansion_table,
    network_table,
    search_table,
)
from reproduction.imagenet_surrogate import (
    AGREEMENT,
    SPEED,
    SURROGATE,
    agreement_table,
    card_table,
    held_out_table,
    speed_table,
)
from reproduction.pages import Page, command_blocks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = [
    SURROGATE,
    AGREEMENT,
    SPEED,
    SEARCH,
    LONG_SEARCH,
    *devices.STUDIES,
    FEW_SHOT,
    *fronts.STUDIES.values(),
]


def blocks() -> dict[str, str]:
    """Return the generated blocks of the page."""
    return {
        "cards": card_table(),
        "held-out": held_out_table(),
        "agreement": agreement_table(),
        "speed": speed_table(),
        "searches": search_table(SEARCH, AGENTS),
        "long-searches": search_table(LONG_SEARCH, LONG_AGENTS),
        "expansions": expansion_table(SEARCH, AGENTS),
        "long-expansions": expansion_table(LONG_SEARCH, LONG_AGENTS),
        "networks": network_table(),
        "devices": devices.adaptation_table(),
        "device-rewards": devices.reward_table(),
        "device-networks": devices.network_table(),
        "few-shot": few_shot_table(),
        "fronts": fronts.front_table(),
        "commands": command_blocks(STUDIES),
    }


def figures() -> Mapping[str, Figure]:
    """Return the figures of the page, by file name."""
    return {"imagenet-fronts.png": fronts.draw_fronts()}


PAGE = Page("results/imagenet.md", STUDIES, blocks, figures)
