"""Store of training results, shared by processes."""

from __future__ import annotations

import multiprocessing

from nas_gym.evaluators.results_store import ResultsStore


def add_rows(path, first):
    store = ResultsStore(path, ["loss"])
    for index in range(first, first + 20):
        assert store.get(index) is None
        store.add(index, {"loss": float(index)})


def test_processes_share_a_store(tmp_path):
    context = multiprocessing.get_context("fork")
    path = tmp_path / "new" / "x.sqlite"
    writers = [context.Process(target=add_rows, args=(path, 20 * i)) for i in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    rows = ResultsStore(path, ["loss"]).rows()
    assert rows == {index: {"loss": float(index)} for index in range(80)}
