"""Fixtures of the tests of image data sets."""

from __future__ import annotations

import pytest

from nas_gym.networks import data


@pytest.fixture(autouse=True)
def _afresh():
    data.clear_image_cache()
    yield
    data.clear_image_cache()


@pytest.fixture
def found_in(tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_GYM_DATA", str(tmp_path))
    monkeypatch.setenv("NAS_GYM_CACHE", str(tmp_path / "cache"))
    return tmp_path
