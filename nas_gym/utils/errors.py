"""What can go wrong with data, as errors that say what to do."""


class DataError(RuntimeError):
    """Data could not be read, checked or stored."""


class MissingDataError(DataError):
    """The data of a table is not on this machine; the message names the command that brings it."""


class DamagedDataError(DataError):
    """Data differs from what its sha256 promises, or is not in the format it should have."""


class TrainingError(RuntimeError):
    """A network could not be trained; the message says why, and what to change."""


class DivergedError(TrainingError):
    """The loss of a training is no number any more."""


class EvaluationError(ValueError):
    """An evaluator raised an error, or returned something else than its contract says."""
