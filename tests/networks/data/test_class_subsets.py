"""Few-shot data from the classes of a supervised data set."""

import numpy as np
import pytest

from nas_gym.networks.data.class_subsets import split_data_classes
from nas_gym.networks.data.images import ImageData, Split
from nas_gym.utils.errors import DamagedDataError


def make_images(classes=10, size=8, seed=0):
    rng = np.random.default_rng(seed)

    def split(count):
        labels = rng.permutation(np.repeat(np.arange(classes), count))
        images = rng.integers(256, size=(len(labels), 3, size, size), dtype=np.uint8)
        return Split(images, labels)

    names = tuple(f"class{number}" for number in range(classes))
    return ImageData("ten", names, split(4), split(2), split(2))


def test_sets_have_different_classes_and_no_published_test_image():
    data = make_images()
    found = split_data_classes(data)
    assert [len(each) for each in found.splits.values()] == [6, 2, 2]
    names = [name for each in found.splits.values() for name in each.classes]
    assert sorted(names) == sorted(data.classes)
    for each in found.splits.values():
        for name, first, end in zip(each.classes, each.offsets[:-1], each.offsets[1:], strict=True):
            label = data.classes.index(name)
            own = {image.tobytes() for image in each.images[first:end]}
            published = np.concatenate(
                [part.images[part.labels == label] for part in (data.train, data.valid)]
            )
            assert own == {image.tobytes() for image in published}


def test_scaled_images():
    found = split_data_classes(make_images(), 4)
    assert found.shape == (3, 4, 4)
    whole = split_data_classes(make_images())
    assert found.train.images.mean() == pytest.approx(whole.train.images.mean(), rel=0.03)
    assert found.train.classes == whole.train.classes


def test_an_image_in_two_sets_is_an_error():
    data = make_images()
    whole = split_data_classes(data)
    classes = [data.classes.index(each.classes[0]) for each in (whole.train, whole.test)]
    rows = [np.flatnonzero(data.train.labels == label)[0] for label in classes]
    data.train.images[rows[1]] = data.train.images[rows[0]]
    with pytest.raises(DamagedDataError, match="results would be too good"):
        split_data_classes(data)


def test_too_few_classes():
    with pytest.raises(DamagedDataError, match="has 5 classes"):
        split_data_classes(make_images(classes=5))
