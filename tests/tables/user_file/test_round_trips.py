"""Round trips of any table through every format."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables.user_file.files import (
    FORMATS,
    WRITERS,
    by_text,
    outcome,
)

from nas_gym.tables import Metric, Objective, Table
from nas_gym.tables.user_file import read_user_file

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
labels = st.text("abcdefgh-. 3_", min_size=1, max_size=4).map(str.strip).filter(bool)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], list[list[float]]]:
    """Distinct architectures of one to four decisions, and two numbers for each."""
    decisions = draw(st.integers(1, 4))
    rows = draw(
        st.lists(
            st.tuples(*[st.sampled_from(["conv", "pool", "skip", "7x7"])] * decisions),
            min_size=1,
            max_size=20,
            unique=True,
        )
    )
    size = len(rows)
    numbers = st.lists(finite, min_size=size, max_size=size)
    return [list(column) for column in zip(*rows, strict=True)], [draw(numbers), draw(numbers)]


@pytest.mark.parametrize("kind", FORMATS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tables())
def test_any_table_comes_back_from_each_format(
    write: Callable[..., Path], kind: str, drawn: tuple[list[list[str]], list[list[float]]]
) -> None:
    decisions, numbers = drawn
    names = [f"op{i}" for i in range(len(decisions))]
    path = write(
        {**dict(zip(names, decisions, strict=True)), "acc": numbers[0], "ms": numbers[1]}, kind
    )
    table = read_user_file(
        path, "mine", signal="acc", report="ms", minimize="ms", units={"ms": "ms"}
    )
    expected = [",".join(row) for row in zip(*decisions, strict=True)]
    assert by_text(table) == dict(zip(expected, zip(*numbers, strict=True), strict=True))
    assert table.space.decision_names == tuple(names)
    assert [list(row) for row in table.space.choices] == [sorted(set(row)) for row in decisions]
    assert table.metrics == (Metric("acc"), Metric("ms", "ms", False))
    assert table.objectives == {"mine": Objective("acc", "ms")}
    assert table.provenance == {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "format": kind,
    }


@pytest.mark.parametrize("kind", FORMATS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(1, 6).flatmap(
    lambda n: st.lists(st.text("0123456789", min_size=n, max_size=n), min_size=1, unique=True)
))  # fmt: skip
def test_digit_strings_keep_leading_zeros(
    write: Callable[..., Path], kind: str, digits: list[str]
) -> None:
    table = read_user_file(write({"arch": digits, "acc": list(range(len(digits)))}, kind), "mine")
    genotypes = np.array([[int(digit) for digit in text] for text in digits])
    assert table.lookup(table.space.encode(genotypes), "acc").tolist() == list(range(len(digits)))
    assert table.space.size == len(digits)
    assert table.space.num_choices.tolist() == (genotypes.max(axis=0) + 1).tolist()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=30, unique=True))
def test_any_labels_are_distinguished(
    write: Callable[..., Path], rows: list[tuple[str, str]]
) -> None:
    path = write({"a": [a for a, _ in rows], "b": [b for _, b in rows], "acc": [1.0] * len(rows)})
    found = outcome(path, decisions=["a", "b"])
    if isinstance(found, Table):
        assert found.space.size == len(rows)
    else:  # "3" and "3." are one number
        assert "same architecture" in found


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(FORMATS), st.binary(max_size=60), st.integers(0, 10**6), st.booleans()
)  # fmt: skip
def test_damage_never_escapes_as_another_error(
    tmp_path: Path, kind: str, noise: bytes, place: int, cut: bool
) -> None:
    path = tmp_path / f"table.{kind}"
    WRITERS[kind](path, {"arch": ["00", "01", "10"], "acc": [1.5, 2.5, 3.5]})
    data = path.read_bytes()
    place %= len(data)
    path.write_bytes(data[:place] + noise + (b"" if cut else data[place + len(noise) :]))
    found = outcome(path)
    if isinstance(found, Table):
        assert np.isfinite(found.values).all()
    else:
        assert path.name in found
