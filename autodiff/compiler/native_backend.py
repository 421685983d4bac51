"""The backend ``llvm``: loops and products of a tape as native functions.

What has no native code is called as NumPy has it, between them. A generated function puts the
pieces together: it allocates what comes out, and lends each native function a workspace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from autodiff.collecting import slowed_for
from autodiff.compiler.forms import prepared
from autodiff.compiler.fusion import fuse
from autodiff.compiler.groups import Called, Fused, Group
from autodiff.compiler.kernels import Kernels
from autodiff.compiler.llvm import compile_kernels, supports
from autodiff.compiler.memory import aligned_memory
from autodiff.compiler.passes.rolling import rolled
from autodiff.compiler.places import Place
from autodiff.compiler.pools import LARGE, Pool, take
from autodiff.compiler.pricing import KernelCost, kernel_costs
from autodiff.compiler.replaying import Runner, replayed
from autodiff.compiler.segments import Segment, segments_of
from autodiff.core.arrays import scalar_form, zeros
from autodiff.core.spec import Spec
from autodiff.tape.entries import Constant
from autodiff.tape.ir import Tape
from autodiff.transforms.scan.operation import Scan

__all__ = ["NativeRunner", "build", "built"]


WRITTEN_OUT = 256
"""Operations of a loop up to which it is written out, which runs a little faster."""

_MOST = 2000
"""Operations up to which a program is written out for the sake of loops that would be called."""


class Native(Protocol):
    """A compiled program of kernels, which lives as long as this object.

    ``call(*inputs, *constants, workspace, *outputs)`` runs it; anything but 0 is an error.
    """

    @property
    def call(self) -> Callable[..., int]: ...


Compile = Callable[[Kernels, frozenset[int]], Native]


class NativeRunner:
    """A flat tape as native code; called with flat values, it returns flat outputs.

    Attributes
    ----------
    tape : Tape
        What it computes.
    fused : Fused
        Its operations in groups.
    segments : list of Segment or Called
        What runs one after the other.
    code : str
        The generated Python code around them.
    natives : list
        The native functions, in order.
    """

    backend = "llvm"

    def __init__(
        self,
        tape: Tape,
        fused: Fused,
        segments: list[Segment | Called],
        source: str,
        natives: list[Native],
        run: Runner,
    ) -> None:
        self.tape = tape
        self.fused = fused
        self.segments = segments
        self.code = source
        self.natives = natives
        self.run = run

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Evaluate."""
        return self.run(*values)

    @property
    def source(self) -> str:
        """The Python code, and the native functions as LLVM reads them."""
        return "\n".join([self.code, *[str(getattr(n, "ir", "")) for n in self.natives]])

    @property
    def from_disk(self) -> bool:
        """Whether all of the native code was compiled by an earlier process."""
        return bool(self.natives) and all(getattr(n, "from_disk", False) for n in self.natives)

    @property
    def kernels(self) -> list[KernelCost]:
        """What runs one after the other; of a call as NumPy has it, its cost on the tape."""
        found: list[KernelCost] = []
        for segment in self.segments:
            if isinstance(segment, Segment):
                found += kernel_costs(segment.kernels)
            else:
                entry = segment.entry
                found.append(
                    KernelCost(f"{entry.primitive.name} (NumPy)", "", entry.flops, entry.nbytes)
                )
        return found

    def grouping(self) -> tuple[Tape, dict[int, int]]:
        """Tape of simple operations, and by position the group that each runs in."""
        found: dict[int, int] = {}
        for number, work in enumerate(self.fused.work):
            entries = [m.entry for m in work.members] if isinstance(work, Group) else [work.entry]
            found.update({e.position: number for e in entries if e is not None})
        return self.fused.tape, found

    @property
    def peak_bytes(self) -> int:
        """Bytes of the largest workspace."""
        sizes = [s.kernels.workspace for s in self.segments if isinstance(s, Segment)]
        return max(sizes, default=0)


def build(tape: Tape) -> NativeRunner:
    """Compile a flat tape.

    Parameters
    ----------
    tape : Tape
        Without containers and guards.

    Raises
    ------
    ModuleNotFoundError
        llvmlite is not installed.
    """
    return built(tape, lambda kernels, scalars: compile_kernels(kernels, scalars=scalars), supports)


def built(
    tape: Tape, compile_kernels: Compile, supports: Callable[[str, np.dtype[Any]], bool]
) -> NativeRunner:
    """Compile a flat tape by a compiler of kernels.

    Parameters
    ----------
    tape : Tape
    compile_kernels : function of kernels and the numbers of inputs that are Python numbers
    supports : function of the name and dtype of a scalar operation
    """
    with slowed_for(len(tape)):
        return _built(tape, compile_kernels, supports)


