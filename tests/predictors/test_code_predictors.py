"""Regressions on architecture codes rank architectures that they have not seen."""

import numpy as np
import pytest
from networks.few_shot.test_meta_training import make_training

import nas_gym
from nas_gym.predictors.code_predictors import CODE_PREDICTORS, predict_from_codes
from nas_gym.utils.ranks import spearman


@pytest.mark.parametrize("kind", CODE_PREDICTORS)
def test_rank_correlation(kind):
    table = nas_gym.load_table("analog-nasbench")
    space, values = table.space, table.column("baseline_accuracy")
    rows = np.random.default_rng(0).permutation(space.size)[:400]
    genotypes, accuracy = space.decode(rows), np.asarray(values[rows], np.float64)
    found = predict_from_codes(kind, space, genotypes[:200], accuracy[:200], genotypes[200:], 0)
    assert spearman(found, accuracy[200:]) > 0.5
    again = predict_from_codes(kind, space, genotypes[:200], accuracy[:200], genotypes[200:], 0)
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize("kind", CODE_PREDICTORS)
def test_evaluation_step_with_a_predictor(kind):
    training = make_training(population=12, predictor=kind, predictor_samples=4)
    exact = make_training(population=12)
    found, expected = (each.evaluate(each.genotypes, 3) for each in (training, exact))
    assert (found == expected).sum() >= 4  # these were evaluated
    assert np.isfinite(found).all()
