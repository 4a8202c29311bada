"""Utilities of all other packages: files, cache, downloads, errors, random numbers and ranks."""
