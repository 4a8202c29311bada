"""LazyInfo behaves like a dictionary, and computes nothing until it is read."""

import copy
import json
import pickle

import gymnasium as gym
import numpy as np
import pytest

from nas_gym.envs.lazy_info import LazyInfo
from nas_gym.registration import Mode

SUFFIXES = [mode.value for mode in Mode]

FULL = {"a": 1, "b": 2, "c": [3]}
KNOWN = [{"a": 1}, {}]  # Python's C code treats empty dictionaries specially


class Counting:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return copy.deepcopy(FULL)


@pytest.fixture(params=KNOWN, ids=["some known", "nothing known"])
def lazy(request):
    counting = Counting()
    info = LazyInfo(dict(request.param), counting)
    assert isinstance(info, dict)
    yield info
    assert counting.calls <= 1


def popped(info):
    assert info.pop("b") == 2
    return {**info, "b": 2}


def popped_items(info):
    return dict(info.popitem() for _ in range(3))


def deleted(info):
    del info["b"]
    return {**info, "b": 2}


def or_itself(info):
    info |= {"z": 0}
    assert info.pop("z") == 0
    return info


def iterated(info):
    return {key: info[key] for key in info}


# Name -> function that reads the whole dictionary and returns it.
READS = {
    "dict()": dict,
    "**": lambda info: {**info},
    "items": lambda info: dict(info.items()),
    "keys and values": lambda info: dict(zip(info.keys(), info.values(), strict=True)),
    "iteration": iterated,
    "reversed": lambda info: {key: info[key] for key in reversed(info)},
    "list": lambda info: {key: info[key] for key in list(info)},
    "set": lambda info: {key: info[key] for key in set(info)},
    "get": lambda info: {key: info.get(key) for key in "abc"},
    "[]": lambda info: {key: info[key] for key in "abc"},
    "setdefault": lambda info: {key: info.setdefault(key, "other") for key in "abc"},
    "|": lambda info: info | {},
    "| from the right": lambda info: {} | info,
    "|=": or_itself,
    "update of another": lambda info: (d := {}, d.update(info))[0],
    "copy": lambda info: info.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda info: pickle.loads(pickle.dumps(info)),
    "json": lambda info: json.loads(json.dumps(info)),
    "json indented": lambda info: json.loads(json.dumps(info, indent=1, sort_keys=True)),
    "repr": lambda info: eval(repr(info)),
    "pop": popped,
    "popitem": popped_items,
    "del": deleted,
    "itself": lambda info: info,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_every_way_to_read(lazy, read):
    result = read(lazy)
    assert isinstance(result, dict)
    assert result == FULL
    assert FULL == result  # noqa: SIM300


def test_comparisons(lazy):
    assert not lazy != FULL  # noqa: SIM202
    assert LazyInfo({}, Counting()) == LazyInfo({"a": 1}, Counting())
    assert lazy != {}
    assert LazyInfo({}, dict) == {}
    with pytest.raises(TypeError):
        hash(lazy)


def test_length_and_membership(lazy):
    assert len(lazy) == 3
    assert "c" in lazy
    assert "d" not in lazy
    assert bool(lazy)


def test_missing_keys(lazy):
    with pytest.raises(KeyError, match="'d'"):
        lazy["d"]
    assert lazy.get("d") is None
    assert lazy.get("d", 5) == 5
    assert lazy.pop("d", 5) == 5
    with pytest.raises(KeyError):
        lazy.pop("d")
    with pytest.raises(KeyError):
        del lazy["d"]
    assert lazy == FULL


def test_writing_wins_over_computing(lazy):
    lazy["b"] = "mine"
    lazy.update({"c": "mine too", "d": 4})
    assert lazy == {"a": 1, "b": "mine", "c": "mine too", "d": 4}
    lazy.clear()
    assert lazy == {}
    assert len(lazy) == 0


def test_reading_what_is_known_computes_nothing():
    def compute():
        raise AssertionError("computed without need")

    info = LazyInfo({"a": 1}, compute)
    assert info["a"] == info.get("a") == 1
    assert "a" in info
    info["b"] = 2
    info.update(c=3)
    assert info["c"] == 3
    copy.deepcopy(info)


def test_a_deep_copy_is_independent():
    lazy = LazyInfo({"a": 1}, lambda: copy.deepcopy(FULL))
    copied = copy.deepcopy(lazy)
    copied["c"].append(4)
    assert lazy["c"] == [3]
    assert copied["c"] == [3, 4]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("make", [gym.make, gym.make_vec], ids=["scalar", "vector"])
def test_infos_that_are_read_late(make, suffix, assert_same, open_table):
    """An info describes its own step, even if it is read after later steps and resets."""
    open_table("analog-nasbench")
    runs = []
    for late in (False, True):
        env = make(f"NB201-cifar10{suffix}-v0")
        env.action_space.seed(2)
        infos = [env.reset(seed=2)[1]]
        for _ in range(40):
            result = env.step(env.action_space.sample())
            infos.append(result[4])
            if not late:
                str(infos[-1])
            if make is gym.make and result[2]:
                env.reset()
        env.reset(seed=3)
        runs.append(tuple(map(dict, infos)))
    assert_same(*runs)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_infos_of_environments_are_plain_data(suffix, make):
    env = make(f"NB201-cifar10{suffix}-v0")
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(6):
        info = env.step(env.action_space.sample())[4]
    plain = json.loads(json.dumps(info, default=np.ndarray.tolist))
    assert plain["queries"] == info["queries"]
    assert plain["regret"] == info["regret"]
    assert type(pickle.loads(pickle.dumps(info))) is dict
    assert type(info["regret"]) is float
    assert type(info["queries"]) is type(info["unique_queries"]) is int
