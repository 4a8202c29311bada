"""The cell of NAS-Bench-201, compared with the API and published tables of the benchmark."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from nas_gym.spaces import NB201Space
from nas_gym.spaces.nb201 import EDGES, OPERATIONS, structure

space = NB201Space()


@pytest.fixture(scope="module")
def genotypes():
    return space.decode(np.arange(space.size))


@pytest.fixture(scope="module")
def texts(genotypes):
    return space.to_text(genotypes)


def read_csv(name):
    """A published table from a folder of NAS_GYM_DATA, as one dict a row."""
    for folder in filter(None, os.environ.get("NAS_GYM_DATA", "").split(os.pathsep)):
        path = Path(folder, "nb201", name)
        if path.exists():
            with path.open(newline="") as file:
                return list(csv.DictReader(file))
    return pytest.skip(f"NAS_GYM_DATA names no folder with nb201/{name}")


def same_partition(first, second):
    """Whether two labellings group their items alike."""
    pairs = len(set(zip(first, second, strict=True)))
    return len(set(first)) == len(set(second)) == pairs


def test_size(genotypes):
    assert space.size == 15_625 == len(np.unique(genotypes, axis=0))
    assert space.num_decisions == 6
    assert space.alpha_size == 30
    assert not space.has_masks


def test_published_indices():
    # the first two of the benchmark: github.com/D-X-Y/NATS-Bench, issues 24 and 18
    first = (
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|"
        "+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    second = (
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|"
        "+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
    )
    assert space.encode(space.from_text([first, second])).tolist() == [0, 1]
    assert space.to_text(space.decode([0, 1])) == [first, second]


def test_text_is_read_alike_by_nas_201_api(genotypes, texts):
    api = pytest.importorskip("nas_201_api").NASBench201API
    sources, targets = np.array(EDGES).T
    matrices = np.array([api.str2matrix(text) for text in texts])
    np.testing.assert_array_equal(matrices[:, targets, sources], genotypes)
    for text, genotype in zip(texts[:300], genotypes, strict=False):
        listed = {
            (source, target): OPERATIONS.index(op)
            for target, node in enumerate(api.str2lists(text), start=1)
            for op, source in node
        }
        assert list(listed.items()) == list(zip(EDGES, genotype.tolist(), strict=True))


def test_text_round_trip(genotypes, texts):
    np.testing.assert_array_equal(space.from_text(texts), genotypes)
    assert len(set(texts)) == space.size


@pytest.mark.parametrize(
    "text",
    [
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~3|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|max_pool~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|+|none~0|",
    ],
)
def test_bad_text(text):
    with pytest.raises(ValueError, match=r"not an arch string of NAS-Bench-201.*nor_conv_3x3"):
        space.from_text([text])


def test_structures_are_those_of_nats_bench(genotypes, texts):
    read = pytest.importorskip("nats_bench.genotype_utils").topology_str2structure
    expected = [read(text).to_unique_str(consider_zero=True) for text in texts]
    assert [structure(cell) for cell in genotypes.tolist()] == expected
    numbers = space.structures(genotypes)
    assert same_partition(numbers.tolist(), expected)
    assert np.array_equal(np.unique(numbers), np.arange(6466))


def test_canonical_is_the_first_of_its_structure(genotypes):
    canonical = space.canonical(genotypes)
    np.testing.assert_array_equal(space.structures(canonical), space.structures(genotypes))
    np.testing.assert_array_equal(space.canonical(canonical), canonical)
    assert len(np.unique(canonical, axis=0)) == 6466
    powers = 5 ** np.arange(6)[::-1]
    assert (canonical @ powers <= genotypes @ powers).all()


def test_structures_by_hand():
    none, skip, conv1, conv3, _ = range(5)
    equal = [
        [conv3, none, none, none, skip, none],  # conv3 then skip
        [skip, none, none, none, conv3, none],  # skip then conv3
        [none, none, none, conv3, conv1, none],  # node 1 is zero, so is what reads it
    ]
    assert len(set(space.structures(equal).tolist())) == 1
    assert space.structures([[conv3, none, none, none, conv1, none]]) != space.structures(
        [[conv1, none, none, none, conv3, none]]
    )


@pytest.mark.parametrize("name", ["nats_bench.csv", "nb201_12epochs.csv"])
def test_published_tables_are_in_index_order(texts, name):
    assert [row["ArchitectureString"] for row in read_csv(name)] == texts


def test_published_unique_strings(genotypes):
    published = [row["UniqueString"] for row in read_csv("nats_bench.csv")]
    assert len(set(published)) == 6466
    assert same_partition(space.structures(genotypes).tolist(), published)


def test_graph_paths_are_those_of_the_cell():
    adjacency, operations = space.to_graph([[0, 1, 2, 3, 4, 0]])
    assert adjacency.shape == (1, 8, 8)
    labels = [space.node_labels[op] for op in operations[0]]
    assert labels == ["input", *(OPERATIONS[op] for op in [0, 1, 2, 3, 4, 0]), "output"]
    # four ways from node 0 to node 3: 0-3, 0-1-3, 0-2-3 and 0-1-2-3
    graph = adjacency[0].astype(int)
    ways = [np.linalg.matrix_power(graph, edges + 1)[0, 7] for edges in (1, 2, 3)]
    assert ways == [1, 2, 1]


def test_a_part_of_the_cells(genotypes):
    kept = genotypes[::7]
    part = NB201Space(kept, "mine")
    assert part.name == "mine"
    assert part.size == len(kept)
    np.testing.assert_array_equal(part.decode(np.arange(part.size)), np.unique(kept, axis=0))
    assert part.to_text(kept) == space.to_text(kept)
    np.testing.assert_array_equal(part.structures(kept), space.structures(kept))
    np.testing.assert_array_equal(part.canonical(kept), space.canonical(kept))
    np.testing.assert_array_equal(NB201Space(genotypes).encode(kept), space.encode(kept))
    with pytest.raises(ValueError, match="not an architecture of mine"):
        part.encode(genotypes[1])
