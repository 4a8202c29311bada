"""The cache folder of tables, downloads, supernets and training results."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the cache folder: ``NAS_GYM_CACHE``, or the system's cache folder by default."""
    named = os.environ.get("NAS_GYM_CACHE")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("nas_gym", appauthor=False)
