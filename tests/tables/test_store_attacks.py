"""Attacks on stored tables: tampered files, readers during replacements, killed writers."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from nas_gym import import_table, tables
from nas_gym.spaces import CategoricalSpace
from nas_gym.tables import DamagedDataError, Metric, Objective, Table, store
from nas_gym.utils.files import sha256

SPACE = CategoricalSpace([list("abcd"), list("xyz")], None, [[0, 0], [1, 2], [3, 1]])


def make_table(value=0.0, metric="acc"):
    values = np.full((SPACE.size, 1), value)
    objectives = {"mine": Objective(metric, metric)}
    return Table("mine", SPACE, (Metric(metric),), values, objectives, {"file": "ä.csv"})


def stored_files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


WHOLE = ["genotypes.npy", "table.json", "values.npy"]


def test_every_flipped_bit_of_a_description_is_found(cache):
    store.save_table(make_table())
    path = store.table_folder("mine") / "table.json"
    content = path.read_bytes()
    for position in random.Random(0).sample(range(8 * len(content)), 600):
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        for read in (store.load_stored_table, store.stored_datasets):
            with pytest.raises(DamagedDataError, match="`nas-gym data remove mine`"):
                read("mine")


BRACKETS = "[" * 100_000 + "]" * 100_000


def nest_brackets(folder):
    (folder / "table.json").write_text(BRACKETS)


def nest_brackets_inside(folder):
    text = (folder / "table.json").read_text()
    (folder / "table.json").write_text(text.replace('"objectives": ', f'"objectives": {BRACKETS}'))


def put_a_loop(name):
    def put(folder):
        (folder / name).unlink()
        (folder / name).symlink_to(folder / name)

    return put


def put_a_folder(name):
    def put(folder):
        (folder / name).unlink()
        (folder / name).mkdir()

    return put


def claim(name, shape):
    """Replace an array by a header of another shape, with a right sha256 and checksum."""

    def replace(folder):
        buffer = io.BytesIO()
        header = {"descr": "<i8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(buffer, header)
        (folder / name).write_bytes(buffer.getvalue() + bytes(48))
        description = json.loads((folder / "table.json").read_text())
        description["sha256"][name] = sha256(folder / name)
        (folder / "table.json").write_text(json.dumps(store.add_checksum(description)))

    return replace


TAMPERINGS = {
    "brackets": nest_brackets,
    "brackets inside": nest_brackets_inside,
    "loop for a description": put_a_loop("table.json"),
    "folder for a description": put_a_folder("table.json"),
    "loop for values": put_a_loop("values.npy"),
    "folder for genotypes": put_a_folder("genotypes.npy"),
    "values of 2^50": claim("values.npy", (2**50,)),
    "genotypes of 2^50": claim("genotypes.npy", (2**50, 2)),
    "genotypes of 2^124": claim("genotypes.npy", (2**62, 2**62)),
    "NaN": lambda folder: (folder / "table.json").write_text('{"name": NaN}'),
}


@pytest.mark.parametrize("tamper", TAMPERINGS.values(), ids=TAMPERINGS)
def test_tampered_tables(tamper, cache):
    store.save_table(make_table())
    tamper(store.table_folder("mine"))
    with pytest.raises(DamagedDataError, match="`nas-gym data remove mine`") as caught:
        tables.load_table("mine")
    assert len(str(caught.value)) < 1000
    store.save_table(make_table(1.0), replace=True)
    assert tables.load_table("mine").column("acc").tolist() == [1, 1, 1]


def test_readers_during_replacements_see_the_old_or_the_new_table(cache):
    store.save_table(make_table())
    done, seen, errors = threading.Event(), [], []

    def read():
        while not done.is_set():
            try:
                assert store.is_stored("mine")
                assert tables.imported_tables() == ["mine"]
                store.stored_datasets("mine")
                column = store.load_stored_table("mine").values[:, 0]
                seen.append(set(column.tolist()))
            except Exception as error:  # noqa: PERF203
                errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for value in range(1, 61):
        store.save_table(make_table(value), replace=True)
    time.sleep(0.1)
    done.set()
    for reader in readers:
        reader.join()
    assert errors == []
    assert all(len(values) == 1 for values in seen)
    assert len({value for values in seen for value in values}) > 5
    assert store.load_stored_table("mine").values[0, 0] == 60
    assert len(stored_files(cache / "tables-v1")) == 3


# stops after a number of calls of the functions that change the file system
KILL = """
import os, signal
from pathlib import Path
from nas_gym.utils import files
left = {calls}

