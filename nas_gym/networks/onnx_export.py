"""Export of trained networks to ONNX, and comparison with ONNX Runtime."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from nas_gym.networks.data.images import Pixels
from nas_gym.networks.trained import TrainedNetwork
from nas_gym.utils.errors import TrainingError
from nas_gym.utils.extras import import_extra
from nas_gym.utils.files import write_atomically

TOLERANCE = 1e-4
"""Largest accepted difference between logits of ONNX Runtime and of PyTorch."""


def check_onnx_is_installed() -> None:
    """Raise an error if a package that the export needs is missing.

    Raises:
        MissingDataError: If it is missing; the message has the command that installs it.
    """
    for module in ("onnx", "onnxruntime"):
        import_extra(module, "onnx")


def export_onnx(network: TrainedNetwork, path: Path, pixels: Pixels) -> float:
    """Write a network as an ONNX file, and compare its logits with those of PyTorch.

    The input ``images`` has preprocessed images, ``(n, channels, height, width)`` float32. The
    output ``logits`` has shape ``(n, classes)``. The metadata ``classes`` and ``preprocessing`` are
    JSON.

    Args:
        network: Network on the CPU.
        path: File to write.
        pixels: Images to compare on, ``(n, channels, height, width)`` uint8.

    Returns:
        Largest absolute difference of a logit.

    Raises:
        MissingDataError: If onnx or onnxruntime is not installed.
        TrainingError: If a logit differs by more than :data:`TOLERANCE`; the file is not written.
        DataError: If the file cannot be written.
    """
    onnx, runtime = import_extra("onnx", "onnx"), import_extra("onnxruntime", "onnx")
    images = network.preprocess.normalize(pixels[:2])
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # The exporter without TorchScript needs a further package, and is no better here. The
        # tracer warns that checks of shapes are left out.
        warnings.simplefilter("ignore")
        file = Path(folder, "model.onnx")
        torch.onnx.export(
            network, (images,), file, dynamo=False, input_names=["images"],
            output_names=["logits"], dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}},
        )  # fmt: skip
        model = onnx.load(str(file))
    for key in ("classes", "preprocessing"):
        text = json.dumps(network.description[key], ensure_ascii=False)
        model.metadata_props.add(key=key, value=text)
    content = model.SerializeToString()
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"images": network.preprocess.normalize(pixels).numpy()})
    difference = float(np.abs(found - network.logits(pixels)).max())
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"The logits of ONNX Runtime differ from those of PyTorch by {difference:.2g}, more "
            f"than {TOLERANCE:g}. The ONNX file was not written."
        )
    write_atomically(path, content)
    return difference
