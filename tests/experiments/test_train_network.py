"""Training of the network of an architecture: files, resuming, and use in other processes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from networks.data.class_folders import write_classes
from PIL import Image

import nas_gym
from nas_gym.experiments import train_network as module
from nas_gym.experiments.found_architecture import find_architecture
from nas_gym.networks.data import load_images
from nas_gym.networks.trained import DESCRIPTION, WEIGHTS
from nas_gym.networks.training import Training
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError
from nas_gym.utils.files import read_tensors

CELL = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
QUICK = {"epochs": 4, "channels": 4, "show_progress": False}


def train(out, source=CELL, task="NB201-digits", **changes):
    return nas_gym.train_network(source, task, out=out, **(QUICK | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "model"
    train(folder, validate=True)
    return folder


def weights(folder):
    return read_tensors(folder / WEIGHTS)


def assert_same_training(one, other):
    for name, each in weights(one).items():
        np.testing.assert_array_equal(each, weights(other)[name])
    found, expected = (json.loads((folder / DESCRIPTION).read_text()) for folder in (one, other))
    for each in (found, expected):
        del each["metrics"]["training_seconds"]
    assert found == expected


def test_files_and_metrics(finished):
    names = {each.name for each in finished.iterdir() if each.name != ".lock"}
    assert names == {WEIGHTS, DESCRIPTION, "curves.png", "confusion.png", "architecture.png",
                     "tensorboard"}  # fmt: skip
    description = json.loads((finished / DESCRIPTION).read_text())
    metrics, confusion = description["metrics"], np.array(description["metrics"]["confusion"])
    digits = load_images("digits")
    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(digits.test.labels))
    assert metrics["test_accuracy"] == pytest.approx(100 * np.trace(confusion) / confusion.sum())
    assert metrics["test_accuracy"] > 50
    assert description["classes"] == list(digits.classes)
    assert description["arch"] == CELL
    assert set(description["curves"]) == {"loss", "rate", "valid_accuracy"}
    assert all(len(each) == 4 for each in description["curves"].values())
    assert description["versions"]["nas_gym"] == nas_gym.__version__


@pytest.mark.long
def test_the_accuracy_is_the_same_in_a_fresh_process(finished, run_python):
    code = f"""
import nas_gym, torch
from nas_gym.networks.data import load_images
network = nas_gym.load_network({str(finished)!r})
assert not network.training
test = load_images("digits").test
images = network.preprocess.normalize(test.images)
with torch.no_grad():
    right = network(images).argmax(1) == torch.from_numpy(test.labels)
print(100 * int(right.sum()) / len(test), network.classes[3])
"""
    accuracy, name = run_python(code).split()
    metrics = json.loads((finished / DESCRIPTION).read_text())["metrics"]
    assert float(accuracy) == metrics["test_accuracy"]
    assert name == "3"


def test_preprocessing_takes_files_and_images(finished, tmp_path):
    network = nas_gym.load_network(finished)
    pixels = load_images("digits").test.images[0]
    image = Image.fromarray(pixels[0])
    image.save(tmp_path / "digit.png")
    expected = network.preprocess.normalize(pixels[None])[0]
    for given in (image, image.convert("RGB"), tmp_path / "digit.png", str(tmp_path / "digit.png")):
        assert torch.equal(network.preprocess(given), expected)
    assert network.preprocess(Image.new("RGB", (31, 17))).shape == (1, 8, 8)
    with pytest.raises(FileNotFoundError):
        network.preprocess(tmp_path / "nothing.png")


def test_onnx_has_the_same_outputs(finished, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    shutil.copytree(finished, tmp_path / "model")
    network = train(tmp_path / "model", validate=True, onnx=True)  # without training again
    session = onnxruntime.InferenceSession(str(tmp_path / "model" / "model.onnx"))
    pixels = load_images("digits").test.images
    (found,) = session.run(None, {"images": network.preprocess.normalize(pixels).numpy()})
    np.testing.assert_allclose(found, network.logits(pixels), atol=1e-4)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list("0123456789")
    assert_same_training(tmp_path / "model", finished)


def test_a_finished_training_is_not_repeated(finished, monkeypatch):
    monkeypatch.setattr(Training, "run_epoch", pytest.fail)
    train(finished, validate=True)
    for changes in ({"epochs": 5}, {"seed": 1}, {"validate": False}, {"cutout": 2}):
        with pytest.raises(ValueError, match="holds another training"):
            train(finished, **({"validate": True} | changes))


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (Training, "run_epoch", 3),
        (module._Run, "_write_checkpoint", 2),
        (module, "save_weights", 1),
        (module, "write_training_figures", 1),
        (module, "save_description", 1),
    ],
)
def test_an_interrupted_training_ends_with_the_same_network(
    owner, name, call, finished, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "_CHECKPOINT_SECONDS", 0.0)
    original, calls = getattr(owner, name), []

    def interrupted(*arguments):
        calls.append(name)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(owner, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, validate=True)
    assert not (tmp_path / DESCRIPTION).exists()
    train(tmp_path, validate=True)
    assert_same_training(tmp_path, finished)
    if name == "run_epoch":
        assert len(calls) == 5  # four epochs, and the one that was interrupted


@pytest.mark.long
def test_killed_processes_are_resumed(finished, tmp_path):
    code = f"""