def count(function):
    def counted(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return counted

for name in ("open", "mkdir", "rename", "replace", "unlink", "rmdir", "chmod", "fsync"):
    setattr(os, name, count(getattr(os, name)))
Path.open = count(Path.open)
Path.unlink = count(Path.unlink)
"""


@pytest.fixture
def die_after():
    """Runs code and kills it at a file operation; returns whether it was killed."""

    def run(code, calls):
        script = KILL.format(calls=calls) + code
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode != 0

    return run


REPLACE = """
from tables.test_store_attacks import make_table
from nas_gym.tables import store
store.save_table(make_table({value}), replace={replace})
"""


@pytest.mark.long
@pytest.mark.attack
def test_a_killed_replacement_keeps_the_old_or_the_new_table(cache, die_after, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    store.save_table(make_table())
    found, calls = {0.0}, 0
    while die_after(REPLACE.format(value=calls + 1, replace=True), calls):
        values = set(store.load_stored_table("mine").values[:, 0].tolist())
        assert values <= found | {calls + 1}
        assert len(values) == 1
        found, calls = values, calls + 1
    assert calls > 10
    assert store.load_stored_table("mine").values[0, 0] == calls + 1
    assert len(stored_files(cache / "tables-v1")) == 3


@pytest.mark.long
@pytest.mark.attack
def test_a_killed_first_import_leaves_nothing_to_see(cache, die_after, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    calls, seen = 0, 0
    while die_after(REPLACE.format(value=1, replace=False), calls):
        if store.is_stored("mine"):
            assert store.load_stored_table("mine").values[0, 0] == 1
            store.remove_table("mine")
            seen += 1
        calls += 1
    assert calls > 10
    assert stored_files(cache / "tables-v1") == WHOLE
    store.remove_table("mine")
    assert list((cache / "tables-v1").iterdir()) == []


def test_a_killed_removal_is_completed(cache, die_after, monkeypatch):
    for calls in range(12):
        store.save_table(make_table(), replace=True)
        die_after("from nas_gym.tables import store; store.remove_table('mine')", calls)
        if store.is_stored("mine"):
            assert store.load_stored_table("mine").values[0, 0] == 0
    store.clean_cache()
    assert store.clean_cache() == []


@pytest.mark.long
@pytest.mark.attack
def test_imports_that_are_killed_again_and_again(cache, write_csv):
    """Kills at random times of ``nas-gym data import --replace``, in 24 processes."""
    write_csv("old.csv"), write_csv("new.csv", 50.0)
    folder = write_csv("new.csv", 50.0).parent
    import_table(folder / "old.csv", "Mine", signal="val")
    expected = {}
    for name in ("old", "new"):
        import_table(folder / f"{name}.csv", f"Expected-{name}", signal="val")
        table = store.load_stored_table(f"Expected-{name}")
        expected[name] = (table.values.tolist(), table.provenance)
    command = [sys.executable, "-m", "nas_gym", "data", "import", "--name", "Mine", "--replace"]
    generator, killed = random.Random(0), 0
    for number in range(24):
        file = folder / ("new.csv" if number % 2 == 0 else "old.csv")
        with subprocess.Popen(
            [*command, "--signal", "val", str(file)], stdout=subprocess.DEVNULL
        ) as process:
            time.sleep(generator.uniform(0.3, 1.2))
            process.kill()
            killed += process.wait() != 0
        table = store.load_stored_table("Mine")
        assert (table.values.tolist(), table.provenance) in expected.values()
    assert killed > 10
    import_table(folder / "new.csv", "Mine", signal="val", replace=True)
    table = store.load_stored_table("Mine")
    assert (table.values.tolist(), table.provenance) == expected["new"]
    assert len(stored_files(store.table_folder("Mine"))) == 2
    assert store.clean_cache() == []


@pytest.mark.long
@pytest.mark.attack
def test_conversions_that_are_killed_again_and_again(cache, die_after, open_table):
    """Kills of the first use of a table at each of its first 24 file operations."""
    code = "from nas_gym.tables import load_table; load_table('nas-bench-graph-proteins')"
    killed = 0
    for calls in range(24):
        killed += die_after(code, calls)
        if store.is_stored("nas-bench-graph-proteins"):
            store.load_stored_table("nas-bench-graph-proteins")
            store.remove_table("nas-bench-graph-proteins")
    assert killed > 10
    table = open_table("nas-bench-graph-proteins")
    source = tables.SOURCES["nas-bench-graph-proteins"].read()
    np.testing.assert_array_equal(table.values, source.values)
    assert stored_files(cache / "tables-v1") == ["table.json", "values.npy"]
    assert store.clean_cache() == []


def test_leftovers_of_others_are_kept(cache):
    """Folders that are not named as the package names its own are not touched."""
    store.save_table(make_table())
    folder = store.table_folder("mine")
    (folder.parent / ".git").mkdir()
    (folder / "notes.txt").write_text("")
    (folder.parent / ".mine.abcd1234").mkdir()
    (folder / "values-0123abcd.npy").write_text("")
    removed = store.clean_cache()
    assert sorted(map(Path, removed)) == [
        folder.parent / ".mine.abcd1234",
        folder / "values-0123abcd.npy",
    ]
    assert (folder / "notes.txt").exists()
    assert (folder.parent / ".git").exists()
    store.load_stored_table("mine")
