"""Other models of the accuracy, which check the networks that agents found on the surrogate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas_gym.evaluators.surrogate import surrogate_evaluator
from nas_gym.spaces import MnasNetSpace
from nas_gym.tables import load_table
from reproduction.imagenet_search import AGENTS, LONG_AGENTS, LONG_SEARCH, SEARCH
from reproduction.imagenet_surrogate import EFFICIENTNET_B0, SURROGATE, TABLE
from reproduction.pages import markdown_table
from reproduction.studies import Measurement

LARGEST = "-".join(["e6k5l3se"] * 5 + ["e6k5l4se", "e6k5l3se"])
FOLDS, SEED = 5, 100

MODELS = {"kernel": "kernel ridge regression", "boosting": "gradient boosting"}


def make_models() -> dict[str, Any]:
    """Return models of scikit-learn, which are not fitted, by the names of :data:`MODELS`."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {
        "kernel": make_pipeline(
            StandardScaler(), KernelRidge(kernel="rbf", gamma=0.0035, alpha=0.003)
        ),
        "boosting": HistGradientBoostingRegressor(
            max_iter=800, learning_rate=0.05, max_leaf_nodes=15
        ),
    }


def network_features(space: MnasNetSpace, genotypes: ArrayLike) -> NDArray[np.float64]:
    """Return the settings of all blocks as numbers, ``(n, 28)``; ratios are logarithmic."""
    blocks = space.blocks(genotypes)
    parts = [np.log(blocks.expansion), blocks.kernel, np.log(blocks.layers), blocks.se]
    return np.concatenate(parts, axis=1).astype(np.float64)


def measure_models() -> dict[str, Any]:
    """Return what other models predict for the networks that agents found.

    The models are fitted to the measured accuracies of all networks of the table. Their quality is
    the R² of predictions for networks that were left out, in cross-validation.
    """
    from sklearn.model_selection import KFold, cross_val_predict

    space, table = MnasNetSpace(), load_table(TABLE)
    accuracies = table.column("top1")
    inputs = network_features(space, table.space.decode(np.arange(table.space.size)))
    centred = accuracies - accuracies.mean()
    folds = KFold(FOLDS, shuffle=True, random_state=SEED)
    networks = _found_networks()
    found: dict[str, Any] = {"networks": {name: {} for name in networks}, "r2": {}}
    for model, estimator in make_models().items():
        left_out = cross_val_predict(estimator, inputs, centred, cv=folds)
        found["r2"][model] = 1.0 - float(((left_out - centred) ** 2).mean() / centred.var())
        estimator.fit(inputs, centred)
        for name, texts in networks.items():
            predicted = estimator.predict(network_features(space, space.from_text(texts)))
            found["networks"][name][model] = float(predicted.mean() + accuracies.mean())
    evaluator = surrogate_evaluator(TABLE)
    for name, texts in networks.items():
        reports = evaluator.values("top1@half2", space.from_text(texts))
        found["networks"][name]["surrogate"] = float(reports.mean())
    return found


def _found_networks() -> dict[str, list[str]]:
    """Return architectures by the name of their row in the table."""
    found = {"EfficientNet-B0": [EFFICIENTNET_B0], "largest network": [LARGEST]}
    for study, agents in ((SEARCH, AGENTS), (LONG_SEARCH, LONG_AGENTS)):
        for agent, label in agents.items():
            name = f"{label}, {study.queries:,} queries"
            found[name] = study.result["best"][agent]["archs"]
    return found


OTHER_MODELS = Measurement("imagenet-models", measure_models)


def model_table() -> str:
    """Return the table of the predictions of all models."""
    found = OTHER_MODELS.result
    card = SURROGATE.result["cards"]["top1"]
    rows = [["R² in cross-validation", f"{card['r2']:.4f}"]
            + [f"{found['r2'][model]:.4f}" for model in MODELS]]  # fmt: skip
    rows += [
        [name, *(f"{own[model]:.2f}" for model in ("surrogate", *MODELS))]
        for name, own in found["networks"].items()
    ]
    return markdown_table(["network", "surrogate (`top1@half2`)", *MODELS.values()], rows)
