"""Reading the architectures of a user's file as genotypes of a search space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import (
    CategoricalSpace,
    NB101Space,
    NB201Space,
    NBASRSpace,
    NBGraphSpace,
    SearchSpace,
    TransNASSpace,
    check_consistency,
    find_space_class,
)
from nas_gym.spaces.nbgraph import PROTEINS_OPERATIONS
from nas_gym.spaces.registry import build_whole_space
from nas_gym.tables.user_file.columns import FileColumn, file_error, first_file_error, quote_names

MAX_CHOICES = 1000  # of a decision; a column with more is a metric, and its tree fills the memory
MAX_CODE = 31  # largest number of a decision's column whose numbers are used as the choices

_ROWS_TO_PROBE = 100


@dataclass(frozen=True)
class Architectures:
    """The architectures of a file.

    Attributes:
        space: Search space of the architectures.
        genotypes: Genotype of each row, shape ``(n, num_decisions)``.
        column: Column of the architectures; ``None`` if each decision has its own column.
    """

    space: SearchSpace
    genotypes: NDArray[np.int64]
    column: str | None = None


def read_genotypes(
    columns: Sequence[FileColumn], whole: bool, space: SearchSpace | None
) -> Architectures:
    """Read architectures.

    Args:
        columns: One column of whole architectures, or one column per decision, in order.
        whole: Whether ``columns`` is one column of whole architectures.
        space: Search space of the architectures; ``None`` to recognize a known benchmark by its
            texts, or to make a space of the labels.

    Raises:
        UserFileError: If a row has no valid architecture.
    """
    if whole or (len(columns) == 1 and columns[0].is_matrix):
        found = _from_column(columns[0], space)
    else:
        found = _from_decisions(columns, space)
    if found.space is _nb101_notation():
        return replace(found, space=NB101Space(found.genotypes))
    return found


def resolve_space(space: SearchSpace | str | None) -> SearchSpace | None:
    """Return the search space that a user gives as a space or as the name of its kind.

    Args:
        space: A space, which is checked; the kind of a space; or ``None``.

    Raises:
        KeyError: If there is no such kind.
        TypeError: If it is not a search space, or the class of its kind needs arguments.
        ValueError: If its methods are inconsistent.
    """
    if space is None:
        return None
    if isinstance(space, str):
        if space == NB101Space.kind:
            return _nb101_notation()
        if space == CategoricalSpace.kind:
            raise file_error(
                "The search space 'categorical' takes its choices from the file: leave space= out, "
                "and name the columns of the architecture with arch= or decisions=."
            )
        space = build_whole_space(find_space_class(space))
    check_consistency(space)
    return space


# -- digits ----------------------------------------------------------------------------------------


def _from_column(column: FileColumn, space: SearchSpace | None) -> Architectures:
    texts = column.texts
    if column.is_matrix:
        return _from_codes(column.name, _whole_numbers(column), space)
    if not texts:
        raise file_error(
            "the column has numbers, in which leading zeros of digit strings would be lost. "
            "Store it as text (in CSV with digits only), or name the columns of the architecture "
            "with arch= or decisions=.",
            column=column.name,
        )
    if "" in texts:
        raise file_error("the architecture is missing.", texts.index(""), column.name)
    # the digits may also be the notation of the space
    digits = space is None or not spaces_that_read(texts, space)
    if digits and _are_digits(texts) and (space is None or space.num_decisions > 1):
        return _from_codes(column.name, _split_digits(column.name, texts), space, separator="")
    return _from_texts(column.name, texts, space)


def _are_digits(texts: Sequence[str]) -> bool:
    joined = "".join(texts)
    return joined.isascii() and joined.isdigit()


def _split_digits(name: str, texts: list[str]) -> NDArray[np.int64]:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    if (lengths != lengths[0]).any():
        row = int(np.argmax(lengths != lengths[0]))
        raise file_error(
            f"{texts[row]!r} has {lengths[row]} digits, data row 1 has {lengths[0]}. One digit for "
            "each decision was expected. A spreadsheet may have removed leading zeros.",
            row,
            name,
        )
    return np.array(texts).view(np.uint32).reshape(len(texts), -1).astype(np.int64) - ord("0")


def _whole_numbers(column: FileColumn) -> NDArray[np.int64]:
    numbers = column.numbers
    right = (numbers >= 0) & (numbers < MAX_CHOICES) & (numbers == np.floor(numbers))
    if numbers.shape[1] == 0 or not right.all():
        raise file_error(
            "the choice of each decision was expected: whole numbers from 0 to "
            f"{MAX_CHOICES - 1}, in an array of shape (n, L) with L of at least 1.",
            int(np.argmin(right.all(axis=1))),
            column.name,
        )
    return numbers.astype(np.int64)


def _from_codes(
    column: str, genotypes: NDArray[np.int64], space: SearchSpace | None, separator: str = ","
) -> Architectures:
    if space is None:
        choices = [list(map(str, range(n + 1))) for n in genotypes.max(axis=0)]
        space = CategoricalSpace(choices, separator=separator)
    elif genotypes.shape[1] != space.num_decisions:
        raise file_error(
            f"the architectures have {genotypes.shape[1]} choices, {space.name} has "
            f"{space.num_decisions} decisions.",
            column=column,
        )
    return Architectures(space, genotypes, column)


# -- arch strings ----------------------------------------------------------------------------------


@cache
def _nb101_notation() -> NB101Space:
    """Return a space of one cell, which can parse the texts of all cells of NAS-Bench-101."""
    return NB101Space(NB101Space.parse(["[[0, 1], [0, 0]] input,output"]))


@cache
def _known_spaces() -> tuple[SearchSpace, ...]:
    """Return the spaces of known benchmarks; if two can parse a string, the smaller comes first."""
    return (
        NBGraphSpace(PROTEINS_OPERATIONS),
        NB201Space(),
        NBGraphSpace(),
        TransNASSpace(),
        NBASRSpace(),
        _nb101_notation(),
    )


def spaces_that_read(texts: Sequence[str], space: SearchSpace | None) -> list[SearchSpace]:
    """Return the spaces that can parse at least one of the first strings.

    One string is enough, so that a column with a wrong row is still recognized.

    Args:
        texts: Cells of a column.
        space: The only space to try; ``None`` for all known benchmarks.
    """
    spaces = _known_spaces() if space is None else (space,)
    first = texts[:_ROWS_TO_PROBE]
    return [each for each in spaces if any(_parses(each, [text]) for text in first)]


def _parses(space: SearchSpace, texts: Sequence[str]) -> bool:
    try:
        space.from_text(texts)
    except Exception:  # the space of a user may raise other errors than ValueError
        return False
    return True


def _from_texts(name: str, texts: list[str], space: SearchSpace | None) -> Architectures:
    candidates = spaces_that_read(texts, None) if space is None else [space]
    for candidate in candidates:
        if _parses(candidate, texts):
            return Architectures(candidate, candidate.from_text(texts), name)
    if candidates:
        raise first_file_error(candidates[-1].from_text, texts, name)
    row = next(row for row, text in enumerate(texts) if not _are_digits([text]))
    raise file_error(
        f"{texts[row]!r} is not an architecture. Expected an arch string of NAS-Bench-201 "
        "('|op~0|+|op~0|op~1|+|op~0|op~1|op~2|'), NAS-Bench-Graph ('[0,0,1,3] gcn gat skip fc'), "
        "TransNAS-Bench-101 micro ('64-41414-1_02_333'), NAS-Bench-ASR ('[[1, 0], [5, 0, 1], "
        "[0, 1, 0, 0]]') or NAS-Bench-101 ('[[0, 1], [0, 0]] input,output'), or a string of "
        "digits. For the notation of another search space, name it with space=, or write one "
        "column for each decision.",
        row,
        name,
    )


# -- a column for each decision --------------------------------------------------------------------


def _from_decisions(columns: Sequence[FileColumn], space: SearchSpace | None) -> Architectures:
    names = [column.name for column in columns]
    if space is None:
        labels, codes = zip(*map(_labels, columns), strict=True)
        return Architectures(CategoricalSpace(labels, names), np.column_stack(codes))
    if len(columns) != space.num_decisions:
        raise file_error(
            f"{space.name} has {space.num_decisions} decisions, the file gives {len(columns)}: "
            f"{quote_names(names)}."
        )
    given = [_codes_of_choices(*each) for each in zip(columns, space.choices, strict=True)]
    return Architectures(space, np.column_stack(given))


def _codes_of_choices(column: FileColumn, choices: Sequence[str]) -> NDArray[np.int64]:
    labels, codes = _labels(column)
    positions = {label: position for position, label in enumerate(choices)}
    found = np.array([positions.get(label, -1) for label in labels])[codes]
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        expected = ", ".join(choices)
        raise file_error(
            f"one of {expected} was expected, got {labels[codes[row]]!r}.", row, column.name
        )
    return found


def _labels(column: FileColumn) -> tuple[list[str], NDArray[np.int64]]:
    """Return the labels of a decision, in order, and the choice of each row."""
    if column.is_matrix:
        raise file_error(
            "the column has whole genotypes. Name no other column of the architecture.",
            column=column.name,
        )
    missing = np.isnan(column.numbers) & ~column.is_text
    if missing.any():
        row = int(np.argmax(missing))
        raise file_error("the choice of this decision is missing.", row, column.name)
    labels, codes = _text_labels(column) if column.is_text.any() else _number_labels(column)
    if len(labels) > MAX_CHOICES:
        raise file_error(
            f"a decision has at most {MAX_CHOICES} choices, this column has {len(labels)}. If it "
            "is not a decision, name the columns of the decisions with decisions=.",
            column=column.name,
        )
    for code, label in enumerate(labels):
        if "," in label:
            raise file_error(
                f"{label!r} has a comma, which separates the decisions in the text of an "
                "architecture. Remove it from the label.",
                int(np.argmax(codes == code)),
                column.name,
            )
    return labels, codes


def _number_labels(column: FileColumn) -> tuple[list[str], NDArray[np.int64]]:
    numbers, codes = np.unique(column.numbers, return_inverse=True)
    if (numbers != np.floor(numbers)).any() or np.isinf(numbers).any():
        return list(map(repr, numbers.tolist())), codes
    if numbers[0] == 0 and numbers[-1] <= MAX_CODE:
        return list(map(str, range(int(numbers[-1]) + 1))), column.numbers.astype(np.int64)
    return [str(int(number)) for number in numbers.tolist()], codes


def _text_labels(column: FileColumn) -> tuple[list[str], NDArray[np.int64]]:
    labels = sorted(set(column.texts))
    codes = {label: code for code, label in enumerate(labels)}
    return labels, np.array([codes[text] for text in column.texts])
