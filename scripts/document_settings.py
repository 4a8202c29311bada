"""Fill the tables of settings in docs/agents.md from the configurations of the agents.

python scripts/document_settings.py
"""

from __future__ import annotations

from nas_gym.agents.registry import (
    MULTI_OBJECTIVE_AGENTS,
    ONE_SHOT,
    SAMPLE_BASED,
    find_agent,
)
from reproduction.pages import fill_blocks, markdown_table
from reproduction.studies import DOCS

PAGE = DOCS / "agents.md"


def settings_table(name: str) -> str:
    """Return the settings of an agent as a table."""
    rows = [
        [f"`{each.name}`", f"`{each.default!r}`", each.accepted, each.help]
        for each in find_agent(name).agent_class.config_class.describe_settings()
    ]
    return markdown_table(["setting", "default", "accepted values", "meaning"], rows)


def preset_rows() -> list[list[str]]:
    """Return rows of (name of a preset, agent, settings that differ from the default)."""
    rows = []
    built_in = SAMPLE_BASED | MULTI_OBJECTIVE_AGENTS | ONE_SHOT
    for agent, path in built_in.items():
        presets = find_agent(agent).agent_class.presets
        if agent in presets:
            continue
        for preset, config in presets.items():
            if built_in.get(preset) != path:
                continue
            changed = [
                f"`{each.name}={getattr(config, each.name)!r}`"
                for each in config.describe_settings()
                if getattr(config, each.name) != each.default
            ]
            rows.append([f"`{preset}`", f"`{agent}`", ", ".join(changed)])
    return rows


def agent_blocks() -> dict[str, str]:
    """Return the generated blocks of the page."""
    agents: dict[str, list[str]] = {}  # agents by their configuration
    for name in SAMPLE_BASED | MULTI_OBJECTIVE_AGENTS | ONE_SHOT:
        if name in find_agent(name).agent_class.presets:
            continue
        agents.setdefault(settings_table(name), []).append(f"`{name}`")
    settings = [f"### {', '.join(names)}\n\n{table}" for table, names in agents.items()]
    presets = markdown_table(["preset", "agent", "settings that differ"], preset_rows())
    with_settings = [each for each in settings if each.count("\n") > 3]
    return {"presets": presets, "settings": "\n\n".join(with_settings)}


def page_text() -> str:
    """Return the page with its tables filled."""
    return fill_blocks(PAGE.read_text(), agent_blocks(), PAGE.name)


if __name__ == "__main__":
    PAGE.write_text(page_text())
