"""Convolutional network of MAML, the usual baseline of few-shot learning."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nas_gym.networks.evaluation import use_batch_statistics


class FourConvNetwork(nn.Module):
    """Four convolutions with stride 2, batch norm and ReLU, and a linear layer (Finn et al., ICML
    2017, section 5.2).

    Batch norms use the statistics of each batch.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        filters: Channels of each convolution. MAML has 64 on Omniglot and 32 on Mini-ImageNet.
    """

    def __init__(self, num_classes: int, in_channels: int = 1, filters: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (in_channels, filters, filters, filters):
            convolution = nn.Conv2d(inputs, filters, 3, stride=2, padding=1)
            layers += [convolution, nn.BatchNorm2d(filters), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(filters, num_classes)
        use_batch_statistics(self)

    def forward(self, images: Tensor, genotype: Any = None) -> Tensor:
        """Return logits, ``(n, num_classes)``; ``genotype`` is ignored."""
        logits: Tensor = self.head(self.body(images).mean(dim=(2, 3)))
        return logits
