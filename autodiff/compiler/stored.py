"""Programs on disk: a process that finds one needs neither passes, nor kernels, nor LLVM.

A file holds what is around native functions (`around.Frame`), as data, and the names of their
object code. It is found by the tape: structure, primitives, parameters, the content of constants,
and all that the code depends on besides. What cannot be said so (a function of the user's among the
parameters, an operation that is called as NumPy has it) is not stored.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import marshal
import operator
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff import host
from autodiff.compiler.around import Frame, Piece, around
from autodiff.compiler.machine import blas, calling, disk, sharing
from autodiff.compiler.machine.linking import Linked, Unlinkable, linked
from autodiff.compiler.places import Place
from autodiff.compiler.replaying import Runner, replayed
from autodiff.core.arrays import as_numpy, has_memory, is_foreign, is_scalar, repeated
from autodiff.core.dispatch import Box
from autodiff.core.memory import same_content
from autodiff.core.primitive import Primitive
from autodiff.core.registry import REGISTRY
from autodiff.core.spec import Shape, Spec
from autodiff.tape.entries import Constant
from autodiff.tape.ir import Tape

if TYPE_CHECKING:
    from autodiff.compiler.native_backend import NativeRunner

__all__ = ["StoredRunner", "build", "found"]

_FORMAT = "2"
_MOST_BYTES = 2**20
"""Of the constants of a program that is stored."""

_DECLARED = "autodiff.ops."
"""Where primitives are declared that a program on disk may have: others' code may change."""

_MADE_BY = ("", "core", "ops", "interpret", "tape", "transforms", "compiler")
"""Parts of the package that a program depends on."""


class Unstorable(Exception):
    """A program that is not kept on disk."""


