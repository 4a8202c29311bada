"""Evaluators: from architectures to metrics."""

from nas_gym.evaluators.table import Column, TableEvaluator

__all__ = ["Column", "TableEvaluator"]
