"""Tables: the metrics of every architecture, from where they are published."""

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
