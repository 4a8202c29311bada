"""Evaluators, which map architectures to metrics (performance estimation)."""

from nas_gym.evaluators.base import COST, Evaluator
from nas_gym.evaluators.predictor import PREDICTOR, PredictorEvaluator
from nas_gym.evaluators.table import TableEvaluator

__all__ = [
    "COST",
    "PREDICTOR",
    "Evaluator",
    "PredictorEvaluator",
    "TableEvaluator",
]
