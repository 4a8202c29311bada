"""Bad input raises one clear error, and does not change the environment."""

import gymnasium as gym
import numpy as np
import pytest

import nas_gym
from nas_gym import tables
from nas_gym.envs import AlphaEnv, PopulationEnv, SequentialEnv
from nas_gym.registration import Mode
from nas_gym.spaces import NBGraphSpace

SUFFIXES = [mode.value for mode in Mode]

SKIP = NBGraphSpace().operations.index("skip")
NAN, INF = float("nan"), float("inf")
ONE = np.zeros(30)


def put(value, dtype=float):
    array = np.zeros(30, dtype)
    array[3] = value
    return array


# Suffix of the mode -> error, and action that an environment of NB201 must refuse.
SCALAR = {
    "": [
        (TypeError, 1.0),
        (TypeError, np.float32(1)),
        (TypeError, NAN),
        (TypeError, None),
        (TypeError, True),
        (TypeError, np.True_),
        (TypeError, "1"),
        (TypeError, [1]),
        (TypeError, np.array([1, 2])),
        (ValueError, 5),
        (ValueError, -1),
        (ValueError, np.int64(-5)),
        (ValueError, np.uint8(255)),
        (ValueError, 2**63),
        (ValueError, 2**80),
        (ValueError, -(2**80)),
    ],
    "-alpha": [
        (ValueError, put(NAN)),
        (ValueError, put(INF)),
        (ValueError, put(-INF)),
        (ValueError, put(1.001)),
        (ValueError, put(-1.001)),
        (ValueError, put(-128, np.int8)),
        (ValueError, np.zeros(29)),
        (ValueError, np.zeros((1, 30))),
        (ValueError, 0.5),
        (TypeError, None),
        (TypeError, "alpha"),
        (TypeError, put(0, bool)),
        (TypeError, put(0, complex)),
    ],
    "-population": [
        (ValueError, np.zeros(5, int)),
        (ValueError, np.zeros((1, 6), int)),
        (ValueError, np.zeros(12, int)),
        (ValueError, 3),
        (ValueError, np.array([0, 0, 0, 0, 0, 5])),
        (ValueError, np.array([0, 0, -1, 0, 0, 0])),
        (TypeError, np.zeros(6)),
        (TypeError, np.full(6, NAN)),
        (TypeError, np.full(6, None)),
        (TypeError, list("abcdef")),
        (TypeError, np.zeros(6, bool)),
    ],
}
BATCH = {
    "": [
        (TypeError, np.zeros(4)),
        (TypeError, None),
        (TypeError, ["a"] * 4),
        (TypeError, [True] * 4),
        (TypeError, np.zeros(4, bool)),
        (ValueError, np.zeros(3, int)),
        (ValueError, np.zeros((4, 1), int)),
        (ValueError, 0),
        (ValueError, [0, 0, 5, 0]),
        (ValueError, [0, 0, 0, -1]),
        (ValueError, np.array([0, 2**64 - 1, 0, 0], np.uint64)),
    ],
    "-alpha": [
        (ValueError, np.stack([ONE, ONE, put(NAN), ONE])),
        (ValueError, np.stack([ONE, ONE, ONE, put(1.5)])),
        (ValueError, np.zeros(30)),
        (ValueError, np.zeros((3, 30))),
        (TypeError, None),
    ],
    "-population": [
        (ValueError, np.zeros((3, 6), int)),
        (ValueError, np.zeros(24, int)),
        (ValueError, np.array([[0] * 6] * 3 + [[5] * 6])),
        (TypeError, np.zeros((4, 6))),
    ],
}
CASES = [
    pytest.param(make, kwargs, suffix, *case, id=f"{make.__name__}{suffix}-{i}")
    for make, kwargs, cases in ((gym.make, {}, SCALAR), (gym.make_vec, {"num_envs": 4}, BATCH))
    for suffix in SUFFIXES
    for i, case in enumerate(cases[suffix])
]


