"""Storage of tables: atomic writing, and damage that is found."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nas_gym
from nas_gym import tables
from nas_gym.spaces import CategoricalSpace, NB201Space, NBGraphSpace
from nas_gym.spaces.nbgraph import PROTEINS_OPERATIONS
from nas_gym.tables import DamagedDataError, DataError, Metric, Objective, Table, store


def restricted_space():
    rng = np.random.default_rng(0)
    genotypes = np.unique(rng.integers(0, [3, 2, 4], (9, 3)), axis=0)
    return CategoricalSpace([list("abc"), list("de"), list("fghi")], ["x", "y", "z"], genotypes)


SPACES = {
    "NB201": NB201Space,
    "NBGraph": NBGraphSpace,
    "NBGraph of proteins": lambda: NBGraphSpace(PROTEINS_OPERATIONS),
    "categorical": lambda: CategoricalSpace(
        [["3×3", "5 5"], list("abc")], ["ke rn", "ü"], None, "n"
    ),
    "one decision": lambda: CategoricalSpace([["only"]]),
    "restricted": restricted_space,
    "part of NB201": lambda: NB201Space(NB201Space().decode([7, 3, 9]), "part"),
    "part of NBGraph": lambda: NBGraphSpace(genotypes=[[0, 1, 2, 3, 4], [8, 1, 8, 8, 8]]),
}


def make_table(space, name="mine"):
    rng = np.random.default_rng(1)
    values = rng.random((space.size, 2))
    values[0, 1] = np.nan
    metrics = (Metric("acc", "%", True, "größer ist besser"), Metric("ms", "ms", False))
    objectives = {"data": Objective("acc", "acc"), "other": Objective("ms", "acc")}
    return Table(name, space, metrics, values, objectives, {"file": "ä.csv", "sha256": "0" * 64})


def leftovers(folder):
    return [path.name for path in folder.rglob(".*")]


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_round_trip(space, cache):
    table = make_table(space())
    store.save_table(table)
    found = store.load_stored_table("mine")
    assert (found.name, found.metrics) == (table.name, table.metrics)
    assert found.objectives == table.objectives
    assert found.provenance == table.provenance
    np.testing.assert_array_equal(found.values, table.values)
    assert not found.values.flags.writeable
    assert type(found.space) is type(table.space)
    for attribute in ("name", "choices", "decision_names", "size", "has_masks"):
        assert getattr(found.space, attribute) == getattr(table.space, attribute)
    indices = np.arange(table.space.size)
    np.testing.assert_array_equal(found.space.decode(indices), table.space.decode(indices))
    assert store.stored_datasets("mine") == ["data", "other"]
    assert tables.imported_tables() == ["mine"]
    assert leftovers(cache) == []


def test_save_replaces_a_table_only_on_request(cache):
    space = CategoricalSpace([list("ab")])
    store.save_table(make_table(space))
    other = Table("mine", space, (Metric("new"),), np.zeros((2, 1)), {})
    store.save_table(other)
    assert store.load_stored_table("mine").metrics[0].name == "acc"
    store.save_table(other, replace=True)
    assert store.load_stored_table("mine").metrics[0].name == "new"
    assert tables.load_table("mine").metrics[0].name == "new"
    assert leftovers(cache) == []
    store.remove_table("mine")
    assert not store.is_stored("mine")


def test_a_replaced_table_is_opened_anew(cache):
    space = CategoricalSpace([list("ab")])
    store.save_table(make_table(space))
    before = tables.load_table("mine")
    assert tables.load_table("mine") is before
    store.save_table(Table("mine", space, (Metric("new"),), np.zeros((2, 1)), {}), replace=True)
    assert tables.load_table("mine").metrics[0].name == "new"
    assert before.values.shape == (2, 2)  # whoever has it open keeps it


def cut(folder):
    path = folder / "values.npy"
    path.write_bytes(path.read_bytes()[:-5])


def flip(folder):
    path = folder / "values.npy"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(folder):
    (folder / "values.npy").write_bytes(b"")


def put_a_folder(folder):
    (folder / "values.npy").unlink()
    (folder / "values.npy").mkdir()


def rewrite(**changes):
    def damage(folder):
        path = folder / "table.json"
        description = store.add_checksum(json.loads(path.read_text()) | changes)
        path.write_text(json.dumps(description))

    return damage


def describe_badly(text):
    return lambda folder: (folder / "table.json").write_text(text)


DAMAGES = {
    "cut short": cut,
    "one bit": flip,
    "empty": empty,
    "a folder": put_a_folder,
    "no values": lambda folder: (folder / "values.npy").unlink(),
    "no genotypes": lambda folder: (folder / "genotypes.npy").unlink(),
    "no description": lambda folder: (folder / "table.json").unlink(),
    "nothing": lambda folder: [path.unlink() for path in folder.iterdir()],
    "half a description": describe_badly('{"name": "mine", "spa'),
    "another description": describe_badly("[1, 2]"),
    "no text": lambda folder: (folder / "table.json").write_bytes(b"\xff\xfe\x00"),
    "null": describe_badly("null"),
    "stray values": lambda folder: np.save(folder / "other.npy", np.zeros(2)),
    "no hashes": rewrite(sha256={}),
    "list of hashes": rewrite(sha256=["values.npy"]),
    "wrong space": rewrite(space={"kind": "NB201", "name": "x"}),
    "list for space": rewrite(space=[]),
    "unknown metric field": rewrite(metrics=[{"nom": "acc"}]),
    "fewer metrics": rewrite(metrics=[{"name": "acc"}]),
    "objective of no metric": rewrite(objectives={"d": {"signal": "no", "report": "no"}}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize(
    "load", [store.load_stored_table, tables.load_table], ids=["store", "catalog"]
)
def test_damage_is_found(damage, load, cache):
    store.save_table(make_table(restricted_space()))
    damage(store.table_folder("mine"))
    with pytest.raises(DamagedDataError) as caught:
        load("mine")
    assert "`nas-gym data remove mine`" in str(caught.value)
    assert str(store.table_folder("mine")) in str(caught.value)
    store.remove_table("mine")
    store.save_table(make_table(restricted_space()))
    load("mine")


def test_a_space_that_is_not_registered(cache):
    store.save_table(make_table(restricted_space()))
    rewrite(space={"kind": "other", "name": "x"})(store.table_folder("mine"))
    with pytest.raises(
        DataError, match=r"'other', which is not registered.*register_space"
    ) as caught:
        tables.load_table("mine")
    assert not isinstance(caught.value, DamagedDataError)
    assert "`nas-gym data remove mine`" in str(caught.value)
    assert str(store.table_folder("mine")) in str(caught.value)
    store.remove_table("mine")


def test_a_damaged_catalogue_table_is_converted_again(cache, open_table):
    open_table("nas-bench-graph-proteins")
    flip(store.table_folder("nas-bench-graph-proteins"))
    tables.catalog._opened.clear()  # as a new process sees it
    with pytest.raises(DamagedDataError, match="converted again on next use"):
        tables.load_table("nas-bench-graph-proteins")
    store.remove_table("nas-bench-graph-proteins")
    assert tables.load_table("nas-bench-graph-proteins").values.shape == (2021, 4)


@pytest.mark.parametrize(
    "name", ["", ".", "..", f"../tables-v{store.FORMAT}", "a/../mine", "mine/", ".mine.x"]
)
def test_names_do_not_lead_out_of_the_cache(name, cache):
    store.save_table(make_table(CategoricalSpace([list("ab")])))
    (store.table_folder("mine").parent / ".mine.x").mkdir()  # left by a process that was killed
    assert not store.is_stored(name)
    with pytest.raises(KeyError, match="There is no table"):
        tables.load_table(name)
    with pytest.raises(KeyError, match="There is no table"):
        store.remove_table(name)
    assert tables.imported_tables() == ["mine"]
    assert store.load_stored_table("mine")


def test_cache_that_cannot_be_written_to(tmp_path, monkeypatch):
    """Permissions do not bind root: a regular file stands in the way instead."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAS_GYM_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"Could not write .*Choose a folder .*NAS_GYM_CACHE"):
        store.save_table(make_table(CategoricalSpace([list("ab")])))
    with pytest.raises(DataError, match="Could not write"):
        tables.load_table("nas-bench-graph-proteins")
    assert tables.imported_tables() == []


