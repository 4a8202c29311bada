"""Canonical forms of cells, compared with brute force and the counts of the benchmarks."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from nas_gym.spaces.isomorphism import canonicalize_cells

LABELS = 4  # three operations, and absent


def cells_in_use(vertices):
    """Every cell of NAS-Bench-101 with so many vertices, all on paths from input to output."""
    source, target = np.triu_indices(vertices, 1)
    found = []
    for bits in product((0, 1), repeat=len(source)):
        matrix = np.zeros((vertices, vertices), int)
        matrix[source, target] = bits
        used = matrix[:, 1:].any(axis=0).all() and matrix[:-1].any(axis=1).all()
        if used and sum(bits) <= 9:
            found += [(*bits, *labels) for labels in product(range(3), repeat=vertices - 2)]
    return np.array(found)


def matrix_of(cell, vertices):
    matrix = np.zeros((vertices, vertices), int)
    edges = vertices * (vertices - 1) // 2
    matrix[np.triu_indices(vertices, 1)] = cell[:edges]
    return matrix, [-1, *cell[edges:], -2]


def reordered(cell, vertices, order):
    """The cell with its inner vertices in another order; None where an edge goes backward."""
    matrix, labels = matrix_of(cell, vertices)
    whole = [0, *order, vertices - 1]
    moved = matrix[np.ix_(whole, whole)]
    if np.tril(moved).any():
        return None
    inner = [labels[vertex] for vertex in order]
    return (*moved[np.triu_indices(vertices, 1)].tolist(), *inner)


def orders(vertices):
    return list(permutations(range(1, vertices - 1)))


@pytest.mark.parametrize(("vertices", "count"), [(2, 1), (3, 6), (4, 84), (5, 2441)])
def test_isomorphic_cells_have_equal_forms(vertices, count):
    cells = cells_in_use(vertices)
    forms = [tuple(form) for form in canonicalize_cells(cells, vertices, LABELS).tolist()]
    groups = {tuple(cell): set() for cell in cells.tolist()}
    for cell, group in groups.items():
        group |= {reordered(cell, vertices, order) for order in orders(vertices)} - {None}
    assert forms == [max(group) for group in groups.values()]
    assert len(set(forms)) == len({frozenset(group) for group in groups.values()}) == count


def test_any_order_of_a_large_cell_has_one_form():
    rng = np.random.default_rng(0)
    for _ in range(20):
        cell = [*rng.integers(0, 2, 21).tolist(), *rng.integers(0, 3, 5).tolist()]
        every = [reordered(cell, 7, order) for order in orders(7)]
        forms = canonicalize_cells(np.array([each for each in every if each]), 7, LABELS)
        assert len(np.unique(forms, axis=0)) == 1
        np.testing.assert_array_equal(canonicalize_cells(forms, 7, LABELS), forms)


def test_vertices_on_no_path_are_absent():
    # 0->1->3 is the path; vertex 2 has edges, but reads nothing
    bits = [1, 0, 0, 0, 1, 1]
    forms = canonicalize_cells(
        np.array([[*bits, 1, 0], [*bits, 1, 2], [1, 0, 0, 0, 1, 0, 1, 3]]), 4, LABELS
    )
    assert forms.tolist() == [[1, 0, 0, 0, 1, 0, 1, 3]] * 3
    # an absent vertex is on no path, and where nothing is left there is no edge
    forms = canonicalize_cells(
        np.array([[1, 0, 0, 0, 1, 0, 3, 0], [0, 0, 0, 1, 0, 1, 0, 0]]), 4, LABELS
    )
    assert forms.tolist() == [[0, 0, 0, 0, 0, 0, 3, 3]] * 2
    assert canonicalize_cells(np.zeros((0, 8), int), 4, LABELS).shape == (0, 8)


def test_direction_and_place_count():
    """A chain of two operations is not the chain of them turned round."""
    chain = [1, 0, 0, 1, 0, 1]
    forms = canonicalize_cells(np.array([[*chain, 0, 1], [*chain, 1, 0]]), 4, LABELS)
    assert forms.tolist() == [[*chain, 0, 1], [*chain, 1, 0]]
    side_by_side = [1, 1, 0, 0, 1, 1]
    forms = canonicalize_cells(np.array([[*side_by_side, 0, 1], [*side_by_side, 1, 0]]), 4, LABELS)
    assert forms[0].tolist() == forms[1].tolist()
