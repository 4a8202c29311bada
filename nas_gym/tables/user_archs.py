"""Which columns of a user's file hold the architectures."""

from __future__ import annotations

import re

from nas_gym.spaces import SearchSpace
from nas_gym.tables.user_columns import Column, fault, quoted
from nas_gym.tables.user_genotypes import is_readable

_ARCH_NAME = re.compile(r"(arch(itecture)?|genotype|cell)(str(ing)?|code|encoding)?")
_DECISION_NAME = re.compile(r"(x|op|ops|operation|decision|choice|gene|edge)[_-]?\d+", re.I)


def find(
    columns: dict[str, Column], space: SearchSpace | None
) -> tuple[str | None, list[str] | None]:
    """Where nobody says, the column of whole architectures, or those of the decisions.

    Raises:
        UserFileError: there are none, or several may be meant.
    """
    whole = [column.name for column in columns.values() if _may_hold_archs(column, space)]
    decisions = [name for name in columns if _DECISION_NAME.fullmatch(name)]
    if space is not None and set(space.decision_names) <= set(columns):
        decisions = list(space.decision_names)
    answers = [[name] for name in whole] + ([decisions] if decisions else [])
    if len(answers) > 1:
        raise fault(
            f"the architecture may be in {'; or '.join(map(quoted, answers))}. Say which: arch= "
            "or decisions= names its columns, ignore= leaves others out."
        )
    if not answers:
        raise fault(
            f"no column gives the architecture; the columns are {quoted(columns)}. Name one of "
            "arch strings or digit strings with arch=, or one for each decision with decisions=."
        )
    return (whole[0], None) if whole else (None, decisions)


def _may_hold_archs(column: Column, space: SearchSpace | None) -> bool:
    name = re.sub(r"[\W_]", "", column.name.lower())
    return (
        column.is_matrix
        or _ARCH_NAME.fullmatch(name) is not None
        or is_readable(column.texts, space)
    )
