"""The folder in which converted tables, downloads, supernets and results are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder of converted tables and downloads.

    ``NAS_GYM_CACHE`` names it; otherwise it is the operating system's cache folder for programs.
    """
    named = os.environ.get("NAS_GYM_CACHE")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("nas_gym", appauthor=False)