def _built(
    tape: Tape, compile_kernels: Compile, supports: Callable[[str, np.dtype[Any]], bool]
) -> NativeRunner:
    short = rolled(tape, least=WRITTEN_OUT)
    fused = fuse(prepared(short), supports)
    if len(short) < len(tape) < _MOST and any(
        isinstance(work, Called) and type(work.entry.primitive) is Scan for work in fused.work
    ):
        # A loop with calls in it runs in Python; written out, what is between them is native
        fused = fuse(prepared(tape), supports)
    segments = segments_of(fused)
    natives: list[Native] = []
    for segment in segments:
        if isinstance(segment, Segment):
            scalars = [i for i, s in enumerate(segment.inputs) if not fused.specs[s].shape]
            natives.append(compile_kernels(segment.kernels, frozenset(scalars)))
    source, names = _Writer(tape, fused, segments, natives).written()
    namespace = dict(names)
    exec(compile(source, "<compiled program>", "exec"), namespace)
    return NativeRunner(tape, fused, segments, source, natives, namespace["run"])


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


class _Writer:
    """Writes the Python code around native functions."""

    def __init__(
        self,
        tape: Tape,
        fused: Fused,
        segments: Sequence[Segment | Called],
        natives: Sequence[Native],
    ) -> None:
        self.tape = tape
        self.fused = fused
        self.segments = segments
        self.natives = iter(natives)
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
        arguments = [f"v{variable.slot}" for variable in self.tape.inputs]
        self.names["again"] = replayed(self.tape)  # it raises what the eager program would
        for segment in self.segments:
            if isinstance(segment, Called):
                self.call(segment)
            else:
                self.native(segment)
        results = [
            self.result(place, output.spec)
            for place, output in zip(self.fused.outputs, self.tape.outputs, strict=True)
        ]
        head = f"def run({', '.join(arguments)}):"
        retry = f"return again({', '.join(arguments)})"
        body = [f"        {line}" for line in self.lines]
        text = [head, "    try:", *body, f"        return ({''.join(f'{r}, ' for r in results)})"]
        text += ["    except Exception:", f"        {retry}", ""]
        return "\n".join(text).replace("RETRY", retry), self.names

    def value(self, slot: int) -> str:
        """Value of an owner as native code takes it: compact, and a number where it has no axes."""
        if slot in self.fused.constants:
            return self.name("c", np.ascontiguousarray(self.fused.constants[slot]))
        spec = self.fused.specs[slot]
        if slot not in self.ready:
            self.ready.add(slot)
            if spec.shape:
                self.lines.append(f"k{slot} = v{slot}")
                self.lines.append(f"if not k{slot}.flags.c_contiguous: k{slot} = compact(k{slot})")
            else:
                kind = self.name("t", spec.dtype.type)
                self.lines.append(f"k{slot} = v{slot}")
                self.lines.append(f"if type(k{slot}) is not {kind}: k{slot} = {kind}(k{slot})")
        return f"k{slot}"

    def native(self, segment: Segment) -> None:
        inputs = [
            # An output without axes is written to an array, and read as a number
            f"scalar(v{slot})"
            if slot in self.boxed and not self.fused.specs[slot].shape
            else self.value(slot)
            for slot in segment.inputs
        ]
        constants = [
            self.name("c", np.ascontiguousarray(self.fused.constants[slot]))
            for slot in segment.constants
        ]
        for slot in segment.outputs:
            if slot not in self.boxed:
                spec = self.fused.specs[slot]
                dtype = self.name("d", spec.dtype)
                memory = f"empty({spec.shape}, {dtype})"
                if spec.nbytes >= LARGE:
                    stand_in = np.broadcast_to(zeros((), spec.dtype), spec.shape)
                    memory = f"take({self.name('m', Pool(stand_in))})"
                self.lines.append(f"v{slot} = k{slot} = {memory}")
                self.ready.add(slot)
                self.boxed.add(slot)
        outputs = [f"v{slot}" for slot in segment.outputs]
        function = self.name("f", next(self.natives).call)
        workspaces = Workspaces(segment.kernels.workspace)
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
        owner = self.fused.specs[place.owner]
        if place.is_whole and place.shape == owner.shape:
            if place.owner in self.fused.constants:
                return self.name("c", self.fused.constants[place.owner])
            boxed = place.owner in self.boxed and not owner.shape
            return f"scalar(v{place.owner})" if boxed else f"v{place.owner}"
        layout = self.name("l", (place.shape, place.offset, place.strides, owner.dtype))
        return f"view({self.array(place.owner)}, *{layout})"

    def array(self, slot: int) -> str:
        """Value of an owner as an array in C order."""
        name = self.value(slot)
        if slot in self.fused.constants or self.fused.specs[slot].shape or slot in self.boxed:
            return name
        return f"compact({name})"

    def result(self, place: Place, spec: Spec) -> str:
        owner = self.fused.specs[place.owner]
        axes = place.axes
        if axes is None or owner.size != spec.size or place.owner in self.fused.constants:
            layout = self.name("l", (place.shape, place.offset, place.strides, owner.dtype))
            return f"scalar(view({self.array(place.owner)}, *{layout}).copy())"
        if place.owner in {variable.slot for variable in self.tape.inputs}:
            return f"settled(v{place.owner}, {self.name('s', spec)}, True)"
        text = f"v{place.owner}"
        in_memory = tuple([spec.shape[axis] for axis in axes])
        if owner.shape != in_memory:
            text = f"k{place.owner}" if place.owner in self.ready else text
            text = f"compact({text}).reshape({in_memory})"
        if not place.is_whole:
            text = f"{text}.transpose({tuple([axes.index(i) for i in range(len(axes))])})"
        return text if spec.shape else f"scalar({text})"


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
