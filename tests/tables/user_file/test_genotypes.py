"""Architectures of users' files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tables.user_file.files import (
    FORMATS,
    Columns,
    by_text,
    message,
)

from nas_gym.spaces import CategoricalSpace, NB201Space, NBGraphSpace, SearchSpace
from nas_gym.spaces.nbgraph import PROTEINS_OPERATIONS
from nas_gym.tables import store
from nas_gym.tables.user_file import read_user_file


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


def test_files_over_more_combinations_than_64_bits(
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
def test_invalid_genotypes_of_npz(tmp_path: Path, wrong: list[list[float]]) -> None:
    np.savez(tmp_path / "table.npz", genotypes=np.array(wrong), acc=[1.0])
    assert "whole numbers" in message(tmp_path / "table.npz")


def test_small_whole_numbers_are_codes(write: Callable[..., Path]) -> None:
    path = write({"x0": [0, 4, 4], "x1": [3, 3, 7], "x2": [0, 64, 0], "acc": [1, 2, 3]})
    table = read_user_file(path, "mine")
    assert table.space.choices == (("0", "1", "2", "3", "4"), ("3", "7"), ("0", "64"))


def test_named_text_columns_are_decisions(write: Callable[..., Path]) -> None:
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
def test_invalid_architectures(write: Callable[..., Path], columns: Columns, expected: str) -> None:
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
