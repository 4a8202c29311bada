"""The restricted unpickler, against hostile and damaged files."""

import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from nas_gym.tables.sources import pickles, reading
from nas_gym.utils.errors import DamagedDataError, DataError, MissingDataError

# what the stand-ins for NumPy are asked for, as an attacker would write it
FORGED = {
    "an array over given bytes": b"cnumpy\nndarray\n((I1\ntcnumpy\ndtype\n(VO\ntRC\x08AAAAAAAAtR.",
    "an array made without a call": b"cnumpy\nndarray\n)\x81.",
    "a dtype of objects": b"cnumpy\ndtype\n(VO\ntR.",
    "a structured dtype": b"cnumpy\ndtype\n(Vf8,O\ntR.",
    "a state of the class": b"cnumpy\nndarray\n}b.",
    "a state of a function": b"cnumpy.core.multiarray\nscalar\nN}V__defaults__\nNs\x86b.",
    "a scalar of no dtype": b"cnumpy.core.multiarray\nscalar\n(VO\nC\x08AAAAAAAAtR.",
    "a short scalar": b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(Vf8\ntRC\x04AAAAtR.",
    "an array of another class": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntC\x01btR."
    ),
}
_ARRAY = (
    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR"
    b"(I1\n(I%d\nt%sI00\n%stb."
)
_F8 = b"cnumpy\ndtype\n(Vf8\ntR"
FORGED |= {
    "an array of a text as dtype": _ARRAY % (1, b"VO\n", b"C\x08AAAAAAAA"),
    "an array shorter than its shape": _ARRAY % (2, _F8, b"C\x08AAAAAAAA"),
    "an array of negative length": _ARRAY % (-1, _F8, b"C\x08AAAAAAAA"),
    "an array of a list": _ARRAY % (1, _F8, b"]"),
    "a dtype turned into another": _ARRAY
    % (1, _F8 + b"(I3\nVO\nNNNI-1\nI-1\nI0\ntb", b"C\x08AAAAAAAA"),
}

PLAIN = {"a": [1, 2.5, "x", None, True, b"y"], (1, 2): {3}}


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_numpy_and_plain_containers_are_read(protocol):
    content = {
        "scalar": np.float64(1.5),
        "array": np.arange(3),
        "order": OrderedDict(a=1),
    }
    allowed = {**pickles.NUMPY, **pickles.ORDERED_DICT}
    loaded = pickles.load_pickle(pickle.dumps(content, protocol), allowed)
    assert loaded["scalar"] == 1.5
    assert loaded["order"] == OrderedDict(a=1)
    np.testing.assert_array_equal(loaded["array"], np.arange(3))


def test_a_pickle_can_be_read_from_its_path(tmp_path):
    path = tmp_path / "plain.pickle"
    path.write_bytes(pickle.dumps(PLAIN, 4))
    assert pickles.load_pickle(path, {}) == PLAIN


def test_names_of_numpy_1_and_2_are_read():
    content = pickle.dumps(np.float64(2.5), 2)
    for old, new in ((b"numpy.core", b"numpy._core"), (b"numpy._core", b"numpy.core")):
        assert pickles.load_pickle(content.replace(old, new), pickles.NUMPY) == 2.5


def test_a_program_is_named_and_not_run(hostile):
    thing, ran = hostile
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(DamagedDataError, match=r"(posix|nt)\.system.*No code of it was run"):
            pickles.load_pickle(pickle.dumps([thing], protocol), pickles.NUMPY)
    assert not ran.exists()


def test_builtins_and_other_codecs_are_refused():
    with pytest.raises(DamagedDataError, match=r"builtins\.eval"):
        pickles.load_pickle(b"cbuiltins\neval\n(V1\ntR.", pickles.NUMPY)
    with pytest.raises(DamagedDataError, match="latin1 was expected"):
        pickles.load_pickle(b"c_codecs\nencode\n(Vx\nVrot13\ntR.", pickles.NUMPY)


