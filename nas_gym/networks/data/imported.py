"""Imported images: data sets of the user in the cache, each in one file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nas_gym.networks.data.images import ImageData, Split
from nas_gym.tables.store import NAME_PATTERN
from nas_gym.utils.cache import cache_folder
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import explain_write_errors, read_tensors, read_texts, write_tensors

FORMAT = 1  # version of the files; files of other versions are ignored


def imported_images_path(name: str) -> Path:
    """Return the path of the file of imported images, which may not exist."""
    return cache_folder() / f"images-v{FORMAT}" / f"{name}.safetensors"


def contact_sheet_path(name: str) -> Path:
    """Return the path of the contact sheet of imported images, which may not exist."""
    return imported_images_path(name).with_suffix(".png")


def imported_images() -> list[str]:
    """Return the names of all imported images, in alphabetical order."""
    files = imported_images_path("any").parent.glob("*.safetensors")
    return sorted(file.stem for file in files if NAME_PATTERN.fullmatch(file.stem))


def is_imported(name: str) -> bool:
    """Return whether imported images have a name."""
    return NAME_PATTERN.fullmatch(name) is not None and imported_images_path(name).is_file()


def save_imported_images(data: ImageData, description: dict[str, Any]) -> None:
    """Store images in the cache, atomically; images of the same name are replaced.

    Args:
        data: Images.
        description: Plain values that :func:`describe_imported_images` also returns.

    Raises:
        DataError: If the cache cannot be written to, or the disk is full.
    """
    described = {**_describe(data), **description}
    arrays: dict[str, Any] = {"description": np.array(json.dumps(described))}
    for name, split in data.splits.items():
        arrays |= {f"{name}/images": split.images, f"{name}/labels": split.labels}
    write_tensors(imported_images_path(data.name), arrays)
    _load.cache_clear()


def _describe(data: ImageData) -> dict[str, Any]:
    counts = {
        split: np.bincount(each.labels, minlength=len(data.classes)).tolist()
        for split, each in data.splits.items()
    }
    return {"classes": data.classes, "counts": counts, "shape": data.shape, "digest": data.digest}


def load_imported_images(name: str) -> ImageData:
    """Return imported images.

    Raises:
        DamagedDataError: If their file is damaged.
    """
    path = imported_images_path(name)
    return _load(path, path.stat().st_mtime_ns)


@cache
def _load(path: Path, written: int) -> ImageData:  # images that were imported again are read again
    try:
        arrays = read_tensors(path)
        splits = (
            Split(arrays[f"{split}/images"], arrays[f"{split}/labels"])
            for split in ("train", "valid", "test")
        )
        classes = json.loads(str(arrays["description"]))["classes"]
        return ImageData(path.stem, tuple(classes), *splits)
    except (DamagedDataError, LookupError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def describe_imported_images(name: str) -> dict[str, Any]:
    """Return a description of imported images without reading the images.

    Returns:
        ``classes``, ``counts`` of the images of each class in each split, ``shape`` (channels,
        height, width), ``digest``, the ``source`` of the import, and the ``duplicates`` that
        :func:`nas_gym.networks.data.divided_folder.count_duplicates` found.

    Raises:
        DamagedDataError: If their file is damaged.
    """
    path = imported_images_path(name)
    try:
        found = json.loads(read_texts(path)["description"])
        if not {"classes", "counts", "shape", "digest", "source", "duplicates"} <= set(found):
            raise ValueError("its description is incomplete")
        return dict(found)
    except (DamagedDataError, LookupError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DamagedDataError:
    return DamagedDataError(
        f"The imported images in {path} are damaged: {str(error).rstrip('.')}. Delete them with "
        f"`nas-gym data remove {path.stem}`, and import them again."
    )


def remove_imported_images(name: str) -> None:
    """Delete imported images from the cache, and their contact sheet.

    Raises:
        DataError: If the cache cannot be written to.
    """
    path = imported_images_path(name)
    with explain_write_errors(path):
        path.unlink()
        contact_sheet_path(name).unlink(missing_ok=True)
