"""Files that nobody saved: damaged by chance, or made to do harm."""

import copy
import io
import json
import struct
import zipfile

import numpy as np
import pytest
from allocation import traced

import autodiff as ad
from autodiff import nn

# No two of one shape and dtype: those could change places unnoticed
TREE = {
    "w": np.arange(6.0).reshape(2, 3),
    "f": np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3)),
    "n": [3, 2.5, True, 1j],
    "empty": np.zeros((0, 2)),
    "b": np.array([True, False]),
    "é\n[0]": ad.Tensor(np.float32([2.0])),
}
CASES = 600


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tree.npz"


def archive(members, **options):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as target:
        for name, content in members:
            target.writestr(name, content)
    return buffer.getvalue()


def members_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        return [(name, source.read(name)) for name in source.namelist()]


def peak_of(call):
    with traced() as memory:
        call()
    return memory.peak


def outcome(path, content, like):
    """Load twice, as what it should be and as what it says; gives what was loaded, or None."""
    path.write_bytes(content)
    found, messages = [], []

    def load():
        for container in (None, like):
            try:
                found.append(nn.load(path, like=container))
            except ad.FileFormatError as error:
                found.append(None)
                messages.append(str(error))

    bound = 20 * len(content) + 400_000
    peak = peak_of(load)
    if peak >= bound:  # imports of the first use: those do not come again
        found.clear()
        messages.clear()
        peak = peak_of(load)
    assert peak < bound, (peak, len(content))
    assert all(str(path) in message and len(message) < 2000 for message in messages)
    return found