class StoredRunner:
    """A program that an earlier process made; called with flat values, it returns flat outputs.

    What it says of itself is found by making it anew, when somebody asks.
    """

    backend = "llvm"
    from_disk = True
    takes_numbers = True

    def __init__(self, tape: Tape, run: Runner) -> None:
        self.tape = tape
        self.run = run

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Evaluate."""
        return self.run(*values)

    @functools.cached_property
    def made(self) -> NativeRunner:
        """The same program as it is made of its tape."""
        return _made(self.tape)

    @property
    def source(self) -> str:
        """As of `NativeRunner`."""
        return self.made.source

    @property
    def kernels(self) -> list[Any]:
        """As of `NativeRunner`."""
        return list(self.made.kernels)

    @property
    def peak_bytes(self) -> int:
        """As of `NativeRunner`."""
        return self.made.peak_bytes

    @property
    def notes(self) -> tuple[str, ...]:
        """As of `NativeRunner`."""
        return self.made.notes

    def grouping(self) -> tuple[Tape, dict[int, int]]:
        """As of `NativeRunner`."""
        return self.made.grouping()


def build(tape: Tape) -> NativeRunner | StoredRunner:
    """Compile a flat tape, or find what an earlier process compiled.

    Parameters
    ----------
    tape : Tape
        Without containers and guards.

    Raises
    ------
    ModuleNotFoundError
        llvmlite is not installed.
    """
    key = _key(tape)
    runner = _loaded(tape, key)
    if runner is not None:
        return runner
    made = _made(tape)
    _put(key, made)
    return made


def found(tape: Tape) -> StoredRunner | None:
    """What an earlier process compiled; None if there is nothing, or LLVM is needed to run it."""
    return _loaded(tape, _key(tape))


def _made(tape: Tape) -> NativeRunner:
    from autodiff.compiler import native_backend  # it takes longer to load than a program to find

    return native_backend.build(tape)


# --- Files ----------------------------------------------------------------------------------------


def _loaded(tape: Tape, key: str | None) -> StoredRunner | None:
    programs, objects = disk.default(disk.PROGRAMS), disk.default()
    content = programs.get(key) if programs and key else None
    if content is None or objects is None:
        return None
    frame, names = _read(content)
    library = blas.found()
    known = {} if library is None else blas.symbols(library)
    functions = []
    try:
        for name, sharing_name, parts in names:
            if parts:
                known |= _sharing(objects, sharing_name)
            code = _linked(objects, name, known)
            function = calling.object_of(code.addresses[calling.ENTRY], "native", code.life)
            functions.append(sharing.waking(function, parts) if parts else function)
    except Unlinkable:
        return None
    _, run = around(frame, functions, replayed(tape))
    return StoredRunner(tape, run)


def _linked(objects: disk.Disk, name: str, known: Mapping[str, int]) -> Linked:
    image = objects.get(name)
    if image is None:
        raise Unlinkable(f"there is no {name}")
    return linked(image, known)


def _sharing(objects: disk.Disk, name: str) -> Mapping[str, int]:
    """Addresses of the code that shares loops out, one for all programs of the process."""
    if not sharing.adopted():
        code = _linked(objects, name, sharing.own_memory())
        sharing.adopt(code.addresses, code.life)
    return sharing.adopted()


def _put(key: str | None, made: NativeRunner) -> None:
    programs = disk.default(disk.PROGRAMS)
    names = [(native.key, *native.shared) for native in made.natives]
    if key is None or programs is None or not all(own for own, *_ in names):
        return
    with contextlib.suppress(Unstorable):
        programs.put(key, _written(made.frame, names))


def _written(frame: Frame, names: Sequence[tuple[str, str, int]]) -> bytes:
    """A frame and the names of its object code as bytes: a description, then constants."""
    pieces = [piece for piece in frame.pieces if isinstance(piece, Piece)]
    if len(pieces) < len(frame.pieces):
        raise Unstorable("an operation that is called as NumPy has it")
    used = {place.owner for place in frame.outputs} | {
        slot for piece in pieces for slot in (*piece.inputs, *piece.constants, *piece.outputs)
    }
    constants = {slot: frame.constants[slot] for slot in used if slot in frame.constants}
    if sum(value.nbytes for value in constants.values()) > _MOST_BYTES:
        raise Unstorable("large constants")
    described = (
        frame.arguments,
        [(slot, *_spec(frame.specs[slot])) for slot in used],
        list(constants),
        frame.outputs,
        list(map(_spec, frame.results)),
        pieces,
        names,
    )
    head = marshal.dumps(_plain(described))
    parts = [np.ascontiguousarray(value).tobytes() for value in constants.values()]
    return b"".join([len(head).to_bytes(8, "little"), head, *parts])


def _plain(value: Any) -> Any:
    """Tuples of integers and texts: `marshal` takes NumPy's integers for bytes."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value))
    return value if isinstance(value, str) else operator.index(value)


def _spec(spec: Spec) -> tuple[Shape, str]:
    if spec.dtype.kind not in "fiub":
        raise Unstorable(f"elements of {spec.dtype}")
    return spec.shape, spec.dtype.str


def _read(content: bytes) -> tuple[Frame, Sequence[tuple[str, str, int]]]:
    place = 8 + int.from_bytes(content[:8], "little")
    arguments, specs, known, outputs, results, pieces, names = marshal.loads(content[8:place])

    def spec(shape: Shape, dtype: str) -> Spec:
        return Spec(shape, np.dtype(dtype))

    of = {slot: spec(shape, dtype) for slot, shape, dtype in specs}
    constants: dict[int, Any] = {}
    for slot in known:
        flat = np.frombuffer(content, of[slot].dtype, of[slot].size, place)
        constants[slot] = flat.reshape(of[slot].shape).copy()  # aligned, which the file is not
        place += of[slot].nbytes
    frame = Frame(
        arguments,
        of,
        constants,
        [Place(*row) for row in outputs],
        [spec(*row) for row in results],
        [Piece(*piece) for piece in pieces],
    )
    return frame, names


# --- Names ----------------------------------------------------------------------------------------


def _key(tape: Tape) -> str | None:
    """The name of a tape's program; None if it has none."""
    surroundings = _surroundings()
    if surroundings is None or disk.default() is None:
        return None
    try:
        return disk.Disk.key(*surroundings, "\n".join(_lines(tape)))
    except Unstorable:
        return None


