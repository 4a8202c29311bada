"""Errors for missing data sets."""

from __future__ import annotations

import pytest

from nas_gym.networks import data
from nas_gym.utils.errors import MissingDataError


def test_missing_names_the_command(found_in):
    with pytest.raises(MissingDataError, match="nas-gym data fetch cifar100-images"):
        data.load_images("cifar100")
    with pytest.raises(MissingDataError, match="ImageNet16"):
        data.load_images("ImageNet16-120")
