"""Settings of agents: checks of types and ranges, and their descriptions."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict, dataclass

import numpy as np
import pytest

from nas_gym.agents import AgentConfig, setting
from nas_gym.agents.registry import agent_names, find_agent


@dataclass(frozen=True)
class Config(AgentConfig):
    """Settings of every kind."""

    count: int = setting(4, "A count.", low=2, high=8, multiple_of=2)
    rate: float = setting(0.5, "A rate.", above=0, below=1)
    name: str = setting("a", "A name.", choices=("a", "b"))
    flag: bool = setting(True, "A flag.")
    free: float = setting(1.0, "A number.")


def test_settings_of_all_agents_have_bounds():
    for name in agent_names():
        config = find_agent(name).agent_class.config_class()
        for each in config.describe_settings():
            default = getattr(config, each.name)
            if type(default) in (int, float):
                for value in (type(default)(1e12), type(default)(-1e12)):
                    with pytest.raises(ValueError, match=f"{each.name} must be .* that is"):
                        config.with_settings({each.name: value})


def test_integers_that_do_not_fit_in_64_bits():
    @dataclass(frozen=True)
    class Config(AgentConfig):
        size: int = setting(1, "Size.")
        rate: float = setting(1.0, "Rate.")

    for name in ("size", "rate"):
        for value in (2**63, -(10**400)):
            with pytest.raises(ValueError, match="does not fit in 64 bits"):
                Config(**{name: value})
        assert getattr(Config(**{name: 2**63 - 1}), name) == 2**63 - 1


def test_defaults_and_changes():
    config = Config().with_settings({"count": 6, "free": 2})
    assert asdict(config) == {"count": 6, "rate": 0.5, "name": "a", "flag": True, "free": 2}
    with pytest.raises(FrozenInstanceError):
        config.count = 2


def test_numpy_scalars_are_converted():
    config = Config(count=np.int64(6), rate=np.float32(0.25), flag=np.True_)
    assert json.loads(json.dumps(asdict(config)))["count"] == 6
    assert config == Config(count=6, rate=0.25)
    with pytest.raises(TypeError, match="count must be an integer"):
        Config(count=np.float64(6))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"count": 1}, ValueError, "count must be an integer that is at least 2 and at most 8"),
        ({"count": 10}, ValueError, "and a multiple of 2, got 10"),
        ({"count": 5}, ValueError, "got 5"),
        ({"count": 4.0}, TypeError, "count must be an integer.*got 4.0"),
        ({"count": True}, TypeError, "got True"),
        ({"count": "4"}, TypeError, "got '4'"),
        ({"rate": 0}, ValueError, "rate must be a number that is above 0 and below 1, got 0"),
        ({"rate": 1.0}, ValueError, "got 1.0"),
        ({"rate": True}, TypeError, "got True"),
        ({"free": float("nan")}, ValueError, "free must be a number, got nan"),
        ({"free": float("inf")}, ValueError, "got inf"),
        ({"name": "c"}, ValueError, "name must be one of 'a', 'b', got 'c'"),
        ({"name": None}, TypeError, "got None"),
        ({"flag": 1}, TypeError, "flag must be true or false, got 1"),
        ({"counts": 4}, TypeError, "has no setting counts.*Did you mean count?"),
    ],
)
def test_bad_values(settings, error, message):
    with pytest.raises(error, match=message):
        Config().with_settings(settings)


def test_descriptions():
    count, rate, name, flag, free = Config.describe_settings()
    assert (count.name, count.type, count.default, count.help) == ("count", "int", 4, "A count.")
    assert rate.accepted == "a number that is above 0 and below 1"
    assert name.accepted == "one of 'a', 'b'"
    assert (flag.accepted, free.accepted) == ("true or false", "a number")


def test_a_subclass_without_the_decorator():
    class Plain(AgentConfig):
        count: int = 3

    with pytest.raises(TypeError, match=r"Plain needs the decorator @dataclass\(frozen=True\)"):
        Plain().with_settings({})


@pytest.mark.parametrize("name", agent_names())
def test_every_setting_is_explained(name):
    agent = find_agent(name)
    for each in agent.agent_class.config_class.describe_settings():
        assert each.help.endswith("."), each
        assert each.type in ("int", "float", "str", "bool")
    assert agent.config is None or isinstance(agent.config, agent.agent_class.config_class)
