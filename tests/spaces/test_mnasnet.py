"""The blocks of MnasNet-like networks: counts, text, both matrices of alpha, and graphs."""

import numpy as np
import pytest

from nas_gym.spaces import MnasNetSpace, check_consistency
from nas_gym.spaces.graphs import to_graphs
from nas_gym.spaces.mnasnet import BLOCKS, DEPTHS, OPERATIONS

SPACE = MnasNetSpace()
EFFICIENTNET_B0 = "e1k3l1se-e6k3l2se-e6k5l2se-e6k3l3se-e6k5l3se-e6k5l4se-e6k3l1se"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_size_and_decisions():
    assert SPACE.size == 36**6 * 48 == 104_485_552_128
    assert SPACE.num_choices.tolist() == [3, 2, 3, 2] * 5 + [3, 2, 4, 2] + [3, 2, 3, 2]
    assert SPACE.decision_names[20:24] == (
        "block5.expansion", "block5.kernel", "block5.layers", "block5.se"
    )  # fmt: skip
    assert SPACE.decision_groups.tolist() == [block for block in range(7) for _ in range(4)]
    assert SPACE.alpha_size == 7 * 12 + sum(DEPTHS)


def test_the_space_and_a_part_are_consistent(rng):
    check_consistency(SPACE)
    check_consistency(MnasNetSpace(SPACE.sample(50, rng)))


def test_text():
    genotypes = SPACE.from_text([EFFICIENTNET_B0, " " + EFFICIENTNET_B0.replace("se", "") + "\n"])
    assert SPACE.to_text(genotypes)[0] == EFFICIENTNET_B0
    blocks = SPACE.blocks(genotypes)
    assert blocks.expansion[0].tolist() == [1, 6, 6, 6, 6, 6, 6]
    assert blocks.kernel[0].tolist() == [3, 3, 5, 3, 5, 5, 3]
    assert blocks.layers[0].tolist() == [1, 2, 2, 3, 3, 4, 1]
    assert blocks.se.all(axis=1).tolist() == [True, False]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("e1k3l1se-", ""),
        ("e1k3l1se", "e2k3l1se"),
        ("e1k3", "e1k7"),
        ("e6k5l2se", "e6k5l4se"),
        ("e6k5l4se", "e6k5l5se"),
        ("e6k3l1se", "e6k3l0"),
        ("se", "SE"),
        ("-", "_"),
    ],
)
def test_invalid_texts(old, new):
    with pytest.raises(ValueError, match=r"Expected 7 blocks .*, such as e1k3l1se"):
        SPACE.from_text([EFFICIENTNET_B0.replace(old, new)])


def test_alpha_has_a_matrix_of_operations_and_one_of_depths(rng):
    genotypes = SPACE.sample(200, rng)
    alpha = SPACE.genotype_to_alpha(genotypes)
    operations = alpha[:, :84].reshape(-1, BLOCKS, len(OPERATIONS))
    assert (operations.sum(axis=2) == 1).all()
    assert (alpha[:, 84:].sum(axis=1) == BLOCKS).all()
    texts = SPACE.to_text(genotypes)
    for text, rows in zip(texts, operations.argmax(axis=2), strict=True):
        for part, operation in zip(text.split("-"), rows.tolist(), strict=True):
            assert part[:4] + part[6:] == OPERATIONS[operation]
    np.testing.assert_array_equal(SPACE.alpha_to_genotype(alpha), genotypes)


def test_matrices_are_discretized_separately(rng):
    alpha = rng.random((100, SPACE.alpha_size))
    before = SPACE.alpha_to_genotype(alpha).reshape(-1, BLOCKS, 4)
    alpha[:, 84:] = rng.random((100, sum(DEPTHS)))
    after = SPACE.alpha_to_genotype(alpha).reshape(-1, BLOCKS, 4)
    np.testing.assert_array_equal(before[..., [0, 1, 3]], after[..., [0, 1, 3]])
    assert (before[..., 2] != after[..., 2]).any()


def test_a_partial_space_chooses_the_architecture_of_highest_alpha(rng):
    part = MnasNetSpace(SPACE.sample(40, rng))
    alpha = rng.random((30, part.alpha_size)).astype(np.float32)
    every = part.decode(np.arange(part.size))
    scores = alpha @ part.genotype_to_alpha(every).T
    np.testing.assert_array_equal(part.alpha_to_genotype(alpha), every[scores.argmax(axis=1)])


@pytest.mark.parametrize("fault", [np.zeros((1, 105)), np.full((1, 106), np.nan)])
def test_refuses_other_alphas(fault):
    with pytest.raises(ValueError, match="Alpha of MnasNet"):
        SPACE.alpha_to_genotype(fault)


def test_graphs_have_a_node_per_layer():
    one, b0 = SPACE.from_text(["-".join(["e4k3l1"] * 7), EFFICIENTNET_B0])
    adjacency, nodes = SPACE.to_graph([one, b0])
    labels = np.array(SPACE.node_labels)[nodes]
    assert (labels != "absent").sum(axis=1).tolist() == [2 + 7, 2 + 16]
    assert adjacency.sum(axis=(1, 2)).tolist() == [8, 17]
    assert (np.triu(adjacency, 1) == adjacency).all()
    assert labels[0][labels[0] != "absent"].tolist() == [
        "input", *(f"block{block}:e4k3" for block in range(7)), "output"
    ]  # fmt: skip
    assert to_graphs(SPACE, [one, b0]).nodes.shape == (2, 25)


def test_different_architectures_have_different_graphs(rng):
    genotypes = np.unique(SPACE.sample(500, rng), axis=0)
    adjacency, nodes = SPACE.to_graph(genotypes)
    keys = {a.tobytes() + n.tobytes() for a, n in zip(adjacency, nodes, strict=True)}
    assert len(keys) == len(genotypes)


def test_neighbors_and_mutation(rng):
    genotypes = SPACE.sample(20, rng)
    neighbors, valid = SPACE.neighbors(genotypes)
    assert neighbors.shape == (20, 7 * (2 + 1 + 2 + 1) + 1, 28)
    assert valid.all()
    assert ((neighbors != genotypes[:, None]).sum(axis=2) == 1).all()
    assert ((SPACE.mutate(genotypes, rng) != genotypes).sum(axis=1) == 1).all()
    children = SPACE.crossover(genotypes, genotypes[::-1], rng)
    assert ((children == genotypes) | (children == genotypes[::-1])).all()
