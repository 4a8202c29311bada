"""ImageNet16-120 from pickles of both Python versions."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from networks.small import random_images

from nas_gym.networks import data
from nas_gym.networks.data import imagenet16
from nas_gym.utils.errors import MissingDataError


@pytest.mark.parametrize("protocol", [2, 4])
def test_imagenet16(protocol, found_in):
    files = found_in / imagenet16.FOLDER
    files.mkdir()
    names = [f"train_data_batch_{number}" for number in range(1, 11)]
    for name in (*names, "val_data"):
        labels = np.repeat(np.arange(1, 131), 4 if name == "val_data" else 1)
        content = {"data": random_images(len(labels), 16).reshape(len(labels), -1)}
        content["labels"] = labels.tolist()
        (files / name).write_bytes(pickle.dumps(content, protocol=protocol))
    found = data.load_images("ImageNet16-120")
    assert len(found.classes) == 120
    assert [len(split) for split in found.splits.values()] == [1200, 240, 240]
    assert found.shape == (3, 16, 16)
    (files / "val_data").unlink()
    data.clear_image_cache()
    with pytest.raises(MissingDataError, match="lacks val_data"):
        data.load_images("ImageNet16-120")