def same(one, other):
    pairs = zip(ad.tree.leaves(nn.arrays(one)), ad.tree.leaves(nn.arrays(other)), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


# --- by chance ------------------------------------------------------------------------------------

VALUES = [0, -1, 2**31, 2**64, 10**30, 1.5, "2", None, True, [], {}, [[2]], "O", "V8", "<f8", "é"]
TEXTS = [
    b"", b"(", b"'", b"{}", b"\\", b"\x00", b"(" * 300, b"9" * 5000, b"1e999", b"'|O'", b"'<U9'",
    b"(9999999999999,)", b"-1", b"lambda: 0", b"b'", b"\n ", b"[('a', '<f8')]", b"'''",
]  # fmt: skip


def flipped(rng, content):
    damaged = bytearray(content)
    for position in rng.integers(len(damaged), size=rng.integers(1, 4)):
        damaged[position] ^= 1 << rng.integers(8)
    return bytes(damaged)


def truncated(rng, content):
    start, stop = sorted(rng.integers(len(content) + 1, size=2))
    return content[:stop] if rng.random() < 0.5 else content[:start] + content[stop:]


def repeated(rng, content):
    start, stop = sorted(rng.integers(len(content) + 1, size=2))
    return content[:stop] + content[start:]


def overwritten(rng, content):
    """A number somewhere becomes another: lengths, offsets, counts."""
    damaged = bytearray(content)
    size = int(rng.choice([1, 2, 4, 8]))
    at = int(rng.integers(len(damaged) - size))
    damaged[at : at + size] = rng.choice([b"\xff", b"\x00", b"\x7f"]) * size
    return bytes(damaged)


def members_swapped(rng, content):
    members = members_of(content)
    i, j = rng.integers(len(members), size=2)
    (one, a), (other, b) = members[i], members[j]
    members[i], members[j] = (one, b), (other, a)
    return archive(members)


def members_lost(rng, content):
    members = members_of(content)
    del members[rng.integers(len(members))]
    return archive(members)


def text_edited(rng, content):
    """Rewritten inside a member, so that the archive's checksums are right."""
    members = members_of(content)
    i = rng.integers(len(members))
    name, text = members[i]
    start, stop = sorted(rng.integers(min(len(text), 128) + 1, size=2))
    stop = min(stop, start + int(rng.integers(12)))
    members[i] = (name, text[:start] + TEXTS[rng.integers(len(TEXTS))] + text[stop:])
    return archive(members)


def header_edited(rng, content):
    members = dict(members_of(content))
    header = json.loads(members["autodiff.json"])
    value = VALUES[rng.integers(len(VALUES))]
    entry = header["entries"][rng.integers(len(header["entries"]))]
    place = rng.integers(5)
    if place == 0:
        header[rng.choice(["format", "version", "entries"])] = value
    elif place == 1 and entry["shape"]:
        entry["shape"][rng.integers(len(entry["shape"]))] = value
    elif place == 2:
        header["entries"].append(dict(entry))
    elif place == 3:
        header["entries"].append(value)
    else:
        entry[str(rng.choice(["path", "shape", "dtype"]))] = value
    members["autodiff.json"] = json.dumps(header).encode()
    return archive(members.items())


def compressed(rng, content):
    kind = int(rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    return archive(members_of(content), compression=kind)


def nested(rng, content):
    members = members_of(content)
    i = rng.integers(len(members))
    members[i] = (members[i][0], content)
    return archive(members)


def objects(rng, content):
    members = members_of(content)
    i = rng.integers(len(members))
    buffer = io.BytesIO()
    kind = rng.choice(["O", "U3", "V8", "M8[s]", "f8,i4"])
    np.save(buffer, np.zeros(2, kind), allow_pickle=True)
    members[i] = (members[i][0], buffer.getvalue())
    return archive(members)


MUTATIONS = [
    flipped, truncated, repeated, overwritten, members_swapped, members_lost, text_edited,
    header_edited, compressed, nested, objects,
]  # fmt: skip


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_a_mutated_file_loads_the_same_or_is_refused(path, mutate):
    nn.save(path, TREE)
    content = path.read_bytes()
    rng = np.random.default_rng(MUTATIONS.index(mutate))
    refused = 0
    for _ in range(CASES // len(MUTATIONS)):
        damaged = mutate(rng, content)
        named, fitted = outcome(path, damaged, TREE)
        refused += fitted is None
        if fitted is not None:
            assert same(fitted, TREE)
            assert named is not None
    assert refused > 5 or mutate is repeated


# --- on purpose -----------------------------------------------------------------------------------


def header_of(entries):
    form = {"format": "autodiff-tree", "version": 1, "entries": entries}
    return json.dumps(form).encode()


def array_file(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


W = {"path": "w", "shape": [2], "dtype": "<f8"}


def bombs():
    zeros = array_file(np.zeros(5_000_000))
    entry = {"path": "w", "shape": [5_000_000], "dtype": "<f8"}
    yield (
        "compressed zeros",
        archive(
            [("autodiff.json", header_of([entry])), ("w.npy", zeros)],
            compression=zipfile.ZIP_DEFLATED,
        ),
    )
    yield (
        "a compressed header",
        archive([("autodiff.json", b" " * 40_000_000)], compression=zipfile.ZIP_DEFLATED),
    )
    huge = array_file(np.ones(2)).replace(b"(2,)", b"(1000000000,)")
    yield (
        "a huge shape",
        archive([("autodiff.json", header_of([{**W, "shape": [10**9]}])), ("w.npy", huge)]),
    )
    yield "a deep header", archive([("autodiff.json", b"[" * 100_000)])
    yield "a header of lists", archive([("autodiff.json", b"[" + b"[]," * 200_000 + b"[]]")])
    yield "a long number", archive([("autodiff.json", b"9" * 100_000)])
    names = [(f"{number:04}", b"") for number in range(2000)]
    yield (
        "a header of lists for many members",
        archive([("autodiff.json", b"[" + b"[]," * 180_000 + b"[]]"), *names]),
    )
    # One member in many places of the list
    one = archive([("autodiff.json", header_of([W])), ("w.npy", bytes(200_000))])
    yield "overlapping members", with_list(one, 200)
    # A list of members as long as the end of the archive wants it to be
    for length in (2**31, 2**32 - 2):
        yield f"a list of {length} bytes", one[:-10] + struct.pack("<LLH", length, 0, 0)
    yield "a list of members alone", with_list(archive([("a", b"")]), 20_000)


def with_list(content, count):
    """The archive with its last member listed so often, under as many names."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        start, infos = source.start_dir, source.infolist()
    buffer = io.BytesIO(content[:start])
    with zipfile.ZipFile(buffer, "w") as target:
        target.fp.seek(start)
        target.start_dir = start
        target._didModify = True
        target.filelist = infos[:-1]
        for number in range(count):
            info = copy.copy(infos[-1])
            info.filename = f"{number:05}"
            target.filelist.append(info)
    return buffer.getvalue()


@pytest.mark.parametrize(("name", "content"), [pytest.param(*bomb, id=bomb[0]) for bomb in bombs()])
def test_what_a_file_takes_is_bounded_by_its_size(path, name, content):
    named, fitted = outcome(path, content, {"w": np.zeros(2)})
    assert named is fitted is None


def test_a_large_file_takes_little_more_than_its_arrays(path):
    nn.save(path, {"w": np.ones(500_000)})
    assert peak_of(lambda: nn.load(path)) < 3 * 4_000_000


def test_many_small_arrays_load(path):
    tree = [np.float32(i) for i in range(2000)]
    nn.save(path, tree)
    assert same(nn.load(path, like=tree), tree)
