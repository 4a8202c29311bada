"""Networks on a GPU agree with those on a CPU; the measuring script runs on both."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from networks.small import small_supernet, small_training

from nas_gym.evaluators.supernet import SupernetEvaluator
from nas_gym.evaluators.training import TrainingEvaluator
from nas_gym.networks import data
from nas_gym.networks.batches import DeviceImages
from nas_gym.networks.device import move_to_device
from nas_gym.networks.one_shot import ONE_SHOT_SEARCHES
from nas_gym.networks.supernet import load_supernet

SCRIPT = Path(__file__).parents[2] / "scripts" / "gpu_checks.py"
DIGITS = data.load_images("digits")
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@needs_cuda
@pytest.mark.parametrize("space", ["NB201", "DARTS"])
@pytest.mark.parametrize("name", ONE_SHOT_SEARCHES)
def test_steps(name, space):
    def loss(device):
        plan = small_supernet(space)
        train, valid = (
            DeviceImages.from_split(DIGITS, split, device) for split in (DIGITS.train, DIGITS.valid)
        )
        search = ONE_SHOT_SEARCHES[name](
            move_to_device(plan.build(), device), train, valid, plan.training, 0
        )
        search.begin_epoch()
        search.step(*next(train.in_order(64)))  # the next loss depends on gradients
        return search.step(*next(train.in_order(64))).cpu()

    torch.testing.assert_close(loss(CUDA), loss(CPU), rtol=0.1, atol=0.0)


@needs_cuda
@pytest.mark.parametrize("space", ["NB201", "DARTS"])
def test_inherited_weights(space, supernet_files):
    def losses(device):
        evaluator = SupernetEvaluator(load_supernet(supernet_files[space], device), DIGITS)
        genotypes = evaluator.space.sample(5, np.random.default_rng(0))
        return evaluator.values("valid_loss", genotypes)

    np.testing.assert_allclose(losses(CUDA), losses(CPU), rtol=0.05)


@needs_cuda
def test_training(tmp_path):
    plan = small_training("NB201", epochs=5)
    evaluator = TrainingEvaluator(plan, DIGITS, CUDA, tmp_path)
    found = evaluator.values("valid_accuracy", evaluator.space.decode([15_000]))
    assert found > 50


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
@pytest.mark.long
def test_the_script_measures(device):
    command = [sys.executable, SCRIPT, "--quick", "--device", device]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for words in ("supernet evaluations on", "convolutions alone", "of the roofline", "gdas: "):
        assert words in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_script_skips_itself():
    done = subprocess.run([sys.executable, SCRIPT], check=True, capture_output=True, text=True)
    assert "Skipped: no CUDA device" in done.stdout
