"""L2NAS: exploration, proposals, what critic and actor learn, pretraining, and bad settings."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

import nas_gym
from nas_gym.agents import L2NAS, RandomSearch
from nas_gym.utils.files import read_tensors, write_tensors

torch.set_num_threads(1)
# a task without published results
TASK = {"signal": "analog_drift_86400", "report": "analog_drift_86400"}


PAPER = L2NAS.presets["l2nas-paper"]


def make(trials=4, env="NB201-cifar10-alpha-v0", seed=0, config=None, **settings):
    task = TASK if "cifar10" in env else {}
    return L2NAS(gym.make_vec(env, num_envs=trials, **task), seed, config=config, **settings)


def queried(agent):
    return agent.env.unwrapped.history.indices


def test_share_of_random_architectures():
    agent = make(1, num_random=5, anneal_until=15, final_epsilon=0.1, max_batches=1, min_batches=1)
    shares = []
    for _ in range(20):
        shares.append(agent.epsilon)
        agent.query()
    assert shares[:6] == [1.0] * 6
    assert shares[10] == pytest.approx(0.55)  # half of the cosine
    assert (np.diff(shares[5:16]) < 0).all()
    np.testing.assert_allclose(shares[15:], 0.1)


def test_no_architecture_is_queried_twice():
    agent = make()
    agent.learn(120)
    assert all(len(set(column)) == 120 for column in queried(agent).T)


def test_the_preset_of_the_paper_revisits_architectures():
    agent = make(config=PAPER, anneal_until=30)
    agent.learn(120)
    assert any(len(set(column)) < 120 for column in queried(agent).T)
    # the buffer holds the noisy alphas; discretized, they are the queries
    assert len(np.unique(agent.actions)) > 1000
    actions = agent.actions.reshape(-1, agent.space.alpha_size)
    indices = agent.space.encode(agent.space.alpha_to_genotype(actions)).reshape(4, 120)
    np.testing.assert_array_equal(indices, queried(agent).T)
    accuracy = agent.task.reward(queried(agent).T) / 100
    np.testing.assert_allclose(agent.scaled_rewards(), 100**accuracy)  # Eq. 3


@pytest.mark.parametrize("env", ["NBGraph-proteins-v0", "Tiny-v0"])
def test_restricted_and_exhausted_spaces(env, cache, write_csv):
    nas_gym.import_table(write_csv(), "Tiny", signal="val", report="test")
    agent = make(2, env)
    for _ in range(30):
        agent.query()
    indices = queried(agent)
    if env == "Tiny-v0":
        assert all(len(set(column[:8])) >= 5 for column in indices.T)
        assert agent.task.regret(agent.space.encode(agent.best_genotypes)).max() == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "bounds"),
    [
        ({}, (0.75, 0.99)),
        ({"scaling": "standard"}, (0.75, 0.99)),
        ({"scaling": "none", "num_critics": 2}, (0.75, 0.99)),
        ({"loss": "squared"}, (0.35, 0.65)),  # the mean of this distribution is its median
    ],
)
def test_critic_learns_the_quantile_of_rewards(settings, bounds):
    # rewards are independent of the architecture, so that only their distribution can be learned
    agent = make(2, quantile=0.9, max_batches=10, num_random=10_000, **settings)
    rng = np.random.default_rng(0)
    for _ in range(300):
        agent.tell(agent.ask(), rng.normal(size=2))
    below = (agent.scaled_rewards() <= agent.predict_rewards(agent.actions)).mean(axis=1)
    low, high = bounds
    assert ((below > low) & (below < high)).all()


def test_actor_climbs_the_prediction_of_the_critic():
    agent = make(2)
    agent.learn(60)
    states = torch.from_numpy(agent.top.mean())[:, None].repeat(1, agent.config.batch_size, 1)
    before = -agent.update_actor(states)
    for _ in range(50):
        after = -agent.update_actor(states)
    assert (after > before).all()


@pytest.mark.long
def test_it_beats_random_search():
    regrets = []
    for agent in (make(12, seed=100), RandomSearch(gym.make_vec(
        "NB201-cifar10-alpha-v0", num_envs=12, **TASK), seed=100)):  # fmt: skip
        agent.learn(150)
        regrets.append(agent.task.regret(agent.space.encode(agent.best_genotypes)).mean())
    assert regrets[0] < 0.8 * regrets[1]  # 0.5 over many seeds


def test_number_of_batches_after_a_query():
    agent = make(2, max_batches=5, min_batches=2)  # section 2.3: min(|R| // |B|, C_max)
    steps = []
    for _ in range(60):
        agent.query()
        kept = agent.actor.arrays().get("step")
        steps.append(0 if kept is None else int(kept))
    batches = np.diff([0, *steps])
    expected = np.minimum(np.arange(1, 61) // 8, 5)
    np.testing.assert_array_equal(batches, np.where(expected == 1, 2, expected))


@pytest.mark.parametrize("env", ["NB201-cifar10-alpha-v0", "NBGraph-proteins-v0"])
@pytest.mark.parametrize("settings", [{}, {"num_critics": 3, "max_batches": 3, "min_batches": 1}])
def test_a_trial_is_bit_identical_for_every_number_of_trials(settings, env):
    together = make(7, env, **settings)
    while together.num_queries < 40:
        together.query()
    for first, trials in ((2, 1), (4, 3)):
        fewer = make(trials, env, seed=first, **settings)
        while fewer.num_queries < 40:
            fewer.query()
        which = slice(first, first + trials)
        np.testing.assert_array_equal(queried(fewer), queried(together)[:, which])
        recorded, expected = fewer.diagnostics(), together.diagnostics()
        for name in fewer.diagnostic_names[2:]:
            np.testing.assert_array_equal(recorded[name], expected[name][:, which])
        for mine, theirs in zip(fewer.actor.parameters, together.actor.parameters, strict=True):
            assert torch.equal(mine, theirs[which])


def test_unseen_architectures_replace_candidates_that_were_all_queried():
    agent = make(2, num_candidates=1, num_random=0)
    for index in range(100, agent.space.size):
        agent.seen.add(np.full(2, index))
    agent.learn(100)
    assert all(sorted(column) == list(range(100)) for column in queried(agent).T)


def test_the_buffer_holds_the_latest_experiences():
    short, long, all_of_it = (make(2, buffer_size=size).learn(60) for size in (30, 60, 0))
    assert short.states.shape[1] == short.actions.shape[1] == short.rewards.shape[1] == 30
    np.testing.assert_array_equal(queried(long), queried(all_of_it))
    np.testing.assert_array_equal(queried(short)[:30], queried(long)[:30])
    assert not np.array_equal(queried(short), queried(long))
    task = short.task
    np.testing.assert_array_equal(
        short.rewards, task.reward(queried(short)[30:]).T.astype(short.rewards.dtype)
    )


def test_diagnostics():
    agent = make(3)
    agent.learn(80)
    found = agent.diagnostics()
    assert set(found) == {
        "critic_loss", "actor_loss", "epsilon", "novelty", "prediction", "calibration"
    }  # fmt: skip
    assert all(values.shape == (80, 3) for values in found.values())
    assert np.isnan(found["critic_loss"][:7]).all()  # no complete batch yet
    for name, values in found.items():
        assert not np.isnan(values[8:]).any(), name
    np.testing.assert_array_equal(found["epsilon"][:, 0], [1] * 20 + [0] * 60)
    assert ((found["novelty"] > 0) & (found["novelty"] <= 1)).all()
    assert ((found["calibration"][8:] >= 0) & (found["calibration"][8:] <= 1)).all()


def test_critic_predicts_new_architectures():
    agent = make(3, num_random=100)
    agent.learn(100)
    scores = agent.scaled_rewards()
    predicted = agent.state_dict()["own/log"][..., agent.diagnostic_names.index("prediction")]
    for trial in range(3):
        assert np.corrcoef(scores[trial, 40:], predicted[trial, 40:])[0, 1] > 0.3


def test_pretrained_networks_are_copied(tmp_path):
    make(2, max_batches=2).learn(40).save(tmp_path / "old")
    old = L2NAS.load(tmp_path / "old", make(2).env)
    agent = make(3, env="NB201-cifar10-v0", pretrained=str(tmp_path / "old.safetensors"))
    for mine, theirs in ((agent.actor, old.actor), (agent.critics, old.critics)):
        for fresh, kept in zip(mine.parameters, theirs.parameters, strict=True):
            assert torch.equal(fresh, kept[[0, 1, 0]])
    assert agent.num_queries == 0
    assert agent.rewards.shape == (3, 0)
    # a saved agent does not need the pretrained file
    agent.learn(6)
    agent.save(tmp_path / "new")
    (tmp_path / "old.safetensors").unlink()
    L2NAS.load(tmp_path / "new", make(3, env="NB201-cifar10-v0").env)


def test_pretrained_files_that_do_not_fit(tmp_path):
    make(1).save(tmp_path / "one")
    file = str(tmp_path / "one.safetensors")
    with pytest.raises(ValueError, match=r"trained on NB201.*NBGraph"):
        L2NAS("NBGraph-cora-v0", pretrained=file)
    with pytest.raises(ValueError, match="hidden = 128"):
        make(1, hidden=64, pretrained=file)
    with pytest.raises(FileNotFoundError):
        make(1, pretrained=str(tmp_path / "none"))
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(nas_gym.utils.errors.DamagedDataError, match="broken"):
        make(1, pretrained=str(tmp_path / "broken"))


def test_pretrained_files_that_lack_a_weight(tmp_path):
    make(1).save(tmp_path / "one")
    state = read_tensors(tmp_path / "one.safetensors")
    del state["actor/parameter.0"]
    write_tensors(tmp_path / "part.safetensors", state)
    with pytest.raises(nas_gym.utils.errors.DamagedDataError, match="not a complete saved agent"):
        make(1, pretrained=str(tmp_path / "part"))


def test_the_environment_has_the_same_or_another_reward():
    envs = gym.make_vec("NB201-cifar10-alpha-v0", num_envs=1, reward="exponential")
    agent = L2NAS(envs, seed=0, config=PAPER).learn(5)
    np.testing.assert_array_equal(agent.rewards[0], agent.task.reward(queried(agent)[:, 0]))
    with pytest.raises(ValueError, match="already"):
        L2NAS(envs, reward="rescaled(best=0.9)")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"loss": "absolute"}, "loss must be one of"),
        ({"scaling": "log"}, "scaling must be one of"),
        ({"quantile": 1.0}, "above 0 and below 1"),
        ({"final_epsilon": 1.5}, "at least 0 and at most 1"),
        ({"num_critics": 0}, "num_critics must be an integer that is at least 1"),
        ({"noise": -0.1}, "noise must be a number that is at least 0"),
        ({"num_random": -1}, "num_random must be an integer that is at least 0"),
        ({"actor_learning_rate": float("inf")}, "actor_learning_rate must be .*got inf"),
        ({"hidden": 100}, "multiple of 32"),
        ({"reward": "cubic"}, "reward"),
    ],
)
def test_bad_settings(settings, match):
    with pytest.raises(ValueError, match=match):
        make(1, **settings)
