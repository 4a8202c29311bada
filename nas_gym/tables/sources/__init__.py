"""Readers of published benchmark files: each turns one source into a :class:`Table`."""