@pytest.mark.parametrize(("make", "kwargs", "suffix", "error", "action"), CASES)
def test_a_refused_action_changes_nothing(
    make, kwargs, suffix, error, action, assert_same, open_table
):
    open_table("analog-nasbench")
    trajectories = []
    for refuse in (False, True):
        env = make(f"NB201-cifar10{suffix}-v0", **kwargs)
        env.action_space.seed(6)
        results = [env.reset(seed=6)]
        for _ in range(6):
            if refuse:
                with pytest.raises(error) as caught:
                    env.step(action)
                assert 10 < len(str(caught.value)) < 300
                assert "\n" not in str(caught.value)
            results.append(env.step(env.action_space.sample()))
        trajectories.append(tuple(results))
        assert np.all(env.unwrapped.history.queries == trajectories[0][-1][4]["queries"])
    assert_same(*trajectories)


def test_one_invalid_action_among_1024(open_table):
    open_table("nas-bench-graph-proteins")
    envs = gym.make_vec("NBGraph-proteins-v0", num_envs=1024)
    envs.reset(seed=0)
    envs.step(np.zeros(1024, int))
    actions = np.zeros(1024, int)
    actions[700] = 7  # proteins has five operations
    with pytest.raises(ValueError, match=r"Action 7 of environment 700 .*\(op0\).*0, 1, 2, 3, 4"):
        envs.step(actions)
    actions[700] = 4
    assert envs.step(actions)[0][700, -1] == 2


def test_masked_actions(make):
    """Four skips are not an architecture: the mask excludes the last, and the step refuses it."""
    env = make("NBGraph-cora-v0")
    env.reset(seed=0)
    for action in (0, SKIP, SKIP, SKIP):
        info = env.step(action)[4]
    assert info["action_mask"].tolist() == [1] * SKIP + [0]
    assert env.action_masks().tolist() == [True] * SKIP + [False]
    with pytest.raises(ValueError, match=f"Action {SKIP} .*action_masks"):
        env.step(SKIP)
    terminated, info = env.step(0)[2:5:2]
    assert terminated
    assert info["queries"] == 1
    assert info["genotype"].tolist() == [0, SKIP, SKIP, SKIP, 0]


def test_masks_of_proteins(make):
    env = make("NBGraph-proteins-v0")
    _, info = env.reset(seed=0)
    assert info["action_mask"].tolist() == [1] * 9
    info = env.step(8)[4]
    assert info["action_mask"].tolist() == [1] * 5 + [0] * 4
    with pytest.raises(ValueError, match="Action 7 of environment 0 is invalid"):
        env.step(7)


@pytest.mark.parametrize("kwargs", [{}, {"num_envs": 2}], ids=["scalar", "vector"])
def test_an_invalid_genotype_in_a_population(kwargs, open_table):
    open_table("nas-bench-graph-cora")
    make = gym.make_vec if kwargs else gym.make
    env = make("NBGraph-cora-population-v0", num_offspring=2, **kwargs)
    before, _ = env.reset(seed=0)
    genotypes = np.array([[0, 0, 0, 0, 0], [0, SKIP, SKIP, SKIP, SKIP]]).reshape(-1)
    with pytest.raises(ValueError, match="not an architecture of NBGraph"):
        env.step(np.tile(genotypes, (2, 1)) if kwargs else genotypes)
    assert env.unwrapped.history.queries == 10
    genotypes[-1] = 0
    after, *_, info = env.step(np.tile(genotypes, (2, 1)) if kwargs else genotypes)
    np.testing.assert_array_equal(
        after["genotypes"].reshape(-1, 50)[:, :40], before["genotypes"].reshape(-1, 50)[:, 10:]
    )
    assert np.all(info["queries"] == 12)


def test_alpha_of_a_restricted_space_is_always_valid(make):
    env = make("NBGraph-cora-alpha-v0")
    env.reset(seed=0)
    only_skip = np.full(env.action_space.shape, -1.0)
    only_skip[9:].reshape(4, 9)[:, SKIP] = 1
    info = env.step(only_skip)[4]
    assert info["genotype"][1:4].tolist() == [SKIP] * 3
    assert info["genotype"][4] != SKIP


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_step_before_reset(suffix, open_table):
    open_table("analog-nasbench")
    for env in (
        gym.make(f"NB201-cifar10{suffix}-v0"),
        gym.make_vec(f"NB201-cifar10{suffix}-v0", num_envs=2),
    ):
        with pytest.raises(gym.error.ResetNeeded, match="reset"):
            env.step(env.action_space.sample())


