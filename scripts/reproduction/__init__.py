"""Studies behind the result pages in ``docs/``, and the tables of these pages."""
