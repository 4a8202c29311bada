"""Partial channel connections of PC-DARTS."""

from __future__ import annotations

import pytest
import torch

from nas_gym.networks.darts_layers import PartialOperation
from nas_gym.networks.darts_network import DARTSNetwork


def test_unselected_channels_bypass_the_operation():
    operation = PartialOperation("skip_connect", width=8, stride=1, partial=4, affine=False)
    values = torch.randn(2, 8, 4, 4)
    joined = operation.join(values, torch.zeros(2, 2, 4, 4))
    # the operation gets 2 of 8 channels; the shuffle puts them at the start of each half
    bypassed = [joined[:, channel].abs().max() > 0 for channel in range(8)]
    assert bypassed == [False, True, True, True, False, True, True, True]
    with pytest.raises(ValueError, match="does not divide"):
        DARTSNetwork(10, 1, channels=6, partial=4)


def test_channels_are_shuffled_in_either_memory_format():
    operation = PartialOperation("skip_connect", width=8, stride=1, partial=4, affine=False)
    values, part = torch.randn(2, 8, 5, 4), torch.randn(2, 2, 5, 4)
    plain = operation.join(values, part)
    last = [each.contiguous(memory_format=torch.channels_last) for each in (values, part)]
    other = operation.join(*last)
    assert torch.equal(plain, other)
    assert other.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        plain, torch.nn.functional.channel_shuffle(torch.cat([part, values[:, 2:]], 1), 4)
    )
