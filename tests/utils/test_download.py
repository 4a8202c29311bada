"""Downloads of files from a local server."""

import hashlib
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nas_gym.tables import DamagedDataError, DataError
from nas_gym.utils import download, limits
from nas_gym.utils.download import RemoteFile

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Answers ``/right``, ``/wrong``, ``/short``; everything else is not found."""

    def __init__(self):
        requests = self.requests = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                content = {"/wrong": b"something else", "/empty": b""}.get(self.path, CONTENT)
                if self.path == "/gone":
                    self.send_error(404)
                    return
                self.send_response(200)
                if self.path == "/endless":
                    self.end_headers()
                    with suppress(OSError):
                        while True:
                            self.wfile.write(CONTENT)
                    return
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[:1000] if self.path == "/short" else content)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def file(self, path, sha256=SHA256, name="folder/file.bin"):
        return RemoteFile(name, f"http://127.0.0.1:{self.server.server_port}{path}", sha256)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def downloads(cache, monkeypatch):
    monkeypatch.delenv("NAS_GYM_DATA", raising=False)
    return cache / "downloads"


def files_below(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("sha256", [SHA256, ""])
def test_fetches_once(server, downloads, sha256):
    file = server.file("/right", sha256)
    assert download.find_file(file.name) is None
    for _ in range(3):
        download.fetch_files([file])
    assert server.requests == ["/right"]
    target = downloads / "folder" / "file.bin"
    assert target.read_bytes() == CONTENT
    assert download.find_file(file.name) == target
    assert files_below(downloads) == [target]


def test_fetches_a_damaged_file_again(server, downloads):
    target = downloads / "folder" / "file.bin"
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT[:-1])
    download.fetch_files([server.file("/right")])
    assert target.read_bytes() == CONTENT


def test_fetches_a_file_without_sha256_again_on_request(server, downloads):
    target = downloads / "folder" / "file.bin"
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT[:-1])
    download.fetch_files([server.file("/right", "")], again=True)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["/wrong", "/empty"])
def test_a_file_with_another_sha256(server, downloads, path):
    with pytest.raises(DamagedDataError, match=rf"{path} has another file than expected.*{SHA256}"):
        download.fetch_files([server.file(path)])
    assert files_below(downloads) == []


@pytest.mark.parametrize("sha256", [SHA256, ""])
@pytest.mark.parametrize("path", ["/short", "/gone"])
def test_failed_downloads(server, downloads, path, sha256):
    with pytest.raises(DataError, match=rf"Could not download .*{path}: .*NAS_GYM_DATA") as caught:
        download.fetch_files([server.file(path, sha256)])
    assert not isinstance(caught.value, DamagedDataError)
    assert files_below(downloads) == []


@pytest.mark.parametrize("sha256", [SHA256, ""])
def test_a_server_that_sends_without_end(server, downloads, sha256, monkeypatch):
    monkeypatch.setenv(limits.VARIABLE, "3000000")
    with pytest.raises(DataError, match=r"/endless has .* at most 3,000,000.*NAS_GYM_MAX_BYTES"):
        download.fetch_files([server.file("/endless", sha256)])
    assert files_below(downloads) == []


def test_a_folder_or_a_loop_of_links_in_place_of_a_download(server, downloads):
    target = downloads / "folder" / "file.bin"
    target.mkdir(parents=True)
    with pytest.raises(DataError, match=r"file\.bin is a folder.*Delete the folder"):
        download.fetch_files([server.file("/right")])
    target.rmdir()
    target.symlink_to(target)
    assert download.find_file("folder/file.bin") is None
    download.fetch_files([server.file("/right")])
    assert target.read_bytes() == CONTENT


FETCH = """
import sys
from nas_gym.utils.download import RemoteFile, fetch_files
fetch_files([RemoteFile("folder/file.bin", sys.argv[1])])
"""


def test_the_next_download_removes_what_a_killed_one_left(server, downloads):
    url = server.file("/endless").url
    with subprocess.Popen([sys.executable, "-c", FETCH, url], stderr=subprocess.DEVNULL) as process:
        while not any(path.stat().st_size for path in files_below(downloads)):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert len(files_below(downloads)) == 1
    download.fetch_files([server.file("/right")])
    assert files_below(downloads) == [downloads / "folder" / "file.bin"]


def test_no_server(downloads, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(DataError, match=r"Could not download .*Check the network"):
        download.fetch_files([RemoteFile("x", f"http://127.0.0.1:{port}/x", SHA256)])
    assert files_below(downloads) == []


def test_earlier_downloads_survive_a_failure(server, downloads):
    files = [server.file("/right", name="a"), server.file("/gone", name="b")]
    with pytest.raises(DataError):
        download.fetch_files(files)
    assert [path.name for path in files_below(downloads)] == ["a"]


def test_downloads_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAS_GYM_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"Could not write .*NAS_GYM_CACHE"):
        download.fetch_files([server.file("/right")])


def test_find_looks_in_the_named_folders_first(downloads, tmp_path, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one / "a" / "b", two, downloads):
        folder.mkdir(parents=True)
        (folder / "x.csv").write_text(str(folder))
    assert download.find_file("x.csv") == downloads / "x.csv"
    monkeypatch.setenv("NAS_GYM_DATA", f"{tmp_path / 'none'}:{two}:{one}")
    assert download.find_file("x.csv") == two / "x.csv"
    monkeypatch.setenv("NAS_GYM_DATA", str(one))
    assert download.find_file("x.csv") == one / "a" / "b" / "x.csv"
    assert download.find_file("y.csv") is None
    assert download.data_folders() == [Path(one)]
