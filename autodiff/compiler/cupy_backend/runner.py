"""From a plan to a program: kernels, calls and views as lines of Python."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from autodiff.compiler.cupy_backend.kernels import elementwise_kernel, reduction_kernel
from autodiff.compiler.cupy_backend.plan import Cluster, Plan, Scalars, Single
from autodiff.compiler.cupy_backend.source import KernelText, statements
from autodiff.compiler.forms import prepared
from autodiff.compiler.stepping import Line, SteppedRunner, call_of, stepped, written
from autodiff.core.arrays import as_array, has_memory, is_foreign
from autodiff.tape.entries import Constant
from autodiff.tape.ir import Tape

__all__ = ["build"]

MOST = 20_000
"""Operations of a tape for which kernels are looked for: finding them takes a second for 4,000."""
MOST_MADE = 8
"""Arrays that one kernel makes."""
FEWEST = 2
"""Operations from which on a kernel of ours is worth having; one alone is CuPy's own."""


def build(tape: Tape, like: Any, given: Sequence[bool]) -> Callable[..., tuple[Any, ...]]:
    """Make a runner of a flat tape on arrays of CuPy.

    Parameters
    ----------
    tape : Tape
        Without containers and guards.
    like : array
        One of the arrays.
    given : sequence of bool
        Which of the inputs are arrays, and no numbers.

    Returns
    -------
    SteppedRunner
    """
    if len(tape) > MOST:
        return stepped(tape)
    simple = prepared(tape)
    lines = _Lines(Plan(simple, given)).lines
    return _Tried(written(simple, lines, "cupy", _moved(simple, like)), tape)


class _Tried(SteppedRunner):
    """A program that runs the operations one by one if it fails at its first call."""

    def __init__(self, made: SteppedRunner, tape: Tape) -> None:
        super().__init__(made.tape, made.backend, made.program, made.source, made.kernels)
        self._kernels = made.program
        self._behind = functools.partial(stepped, tape)
        self.program = self._first

    def _first(self, *values: Any) -> tuple[Any, ...]:
        try:
            outs = self._kernels(*values)
        except Exception:
            other = self._behind()
            outs = other.program(*values)  # else the function fails as it would by itself
            self.program, self.source, self.kernels = other.program, other.source, other.kernels
            self.backend = other.backend
            return outs
        self.program = self._kernels
        return outs


def _moved(tape: Tape, like: Any) -> dict[int, Any]:
    """Constant arrays that are to lie on the device, by slot: all but indices."""
    indices = {
        operand.slot
        for entry in tape.entries
        if entry.primitive.kind != "elementwise"
        for operand in entry.inputs
        if isinstance(operand, Constant) and operand.spec.dtype.kind in "iub"
    }
    return {
        operand.slot: as_array(operand.value, like=like)
        for operand in tape.slots
        if isinstance(operand, Constant)
        and operand.known
        and has_memory(operand.value)
        and not is_foreign(operand.value)
        and operand.slot not in indices
    }


class _Lines:
    """Lines of a plan, without those that nothing needs."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.entry_of = {entry.output.slot: entry for entry in plan.tape.entries}
        needed = {output.slot for output in plan.tape.outputs}
        parts: list[list[Line]] = []
        for step in reversed(plan.steps):
            part: list[Line] = []
            for entry in reversed(step.views):
                if entry.output.slot in needed:
                    part.insert(0, call_of(entry))
                    needed.add(entry.inputs[0].slot)
            made = self._of_cluster(step, needed) if isinstance(step, Cluster) else []
            if (
                isinstance(step, Single)
                and step.entry is not None
                and any(variable.slot in needed for variable in step.entry.outputs)
            ):
                made = [call_of(step.entry) if step.reduced is None else self._reduced(step)]
            for line in made:
                needed.update(line.inputs)
            parts.append([*made, *part])
        self.lines = [line for part in reversed(parts) for line in part]

    def _of_cluster(self, cluster: Cluster, needed: set[int]) -> list[Line]:
        stored = [slot for slot in cluster.members if slot in needed]
        lines = []
        for start in range(0, len(stored), MOST_MADE):
            part = stored[start : start + MOST_MADE]
            lines += self._computed(cluster, part)
        return lines

    def _computed(self, cluster: Cluster, stored: list[int]) -> list[Line]:
        own = set(cluster.members)
        scalars = self.plan.scalars(stored, own, cluster.shape)
        if not scalars.spans():  # what it reads is smaller than what it makes
            return [call_of(self.entry_of[slot]) for slot in cluster.members]
        entries = self._names_of(scalars)
        if sum(bool(node.args) for node in scalars.nodes.nodes) < FEWEST:
            return [call_of(self.entry_of[slot]) for slot in stored]
        inputs = list(scalars.loads)
        names = {slot: f"x{i}" for i, slot in enumerate(inputs)}
        body, found = statements(scalars.nodes.nodes, names)
        specs = [self.plan.tape.slots[slot].spec for slot in (*inputs, *stored)]
        outputs = [f"y{i}" for i in range(len(stored))]
        body += [
            f"{out} = {found[scalars.value(slot)]};"
            for out, slot in zip(outputs, stored, strict=True)
        ]
        text = KernelText(
            "elementwise",
            _name(entries),
            tuple(zip([spec.dtype for spec in specs[: len(inputs)]], names.values(), strict=True)),
            tuple(zip([spec.dtype for spec in specs[len(inputs) :]], outputs, strict=True)),
            tuple(body),
        )
        title = f"{text.name}  # {', '.join(entries)}"
        kernel = elementwise_kernel(text)
        return [Line(tuple(stored), tuple(inputs), kernel, title, fresh=True, source=str(text))]

    def _reduced(self, step: Single) -> Line:
        entry, form = step.entry, step.reduced
        assert entry is not None
        assert form is not None
        slot = entry.inputs[0].slot
        shape = self.plan.shapes[slot]
        scalars = self.plan.scalars([slot], {slot}, shape)
        assert scalars.spans()
        output = entry.output.spec
        position = scalars.nodes.cast(scalars.value(slot), output.dtype)
        inputs = list(scalars.loads)
        names = {read: f"x{i}" for i, read in enumerate(inputs)}
        body, found = statements(scalars.nodes.nodes, names)
        entries = [*self._names_of(scalars), entry.primitive.name]
        text = KernelText(
            form.op,
            _name(entries),
            tuple((self.plan.tape.slots[read].spec.dtype, name) for read, name in names.items()),
            ((output.dtype, "y0"),),
            tuple(body),
            found[position],
        )
        axes = tuple(axis % len(shape) for axis in form.axes)
        keywords = {"axis": axes, "keepdims": output.ndim == len(shape)}
        return Line(
            (entry.output.slot,),
            tuple(inputs),
            reduction_kernel(text),
            f"{text.name}  # {', '.join(entries)}",
            keywords,
            fresh=True,
            source=str(text),
        )

    def _names_of(self, scalars: Scalars) -> list[str]:
        """Names of the operations that a kernel computes."""
        return [self.entry_of[slot].primitive.name for slot in sorted(scalars.computed)]


def _name(entries: Sequence[str]) -> str:
    """Name of a kernel, which profilers show."""
    parts = list(dict.fromkeys(entries))[:4]
    return "ad_" + "_".join("".join(c if c.isalnum() else "_" for c in part) for part in parts)
