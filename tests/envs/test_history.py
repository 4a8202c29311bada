"""Entries of info and the search history, compared with a simple loop."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nas_gym  # noqa: F401
from nas_gym.envs.history import SearchHistory
from nas_gym.tasks import make_task

ANALOG = make_task(table="analog-nasbench", dataset="cifar10", signal="analog_accuracy")


def expected(task, indices):
    """Return the expected entries of info after each query of one search."""
    queried, best, rows = set(), None, []
    for i, index in enumerate(indices):
        queried.add(index)
        if best is None or task.rewards[index] > task.rewards[best]:
            best = index
        report = float(task.reported(np.array(best)))
        rows.append(
            {
                "index": index,
                "queries": i + 1,
                "unique_queries": len(queried),
                "incumbent": best,
                "incumbent_reward": task.rewards[best],
                "incumbent_report": report,
                "regret": pytest.approx(abs(task.optimum - report), abs=1e-12),
            }
        )
    return rows


# Few architectures, so that searches repeat them.
pools = st.lists(st.integers(0, ANALOG.space.size - 1), min_size=1, max_size=5)
searches = pools.flatmap(
    lambda pool: st.lists(
        st.lists(st.sampled_from(pool), min_size=3, max_size=3), min_size=1, max_size=12
    )
)


def check(infos, indices, *, late):
    """Compare infos, read in order or (``late``) in reverse order, with the expected entries."""
    pairs = list(zip(infos, expected(ANALOG, indices), strict=True))
    for info, row in reversed(pairs) if late else pairs:
        assert {key: info[key] for key in row} == row
        assert info["regret"] >= 0
        assert info["arch"] == ANALOG.space.to_text(info["genotype"])[0]
        assert info["metrics"]["analog_accuracy"] == ANALOG.rewards[info["index"]]


def row_of(infos, i):
    """Return the info of one search of a vector environment."""
    row = {key: infos[key][i] for key in infos if key[0] != "_" and key != "metrics"}
    row["metrics"] = {key: infos["metrics"][key][i] for key in infos["metrics"]}
    return row


@settings(deadline=None, max_examples=40)
@given(searches, st.booleans())
def test_sequential(search, late):
    columns = np.array(search)
    env = gym.make("NB201-cifar10-v0", task=ANALOG)
    envs = gym.make_vec("NB201-cifar10-v0", num_envs=3, task=ANALOG, autoreset_mode="SameStep")
    env.reset(seed=0), envs.reset(seed=0)
    infos, vector_infos = [], []
    for row in columns:
        genotypes = ANALOG.space.decode(row)
        env.reset()
        for decision in genotypes[0]:
            _, reward, terminated, _, info = env.step(decision)
        for decisions in genotypes.T:
            _, rewards, _, _, all_infos = envs.step(decisions)
        assert terminated
        assert reward == ANALOG.rewards[row[0]]
        np.testing.assert_array_equal(rewards, ANALOG.rewards[row])
        infos.append(info)
        vector_infos.append(all_infos["final_info"])
    check(infos, columns[:, 0].tolist(), late=late)
    for i in range(3):
        check([row_of(each, i) for each in vector_infos], columns[:, i].tolist(), late=late)


@settings(deadline=None, max_examples=40)
@given(searches, st.booleans())
def test_alpha(search, late):
    columns = np.array(search)
    env = gym.make("NB201-cifar10-alpha-v0", task=ANALOG)
    envs = gym.make_vec("NB201-cifar10-alpha-v0", num_envs=3, task=ANALOG)
    env.reset(seed=0), envs.reset(seed=0)
    infos, vector_infos = [], []
    for row in columns:
        actions = ANALOG.space.genotype_to_alpha(ANALOG.space.decode(row)) * 2 - 1
        observation, reward, _, _, info = env.step(actions[0])
        observations, rewards, _, _, all_infos = envs.step(actions)
        np.testing.assert_array_equal(rewards, ANALOG.rewards[row])
        assert reward == rewards[0]
        infos.append(info)
        vector_infos.append(all_infos)
    check(infos, columns[:, 0].tolist(), late=late)
    for i in range(3):
        check([row_of(each, i) for each in vector_infos], columns[:, i].tolist(), late=late)
        # Fewer than top_k were queried: the observation is the mean of all distinct ones.
        distinct = ANALOG.space.decode(np.unique(columns[:, i]))
        mean = ANALOG.space.genotype_to_alpha(distinct).mean(axis=0)
        np.testing.assert_allclose(observations[i], mean, atol=1e-6)
    np.testing.assert_array_equal(observation, observations[0])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 30), min_size=2, max_size=30), st.integers(1, 5))
def test_alpha_keeps_the_best(indices, top_k):
    env = gym.make("NB201-cifar10-alpha-v0", task=ANALOG, top_k=top_k)
    env.reset()
    for index in indices:
        alpha = ANALOG.space.genotype_to_alpha(ANALOG.space.decode([index]))[0]
        observation = env.step(alpha * 2 - 1)[0]
    best = sorted(set(indices), key=lambda i: -ANALOG.rewards[i])[:top_k]
    mean = ANALOG.space.genotype_to_alpha(ANALOG.space.decode(best)).mean(axis=0)
    np.testing.assert_allclose(observation, mean, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 1000),
    st.lists(st.lists(st.integers(0, 20), min_size=2, max_size=2), min_size=1, max_size=8),
    st.sampled_from(["aging", "elitist"]),
)
def test_population(seed, generations, survival):
    space = ANALOG.space
    env = gym.make(
        "NB201-cifar10-population-v0", task=ANALOG, population_size=3, num_offspring=2,
        survival=survival,
    )  # fmt: skip
    observation, info = env.reset(seed=seed)
    queried = info["index"].tolist()
    alive = list(queried)
    infos = [info]
    for generation in generations:
        best = max(ANALOG.rewards[queried])
        offspring = space.decode(generation)
        observation, reward, _, _, info = env.step(offspring.ravel())
        queried += generation
        alive += generation
        if survival == "elitist":  # the least fit dies; of equally fit ones, the youngest
            while len(alive) > 3:
                worst = min(range(len(alive)), key=lambda i: (ANALOG.rewards[alive[i]], -i))
                del alive[worst]
        alive = alive[-3:]
        assert reward == max(ANALOG.rewards[queried]) - best >= 0
        np.testing.assert_array_equal(observation["genotypes"].reshape(3, 6), space.decode(alive))
        np.testing.assert_array_equal(observation["fitness"], ANALOG.rewards[alive])
        infos.append(info)
    rows = expected(ANALOG, queried)[2::2]
    for info, row in zip(infos, rows, strict=True):
        assert info["queries"] == row["queries"]
        del row["index"]
        assert {key: info[key] for key in row} == row
        assert info["genotype"].shape == (*info["index"].shape, 6)
        assert info["arch"].tolist() == space.to_text(info["genotype"])
        assert info["metrics"]["analog_accuracy"].tolist() == ANALOG.rewards[info["index"]].tolist()


@pytest.mark.parametrize("suffix", ["", "-alpha", "-population"])
def test_info_under_a_reward_of_several_metrics(suffix):
    """The report and the regret are those of the combination with the reported metric."""
    reward = "latency(column=latency,target=0.02,weight=-0.5)"
    envs = gym.make_vec(f"NBGraph-proteins{suffix}-v0", num_envs=3, reward=reward)
    task = envs.task
    metrics = task.metrics(np.arange(task.space.size))
    combined = metrics["perf"] * (metrics["latency"] / 0.02) ** -0.5
    envs.action_space.seed(0)
    envs.reset(seed=0)
    for _ in range(5):
        infos = envs.step(envs.action_space.sample())[-1]
    incumbents = infos["incumbent"]
    np.testing.assert_allclose(infos["incumbent_report"], combined[incumbents])
    np.testing.assert_allclose(infos["regret"], combined.max() - combined[incumbents], atol=1e-12)
    np.testing.assert_array_equal(infos["incumbent_reward"], task.rewards[incumbents])
    assert (infos["incumbent_reward"] != infos["incumbent_report"]).all()


def test_incumbent_is_the_first_of_equals(open_table):
    table = open_table("nas-bench-graph-proteins")
    values, counts = np.unique(table.column("valid_perf"), return_counts=True)
    first, second = np.flatnonzero(table.column("valid_perf") == values[counts.argmax()])[:2]
    task = make_task(table="nas-bench-graph-proteins", dataset="proteins")
    for pair in ([first, second], [second, first]):
        history = SearchHistory(task, 1)
        for index in pair:
            history.append(np.array([index]))
        assert history.incumbents(2) == pair[0]


def test_long_history():
    """The history spans several blocks of memory, and counts are read at some queries."""
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 300, (1000, 2))
    history = SearchHistory(ANALOG, 2)
    assert history.indices.shape == (0, 2)
    for i, row in enumerate(columns):
        history.append(row)
        if i in (3, 256, 700):
            history.unique_queries(i)
    np.testing.assert_array_equal(history.indices, columns)
    for i in range(2):
        rows = expected(ANALOG, columns[:, i].tolist())
        for queries in (1, 255, 256, 257, 512, 1000):
            assert history.unique_queries(queries)[i] == rows[queries - 1]["unique_queries"]
            assert history.incumbents(queries)[i] == rows[queries - 1]["incumbent"]


def test_a_search_continues_until_a_seed_is_given():
    env = gym.make("NB201-cifar10-v0")
    counts = []
    for seed in (1, None, None, 1):
        env.reset(seed=seed)
        for _ in range(6):
            info = env.step(env.action_space.sample())[4]
        counts.append(info["queries"])
    assert counts == [1, 2, 3, 1]
