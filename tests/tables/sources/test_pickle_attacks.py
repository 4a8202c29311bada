"""Pickles and packed files that are made to exhaust the machine."""

import bz2
import json
import pickle
import pickletools
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from nas_gym.tables.sources import help_latency, nats_folder, pickles
from nas_gym.tables.sources.pickle_check import UnsafePickleError, check_pickle
from nas_gym.utils import limits
from nas_gym.utils.errors import DamagedDataError, DataError


def doubled(levels, protocol=2):
    """A tuple of two references to a tuple of two references, and so on, as the key of a dict."""
    nested = ("x",)
    for _ in range(levels):
        nested = (nested, nested)
    return pickle.dumps({"a": 1}, protocol)[:-1] + pickle.dumps(nested, protocol)[2:-1] + b"Ns."


def doubled_by_dup(levels):
    return b"\x80\x02}K\x00\x85" + b"2\x86" * levels + b"Ns."


BOMBS = {
    "doubled": doubled(60),
    "doubled, protocol 4": doubled(60, 4),
    "doubled, protocol 0": b"}(I0\nt" + b"p0\ng0\ng0\n\x86" * 60 + b"Ns.",
    "doubled with two memos": b"\x80\x02}K\x00\x85" + b"q\x00h\x00\x86q\x01h\x01\x86" * 40 + b"Ns.",
    "doubled by dup": doubled_by_dup(60),
    "doubled in frozensets": b"\x80\x04}K\x00\x85" + b"2\x86(q\x000h\x00\x91\x85" * 60 + b"Ns.",
    "below a mark": b"\x80\x04NN(\x86.",
    "doubled below a mark": b"\x80\x04N(2\x91.",
    "memoize after put": b"\x80\x04}K\x00\x85" + b"\x94h\x00\x86" + b"q\x00h\x00\x86" * 60 + b"Ns.",
    "deep": b"\x80\x02}K\x00" + b"\x85" * 10**6 + b"Ns.",
    "deep with memo": b"\x80\x04}K\x00" + b"\x85\x94" * 10**5 + b"Ns.",
    "a long tuple again and again": (
        b"\x80\x02}(" + b"K\x00" * 10**5 + b"tq\x00N" + b"sh\x00N" * 10**5 + b"s."
    ),
    "room for 2^31 objects": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "room for 10^15 objects": b"Np999999999999999\n.",
    "bytes of 2^60": b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b"x.",
    "bytearray of 2^60": b"\x80\x05\x96" + (2**60).to_bytes(8, "little") + b"x.",
    "no end": b"\x80\x02}",
    "no mark": b"\x80\x02t.",
    "empty stack": b"\x80\x02\x86.",
    "unknown opcode": b"\x80\x02\xff.",
    "half a line": b"I1",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused_before_they_are_loaded(bomb):
    with pytest.raises(UnsafePickleError):
        check_pickle(bomb)
    with pytest.raises(DamagedDataError, match="Get the file again") as caught:
        pickles.load_pickle(bomb, {})
    assert len(str(caught.value)) < 500


def test_a_bomb_does_not_reach_the_unpickler_of_a_torch_file(tmp_path):
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", doubled(60))
    with pytest.raises(DamagedDataError, match=r"x\.pt could not be read.*hours"):
        pickles.load_torch_file(path)
    path.write_bytes(doubled(60))
    with pytest.raises(DamagedDataError, match=r"x\.pt could not be read"):
        pickles.load_torch_file(path)


SHARED = ("cifar10", 777)
HARMLESS = [
    {SHARED: [SHARED, (SHARED, SHARED)], (1, (2, (3,))): {SHARED}},
    {i: {j: j / 7 for j in range(50)} for i in range(50)},
    [None, True, 2**70, -1, "ä" * 300, b"x" * 300, 1e300, "line\nline", frozenset({1})],
    np.arange(6).reshape(2, 3),
    tuple(range(10**4)),
    [[0.5] * 1000, (), [()], bytearray(b"a")],
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_harmless_pickles_pass(protocol):
    for content in HARMLESS:
        pickled = pickle.dumps(content, protocol)
        assert check_pickle(pickled) == len(pickled)
        assert check_pickle(b"xy" + pickled + b"more", 2) == 2 + len(pickled)
    both = pickle.dumps(HARMLESS, protocol)
    assert check_pickle(pickletools.optimize(both))


def refusal(content):
    try:
        check_pickle(content)
    except UnsafePickleError as error:
        return str(error)
    return ""


def test_every_opcode_is_known():
    content = b"(NNN%b\x01\0\0\0\0\0\0\0x\nx\n."
    codes = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
    unknown = [code for code in codes if f"opcode {ord(code):#04x}" in refusal(content % code)]
    assert unknown == []
    assert "opcode 0xff" in refusal(content % b"\xff")


def test_shared_lists_do_not_fill_the_memory(tmp_path):
    """A list may hold itself twice at each of 60 levels: its text would have 2^60 characters."""
    nested = ["x"]
    for _ in range(60):
        nested = [nested, nested]
    path = tmp_path / "fpga.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps(nested, 2))
    with pytest.raises(DamagedDataError, match="not an array of numbers"):
        help_latency._read_device(path, "")
    for content in ({"meta_archs": nested}, {"meta_archs": [nested]}, nested):
        (tmp_path / "meta.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps(content)))
        with pytest.raises(DamagedDataError) as caught:
            nats_folder.read_nats_folder(tmp_path)
        assert len(str(caught.value)) < 1000


def test_bz2_bombs(tmp_path, monkeypatch):
    meta = tmp_path / "meta.pickle.pbz2"
    meta.write_bytes(bz2.compress(bytes(3 * 2**24)))
    monkeypatch.setenv(limits.VARIABLE, "1000000")
    with pytest.raises(DataError, match=r"meta\.pickle\.pbz2 unpacks to .*NAS_GYM_MAX_BYTES="):
        nats_folder.read_nats_folder(tmp_path)
    content = pickle.dumps({"a": [0.5] * 1000})
    meta.write_bytes(bz2.compress(content[:100]) + bz2.compress(content[100:]))  # two streams
    with pytest.raises(DamagedDataError, match="does not list the cells"):
        nats_folder.read_nats_folder(tmp_path)
    meta.write_bytes(bz2.compress(content)[:-5])
    with pytest.raises(DamagedDataError, match="truncated or not a bz2 file"):
        nats_folder.read_nats_folder(tmp_path)


def test_members_of_a_torch_file_that_unpack_to_more_than_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickle.dumps(0, 2))
        archive.writestr("x/data/0", bytes(10**7))
    monkeypatch.setenv(limits.VARIABLE, "1000000")
    with pytest.raises(DataError, match=r"x\.pt unpacks to 10,000,005 bytes"):
        pickles.load_torch_file(path)
    monkeypatch.setenv(limits.VARIABLE, "20000000")
    assert pickles.load_torch_file(path) == 0


def test_bombs_on_the_command_line(tmp_path):
    """One line, quickly, where a key would be hashed for ages."""
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", doubled(60))
    command = [sys.executable, "-m", "nas_gym", "data", "import", str(path), "--name", "x"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert json.dumps(done.stderr).isprintable()
