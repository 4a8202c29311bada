"""Users' own files as tables: round trips through every format, and every way to get it wrong."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nas_gym.spaces import CategoricalSpace, NB201Space, NBGraphSpace, SearchSpace
from nas_gym.spaces.nbgraph import PROTEINS_OPERATIONS
from nas_gym.tables import DamagedDataError, Metric, Objective, Table, store
from nas_gym.tables.user_file import UserFileError, formats, read_user_file

Columns = dict[str, list[Any]]
FORMATS = ("csv", "json", "parquet", "npz")


def write_csv(path: Path, columns: Columns) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def write_json(path: Path, columns: Columns) -> None:
    path.write_text(json.dumps(columns))


def write_parquet(path: Path, columns: Columns) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table(columns), path)


def write_npz(path: Path, columns: Columns) -> None:
    arrays: Any = {name: np.array(cells) for name, cells in columns.items()}
    np.savez(path, **arrays)


WRITERS: dict[str, Callable[[Path, Columns], None]] = {
    "csv": write_csv,
    "json": write_json,
    "parquet": write_parquet,
    "npz": write_npz,
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(columns: Columns, kind: str = "csv") -> Path:
        path = tmp_path / f"table.{kind}"
        WRITERS[kind](path, columns)
        return path

    return write


def content(tmp_path: Path, text: str | bytes, kind: str = "csv") -> Path:
    path = tmp_path / f"table.{kind}"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def message(path: Path, **arguments: Any) -> str:
    """The one clear error of a bad file: it is of the promised types and names the file."""
    with pytest.raises(UserFileError) as caught:
        read_user_file(path, "mine", **arguments)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, DamagedDataError)
    assert path.name in str(caught.value)
    return str(caught.value)


def outcome(path: Path, **arguments: Any) -> Table | str:
    """The table, or the message of the one error that may come instead."""
    try:
        return read_user_file(path, "mine", **arguments)
    except UserFileError as error:
        return str(error)


def by_text(table: Table) -> dict[str, tuple[float, ...]]:
    texts = table.space.to_text(table.space.decode(np.arange(table.space.size)))
    return dict(zip(texts, map(tuple, table.values.tolist()), strict=True))


# -- round trips -----------------------------------------------------------------------------------

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
def test_labels_of_any_kind_are_told_apart(
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


# -- architectures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("column", ["arch", "arch_str", "ArchitectureString", "net"])
def test_whole_nb201_in_any_order(write: Callable[..., Path], kind: str, column: str) -> None:
    space = NB201Space()
    order = np.random.default_rng(0).permutation(space.size)
    texts = space.to_text(space.decode(order))
    table = read_user_file(write({"index": order.tolist(), column: texts}, kind), "mine")
    assert type(table.space) is NB201Space
    assert table.column("index").tolist() == list(range(space.size))


def test_part_of_nb201_is_a_restricted_space_with_its_labels(write: Callable[..., Path]) -> None:
    space = NB201Space()
    genotypes = space.decode([7, 3, 5])
    table = read_user_file(write({"arch": space.to_text(genotypes), "acc": [7, 3, 5]}), "mine")
    assert type(table.space) is NB201Space
    assert table.space.size == 3
    assert table.space.to_text(genotypes) == space.to_text(genotypes)
    assert table.space.choices == space.choices
    assert table.space.decision_names == space.decision_names
    assert table.lookup(table.space.encode(genotypes), "acc").tolist() == [7, 3, 5]


@pytest.mark.parametrize("space", [NBGraphSpace(), NBGraphSpace(PROTEINS_OPERATIONS)])
def test_whole_nbgraph(write: Callable[..., Path], space: NBGraphSpace) -> None:
    texts = space.to_text(space.decode(np.arange(space.size)))
    table = read_user_file(
        write({"index": list(range(space.size))[::-1], "arch": texts[::-1]}), "mine"
    )
    assert isinstance(table.space, NBGraphSpace)
    assert table.space.operations == space.operations
    assert table.column("index").tolist() == list(range(space.size))


def test_part_of_nbgraph(write: Callable[..., Path]) -> None:
    texts = ["[0,0,1,3] gcn gat skip fc", "[0,1,2,3] gcn gcn gcn gcn"]
    table = read_user_file(write({"arch": texts, "acc": [1, 2]}), "mine")
    assert table.space.choices == NBGraphSpace().choices
    canonical = NBGraphSpace().canonical(NBGraphSpace().from_text(texts))
    assert table.lookup(table.space.encode(canonical), "acc").tolist() == [1, 2]
    assert type(table.space) is NBGraphSpace
    assert table.space.size == 2
    assert table.space.to_text(canonical) == NBGraphSpace().to_text(canonical)


@pytest.mark.parametrize("whole", [NB201Space(), NBGraphSpace(), NBGraphSpace(PROTEINS_OPERATIONS)])
def test_part_of_a_known_space_is_stored(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Any
) -> None:
    texts = whole.to_text(whole.decode(np.arange(0, whole.size, 9)))
    table = read_user_file(write({"arch": texts, "acc": list(range(len(texts)))}), "mine")
    assert type(table.space) is type(whole)
    assert table.space.name == "mine"
    monkeypatch.setenv("NAS_GYM_CACHE", str(tmp_path / "cache"))
    store.save_table(table)
    again = store.load_stored_table("mine")
    assert type(again.space) is type(whole)
    assert again.space.name == "mine"
    assert by_text(again) == by_text(table) == {text: (i,) for i, text in enumerate(texts)}


def test_isomorphic_architectures_are_one(write: Callable[..., Path]) -> None:
    texts = ["[0,0,0,0] gcn gat fc fc", "[0,0,0,0] gat gcn fc fc"]
    error = message(write({"arch": texts, "acc": [1, 2]}))
    assert all(text in error for text in texts)
    assert "data rows 1 and 2" in error


@pytest.mark.parametrize("kind", FORMATS)
def test_three_ways_of_labels(write: Callable[..., Path], kind: str) -> None:
    columns: Columns = {
        "act": ["relu", "gelu", "relu", "gelu"],
        "kernel": [3, 11, 5, 3],
        "rate": [0.1, 0.25, 0.5, 0.1],
        "acc": [1.0, 2.0, 3.0, 4.0],
    }
    table = read_user_file(write(columns, kind), "mine", decisions=["rate", "act", "kernel"])
    assert table.space.decision_names == ("rate", "act", "kernel")
    assert table.space.choices == (("0.1", "0.25", "0.5"), ("gelu", "relu"), ("3", "5", "11"))
    assert by_text(table) == {
        "0.1,relu,3": (1.0,),
        "0.25,gelu,11": (2.0,),
        "0.5,relu,5": (3.0,),
        "0.1,gelu,3": (4.0,),
    }


def test_more_combinations_than_64_bits_can_number(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genotypes = np.random.default_rng(0).integers(0, 3, (500, 45))
    columns: Columns = {f"x{i}": genotypes[:, i].tolist() for i in range(45)}
    path = write({**columns, "acc": list(range(500))}, "parquet")
    table = read_user_file(path, "mine")
    assert table.space.size == 500
    assert table.lookup(table.space.encode(genotypes), "acc").tolist() == list(range(500))
    monkeypatch.setenv("NAS_GYM_CACHE", str(tmp_path / "cache"))
    store.save_table(table)
    again = store.load_stored_table("mine")
    assert again.lookup(again.space.encode(genotypes), "acc").tolist() == list(range(500))
    digits = ["".join(map(str, row)) for row in genotypes.tolist()]
    same = read_user_file(write({"arch": digits, "acc": list(range(500))}), "mine")
    assert (same.values == table.values).all()
    huge = CategoricalSpace([("0", "1", "2")] * 45)
    assert read_user_file(path, "mine", decisions=list(columns), space=huge).space.size == 500
    small = CategoricalSpace([("0", "1")] * 44 + [("0", "1", "2")] * 20)
    assert "64 decisions" in message(path, decisions=list(columns), space=small)


def test_genotypes_of_npz_are_kept_as_they_are(tmp_path: Path) -> None:
    genotypes = np.array([[2, 1], [0, 3], [2, 3]])
    path = tmp_path / "table.npz"
    np.savez(path, genotypes=genotypes, acc=[1.0, 2.0, 3.0])
    table = read_user_file(path, "mine")
    assert table.space.num_choices.tolist() == [3, 4]
    assert table.space.size == 3
    assert table.lookup(table.space.encode(genotypes), "acc").tolist() == [1, 2, 3]
    np.savez(path, genotypes=np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), acc=[1.0, 2, 3, 4])
    assert not read_user_file(path, "mine").space.has_masks
    np.savez(path, genotypes=genotypes, arch=["a", "b", "b"], acc=[1.0, 2.0, 3.0])
    assert "ignore=" in message(path)
    assert "ignore=" in message(path, decisions="arch")
    assert read_user_file(path, "mine", decisions="genotypes", ignore="arch").space.size == 3


@pytest.mark.parametrize("wrong", [[[0, -1]], [[0, 10**9]], [[0.5, 1]], [[np.nan, 1]], [[]]])
def test_genotypes_that_are_no_choices(tmp_path: Path, wrong: list[list[float]]) -> None:
    np.savez(tmp_path / "table.npz", genotypes=np.array(wrong), acc=[1.0])
    assert "whole numbers" in message(tmp_path / "table.npz")


def test_whole_numbers_from_0_are_codes_and_others_labels(write: Callable[..., Path]) -> None:
    path = write({"x0": [0, 4, 4], "x1": [3, 3, 7], "x2": [0, 64, 0], "acc": [1, 2, 3]})
    table = read_user_file(path, "mine")
    assert table.space.choices == (("0", "1", "2", "3", "4"), ("3", "7"), ("0", "64"))


def test_text_columns_are_decisions_where_they_are_named(write: Callable[..., Path]) -> None:
    columns: Columns = {
        "op": ["conv", "conv", "pool", "pool"],
        "note": ["w", "x", "y", "z"],
        "data": ["c10"] * 4,
        "act": ["relu", "gelu", "relu", "gelu"],
        "acc": [1, 2, 3, 4],
    }
    error = message(write(columns))
    assert "no column of architectures was found" in error
    assert "decisions=" in error
    error = message(write(columns), decisions=["op", "act"])
    assert "'note', 'data' hold text" in error
    assert "ignore=" in error
    table = read_user_file(write(columns), "mine", decisions=["op", "act"], ignore=["note", "data"])
    assert table.space.decision_names == ("op", "act")
    assert not table.space.has_masks


def test_space_gives_labels_and_order(write: Callable[..., Path]) -> None:
    space = CategoricalSpace([("small", "large"), ("relu", "gelu", "none")], ["size", "act"])
    columns: Columns = {"act": ["gelu", "relu"], "acc": [1, 2], "size": ["small", "large"]}
    table = read_user_file(write(columns), "mine", space=space)
    assert table.space.choices == space.choices
    assert by_text(table) == {"small,gelu": (1.0,), "large,relu": (2.0,)}
    texts: Columns = {"net": ["small,gelu", "large,relu"], "acc": [1, 2]}
    assert by_text(read_user_file(write(texts), "mine", space=space)) == by_text(table)
    digits: Columns = {"arch": ["01", "10"], "acc": [1, 2]}
    assert by_text(read_user_file(write(digits), "mine", space=space)) == by_text(table)
    every: Columns = {"arch": [f"{a}{b}" for a in "01" for b in "012"], "acc": list(range(6))}
    assert read_user_file(write(every), "mine", space=space).space is space
    columns["act"][1] = "tanh"
    error = message(write(columns), space=space)
    assert "data row 2, column 'act'" in error
    assert "'tanh'" in error
    assert "relu, gelu" in error
    assert "data row 2, column 'arch'" in message(
        write({"arch": ["01", "13"], "acc": [1, 2]}), space=space
    )
    assert "2 decisions" in message(write({"arch": ["010", "100"], "acc": [1, 2]}), space=space)


def test_known_columns_can_be_named(write: Callable[..., Path]) -> None:
    columns: Columns = {"code": ["12", "21"], "x0": [5, 6], "acc": [1, 2]}
    table = read_user_file(write(columns), "mine", arch="code", signal="acc")
    assert table.space.num_decisions == 2
    assert table.position("x0") == 0
    table = read_user_file(write(columns), "mine", decisions="x0", metrics=["acc"])
    assert table.space.choices == (("5", "6"),)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"name": ["resnet", "vgg"], "acc": [1, 2]}, "no column of architectures was found"),
        ({"acc": [1, 2], "ms": [1, 2]}, "no column of architectures was found"),
        ({"arch": ["00", "01"], "genotype": ["00", "01"], "acc": [1, 2]}, "'arch'; or 'genotype'"),
        ({"arch": ["00", "01"], "x0": [0, 1], "acc": [1, 2]}, "'arch'; or 'x0'"),
        ({"arch": ["res", "vgg"], "x0": [0, 1], "acc": [1, 2]}, "'arch'; or 'x0'"),
        ({"arch": ["res", "vgg"], "acc": [1, 2]}, "data row 1, column 'arch': 'res' is not"),
        ({"arch": ["012", "12"], "acc": [1, 2]}, "data row 2, column 'arch': '12' has 2 digits"),
        ({"arch": ["01", "0x", "11"], "acc": [1, 2, 3]}, "data row 2, column 'arch': '0x' is not"),
        ({"arch": ["01", "0.1"], "acc": [1, 2]}, "column 'arch': the column has numbers"),
        ({"arch": ["01", "0 1"], "acc": [1, 2]}, "data row 2, column 'arch': '0 1' is not"),
        ({"arch": ["01", "0\u0661"], "acc": [1, 2]}, "data row 2, column 'arch'"),
        ({"arch": ["01", ""], "acc": [1, 2]}, "data row 2, column 'arch'"),
        ({"arch": ["01", "10", "01"], "acc": [1, 2, 3]}, "data rows 1 and 3 are the same"),
        ({"x0": [1, 1, 1], "k": [3, 3, 5], "acc": [1, 2, 3]}, "data rows 1 and 2 are the same"),
        ({"x0": ["a", "", "b"], "acc": [1, 2, 3]}, "data row 2, column 'x0'"),
        ({"x0": ["a", "b,c"], "acc": [1, 2]}, "data row 2, column 'x0': 'b,c' has a comma"),
        ({"x0": list(range(1, 1500)), "acc": [1] * 1499}, "this column has 1499"),
    ],
)  # fmt: skip
def test_architectures_gone_wrong(
    write: Callable[..., Path], columns: Columns, expected: str
) -> None:
    assert expected in message(write(columns), metrics="acc")


def test_wrong_arch_strings_are_named_by_row(write: Callable[..., Path]) -> None:
    space = NB201Space()
    texts = space.to_text(space.decode(np.arange(4)))
    texts[2] = texts[2].replace("nor_conv_3x3", "conv9", 1)
    for _ in range(2):
        error = message(write({"net": texts, "acc": [1, 2, 3, 4]}))
        assert "column 'net'" in error
        assert "nor_conv_1x1" in error
        assert (
            f"data row {1 + next(i for i, text in enumerate(texts) if 'conv9' in text)}," in error
        )
        texts = [texts[2], *texts[:2], texts[3]]
    graphs = ["[0,0,1,3] gcn gat skip fc", "[0,0,1,3] gcn gat skip mlp"]
    assert "data row 2" in message(write({"arch": graphs, "acc": [1, 2]}))
    graphs[1] = "[0,0,0,0] skip skip skip skip"
    assert "data row 2, column 'arch'" in message(write({"arch": graphs, "acc": [1, 2]}))


@pytest.mark.parametrize("kind", ["json", "parquet", "npz"])
def test_digit_strings_stored_as_numbers(write: Callable[..., Path], kind: str) -> None:
    path = write({"arch": [12, 120], "acc": [1, 2]}, kind)
    assert "Store it as text" in message(path)
    assert "Store it as text" in message(path, arch="arch")


# -- spaces by kind --------------------------------------------------------------------------------


def test_a_space_by_its_kind(write: Callable[..., Path]) -> None:
    space = NB201Space()
    genotypes = space.decode(np.array([4, 7, 1000]))
    digits = ["".join(map(str, row)) for row in genotypes.tolist()]
    texts = space.to_text(genotypes)
    for archs in (texts, digits):
        found = read_user_file(write({"arch": archs, "acc": [1, 2, 3]}), "mine", space="NB201")
        assert type(found.space) is NB201Space
        assert found.space.size == 3
        row = found.space.encode(genotypes[:1])
        assert found.column("acc")[row] == 1
    with pytest.raises(KeyError, match=r"no search space 'NB2001'.*NB201"):
        read_user_file(write({"arch": texts, "acc": [1, 2, 3]}), "mine", space="NB2001")
    assert "is not an arch string of NAS-Bench-201" in message(
        write({"arch": ["[[0, 1], [0, 0]] input,output"], "acc": [1]}), space="NB201"
    )


def test_a_space_of_nas_bench_101_by_its_kind(write: Callable[..., Path]) -> None:
    texts = ["[[0, 1, 0], [0, 0, 1], [0, 0, 0]] input,maxpool3x3,output"]
    found = read_user_file(write({"arch": texts, "acc": [1]}), "mine", space="NB101")
    assert found.space.to_text(found.space.decode([0])) == texts


class OctalSpace(SearchSpace):
    """An architecture is written as one octal number; its methods raise other errors."""

    def __init__(self, genotypes: Any = None, name: str = "Octal") -> None:
        super().__init__(["ab"] * 6, None, genotypes, name)

    def to_text(self, genotypes: Any) -> list[str]:
        return [f"{self.leaf(row):02o}" for row in self.check(genotypes)]

    def leaf(self, row: NDArray[np.int64]) -> int:
        return int("".join(map(str, row.tolist())), 2)

    def from_text(self, texts: Sequence[str]) -> NDArray[np.int64]:
        codes = {f"{number:02o}": number for number in range(64)}
        return self.decode([codes[text] for text in texts])


def test_digits_in_the_notation_of_a_space(write: Callable[..., Path]) -> None:
    space = OctalSpace()
    genotypes = space.decode(np.array([0, 9, 63]))
    assert space.to_text(genotypes) == ["00", "11", "77"]
    path = write({"arch": ["00", "11", "77"], "acc": [1, 2, 3], "note": ["x", "y", "z"]})
    found = read_user_file(path, "mine", space=space, ignore="note")
    np.testing.assert_array_equal(found.space.decode(np.arange(3)), genotypes)
    path = write({"arch": ["00", "81", "77"], "acc": [1, 2, 3]})
    assert "data row 2, column 'arch'" in message(path, space=space)
    path = write({"arch": ["00", "x", "77"], "acc": [1, 2, 3]})
    assert "data row 2, column 'arch': KeyError: 'x'" in message(path, space=space)


def test_the_kind_categorical_has_no_choices(write: Callable[..., Path]) -> None:
    path = write({"arch": ["00", "11"], "acc": [1, 2]})
    with pytest.raises(ValueError, match="leave space= out"):
        read_user_file(path, "mine", space="categorical")


def test_an_inconsistent_space(write: Callable[..., Path]) -> None:
    class Wrong(NB201Space):
        def from_text(self, texts: Sequence[str]) -> NDArray[np.int64]:
            return super().from_text(texts)[::-1]

    path = write({"arch": NB201Space().to_text([[0] * 6]), "acc": [1]})
    with pytest.raises(ValueError, match=r"'NB201' \(Wrong\) is inconsistent"):
        read_user_file(path, "mine", space=Wrong())


# -- metrics and arguments -------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["oops", "91,5", "5%", "1_0", "inf", "-inf", "", "nan"])
@pytest.mark.parametrize("row", [0, 2, 2500])
def test_cells_that_are_no_numbers(write: Callable[..., Path], bad: str, row: int) -> None:
    cells: list[object] = [0.5 + i for i in range(3000)]
    cells[row] = bad
    path = write({"arch": [f"{i:04}" for i in range(3000)], "acc": cells})
    assert f"data row {row + 1}, column 'acc'" in message(path)


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_missing_numbers(write: Callable[..., Path], kind: str) -> None:
    columns: Columns = {"arch": ["00", "01", "10"], "acc": [1.0, 2.0, 3.0], "ms": [1.0, None, 2.0]}
    path = write(columns, kind)
    assert "data row 2, column 'ms'" in message(path, signal="acc")
    table = read_user_file(path, "mine", signal="acc", allow_missing=True)
    assert np.isnan(table.column("ms")).tolist() == [False, True, False]
    for arguments in ({"signal": "ms"}, {"signal": "acc", "report": "ms"}):
        error = message(path, allow_missing=True, **arguments)
        assert "data row 2, column 'ms'" in error
        assert "every row" in error
    with pytest.raises(UserFileError, match="allow_missing=True") as caught:
        read_user_file(path, "mine", signal="acc")
    assert "ignore=" in str(caught.value)
    message_of_command = caught.value.command_line_message()
    assert "--allow-missing accepts gaps" in message_of_command
    assert "--ignore." in message_of_command
    assert "=" not in message_of_command
    assert read_user_file(path, "mine", metrics="acc").objectives["mine"] == Objective("acc", "acc")


def test_seconds_belong_to_every_other_metric(write: Callable[..., Path]) -> None:
    path = write({"op0": ["a", "b"], "acc": [1.0, 2.0], "time": [30.0, 40.0]}, "csv")
    table = read_user_file(path, "mine", signal="acc", seconds="time")
    assert table.metrics == (Metric("acc", seconds="time"), Metric("time", "s", False))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "'acc', 'ms'"),
        ({"signal": "loss"}, "signal= names 'loss'"),
        ({"signal": "arch"}, "signal= names 'arch'"),
        ({"signal": "acc", "report": "loss"}, "report= names 'loss'"),
        ({"signal": "acc", "minimize": ["loss"]}, "minimize= names 'loss'"),
        ({"signal": "acc", "units": {"loss": "%"}}, "units= names 'loss'"),
        ({"signal": "acc", "seconds": "loss"}, "seconds= names 'loss'"),
        ({"signal": "acc", "metrics": ["loss"]}, "metrics= names 'loss'"),
        ({"signal": "acc", "ignore": ["loss"]}, "ignore= names 'loss'"),
        ({"signal": "acc", "arch": "loss"}, "arch= names 'loss'"),
        ({"signal": "acc", "decisions": ["loss"]}, "decisions= names 'loss'"),
        ({"arch": "arch", "decisions": ["acc"]}, "cannot be given together"),
        ({"arch": "arch", "metrics": ["arch"]}, "named twice"),
        ({"metrics": ["acc", "acc"]}, "named twice"),
        ({"metrics": []}, "no metric"),
        ({"ignore": ["acc", "ms"]}, "no metric"),
    ],
)
def test_arguments_gone_wrong(
    write: Callable[..., Path], arguments: dict[str, Any], expected: str
) -> None:
    path = write({"arch": ["00", "01"], "acc": [1, 2], "ms": [3, 4]})
    assert expected in message(path, **arguments)


# -- files -----------------------------------------------------------------------------------------

RECORDS = [{"arch": "00", "acc": 1.0}, {"arch": "01", "acc": 2.0}]


@pytest.mark.parametrize(
    "form",
    [RECORDS, {"arch": ["00", "01"], "acc": [1, 2]}, {"00": {"acc": 1}, "01": {"acc": 2}}],
)
def test_forms_of_json(tmp_path: Path, form: object) -> None:
    table = read_user_file(content(tmp_path, json.dumps(form), "json"), "mine")
    assert by_text(table) == {"0,0": (1.0,), "0,1": (2.0,)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("[]", "no rows"),
        ("{}", "a list of records"),
        ("3", "a list of records"),
        ("[1, 2]", "a list of records"),
        (json.dumps(RECORDS)[:-9], "cut short"),
        ("[" * 100_000, "cut short"),
        ('[{"arch": "00", "acc": 1, "acc": 2}]', "'acc' appears twice"),
        ('{"00": {"arch": 1}}', "column 'arch'"),
        ('[{"arch": "00", "acc": 1}, {"arch": "01"}]', "data row 2, column 'acc'"),
        ('[{"arch": "00", "acc": 1}, {"acc": 1}]', "data row 2, column 'arch'"),
        ('[{"arch": "00", "acc": [1]}]', "data row 1, column 'acc'"),
        ('[{"arch": "00", "acc": "bad"}, {"arch": "01", "acc": 1}]', "data row 1, column 'acc'"),
        ('[{"arch": "00", "acc": NaN}]', "data row 1, column 'acc'"),
        ('[{"arch": "00", "acc": Infinity}]', "data row 1, column 'acc'"),
        ('[{"arch": "00", "acc": 1' + "0" * 400 + "}]", "data row 1, column 'acc'"),
        ('{"arch": ["00", "01"], "acc": [1]}', "the same number of rows"),
        (b'{"arch": ["\xff"]}', "line 1 is not UTF-8"),
    ],
)
def test_json_gone_wrong(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert expected in message(content(tmp_path, text, "json"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        ("arch,acc\n", "no rows"),
        ("arch;acc\n00;1\n", "separated by commas"),
        ("arch,acc\n00,1\n01\n", "data row 2: 2 cells were expected"),
        ("arch,acc\n00,1\n01,2,3\n", "data row 2: 2 cells were expected"),
        ("arch,acc,acc\n00,1,2\n", "two columns are named 'acc'"),
        (",arch,acc\n0,00,1\n", "index=False"),
        ('arch,acc\n00,1\n01,"2\n', "line 3"),
        (b"arch,acc\n00,1\n0\xe9,2\n", "line 3 is not UTF-8"),
        ("arch,acc\n00,1\n".encode("utf-16"), "line 1 is not UTF-8"),
    ],
)
def test_csv_gone_wrong(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert expected in message(content(tmp_path, text))


def test_csv_with_a_mark_blank_lines_and_spaces(tmp_path: Path) -> None:
    path = content(tmp_path, "\ufeffarch, acc\r\n\r\n00, 1\r\n 01,2 \r\n\r\n")
    assert by_text(read_user_file(path, "mine")) == {"0,0": (1.0,), "0,1": (2.0,)}


def test_numbers_that_turn_to_text_far_down_keep_their_text(tmp_path: Path) -> None:
    rows = "".join(f"{i % 5}.50,{i // 5},{i}\n" for i in range(4999))
    path = content(tmp_path, f"op,x,acc\n{rows}skip,0,1\n")
    table = read_user_file(path, "mine", decisions=["op", "x"])
    assert table.space.choices[0] == ("0.50", "1.50", "2.50", "3.50", "4.50", "skip")
    assert "data row 5000, column 'op'" in message(path, decisions="x", metrics="op")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "this file does not exist" in message(tmp_path / "absent.csv")
    assert ".csv, .json, .parquet, .npz" in message(content(tmp_path, "a", "xlsx"))
    (tmp_path / "folder.csv").mkdir()
    assert "could not be read" in message(tmp_path / "folder.csv")


def test_parquet_gone_wrong(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrow = pytest.importorskip("pyarrow")
    path = write({"arch": ["00", "01"], "acc": [1, 2]}, "parquet")
    path.write_bytes(path.read_bytes()[:-20])
    assert "cut short" in message(path)
    path = write({"arch": ["00", "01"], "acc": [1, 2]}, "parquet")
    path.write_bytes(path.read_bytes().replace(b"acc", b"ac\xff"))
    assert "not Parquet" in message(path)
    path = write({"arch": ["00"], "acc": [[1, 2]]}, "parquet")
    assert "column 'acc'" in message(path)
    assert "list" in message(path)
    repeated = arrow.Table.from_arrays([["00"], [1], [2]], names=["arch", "acc", "acc"])
    import pyarrow.parquet

    pyarrow.parquet.write_table(repeated, path)
    assert "two columns are named 'acc'" in message(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install nas-gym[parquet]" in message(path)


def test_parquet_categories_and_small_types(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    table = arrow.table(
        {
            "op0": arrow.array(["a", "b", "a"]).dictionary_encode(),
            "op1": arrow.array([True, True, False]),
            "acc": arrow.array([1, 2, 3], arrow.float32()),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "table.parquet")
    found = by_text(read_user_file(tmp_path / "table.parquet", "mine"))
    assert found == {"a,True": (1.0,), "b,True": (2.0,), "a,False": (3.0,)}


def test_npz_gone_wrong(write: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "table.npz"
    np.savez(path, arch=np.array(["00", "01"], object), acc=[1.0, 2.0])
    assert "column 'arch': the array has Python objects" in message(path)
    np.savez(path, arch=["00", "01"], acc=[[1.0], [2.0]])
    assert "column 'acc'" in message(path)
    np.savez(path, arch=["00", "01"], acc=[1.0])
    assert "the same number of rows" in message(path)
    np.savez(path, arch=["00", "01"], acc=np.array([1, 2], complex))
    assert "complex" in message(path)
    whole = write({"arch": ["00", "01"], "acc": [1, 2]}, "npz").read_bytes()
    assert "cut short" in message(content(tmp_path, whole[:-30], "npz"))
    assert "cut short" in message(content(tmp_path, whole[:30], "npz"))
    bare = io.BytesIO()
    np.save(bare, np.arange(3))
    assert "one array without a name" in message(content(tmp_path, bare.getvalue(), "npz"))


def test_nothing_is_written(write: Callable[..., Path], tmp_path: Path) -> None:
    read_user_file(write({"arch": ["00", "01"], "acc": [1, 2]}), "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_every_reader_is_tried_here() -> None:
    assert list(formats.READERS) == [f".{kind}" for kind in FORMATS]


def test_a_metric_with_a_colon_is_refused(write: Callable[..., Path]) -> None:
    path = write({"op0": ["a", "b"], "acc": [1, 2], "t:ms": [3, 4]})
    assert "'t:ms': the name of a metric has no ':'" in message(path, signal="acc")
    assert "Rename" in message(path, signal="acc")
    assert len(read_user_file(path, "mine", signal="acc", ignore=["t:ms"]).metrics) == 1
