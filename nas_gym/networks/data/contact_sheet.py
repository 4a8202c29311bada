"""Contact sheets, which show some images of each class of a data set."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from nas_gym.networks.data.images import ImageData
from nas_gym.utils.errors import shorten
from nas_gym.utils.files import write_atomically

_MOST_CLASSES = 40
_IMAGES = 10  # of each class
_SIDE, _GAP, _LABEL = 64, 4, 160  # pixels
_LETTERS = 22  # of a class name


def write_contact_sheet(data: ImageData, path: Path) -> None:
    """Write a PNG with a row of training images for each class; at most 40 classes are shown.

    Args:
        data: Data set.
        path: Path of the file.

    Raises:
        DataError: If the file cannot be written.
    """
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    classes = data.classes[:_MOST_CLASSES]
    font = ImageFont.truetype(str(Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf")), 12)
    size = (_LABEL + _IMAGES * (_SIDE + _GAP), len(classes) * (_SIDE + _GAP) + _GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for row, name in enumerate(classes):
        top = _GAP + row * (_SIDE + _GAP)
        draw.text((_GAP, top + _SIDE // 2 - 8), shorten(name, _LETTERS), "black", font)
        for column, number in enumerate(np.flatnonzero(data.train.labels == row)[:_IMAGES]):
            pixels = np.moveaxis(data.train.images[number], 0, 2).squeeze()
            image = Image.fromarray(pixels).convert("RGB").resize((_SIDE, _SIDE))
            sheet.paste(image, (_LABEL + column * (_SIDE + _GAP), top))
    content = BytesIO()
    sheet.save(content, "PNG")
    write_atomically(path, content.getvalue())
