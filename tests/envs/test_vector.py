"""Vector environments behave like several scalar environments."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from nas_gym.agents import RandomSearch
from nas_gym.recording import RecordSearch, RecordVectorSearch
from nas_gym.registration import Mode

SUFFIXES = [mode.value for mode in Mode]

NUM_ENVS = 5
SETTINGS = {
    "": [{}, {"noise": 0.5}],
    "-alpha": [
        {"max_episode_steps": 6},
        {"max_episode_steps": 9, "top_k": 2},
        {"max_episode_steps": 9, "noise": 0.5, "reward": "exponential"},
    ],
    "-population": [
        {"max_episode_steps": 5},
        {"max_episode_steps": 4, "population_size": 4, "num_offspring": 3, "survival": "elitist"},
        {"max_episode_steps": 4, "population_size": 2, "num_offspring": 5},
        {"max_episode_steps": 5, "noise": 0.5},
    ],
}
CASES = [
    pytest.param(f"{name}{suffix}-v0", kwargs, id=f"{name}{suffix}-{i}")
    for name in ("NB201-cifar10", "NBGraph-cora", "NBGraph-proteins")
    for suffix in SUFFIXES
    for i, kwargs in enumerate(SETTINGS[suffix])
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("env_id", "kwargs"), CASES)
def test_agrees_with_scalar_environments(env_id, kwargs, autoreset_mode, make, assert_same):
    scalar = SyncVectorEnv(
        [partial(make, env_id, **kwargs)] * NUM_ENVS, autoreset_mode=autoreset_mode
    )
    native = gym.make_vec(env_id, num_envs=NUM_ENVS, autoreset_mode=autoreset_mode, **kwargs)
    native.action_space.seed(11)
    assert_same(native.reset(seed=11), scalar.reset(seed=11), "reset")
    ends = 0
    for step in range(31):
        actions = native.action_space.sample()
        results = [native.step(actions), scalar.step(actions)]
        if step < 16 and step % 3 == 0:
            continue  # unread infos must not change later ones
        names = ("observations", "rewards", "terminated", "truncated", "infos")
        for name, actual, expected in zip(names, *results, strict=True):
            assert_same(actual, expected, f"step {step}: {name}")
        ends += results[0][2].any() or results[0][3].any()
    assert ends >= 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_reset_in_mid_episode(suffix, assert_same, open_table):
    """A reset with the same seed begins the same searches again, in the middle of an episode."""
    open_table("nas-bench-graph-proteins")
    env_id = f"NBGraph-proteins{suffix}-v0"
    envs = gym.make_vec(env_id, num_envs=3)
    runs = []
    for _ in range(2):
        envs.action_space.seed(0)
        run = [envs.reset(seed=9)]
        run += [envs.step(envs.action_space.sample()) for _ in range(8)]
        runs.append(run)
    assert_same(*map(tuple, runs))


def test_later_steps_do_not_change_earlier_results(assert_same, open_table):
    open_table("analog-nasbench")
    from copy import deepcopy

    for suffix in SUFFIXES:
        envs = gym.make_vec(f"NB201-cifar10{suffix}-v0", num_envs=3)
        envs.reset(seed=0)
        results = [envs.step(envs.action_space.sample())[:4] for _ in range(6)]
        kept = deepcopy(results)
        for _ in range(6):
            envs.step(envs.action_space.sample())
        assert_same(tuple(results), tuple(kept))


@pytest.mark.parametrize("suffix", ["", "-alpha", "-population"])
def test_a_list_of_seeds_equals_a_first_seed(suffix, assert_same):
    env_id = f"NB201-cifar10{suffix}-v0"
    counted, listed = gym.make_vec(env_id, num_envs=3), gym.make_vec(env_id, num_envs=3)
    assert_same(listed.reset(seed=[4, 5, 6]), counted.reset(seed=4))
    with pytest.raises(ValueError, match="3 searches need 3 seeds, got 2"):
        listed.reset(seed=[4, 5])


@pytest.mark.parametrize("suffix", ["", "-alpha", "-population"])
def test_episodes_are_truncated_as_by_gymnasiums_time_limit(suffix, assert_same):
    env_id = f"NB201-cifar10{suffix}-v0"
    native = gym.make_vec(env_id, num_envs=2, max_episode_steps=4)
    sync = gym.vector.SyncVectorEnv([lambda: gym.make(env_id, max_episode_steps=4)] * 2)
    assert_same(native.reset(seed=1), sync.reset(seed=1))
    native.action_space.seed(0)
    for _ in range(15):
        action = native.action_space.sample()
        assert_same(native.step(action), sync.step(action))
    with pytest.raises(ValueError, match="max_episode_steps is at least 1"):
        gym.make_vec(env_id, num_envs=2, max_episode_steps=0)


@pytest.mark.parametrize(
    ("mask", "error", "word"),
    [
        (np.array([True, False]), ValueError, "selects 1 of 2 searches. They run in lockstep"),
        (np.array([False, False]), ValueError, "selects 0 of 2"),
        (np.array([True]), ValueError, r"must have shape \(2,\), got \(1,\)"),
        (np.array([1, 1]), TypeError, "array of bool, got an array of int64"),
        ([True, True], TypeError, "array of bool, got"),
        (None, TypeError, "array of bool, got None"),
    ],
)
def test_a_refused_reset_changes_nothing(mask, error, word):
    envs = gym.make_vec("NB201-cifar10-v0", num_envs=2)
    envs.reset(seed=0)
    for _ in range(6):
        envs.step(np.zeros(2, int))
    with pytest.raises(error, match=word):
        envs.reset(seed=1, options={"reset_mask": mask})
    assert envs.history.queries == 1


@pytest.mark.parametrize(("env_id", "kwargs"), CASES)
def test_without_autoreset_the_caller_resets_finished_episodes(env_id, kwargs, make, assert_same):
    """The loop of Gymnasium's documentation, with a mask of the episodes that have ended."""
    disabled = {"autoreset_mode": AutoresetMode.DISABLED}
    scalar = SyncVectorEnv([partial(make, env_id, **kwargs)] * NUM_ENVS, **disabled)
    native = gym.make_vec(env_id, num_envs=NUM_ENVS, **disabled, **kwargs)
    assert native.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    native.action_space.seed(3)
    assert_same(native.reset(seed=3), scalar.reset(seed=3))
    ends = 0
    for _ in range(20):
        actions = native.action_space.sample()
        results = native.step(actions), scalar.step(actions)
        assert_same(*results)
        mask = results[0][2] | results[0][3]
        if mask.any():
            ends += 1
            with pytest.raises(gym.error.ResetNeeded, match=r"DISABLED: call envs\.reset"):
                native.step(native.action_space.sample())
            assert_same(*(envs.reset(options={"reset_mask": mask}) for envs in (native, scalar)))
    assert ends >= 2


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("native", [True, False], ids=["native", "sync"])
def test_agents_search_without_autoreset(suffix, native):
    """An agent resets the environments itself, and finds what it finds with autoreset."""
    kwargs = {"max_episode_steps": 4} if suffix else {}
    env_id, found = f"NB201-cifar10{suffix}-v0", []
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED):
        if native:
            envs = gym.make_vec(env_id, num_envs=2, autoreset_mode=mode, **kwargs)
            recorders = [envs := RecordVectorSearch(envs)]
        else:
            recorders = [RecordSearch(gym.make(env_id, **kwargs)) for _ in range(2)]
            envs = SyncVectorEnv([lambda one=one: one for one in recorders], autoreset_mode=mode)
        RandomSearch(envs, seed=0).learn(11)
        found.append(np.hstack([recorder.curves().indices for recorder in recorders]))
    np.testing.assert_array_equal(*found)


def test_samples_of_restricted_spaces_reach_every_valid_action():
    envs = gym.make_vec("NBGraph-proteins-v0", num_envs=400)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    for choices in (9, 5, 5, 5):
        actions = envs.action_space.sample()
        assert np.bincount(actions, minlength=choices).min() > 400 / choices / 2
        envs.step(actions)


def test_sampled_actions_do_not_repeat_the_initial_population():
    env = gym.make("NB201-cifar10-population-v0")
    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    population = observation["genotypes"].reshape(-1, 6).tolist()
    assert not any(env.action_space.sample().tolist() in population for _ in range(10))
