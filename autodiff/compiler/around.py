"""The Python code around native functions.

It allocates what comes out, lends each native function a workspace, and calls what is NumPy's
between them. What it is made of is plain data, a `Frame`, so that a program can be kept on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autodiff.compiler.memory import aligned_memory
from autodiff.compiler.places import Place
from autodiff.compiler.pools import LARGE, Pool, take
from autodiff.compiler.replaying import Runner
from autodiff.core.arrays import scalar_form, zeros
from autodiff.core.spec import Spec
from autodiff.tape.entries import Constant

if TYPE_CHECKING:
    from autodiff.compiler.groups import Called

__all__ = ["Frame", "Piece", "Workspaces", "around"]


class Piece(NamedTuple):
    """A native function: owners in the order of its call, and the bytes that it works in."""

    inputs: Sequence[int]
    constants: Sequence[int]
    outputs: Sequence[int]
    workspace: int


class Frame(NamedTuple):
    """What the code around native functions is made of.

    Attributes
    ----------
    arguments : sequence of int
        Slots of the inputs.
    specs : mapping of int to Spec
        Of owners.
    constants : mapping of int to array
        Owners that are known.
    outputs : sequence of Place
    results : sequence of Spec
        Of the outputs.
    pieces : sequence of Piece or Called
        What runs one after the other.
    """

    arguments: Sequence[int]
    specs: Mapping[int, Spec]
    constants: Mapping[int, Any]
    outputs: Sequence[Place]
    results: Sequence[Spec]
    pieces: Sequence[Piece | Called]


class Workspaces:
    """Workspaces of a native function: each call has one for itself, and gives it back."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.idle: list[Any] = []

    def take(self) -> Any:
        """Memory that nobody else uses."""
        try:
            return self.idle.pop()
        except IndexError:
            return aligned_memory(self.size)


def around(
    frame: Frame, functions: Sequence[Callable[..., int]], again: Runner
) -> tuple[str, Runner]:
    """Python code around native functions, and the program that it is.

    Parameters
    ----------
    frame : Frame
    functions : sequence of callable
        Of the pieces, in order: they take inputs, constants, a workspace and outputs; anything but
        0 is an error.
    again : Runner
        Runs the program where a function fails, and raises what the eager program would.
    """
    source, names = _Writer(frame, functions, again).written()
    namespace = dict(names)
    exec(compile(source, "<compiled program>", "exec"), namespace)
    return source, namespace["run"]


