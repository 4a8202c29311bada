"""Recording of searches: wrappers of environments, curves, and TensorBoard event files."""

from nas_gym.recording.record_search import RecordSearch, RecordVectorSearch

__all__ = ["RecordSearch", "RecordVectorSearch"]
