"""Pickled and copied environments continue in the same way as the original."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest

import nas_gym  # noqa: F401

IDS = [f"{task}{mode}-v0" for task in ("NB201-cifar10", "NBGraph-proteins")
       for mode in ("", "-alpha", "-population")]  # fmt: skip


def steps(env, actions):
    return [str(env.step(action)) for action in actions]


@pytest.mark.parametrize("clone", [lambda env: pickle.loads(pickle.dumps(env)), copy.deepcopy])
@pytest.mark.parametrize("vector", [False, True], ids=["scalar", "vector"])
@pytest.mark.parametrize("env_id", IDS)
def test_clones_continue_in_the_same_way(env_id, vector, clone):
    env = gym.make_vec(env_id, num_envs=3) if vector else gym.make(env_id).unwrapped
    env.reset(seed=0)
    length = env.task.space.num_decisions if env_id.count("-") == 2 else 4
    rng = np.random.default_rng(1)

    def actions(n):
        genotypes = env.task.space.sample(n * 3, rng)
        if "alpha" in env_id:
            played = 2 * env.task.space.genotype_to_alpha(genotypes) - 1
        elif "population" in env_id:
            played = genotypes
        else:
            played = genotypes[:3].T
            return list(played if vector else played[:, 0])
        return list(played.reshape(n, 3, -1) if vector else played[:n])

    steps(env, actions(length))  # in sequential mode, one whole architecture: one query
    other = clone(env)
    if env_id.count("-") == 2 and not vector:
        env.reset(), other.reset()
    more = actions(length)
    if env_id.count("-") == 2 and vector:
        more = [more[0], *more]  # the first step resets
    assert steps(env, more) == steps(other, more)
    np.testing.assert_array_equal(env.history.indices, other.history.indices)
