"""Imported images on the command line: ``nas-gym data import``, ``list`` and ``info``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas_gym.cli.output import console, make_grid, print_grid


def import_from_command_line(
    path: Path, name: str, size: int | None, replace: bool, columns: Mapping[str, Any]
) -> bool:
    """Import images, and print the IDs of their environments.

    Args:
        path: File or folder to import.
        name: Name of the images.
        size: Height and width that images are scaled to; ``None`` keeps their size.
        replace: Whether images of the same name are overwritten.
        columns: Options that only tables take.

    Returns:
        Whether the file or folder holds images; otherwise, nothing was done.

    Raises:
        ValueError: If an option does not fit the file or folder.
    """
    if not _holds_images(path):
        if size is not None:
            raise ValueError(f"--size is for images, but {path} is no folder or zip of images.")
        if os.path.isdir(path) and not any(path.glob("*.pbz2")):
            raise ValueError(
                f"{path} has neither images in subfolders, as <class>/<image>, nor the files of "
                "NATS-Bench. Name another folder."
            )
        return False
    from nas_gym import import_images

    if columns:
        options = ", ".join(f"--{each.replace('_', '-')}" for each in columns)
        raise ValueError(f"{path} holds images. {options} is for tables: leave it out.")
    ids = import_images(path, name, size=size, replace=replace)
    console.print(f"Registered: {', '.join(ids)}", markup=False)
    console.print(f"`nas-gym data info {name}` shows the images.", markup=False)
    return True


def _holds_images(path: Path) -> bool:
    """Return whether a path is a zip file, or a folder with images in subfolders."""
    from nas_gym.networks.data.folder import is_image_name

    if not os.path.isdir(path):
        return path.suffix.lower() == ".zip"
    # files of a NATS-Bench folder have other endings
    return any(is_image_name(each.relative_to(path).as_posix()) for each in path.rglob("*"))


def list_imported_images() -> list[tuple[str, bool, str, str]]:
    """Return a row of ``nas-gym data list`` for each data set of imported images."""
    from nas_gym.networks.data.imported import (
        describe_imported_images,
        imported_images,
        imported_images_path,
    )
    from nas_gym.utils.errors import DamagedDataError

    rows = []
    for name in imported_images():
        try:
            text = _summarize(describe_imported_images(name))
        except DamagedDataError:
            text = "damaged"
        rows.append(
            (name, True, f"images imported by you: {text}", str(imported_images_path(name)))
        )
    return rows


def _summarize(description: Mapping[str, Any]) -> str:
    """Return the number of classes, and the number and shape of images."""
    channels, height, width = description["shape"]
    images = sum(map(sum, description["counts"].values()))
    kind = "grey" if channels == 1 else "colour"
    return (
        f"{len(description['classes'])} classes, {images:,} {kind} images of {width} x {height} "
        "pixels"
    )


def print_imported_images(name: str) -> None:
    """Print what is known about imported images, and write their contact sheet."""
    from nas_gym.networks.data.contact_sheet import write_contact_sheet
    from nas_gym.networks.data.imported import (
        contact_sheet_path,
        describe_imported_images,
        load_imported_images,
    )
    from nas_gym.registration import image_environments

    found = describe_imported_images(name)
    console.print(f"{name}: {_summarize(found)}", markup=False)
    grid = make_grid("class", *found["counts"], wrapped=("class",))
    for each, *counts in zip(found["classes"], *found["counts"].values(), strict=True):
        grid.add_row(each, *(f"{count:,}" for count in counts))
    totals = (f"{sum(counts):,}" for counts in found["counts"].values())
    grid.add_row("all", *totals)
    print_grid(grid)
    duplicates = found["duplicates"]
    console.print(
        f"copies of images in an earlier split: valid {duplicates['valid']}, "
        f"test {duplicates['test']}"
    )
    console.print(f"source: {found['source']}", markup=False)
    console.print(f"digest: {found['digest']}", markup=False)
    own = [task for task, each in image_environments().items() if each["dataset"] == name]
    console.print(f"environments: {', '.join(f'{task}-v0' for task in own)}", markup=False)
    write_contact_sheet(load_imported_images(name), contact_sheet_path(name))
    console.print(f"contact sheet: {contact_sheet_path(name)}", markup=False, soft_wrap=True)
