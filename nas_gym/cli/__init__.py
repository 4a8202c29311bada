"""The command line ``nas-gym``, with one module per group of commands."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from nas_gym.cli import agents, compare, data, listing, meta, networks, search, train
from nas_gym.cli.options import write_as_options

# Heavy imports are inside the commands that need them, so that `nas-gym --help` is quick.

__all__ = ["app", "main"]

_LONGEST_MESSAGE = 2_000  # characters; a message may repeat a long argument

app = typer.Typer(
    help="Neural architecture search as Gymnasium environments.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (listing, agents, search, compare, meta, networks, train):
    app.add_typer(group.app)
app.add_typer(data.app, name="data")


def _print_version(requested: bool) -> None:
    if requested:
        import nas_gym

        print(f"nas-gym {nas_gym.__version__}")
        raise typer.Exit


@app.callback()
def _before_each_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    # module:Class may be in the current folder; at the end, the folder hides no other module
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def main() -> None:
    """Run the command line. Errors that users can correct are shown without a traceback."""
    import gymnasium as gym

    from nas_gym.utils.errors import DataError, TrainingError

    warnings.formatwarning = _format_warning
    try:
        _refuse_empty_arguments(sys.argv[1:])
        app()
    except (
        DataError, TrainingError, gym.error.Error, OSError, KeyError, ValueError, TypeError,
        OverflowError, MemoryError, RecursionError,
    ) as error:  # fmt: skip
        print(f"nas-gym: {_message(error)}", file=sys.stderr)
        sys.exit(2)


def _format_warning(message: Warning | str, *_: Any, **__: Any) -> str:
    """Return a warning as one line without colours and without the code that it came from."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(message)).removeprefix("WARN: ")
    return f"nas-gym: {text}\n"


def _refuse_empty_arguments(arguments: Sequence[str]) -> None:
    """Raise an error for arguments such as ``--out ""`` and ``--out=``, which have no value."""
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        if not argument.strip():
            place = f" after {previous}" if previous.startswith("-") else ""
            raise ValueError(f"An argument{place} is empty. Give a value, or leave out the option.")
        if re.fullmatch(r"--[\w-]+=\s*", argument):
            raise ValueError(f"{argument} has no value. Give one, or leave out the option.")


def _message(error: Exception) -> str:
    """Return the message that the command line shows for an error."""
    if isinstance(error, FileNotFoundError):
        text = f"There is no file {error.filename or error}."
    elif isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename} cannot be used: {error.strerror}."
    elif isinstance(error, RecursionError):
        text = "The input is nested too deeply: use fewer brackets within brackets."
    elif isinstance(error, MemoryError):
        text = f"There is not enough memory for this. {error}".rstrip()
    elif isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
    else:
        text = str(error) or type(error).__name__
    text = write_as_options(text)
    if len(text) <= _LONGEST_MESSAGE:
        return text
    half = _LONGEST_MESSAGE // 2
    return f"{text[:half]} [... {len(text) - 2 * half:,} characters ...] {text[-half:]}"
