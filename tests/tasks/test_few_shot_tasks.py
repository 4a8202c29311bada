"""Tasks whose architectures are adapted to few-shot tasks."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from nas_gym.agents.registry import find_agent
from nas_gym.experiments.audit import audit
from nas_gym.registration import BUILT_IN, Mode, environment_ids
from nas_gym.utils.errors import MissingDataError

NAMES = [name for name in BUILT_IN if "omniglot" in name]


@pytest.fixture
def arguments(few_shot_files, cache):
    def arguments(space):
        return {
            "dataset": str(few_shot_files["images"]),
            "supernet": str(few_shot_files[space]),
            "evaluator": "few-shot(ways=3,shots=1,tasks=2,test_tasks=3)",
            "device": "cpu",
        }

    return arguments


def test_ids():
    settings = [f"{ways}way{shots}shot" for ways in (5, 20) for shots in (1, 5)]
    assert {f"{space}-omniglot-{setting}" for space in ("DARTS", "NB201")
            for setting in (*settings, "oneshot")} == set(NAMES)  # fmt: skip
    for name in NAMES:
        for env_id in environment_ids(name):
            assert env_id in gym.registry


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("space", ["NB201", pytest.param("DARTS", marks=pytest.mark.long)])
def test_search_on_own_images(space, mode, arguments):
    def searched():
        env_id = f"{space}-omniglot-5way1shot{mode.value}-v0"
        env = gym.make_vec(env_id, num_envs=1, **arguments(space))
        settings = {"population_size": 2, "sample_size": 1}
        agent = find_agent("rea").make_agent(env, settings, seed=0)
        steps = agent.space.num_decisions if mode is Mode.SEQUENTIAL else 1
        return agent.learn(3 * steps)

    agent = searched()
    history = agent.env.unwrapped.history
    task = agent.env.unwrapped.task
    rewards = task.evaluator.values("valid_accuracy", agent.space.decode(history.indices[:, 0]))
    np.testing.assert_array_equal(history.reward(history.indices)[:, 0], rewards)
    np.testing.assert_array_equal(searched().env.unwrapped.history.indices, history.indices)


def test_infos_have_no_test_accuracy_except_of_the_incumbent(arguments):
    env = gym.make("NB201-omniglot-5way1shot-alpha-v0", **arguments("NB201"))
    env.reset(seed=0)
    info = env.step(env.action_space.sample())[-1]
    assert set(info["metrics"]) == {"valid_accuracy", "valid_interval", "params", "seconds"}
    assert info["report"] == "few-shot:test_accuracy"
    evaluator = env.unwrapped.task.evaluator
    (test,) = evaluator.values("test_accuracy", np.array([info["genotype"]]))
    assert info["incumbent_report"] == test
    assert info["regret"] == 100 - test


def test_environments_without_images_or_a_meta_supernet(cache, monkeypatch, few_shot_files):
    monkeypatch.setenv("NAS_GYM_DATA", str(cache))
    with pytest.raises(MissingDataError, match="nas-gym data fetch omniglot-images"):
        gym.make("NB201-omniglot-20way5shot-v0", size=9)
    own = {"dataset": str(few_shot_files["images"]), "evaluator": "few-shot(ways=3,shots=2)"}
    with pytest.raises(MissingDataError, match="train-supernet DARTS FOLDER --ways 3 --shots 2"):
        gym.make("DARTS-omniglot-5way1shot-v0", **own)


def test_audit_of_the_number_of_tasks(arguments):
    own = arguments("NB201")
    files = {name: own.pop(name) for name in ("dataset", "supernet", "device")}
    signals = ["few-shot(ways=3,shots=1,tasks=3)", "valid_accuracy"]
    rows = audit("NB201-omniglot-5way1shot-v0", signals, own, sample=3, **files)
    assert [row["signal"] for row in rows] == signals


@pytest.mark.long
def test_a_meta_supernet_is_trained_on_first_use(cache):
    """With the published images; takes two minutes on one core."""
    try:
        env = gym.make("NB201-omniglot-5way1shot-v0", device="cpu")
    except MissingDataError as error:
        pytest.skip(str(error))
    evaluator = env.unwrapped.task.evaluator
    cells = evaluator.space.sample(3, np.random.default_rng(0))
    accuracy = evaluator.values("valid_accuracy", cells)
    assert accuracy.mean() > 40  # chance is 20 %
    assert len(evaluator.population) > 0
