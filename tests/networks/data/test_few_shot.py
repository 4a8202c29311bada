"""Few-shot data sets by name, and random tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks.data.class_folders import write_classes

from nas_gym.networks.data.few_shot import (
    TaskSampler,
    clear_few_shot_cache,
    draw_distinct,
    load_few_shot,
)
from nas_gym.utils.errors import MissingDataError


@pytest.fixture
def data(found_in):
    clear_few_shot_cache()
    names = [f"c{number:02}" for number in range(15)]
    return load_few_shot(str(write_classes(found_in / "mine", names)))


def origins(data, split, images, rotations):
    """Return the row and the rotation of each normalized image."""
    mean, deviation = (each[:, None, None] for each in data.moments)
    pixels = np.round(images.numpy() * deviation + mean).astype(np.uint8)
    known = {
        np.rot90(image, turn, (1, 2)).tobytes(): (row, turn)
        for row, image in enumerate(data.splits[split].images)
        for turn in range(4 if rotations else 1)
    }
    return [known[image.tobytes()] for image in pixels]


@pytest.mark.parametrize("rotations", [False, True])
def test_tasks(data, rotations):
    sampler = TaskSampler(data, "train", ways=3, shots=2, queries=3, rotations=rotations)
    batch = sampler.draw(40, seed=5)
    assert batch.support_images.shape == (40, 6, 1, 8, 8)
    assert batch.query_images.shape == (40, 9, 1, 8, 8)
    assert batch.support_labels[0].tolist() == [0, 0, 1, 1, 2, 2]
    assert batch.query_labels[7].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    all_turns = set()
    for task in range(40):
        images = torch.cat([batch.support_images[task], batch.query_images[task]])
        labels = torch.cat([batch.support_labels[task], batch.query_labels[task]]).tolist()
        found = origins(data, "train", images, rotations)
        rows = [row for row, _ in found]
        assert len(set(rows)) == 15  # support and query images are different drawings
        kinds = {label: set() for label in labels}
        for label, (row, turn) in zip(labels, found, strict=True):
            kinds[label].add((row // 6, turn))
        assert all(len(each) == 1 for each in kinds.values())  # a label is one class, one rotation
        assert len({next(iter(each))[0] for each in kinds.values()}) == 3
        all_turns |= {turn for _, turn in found}
    assert all_turns == (set(range(4)) if rotations else {0})


def test_tasks_are_determined_by_the_seed(data):
    sampler = TaskSampler(data, "valid", 3, 1, 2)
    one, same, other = (sampler.draw(8, seed) for seed in (3, 3, [3, 1]))
    for name, value in vars(one).items():
        assert torch.equal(value, getattr(same, name))
    assert not torch.equal(one.query_images, other.query_images)
    assert len(one.part(2, 5)) == 3
    assert torch.equal(one.part(2, 5).query_images, one.query_images[2:5])


def test_training_classes_determine_the_normalization(data):
    images = TaskSampler(data, "train", 3, 1, 5).draw(300, 0).query_images
    assert abs(images.mean()) < 0.1
    assert abs(images.std() - 1) < 0.1


def test_draw_distinct_is_uniform():
    drawn = draw_distinct(np.random.default_rng(0), np.full(24_000, 4), 3)
    triples, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(triples) == 24
    assert all(len(set(triple)) == 3 for triple in triples.tolist())
    assert np.abs(counts - 1000).max() < 150  # about five standard deviations
    mixed = draw_distinct(np.random.default_rng(0), np.array([[2, 9]] * 500), 2)
    assert mixed[:, 0].max() == 1
    assert mixed[:, 1].max() == 8


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((20, 1, 1), "mine/train has 9 classes, too few for 20-way tasks"),
        ((3, 4, 3), r"fewer than 4 \+ 3 images: c.. \(6\), .* and 4 more. Lower shots or queries"),
        ((1, 1, 1), "at least 2 ways"),
        ((3, 0, 1), "1 shot"),
        ((3, 1, 0), "1 query image"),
    ],
)
def test_bad_counts(data, counts, message):
    with pytest.raises(ValueError, match=message):
        TaskSampler(data, "train", *counts)


def test_only_square_images_are_rotated(found_in):
    from PIL import Image

    for number in range(8):
        (found_in / "wide" / str(number)).mkdir(parents=True)
        for image in range(3):
            pixels = np.random.default_rng([number, image]).integers(0, 256, (4, 6), np.uint8)
            Image.fromarray(pixels).save(found_in / "wide" / str(number) / f"{image}.png")
    wide = load_few_shot(str(found_in / "wide"))
    with pytest.raises(ValueError, match=r"4 x 6 pixels, which cannot be rotated"):
        TaskSampler(wide, "train", 2, 1, 1, rotations=True)
    assert TaskSampler(wide, "train", 2, 1, 1).draw(1, 0).query_images.shape == (
        1, 2, 1, 4, 6,
    )  # fmt: skip


def test_bad_names_and_sizes(found_in):
    with pytest.raises(ValueError, match=r"Name the images: omniglot"):
        load_few_shot("")
    with pytest.raises(MissingDataError, match=r"'nothing' is neither a few-shot data set"):
        load_few_shot("nothing")
    with pytest.raises(ValueError, match=r"size is at least 1"):
        load_few_shot("omniglot", 0)
    clear_few_shot_cache()
    with pytest.raises(MissingDataError, match=r"small1.zip .* `nas-gym data fetch omniglot"):
        load_few_shot("omniglot")
    with pytest.raises(MissingDataError, match=r"images_background.zip .* Get it from github"):
        load_few_shot("omniglot-full")
