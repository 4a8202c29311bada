"""The parser of texts such as ``name(key=value)``."""

from __future__ import annotations

import pytest

from nas_gym.utils.expressions import Call, parse_call, parse_settings, parse_weighted_sum


def test_values_of_settings():
    assert parse_settings(["a=1", "b=true", "c=text", "d=[1, 2]", "e=1e-3", "f=a=b"]) == {
        "a": 1, "b": True, "c": "text", "d": [1, 2], "e": 0.001, "f": "a=b"
    }  # fmt: skip
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_settings(["=1"])
    with pytest.raises(ValueError, match="given twice"):
        parse_settings(["a=1", "a=2"])


def test_a_call_as_text_is_parsed_as_the_same_call():
    values = (
        1,
        1e-3,
        True,
        None,
        [1, 2],
        {"a": [1]},
        "text",
        "1",
        "a,b",
        "a(b",
        'a"b',
        "a\\b",
        " a",
    )
    for value in values:
        call = Call("module:Class", {"setting": value, "other": 1})
        assert parse_call(str(call)) == call
    assert str(Call("rea", {"sample_size": 5, "reward": "rescaled(best=0.9)"})) == (
        "rea(sample_size=5,reward=rescaled(best=0.9))"
    )


def test_weighted_sums():
    assert parse_weighted_sum("0.3 * a:b + 0.7 * c") == [(0.3, "a:b"), (0.7, "c")]
    assert parse_weighted_sum("a:b") is None
    for text in ("0.3 * a + b", "x * a"):
        with pytest.raises(ValueError, match="A mixture is written"):
            parse_weighted_sum(text)
