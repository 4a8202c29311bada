"""What the tests share: a cache of their own, fresh processes, and comparisons."""

import os
import subprocess
import sys
import tempfile

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

# Tests never touch the user's cache. nas_gym looks into it when it is imported: below, not above.
_CACHE = tempfile.TemporaryDirectory(prefix="nas-gym-tests-")
os.environ["NAS_GYM_CACHE"] = _CACHE.name

# Tests run beside each other, one on each core: threads of theirs would only wait for each other.
# Torch looks when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def open_table():
    """Opens a table, or skips the test where its data is not on this machine."""
    from nas_gym import tables

    def open_table(name):
        try:
            return tables.load_table(name)
        except tables.MissingDataError as error:
            pytest.skip(str(error))

    return open_table


@pytest.fixture
def make(open_table, request):
    """``gym.make``, or a skip where the data is not on this machine.

    Environments over networks of digits have a small supernet, and few images.
    """

    def make(env_id, **kwargs):
        own = gym.spec(env_id).kwargs
        if "space" in own:
            if own["dataset"] != "digits":
                pytest.skip(f"The supernet of {own['dataset']} takes hours.")
            files = request.getfixturevalue("supernet_files")
            quick = "supernet(calibration=0,images=50)"
            kwargs = {"supernet": str(files[own["space"]]), "evaluator": quick, **kwargs}
        else:
            open_table(kwargs.get("table") or own["table"])
        return gym.make(env_id, **kwargs)

    return make


@pytest.fixture(scope="session")
def supernet_files(tmp_path_factory):
    """Small supernets on digits, by search space."""
    import torch
    from networks.small import small_supernet

    from nas_gym.networks import data
    from nas_gym.networks.supernet import train_supernet

    folder = tmp_path_factory.mktemp("supernets")
    paths = {space: folder / f"{space}.safetensors" for space in ("NB201", "DARTS", "MnasNet")}
    for space, path in paths.items():
        plan = small_supernet(space, {"NB201": 20, "DARTS": 2, "MnasNet": 2}[space])
        train_supernet(plan, data.load_images("digits"), path, torch.device("cpu"))
    return paths


@pytest.fixture(scope="session")
def few_shot_files(tmp_path_factory):
    """A folder of 20 classes, and small meta-supernets for 3-way 1-shot tasks on it, by space."""
    import torch
    from networks.data.class_folders import write_classes

    from nas_gym.networks.data.few_shot import load_few_shot
    from nas_gym.networks.few_shot.meta_supernet import train_meta_supernet
    from nas_gym.networks.few_shot.plans import few_shot_plan

    folder = tmp_path_factory.mktemp("few-shot")
    write_classes(folder / "signs", [f"c{number:02}" for number in range(20)], images=18)
    data = load_few_shot(str(folder / "signs"))
    paths = {}
    for space in ("NB201", "DARTS"):
        paths[space] = folder / f"{space}.safetensors"
        plan = few_shot_plan(space, data, 3, 1).with_settings(
            epochs=2,
            updates=2,
            warmup=1,
            tasks=1,
            steps=2,
            population=4,
            channels=4,
            queries=2,
            fitness_tasks=2,
        )
        train_meta_supernet(plan, data, paths[space], torch.device("cpu"))
    return {"images": folder / "signs", **paths}


@pytest.fixture(scope="session")
def ray_cluster():
    """A small Ray cluster on this machine, which the tests of a process share; its address."""
    ray = pytest.importorskip("ray")
    os.environ.setdefault("RAY_worker_niceness", "0")  # the lowest priority by default
    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache for one test, and IDs of its own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NAS_GYM_CACHE", str(folder))
    before = dict(gym.registry)
    yield folder
    gym.registry.clear()
    gym.registry.update(before)


@pytest.fixture
def run_python():
    """Runs code in a fresh interpreter; returns its standard output."""

    def run(code, check=True, **variables):
        environment = os.environ | {"PYTHONWARNINGS": "default"}
        for name, value in variables.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = str(value)
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        if not check:
            return done
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def _assert_same(actual, expected, where):
    if isinstance(expected, dict):
        assert isinstance(actual, dict), where
        assert set(actual) == set(expected), where
        for key in expected:
            _assert_same(actual[key], expected[key], f"{where}[{key!r}]")
        return
    if isinstance(expected, tuple):
        assert len(actual) == len(expected), where
        for i, (one, other) in enumerate(zip(actual, expected, strict=True)):
            _assert_same(one, other, f"{where}[{i}]")
        return
    a, b = np.asarray(actual), np.asarray(expected)
    if b.dtype == object and isinstance(b[0], dict | np.ndarray):  # SyncVectorEnv's final_obs
        for i, one in enumerate(b):
            row = {k: v[i] for k, v in actual.items()} if isinstance(one, dict) else a[i]
            _assert_same(row, one, f"{where}[{i}]")
        return
    assert a.dtype.kind == b.dtype.kind, f"{where}: {a.dtype} and {b.dtype}"
    np.testing.assert_array_equal(a, b, err_msg=where)


@pytest.fixture(scope="session")
def assert_same():
    """Compares what environments return, exactly, however deeply it is nested."""

    def compare(actual, expected, where=""):
        _assert_same(actual, expected, where)

    return compare


@pytest.fixture(params=[AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=lambda m: m.name)
def autoreset_mode(request):
    return request.param


@pytest.fixture
def write_csv(tmp_path):
    """A table of one's own as a CSV file: 2 x 3 architectures, two metrics."""

    def write(name="mine.csv", offset=0.0):
        rows = [
            f"{op},{width},{10 * i + j + offset},{9 * i + 2 * j + offset}"
            for i, op in enumerate(["conv", "pool"])
            for j, width in enumerate(["narrow", "normal", "wide"])
        ]
        path = tmp_path / name
        path.write_text("\n".join(["op0,op1,val,test", *rows]) + "\n")
        return path

    return write
