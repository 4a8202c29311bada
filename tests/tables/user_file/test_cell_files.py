"""Users' files of cells of TransNAS-Bench-101 micro, NAS-Bench-ASR and NAS-Bench-101."""

import gymnasium as gym
import numpy as np
import pytest
from spaces.cells import CELLS_101

from nas_gym import import_table, tables
from nas_gym.agents import MPNAS, RegularizedEvolution
from nas_gym.spaces import NB101Space, NBASRSpace, TransNASSpace

SPACES = {
    "TransNAS": TransNASSpace(),
    "NBASR": NBASRSpace(),
    "NB101": NB101Space(NB101Space.parse(CELLS_101)),
}


@pytest.mark.parametrize("name", SPACES)
def test_import_and_search(name, cache, tmp_path):
    space = SPACES[name]
    rows = np.arange(0, space.size, max(1, space.size // 60))
    texts = space.to_text(space.decode(rows))
    lines = [f'"{text}",{50 + row % 17}' for row, text in zip(rows, texts, strict=True)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["arch,accuracy", *lines]))
    ids = import_table(path, "mine")
    found = tables.load_table("mine").space
    assert type(found) is type(space)
    assert found.size == len(rows)
    assert found.to_text(found.decode(found.encode(found.from_text(texts)))) == texts
    for env_id in ids:
        agent = RegularizedEvolution(env_id, seed=0, population_size=5, sample_size=2)
        while agent.num_queries < 10:
            agent.query()
    envs = gym.make_vec(ids[0], num_envs=1)
    agent = MPNAS(envs, 0, width=8, layers=2, num_candidates=20)
    for _ in range(5):
        agent.query()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([CELLS_101[1], CELLS_101[0], CELLS_101[1]], "data rows 1 and 3 are the same"),
        (
            [CELLS_101[1], "[[0, 1, 0], [0, 0, 0], [0, 0, 0]] input,maxpool3x3,output"],
            "data row 2, column 'arch'.*it has 0",
        ),
        (
            ["[[5, 0], [1, 0, 0], [2, 0, 0, 0]]", "[[1, 0], [2, 0, 0], [5, 0, 0, 0]]"],
            "data rows 1 and 2 are the same",
        ),
        (["64-41414-1_02_333", "64-41414-1_02_334"], "data row 2, column 'arch'"),
    ],
)
def test_invalid_rows(texts, message, cache, tmp_path):
    path = tmp_path / "mine.csv"
    rows = "\n".join(f'"{text}",{row}' for row, text in enumerate(texts))
    path.write_text(f"arch,accuracy\n{rows}")
    with pytest.raises(ValueError, match=message):
        import_table(path, "mine")


def test_a_file_of_all_of_nas_bench_asr_is_the_whole_space(cache, tmp_path):
    space = NBASRSpace()
    texts = space.to_text(space.decode(np.arange(space.size)))
    path = tmp_path / "mine.csv"
    rows = "\n".join(f'"{text}",{row}' for row, text in enumerate(texts))
    path.write_text(f"arch,accuracy\n{rows}")
    import_table(path, "mine")
    table = tables.load_table("mine")
    assert table.space.tree is None
    np.testing.assert_array_equal(table.column("accuracy"), np.arange(8242))
