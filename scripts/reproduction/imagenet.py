"""MnasNet-like networks on ImageNet and six accelerators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reproduction import imagenet_devices as devices
from reproduction import imagenet_fronts as fronts
from reproduction import imagenet_search as searches
from reproduction import imagenet_surrogate as surrogate
from reproduction.imagenet_few_shot import FEW_SHOT, few_shot_table
from reproduction.imagenet_models import OTHER_MODELS, model_table
from reproduction.pages import Page, command_blocks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = [
    *surrogate.STUDIES,
    *searches.STUDIES,
    OTHER_MODELS,
    *devices.STUDIES,
    FEW_SHOT,
    fronts.FRONTS,
]


def blocks() -> dict[str, str]:
    """Return the generated blocks of the page."""
    return {
        "cards": surrogate.card_table(),
        "held-out": surrogate.held_out_table(),
        "agreement": surrogate.agreement_table(),
        "speed": surrogate.speed_table(),
        "searches": searches.search_table(searches.SEARCH, searches.AGENTS),
        "expansions": searches.expansion_table(searches.SEARCH, searches.AGENTS),
        "networks": searches.network_table(),
        "long-searches": searches.search_table(searches.LONG_SEARCH, searches.LONG_AGENTS),
        "long-expansions": searches.expansion_table(searches.LONG_SEARCH, searches.LONG_AGENTS),
        "effects": searches.effect_table(),
        "models": model_table(),
        "devices": devices.adaptation_table(),
        "device-networks": devices.network_table(),
        "few-shot": few_shot_table(),
        "fronts": fronts.front_table(),
        "commands": command_blocks(STUDIES),
    }


def figures() -> Mapping[str, Figure]:
    """Return the figures of the page, by file name."""
    return {"imagenet-fronts.png": fronts.draw_fronts()}


PAGE = Page("results/imagenet.md", STUDIES, blocks, figures)
