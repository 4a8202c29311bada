"""Search spaces from outside the package: registered by a call, or by an entry point."""

import json
import os

import numpy as np
import pytest

from nas_gym import tables
from nas_gym.spaces import (
    CategoricalSpace,
    NB201Space,
    NBASRSpace,
    SearchSpace,
    find_space_class,
    register_space,
    registry,
    space_kinds,
)
from nas_gym.tables import DataError, Metric, Objective, Table, store
from nas_gym.utils.files import sha256

CHOICES = ("abc", "de", "fg")


class ReversedSpace(SearchSpace):
    """Its indices are those of the base class in reverse order."""

    def __init__(self, genotypes=None, name="Reversed"):
        super().__init__(CHOICES, None, genotypes, name)

    def leaf_to_index(self, leaves):
        return self.size - 1 - leaves

    def index_to_leaf(self, indices):
        return self.size - 1 - indices


class WidthSpace(SearchSpace):
    """It has a parameter of its own."""

    kind = "Width"

    def __init__(self, width=2, genotypes=None, name="Width"):
        super().__init__(["ab"] * width, None, genotypes, name)
        self.width = width

    def describe(self):
        return {**super().describe(), "width": self.width}

    @classmethod
    def from_description(cls, description, genotypes=None):
        return cls(description["width"], genotypes, description["name"])


class ForgetfulSpace(WidthSpace):
    """It is restored with another width."""

    def describe(self):
        return {**super().describe(), "width": 2}