def test_attributes_of_allowed_functions_cannot_be_set():
    with pytest.raises(DamagedDataError, match=r"numpy\.ndarray\.dump"):
        pickles.load_pickle(b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.", pickles.NUMPY)


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_numpy_stand_ins_make_numbers_only(forged, tmp_path):
    good = _ARRAY % (1, _F8 + b"(I3\nV>\nNNNI-1\nI-1\nI0\ntb", b"C\x08\x3f\xf0" + bytes(6))
    assert pickles.load_pickle(good, pickles.NUMPY).tolist() == [1.0]
    with pytest.raises(DamagedDataError, match="could not be read"):
        pickles.load_pickle(forged, pickles.NUMPY)
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", forged)
    with pytest.raises(DamagedDataError, match="could not be read"):
        pickles.load_torch_file(path)


class Call:
    """A pickle of it calls a function, then gives what comes back a state."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = function, arguments, state

    def __reduce__(self):
        return self.reduced


def array(*state):
    return Call(_RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, *state))


_RECONSTRUCT, _SCALAR = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]
_OBJECTS = Call(np.dtype, "O", False, True, state=(3, "|", None, None, None, -1, -1, 63))


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        (Call(np.ndarray, (1,), "f8", b"A" * 8), "not callable"),
        (Call(np.ndarray, (1,), _OBJECTS, b"A" * 8), "dtype 'O'"),
        (Call(_SCALAR, _OBJECTS, b"A" * 8), "dtype 'O'"),
        (array((1,), _OBJECTS, False, [1]), "dtype 'O'"),
        (array((2,), np.dtype("f8"), False, b"A" * 8), "does not have 16 bytes"),
    ],
)
def test_files_with_tensors_allow_no_more_of_numpy(forged, reason, tmp_path):
    """Torch reads such a file, with the stand-ins."""
    torch = pytest.importorskip("torch")
    path = tmp_path / "x.pth"
    torch.save([torch.zeros(1), np.arange(2)], path)
    assert pickles.load_torch_file(path)[1].tolist() == [0, 1]
    torch.save([torch.zeros(1), forged], path)
    with pytest.raises(DamagedDataError, match=reason):
        pickles.load_torch_file(path)


def test_every_truncated_pickle_is_reported():
    content = pickle.dumps({"scalar": np.float64(1.5), "plain": PLAIN}, 4)
    for length in range(len(content)):
        with pytest.raises(DamagedDataError, match=r"f\.bench could not be read"):
            pickles.load_pickle(content[:length], pickles.NUMPY, "f.bench")


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(MissingDataError, match="no file"):
        pickles.load_pickle(tmp_path / "none", {})
    with pytest.raises(MissingDataError, match="no file"):
        pickles.load_torch_file(tmp_path / "none")


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch(zipped, tmp_path, hostile):
    torch = pytest.importorskip("torch")
    path = tmp_path / "x.pt"
    content = {
        "t": torch.arange(3),
        "a": np.arange(3.0),
        "s": np.float64(2),
        "p": {1, 2},
    }
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    before = set(torch.serialization.get_safe_globals())
    loaded = pickles.load_torch_file(path)
    assert set(torch.serialization.get_safe_globals()) == before
    assert loaded["t"].tolist() == loaded["a"].tolist() == [0, 1, 2]
    assert loaded["s"] == 2
    assert loaded["p"] == {1, 2}

    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedDataError, match="could not be read"):
        pickles.load_torch_file(path)

    thing, ran = hostile
    torch.save([thing], path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DamagedDataError, match=r"system.*No code of it was run"):
        pickles.load_torch_file(path)
    assert not ran.exists()


def test_too_little_memory_is_not_reported_as_damage(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")

    def load(*_, **__):
        raise MemoryError

    monkeypatch.setattr(torch, "load", load)
    torch.save([torch.zeros(1)], tmp_path / "x.pt")
    with pytest.raises(DataError, match="cannot be read with the memory"):
        pickles.load_torch_file(tmp_path / "x.pt")
    torch.save([1], tmp_path / "x.pt")
    monkeypatch.setattr(pickles._TorchUnpickler, "load", load)
    with pytest.raises(DataError, match="cannot be read with the memory"):
        pickles.load_torch_file(tmp_path / "x.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_files_without_tensors_need_no_torch(zipped, tmp_path, monkeypatch, hostile):
    torch = pytest.importorskip("torch")
    content = {"a": np.arange(3.0), "s": {np.float64(2)}, "o": OrderedDict(x=[1, None])}
    path = tmp_path / "x.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    thing, ran = hostile
    torch.save([thing], tmp_path / "hostile.pt", _use_new_zipfile_serialization=zipped)
    torch.save([torch.zeros(1), thing], path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DamagedDataError, match=r"system.*No code of it was run"):
        pickles.load_torch_file(path)  # the tensor before does not open the door
    monkeypatch.delattr(torch, "load")
    with pytest.raises(DamagedDataError, match=r"system.*No code of it was run"):
        pickles.load_torch_file(tmp_path / "hostile.pt")
    assert not ran.exists()
    path.write_bytes(whole)
    loaded = pickles.load_torch_file(path)
    assert loaded["a"].tolist() == [0, 1, 2]
    assert loaded["s"] == {2}
    assert loaded["o"] == {"x": [1, None]}
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedDataError, match="could not be read"):
            pickles.load_torch_file(path)


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(DataError, match="pip install nats-bench"):
        reading.import_reader("no_such_module", "nats-bench")
