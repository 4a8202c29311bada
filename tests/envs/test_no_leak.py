"""Observations and rewards do not depend on the reported metric."""

import gymnasium as gym
import numpy as np
import pytest
from quick import AGENTS, make_agent

from nas_gym.registration import Mode
from nas_gym.tables import Table, store

SUFFIXES = [mode.value for mode in Mode]

CASES = [
    ("NBGraph-proteins", "nas-bench-graph-proteins", "proteins", "valid_perf", "perf"),
    ("NB201-cifar10", "analog-nasbench", "cifar10", "analog_accuracy", "baseline_accuracy"),
]


def trajectory(envs):
    """Return what an agent receives in a random search, and the regrets."""
    envs.action_space.seed(4)
    given, regrets = [envs.reset(seed=4)[0]], []
    for _ in range(40):
        *result, info = envs.step(envs.action_space.sample())
        given.append(tuple(result))
        if "regret" in info:
            regrets.append(np.copy(info["regret"]))
        if not isinstance(envs, gym.vector.VectorEnv) and (result[1:] and any(result[2:])):
            given.append(envs.reset()[0])
    return tuple(given), np.array(regrets)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("name", "table", "dataset", "signal", "report"), CASES)
@pytest.mark.parametrize("make", [gym.make, gym.make_vec], ids=["scalar", "vector"])
def test_permuted_report(
    make, name, table, dataset, signal, report, suffix, cache, open_table, assert_same
):
    source = open_table(table)
    position = source.position(report)
    values = np.array(source.values)
    values[:, position] = np.random.default_rng(0).permutation(values[:, position])
    store.save_table(Table("permuted", source.space, source.metrics, values, source.objectives))
    results = []
    for each in (table, "permuted"):
        kwargs = {"table": each, "dataset": dataset, "signal": signal, "report": report}
        if make is gym.make_vec:
            kwargs["num_envs"] = 3
        results.append(trajectory(make(f"{name}{suffix}-v0", **kwargs)))
    (given, regrets), (given_permuted, regrets_permuted) = results
    assert_same(given, given_permuted)
    assert len(regrets) > 0
    assert not np.array_equal(regrets, regrets_permuted)


@pytest.mark.parametrize(
    ("agent", "suffix"),
    # the observations of every mode are tested above; agents see rewards alone
    [*((agent, "-alpha") for agent in AGENTS), ("rea", ""), ("l2nas", "-population")],
)
def test_no_agent_notices_a_permuted_report(agent, suffix, cache, open_table):
    source = open_table("nas-bench-graph-proteins")
    values = np.array(source.values)
    values[:, source.position("perf")] = values[::-1, source.position("perf")]
    store.save_table(Table("permuted", source.space, source.metrics, values, source.objectives))
    histories = []
    for table in (source.name, "permuted"):
        envs = gym.make_vec(f"NBGraph-proteins{suffix}-v0", num_envs=3, table=table)
        searching = make_agent(agent, envs)
        while searching.num_queries < 60:
            searching.query()
        histories.append(envs.history.indices)
    np.testing.assert_array_equal(*histories)