@pytest.fixture
def own_kinds(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


def make_table(space, name="mine"):
    values = np.arange(float(space.size))[:, None]
    return Table(name, space, (Metric("acc"),), values, {"data": Objective("acc", "acc")})


def by_genotype(table):
    genotypes = table.space.decode(np.arange(table.space.size)).tolist()
    return dict(zip(map(tuple, genotypes), table.column("acc").tolist(), strict=True))


def test_kinds(own_kinds):
    assert space_kinds() == [
        "DARTS",
        "MnasNet",
        "NB101",
        "NB201",
        "NBASR",
        "NBGraph",
        "TransNAS",
        "categorical",
    ]
    assert find_space_class("NB201") is NB201Space
    assert register_space(ReversedSpace) is ReversedSpace
    assert register_space(ReversedSpace) is ReversedSpace  # once more changes nothing
    assert "Reversed" in space_kinds()
    assert find_space_class("Reversed") is ReversedSpace
    with pytest.raises(KeyError, match=r"no search space 'nope'.*Reversed.*register_space"):
        find_space_class("nope")


@pytest.mark.parametrize("genotypes", [None, [[0, 1, 0], [2, 0, 1], [1, 1, 1]]])
def test_a_registered_space_is_restored_with_its_rows(genotypes, own_kinds, cache):
    table = make_table(ReversedSpace(genotypes))
    with pytest.raises(DataError, match=r"ReversedSpace is not registered.*register_space"):
        store.save_table(table)
    assert not store.is_stored("mine")
    register_space(ReversedSpace)
    store.save_table(table)
    found = store.load_stored_table("mine")
    assert type(found.space) is ReversedSpace
    assert by_genotype(found) == by_genotype(table)


def test_a_space_with_a_parameter(own_kinds, cache):
    register_space(WidthSpace)
    for space in (WidthSpace(5), WidthSpace(3, [[0, 1, 1], [1, 0, 0]], "part")):
        store.save_table(make_table(space), replace=True)
        found = store.load_stored_table("mine").space
        assert (type(found), found.width, found.name) == (WidthSpace, space.width, space.name)
        np.testing.assert_array_equal(found.decode([0, 1]), space.decode([0, 1]))


def test_a_space_that_is_restored_differently_is_not_saved(own_kinds, cache):
    register_space(ForgetfulSpace)
    with pytest.raises(DataError, match="ForgetfulSpace is restored with other indices"):
        store.save_table(make_table(ForgetfulSpace(3)))
    assert not store.is_stored("mine")


def test_a_subclass_is_not_saved_as_its_base_class(own_kinds, cache):
    class Mine(CategoricalSpace):
        pass

    with pytest.raises(DataError, match="Mine is not registered"):
        store.save_table(make_table(Mine(CHOICES)))
    with pytest.raises(DataError, match="SearchSpace is not registered"):
        store.save_table(make_table(SearchSpace(CHOICES)))


def test_a_space_whose_indices_change_is_not_restored(own_kinds, cache, monkeypatch):
    register_space(ReversedSpace)
    store.save_table(make_table(ReversedSpace()))
    monkeypatch.setattr(ReversedSpace, "leaf_to_index", SearchSpace.leaf_to_index)
    monkeypatch.setattr(ReversedSpace, "index_to_leaf", SearchSpace.index_to_leaf)
    with pytest.raises(DataError, match="search space 'Reversed' has changed"):
        store.load_stored_table("mine")


def test_a_table_over_a_space_that_is_no_longer_registered(own_kinds, cache, monkeypatch):
    register_space(ReversedSpace)
    store.save_table(make_table(ReversedSpace()))
    monkeypatch.setattr(registry, "_registered", {})
    with pytest.raises(DataError, match="'Reversed', which is not registered"):
        tables.load_table("mine")


def test_tables_of_earlier_versions_are_read(cache):
    """They have the genotypes of every space in which genotypes share an index."""
    space = NBASRSpace()
    store.save_table(make_table(space))
    folder = store.table_folder("mine")
    np.save(folder / "genotypes.npy", space.decode(np.arange(space.size)))
    description = json.loads((folder / "table.json").read_text())
    assert description["space"] == {"kind": "NBASR", "name": "NBASR"}
    del description["checksum"]
    description["sha256"]["genotypes.npy"] = sha256(folder / "genotypes.npy")
    (folder / "table.json").write_text(json.dumps(description))
    found = store.load_stored_table("mine").space
    np.testing.assert_array_equal(found.decode([0, 7, 8241]), space.decode([0, 7, 8241]))


class NB201(SearchSpace):
    def __init__(self, genotypes=None, name="x"):
        super().__init__(CHOICES, None, genotypes, name)


class NeedsWidthSpace(SearchSpace):
    def __init__(self, width, genotypes=None, name="x"):
        super().__init__(["ab"] * width, None, genotypes, name)


class PermutedSpace(ReversedSpace):
    def index_to_leaf(self, indices):
        return indices


@pytest.mark.parametrize(
    ("space_class", "error", "message"),
    [
        (NB201, ValueError, "'NB201', the kind of a built-in"),
        (NeedsWidthSpace, TypeError, r"NeedsWidthSpace\(\) failed.*'width'.*genotypes=None"),
        (PermutedSpace, ValueError, r"'Reversed' \(PermutedSpace\) is inconsistent.*index 0"),
        (ReversedSpace(), TypeError, "accepts a subclass of SearchSpace"),
        (dict, TypeError, "accepts a subclass of SearchSpace, got <class 'dict'>"),
        (SearchSpace, ValueError, "SearchSpace cannot be registered as ''"),
    ],
)
def test_bad_registrations(space_class, error, message, own_kinds):
    with pytest.raises(error, match=message):
        register_space(space_class)
    assert not registry._registered


def test_two_classes_of_one_kind(own_kinds):
    register_space(ReversedSpace)

    class Other(ReversedSpace):
        kind = "Reversed"

    with pytest.raises(ValueError, match=r"'Reversed' is already registered for .*\.ReversedSpace"):
        register_space(Other)


# -- a package outside the tree ----------------------------------------------------------------

PACKAGE = """
import os
from pathlib import Path

from nas_gym.spaces import SearchSpace

with Path(__file__).with_name("pids").open("a") as file:
    print(os.getpid(), file=file)


class HexSpace(SearchSpace):
    def __init__(self, genotypes=None, name="Hex"):
        super().__init__([("3", "5", "7"), ("relu", "gelu"), ("16", "32")], None, genotypes, name)

    def leaf_to_index(self, leaves):
        return self.size - 1 - leaves

    def index_to_leaf(self, indices):
        return self.size - 1 - indices

    def to_text(self, genotypes):
        return ["<" + text.replace(",", "/") + ">" for text in super().to_text(genotypes)]

    def from_text(self, texts):
        if not all(text.startswith("<") for text in texts):
            raise ValueError("An architecture is written <3/relu/16>.")
        return super().from_text([text[1:-1].replace("/", ",") for text in texts])
"""

SEARCH = """
import gymnasium as gym, numpy as np, nas_gym
from nas_gym.tables import load_table
space = load_table("HexTable").space
print(type(space).__name__, type(space).__module__, space.size)
for mode in ("", "-alpha", "-population"):
    env = gym.make(f"HexTable{mode}-v0")
    env.reset(seed=0)
    while True:
        mask = env.get_wrapper_attr("action_masks")() if not mode else None
        action = env.action_space.sample(mask.astype(np.int8) if not mode else None)
        _, _, terminated, truncated, info = env.step(action)
        if mode or terminated or truncated:
            break
    print(mode, env.unwrapped.task.space.name)
table = load_table("HexTable")
row = space.encode(space.from_text(["<5/gelu/32>"]))[0]
print(table.column("acc")[row])
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A package of one module and one entry point, outside the tree, and a CSV file over it."""
    folder = tmp_path / "site"
    info = folder / "hexes-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "hexes.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hexes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nas_gym.spaces]\nHex = hexes:HexSpace\n")
    rows = [
        f"<{kernel}/{act}/{width}>,{70 + int(kernel) + int(width) / 10 + (act == 'gelu')}"
        for kernel in "357"
        for act in ("relu", "gelu")
        for width in ("16", "32")
    ]
    (tmp_path / "hex.csv").write_text("\n".join(["arch,acc", *rows]))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return folder


