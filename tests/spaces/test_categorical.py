"""Search spaces of tables with choices of their own."""

import numpy as np
import pytest

from nas_gym.spaces import CategoricalSpace


def test_full_space():
    space = CategoricalSpace([("conv", "pool"), ("relu", "gelu", "tanh")], names=["op", "act"])
    assert space.size == 6
    assert space.alpha_size == 5
    assert space.max_choices == 3
    assert space.has_masks
    assert space.decision_names == ("op", "act")
    assert space.decode([0, 1, 5]).tolist() == [[0, 0], [0, 1], [1, 2]]
    assert space.to_text([[1, 2]]) == ["pool,tanh"]
    assert space.from_text([" pool , gelu"]).tolist() == [[1, 1]]
    assert space.genotype_to_alpha([1, 2]).tolist() == [[0, 1, 0, 0, 1]]
    assert space.prefix_masks(0, np.zeros(1, int)).tolist() == [[True, True, False]]


def test_equal_numbers_of_choices_need_no_masks():
    assert not CategoricalSpace(["ab", "cd"]).has_masks
    assert CategoricalSpace(["ab", "cd"], genotypes=[[0, 1]]).has_masks


def test_duplicates_are_merged():
    space = CategoricalSpace(["ab", "cd"], genotypes=[[1, 0], [0, 1], [1, 0]])
    assert space.size == 2
    assert space.decode([0, 1]).tolist() == [[0, 1], [1, 0]]


def test_a_complete_table_restricts_nothing():
    space = CategoricalSpace(["ab", "cd"], genotypes=[[1, 0], [0, 1], [1, 1], [0, 0]])
    assert space.tree is None
    assert space.size == 4


def test_a_choice_that_no_genotype_takes():
    space = CategoricalSpace(["abc", "de"], genotypes=[[0, 1], [2, 0]])
    assert space.prefix_masks(0, np.array([0])).tolist() == [[True, False, True]]
    assert space.contains([[1, 0], [2, 0]]).tolist() == [False, True]
    assert space.alpha_to_genotype([0, 9, 1, 0, 9.0]).tolist() == [[2, 0]]


def test_children_of_an_invalid_prefix_are_invalid():
    space = CategoricalSpace(["ab", "cd", "ef"], genotypes=[[0, 0, 0], [1, 1, 1]])
    node = space.extend(0, np.array([0]), np.array([0]))
    node = space.extend(1, node, np.array([1]))
    assert node.tolist() == [-1]
    assert space.extend(2, node, np.array([1])).tolist() == [-1]
    assert not space.prefix_masks(2, node).any()


def test_mutation_of_an_isolated_genotype_is_a_sample():
    space = CategoricalSpace(["ab", "cd"], genotypes=[[0, 0], [1, 1]])
    mutated = space.mutate(np.zeros((400, 2), int), np.random.default_rng(0))
    assert space.contains(mutated).all()
    assert 140 < mutated[:, 0].sum() < 260


def test_mutation_of_the_only_genotype():
    for space in (CategoricalSpace(["a", "b"]), CategoricalSpace(["ab"], genotypes=[[1]])):
        only = space.decode([0])
        assert space.mutate(only, np.random.default_rng(0)).tolist() == only.tolist()


def test_mutation_is_uniform_over_decisions_then_choices():
    space = CategoricalSpace(["ab", "cdefg", "h"])
    mutated = space.mutate(np.zeros((40_000, 3), int), np.random.default_rng(0))
    first = (mutated[:, 0] == 1).mean()
    assert abs(first - 0.5) < 5 * 0.5 / 200
    counts = np.bincount(mutated[mutated[:, 1] > 0, 1], minlength=5)[1:]
    assert (abs(counts - 5000) < 5 * np.sqrt(5000)).all()


def test_crossover_outside_the_space_keeps_the_first_parent():
    space = CategoricalSpace(["ab", "cd"], genotypes=[[0, 0], [1, 1]])
    first, second = np.zeros((200, 2), int), np.ones((200, 2), int)
    child = space.crossover(first, second, np.random.default_rng(0))
    assert set(map(tuple, child.tolist())) == {(0, 0), (1, 1)}
    assert child[:, 0].mean() < 0.5


def test_partial_space_of_more_combinations_than_64_bits():
    rng = np.random.default_rng(0)
    table = rng.integers(0, 3, (500, 45))
    space = CategoricalSpace(["abc"] * 45, genotypes=table)
    assert space.size == 500
    np.testing.assert_array_equal(space.decode(space.encode(table)), table)
    np.testing.assert_array_equal(space.from_text(space.to_text(table)), table)
    assert not space.contains((table + 1) % 3).any()
    nodes = np.zeros(500, np.int64)
    for depth in range(45):
        assert space.prefix_masks(depth, nodes)[np.arange(500), table[:, depth]].all()
        nodes = space.extend(depth, nodes, table[:, depth])
    np.testing.assert_array_equal(space.leaf_to_index(nodes), space.encode(table))
    np.testing.assert_array_equal(space.decode_prefixes(45, nodes), table)
    assert space.contains(space.sample(100, rng)).all()
    assert space.contains(space.mutate(table, rng)).all()
    assert space.contains(space.crossover(table, table[::-1], rng)).all()
    assert space.contains(space.alpha_to_genotype(rng.random((50, 135)))).all()


def test_a_full_space_beyond_64_bits_has_no_indices():
    space = CategoricalSpace(["abc"] * 45)
    assert space.size == 3**45
    sample = space.sample(10, np.random.default_rng(0))
    assert space.contains(sample).all()
    with pytest.raises(OverflowError, match="too many"):
        space.encode(sample)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"choices": []}, "at least one decision"),
        ({"choices": ["ab", ""]}, "at least one choice"),
        ({"choices": ["ab"], "names": ["x", "y"]}, "1 decisions need 1 names, got"),
        ({"choices": ["ab", "cdc"]}, "Two choices of decision1 are labelled 'c'"),
        ({"choices": [["a,b"]]}, "'a,b'.*must not contain a comma"),
        ({"choices": [["a", " a"]]}, "' a', a choice of decision0.*end with a space"),
        ({"choices": ["ab"], "genotypes": []}, "at least one genotype"),
        ({"choices": ["ab"], "genotypes": [[2]]}, "must be 0 to 1"),
        ({"choices": ["ab"], "genotypes": [[0, 0]]}, "must have shape"),
    ],
)
def test_bad_spaces(kwargs, message):
    with pytest.raises(ValueError, match=message):
        CategoricalSpace(**kwargs)


def test_bad_text_says_what_was_expected():
    space = CategoricalSpace(["ab", "cd"], names=["first", "second"])
    with pytest.raises(ValueError, match=r"'a,x'.*'x' of second.*c, d"):
        space.from_text(["a,c", "a,x"])
    with pytest.raises(ValueError, match=r"'a' has 1 choices"):
        space.from_text(["a"])


def test_graph_is_a_chain():
    space = CategoricalSpace(["ab", "cde"], names=["op", "act"])
    adjacency, operations = space.to_graph([[1, 2]])
    assert adjacency[0].tolist() == np.eye(4, k=1, dtype=int).tolist()
    assert [space.node_labels[op] for op in operations[0]] == ["input", "op=b", "act=e", "output"]


def test_repr():
    assert repr(CategoricalSpace(["ab", "cd"], name="mine")) == (
        "<CategoricalSpace 'mine': 2 decisions, 4 architectures>"
    )
