"""Output folders, which one command uses at a time, and progress bars."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich import get_console
from rich.console import Console
from rich.progress import Progress, ProgressColumn

from nas_gym.utils.files import explain_write_errors


def folder_name(label: str) -> str:
    """Return a label as the name of a folder, with other characters replaced by ``_``."""
    return re.sub(r"[^\w.=,()-]", "_", label)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Make a folder, and keep other commands out of it while the block runs.

    The lock ends with the process, also if it is killed.

    Args:
        folder: Output folder. It receives the file ``.lock``, which stays.

    Raises:
        ValueError: If another command writes to the folder, or it is the root of the file system.
        DataError: If the folder cannot be made or written to.
    """
    if folder.absolute() == folder.absolute().parent:
        raise ValueError(f"{folder} is the root of the file system. Choose another --out (out=).")
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"Another command is writing to {folder}. Wait for it, or choose another --out "
                "(out=)."
            ) from None
    try:
        yield
    finally:
        lock.release()


def make_progress(*columns: ProgressColumn, wanted: bool) -> Progress:
    """Return a progress display, which shows nothing if the output is not a terminal.

    Args:
        *columns: Columns of a progress bar.
        wanted: Whether the user wants a progress bar.
    """
    standard = get_console()
    console = standard if standard.is_jupyter else Console(stderr=True)
    shown = wanted and (console.is_terminal or console.is_jupyter)
    return Progress(*columns, console=console, disable=not shown)
