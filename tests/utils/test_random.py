"""Random numbers computed from integers: known outputs, and the range and spread of numbers."""

from __future__ import annotations

import numpy as np

from nas_gym.utils.random import bits_to_uniform, box_muller, splitmix64


def test_splitmix64_has_its_published_outputs():
    # the first outputs of the reference implementation from seed 1234567
    increment = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + i * increment) % 2**64 for i in range(3)], np.uint64)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert splitmix64(states).tolist() == expected


def test_uniform_numbers():
    extremes = bits_to_uniform(np.array([0, 2**64 - 1], np.uint64))
    assert extremes.tolist() == [0.0, 1 - 2**-53]
    numbers = bits_to_uniform(splitmix64(np.arange(100_000, dtype=np.uint64)))
    assert abs(numbers.mean() - 0.5) < 0.005
    assert abs(numbers.std() - 12**-0.5) < 0.005


def test_normal_numbers():
    first, second = np.random.default_rng(0).random((2, 100_000))
    numbers = box_muller(first, second)
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.std() - 1) < 0.02
    assert abs((np.abs(numbers) > 2).mean() - 0.0455) < 0.003
    assert np.isfinite(box_muller(np.array([0.0, 1 - 2**-53]), np.array([0.0, 0.5]))).all()
