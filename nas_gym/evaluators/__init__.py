"""Evaluators, which map architectures to metrics (performance estimation)."""

from nas_gym.evaluators.base import Evaluator
from nas_gym.evaluators.cost import COST, CostEvaluator
from nas_gym.evaluators.predictor import PREDICTOR, PredictorEvaluator
from nas_gym.evaluators.table import TableEvaluator

__all__ = [
    "COST",
    "PREDICTOR",
    "CostEvaluator",
    "Evaluator",
    "PredictorEvaluator",
    "TableEvaluator",
]
