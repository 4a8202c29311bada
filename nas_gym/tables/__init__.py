"""Tables: metrics of all architectures of a search space, from published files."""

from nas_gym.tables.catalog import SOURCES, TableSource, fetch_table, imported_tables, load_table
from nas_gym.tables.table import Metric, Objective, Table
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError

__all__ = [
    "SOURCES",
    "DamagedDataError",
    "DataError",
    "Metric",
    "MissingDataError",
    "Objective",
    "Table",
    "TableSource",
    "fetch_table",
    "imported_tables",
    "load_table",
]
