"""MP-NAS as an agent: meta-training, zero-shot queries, refits, other spaces, bad input."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch

import nas_gym
from nas_gym.agents import CATCH, MPNAS, RandomSearch
from nas_gym.spaces.graphs import to_graphs
from nas_gym.tasks.task_set import TaskSet, task_set_of_environments
from nas_gym.utils.ranks import spearman

torch.set_num_threads(1)
ENV = "NB201-cifar10-v0"
# a task without published results
TASK = {"signal": "noisy_accuracy", "report": "noisy_accuracy"}
SMALL = {"width": 16, "layers": 3, "num_candidates": 300, "steps": 25, "tasks": 3}


def make(trials=2, env=ENV, seed=0, **settings):
    envs = gym.make_vec(env, num_envs=trials, **(TASK if env == ENV else {}))
    return MPNAS(envs, seed, **SMALL | settings)


@pytest.fixture(scope="module")
def tasks():
    """Return tasks that need no download: quantized accuracies, tested on noisy accuracy."""
    names = ("baseline_accuracy", "ptq_accuracy", "qat_accuracy")
    arguments = {"table": "analog-nasbench", "dataset": "cifar10"}
    return TaskSet(
        "metrics",
        tuple(f"analog-nasbench:{name}" for name in names),
        lambda rng: arguments | {"signal": "ptq_accuracy", "report": "ptq_accuracy"},
        {"noisy": arguments | TASK},
        separate_datasets=False,
    )


@pytest.fixture(scope="module")
def learned(tasks):
    return make().meta_learn(tasks, epochs=6, queries=1000)


def searched(agent, queries):
    while agent.num_queries < queries:
        agent.query()
    return agent


def test_meta_learning_ranks_new_architectures(learned):
    space = learned.space
    graphs = to_graphs(space, space.decode(np.arange(space.size)))
    accuracy = learned.task.evaluator.column("baseline_accuracy")
    for start in learned.start:
        assert spearman(start.predict(graphs), accuracy) > 0.5
    assert not np.array_equal(*(start.predict(graphs) for start in learned.start))
    assert learned.epochs == 6
    assert np.isfinite(learned.meta_diagnostics()["train/meta_loss"])


@pytest.mark.parametrize("cut", [1, 4])
def test_loaded_meta_training_continues_alike(learned, tasks, cut, tmp_path):
    first = make()
    first.meta_learn(tasks, 6, 1000, callback=lambda agent: agent.epochs < cut)
    assert first.epochs == cut
    first.save(tmp_path / "agent")
    second = MPNAS.load(tmp_path / "agent", first.env).meta_learn(tasks, 6, 1000)
    state = second.state_dict()
    for name, array in learned.state_dict().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)
    # a finished agent has no training state, and does not change
    assert not any(name.startswith("training/") for name in second.state_dict())
    assert second.meta_learn(tasks, 6, 1000).epochs == 6


def test_meta_training_does_not_depend_on_the_number_of_trials(learned, tasks):
    alone = make(1, seed=1).meta_learn(tasks, 6, 1000)
    for name, array in alone.start[0].state_arrays().items():
        np.testing.assert_array_equal(array, learned.start[1].state_arrays()[name])


def test_first_queries_need_no_observation(learned):
    agent = learned.adapt(gym.make_vec(ENV, num_envs=3, **TASK), queries=1, seed=0)
    graphs = to_graphs(agent.space, agent.best_genotypes)
    everything = to_graphs(agent.space, agent.space.decode(np.arange(agent.space.size)))
    for trial in range(3):  # seed s starts from network s modulo 2
        start = learned.start[trial % 2]
        better = start.predict(everything) > start.predict(graphs)[trial]
        assert better.mean() < 0.03  # the best of 300 candidates
    assert len(np.unique(agent.best_genotypes, axis=0)) > 1


@pytest.mark.long
def test_meta_learning_beats_a_search_from_scratch(learned):
    analog = {"signal": "analog_accuracy", "report": "analog_accuracy"}
    envs = gym.make_vec(ENV, num_envs=4, **analog)
    agents = learned.adapt(envs, queries=16, seed=0), searched(MPNAS(envs, 0, **SMALL), 16)
    rewards = agents[0].task.rewards
    ranks = [(rewards > agent.best_fitness[:, None]).sum(axis=1) for agent in agents]
    assert np.median(ranks[0]) < 400  # of 15,625; 660 for random search
    assert np.log1p(ranks[0]).mean() < np.log1p(ranks[1]).mean()


def test_intervals_between_refits_grow(learned):
    agent = make()
    due = [count for count in range(1, 90) if agent.last_refit(count) == count]
    assert due == [4, 8, 12, 16, 20, 25, 31, 38, 47, 58, 72]


@pytest.mark.long
def test_a_metric_to_minimize(learned):
    signal = {"signal": "analog_drift_60_std", "report": "analog_drift_60_std"}
    agent = MPNAS(gym.make_vec(ENV, num_envs=2, **signal), 0, **SMALL)
    assert agent.task.direction == -1
    searched(agent, 30)
    assert agent.best_fitness.mean() > np.quantile(agent.task.rewards, 0.98)
    np.testing.assert_allclose(agent.diagnostics()["score"][:5], np.nan)  # random architectures
    assert (agent.diagnostics()["fine_tuning_steps"][4:] > 0).all()


def test_no_architecture_is_queried_twice():
    agent = searched(make(num_candidates=64, layers=1, refit_every=30), 80)
    for queried in agent.queried:
        assert len(set(queried.tolist())) == 80


def test_transfer_to_another_search_space(learned, tmp_path):
    learned.save(tmp_path / "agent")
    path = str(tmp_path / "agent")
    agent = make(2, "NBGraph-proteins-v0", pretrained=path)
    searched(agent, 9)
    assert agent.epochs == 6
    np.testing.assert_array_equal(
        agent.start[1].state_arrays()["head.weight"], learned.start[1].state_arrays()["head.weight"]
    )
    with pytest.raises(ValueError, match="The tasks are over NBGraph"):
        make().meta_learn("nbgraph/cora", 1, 100)


@pytest.mark.long
def test_a_loaded_search_continues_alike(learned, tmp_path):
    learned.save(tmp_path / "learned")
    begin = {"pretrained": str(tmp_path / "learned")}
    straight = searched(make(**begin), 14)
    half = searched(make(**begin), 6)
    half.save(tmp_path / "half")
    loaded = MPNAS.load(tmp_path / "half", half.env)
    loaded.load_state_dict(half.state_dict(), env_restored=True)
    searched(loaded, 14)
    np.testing.assert_array_equal(straight.queried, loaded.queried)
    for name, values in straight.diagnostics().items():
        np.testing.assert_array_equal(values, loaded.diagnostics()[name])


def test_a_leak_from_the_task_set_is_warned_of(learned, tmp_path):
    learned.save(tmp_path / "agent")
    leaky = gym.make_vec(ENV, num_envs=1)  # reports baseline_accuracy
    with pytest.warns(UserWarning, match="reveals analog-nasbench:baseline_accuracy"):
        MPNAS(leaky, 0, **SMALL, pretrained=str(tmp_path / "agent"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(pretrained=str(tmp_path / "agent"))


def test_continuing_with_other_arguments_is_refused(learned, tasks, tmp_path):
    with pytest.raises(ValueError, match="epochs=6 and queries=1000"):
        learned.meta_learn(tasks, 8, 1000)
    with pytest.raises(ValueError, match="has learned from metrics"):
        learned.meta_learn("nbgraph/cora", 6, 1000)
    learned.save(tmp_path / "agent")
    with pytest.raises(ValueError, match="width = 16"):
        make(width=32, pretrained=str(tmp_path / "agent"))
    CATCH(ENV, 0).save(tmp_path / "catch")
    with pytest.raises(ValueError, match="is a CATCH"):
        make(pretrained=str(tmp_path / "catch"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"refit_every": 0}, "refit_every must be an integer that is at least 1"),
        ({"num_candidates": 0}, "num_candidates must be an integer that is at least 1"),
        ({"num_random": -1}, "num_random must be an integer that is at least 0"),
        ({"algorithm": "sgd"}, "'maml', 'anil', 'boil'"),
        ({"joint": 2.0}, "joint must be a number that is at least 0 and at most 1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


def test_counts_below_1(tasks):
    with pytest.raises(ValueError, match="at least 1"):
        make().meta_learn(tasks, epochs=0)


# -- tables with operations of their own ----------------------------------------------------------


@pytest.fixture
def own_table(tmp_path, cache):
    """Name of the ID of a table with generic decisions; the choice of ``act`` matters most."""
    rows = [
        f"{act},{size},{depth},{10 * j + size + depth}"
        for j, act in enumerate(["relu", "gelu", "tanh", "silu", "elu"])
        for size in range(8)
        for depth in range(8)
    ]
    path = tmp_path / "own.csv"
    path.write_text("act,size,depth,acc\n" + "\n".join(rows) + "\n")
    nas_gym.import_table(
        path, "Own", decisions=["act", "size", "depth"], signal="acc", report="acc"
    )
    return "Own-v0"


@pytest.mark.long
def test_tables_of_ones_own_are_searched(own_table, tmp_path):
    envs = gym.make_vec("Own-alpha-v0", num_envs=4)
    agent = MPNAS(envs, seed=0, width=16, layers=3, num_candidates=300).learn(30)
    random = RandomSearch(gym.make_vec("Own-alpha-v0", num_envs=4), seed=0).learn(30)
    assert agent.best_fitness.mean() > random.best_fitness.mean()
    agent.save(tmp_path / "own")
    again = MPNAS.load(tmp_path / "own", gym.make_vec("Own-alpha-v0", num_envs=4))
    np.testing.assert_array_equal(again.ask(), agent.ask())


def test_meta_learning_needs_enough_architectures(cache, write_csv):
    for name in ("Tiny", "Other"):
        nas_gym.import_table(write_csv(), name, signal="val", report="test")  # 6 architectures
    tasks = task_set_of_environments(["Tiny-v0"], ["Other-v0"])
    with pytest.raises(ValueError, match=r"Tiny has 6 architectures.* 5 \(shots\) and 64"):
        MPNAS("Tiny-v0", seed=0, width=8).meta_learn(tasks, epochs=1, queries=100)


def test_agents_that_have_learned_other_operations_are_refused(own_table, tmp_path):
    MPNAS("NB201-cifar10-alpha-v0", seed=0, width=8).save(tmp_path / "cells")
    with pytest.raises(ValueError, match=r"unified graphs.* Own has 21 operations of its own"):
        MPNAS(own_table, seed=0, width=8, pretrained=str(tmp_path / "cells"))
    MPNAS(own_table, seed=0, width=8).save(tmp_path / "own")
    with pytest.raises(ValueError, match="has learned 21 operations of its own"):
        MPNAS("NB201-cifar10-v0", seed=0, width=8, pretrained=str(tmp_path / "own"))
    MPNAS(own_table, seed=1, width=8, pretrained=str(tmp_path / "own"))


# -- mixtures of earlier tasks ---------------------------------------------------------------------

MIXTURE = {"algorithm": "mixture", "outer_rate": 0.01, "refit_growth": 0.0}


@pytest.fixture(scope="module")
def learned_mixture(tasks):
    return make(**MIXTURE).meta_learn(tasks, epochs=6, queries=1000)


def test_a_mixture_ranks_new_architectures(learned_mixture):
    space = learned_mixture.space
    graphs = to_graphs(space, space.decode(np.arange(space.size)))
    accuracy = learned_mixture.task.evaluator.column("baseline_accuracy")
    for start in learned_mixture.start:
        assert len(start.reference.prior) == 3
        assert spearman(start.predict(graphs), accuracy) > 0.5


@pytest.mark.parametrize(
    ("related", "expected"), [(("cifar100",), [6 / 9, 2 / 9, 1 / 9]), ((), [1 / 3, 1 / 3, 1 / 3])]
)
def test_the_prior_prefers_related_data_sets_then_the_unit(related, expected, open_table):
    columns = (
        "nats-bench:cifar100-test", "hw-nas-bench-360:ninapro-test", "help-latency:gold_6226",
    )  # fmt: skip
    for column in columns:
        open_table(column.partition(":")[0])
    arguments = {"table": "nats-bench", "dataset": "cifar100"}
    test = {"cifar10": {"table": "nats-bench", "dataset": "cifar10"}}
    tasks = TaskSet("own", columns, lambda rng: arguments, test, related=related)
    agent = make(**MIXTURE | {"steps": 1}).meta_learn(tasks, epochs=1, queries=100)
    np.testing.assert_allclose(agent.start[0].reference.prior, expected, rtol=1e-5)


@pytest.mark.parametrize("cut", [0, 3])
def test_meta_training_of_a_mixture_continues_alike(learned_mixture, tasks, cut, tmp_path):
    agent = make(**MIXTURE)
    if cut:
        agent.meta_learn(tasks, 6, 1000, callback=lambda agent: agent.epochs < cut)
        agent.save(tmp_path / "cut")
        agent = MPNAS.load(tmp_path / "cut", gym.make_vec(ENV, num_envs=2, **TASK))
    agent.meta_learn(tasks, epochs=6, queries=1000)
    for one, other in zip(agent.start, learned_mixture.start, strict=True):
        for name, each in one.state_arrays().items():
            np.testing.assert_array_equal(each, other.state_arrays()[name], err_msg=name)


def test_a_loaded_search_with_a_mixture_continues_alike(learned_mixture, tmp_path):
    learned_mixture.save(tmp_path / "learned")
    settings = MIXTURE | {"pretrained": str(tmp_path / "learned")}
    straight = searched(make(**settings), 12)
    agent = searched(make(**settings), 7)
    agent.save(tmp_path / "cut")
    agent = searched(MPNAS.load(tmp_path / "cut", gym.make_vec(ENV, num_envs=2, **TASK)), 12)
    np.testing.assert_array_equal(agent.queried, straight.queried)


def test_other_algorithms_do_not_start_from_a_mixture(learned_mixture, tmp_path):
    learned_mixture.save(tmp_path / "learned")
    with pytest.raises(ValueError, match="algorithm"):
        make(pretrained=str(tmp_path / "learned"))
