"""Attacks on files: damage, bombs, folders in place of files, and killed writers."""

import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

from nas_gym.utils import files, limits
from nas_gym.utils.errors import DamagedDataError, DataError

BRACKETS = "[" * 100_000 + "]" * 100_000
ARRAYS = {"x": np.arange(6.0).reshape(2, 3), "seed": np.array(3), "names": np.array(["a", "bc"])}


def test_nested_brackets_in_json(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(BRACKETS)
    with pytest.raises(DamagedDataError, match=r"x\.json.*nested too deeply"):
        files.read_json(path)


@pytest.mark.parametrize("metadata", [{"texts": BRACKETS}, {"content": BRACKETS}])
def test_nested_brackets_in_metadata(tmp_path, metadata):
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"a": np.zeros(2)}, metadata))
    with pytest.raises(DamagedDataError, match=r"x\.safetensors.*nested too deeply"):
        files.read_tensors(path)


@pytest.mark.parametrize("metadata", ["3", "null", "[]", '{"texts": 3, "sha256": null}', "{}", "x"])
def test_metadata_of_another_form(tmp_path, metadata):
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"a": np.zeros(2)}, {"content": metadata}))
    with pytest.raises(DamagedDataError, match=r"x\.safetensors"):
        files.read_tensors(path)


def test_every_flipped_bit_of_a_safetensors_file_is_found(tmp_path):
    path = tmp_path / "x.safetensors"
    files.write_tensors(path, ARRAYS)
    content = path.read_bytes()
    for position in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            found = files.read_tensors(path)
        except DamagedDataError:
            continue
        for name, array in ARRAYS.items():  # the bit was in a space of the header
            np.testing.assert_array_equal(found[name], array)


def test_files_without_a_sha256_of_earlier_versions_are_read(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"a": np.arange(2)}, {"texts": '{"names": ["b"]}'}))
    assert files.read_tensors(path)["names"].tolist() == ["b"]


def npy(shape, content=b""):
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + content


@pytest.mark.parametrize("shape", [(2**50,), (2**62, 2**62), (3,), (-1,), (0,)])
def test_array_headers_that_claim_another_size(tmp_path, shape):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", npy(shape, bytes(16)))
    with pytest.raises(DamagedDataError, match=r"x\.npz is damaged"):
        files.read_arrays(path)


def test_zip_bombs(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.zeros(10**6))
    monkeypatch.setenv(limits.VARIABLE, "1000000")
    with pytest.raises(DataError, match=r"x\.npz unpacks to 8,000,\d+ bytes.*NAS_GYM_MAX_BYTES=8"):
        files.read_arrays(path)
    monkeypatch.setenv(limits.VARIABLE, "9000000")
    assert len(files.read_arrays(path)["a"]) == 10**6


@pytest.mark.parametrize("text", ["0", "-1", "x", "1e9", "9" * 30])
def test_limits_that_are_not_a_number_of_bytes(text, monkeypatch):
    monkeypatch.setenv(limits.VARIABLE, text)
    with pytest.raises(DataError, match="NAS_GYM_MAX_BYTES"):
        limits.max_bytes()


def test_members_that_claim_another_size(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.zeros(1000))
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", 8128), struct.pack("<I", 800)))
    with pytest.raises(DamagedDataError, match=r"x\.npz is damaged"):
        files.read_arrays(path)


@pytest.mark.parametrize("read", [files.read_json, files.read_arrays, files.read_tensors])
@pytest.mark.parametrize("kind", ["folder", "loop"])
def test_a_folder_or_a_loop_of_links_in_place_of_a_file(tmp_path, read, kind):
    path = tmp_path / "x"
    path.mkdir() if kind == "folder" else path.symlink_to(path)
    with pytest.raises((DataError, FileNotFoundError), match="x"):
        read(path)


WRITE = """
import sys, time
from pathlib import Path
from nas_gym.utils.files import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """A process that has written half of a file."""
    command = [sys.executable, "-c", WRITE, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path, writer):
    assert files.remove_temporary_files(tmp_path) == []  # the writer is alive
    assert len(list(tmp_path.iterdir())) == 1
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(list(tmp_path.iterdir())) == 1
    files.write_atomically(tmp_path / "other", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_temporary_files_below_a_folder_are_removed_on_request(tmp_path, writer):
    writer.kill()
    writer.wait()
    (tmp_path / ".file.abcdefgh.tmp").write_text("")  # of another program
    assert files.remove_temporary_files(tmp_path.parent) == []
    [removed] = files.remove_temporary_files(tmp_path.parent, recursive=True)
    assert removed.parent == tmp_path
    assert files.remove_temporary_files(tmp_path / "absent") == []


def test_a_file_that_is_removed_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    lock = files._lock
    removed = []

    def remove_first(handle, *, wait):
        if not removed:
            [path] = tmp_path.iterdir()
            path.unlink()
            removed.append(path)
        return lock(handle, wait=wait)

    monkeypatch.setattr(files, "_lock", remove_first)
    files.write_atomically(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


def test_old_files_are_removed_where_locks_do_not_work(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_lock", lambda handle, wait: False)
    old, new = tmp_path / ".a.abcdefgh.nas-gym", tmp_path / ".b.abcdefgh.nas-gym"
    for path in (old, new):
        path.write_text("")
    os.utime(old, (0, time.time() - 2 * 86_400))
    assert files.remove_temporary_files(tmp_path) == [old]


def test_json_is_read(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"ä": [1, None]}))
    assert files.read_json(path) == {"ä": [1, None]}
    with pytest.raises(FileNotFoundError):
        files.read_json(tmp_path / "absent")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DamagedDataError, match="not JSON"):
        files.read_json(path)
