"""Readers of published benchmark files; each converts one source into a :class:`Table`."""
