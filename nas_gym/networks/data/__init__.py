"""Image data sets by name, and folders of images.

Users call :func:`load_images` and :func:`fetch_images`. :class:`ImageData` has the splits of a data
set. There is one module per source: :mod:`~nas_gym.networks.data.digits`,
:mod:`~nas_gym.networks.data.cifar`, :mod:`~nas_gym.networks.data.imagenet16` and
:mod:`~nas_gym.networks.data.folder`.

Few-shot learning splits classes instead of images: :mod:`~nas_gym.networks.data.few_shot` loads
such data sets and draws tasks, :mod:`~nas_gym.networks.data.class_images` has the sets of classes,
:mod:`~nas_gym.networks.data.omniglot` reads Omniglot, and
:mod:`~nas_gym.networks.data.class_subsets` splits the classes of a supervised data set.
"""

from nas_gym.networks.data.images import ImageData, Split
from nas_gym.networks.data.loading import (
    DATA_SETS,
    DOWNLOADABLE,
    clear_image_cache,
    fetch_images,
    load_images,
)

__all__ = [
    "DATA_SETS",
    "DOWNLOADABLE",
    "ImageData",
    "Split",
    "clear_image_cache",
    "fetch_images",
    "load_images",
]
