"""Result pages: Markdown tables, and the blocks of a page that hold them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reproduction.studies import DOCS, Study, save_figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

_BLOCK = re.compile(r"<!-- generated: (\S+) -->\n.*?<!-- end -->", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """A page of the documentation that shows the results of studies.

    The text is written by hand, except for the blocks between the lines
    ``<!-- generated: NAME -->`` and ``<!-- end -->``, which a script generates.

    Attributes:
        path: Path of the page, relative to ``docs/``.
        studies: Studies whose results the page shows, in the order in which they run.
        blocks: Function from the saved results to the Markdown of each block, by name.
        figures: Function from the saved results to figures, by file name; ``None`` draws none.
    """

    path: str
    studies: Sequence[Study]
    blocks: Callable[[], Mapping[str, str]]
    figures: Callable[[], Mapping[str, Figure]] | None = None

    @property
    def file(self) -> Path:
        """Path of the page."""
        return DOCS / self.path

    @property
    def missing_results(self) -> list[str]:
        """Names of the studies that have no saved result."""
        return [study.name for study in self.studies if not study.result_file.exists()]

    def text(self) -> str:
        """Return the page with its blocks filled from the saved results.

        Raises:
            ValueError: If a block is missing, unknown or repeated.
        """
        return fill_blocks(self.file.read_text(), self.blocks(), self.path)

    def write(self) -> None:
        """Fill the blocks of the page, and draw its figures."""
        self.file.write_text(self.text())
        for name, figure in (self.figures() if self.figures else {}).items():
            save_figure(name, figure)


def fill_blocks(text: str, blocks: Mapping[str, str], name: str) -> str:
    """Return a page with the contents of its blocks replaced.

    Args:
        text: Markdown of the page.
        blocks: Markdown of each block, by name.
        name: Name of the page, for error messages.

    Raises:
        ValueError: If a block is missing, unknown or repeated.
    """
    found = _BLOCK.findall(text)
    if sorted(found) != sorted(blocks):
        raise ValueError(
            f"docs/{name} has the generated blocks {', '.join(found) or 'none'}; expected each of "
            f"{', '.join(blocks)} once. Mark a block by the lines <!-- generated: NAME --> and "
            "<!-- end -->."
        )
    return _BLOCK.sub(
        lambda block: f"<!-- generated: {block[1]} -->\n\n{blocks[block[1]]}\n\n<!-- end -->", text
    )


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables_by_count(headline: str, tables: Mapping[int, str]) -> str:
    """Return tables, each below a headline with a count, such as "After 50 queries:".

    Args:
        headline: Headline with ``{}`` in place of the count.
        tables: Tables by count.
    """
    return "\n\n".join(f"{headline.format(count)}\n\n{rows}" for count, rows in tables.items())


def code_block(commands: Sequence[str]) -> str:
    """Return command lines as one code block."""
    return "\n".join(["```bash", *commands, "```"])


def command_blocks(studies: Sequence[Study]) -> str:
    """Return the command lines of studies, with one code block per study."""
    return "\n\n".join(code_block(study.commands) for study in studies if study.commands)


def value_with_interval(value: float, ends: Sequence[float], digits: int) -> str:
    """Return the text ``value [low, high]``."""
    low, high = ends
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def mean_with_interval(entry: Mapping[str, float], digits: int = 2, factor: float = 1.0) -> str:
    """Return ``mean [low, high]`` of a result of ``mean_over_seeds``, multiplied by a factor."""
    mean, low, high = (factor * entry[key] for key in ("mean", "low", "high"))
    return value_with_interval(mean, (low, high), digits)


def mean_and_deviation(entry: Mapping[str, Any], digits: int = 2) -> str:
    """Return the text ``mean ± standard deviation [low, high]``, with the interval of the mean."""
    low, high = entry["mean_interval"]
    mean = f"{entry['mean']:.{digits}f} ± {entry['std']:.{digits}f}"
    return f"{mean} [{low:.{digits}f}, {high:.{digits}f}]"


def quoted(agents: Sequence[str]) -> list[str]:
    """Return names formatted as code."""
    return [f"`{agent}`" for agent in agents]
