"""Tasks over evaluators of one's own, and regret under rewards of several metrics."""

import pickle

import gymnasium as gym
import numpy as np
import pytest

import nas_gym
from nas_gym import Evaluator, Metric, Task, make_task
from nas_gym.spaces import CategoricalSpace, NB201Space, SearchSpace
from nas_gym.tasks.columns import Column
from nas_gym.tasks.rewards import LatencyReward

SPACE = NB201Space()
EVERYTHING = np.arange(SPACE.size)
LATENCY = "latency(column=latency,target=0.02,weight=-0.5)"


class Sum(Evaluator):
    """The sum of the choices, and its negative."""

    name = "sum"
    metrics = {"total": Metric("total"), "cost": Metric("cost", "ms", maximize=False)}

    def evaluate(self, genotypes):
        total = genotypes.sum(axis=1).astype(float)
        return {"total": total, "cost": total + 1}

    def optimum(self, metric):
        return 24.0 if metric == "total" else None


def test_an_evaluator_of_ones_own():
    task = Task(SPACE, Sum())
    totals = SPACE.decode(EVERYTHING[:50]).sum(axis=1)
    np.testing.assert_array_equal(task.reward(EVERYTHING[:50]), totals)
    np.testing.assert_array_equal(task.reported(EVERYTHING[:50]), totals)
    np.testing.assert_array_equal(task.regret(EVERYTHING[:50]), 24 - totals)
    assert task.optimum == 24
    assert task.rewards is None  # it is not asked for the whole space
    assert task.ranked_regrets is None
    assert task.regret_unit == 1
    assert task.direction == 1
    assert task.training_seconds(EVERYTHING[:3]) is None
    assert task.metrics(EVERYTHING[:3]).keys() == {"total", "cost"}
    assert task.describe()["evaluator"] == "sum"
    assert "Sum" in task.describe()["provenance"]["sum"]["class"]


def test_a_metric_that_is_minimized_without_an_optimum():
    task = Task(SPACE, Sum(), signal="cost", report="cost")
    np.testing.assert_array_equal(task.reward(EVERYTHING[:5]), -task.reported(EVERYTHING[:5]))
    assert task.direction == -1
    assert task.optimum is None
    np.testing.assert_array_equal(task.regret(EVERYTHING[:5]), task.reported(EVERYTHING[:5]))


def test_shapes_of_vector_environments():
    task = Task(SPACE, Sum(), noise=0.5)
    indices = EVERYTHING[:12].reshape(4, 3)
    keys = task.noise_keys(range(4))[:, None]
    noisy = task.reward(indices, keys)
    assert noisy.shape == (4, 3)
    assert (noisy != task.reward(indices)).all()
    np.testing.assert_array_equal(task.reward(indices, keys), noisy)


def test_a_report_of_a_table_beside_an_evaluator_of_ones_own(open_table):
    table = open_table("analog-nasbench")
    report = "analog-nasbench:baseline_accuracy"
    task = Task(SPACE, Sum(), signal="total", report=report)
    assert task.optimum == table.column("baseline_accuracy").max()
    assert task.report == Column("analog-nasbench", "baseline_accuracy")
    assert report in task.metrics(EVERYTHING[:3])
    assert task.ranked_regrets[0] == 0
    assert task.describe()["provenance"].keys() == {"analog-nasbench", "sum"}


def test_several_evaluators():
    class Constant(Evaluator):
        name = "constant"
        metrics = {"one": Metric("one")}

        def evaluate(self, genotypes):
            return {"one": np.ones(len(genotypes))}

    task = Task(SPACE, Sum(), signal="0.5 * total + 2 * constant:one", others=[Constant()])
    np.testing.assert_allclose(
        task.reward(EVERYTHING[:5]), 0.5 * SPACE.decode(EVERYTHING[:5]).sum(axis=1) + 2
    )


@pytest.mark.parametrize("suffix", ["", "-alpha", "-population"])
def test_environments_take_an_evaluator_of_ones_own(suffix):
    arguments = {"evaluator": Sum(), "signal": "total", "report": "total"}
    env = gym.make(f"NB201-cifar10{suffix}-v0", **arguments)
    env.reset(seed=0)
    env.action_space.seed(0)
    done = False
    while not done:
        _, _, terminated, _, info = env.step(env.action_space.sample())
        done = terminated or bool(suffix)
    total = np.sum(info["genotype"])
    assert np.ravel(info["metrics"]["total"])[-1] == total
    assert info["signal"] == "sum:total"
    envs = gym.make_vec(f"NB201-cifar10{suffix}-v0", num_envs=3, **arguments)
    envs.reset(seed=0)
    pickle.loads(pickle.dumps(env.unwrapped.task))


