"""Errors of data and training. Their messages say what to do."""


class DataError(RuntimeError):
    """Data could not be read, checked or stored."""


class MissingDataError(DataError):
    """The data of a table is not on this machine; the message names the command that gets it."""


class DamagedDataError(DataError):
    """Data differs from its sha256, or does not have the expected format."""


class TrainingError(RuntimeError):
    """The training of a network failed; the message names the reason and what to change."""


class DivergedError(TrainingError):
    """The training loss became NaN or infinite."""


class EvaluationError(ValueError):
    """An evaluator raised an error, or returned values that violate its contract."""
