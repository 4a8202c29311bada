"""Regression of the metrics of a partial table."""

from dataclasses import replace

import numpy as np
import pytest

from nas_gym.predictors.surrogate import (
    FEWEST_ROWS,
    Surrogate,
    SurrogateFeatures,
    table_digest,
)
from nas_gym.spaces import CategoricalSpace, DARTSSpace, MnasNetSpace
from nas_gym.tables import DataError, Metric, Objective, Table

CHOICES = [("1", "2", "4", "8")] * 3 + [("no", "yes", "maybe")] * 2
SPACE = CategoricalSpace(CHOICES, name="Small")
METRICS = (Metric("sum", "ms", False), Metric("pairs", "%"), Metric("rate", "images/s"))


def compute(genotypes):
    """Return a sum over decisions, a sum over pairs of decisions, and the inverse of a sum."""
    total = 1.0 + genotypes @ [1.0, 2.0, 3.0, 0.5, 0.25]
    pairs = 50.0 + genotypes[:, 0] * genotypes[:, 1] + 2 * (genotypes[:, 3] == 1)
    return np.stack([total, pairs, 100 / total], axis=1)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    rows = SPACE.decode(rng.permutation(SPACE.size)[:300])
    part = SPACE.subset(rows, "Small")
    return make_table(part)


def make_table(space):
    values = compute(space.decode(np.arange(space.size)))
    return Table("Small", space, METRICS, values, {"Small": Objective("pairs", "pairs")})


@pytest.fixture(scope="module")
def fitted(table):
    return Surrogate.fit(table, SPACE)


def test_sums_pairs_and_rates_are_learned(fitted):
    genotypes = SPACE.decode(np.arange(SPACE.size))
    predicted = fitted.predict(genotypes, {name: name for name in ("sum", "pairs", "rate")})
    expected = compute(genotypes)
    for column, (name, values) in enumerate(predicted.items()):
        error = np.abs(values - expected[:, column]).mean() / expected[:, column].std()
        assert error < 0.05, name
        assert fitted.cards[name].r2 > 0.98
        assert fitted.cards[name].kendall > 0.9
    assert fitted.cards["sum"].model == "additive, identity"
    assert fitted.cards["rate"].model == "additive, reciprocal"
    assert fitted.cards["pairs"].model.startswith("quadratic")


def test_a_fit_gives_the_same_bits(table, fitted):
    again = Surrogate.fit(table, SPACE)
    np.testing.assert_array_equal(again.to_arrays()["weights"], fitted.to_arrays()["weights"])
    assert again.cards == fitted.cards


def test_arrays_restore_it(fitted):
    restored = Surrogate.from_arrays(SPACE, fitted.to_arrays())
    genotypes = SPACE.sample(50, np.random.default_rng(0))
    for column in ("pairs", "pairs@half1", "pairs@half2"):
        np.testing.assert_array_equal(
            restored.predict(genotypes, {"x": column})["x"],
            fitted.predict(genotypes, {"x": column})["x"],
        )
    arrays = fitted.to_arrays()
    for damaged in (
        {**arrays, "weights": arrays["weights"][:, :-1]},
        {**arrays, "weights": arrays["weights"] * np.nan},
    ):
        with pytest.raises(ValueError, match="weights of shape"):
            Surrogate.from_arrays(SPACE, damaged)


def test_halves_depend_on_disjoint_architectures(table, fitted):
    """A change of one value changes one half only."""
    for row in range(5):
        values = table.values.copy()
        values[row, 1] += 0.01
        changed = Surrogate.fit(replace(table, values=values), SPACE)
        genotypes = SPACE.sample(50, np.random.default_rng(0))
        columns = {"a": "pairs@half1", "b": "pairs@half2"}
        before, after = fitted.predict(genotypes, columns), changed.predict(genotypes, columns)
        assert np.array_equal(before["a"], after["a"]) != np.array_equal(before["b"], after["b"])


def test_missing_values_are_left_out(table, fitted):
    values = table.values.copy()
    values[:20, 1] = np.nan
    partly = Surrogate.fit(replace(table, values=values), SPACE)
    assert {name: card.rows for name, card in partly.cards.items()} == {
        "sum": 300, "pairs": 280, "rate": 300
    }  # fmt: skip
    genotypes = SPACE.sample(50, np.random.default_rng(0))
    np.testing.assert_array_equal(
        partly.predict(genotypes, {"x": "sum"})["x"], fitted.predict(genotypes, {"x": "sum"})["x"]
    )


def test_predictions_do_not_depend_on_the_batch(fitted):
    genotypes = SPACE.sample(1200, np.random.default_rng(0))
    whole = fitted.predict(genotypes, {"x": "pairs"})["x"]
    single = fitted.predict(genotypes[1000:1001], {"x": "pairs"})["x"]
    np.testing.assert_allclose(single, whole[1000:1001], rtol=1e-12)


def test_uncertainty_and_extrapolation(table, fitted):
    genotypes = SPACE.decode(np.arange(SPACE.size))
    assert (fitted.deviation("pairs", genotypes) >= 0).all()
    outside = fitted.extrapolates("sum", genotypes)
    assert outside.sum() <= SPACE.size - table.space.size
    values = fitted.predict(genotypes, {"x": "sum"})["x"]
    card = fitted.cards["sum"]
    np.testing.assert_array_equal(outside, (values < card.low) | (values > card.high))


def test_a_metric_that_it_was_not_fitted_to(fitted):
    genotypes = SPACE.sample(1, np.random.default_rng(0))
    with pytest.raises(KeyError, match=r"not fitted to .none.\. It has: sum, pairs, rate"):
        fitted.predict(genotypes, {"x": "none"})
    with pytest.raises(KeyError, match="not fitted to 'none'"):
        fitted.deviation("none", genotypes)


def test_too_few_rows(table):
    rows = table.space.decode(np.arange(FEWEST_ROWS - 1))
    with pytest.raises(DataError, match=r"at least 50 architectures.*'Small' has 49"):
        Surrogate.fit(make_table(SPACE.subset(rows, "Small")), SPACE)


def test_genotypes_outside_the_space(fitted):
    with pytest.raises(ValueError, match="must be 0 to 3"):
        fitted.predict([[4, 0, 0, 0, 0]], {"x": "sum"})


@pytest.mark.parametrize("space", [SPACE, MnasNetSpace(), DARTSSpace()])
def test_features(space):
    features = SurrogateFeatures(space)
    genotypes = space.sample(200, np.random.default_rng(0))
    rows = features(genotypes)
    assert rows.shape == (200, features.size)
    joint = rows[:, : features.additive]
    assert set(np.unique(joint)) == {0.0, 1.0}
    assert len(np.unique(joint.sum(axis=1))) == 1
    distinct = np.unique(genotypes, axis=0)
    assert len(np.unique(features(distinct), axis=0)) == len(distinct)


def test_digest_depends_on_values_and_architectures(table):
    other = replace(table, values=table.values + 1)
    assert table_digest(other) != table_digest(table)
    assert table_digest(replace(table, values=table.values.copy())) == table_digest(table)
