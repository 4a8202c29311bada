"""Experiments: run a search, record it, and look at it."""
