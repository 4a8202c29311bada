"""Wrappers for the environments of this package."""

from nas_gym.wrappers.record_search import RecordSearch, RecordVectorSearch

__all__ = ["RecordSearch", "RecordVectorSearch"]