@pytest.mark.parametrize(
    ("kind", "action"), [(SequentialEnv, 0), (PopulationEnv, np.zeros(6, int))]
)
def test_step_of_an_environment_without_wrappers_before_reset(kind, action, open_table):
    open_table("analog-nasbench")
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        kind(table="analog-nasbench", dataset="cifar10").step(action)


def test_step_after_the_end(make):
    env = make("NB201-cifar10-v0")
    env.reset(seed=0)
    for _ in range(6):
        env.step(0)
    for _ in range(2):
        with pytest.raises(gym.error.ResetNeeded, match=r"env\.reset\(\)"):
            env.step(0)
    assert env.unwrapped.history.queries == 1
    env.reset()
    assert env.step(0)[0][-1] == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
@pytest.mark.parametrize(
    ("kwargs", "error", "word"),
    [
        ({"table": "nope"}, KeyError, "'nope'"),
        ({"dataset": "mnist"}, KeyError, "'mnist'"),
        ({"signal": "nope"}, KeyError, "'nope'"),
        ({"report": "nope"}, KeyError, "'nope'"),
        ({"signal": ""}, KeyError, "no metric ''. It has: baseline_accuracy"),
        ({"report": ""}, KeyError, "no metric ''. It has: baseline_accuracy"),
        ({"signal": " "}, KeyError, "no metric ' '"),
        ({"reward": ""}, ValueError, "reward is 'signal'"),
        ({"signal": "nas-bench-graph-proteins:perf"}, ValueError, "do not belong together"),
    ],
)
def test_make_with_unknown_names(make, suffix, kwargs, error, word, open_table):
    open_table("analog-nasbench")
    with pytest.raises(error, match=word):
        make(f"NB201-cifar10{suffix}-v0", **kwargs)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_make_with_unknown_arguments(make, suffix):
    """TorchRL passes frameskip, and removes it if the error has the words of Python's own."""
    with pytest.raises(
        TypeError, match=r"got an unexpected keyword argument 'frameskip'\. Every environment takes"
    ):
        make(f"NB201-cifar10{suffix}-v0", frameskip=1)


@pytest.mark.filterwarnings("ignore:.*render_mode")  # Gymnasium warns about it, too
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_make_with_an_unknown_render_mode(make, suffix, open_table):
    open_table("analog-nasbench")
    with pytest.raises(ValueError, match="ansi, rgb_array"):
        make(f"NB201-cifar10{suffix}-v0", render_mode="svg")


@pytest.mark.parametrize(
    ("suffix", "kwargs", "word"),
    [
        ("-population", {"autoreset_mode": "nope"}, "nope"),
        ("", {"num_envs": 0}, "num_envs"),
        ("-alpha", {"num_envs": -1}, "num_envs"),
        ("-alpha", {"top_k": 0}, "top_k"),
        ("-population", {"population_size": 0}, "population_size"),
        ("-population", {"num_offspring": 0}, "num_offspring"),
        ("-population", {"survival": "luck"}, "'luck'"),
    ],
)
def test_make_with_settings_out_of_range(suffix, kwargs, word, open_table):
    open_table("analog-nasbench")
    with pytest.raises(ValueError, match=word):
        gym.make_vec(f"NB201-cifar10{suffix}-v0", **kwargs)
    if not kwargs.keys() & {"autoreset_mode", "num_envs"}:
        with pytest.raises(ValueError, match=word):
            gym.make(f"NB201-cifar10{suffix}-v0", **kwargs)


@pytest.mark.parametrize("kind", [SequentialEnv, AlphaEnv, PopulationEnv])
def test_an_environment_needs_a_task(kind):
    with pytest.raises(TypeError, match="table= and dataset="):
        kind()
    with pytest.raises(TypeError, match="table= and dataset="):
        kind(table="analog-nasbench")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_data_that_is_not_on_this_machine(suffix, cache, monkeypatch):
    monkeypatch.delenv("NAS_GYM_DATA", raising=False)
    assert nas_gym.__version__
    for make in (gym.make, gym.make_vec):
        with pytest.raises(tables.MissingDataError, match="`nas-gym data fetch nats-bench`"):
            make(f"NB201-cifar100{suffix}-v0")
    assert not list(cache.rglob("*"))