SAVE = """
import os, sys
from nas_gym.tables import DataError, load_table, store
{before}
try:
    load_table("nas-bench-graph-proteins")
    print("stored")
except DataError as error:
    print(error)
folder = store.table_folder("x").parent
print(sorted(os.listdir(folder)) if folder.exists() else [])
"""


def test_file_size_limit(tmp_path, run_python):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))"
    message, left = run_python(SAVE.format(before=limit), NAS_GYM_CACHE=tmp_path).splitlines()
    assert message.startswith("Could not write")
    assert "File too large" in message
    assert left == "[]"


@pytest.mark.parametrize(
    ("options", "reason"), [("size=40k", "the disk is full"), ("ro", "permission denied")]
)
def test_full_or_read_only_disk(options, reason, tmp_path):
    """On a small file system, mounted in a namespace of its own."""
    folder = tmp_path / "cache"
    folder.mkdir()
    script = tmp_path / "save.py"
    script.write_text(SAVE.format(before=""))
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o {options} tmpfs {folder}"
    if not shutil.which("unshare") or subprocess.run([*namespace, mount]).returncode:
        pytest.skip("mounting is not permitted here")
    command = f"{mount} && NAS_GYM_CACHE={folder} {sys.executable} {script}"
    source = str(Path(nas_gym.__file__).parents[1])
    done = subprocess.run(
        [*namespace, command],
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
    )
    message, left = done.stdout.splitlines()
    assert f"{reason}. Choose a folder on a disk with space" in message
    assert left == "[]"


def test_many_processes_fill_the_cache_at_once(cache):
    code = (
        "import hashlib; from nas_gym import tables;"
        "t = [tables.load_table(n) for n in ('nas-bench-graph-proteins', 'nas-bench-graph-cora')];"
        "print([hashlib.sha256(x.values.tobytes()).hexdigest() for x in t])"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    printed = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 8
    assert len(printed) == 1
    names = sorted(path.name for path in store.table_folder("any").parent.iterdir())
    assert names == ["nas-bench-graph-cora", "nas-bench-graph-proteins"]


def test_an_interrupted_replacement_keeps_the_table(cache, monkeypatch):
    space = CategoricalSpace([list("ab")])
    store.save_table(make_table(space))
    files = sorted(path.name for path in store.table_folder("mine").iterdir())
    replace = os.replace

    def interrupt(source, target):
        if Path(target).name == "table.json":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.save_table(Table("mine", space, (Metric("new"),), np.zeros((2, 1)), {}), replace=True)
    assert store.load_stored_table("mine").metrics[0].name == "acc"
    assert sorted(path.name for path in store.table_folder("mine").iterdir()) == files


def test_stray_genotypes_are_not_taken_for_a_restriction(cache):
    store.save_table(make_table(CategoricalSpace([list("ab")])))
    np.save(store.table_folder("mine") / "genotypes.npy", [[0]])
    with pytest.raises(DamagedDataError, match=r"genotypes\.npy.*not the stored files"):
        store.load_stored_table("mine")
