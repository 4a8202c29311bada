"""Recording of diagnostics of each query, for TensorBoard."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


class QueryDiagnostics:
    """Mixin that records named diagnostics of each query and saves them with the agent."""

    diagnostic_names: ClassVar[tuple[str, ...]]
    """Names of the recorded diagnostics."""

    state_attributes: ClassVar[tuple[str, ...]] = ("_log",)
    _log: NDArray[np.float32]  # (n, queries, names)

    def clear_diagnostics(self, num_trials: int) -> None:
        """Start an empty record for each of ``num_trials`` trials."""
        self._log = np.empty((num_trials, 0, len(self.diagnostic_names)), np.float32)

    def record_diagnostics(self, values: NDArray[np.floating]) -> None:
        """Add the diagnostics of one query, ``(n, names)``; NaN marks a missing value."""
        self._log = np.concatenate([self._log, values[:, None]], axis=1, dtype=np.float32)

    def diagnostics(self) -> dict[str, NDArray[np.float64]]:
        """Return the recorded diagnostics by name, one array ``(queries, n)`` each."""
        columns = self._log.astype(np.float64).transpose(2, 1, 0)
        return dict(zip(self.diagnostic_names, columns, strict=True))
