"""Runner that uses a Ray cluster."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shutil
import socket
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import cloudpickle

import nas_gym
from nas_gym.experiments.inputs import enter_folder
from nas_gym.experiments.local_runner import available_cores
from nas_gym.experiments.runners import Job, JobEnded, Outcome, run_and_pickle
from nas_gym.utils.cache import cache_folder
from nas_gym.utils.errors import DamagedDataError, DataError
from nas_gym.utils.extras import import_extra

_PACKAGES = ("ray", "torch", "numpy", "gymnasium", "stable_baselines3")
_TASKS_PER_WORKER = 2  # submitted at a time, so that workers do not wait for this process
_WAIT_SECONDS = 1.0  # Ctrl-C is noticed within this time
_CONNECT_SECONDS = 10.0
_LARGEST_PORT = 65_535
_CHECK_SECONDS = 180.0  # a machine may start its first worker from a slow disk
_ATTEMPTS = 2  # of a job whose process or machine ends

Copies = Mapping[str, tuple[str, Any]]
"""Sha256 of each file, packed by :func:`_pack`, and its reference in Ray; keys are the places."""


class RayRunner:
    """Runner that sends jobs to a Ray cluster.

    The files that a job reads are sent with it, and verified there by their sha256. The versions
    of Python and of packages that determine results must be the same on all machines of the
    cluster. If the process or the machine of a job ends, the job runs a second time.

    Args:
        address: Address of the cluster, such as ``"ray://head:10001"`` or ``"10.0.0.1:6379"``;
            ``"auto"`` for the cluster that this machine belongs to; ``"local"`` to start Ray on
            this machine for the duration of a call.
        workers: Largest number of jobs at the same time; all cores of the cluster by default.
        gpus: Share of a GPU for each job that computes with PyTorch. By default, jobs that compute
            on a GPU of this machine get a whole GPU of the cluster, and other jobs none.

    Raises:
        MissingDataError: If the package ``ray`` is not installed.
        ValueError: If a number is outside its range.
        DataError: If there is no cluster at the address, or a machine of the cluster has other
            versions.

    Example:
        ``nas_gym.compare("NB201-cifar10-v0", "random,rea", runner=RayRunner("auto"))``
    """

    def __init__(
        self, address: str = "auto", *, workers: int | None = None, gpus: float | None = None
    ) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}.")
        if gpus is not None and gpus < 0:
            raise ValueError(f"gpus must be at least 0, got {gpus}.")
        self.address = address
        self.gpus = gpus
        self._limit = workers
        self._ray: Any = import_extra("ray", "ray")
        self._versions = versions()
        self._packed: dict[Path, tuple[Any, tuple[str, Any]]] = {}
        self._connect()
        self._function = self._ray.remote(max_retries=0)(_run_remotely)
        try:
            self._check_versions()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        """Connect to the cluster, unless this process is connected."""
        self._is_owner = not self._ray.is_initialized()
        if not self._is_owner:
            return
        arguments: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": True}
        if self.address == "local":
            # by default, Ray gives its workers the lowest priority of all programs
            os.environ.setdefault("RAY_worker_niceness", "0")
            arguments |= {"num_cpus": available_cores(), "include_dashboard": False}
        try:
            _check_reachable(self.address)
            self._ray.init(address=self.address, **arguments)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())[:500].rstrip(".")
            raise DataError(
                f"There is no Ray cluster to use at {self.address!r}: {reason}. Start one with "
                "`ray start --head`, or use --ray local (RayRunner('local')) for this machine."
            ) from error

    def close(self) -> None:
        """Disconnect from the cluster if this runner connected to it; a local Ray is stopped."""
        self._packed.clear()
        if self._is_owner:
            self._ray.shutdown()
            self._is_owner = False

    def __enter__(self) -> RayRunner:
        """Return the runner."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect from the cluster."""
        self.close()

    @property
    def workers(self) -> int:
        """Number of jobs that run at the same time."""
        return self._limit or max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def _check_versions(self) -> None:
        """Raise an error if a machine of the cluster has other versions than this one.

        Raises:
            DataError: If versions differ, or a machine does not answer.
        """
        ray = self._ray
        strategies = import_extra("ray.util.scheduling_strategies", "ray")
        strategy = strategies.NodeAffinitySchedulingStrategy
        nodes = {node["NodeID"]: node["NodeName"] for node in ray.nodes() if node["Alive"]}
        function = ray.remote(num_cpus=0, max_retries=0)(_versions_of_worker)
        asked = {
            function.options(scheduling_strategy=strategy(node, soft=False)).remote(): name
            for node, name in nodes.items()
        }
        done, waiting = ray.wait(list(asked), num_returns=len(asked), timeout=_CHECK_SECONDS)
        for reference in done:
            try:
                found = ray.get(reference)
            except ray.exceptions.RayError as error:
                raise DataError(
                    f"The machine {asked[reference]} of the cluster cannot run tasks of nas_gym: "
                    f"{_first_line(error)}. Install nas-gym {nas_gym.__version__} there."
                ) from error
            _compare_versions(self._versions, found, asked[reference])
        if waiting:
            raise DataError(
                f"The machine {asked[waiting[0]]} of the cluster did not answer within "
                f"{_CHECK_SECONDS:.0f} seconds."
            )

    def run(self, jobs: Sequence[Any], ended: JobEnded) -> None:
        """Run jobs; see :class:`nas_gym.experiments.runners.Runner`.

        Raises:
            DataError: If the connection to the cluster is lost.
        """
        ray = self._ray
        waiting = deque(_Attempt(job) for job in jobs)
        running: dict[Any, _Attempt] = {}
        submitted = self._limit or _TASKS_PER_WORKER * self.workers
        with self._cancelling(running):
            while waiting or running:
                while waiting and len(running) < submitted:
                    attempt = waiting.popleft()
                    running[self._submit(attempt.job)] = attempt
                ray.wait(list(running), timeout=_WAIT_SECONDS)  # for the first one
                done, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
                for reference in done:
                    attempt = running.pop(reference)
                    outcome = self._outcome(reference, attempt)
                    if outcome is None:
                        waiting.appendleft(_Attempt(attempt.job, attempt.number + 1))
                    else:
                        more = ended(attempt.job, outcome)
                        waiting.extendleft(_Attempt(job) for job in reversed(more))

    @contextmanager
    def _cancelling(self, running: Mapping[Any, Any]) -> Iterator[None]:
        """Cancel the running tasks if the block raises an error."""
        try:
            yield
        except BaseException:
            for reference in list(running):
                self._ray.cancel(reference, force=True)
            raise

    def _submit(self, job: Any) -> Any:
        """Submit a job; return the reference of its outcome."""
        copies = {place: self._send(path) for place, path in job.files.items()}
        function = self._function.options(num_cpus=1, num_gpus=self._gpus_of(job))
        return function.remote(cloudpickle.dumps(job), copies, self._versions)

    def _gpus_of(self, job: Any) -> float:
        if self.gpus is None:
            return 1.0 if job.uses_gpu else 0.0
        return self.gpus if "torch" in job.modules else 0.0

    def _send(self, path: Path) -> tuple[str, Any]:
        """Send a file or folder to the cluster, once; return its sha256 and its reference."""
        stamp = _stamp(path)
        if path not in self._packed or self._packed[path][0] != stamp:
            packed = _pack(path)
            digest = hashlib.sha256(packed).hexdigest()
            self._packed[path] = stamp, (digest, self._ray.put(packed))
        return self._packed[path][1]

    def _outcome(self, reference: Any, attempt: _Attempt) -> Outcome | None:
        """Return the outcome of a task; ``None`` if the task is to run again."""
        exceptions = self._ray.exceptions
        try:
            outcome: Outcome = cloudpickle.loads(self._ray.get(reference))
            return outcome
        except exceptions.RayTaskError as error:  # other versions
            raise DataError(_first_line(error.cause or error)) from error
        except exceptions.RayError as error:
            if attempt.number < _ATTEMPTS:
                return None
            reason = "its machine has too little memory"
            if not isinstance(error, exceptions.OutOfMemoryError):
                reason = f"its process or its machine ended ({type(error).__name__})"
            return Outcome(error=f"The trial was stopped {_ATTEMPTS} times: {reason}.\n\n{error}")


