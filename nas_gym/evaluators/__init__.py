"""Evaluators: from architectures to metrics."""

from nas_gym.evaluators.table import Column, Mixture, TableEvaluator, parse_signal

__all__ = ["Column", "Mixture", "TableEvaluator", "parse_signal"]
