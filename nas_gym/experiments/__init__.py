"""Searches, comparisons and studies of agents: run, stored, summarized and reported."""
