import io
import json
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn


@dataclass
class Pair:
    left: object
    right: object


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tree.npz"


def rewritten(path, change):
    """Write the archive again with its members changed: a dict of name to bytes."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def header_changed(path, change):
    def edit(members):
        header = json.loads(members["autodiff.json"])
        change(header)
        members["autodiff.json"] = json.dumps(header).encode()

    rewritten(path, edit)


# --- round trips ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_model_comes_back(path, dtype):
    model = nn.MLP([3, 4, 2], seed=3, dtype=dtype)
    other = nn.MLP([3, 4, 2], seed=4, dtype=dtype)
    nn.save(path, model)
    loaded = nn.load(path, like=other)
    assert isinstance(loaded, nn.MLP)
    assert loaded is not other
    for (name, saved), (_, read) in zip(
        model.named_parameters(), loaded.named_parameters(), strict=True
    ):
        assert isinstance(read, ad.Tensor)
        assert read.name == name
        assert read.dtype == dtype
        assert np.array_equal(saved.data, read.data)
    x = np.ones((1, 3), dtype)
    assert np.array_equal(loaded(x).data, model(x).data)
    assert not np.array_equal(loaded(x).data, other(x).data)
    loaded(x).sum().backward()
    assert loaded.layers[0].weight.grad is not None


def test_containers_come_back(path):
    tree = {
        "list": [np.arange(6).reshape(2, 3), np.asfortranarray(np.ones((2, 3)))],
        "tuple": (1, 2.5, True, 1j),
        "pair": Pair(np.zeros((0, 3)), None),
        "scalar": np.float32(3),
        "0-d": np.array(7.0),
        "big-endian": np.array([1.0, 2.0], ">f8"),
        "odd/key 'é'": ad.Tensor(2.0),
    }
    nn.save(path, tree)
    loaded = nn.load(path, like=tree)
    assert loaded["tuple"] == (1, 2.5, True, 1j)
    assert [type(x) for x in loaded["tuple"]] == [int, float, bool, complex]
    assert np.array_equal(loaded["list"][0], tree["list"][0])
    assert np.array_equal(loaded["list"][1], np.ones((2, 3)))
    assert isinstance(loaded["pair"], Pair)
    assert loaded["pair"].left.shape == (0, 3)
    assert loaded["pair"].right is None
    assert type(loaded["scalar"]) is np.float32
    assert loaded["0-d"].shape == ()
    assert loaded["big-endian"].tolist() == [1.0, 2.0]
    assert isinstance(loaded["odd/key 'é'"], ad.Tensor)


def test_a_bare_array_comes_back(path):
    nn.save(path, np.arange(3.0))
    assert nn.load(path, like=np.zeros(3)).tolist() == [0.0, 1.0, 2.0]
    assert list(nn.load(path)) == ["value"]


def test_without_like_arrays_come_by_path(path):
    nn.save(path, nn.Linear(2, 1, seed=0))
    found = nn.load(path)
    assert list(found) == ["weight", "bias"]
    assert found["weight"].shape == (2, 1)
    assert not found["weight"].flags.writeable


def test_attributes_named_like_keywords_are_no_trouble(path):
    class Odd(nn.Module):
        def __init__(self):
            self.file = ad.Tensor(1.0)
            self.allow_pickle = ad.Tensor(2.0)

    nn.save(path, Odd())
    assert nn.load(path, like=Odd()).allow_pickle.item() == 2.0


def test_numpy_reads_the_file_without_pickle(path):
    nn.save(path, nn.Linear(2, 1, seed=0))
    with np.load(path, allow_pickle=False) as archive:
        assert archive["weight"].shape == (2, 1)


def test_the_same_tree_gives_the_same_bytes(path, tmp_path):
    nn.save(path, nn.Linear(2, 1, seed=0))
    nn.save(tmp_path / "again.npz", nn.Linear(2, 1, seed=0))
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_a_failed_save_leaves_the_old_file_and_no_other(path, tmp_path, monkeypatch):
    nn.save(path, {"w": np.ones(2)})

    def fail(*args, **keywords):
        raise OSError("disk full")

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    with pytest.raises(OSError, match="disk full"):
        nn.save(path, {"w": np.zeros(2)})
    assert nn.load(path)["['w']"].tolist() == [1.0, 1.0]
    assert [p.name for p in tmp_path.iterdir()] == ["tree.npz"]


def test_what_is_not_numeric_is_refused(path):
    with pytest.raises(TypeError, match=r"save: \['name'\] is a str of dtype"):
        nn.save(path, {"name": "x"})
    with pytest.raises(TypeError, match=r"save: \[0\] is a ndarray of dtype object"):
        nn.save(path, [np.array([{}], dtype=object)])
    assert not path.exists()


# --- files that do not fit ------------------------------------------------------------------------


def test_missing_and_unexpected_entries_are_named(path):
    nn.save(path, {"w": np.ones(2), "old": np.ones(1)})
    with pytest.raises(
        ad.FileFormatError, match=r"tree.npz: lacks \"\['b'\]\" and has \"\['old'\]\", which"
    ):
        nn.load(path, like={"w": np.ones(2), "b": np.ones(1)})


def test_shape_mismatch_is_named(path):
    nn.save(path, nn.MLP([3, 4, 2]))
    with pytest.raises(
        ad.FileFormatError,
        match=r"layers\[0\]\.weight has shape \(3, 4\) in the file, `like` has \(3, 5\); build",
    ):
        nn.load(path, like=nn.MLP([3, 5, 2]))


def test_dtype_mismatch_is_named(path):
    nn.save(path, nn.Linear(3, 2))
    with pytest.raises(
        ad.FileFormatError, match="weight has dtype float64 in the file, `like` has float32"
    ):
        nn.load(path, like=nn.Linear(3, 2, dtype=np.float32))


def test_a_missing_file_is_python_s_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        nn.load(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"not a zip archive", b"PK\x03\x04"])
def test_what_is_no_archive_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(ad.FileFormatError, match=r"tree.npz: not a zip archive .* another copy"):
        nn.load(path)


def test_numpy_s_own_archives_are_refused(path):
    np.savez(path, w=np.ones(2))
    with pytest.raises(ad.FileFormatError, match=r"has no autodiff.json.*with numpy.load"):
        nn.load(path)


def test_pickled_arrays_are_never_read(path):
    nn.save(path, {"w": np.ones(2)})

    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    def plant(members):
        buffer = io.BytesIO()
        np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
        members["['w'].npy"] = buffer.getvalue()

    rewritten(path, plant)
    with pytest.raises(ad.FileFormatError, match=r"\['w'\].* is damaged"):
        nn.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(format="other"), "says format 'other', wanted 'autodiff-tree'"),
        (lambda h: h.update(version=2), "is of format version 2, this autodiff reads version 1"),
        (lambda h: h.pop("version"), "is of format version None"),
        (lambda h: h.pop("entries"), "autodiff.json is damaged .*'entries'"),
        (lambda h: h["entries"][0].pop("shape"), "autodiff.json is damaged .*'shape'"),
        (lambda h: h["entries"][0].update(shape=[-1]), r"damaged \(.*shape \[-1\]"),
        (lambda h: h["entries"][0].update(dtype="O"), r"damaged \(.*dtype 'O'"),
        (lambda h: h["entries"][0].update(dtype="nonsense"), "autodiff.json is damaged"),
        (lambda h: h["entries"][0].update(shape=[10**12]), r"header says float64 of shape \(10000"),
        (lambda h: h["entries"][0].update(dtype="<f4"), "it is .*'<f8'.* the header says float32"),
        (lambda h: h["entries"][0].update(path="x"), "does not list"),
        (lambda h: h["entries"].append({**h["entries"][0], "path": "x"}), "the archive lacks it"),
    ],
)
def test_wrong_headers_are_refused(path, change, message):
    nn.save(path, {"w": np.ones(2)})
    header_changed(path, change)
    with pytest.raises(ad.FileFormatError, match=message):
        nn.load(path)


@pytest.mark.parametrize("text", [b"{", b"[1]", b"\xff\xfe", b"null"])
def test_unreadable_headers_are_refused(path, text):
    nn.save(path, {"w": np.ones(2)})
    rewritten(path, lambda members: members.update({"autodiff.json": text}))
    with pytest.raises(ad.FileFormatError, match=r"autodiff.json"):
        nn.load(path)


def test_every_damaged_byte_of_the_content_is_noticed_or_harmless(path):
    """Flip each byte: the load fails with our error, or gives the very same tree."""
    tree = {"w": np.arange(4.0)}
    nn.save(path, tree)
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(bytes(damaged))
        try:
            loaded = nn.load(path, like=tree)
        except ad.FileFormatError:
            refused += 1
        else:
            assert loaded["w"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert refused > len(whole) // 2


def test_every_truncation_is_refused(path):
    tree = {"w": np.arange(4.0)}
    nn.save(path, tree)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ad.FileFormatError):
            nn.load(path, like=tree)