def _check_reachable(address: str) -> None:
    """Raise an error at once if nothing answers at an address; Ray would wait for minutes.

    Raises:
        ValueError: If the text is not an address.
        OSError: If nothing answers.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    host = host.strip("[]")
    if not host or "/" in host or not port.isdecimal() or int(port) > _LARGEST_PORT:
        raise ValueError("addresses are auto, local, HOST:PORT and ray://HOST:PORT")
    socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()


@dataclass(frozen=True)
class _Attempt:
    """A job, and the number of its attempt, from 1."""

    job: Any
    number: int = 1


@functools.cache  # the lookup takes longer than a short job
def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of packages that determine results."""
    major, minor, _ = platform.python_version_tuple()
    # builds of PyTorch for CPU and GPU may mix
    found = {package: version(package).partition("+")[0] for package in _PACKAGES}
    return {"Python": f"{major}.{minor}", "nas_gym": nas_gym.__version__, **found}


def _versions_of_worker() -> dict[str, str]:
    from nas_gym.experiments import ray_runner

    return ray_runner.versions()


def _compare_versions(expected: Mapping[str, str], found: Mapping[str, str], machine: str) -> None:
    """Raise an error if versions differ.

    Raises:
        DataError: If versions differ; the message lists them.
    """
    different = [
        f"{name} {found.get(name)} instead of {wanted}"
        for name, wanted in expected.items()
        if found.get(name) != wanted
    ]
    if different:
        raise DataError(
            f"The machine {machine} of the cluster has {', '.join(different)}. Results would "
            "differ. Install the same versions on all machines."
        )


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__


