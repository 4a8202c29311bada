"""IDs, and tables of one's own."""

import warnings

import gymnasium as gym
import numpy as np
import pytest

import nas_gym
from nas_gym import tables
from nas_gym.registration import BUILT_IN, Mode, environments, import_table, register_all
from nas_gym.spaces import CategoricalSpace
from nas_gym.tables import DataError, Metric, Objective, Table, store

COLUMNS = {"signal": "val", "report": "test"}
IDS = ["Mine-v0", "Mine-alpha-v0", "Mine-population-v0"]


@pytest.fixture(autouse=True)
def registry(cache, monkeypatch):
    """Tables of a test, and their IDs, are gone after it."""
    monkeypatch.setattr(gym.envs.registration, "registry", dict(gym.registry))
    monkeypatch.setattr(gym, "registry", gym.envs.registration.registry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_ids_of_one_task():
    expected = {
        "": ("Sequential", None),
        "-alpha": ("Alpha", 500),
        "-population": ("Population", 490),
    }
    assert [mode.value for mode in Mode] == list(expected)
    for suffix, (mode, steps) in expected.items():
        spec = gym.spec(f"NB201-ImageNet16-120{suffix}-v0")
        assert spec.max_episode_steps == steps
        assert spec.entry_point == f"nas_gym.envs.{mode.lower()}:{mode}Env"
        assert spec.vector_entry_point == f"nas_gym.envs.{mode.lower()}:{mode}VectorEnv"
        assert spec.kwargs == {"table": "nats-bench", "dataset": "ImageNet16-120"}
    assert environments() == BUILT_IN


def test_registering_again_is_quiet():
    before = dict(gym.registry)
    register_all()
    assert gym.registry == before


def test_an_imported_table_in_this_process(write_csv):
    assert import_table(write_csv(), "Mine", **COLUMNS) == IDS
    assert nas_gym.import_table is import_table
    for env_id in IDS:
        env = gym.make(env_id)
        env.action_space.seed(0)
        env.reset(seed=0)
        for _ in range(2):
            info = env.step(env.action_space.sample())[4]
        val, test = info["metrics"]["val"], info["metrics"]["test"]
        assert np.all(test == val // 10 * 9 + 2 * (val % 10))
        assert env.unwrapped.task.optimum == 13
        envs = gym.make_vec(env_id, num_envs=2)
        assert envs.observation_space.contains(envs.reset(seed=0)[0])
    assert environments()["Mine"] == {"table": "Mine", "dataset": "Mine"}


def test_an_imported_table_in_a_fresh_process(write_csv, run_python):
    import_table(write_csv(), "Mine", **COLUMNS)
    code = f"""
import gymnasium as gym, nas_gym
for env_id in {IDS}:
    env = gym.make(env_id)
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(2):
        info = env.step(env.action_space.sample())[4]
    print(env_id, info["queries"] > 0, float(env.unwrapped.task.optimum))
"""
    assert run_python(code).splitlines() == [f"{env_id} True 13.0" for env_id in IDS]


def test_replace(write_csv):
    path = write_csv()
    import_table(path, "Mine", **COLUMNS)
    with pytest.raises(ValueError, match=r"already a table 'Mine'.*replace=True.*data remove Mine"):
        import_table(path, "Mine", **COLUMNS)
    assert import_table(write_csv(offset=100), "Mine", replace=True, **COLUMNS) == IDS
    assert gym.make("Mine-v0").unwrapped.task.optimum == 113


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a/b", "../a", ".a", "-a", "a-v0", "Mine-v12", "a:b", "a\n", "a*", "a" * 101],
)
def test_names_that_cannot_be_ids(name, write_csv, cache):
    with pytest.raises(ValueError, match="cannot be a name"):
        import_table(write_csv(), name, **COLUMNS)
    assert not cache.exists()


@pytest.mark.parametrize(
    "name", ["analog-nasbench", "nats-bench", "NB201-cifar10", "NBGraph-cora", "predictor"]
)
def test_names_of_built_in_tables_and_tasks(name, write_csv, cache):
    with pytest.raises(ValueError, match="built-in"):
        import_table(write_csv(), name, **COLUMNS)
    assert not cache.exists()


@pytest.mark.parametrize("name", ["NB201-cifar10-alpha", "NBGraph-cora-population", "Other-alpha"])
def test_names_whose_ids_are_taken(name, write_csv):
    """``NB201-cifar10-alpha-v0`` already means the alpha mode of ``NB201-cifar10``."""
    import_table(write_csv(), "Other", **COLUMNS)
    before = dict(gym.registry)
    with pytest.raises(ValueError, match=f"has the ID {name}"):
        import_table(write_csv(), name, **COLUMNS)
    assert not store.is_stored(name)
    assert gym.registry == before


def test_names_of_gymnasiums_own_environments(write_csv):
    with pytest.raises(ValueError, match="has the ID CartPole-v0"):
        import_table(write_csv(), "CartPole", **COLUMNS)
    assert gym.spec("CartPole-v0").entry_point.startswith("gymnasium.")


def test_a_table_of_several_data_sets_and_what_replaces_it(write_csv):
    space = CategoricalSpace([list("ab"), list("cd")])
    both = {name: Objective(name, name) for name in ("x", "y")}
    metrics = (Metric("x"), Metric("y"))
    store.save_table(Table("Mine", space, metrics, np.arange(8.0).reshape(4, 2), both))
    register_all()
    assert gym.make("Mine-x-v0").unwrapped.task.optimum == 6
    assert gym.make("Mine-y-population-v0").unwrapped.task.optimum == 7
    assert set(environments()) - set(BUILT_IN) == {"Mine-x", "Mine-y"}
    assert import_table(write_csv(), "Mine", replace=True, **COLUMNS) == IDS
    assert "Mine-x-v0" not in gym.registry


def test_a_fault_in_the_file_stores_nothing(tmp_path, cache):
    path = tmp_path / "bad.csv"
    path.write_text("op0,op1,val\na,b,1\na,c,oops\n")
    with pytest.raises(ValueError, match=r"bad\.csv"):
        import_table(path, "Mine", signal="val")
    with pytest.raises((ValueError, DataError), match=r"none\.csv"):
        import_table(tmp_path / "none.csv", "Mine")
    assert not cache.exists()
    assert "Mine-v0" not in gym.registry


def test_a_failed_replacement_keeps_the_table(write_csv, tmp_path):
    import_table(write_csv(), "Mine", **COLUMNS)
    path = tmp_path / "bad.csv"
    path.write_text("op0,op1,val\na,b,oops\n")
    with pytest.raises(ValueError, match=r"bad\.csv"):
        import_table(path, "Mine", replace=True, signal="val")
    assert gym.make("Mine-v0").unwrapped.task.optimum == 13
    assert tables.imported_tables() == ["Mine"]


def test_the_longest_name(write_csv):
    assert import_table(write_csv(), "a" * 100, **COLUMNS)[0] == "a" * 100 + "-v0"


def test_importing_works_without_a_readable_cache(run_python):
    """Permissions do not bind root: a name that is too long cannot be looked up either."""
    code = "import gymnasium, nas_gym; print(gymnasium.spec('NB201-cifar10-v0').id)"
    done = run_python(code, check=False, NAS_GYM_CACHE="x" * 300)
    assert done.stdout.strip() == "NB201-cifar10-v0", done.stderr
    assert done.stderr.count("The cache cannot be read") == 1


def test_replacing_a_table_keeps_ids_of_the_users_own(write_csv):
    import_table(write_csv(), "Mine", **COLUMNS)
    arguments = {"table": "Mine", "dataset": "Mine"}
    gym.register("Own-v0", entry_point="own.module:Env", kwargs=arguments)
    gym.register("Changed-v0", entry_point=gym.spec("Mine-v0").entry_point, kwargs=arguments)
    import_table(write_csv(offset=100), "Mine", replace=True, **COLUMNS)
    assert "Own-v0" in gym.registry
    assert gym.make("Changed-v0").unwrapped.task.optimum == 113


def test_columns_of_official_files_are_not_for_choice(cache, tmp_path):
    (tmp_path / "NAS-Bench-201-v1_1-096897.pth").write_bytes(b"")
    with pytest.raises(ValueError, match="leave out signal"):
        nas_gym.import_table(tmp_path / "NAS-Bench-201-v1_1-096897.pth", "Mine", signal="x")
