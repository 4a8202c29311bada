"""Names that can be imported from nas_gym."""

import pytest

import nas_gym


@pytest.mark.parametrize("name", nas_gym.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(nas_gym, name).__doc__ or name == "__version__"
    assert name in dir(nas_gym)


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        nas_gym.nothing  # noqa: B018
