"""Evaluators: from architectures to metrics."""

from nas_gym.evaluators.predictor import PREDICTOR, PredictorEvaluator
from nas_gym.evaluators.table import Column, Mixture, TableEvaluator, parse_signal

__all__ = [
    "PREDICTOR",
    "Column",
    "Mixture",
    "PredictorEvaluator",
    "TableEvaluator",
    "parse_signal",
]
