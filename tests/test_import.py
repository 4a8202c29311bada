"""The import is light, and the first environment is there at once."""

import statistics

import pytest

from nas_gym.tables.store import FORMAT

HEAVY = ["torch", "stable_baselines3", "matplotlib", "pandas", "pooch", "rich", "typer",
         "nas_201_api", "importlib.metadata", "nas_gym.tasks"]  # fmt: skip

# CPU time: other processes of a busy machine do not count
IMPORT = """
import time
start = time.process_time()
import gymnasium
between = time.process_time()
import nas_gym
end = time.process_time()
print(end - between, between - start)
"""

MAKE = """
import time, gymnasium, nas_gym
start = time.process_time()
env = gymnasium.make("NB201-cifar10-v0")
env.reset(seed=0)
print(time.process_time() - start)
"""


def test_import_loads_nothing_heavy(run_python):
    code = f"import sys, nas_gym; print([m for m in {HEAVY} if m in sys.modules])"
    assert run_python(code) == "[]"


def test_images_are_fetched_without_torch(run_python):
    code = "import sys, nas_gym.networks.data; print('torch' in sys.modules)"
    assert run_python(code) == "False"


def test_import_is_fast(run_python):
    """At most 60 ms more than gymnasium alone; in proportion where the machine is busy or slow."""
    times = [[float(t) for t in run_python(IMPORT).split()] for _ in range(4)]
    own, gymnasium = (min(column) for column in zip(*times, strict=True))
    assert own < max(0.060, 0.6 * gymnasium)


def test_make_and_reset_are_fast_on_a_warm_cache(run_python, open_table):
    open_table("analog-nasbench")
    times = [float(run_python(MAKE)) for _ in range(4)]
    assert min(times) < 0.050, statistics.median(times)


def test_make_without_the_import(run_python):
    code = """
import gymnasium as gym
env = gym.make("nas_gym:NB201-cifar10-v0")
print(env.spec.id, env.reset(seed=0)[0].shape)
envs = gym.make_vec("nas_gym:NB201-cifar10-v0", num_envs=2)
print(type(envs).__name__)
"""
    assert run_python(code) == "NB201-cifar10-v0 (31,)\nSequentialVectorEnv"


@pytest.mark.parametrize("data", [None, "/no/such/folder"])
def test_import_needs_no_cache_and_no_data(run_python, tmp_path, data):
    below_a_file = tmp_path / "file"
    below_a_file.write_text("")
    code = (
        "import nas_gym, gymnasium; "
        "print(sum('nas_gym' in str(spec.entry_point) for spec in gymnasium.registry.values()))"
    )
    variables = {"NAS_GYM_CACHE": below_a_file / "cache", "NAS_GYM_DATA": data}
    assert run_python(code, **variables) == "118"


def test_a_damaged_folder_does_not_break_the_import(run_python, tmp_path):
    folder = tmp_path / f"tables-v{FORMAT}"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "table.json").write_text("{")
    (folder / "a file").write_text("")
    done = run_python("import nas_gym", check=False, NAS_GYM_CACHE=tmp_path)
    assert done.returncode == 0
    assert "nas-gym data remove mine" in done.stderr
    assert "a file" not in done.stderr
