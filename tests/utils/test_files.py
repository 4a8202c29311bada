"""Files that are written atomically, and read without pickle."""

import numpy as np
import pytest

from nas_gym.utils import files
from nas_gym.utils.errors import DamagedDataError, DataError


def test_write_atomically(tmp_path):
    path = tmp_path / "new" / "file"
    files.write_atomically(path, b"one")
    files.write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [each.name for each in path.parent.iterdir()] == ["file"]
    with pytest.raises(DataError, match="Choose a folder on a disk with space"):
        files.write_atomically(path / "below", b"")


@pytest.mark.parametrize("kind", ["arrays", "tensors"])
def test_arrays_are_read_back(tmp_path, kind):
    path = tmp_path / "file"
    arrays = {
        "x": np.arange(6.0).reshape(2, 3),
        "seed": np.array(3),
        "names": np.array(["a", "bc"]),
    }
    getattr(files, f"write_{kind}")(path, arrays)
    found = getattr(files, f"read_{kind}")(path)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DamagedDataError, match=str(path)):
        getattr(files, f"read_{kind}")(path)


def test_tensors_of_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        files.read_tensors(tmp_path / "absent")
