"""Images on a device: whole splits that stay there, and batches with augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nas_gym.networks.data import ImageData, Split
from nas_gym.networks.device import is_out_of_memory


@dataclass(frozen=True)
class Augmentation:
    """What happens to training images, each on its own.

    Attributes:
        pad: images are cropped at random out of themselves with so many zeros around.
        flip: whether half of them are mirrored.
        cutout: the side of a square of zeros at a random place (DeVries and Taylor, 2017); 0: none.
    """

    pad: int = 0
    flip: bool = False
    cutout: int = 0


def default_augmentation(name: str) -> Augmentation:
    """The usual one of a data set: crops and mirror images as in NAS-Bench-201; digits are cropped
    only, for a mirrored one is another character."""
    if name == "digits":
        return Augmentation(pad=1)
    return Augmentation(pad=2 if name == "ImageNet16-120" else 4, flip=True)


@dataclass(frozen=True)
class DeviceImages:
    """A split that lies on a device as it is, bytes, and becomes numbers batch by batch.

    Attributes:
        images: ``(n, channels, height, width)`` uint8; on the CPU where the device lacks memory.
        labels: ``(n,)`` int64.
        mean, deviation: of each channel of the training images.
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    deviation: Tensor

    @classmethod
    def from_split(cls, data: ImageData, split: Split, device: torch.device) -> DeviceImages:
        """A split of a data set, moved to a device as a whole, or batch by batch where that lacks
        memory."""
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
        """Where batches are."""
        return self.mean.device

    def __len__(self) -> int:
        return len(self.labels)

    def normalized(self, images: Tensor) -> Tensor:
        """Bytes as numbers of mean 0 and deviation 1, float32, on the device."""
        result: Tensor = (images.to(self.device).float() - self.mean) / self.deviation
        return result

    def subset(self, rows: Tensor) -> DeviceImages:
        """Some of the images; ``rows`` is on the CPU."""
        images = self.images[rows.to(self.images.device)]
        return replace(self, images=images, labels=self.labels[rows.to(self.device)])

    def in_order(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images as they are, ``size`` at a time, with labels."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield self.normalized(self.images[part]), self.labels[part]

    def shuffled(
        self, size: int, augmentation: Augmentation, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in random order, augmented, ``size`` at a time; an incomplete rest is left
        out, unless it is all there is.

        Args:
            size: of a batch.
            augmentation: of each image.
            generator: on the CPU, so that one seed means one order on every device.
        """
        order = torch.randperm(len(self), generator=generator)
        count = max(len(self) // size, 1)
        for start in range(0, min(count * size, len(self)), size):
            rows = order[start : start + size].to(self.images.device)
            images = augment(self.normalized(self.images[rows]), augmentation, generator)
            yield images, self.labels[rows.to(self.device)]


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Crop, mirror and cut out, each image on its own; ``(n, c, h, w)`` -> the same shape."""
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