# -- on a worker ----------------------------------------------------------------------------------


def _run_remotely(job: bytes, copies: Copies, expected: Mapping[str, str]) -> bytes:
    """Run a pickled job on a worker; return its pickled outcome."""
    _compare_versions(expected, versions(), platform.node())

    def load() -> tuple[Job, dict[str, str]]:
        folder = _place_files(copies)
        enter_folder(folder)  # before modules of the user are imported
        loaded: Job = cloudpickle.loads(job).moved_to(folder)
        return loaded, {str(folder / place): str(path) for place, path in loaded.files.items()}

    return run_and_pickle(load)


def _place_files(copies: Copies) -> Path:
    """Return a folder with copies of files, which all jobs with the same files share.

    The folder is in the cache of this machine. Each file is stored once, under its sha256.

    Raises:
        DamagedDataError: If a received file differs from its sha256.
    """
    cache = _cache_of_machine() / "remote"
    listed = sorted((place, digest) for place, (digest, _) in copies.items())
    folder = cache / hashlib.sha256(repr(listed).encode()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    files = {place: _fetch(cache / "files", digest, ref) for place, (digest, ref) in copies.items()}
    with _renamed_at_end(folder) as temporary:
        for place, path in files.items():
            link = temporary / place
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    return folder


@functools.cache
def _cache_of_machine() -> Path:
    """Return the cache folder that this process had before its first job."""
    return cache_folder()


def _fetch(folder: Path, digest: str, reference: Any) -> Path:
    """Return the copy of a file or folder, received from Ray if it is not on this machine."""
    import ray

    target = folder / digest[:16]
    if not target.exists():
        packed = ray.get(reference)
        if hashlib.sha256(packed).hexdigest() != digest:
            raise DamagedDataError(f"A file with the sha256 {digest} was damaged on its way.")
        with _renamed_at_end(target) as temporary, tarfile.open(fileobj=BytesIO(packed)) as archive:
            archive.extractall(temporary, filter="data")
    return target / "content"


@contextmanager
def _renamed_at_end(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to ``folder``, unless that exists by then."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    try:
        yield temporary
        if not folder.exists():
            temporary.rename(folder)
    except OSError:
        if not folder.exists():  # otherwise, another process has made it
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _stamp(path: Path) -> list[tuple[Path, int, int]]:
    """Return values that change when a file, or a file in a folder, changes."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(file, file.stat().st_mtime_ns, file.stat().st_size) for file in files]


def _pack(path: Path) -> bytes:
    """Return a file or folder as an archive, whose bytes depend on names and contents alone."""

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime = entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(path, "content", filter=anonymous)  # entries of folders are sorted
    return packed.getvalue()
