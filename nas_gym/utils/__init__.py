"""Utilities that every other part uses: files, the cache, downloads, errors and ranks."""