def test_an_outside_package(outside, tmp_path, run_python, cache):
    cli = "import sys; from nas_gym.cli import main; sys.argv = ['nas-gym', *{}]; main()"
    options = ["--name", "HexTable", "--space", "Hex"]
    arguments = ["data", "import", str(tmp_path / "hex.csv"), *options]
    assert "HexTable-v0" in run_python(cli.format(arguments))
    assert run_python(SEARCH).splitlines() == [
        "HexSpace hexes 12",
        " Hex",
        "-alpha Hex",
        "-population Hex",
        "79.2",
    ]
    pids = outside / "pids"
    pids.unlink()
    agents = "random,rea(population_size=4,sample_size=2)"
    options = [
        "--agents",
        agents,
        "--queries",
        "10",
        "--seeds",
        "4",
        "--out",
        str(tmp_path / "runs"),
    ]
    run_python(cli.format(["compare", "HexTable-v0", *options]))
    # worker processes import the package, beside the one that starts them
    assert len(set(pids.read_text().split())) > 1
    summary = json.loads((tmp_path / "runs" / "summary.json").read_text())
    found = summary["environments"]["HexTable-v0"]["agents"]
    assert [entry["trials"] for entry in found.values()] == [4, 4]
    assert not any(entry["failures"] for entry in found.values())
    # without the package, the message says what is missing
    (outside / "hexes-1.0.dist-info" / "entry_points.txt").write_text("")
    done = run_python("import nas_gym, gymnasium as g; g.make('HexTable-v0')", check=False)
    assert "'Hex', which is not registered" in done.stderr


def test_an_entry_point_that_cannot_be_imported(outside, tmp_path, run_python, cache):
    (outside / "hexes.py").write_text("import nothing_of_this_name")
    code = "from nas_gym.spaces import find_space_class; find_space_class('Hex')"
    done = run_python(code, check=False)
    assert "'Hex' could not be imported from hexes:HexSpace: ModuleNotFoundError" in done.stderr
    (outside / "hexes.py").write_text("HexSpace = 3")
    assert "not a subclass of SearchSpace" in run_python(code, check=False).stderr
    (outside / "hexes.py").write_text(
        PACKAGE.replace("HexSpace", "OtherSpace") + "\nHexSpace = OtherSpace"
    )
    assert "whose kind is 'Other'" in run_python(code, check=False).stderr