import nas_gym
from nas_gym.experiments import train_network as module
module._CHECKPOINT_SECONDS = 0.0
nas_gym.train_network({CELL!r}, "NB201-digits", out={str(tmp_path / "model")!r}, validate=True,
                      epochs=4, channels=4, show_progress=False)
"""
    checkpoint = tmp_path / "model" / "checkpoint.safetensors"
    for _ in range(3):  # kill each process soon after it has written a checkpoint
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", code])
        while process.poll() is None and (
            not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before
        ):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, "-c", code], check=True)
    assert_same_training(tmp_path / "model", finished)


@pytest.mark.long
@pytest.mark.parametrize("space", ["NB201", "DARTS"])
def test_fine_tuning_starts_from_the_supernet(space, supernet_files, tmp_path):
    texts = {
        "NB201": CELL,
        "DARTS": find_text("DARTS"),
    }
    network = nas_gym.train_network(
        texts[space], f"{space}-digits", out=tmp_path / "tuned", fine_tune=True, epochs=1,
        supernet=supernet_files[space], show_progress=False,
    )  # fmt: skip
    assert network.description["training"]["start"].startswith("supernet ")
    assert network.description["metrics"]["test_accuracy"] > 30
    assert network.description["training"]["plan"]["recipe"]["learning_rate"] == pytest.approx(
        0.005
    )


def find_text(space):
    from nas_gym.spaces.registry import build_whole_space, find_space_class

    found = build_whole_space(find_space_class(space))
    return found.to_text(found.sample(1, np.random.default_rng(0)))[0]


@pytest.mark.long
def test_the_best_of_a_search_is_chosen_by_its_reward(supernet_files, tmp_path):
    arguments = {"supernet": str(supernet_files["NB201"]), "evaluator": "supernet(images=50)"}
    for signal_name in ("valid_accuracy", "valid_loss"):  # rewards of losses are negative
        out = tmp_path / signal_name
        nas_gym.search("NB201-digits-v0", "random", queries=4, seeds=2, out=out,
                       progress_bar=False, signal=signal_name, **arguments)  # fmt: skip
        lines = [json.loads(line) for line in (out / "history.jsonl").open()]
        wanted = max(each["reward"] for each in lines)
        found = find_architecture(str(out))
        assert wanted in [
            each["reward"] for each in lines if each["genotype"] == list(found.genotype)
        ]
        assert (found.task, found.dataset, found.space) == ("NB201-digits-v0", "digits", "NB201")
        assert found.supernet == arguments["supernet"]
    (out / "history.jsonl").write_text("{")
    with pytest.raises(DamagedDataError, match=r"history\.jsonl is damaged"):
        find_architecture(str(out))
    with pytest.raises(ValueError, match="has architectures of DARTS"):
        find_architecture(str(tmp_path / "valid_accuracy"), "DARTS-digits")


def test_an_architecture_of_a_table_can_be_trained_on_its_images():
    found = find_architecture(CELL, "NB201-cifar10")
    assert (found.space, found.dataset, found.genotype) == ("NB201", "cifar10", (3, 1, 3, 1, 0, 3))


def test_damaged_models(finished, tmp_path):
    with pytest.raises(MissingDataError, match="nas-gym train"):
        nas_gym.load_network(tmp_path)
    for change, says in (
        ({"format": 2, "versions": {"nas_gym": "9.9"}}, r"format 2 \(nas_gym 9\.9\)"),
        ({"space": "NB999"}, "no usable network"),
        ({"genotype": [9] * 6}, "no usable network"),
        ({"network": {"channels": 4}}, "no usable network"),
        ({"network": {"num_classes": 10, "in_channels": 1, "channels": 10**9}}, "no usable"),
        ({"preprocessing": {}}, "no usable network"),
        ({"genotype": [0, 1, 2, 3, 4, 0]}, "no usable network"),
    ):
        folder = tmp_path / "changed"
        shutil.copytree(finished, folder, dirs_exist_ok=True)
        description = json.loads((finished / DESCRIPTION).read_text()) | change
        (folder / DESCRIPTION).write_text(json.dumps(description))
        with pytest.raises(DataError, match=says):
            nas_gym.load_network(folder)
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    for content in (b"", (finished / WEIGHTS).read_bytes()[:-1]):
        (folder / WEIGHTS).write_bytes(content)
        with pytest.raises(DamagedDataError):
            nas_gym.load_network(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(DamagedDataError, match=r"has no model\.safetensors"):
        nas_gym.load_network(folder)
    for content in ("", "[]", "[" * 100_000, '{"a": 1}'):
        (folder / DESCRIPTION).write_text(content)
        with pytest.raises(DamagedDataError):
            nas_gym.load_network(folder)


def test_a_damaged_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(module, "save_weights", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, epochs=1)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(ValueError, match="holds another training"):
        train(tmp_path, epochs=2)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedDataError):
        train(tmp_path, epochs=1)


def test_images_without_colours_and_with(tmp_path, cache):
    write_classes(tmp_path / "photos", ("a", "b"), images=8)
    nas_gym.import_images(tmp_path / "photos", "photos", size=16)
    network = train(tmp_path / "model", task="NB201-photos", epochs=1, cells=1)
    assert network.preprocess.channels == 1
    assert network.description["training"]["images"] == "train, valid"
