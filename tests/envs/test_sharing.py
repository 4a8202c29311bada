"""Environments share what does not change, so that many of them, and their pickles, are small."""

import gc
import pickle
import tracemalloc
import weakref

import gymnasium as gym
import numpy as np
import pytest

import nas_gym
from nas_gym.registration import Mode
from nas_gym.tables import DataError
from nas_gym.tasks import make_task
from nas_gym.tasks.rewards import ExponentialReward

SUFFIXES = [mode.value for mode in Mode]
ANALOG = {"table": "analog-nasbench", "dataset": "cifar10"}


def search(env, seed):
    """Finish an episode in sequential mode, or make six steps, and read every info."""
    env.reset(seed=seed)
    env.action_space.seed(seed)
    for _ in range(6):
        *_, terminated, _, info = env.step(env.action_space.sample())
        dict(info)
        if np.all(terminated):
            break
    return env


@pytest.mark.parametrize("name", ["NB201-cifar10", "NBGraph-cora"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_environment_takes_20_kb(name, suffix):
    env_id, count = f"{name}{suffix}-v0", 100
    first = search(gym.make(env_id), 0)
    tracemalloc.start()
    try:
        others = [search(gym.make(env_id), i) for i in range(count)]
        assert tracemalloc.get_traced_memory()[0] / count < 20_000
    finally:
        tracemalloc.stop()
    assert all(other.unwrapped.task is first.unwrapped.task for other in others)


@pytest.mark.parametrize("name", ["NB201-cifar10", "NBGraph-cora"])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("vector", [False, True], ids=["scalar", "vector"])
def test_a_pickled_environment_takes_50_kb(name, suffix, vector):
    env_id = f"{name}{suffix}-v0"
    env = search(gym.make_vec(env_id, num_envs=3) if vector else gym.make(env_id), 0)
    pickled = pickle.dumps(env)
    assert len(pickled) < 50_000
    restored = pickle.loads(pickled).unwrapped
    assert restored.task is env.unwrapped.task  # in the same process
    np.testing.assert_array_equal(restored.history.indices, env.unwrapped.history.indices)


def test_a_pickle_is_read_by_another_process(run_python, tmp_path):
    (tmp_path / "env").write_bytes(pickle.dumps(search(gym.make("NBGraph-cora-alpha-v0"), 0)))
    printed = run_python(
        f"import pickle; env = pickle.load(open({str(tmp_path / 'env')!r}, 'rb'))\n"
        "print(env.unwrapped.history.queries, env.unwrapped.task)"
    )
    assert printed.startswith("6 <Task NBGraph on cora")


def test_tasks_of_other_arguments_are_others():
    task = make_task(**ANALOG)
    assert make_task(**ANALOG) is task
    others = [
        {"signal": "analog_accuracy"},
        {"report": "analog_accuracy"},
        {"noise": 0.5},
        {"reward": "exponential"},
    ]
    for other in others:
        assert make_task(**ANALOG, **other).describe() != task.describe()
    reward = ExponentialReward()
    assert make_task(**ANALOG, reward=reward) is not make_task(**ANALOG, reward=reward)


def test_unused_tasks_are_freed():
    task = weakref.ref(make_task(**ANALOG, noise=0.123))  # no other test has this noise
    gc.collect()
    assert task() is None


def test_environments_over_a_replaced_table(cache, write_csv):
    """New environments have the new values; old environments and their pickles, the old ones."""
    columns = {"signal": "val", "report": "test"}
    (env_id, *_) = nas_gym.import_table(write_csv(), "mine", **columns)
    old = gym.make(env_id).unwrapped
    by_name = pickle.dumps(old)
    nas_gym.import_table(write_csv(offset=1.0), "mine", replace=True, **columns)
    new = gym.make(env_id).unwrapped
    np.testing.assert_array_equal(new.task.rewards, old.task.rewards + 1)
    again = pickle.loads(pickle.dumps(old))
    np.testing.assert_array_equal(again.task.rewards, old.task.rewards)
    with pytest.raises(DataError, match="pickled with another version of its tables"):
        pickle.loads(by_name)


def test_tasks_of_objects_are_pickled_as_a_whole():
    table = nas_gym.load_table("nas-bench-graph-proteins")
    evaluator = nas_gym.evaluators.TableEvaluator(table)
    task = nas_gym.Task(table.space, evaluator, dataset="proteins")
    again = pickle.loads(pickle.dumps(task))
    assert again is not task
    np.testing.assert_array_equal(again.rewards, task.rewards)