class _Writer:
    """Writes the Python code around native functions."""

    def __init__(
        self, frame: Frame, functions: Sequence[Callable[..., int]], again: Runner
    ) -> None:
        self.frame = frame
        self.functions = iter(functions)
        self.again = again
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "empty": np.empty,
            "take": take,
            "view": _view,
            "settled": _settled,
            "scalar": scalar_form,
            "compact": np.ascontiguousarray,
        }
        self.ready: set[int] = set()
        self.boxed: set[int] = set()
        """Slots whose value is a 0-d array in the place of a number."""

    def name(self, prefix: str, value: Any) -> str:
        """Name by which the code reaches a value."""
        name = f"{prefix}{len(self.names)}"
        self.names[name] = value
        return name

    def written(self) -> tuple[str, dict[str, Any]]:
        """Source, and what it names."""
        arguments = [f"v{slot}" for slot in self.frame.arguments]
        self.names["again"] = self.again
        if not all(isinstance(piece, Piece) for piece in self.frame.pieces):
            # NumPy takes a number of Python's for one without a dtype
            for slot in self.frame.arguments:
                if slot in self.frame.specs:
                    self.lines += self.number(slot, f"v{slot}")
        for piece in self.frame.pieces:
            if isinstance(piece, Piece):
                self.native(piece)
            else:
                self.call(piece)
        results = [
            self.result(place, spec)
            for place, spec in zip(self.frame.outputs, self.frame.results, strict=True)
        ]
        head = f"def run({', '.join(arguments)}):"
        retry = f"return again({', '.join(arguments)})"
        body = [f"        {line}" for line in self.lines]
        text = [head, "    try:", *body, f"        return ({''.join(f'{r}, ' for r in results)})"]
        text += ["    except Exception:", f"        {retry}", ""]
        return "\n".join(text).replace("RETRY", retry), self.names

    def value(self, slot: int) -> str:
        """Value of an owner as native code takes it: compact, and a number where it has no axes."""
        if slot in self.frame.constants:
            return self.name("c", np.ascontiguousarray(self.frame.constants[slot]))
        spec = self.frame.specs[slot]
        if slot not in self.ready:
            self.ready.add(slot)
            if spec.shape:
                self.lines.append(f"k{slot} = v{slot}")
                self.lines.append(f"if not k{slot}.flags.c_contiguous: k{slot} = compact(k{slot})")
            else:
                self.lines.append(f"k{slot} = v{slot}")
                self.lines += self.number(slot, f"k{slot}", or_float=spec.dtype == float)
        return f"k{slot}"

    def number(self, slot: int, name: str, or_float: bool = False) -> list[str]:
        """Lines that make an argument without axes a number of NumPy's; or leave it a float."""
        spec = self.frame.specs[slot]
        if spec.shape:
            return []
        kind = self.name("t", spec.dtype.type)
        others = f" and type({name}) is not float" if or_float else ""
        return [f"if type({name}) is not {kind}{others}: {name} = {kind}({name})"]

    def native(self, piece: Piece) -> None:
        inputs = [
            # An output without axes is written to an array, and read as a number
            f"v{slot}[()]"
            if slot in self.boxed and not self.frame.specs[slot].shape
            else self.value(slot)
            for slot in piece.inputs
        ]
        constants = [
            self.name("c", np.ascontiguousarray(self.frame.constants[slot]))
            for slot in piece.constants
        ]
        for slot in piece.outputs:
            if slot not in self.boxed:
                spec = self.frame.specs[slot]
                dtype = self.name("d", spec.dtype)
                memory = f"empty({spec.shape}, {dtype})"
                if spec.nbytes >= LARGE:
                    stand_in = np.broadcast_to(zeros((), spec.dtype), spec.shape)
                    memory = f"take({self.name('m', Pool(stand_in))})"
                self.lines.append(f"v{slot} = k{slot} = {memory}")
                self.ready.add(slot)
                self.boxed.add(slot)
        outputs = [f"v{slot}" for slot in piece.outputs]
        function = self.name("f", next(self.functions))
        workspaces = Workspaces(piece.workspace)
        take, give = self.name("w", workspaces.take), self.name("w", workspaces.idle.append)
        self.lines.append(f"w = {take}()")
        arguments = ", ".join([*inputs, *constants, "w", *outputs])
        self.lines.append(f"s = {function}({arguments})")
        self.lines.append(f"{give}(w)")
        self.lines.append("if s: RETRY")

    def call(self, called: Called) -> None:
        entry = called.entry
        operands = []
        for operand, place in zip(entry.inputs, called.operands, strict=True):
            if isinstance(operand, Constant):
                operands.append(self.name("c", operand.value))
            else:
                assert place is not None
                operands.append(self.read(place, operand.spec))
        function = self.name("f", entry.primitive.call)
        params = [f", **{self.name('p', entry.params)}"] if entry.params else []
        text = f"{function}({', '.join(operands)}{''.join(params)})"
        targets = [f"v{variable.slot}" for variable in entry.outputs]
        if entry.primitive.gives_tuple or len(targets) > 1:
            self.lines.append(f"{', '.join(targets)}, = {text}")
        else:
            self.lines.append(f"{targets[0]} = {text}")
        for variable in entry.outputs:
            spec = self.name("s", variable.spec)
            self.lines.append(f"v{variable.slot} = settled(v{variable.slot}, {spec})")

    def read(self, place: Place, spec: Spec) -> str:
        """Value of an operand that NumPy takes."""
        owner = self.frame.specs[place.owner]
        if place.is_whole and place.shape == owner.shape:
            if place.owner in self.frame.constants:
                return self.name("c", self.frame.constants[place.owner])
            boxed = place.owner in self.boxed and not owner.shape
            return f"v{place.owner}[()]" if boxed else f"v{place.owner}"
        layout = self.name("l", (place.shape, place.offset, place.strides, owner.dtype))
        return f"view({self.array(place.owner)}, *{layout})"

    def array(self, slot: int) -> str:
        """Value of an owner as an array in C order."""
        name = self.value(slot)
        if slot in self.frame.constants or self.frame.specs[slot].shape or slot in self.boxed:
            return name
        return f"compact({name})"

    def result(self, place: Place, spec: Spec) -> str:
        owner = self.frame.specs[place.owner]
        axes = place.axes
        if axes is None or owner.size != spec.size or place.owner in self.frame.constants:
            layout = self.name("l", (place.shape, place.offset, place.strides, owner.dtype))
            return f"scalar(view({self.array(place.owner)}, *{layout}).copy())"
        if place.owner in self.frame.arguments:
            return f"settled(v{place.owner}, {self.name('s', spec)}, True)"
        text = f"v{place.owner}"
        in_memory = tuple([spec.shape[axis] for axis in axes])
        if owner.shape != in_memory:
            text = f"k{place.owner}" if place.owner in self.ready else text
            text = f"compact({text}).reshape({in_memory})"
        if not place.is_whole:
            text = f"{text}.transpose({tuple([axes.index(i) for i in range(len(axes))])})"
        if spec.shape:
            return text
        return f"{text}[()]" if place.owner in self.boxed else f"scalar({text})"


def _view(owner: Any, shape: Any, offset: int, strides: Any, dtype: np.dtype[Any]) -> Any:
    """Part of an array by its elements' places."""
    flat = owner.reshape(-1)
    steps = tuple([stride * dtype.itemsize for stride in strides])
    return np.lib.stride_tricks.as_strided(flat[offset:], shape, steps, writeable=False)


def _settled(value: Any, spec: Spec, copy: bool = False) -> Any:
    """What NumPy returned, as native code takes it and as nobody else holds it."""
    if not spec.shape:
        return spec.dtype.type(value) if spec.dtype.kind != "O" else value
    shared = copy or getattr(value, "base", None) is not None
    array = np.array(value, order="C", copy=True) if shared else np.ascontiguousarray(value)
    return array.reshape(spec.shape)
