"""Finding the columns of a user's file that hold the architectures."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nas_gym.spaces import SearchSpace
from nas_gym.tables.user_file.columns import FileColumn, file_error, quote_names
from nas_gym.tables.user_file.genotypes import spaces_that_read

_ARCH_NAME = re.compile(r"(arch(itecture)?|genotype|cell)(str(ing)?|code|encoding)?")
_DECISION_NAME = re.compile(r"(x|op|ops|operation|decision|choice|gene|edge)[_-]?\d+", re.I)


def find_architecture_columns(
    columns: Sequence[FileColumn], space: SearchSpace | None
) -> tuple[list[str], bool]:
    """Find the columns of the architectures.

    Args:
        columns: Columns to choose from.
        space: Search space whose texts are recognized; ``None`` for all known benchmarks.

    Returns:
        Names of the columns, and whether one column holds whole architectures.

    Raises:
        UserFileError: If no column or several candidates are found.
    """
    names = [column.name for column in columns]
    answers = [[column.name] for column in columns if _holds_archs(column, space)]
    decisions = [name for name in names if _DECISION_NAME.fullmatch(name)]
    if space is not None and set(space.decision_names) <= set(names):
        decisions = list(space.decision_names)
    if decisions:
        answers.append(decisions)
    if len(answers) > 1:
        raise file_error(
            f"the architecture may be in {'; or '.join(map(quote_names, answers))}. Name its "
            "columns with arch= or decisions=, or leave the other columns out with ignore=."
        )
    if not answers:
        raise file_error(
            f"no column of architectures was found; the columns are {quote_names(names)}. Name a "
            "column of arch strings or digit strings with arch=, or one column per decision "
            "with decisions=."
        )
    return answers[0], not decisions


def _holds_archs(column: FileColumn, space: SearchSpace | None) -> bool:
    name = re.sub(r"[\W_]", "", column.name.lower())
    named = _ARCH_NAME.fullmatch(name) is not None
    return named or column.has_genotypes or bool(spaces_that_read(column.texts, space))
