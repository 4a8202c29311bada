"""Image splits on a device, mini-batches and data augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nas_gym.networks.data import ImageData, Split
from nas_gym.networks.device import is_out_of_memory

_MOST = 1_000  # pixels


@dataclass(frozen=True)
class Augmentation:
    """Random augmentation of training images, drawn for each image separately.

    Attributes:
        pad: Zero padding on each side, in pixels, before a random crop to the original size.
        flip: Whether to mirror an image horizontally with probability 0.5.
        cutout: Side of a square of zeros at a random place, in pixels (DeVries and Taylor, 2017);
            0 disables it.

    Raises:
        ValueError: If a number of pixels is outside its range.
    """

    pad: int = 0
    flip: bool = False
    cutout: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.pad <= _MOST and 0 <= self.cutout <= _MOST):
            raise ValueError(f"pad and cutout are 0 to {_MOST} pixels, got {self}.")


def default_augmentation(name: str) -> Augmentation:
    """Return the usual augmentation of a data set, by its name.

    Random crops and mirror images, as in NAS-Bench-201. Digits are cropped only: a mirrored digit
    is another character.
    """
    if name == "digits":
        return Augmentation(pad=1)
    return Augmentation(pad=2 if name == "ImageNet16-120" else 4, flip=True)


@dataclass(frozen=True)
class DeviceImages:
    """A split stored on a device as bytes, and converted to normalized floats batch by batch.

    Attributes:
        images: ``(n, channels, height, width)`` uint8; on the CPU if the device lacks memory.
        labels: ``(n,)`` int64.
        mean, deviation: Mean and standard deviation of each channel of the training images,
            ``(channels, 1, 1)`` float32.
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    deviation: Tensor

    @classmethod
    def from_split(cls, data: ImageData, split: Split, device: torch.device) -> DeviceImages:
        """Move a split of a data set to a device.

        If the device lacks memory, the images stay on the CPU, and batches are moved one by one.
        """
        mean, deviation = (torch.from_numpy(each)[:, None, None] for each in data.moments)
        images = torch.from_numpy(split.images)
        try:
            images = images.to(device)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        return cls(
            images,
            torch.from_numpy(split.labels).to(device),
            mean.to(device),
            deviation.to(device),
        )

    @property
    def device(self) -> torch.device:
        """Device of the batches."""
        return self.mean.device

    def __len__(self) -> int:
        return len(self.labels)

    def normalized(self, images: Tensor) -> Tensor:
        """Return images on the device as float32 with mean 0 and standard deviation 1."""
        result: Tensor = (images.to(self.device).float() - self.mean) / self.deviation
        return result

    def subset(self, rows: Tensor) -> DeviceImages:
        """Return the images of some rows; ``rows`` is on the CPU."""
        images = self.images[rows.to(self.images.device)]
        return replace(self, images=images, labels=self.labels[rows.to(self.device)])

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all images and labels in order, without augmentation, ``batch_size`` at a time."""
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            yield self.normalized(self.images[part]), self.labels[part]

    def shuffled(
        self, batch_size: int, augmentation: Augmentation, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield augmented images and labels in random order, in full batches.

        An incomplete last batch is left out, unless it is the only one.

        Args:
            batch_size: Images per batch.
            augmentation: Augmentation of each image.
            generator: Random generator on the CPU, so that a seed gives the same order and the
                same augmentation on every device.
        """
        order = torch.randperm(len(self), generator=generator)
        count = max(len(self) // batch_size, 1)
        for start in range(0, min(count * batch_size, len(self)), batch_size):
            rows = order[start : start + batch_size].to(self.images.device)
            images = augment(self.normalized(self.images[rows]), augmentation, generator)
            yield images, self.labels[rows.to(self.device)]


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Return augmented images of the same shape, ``(n, channels, height, width)``."""
    count, _, height, width = images.shape
    device = images.device

    def draw(high: int) -> Tensor:
        return torch.randint(high, (count, 1), generator=generator).to(device)

    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    pad = augmentation.pad
    y, x = rows.expand(count, -1), columns.expand(count, -1)
    if augmentation.flip:
        x = torch.where(draw(2) == 1, x.flip(1), x)
    if pad:
        images = torch.nn.functional.pad(images, (pad, pad, pad, pad))
        y, x = y + draw(2 * pad + 1), x + draw(2 * pad + 1)
    if pad or augmentation.flip:
        every = torch.arange(count, device=device)[:, None, None]
        images = images[every, :, y[:, :, None], x[:, None]].permute(0, 3, 1, 2)
    if augmentation.cutout:
        half = augmentation.cutout // 2
        inside = [
            (place >= centre - half) & (place < centre + augmentation.cutout - half)
            for place, centre in ((rows, draw(height)), (columns, draw(width)))
        ]
        images = images.masked_fill((inside[0][:, :, None] & inside[1][:, None])[:, None], 0.0)
    return images
