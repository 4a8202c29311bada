"""Evolution of a population: parents first, nodes as units, sizes, limits."""

import numpy as np
import pytest

from nas_gym.spaces import DARTSSpace, NB201Space
from nas_gym.spaces.evolution import next_generation


def evolve(space=None, size=16, seed=0, **settings):
    space = space or NB201Space()
    rng = np.random.default_rng(seed)
    genotypes = space.sample(size, rng)
    fitness = rng.random(size)
    return genotypes, fitness, next_generation(space, genotypes, fitness, rng, **settings)


def test_the_top_quarter_survives():
    genotypes, fitness, following = evolve()
    best = genotypes[np.argsort(-fitness)[:4]]
    assert following.shape == genotypes.shape
    np.testing.assert_array_equal(following[:4], best)


@pytest.mark.parametrize("space", [NB201Space(), DARTSSpace()])
def test_children_combine_nodes_of_parents(space):
    genotypes, fitness, following = evolve(space)
    parents, groups = genotypes[np.argsort(-fitness)[:4]], space.decision_groups
    for child in following[4:8]:
        for group in np.unique(groups):
            own = groups == group
            assert (parents[:, own] == child[own]).all(axis=1).any()


def test_without_mutation_and_crossover_children_are_parents():
    genotypes, fitness, following = evolve(crossover=0.0, mutation=0.0, refill=False)
    parents = genotypes[np.argsort(-fitness)[:4]].tolist()
    assert all(child in parents for child in following.tolist())


def test_mutation_redraws_whole_nodes():
    space = DARTSSpace()
    genotypes, _, following = evolve(space, mutation=1.0, crossover=0.0)
    assert not (following[8:12] == genotypes[:, None]).all(axis=2).any()


def test_halving_ends_with_the_best():
    space, rng = NB201Space(), np.random.default_rng(0)
    genotypes = space.sample(8, rng)
    fitness = np.arange(8.0)
    sizes = []
    while len(genotypes) > 1:
        best = genotypes[fitness.argmax()]
        genotypes = next_generation(
            space, genotypes, fitness, rng, size=len(genotypes) // 2, refill=False
        )
        fitness = np.arange(len(genotypes), 0.0, -1.0)
        sizes.append(len(genotypes))
    assert sizes == [4, 2, 1]
    np.testing.assert_array_equal(genotypes[0], best)


def test_limits():
    def few_convolutions(genotypes):
        return (genotypes == 3).sum(axis=1) <= 1

    _, _, following = evolve(accept=few_convolutions)
    assert few_convolutions(following[4:]).all()
    with pytest.raises(ValueError, match="none is below the limit"):
        evolve(accept=lambda genotypes: np.zeros(len(genotypes), bool))


def test_same_seed_same_generation():
    np.testing.assert_array_equal(evolve(seed=3)[2], evolve(seed=3)[2])
