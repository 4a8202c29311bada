"""TPE: proposals equal Optuna's, studies are restored from the state, results, bad input."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import nas_gym
from nas_gym.agents import RandomSearch
from nas_gym.agents.common.random_streams import RandomStreams

optuna = pytest.importorskip("optuna")

from nas_gym.agents.tpe import TPE  # noqa: E402

NB201, RESTRICTED = "NB201-cifar10-alpha-v0", "NBGraph-proteins-v0"
DRIFT = {"signal": "analog_drift_86400", "report": "analog_drift_86400"}
DIAGONAL = [(a, a, a) for a in range(6)]


def searched(env, queries, seed=0, **settings):
    agent = TPE(env, seed=seed, **settings)
    while agent.num_queries < queries:
        agent.query()
    return agent


def queried(agent):
    inner = agent.env.unwrapped
    return (inner.envs[0].unwrapped if hasattr(inner, "envs") else inner).history.indices


@pytest.fixture
def diagonal(cache, tmp_path):
    """Import a table of three decisions and six architectures: most proposals are invalid."""
    path = tmp_path / "diagonal.csv"
    rows = [f"{a},{b},{c},{a}" for a, b, c in DIAGONAL]
    path.write_text("\n".join(["op0,op1,op2,val", *rows]) + "\n")
    nas_gym.import_table(path, "Diagonal", signal="val", report="val")
    return "Diagonal-alpha-v0"


@pytest.mark.parametrize("multivariate", [True, False])
def test_proposals_equal_those_of_optuna(multivariate):
    agent = searched(NB201, 60, seed=7, multivariate=multivariate, num_initial=15)
    streams = RandomStreams([7])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for index in queried(agent)[:, 0]:
        streams.random((1, 6))  # drawn for a uniform architecture, which is not needed
        seed = int(streams.random((1, 10))[0, 0] * 2**32)
        study.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=15, multivariate=multivariate
        )
        trial = study.ask()
        genotype = [trial.suggest_categorical(f"decision{i}", range(5)) for i in range(6)]
        assert agent.space.encode([genotype]) == index
        study.tell(trial, agent.task.rewards[index])


@pytest.mark.parametrize("env_id", [NB201, "NB201-cifar10-population-v0", RESTRICTED])
def test_a_loaded_agent_continues_alike(env_id, tmp_path):
    straight = searched(gym.make_vec(env_id, num_envs=2), 50)
    half = searched(gym.make_vec(env_id, num_envs=2), 25)
    half.save(tmp_path / "agent")
    state = half.env.unwrapped.clone_state()
    envs = gym.make_vec(env_id, num_envs=2)
    envs.restore_state(state)
    loaded = TPE.load(tmp_path / "agent", envs)
    loaded.load_state_dict(loaded.state_dict(), env_restored=True)
    while loaded.num_queries < 50:
        loaded.query()
    np.testing.assert_array_equal(queried(loaded), queried(straight))


def test_an_agent_returns_to_a_state():
    agent = searched(NB201, 20)
    state = agent.state_dict()
    then = [agent.query() or agent.state_dict() for _ in range(15)][-1]
    agent.load_state_dict(state)
    for _ in range(15):
        agent.query()
    np.testing.assert_array_equal(agent.state_dict()["own/genotypes"], then["own/genotypes"])


def test_a_trial_does_not_depend_on_the_number_of_trials(diagonal):
    for env_id in (NB201, diagonal):
        alone = searched(env_id, 40, seed=3)
        many = searched(gym.make_vec(env_id, num_envs=4), 40)
        np.testing.assert_array_equal(queried(alone)[:, 0], queried(many)[:, 3])


def test_architectures_of_a_restricted_space_are_valid(diagonal):
    agent = searched(gym.make_vec(diagonal, num_envs=3), 40)
    assert (agent.best_fitness == 5).all()
    refused = 0
    for study, genotypes, fitness in zip(
        agent.studies, agent.genotypes, agent.fitness, strict=True
    ):
        assert agent.space.contains(genotypes).all()
        complete = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
        assert [list(trial.params.values()) for trial in complete] == genotypes.tolist()
        assert [trial.value for trial in complete] == fitness.tolist()
        failed = study.get_trials(states=[optuna.trial.TrialState.FAIL])
        assert len(failed) + len(complete) == len(study.trials)
        assert not agent.space.contains([[*trial.params.values()] for trial in failed]).any()
        refused += len(failed)
    assert refused > 60


def test_the_last_resort_is_uniform(diagonal, monkeypatch):
    monkeypatch.setattr(TPE, "_propose", lambda self, row, seed: [0, 1, 2])
    monkeypatch.setattr(TPE, "_reject", lambda self, rows: None)
    agent = searched(gym.make_vec(diagonal, num_envs=600), 1)
    counts = np.bincount(queried(agent)[0], minlength=6)
    assert (np.abs(counts - 100) < 45).all()


@pytest.mark.parametrize("mode", ["", "-alpha", "-population"])
def test_a_search_continues_after_the_whole_space(cache, write_csv, mode):
    nas_gym.import_table(write_csv(), "Mine", signal="val", report="test")
    agent = searched(f"Mine{mode}-v0", 60)
    assert agent.best_fitness[0] == agent.task.rewards.max()


@pytest.mark.parametrize("multivariate", [True, False])
@pytest.mark.parametrize("rows", [["conv,narrow,1", "conv,wide,2"], ["conv,narrow,2"]])
def test_decisions_with_one_choice(cache, tmp_path, rows, multivariate):
    path = tmp_path / "one.csv"
    path.write_text("\n".join(["op0,op1,val", *rows]) + "\n")
    nas_gym.import_table(path, "One", signal="val", report="val")
    agent = searched("One-v0", 30, multivariate=multivariate)
    assert agent.best_fitness[0] == 2


@pytest.mark.long
def test_it_beats_random_search():
    # over 100 other seeds, it has 0.64 times the regret of random search
    def regret(agent_class, trials):
        agent = agent_class(gym.make_vec(NB201, num_envs=trials, **DRIFT), seed=1000)
        while agent.num_queries < 100:
            agent.query()
        return agent.task.regret(agent.space.encode(agent.best_genotypes))

    assert regret(TPE, 20).mean() < 0.8 * regret(RandomSearch, 200).mean()


def test_optuna_prints_nothing_and_keeps_its_verbosity(capfd):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        searched(NB201, 12)
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    assert capfd.readouterr().err == ""


def test_a_missing_optuna_is_named(run_python):
    code = """
import sys
import nas_gym.agents.tpe as tpe
assert "optuna" not in sys.modules
sys.modules["optuna"] = None
try:
    tpe.TPE("NB201-cifar10-v0")
except ImportError as error:
    print(error)
"""
    assert run_python(code) == 'TPE needs Optuna: pip install "nas-gym[optuna]".'


def test_bad_settings():
    with pytest.raises(ValueError, match="num_initial must be an integer that is at least 1"):
        TPE(NB201, num_initial=0)
    with pytest.raises(TypeError, match="multivariate must be true or false, got 1"):
        TPE(NB201, multivariate=1)
