"""Parameters and FLOPs, compared with the published values of NAS-Bench-201."""

import numpy as np
import pytest

from nas_gym.spaces import NB201Space
from nas_gym.spaces.nb201_cost import count_nb201_flops, count_nb201_parameters

space = NB201Space()

# number of classes and image size
DATASETS = {"cifar10": (10, 32), "cifar100": (100, 32), "ImageNet16-120": (120, 16)}

INDEX_0 = (
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|"
    "+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
)
INDEX_1 = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
)
ISSUE_36 = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
ISSUE_134 = (
    "|skip_connect~0|+|avg_pool_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|"
)


@pytest.mark.parametrize(
    ("dataset", "least_flops", "most_flops", "least_parameters", "most_parameters"),
    [
        # smallest and largest of NAS-Bench-201-v1_1-096897.pth, listed in the README of
        # github.com/automl/MO-HPOBenchExperimentUtils under "Get Bounds for Nasbench benchmarks"
        ("cifar10", 7.78305, 220.11969, 0.073306, 1.531546),
        ("cifar100", 7.7889, 220.12554, 0.079156, 1.537396),
        ("ImageNet16-120", 1.9534, 55.03756, 0.080456, 1.538696),
    ],
)
def test_bounds(dataset, least_flops, most_flops, least_parameters, most_parameters):
    classes, size = DATASETS[dataset]
    every = space.decode(np.arange(space.size))
    counted = count_nb201_flops(every, classes, size)
    assert (counted.min() / 1e6, counted.max() / 1e6) == (least_flops, most_flops)
    counted = count_nb201_parameters(every, classes)
    assert (counted.min() / 1e6, counted.max() / 1e6) == (least_parameters, most_parameters)


@pytest.mark.parametrize(
    ("text", "dataset", "published"),
    [
        # github.com/D-X-Y/NATS-Bench, issue 24: printed from the benchmark
        (INDEX_0, "cifar10", 15.64737),
        (INDEX_0, "cifar100", 15.65322),
        (INDEX_0, "ImageNet16-120", 3.91948),
        # github.com/D-X-Y/NATS-Bench, issue 36: get_cost_info(hp="12")
        (ISSUE_36, "cifar10", 113.95137),
    ],
)
def test_flops(text, dataset, published):
    classes, size = DATASETS[dataset]
    assert count_nb201_flops(space.from_text([text]), classes, size) / 1e6 == pytest.approx(
        published, abs=1e-9
    )


@pytest.mark.parametrize(
    ("text", "dataset", "published"),
    [
        # github.com/D-X-Y/NATS-Bench, issue 36: get_cost_info(hp="12"). (hp="200" gave 0.6404 in
        # nats_bench before 1.6: the mean over trials, one of which was counted wrongly.)
        (ISSUE_36, "cifar10", "0.802426"),
        # github.com/D-X-Y/NATS-Bench, issue 18: query_info_str_by_arch(1), "Params=0.802 MB"
        (INDEX_1, "cifar10", "0.802"),
        (INDEX_1, "cifar100", "0.808"),
        (INDEX_1, "ImageNet16-120", "0.810"),
        # github.com/D-X-Y/AutoDL-Projects, issue 134
        (ISSUE_134, "cifar10", "0.56"),
    ],
)
def test_parameters(text, dataset, published):
    millions = count_nb201_parameters(space.from_text([text]), DATASETS[dataset][0])[0] / 1e6
    decimals = len(published.split(".")[1])
    assert f"{millions:.{decimals}f}" == published


@pytest.mark.parametrize(
    ("dataset", "published"),
    # github.com/D-X-Y/NATS-Bench, issue 18: query_info_str_by_arch(1), "FLOP=113.95 M"
    [("cifar10", "113.95"), ("cifar100", "113.96"), ("ImageNet16-120", "28.50")],
)
def test_printed_flops(dataset, published):
    classes, size = DATASETS[dataset]
    assert (
        f"{count_nb201_flops(space.from_text([INDEX_1]), classes, size)[0] / 1e6:.2f}" == published
    )


def test_batch():
    every = space.decode(np.arange(space.size))
    for count in (count_nb201_parameters, count_nb201_flops):
        counted = count(every)
        assert counted.shape == (space.size,)
        assert counted.dtype == np.int64
        # only the numbers of 1x1 and 3x3 convolutions matter: 28 pairs of at most six in all
        assert len(np.unique(counted)) == 28
    assert count_nb201_parameters([0] * 6).shape == (1,)


def test_against_a_network():
    """Other widths and depths, against the same network built of torch's modules."""
    nn = pytest.importorskip("torch.nn")
    channels, cells, classes = 8, 2, 7

    def conv(source, target, kernel):
        return [nn.Conv2d(source, target, kernel, bias=False), nn.BatchNorm2d(target)]

    modules = conv(3, channels, 3)
    width = channels
    for stage in range(3):
        if stage:
            modules += conv(width, 2 * width, 3) + conv(2 * width, 2 * width, 3)
            modules += [nn.Conv2d(width, 2 * width, 1, bias=False)]
            width *= 2
        for _ in range(cells):
            modules += conv(width, width, 1) + conv(width, width, 3) + conv(width, width, 3)
    modules += [nn.BatchNorm2d(width), nn.Linear(width, classes)]
    expected = sum(p.numel() for module in modules for p in module.parameters())
    cell = [[2, 3, 3, 0, 1, 4]]
    assert count_nb201_parameters(cell, classes, channels=channels, cells=cells) == expected


def test_flops_scale_with_pixels():
    cells = space.decode(np.arange(100))
    linear = (4 * 16 + 1) * 10
    np.testing.assert_array_equal(
        count_nb201_flops(cells, image_size=64) - linear,
        4 * (count_nb201_flops(cells, image_size=32) - linear),
    )


def test_errors():
    with pytest.raises(ValueError, match=r"must be a multiple of 4.*got 30"):
        count_nb201_flops([[0] * 6], image_size=30)
    for count in (count_nb201_parameters, count_nb201_flops):
        with pytest.raises(ValueError, match="must have shape"):
            count([[0] * 5])
        with pytest.raises(ValueError, match="must be 0 to 4"):
            count([[5] * 6])
        with pytest.raises(TypeError, match="integers"):
            count([[0.5] * 6])
