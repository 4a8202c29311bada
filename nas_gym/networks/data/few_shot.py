"""Few-shot data sets by name, and random n-way k-shot tasks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from nas_gym.networks.data.class_images import (
    ClassImages,
    FewShotData,
    read_class_images,
    split_classes,
)
from nas_gym.networks.data.class_subsets import CLASS_SUBSETS, split_data_classes
from nas_gym.networks.data.images import Pixels
from nas_gym.networks.data.loading import load_images
from nas_gym.utils.errors import MissingDataError, list_names
from nas_gym.utils.limits import check_pixels

FEW_SHOT_SETS = ("omniglot", "omniglot-oneshot", "omniglot-full")
"""Names of the data sets that :func:`load_few_shot` knows."""


def load_few_shot(name: str, size: int | None = None) -> FewShotData:
    """Return a few-shot data set by name, or the data set of a folder or zip file of images.

    Omniglot is read from the folders of the environment variable ``NAS_GYM_DATA`` and from the
    downloads of ``nas-gym data fetch omniglot-images``:

    - ``omniglot``: the two minimal background sets, ``images_background_small1.zip`` and
      ``images_background_small2.zip``; see :func:`~nas_gym.networks.data.omniglot.load_omniglot`;
    - ``omniglot-oneshot``: the same, with the official one-shot evaluation ``all_runs.zip`` in
      place of the meta-test tasks;
    - ``omniglot-full``: ``images_background.zip`` and ``images_evaluation.zip``, which this package
      does not download.

    A folder or zip file holds ``<class>/<image>`` or ``<group>/<class>/<image>``. The split of the
    classes is described at :func:`~nas_gym.networks.data.class_images.split_classes`.

    Args:
        name: One of :data:`FEW_SHOT_SETS` or
            :data:`~nas_gym.networks.data.class_subsets.CLASS_SUBSETS`, or a path.
        size: Height and width to which images are scaled, in pixels; by default 28 for Omniglot,
            and the images' own size for others.

    Raises:
        ValueError: If the name is empty, or ``size`` is below 1.
        MissingDataError: If the data set is not on this machine.
        DamagedDataError: If a file cannot be read, or two sets of classes overlap.
        DataError: If images are larger than :mod:`nas_gym.utils.limits` allows.
    """
    if not name:
        names = ", ".join(FEW_SHOT_SETS + CLASS_SUBSETS)
        raise ValueError(f"Name the images: {names}, or a folder or zip file.")
    if size is not None:
        if size < 1:
            raise ValueError(f"size is at least 1 pixel, got {size}.")
        check_pixels(size, size, f"size={size}: a scaled image")
    return _load_cached(name, size)


def clear_few_shot_cache() -> None:
    """Clear the cache of loaded data sets so that changed files are read again."""
    _load_cached.cache_clear()


@cache
def _load_cached(name: str, size: int | None) -> FewShotData:
    from nas_gym.networks.data.omniglot import OMNIGLOT_SIZE, load_full_omniglot, load_omniglot

    if name == "omniglot-full":
        return load_full_omniglot(size or OMNIGLOT_SIZE)
    if name in FEW_SHOT_SETS:
        return load_omniglot(size or OMNIGLOT_SIZE, runs=name == "omniglot-oneshot")
    if name in CLASS_SUBSETS:
        return split_data_classes(load_images(name), size)
    path = Path(name)
    if not os.path.exists(path):
        names = ", ".join(FEW_SHOT_SETS + CLASS_SUBSETS)
        raise MissingDataError(
            f"{name!r} is neither a few-shot data set ({names}) nor a folder or zip file of images."
        )
    whole = read_class_images(path, size)
    # a folder called "omniglot" must not be mistaken for the data set of this name
    is_taken = path.stem in FEW_SHOT_SETS + CLASS_SUBSETS
    stem = f"{path.stem}-folder" if is_taken else path.stem
    train, valid, test = split_classes(whole)
    return FewShotData(stem, train, valid, test)


@dataclass(frozen=True)
class FewShotBatch:
    """Few-shot tasks, each with a support set to learn from and a query set to evaluate on.

    Attributes:
        support_images: ``(tasks, ways * shots, channels, height, width)`` float32, normalized.
        support_labels: Class numbers from 0 within a task, ``(tasks, ways * shots)`` int64.
        query_images: ``(tasks, ways * queries, channels, height, width)`` float32, normalized.
        query_labels: Class numbers, ``(tasks, ways * queries)`` int64.
    """

    support_images: Tensor
    support_labels: Tensor
    query_images: Tensor
    query_labels: Tensor

    def __len__(self) -> int:
        """Return the number of tasks."""
        return len(self.support_labels)

    def part(self, start: int, end: int) -> Self:
        """Return the tasks from ``start`` up to but not including ``end``."""
        return type(self)(
            self.support_images[start:end],
            self.support_labels[start:end],
            self.query_images[start:end],
            self.query_labels[start:end],
        )


class TaskSampler:
    """Random n-way k-shot tasks from a set of classes.

    The images stay on the device as bytes, and a batch of tasks is gathered at once.

    Args:
        data: Data set, whose training classes determine the normalization.
        split: Set of classes of the tasks: ``train``, ``valid`` or ``test``.
        ways: Classes per task.
        shots: Support images per class.
        queries: Query images per class.
        rotations: Whether each class of a task is rotated by a random multiple of 90 degrees, which
            makes four classes of one; ``data.rotations`` by default. A task never has one class
            in two rotations, because some characters are symmetric.
        device: Device of the tasks; the CPU by default.

    Raises:
        ValueError: If a count is too low, if there are fewer classes than ``ways``, if a class has
            fewer images than ``shots + queries``, or if images to rotate are not square.
    """

    def __init__(
        self,
        data: FewShotData,
        split: str,
        ways: int,
        shots: int,
        queries: int,
        rotations: bool | None = None,
        device: torch.device | None = None,
    ) -> None:
        classes = data.splits[split]
        rotations = data.rotations if rotations is None else rotations
        _check_counts(classes, ways, shots, queries)
        if rotations and classes.shape[1] != classes.shape[2]:
            raise ValueError(
                f"{data.name} has images of {classes.shape[1]} x {classes.shape[2]} pixels, which "
                "cannot be rotated by 90 degrees. Give a size."
            )
        self.ways, self.shots, self.queries, self.rotations = ways, shots, queries, rotations
        self._offsets, self._counts = classes.offsets, classes.counts
        self._images = torch.from_numpy(classes.images).to(device)
        mean, deviation = (torch.from_numpy(each)[:, None, None] for each in data.moments)
        self._mean, self._deviation = mean.to(device), deviation.to(device)

    def draw(self, count: int, seed: int | Sequence[int]) -> FewShotBatch:
        """Draw tasks. The same seed gives the same tasks on every device.

        Args:
            count: Number of tasks.
            seed: Seed of the tasks.
        """
        rng = np.random.default_rng(seed)
        classes = draw_distinct(rng, np.full(count, len(self._counts)), self.ways)
        turns = rng.integers(4 if self.rotations else 1, size=classes.shape)
        drawn = draw_distinct(rng, self._counts[classes], self.shots + self.queries)
        rows = self._offsets[classes][..., None] + drawn
        support, query = np.split(rows, [self.shots], axis=-1)
        return FewShotBatch(
            self._gather(support, turns),
            self._labels(count, self.shots),
            self._gather(query, turns),
            self._labels(count, self.queries),
        )

    def normalized(self, images: Pixels) -> Tensor:
        """Return images ``(..., channels, height, width)`` uint8 as the tasks have them."""
        pixels = torch.from_numpy(images).to(self._images.device)
        return pixels.float().sub_(self._mean).div_(self._deviation)

    def _labels(self, count: int, images: int) -> Tensor:
        labels = torch.arange(self.ways, device=self._images.device)
        return labels.repeat_interleave(images).expand(count, -1).contiguous()

    def _gather(self, rows: NDArray[np.int64], turns: NDArray[np.int64]) -> Tensor:
        """Return images ``(tasks, ways * n, ...)`` of rows ``(tasks, ways, n)``."""
        device = self._images.device
        images = self._images.index_select(0, torch.from_numpy(rows.reshape(-1)).to(device))
        rotation = torch.from_numpy(np.repeat(turns, rows.shape[-1])).to(device)
        for turn in (1, 2, 3) if self.rotations else ():
            (chosen,) = torch.nonzero(rotation == turn, as_tuple=True)
            images.index_copy_(0, chosen, torch.rot90(images[chosen], turn, (2, 3)))
        normalized = images.float().sub_(self._mean).div_(self._deviation)
        return normalized.reshape(len(rows), -1, *images.shape[1:])


def draw_distinct(
    rng: np.random.Generator, sizes: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Draw distinct numbers below each size, in random order.

    The ``j``-th draw is uniform over the ``size - j`` numbers that are left: its rank among them is
    drawn, and every smaller number that was drawn before shifts it by one.

    Args:
        rng: Random generator.
        sizes: Sizes of the ranges, any shape, at least ``count`` each.
        count: Numbers to draw from each range.

    Returns:
        Numbers from 0 to ``size - 1``, ``(*sizes.shape, count)``.
    """
    drawn = np.empty((*sizes.shape, count), np.int64)
    for j in range(count):
        number = rng.integers(sizes - j)
        earlier = np.sort(drawn[..., :j], axis=-1)
        for k in range(j):
            number += number >= earlier[..., k]
        drawn[..., j] = number
    return drawn


def _check_counts(classes: ClassImages, ways: int, shots: int, queries: int) -> None:
    if ways < 2 or shots < 1 or queries < 1:
        raise ValueError(
            "A few-shot task has at least 2 ways, 1 shot and 1 query image per class; got "
            f"ways={ways}, shots={shots} and queries={queries}."
        )
    if len(classes) < ways:
        raise ValueError(
            f"{classes.name} has {len(classes)} classes, too few for {ways}-way tasks. Lower ways."
        )
    few = [
        f"{name} ({images})"
        for name, images in zip(classes.classes, classes.counts.tolist(), strict=True)
        if images < shots + queries
    ]
    if few:
        raise ValueError(
            f"{classes.name} has classes with fewer than {shots} + {queries} images: "
            f"{list_names(few, limit=5)}. Lower shots or queries."
        )
