"""The command line ``nas-gym``: one module for each group of commands."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from nas_gym.cli import agents, compare, data, listing, meta, networks, search

# Heavy imports are inside the commands that need them, so that `nas-gym --help` is quick.

__all__ = ["app", "main"]

app = typer.Typer(
    help="Neural architecture search as Gymnasium environments.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (listing, agents, search, compare, meta, networks):
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

    from nas_gym.tables.user_file import UserFileError
    from nas_gym.utils.errors import DataError, TrainingError

    try:
        app()
    except FileNotFoundError as error:
        print(f"nas-gym: There is no file {error.filename or error}.", file=sys.stderr)
        sys.exit(2)
    except UserFileError as error:
        print(f"nas-gym: {error.command_line_message()}", file=sys.stderr)
        sys.exit(2)
    except (DataError, TrainingError, gym.error.Error, KeyError, ValueError, TypeError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"nas-gym: {message}", file=sys.stderr)
        sys.exit(2)
