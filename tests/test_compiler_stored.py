"""Programs on disk: found by later processes, run without LLVM, and never another program."""

from __future__ import annotations

import operator
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler import backends, stored
from autodiff.compiler.machine import blas, calling, disk, linking

pytest.importorskip("llvmlite")

if stored._surroundings() is None:
    pytest.skip("programs are not stored on this system", allow_module_level=True)

CHILD = """
import sys
import numpy as np
import autodiff as ad

def loss(w, x):
    return np.sum(np.log(1.0 + np.exp(np.tanh(x @ w) * 2.0)))

f = ad.compile(ad.value_and_grad(loss), backend=BACKEND)
w, x = np.linspace(-1.0, 1.0, 12).reshape(4, 3), np.linspace(0.0, 2.0, 8).reshape(2, 4)
value, gradient = f(w, x)
loaded = {"llvmlite", "autodiff.compiler.native_backend", "autodiff.compiler.numpy_backend"}
print(f.cache_info().disk_hits, len(loaded & set(sys.modules)))
expected = ad.value_and_grad(loss)(w, x)
np.testing.assert_allclose(value, expected[0], rtol=1e-12)
np.testing.assert_allclose(gradient, expected[1], rtol=1e-12)
assert f.lower(w, x).kernels and f.lower(w, x).peak_bytes and "define" in f.lower(w, x).source
"""


def child(folder: Path, backend: str) -> list[int]:
    """Programs found on disk, and how much was loaded of what makes programs."""
    root = Path(__file__).parent.parent
    environment = {**os.environ, "AUTODIFF_CACHE_DIR": str(folder), "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", CHILD.replace("BACKEND", repr(backend))],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        cwd=root,
    )
    assert done.returncode == 0, done.stderr
    return list(map(int, done.stdout.split()))


def test_a_later_process_runs_what_is_there_without_llvm(tmp_path: Path) -> None:
    assert child(tmp_path, "llvm")[0] == 0
    assert child(tmp_path, "llvm") == [1, 0]
    assert child(tmp_path, "auto") == [1, 0], "native from the first call on"
    [program] = (tmp_path / "kernels").glob("*.program")
    content = program.read_bytes()
    program.write_bytes(content[:-1] + b"?")
    assert child(tmp_path, "llvm")[1], "what is corrupt is made anew"
    assert program.read_bytes() == content
    for image in (tmp_path / "kernels").glob("*.object"):
        image.unlink()
    assert child(tmp_path, "llvm")[0] == 0, "a program without its code"
    assert child(tmp_path, "llvm") == [1, 0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", str(tmp_path))
    return tmp_path


def key(f: Callable[..., Any], *xs: Any) -> str | None:
    return stored._key(ad.record(f)(*xs))


X = np.linspace(0.1, 2.0, 6)
A = np.linspace(-1.0, 1.0, 30).reshape(5, 6)


def sum_of_squares(a: Any, x: Any) -> Any:
    return np.sum(np.tanh(a @ x) ** 2)


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "a number": (lambda x: x * 3.5 + 1.0, (2.0,)),
    "elementwise": (lambda x: np.where(x > 1.0, np.sin(x), -x), (X,)),
    "single precision": (lambda x: np.sum(np.exp(x), axis=0), (A.astype(np.float32),)),
    "rows": (lambda x: x - np.log(np.sum(np.exp(x), axis=1, keepdims=True)), (A,)),
    "constants": (lambda x: x * A + np.arange(6), (X,)),
    "views": (lambda x: (x.T, x[::2], x.reshape(-1), x[0, 1]), (A,)),
    "an input": (lambda x: (x, x * 2), (X,)),
    "integers and masks": (lambda x: (np.sum(x > 1.0), x > 0.5), (X,)),
    "picked": (operator.getitem, (X, np.array([3, -1]))),
    "BLAS": (lambda a, b: np.tanh(a @ b), (np.ones((80, 70)), np.full((70, 60), 0.01))),
    "a gradient": (ad.grad(sum_of_squares), (A, X)),
    "the cotangent of a sum": (
        ad.grad(lambda x: np.sum(np.exp(x))),
        (np.linspace(0.0, 1.0, 300_000),),
    ),
    "large": (lambda x: np.tanh(x) * x, (np.linspace(0.0, 1.0, 100_000),)),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.usefixtures("folder")
def test_what_is_found_computes_the_same(name: str) -> None:
    f, xs = PROGRAMS[name]
    tape = backends.optimized(ad.record(f)(*xs), reassociate=False)
    assert stored.found(tape) is None
    made = stored.build(tape)
    again = backends.optimized(ad.record(f)(*xs), reassociate=False)
    found = stored.found(again)
    assert found is not None
    assert not isinstance(made, stored.StoredRunner)
    # A fault of the program must not hide behind the eager one
    found.run.__globals__["again"] = made.run.__globals__["again"] = None
    for _ in range(2):
        for one, other in zip(made(*xs), found(*xs), strict=True):
            assert type(one) is type(other)
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    assert [str(kernel) for kernel in found.kernels] == [str(kernel) for kernel in made.kernels]
    assert (found.peak_bytes, found.source) == (made.peak_bytes, made.source)
    assert len(found.grouping()[1]) == len(made.grouping()[1])


@pytest.mark.usefixtures("folder")
def test_constants_lie_where_native_code_may_read_them() -> None:
    """Constants of any length stand one behind the other in the file."""
    odd = np.arange(7) % 2 == 0
    tape = ad.record(lambda x: np.where(odd, x * np.arange(7.0), np.arange(7.0) + 1.0))(np.ones(7))
    made = stored.build(tape)
    assert not isinstance(made, stored.StoredRunner)
    frame, _ = stored._read(stored._written(made.frame, ["name"]))
    assert len(frame.constants) == 3
    for slot, value in frame.constants.items():
        assert value.flags.aligned
        np.testing.assert_array_equal(value, made.frame.constants[slot])


@pytest.mark.usefixtures("folder")
def test_a_wrong_index_raises_as_the_program_does() -> None:
    f, xs = PROGRAMS["picked"]
    tape = ad.record(f)(*xs)
    stored.build(tape)
    found = stored.found(tape)
    assert found is not None
    with pytest.raises(IndexError, match="out of bounds"):
        found(X, np.array([3, 60]))


@pytest.mark.usefixtures("folder")
def test_another_program_has_another_name() -> None:
    programs: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (lambda x: x * 2.0, (X,)),
        (lambda x: x * 2, (X,)),
        (lambda x: x * 3.0, (X,)),
        (lambda x: x * 0.0, (X,)),
        (lambda x: x * -0.0, (X,)),
        (lambda x: x + 2.0, (X,)),
        (lambda x: x * np.float64(2.0), (X,)),
        (lambda x: x * 2.0, (X[1:],)),
        (lambda x: x * 2.0, (X.astype(np.float32),)),
        (lambda x: np.sum(x), (A,)),
        (lambda x: np.sum(x, axis=0), (A,)),
        (lambda x: np.sum(x, axis=1), (A,)),
        (lambda x: x[1:], (X,)),
        (lambda x: x[1:4], (X,)),
        (lambda x: x[1], (X,)),
        (lambda x: (x * 2.0, x * 2.0 + 1.0), (X,)),
        (lambda x: (x * 2.0 + 1.0, x * 2.0), (X,)),
        (lambda x: x + A, (X,)),
        (lambda x: x + np.asfortranarray(A), (X,)),
        (lambda x: x + (A + 1e-300 + np.eye(5, 6) * 1e-15), (X,)),
        (lambda x, y: x - y, (X, X)),
        (lambda x, y: y - x, (X, X)),
    ]
    names = [key(f, *xs) for f, xs in programs]
    assert None not in names
    assert len(set(names)) == len(names)
    assert key(lambda y: y * 2.0, X + 1.0) == names[0], "the same program on other numbers"


