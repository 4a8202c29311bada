"""TensorBoard event files of searches."""

import numpy as np
import pytest

from nas_gym.recording.curves import compute_curves
from nas_gym.recording.tensorboard import AgentEventWriter, write_events
from nas_gym.tasks import make_task


@pytest.fixture(scope="module")
def task():
    return make_task(table="analog-nasbench", dataset="cifar10")


def random_curves(task, queries, trials):
    indices = np.random.default_rng(0).integers(0, task.space.size, (queries, trials))
    return compute_curves(task, indices, task.reward(indices))


def read_events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_curves_are_written_in_parts(task, tmp_path):
    curves = random_curves(task, 20, 2)
    losses = np.arange(40.0).reshape(20, 2)
    losses[5, 1] = np.nan
    hyperparams = {"rate": 0.1, "layers": (3, 4)}
    writer = AgentEventWriter(tmp_path, task, 20, hyperparams, ["a", "b"])
    writer.write(curves.first_queries(7), {"loss": losses[:7]})
    writer.close(curves, {"loss": losses})
    mean = read_events(tmp_path)
    written = [event.value for event in mean.Scalars("train/loss")]
    np.testing.assert_allclose(written, np.nanmean(losses, axis=1), rtol=1e-6)
    assert set(mean.Tags()["images"]) == {"best/architecture", "best/in_common"}
    for trial, name in enumerate("ab"):
        events = read_events(tmp_path / name)
        regrets = events.Scalars("search/regret")
        assert [event.step for event in regrets] == list(range(1, 21))
        expected = curves.regrets[:, trial]
        np.testing.assert_allclose([event.value for event in regrets], expected, rtol=1e-6)
        ranks = [event.value for event in events.Scalars("search/log_rank")]
        np.testing.assert_allclose(ranks, curves.log_ranks[:, trial], rtol=1e-6)
        written = events.Scalars("train/loss")
        assert [event.value for event in written] == [
            loss for loss in losses[:, trial] if not np.isnan(loss)
        ]
        assert "search/training_seconds" not in events.Tags()["scalars"]
        assert events.Tags()["images"] == ["best/architecture"]


def test_long_curves_are_reduced_and_old_files_replaced(task, tmp_path):
    write_events([tmp_path], task, random_curves(task, 10, 1))
    write_events([tmp_path], task, random_curves(task, 601, 2))
    regrets = read_events(tmp_path).Scalars("search/regret")
    assert len(regrets) <= 251
    assert regrets[-1].step == 601
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1


def test_no_queries_no_files(task, tmp_path):
    write_events([tmp_path / "empty"], task, random_curves(task, 0, 1))
    assert not (tmp_path / "empty").exists()