def test_a_registered_task():
    before = dict(gym.registry)
    try:
        ids = nas_gym.register_task("Sums", Task(SPACE, Sum()))
        assert ids == ["Sums-v0", "Sums-alpha-v0", "Sums-population-v0"]
        for env_id in ids:
            assert gym.make(env_id).unwrapped.task is gym.make(env_id).unwrapped.task
        again = Task(SPACE, Sum(), signal="cost")
        nas_gym.register_task("Sums", again)
        assert gym.make("Sums-v0").unwrapped.task is again
        with pytest.raises(ValueError, match="built-in task"):
            nas_gym.register_task("NB201-cifar10", again)
        gym.register("Own-v0", entry_point="nowhere:Env")
        with pytest.raises(ValueError, match="has the ID Own-v0"):
            nas_gym.register_task("Own", again)
    finally:
        gym.registry.clear()
        gym.registry.update(before)
    with pytest.raises(TypeError, match=r"takes a nas_gym\.Task, got str"):
        nas_gym.register_task("Sums", "NB201-cifar10-v0")
    with pytest.raises(ValueError, match="cannot be a name"):
        nas_gym.register_task("Sums-v1", Task(SPACE, Sum()))


# -- rewards of several metrics -------------------------------------------------------------------


def test_regret_is_that_of_the_reward_that_was_asked_for(open_table):
    table = open_table("nas-bench-graph-cora")
    task = make_task(table="nas-bench-graph-cora", dataset="cora", reward=LATENCY)
    factor = (table.column("latency") / 0.02) ** -0.5
    everything = np.arange(task.space.size)
    reported = table.column("perf") * factor  # the report's accuracy, not the signal's
    np.testing.assert_allclose(task.reported(everything), reported)
    assert task.optimum == pytest.approx(reported.max())
    np.testing.assert_allclose(task.regret(everything), reported.max() - reported, atol=1e-12)
    assert task.ranked_regrets[0] == 0
    assert task.report_metric.name == "reward"
    assert LATENCY in task.report_metric.description
    assert task.report_metric.maximize
    # accuracy and latency are told beside it
    assert {"perf", "latency"} <= task.metrics(everything[:2]).keys()
    # the architecture of the best reward on the report is not that of the best accuracy
    plain = make_task(table="nas-bench-graph-cora", dataset="cora")
    assert task.regret(everything).argmin() != plain.regret(everything).argmin()


def test_a_better_reward_is_never_a_worse_regret(open_table):
    open_table("nas-bench-graph-cora")
    task = make_task(
        table="nas-bench-graph-cora", dataset="cora", signal="perf", report="perf", reward=LATENCY
    )
    order = np.argsort(task.rewards)
    assert (np.diff(task.regret(order)) <= 1e-12).all()


def test_a_report_of_another_kind_than_the_signal_is_reported_as_it_is(open_table):
    table = open_table("nas-bench-graph-cora")
    task = make_task(table="nas-bench-graph-cora", dataset="cora", report="latency", reward=LATENCY)
    everything = np.arange(task.space.size)
    np.testing.assert_array_equal(task.reported(everything), table.column("latency"))
    assert task.report_metric.name == "latency"
    assert task.regret(everything).min() == 0


def test_a_reward_is_an_object_or_its_text(open_table):
    open_table("nas-bench-graph-cora")
    arguments = {"table": "nas-bench-graph-cora", "dataset": "cora"}
    by_object = make_task(**arguments, reward=LatencyReward("latency", 0.02, -0.5))
    by_text = make_task(**arguments, reward=LATENCY)
    np.testing.assert_array_equal(by_object.rewards, by_text.rewards)
    assert by_object.describe() == by_text.describe()
    assert by_object.reward_name == LATENCY


# -- bad input ------------------------------------------------------------------------------------


class Crooked(CategoricalSpace):
    """A space whose decode() does not invert encode()."""

    def decode(self, indices):
        return super().decode(np.zeros_like(np.atleast_1d(indices)))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((SPACE, "supernet"), TypeError, "subclass of nas_gym.Evaluator"),
        ((Crooked(["ab", "cd"]), Sum()), ValueError, r"Crooked.*is inconsistent"),
        (("NB201", Sum()), TypeError, "instance of a subclass of SearchSpace"),
    ],
)
def test_objects_that_break_their_contract(arguments, error, words):
    with pytest.raises(error, match=words):
        Task(*arguments)


def test_metrics_that_are_none():
    class Nothing(Sum):
        metrics = {"total": "higher is better"}

    with pytest.raises(TypeError, match=r"Nothing\.metrics must be a dictionary"):
        Task(SPACE, Nothing())


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"space": SPACE}, TypeError, "needs evaluator="),
        ({"evaluator": Sum()}, TypeError, "needs a search space"),
        ({"evaluator": Sum(), "space": "Nowhere"}, (KeyError, ValueError), "Nowhere"),
        ({"evaluator": Sum(), "space": SPACE, "signal": "x"}, KeyError, "'sum' has no metric 'x'"),
        ({"table": "analog-nasbench"}, TypeError, "needs table= and dataset="),
        ({"nonsense": 1}, TypeError, "unexpected keyword argument 'nonsense'"),
    ],
)
def test_arguments_that_do_not_fit(arguments, error, words):
    with pytest.raises(error, match=words):
        make_task(**arguments)


def test_a_space_from_outside_the_package():
    class Mine(SearchSpace):
        def __init__(self, genotypes=None, name="Mine"):
            super().__init__([("a", "b", "c")] * 3, genotypes=genotypes, name=name)

    task = Task(Mine(), Sum())
    assert task.reward(np.array([26]))[0] == 6
    env = gym.make("NB201-cifar10-alpha-v0", task=task)
    assert env.action_space.shape == (9,)