@pytest.mark.usefixtures("folder")
def test_what_made_it_is_part_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(np.tanh, X)
    known = stored._surroundings()
    assert known is not None
    for number in range(len(known)):
        other = (*known[:number], known[number] + "?", *known[number + 1 :])
        monkeypatch.setattr(stored, "_surroundings", lambda other=other: other)
        assert key(np.tanh, X) != before
    monkeypatch.setattr(stored, "_surroundings", lambda: None)
    assert key(np.tanh, X) is None
    assert "stored.py:" in stored._sources()
    assert "elementwise.py:" in stored._sources()


@ad.elementwise(d_x=lambda x: 3 * x**2)
def stored_cubed(x: Any) -> Any:
    """One of the user's."""
    return x**3


@pytest.mark.parametrize(
    "f",
    [
        stored_cubed,  # what is the user's may be otherwise in the next process
        ad.checkpoint(np.tanh),
        lambda x: np.sort(x),  # called as NumPy has it
        lambda x: x * (1 + 2j),
    ],
)
def test_what_is_not_stored(f: Callable[..., Any], folder: Path) -> None:
    tape = ad.record(f)(X)
    made = stored.build(tape)
    np.testing.assert_array_equal(made(X)[0], f(X))
    assert not list(folder.rglob("*.program"))
    assert stored.found(tape) is None


def image_of(folder: Path) -> bytes:
    """Object code, as LLVM makes it."""
    stored.build(ad.record(lambda a, b: np.tanh(a @ b))(*PROGRAMS["BLAS"][1]))
    [file] = folder.rglob("*.object")
    image = disk.Disk(file.parent).get(file.stem)
    assert image is not None
    return image


def test_code_without_what_it_calls_is_left_to_llvm(folder: Path) -> None:
    image = image_of(folder)
    library = blas.found()
    if library is None:
        pytest.skip("no BLAS")
    known = blas.symbols(library)
    assert calling.ENTRY in linking.linked(image, known).addresses
    with pytest.raises(linking.Unlinkable, match="autodiff_dgemm"):
        linking.linked(image, {})
    for cut in range(0, len(image), 97):
        with pytest.raises(linking.Unlinkable):
            linking.linked(image[:cut], known)
    with pytest.raises(linking.Unlinkable, match="format"):
        linking.linked(image[:18] + struct.pack("<H", 183) + image[20:], known)


def test_a_way_of_addressing_that_is_not_known_is_left_to_llvm(folder: Path) -> None:
    image = image_of(folder)
    (start,) = struct.unpack_from("<Q", image, 40)
    each, count = struct.unpack_from("<HH", image, 58)
    changed = bytearray(image)
    for number in range(count):
        section = linking._Section(*linking._SECTION.unpack_from(image, start + number * each))
        if section.kind == linking._ADDENDS:
            struct.pack_into("<I", changed, section.offset + 8, 9)  # by a table of addresses
    with pytest.raises(linking.Unlinkable, match="relocation 9"):
        linking.linked(bytes(changed), {"autodiff_dgemm_c64": 0, "autodiff_dgemm_fortran32": 0})