@functools.cache
def _surroundings() -> tuple[str, ...] | None:
    """What programs depend on besides the tape; None where that is not known."""
    processor = host.instructions()
    sources = _sources()
    if processor is None or not sources or not calling.is_fast():
        return None
    library = blas.found()
    products = "" if library is None else library.interface
    version = f"{sys.implementation.cache_tag} {object.__basicsize__} {np.__version__}"
    return _FORMAT, version, processor, products, sources


def _sources() -> str:
    """Which files make programs, and when they were changed; empty where there are none."""
    spec = importlib.util.find_spec("llvmlite")
    try:
        made_by = [_changed(str(spec.origin), os.stat(str(spec.origin)))] if spec else []
        for part in _MADE_BY:
            made_by += _changed_in(os.path.join(os.path.dirname(__file__), "..", part), bool(part))
    except OSError:  # an archive, perhaps
        return ""
    return " ".join(sorted(made_by))


def _changed_in(folder: str, below: bool) -> Iterator[str]:
    """The files of a folder, and of those below it."""
    for found in os.scandir(folder):
        if found.name.endswith(".py"):
            yield _changed(found.name, found.stat())
        elif below and found.is_dir():
            yield from _changed_in(found.path, True)


def _changed(name: str, status: os.stat_result) -> str:
    return f"{name}:{status.st_mtime_ns}:{status.st_size}"


def _lines(tape: Tape) -> Iterator[str]:
    """A tape as text, each value by its number in order."""
    numbers: dict[int, str] = {}
    for variable in tape.inputs:
        numbers[variable.slot] = f"v{len(numbers)}"
        yield _text(variable.spec)

    def operand(value: Any) -> str:
        text = numbers.get(value.slot)
        if text is None:
            text = numbers[value.slot] = _constant(value)
        return text

    for entry in tape.entries:
        primitive = entry.primitive
        ours = type(primitive) is Primitive and primitive.module.startswith(_DECLARED)
        if not ours or not REGISTRY.knows(primitive):
            raise Unstorable(primitive.name)
        given = ",".join(map(operand, entry.inputs))
        params = _text(sorted(entry.params.items())) if entry.params else ""
        for variable in entry.outputs:
            numbers[variable.slot] = f"v{len(numbers)}"
        specs = ",".join([_text(variable.spec) for variable in entry.outputs])
        yield f"{primitive.module}.{primitive.name}({given}){params}{specs}"
    yield ",".join(map(operand, tape.outputs))


def _constant(constant: Constant) -> str:
    value = constant.value
    if not constant.known or isinstance(value, Box) or is_foreign(value):
        raise Unstorable("a constant without a value")
    return f"{_text(value)}:{_text(constant.spec)}"


def _text(value: Any) -> str:
    """A value as text that another one does not have."""
    kind = type(value)
    if kind in _PLAIN:
        return f"{kind.__name__}:{value!r}"
    if kind is tuple or kind is list:
        return f"{kind.__name__}({','.join(map(_text, value))})"
    if kind is Spec:
        return f"{value.dtype.str}{value.shape}"
    if kind is slice:
        return f"slice({_text(value.start)},{_text(value.stop)},{_text(value.step)})"
    if isinstance(value, np.dtype):
        return f"dtype:{value.str}"
    if has_memory(value) or is_scalar(value):
        array = as_numpy(value)
        layout = f"{array.shape}{array.strides}"
        if array.nbytes > _MOST_BYTES and same_content(array, repeated(array.flat[0], array.shape)):
            layout, array = f"{layout} of", array.reshape(-1)[:1]  # the cotangent of a sum
        if array.dtype.kind not in "fciub" or array.nbytes > _MOST_BYTES:
            raise Unstorable(f"a constant of {array.dtype}")
        content = array.tobytes().hex()
        return f"{kind.__name__}:{array.dtype.str}{layout}:{content}"
    if isinstance(value, tuple) and kind.__module__.startswith(_DECLARED):
        return f"{kind.__name__}({','.join(map(_text, value))})"
    if isinstance(value, type) and kind is type and value.__module__ in ("builtins", "numpy"):
        return f"type:{value.__module__}.{value.__qualname__}"
    raise Unstorable(f"a {kind.__name__}")


_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), type(...)})
