"""Which operations become one kernel.

Operations are taken in order and put into *steps*, which run one after the other: a cluster of
elementwise operations of one shape, or something that is called. An operation joins the first
cluster of its shape after everything that it needs, so branches of a program meet in one kernel.

What a kernel reads of another one need not lie in memory: where computing it again reads no more
than reading it would, it is computed again. Broadcasting costs nothing, as a kernel broadcasts
what it reads. Views (transposes, reshapes) are made beside the steps and are no work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from autodiff.compiler.cupy_backend.kernels import identity_of
from autodiff.compiler.cupy_backend.source import supported
from autodiff.compiler.expressions import Expression, Nodes, NoExpression, expression_of
from autodiff.compiler.forms import form_of
from autodiff.core.arrays import is_foreign, is_number, is_scalar
from autodiff.core.registry import REGISTRY
from autodiff.core.spec import Shape
from autodiff.ops.lowered import Pointwise, Reduced
from autodiff.tape.entries import Constant, Entry
from autodiff.tape.ir import Tape

__all__ = ["Cluster", "Plan", "Pointed", "Single"]

_BROADCAST = REGISTRY["broadcast_to"]
_VIEWS = frozenset(REGISTRY[name] for name in ("broadcast_to", "reshape", "transpose"))

MOST_MEMBERS = 48
"""Operations of a kernel."""
MOST_READ = 16
"""Arrays that a kernel reads: their shapes are arguments, for which there is not much room."""
FEWEST_ROWS = 512
"""Results of a reduction from which on a kernel of ours keeps the device busy."""
FAR = 64
"""Steps that an operation goes back at most, to join a cluster."""
AGAIN = 12
"""Operations that are rather computed again than kept."""
_DEAR = frozenset({"power", "erf", "erfc", "hypot", "arctan2", "fmod"})


class Pointed(NamedTuple):
    """An elementwise operation that can be a part of a kernel.

    Attributes
    ----------
    slot : int
    shape : tuple of int
    expression : Expression
    operands : tuple of int or None
        Slots; None for a number, which is part of the expression.
    """

    slot: int
    shape: Shape
    expression: Expression
    operands: tuple[int | None, ...]

    @property
    def read(self) -> list[int]:
        """Slots that it reads."""
        return [slot for slot in self.operands if slot is not None]


@dataclass(eq=False)
class Cluster:
    """Elementwise operations of one shape, in order."""

    shape: Shape
    members: list[int] = field(default_factory=list)
    read: set[int] = field(default_factory=set)
    views: list[Entry] = field(default_factory=list)


@dataclass(eq=False)
class Single:
    """An operation that is called, or a reduction that computes what it reduces."""

    entry: Entry | None
    reduced: Reduced | None = None
    views: list[Entry] = field(default_factory=list)


class Plan:
    """Steps for a tape.

    Parameters
    ----------
    tape : Tape
        Of simple operations.
    given : sequence of bool
        Which inputs are arrays of the device, and no numbers.
    """

    def __init__(self, tape: Tape, given: Sequence[bool]) -> None:
        self.tape = tape
        self.shapes = [operand.spec.shape for operand in tape.slots]
        self.sizes = [operand.spec.size for operand in tape.slots]
        self.on_device = {
            variable.slot for variable, own in zip(tape.inputs, given, strict=True) if own
        }
        for operand in tape.slots:
            # NumPy's arrays among the constants of a simple operation go to the device
            if isinstance(operand, Constant) and (
                is_foreign(operand.value) or (operand.spec.shape and operand.known)
            ):
                self.on_device.add(operand.slot)
        self.pointed: dict[int, Pointed] = {}
        self.broadcast: dict[int, int] = {}
        self.steps: list[Cluster | Single] = [Single(None)]
        self._ready: dict[int, int] = {}
        self._home: dict[int, int] = {}
        self._uses: dict[int, int] = {}
        for slot in (
            *[operand.slot for entry in tape.entries for operand in entry.inputs],
            *[output.slot for output in tape.outputs],
        ):
            self._uses[slot] = self._uses.get(slot, 0) + 1
        reduced: list[tuple[Entry, Reduced]] = []
        for entry in tape.entries:
            if any(operand.slot in self.on_device for operand in entry.inputs):
                self.on_device.update(variable.slot for variable in entry.outputs)
            found = self._pointed(entry)
            if found is not None:
                self.pointed[found.slot] = found
            elif entry.primitive is _BROADCAST and entry.output.slot in self.on_device:
                self.broadcast[entry.output.slot] = entry.inputs[0].slot
            form = None if found is not None else self._reduction(entry)
            if form is not None:
                reduced.append((entry, form))
        self.reductions = {entry.position: form for entry, form in reduced}
        inside = {entry.inputs[0].slot for entry, _ in reduced}
        inside = {slot for slot in inside if self._uses[slot] == 1}
        for entry in tape.entries:
            if entry.output.slot not in inside:
                self._place(entry)

    # --- what operations are --------------------------------------------------------------------

    def _pointed(self, entry: Entry) -> Pointed | None:
        primitive = entry.primitive
        if (primitive.kind != "elementwise" and primitive.lower is None) or len(entry.outputs) != 1:
            return None
        output = entry.output
        if output.slot not in self.on_device or not output.spec.size:
            return None
        form = form_of(entry)
        if not isinstance(form, Pointwise):
            return None
        inputs: list[Any] = []
        operands: list[int | None] = []
        for operand in entry.inputs:
            value = operand.value if isinstance(operand, Constant) and operand.known else None
            if value is not None and (is_number(value) or is_scalar(value)):
                inputs.append(value)
                operands.append(None)
            else:
                inputs.append(operand.spec.dtype)
                operands.append(operand.slot)
        if not all(
            dtype.char in "?bBhHiIlLqQfd" for dtype in inputs if isinstance(dtype, np.dtype)
        ):
            return None
        function = form.function
        try:
            expression = expression_of(lambda *xs: function(*xs, **entry.params), inputs, supported)
        except NoExpression:
            return None
        fits = expression.dtype == output.spec.dtype and len(expression.nodes) <= 4 * AGAIN
        if not fits or not any(slot in self.on_device for slot in operands):
            return None
        return Pointed(output.slot, output.spec.shape, expression, tuple(operands))

    def _reduction(self, entry: Entry) -> Reduced | None:
        """Form of a reduction that computes what it reduces; None for any other operation."""
        if len(entry.inputs) != 1:
            return None
        (operand,) = entry.inputs
        slot, spec = operand.slot, entry.output.spec
        if slot not in self.pointed or spec.size < FEWEST_ROWS:
            return None
        if self._uses[slot] > 1 and not self.is_computed_again(slot):
            return None
        form = form_of(entry)
        if not isinstance(form, Reduced) or not form.axes:
            return None
        if identity_of(form.op, spec.dtype) is None:
            return None
        reads, cost = self.needed(slot)
        large = sum(2 * self.sizes[read] > self.sizes[slot] for read in reads)
        return form if large <= 2 and len(reads) <= 4 and cost <= 3 * AGAIN else None

    def needed(self, slot: int) -> tuple[set[int], int]:
        """What computing a value again reads, and how many operations that takes."""
        reads: set[int] = set()
        seen: set[int] = set()
        cost = 0
        waiting = [slot]
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            if at in self.broadcast:
                waiting.append(self.broadcast[at])
            elif at in self.pointed and len(seen) <= MOST_MEMBERS:
                found = self.pointed[at]
                cost += sum(4 if n.op in _DEAR else 1 for n in found.expression.nodes if n.args)
                waiting += found.read
            else:
                reads.add(at)
        return reads, cost

    def is_computed_again(self, slot: int) -> bool:
        """Whether other kernels rather compute a value again than read it."""
        reads, cost = self.needed(slot)
        large = sum(2 * self.sizes[read] > self.sizes[slot] for read in reads)
        return large <= 1 and len(reads) <= 3 and cost <= AGAIN

    # --- steps ----------------------------------------------------------------------------------

    def _place(self, entry: Entry) -> None:
        slot = entry.output.slot
        found = self.pointed.get(slot)
        if found is not None:
            number = self._cluster_for(found)
            self._home[slot], self._ready[slot] = number, number + 1
            return
        first = max([1, *[self._ready.get(operand.slot, 1) for operand in entry.inputs]])
        form = self.reductions.get(entry.position)
        if form is not None:
            reads = self.needed(entry.inputs[0].slot)[0]
            first = max([1, *[self._ready.get(read, 1) for read in reads]])
        if entry.primitive in _VIEWS and form is None:
            self.steps[first - 1].views.append(entry)
            self._ready[slot] = first
            return
        self.steps.append(Single(entry, form))
        for variable in entry.outputs:
            self._ready[variable.slot] = len(self.steps)

    def _cluster_for(self, found: Pointed) -> int:
        """Number of the cluster that an operation joins."""
        large = self.sizes[found.slot] >= 1 << 20
        reads = set(found.read)
        first = max([1, *[self._home.get(slot, self._ready.get(slot, 1)) for slot in reads]])
        for number in range(max(first, len(self.steps) - FAR), len(self.steps)):
            cluster = self.steps[number]
            if not isinstance(cluster, Cluster) or cluster.shape != found.shape:
                continue
            if len(cluster.members) >= MOST_MEMBERS:
                continue
            own = {slot for slot in reads if self._home.get(slot) == number}
            if any(self._ready.get(slot, 1) > number for slot in reads - own):
                continue
            others = {self.broadcast.get(slot, slot) for slot in reads - own}
            if len(cluster.read | others) > MOST_READ:
                continue
            if large and not own and not cluster.read & others:
                continue  # nothing is saved, and both are work enough
            cluster.members.append(found.slot)
            cluster.read |= others
            return number
        self.steps.append(Cluster(found.shape, [found.slot], set(reads)))
        return len(self.steps) - 1

    # --- kernels --------------------------------------------------------------------------------

    def scalars(self, wanted: Iterable[int], own: set[int], shape: Shape) -> Scalars:
        """Scalar operations for values, from what lies in memory."""
        again = Scalars(self, own, shape, peels=True)
        for slot in wanted:
            again.value(slot)
        if again.spans():
            return again
        plain = Scalars(self, own, shape, peels=False)
        for slot in wanted:
            plain.value(slot)
        return plain


class Scalars:
    """Scalar operations of a kernel, and what they read.

    Parameters
    ----------
    plan : Plan
    own : set of int
        What is computed here, whether or not it would be computed again elsewhere.
    shape : tuple of int
        What the kernel loops over.
    peels : bool
        Whether it broadcasts for itself.
    """

    def __init__(self, plan: Plan, own: set[int], shape: Shape, peels: bool) -> None:
        self.plan = plan
        self.own = own
        self.shape = shape
        self.peels = peels
        self.nodes = Nodes()
        self.loads: dict[int, int] = {}
        self.computed: list[int] = []
        self._known: dict[int, int] = {}

    def value(self, slot: int) -> int:
        """Position of a value among the nodes."""
        known = self._known.get(slot)
        if known is None:
            known = self._known[slot] = self._made(slot)
        return known

    def _made(self, slot: int) -> int:
        plan = self.plan
        if self.peels and slot in plan.broadcast:
            return self.value(plan.broadcast[slot])
        found = plan.pointed.get(slot)
        if found is not None and (
            slot in self.own or (found.shape == self.shape and plan.is_computed_again(slot))
        ):
            operands = [None if read is None else self.value(read) for read in found.operands]
            self.computed.append(slot)
            return self.nodes.put(found.expression, operands)
        dtype = plan.tape.slots[slot].spec.dtype
        position = self.loads[slot] = self.nodes.add("load", (), dtype, slot)
        return position

    def spans(self) -> bool:
        """Whether what is read spans the shape."""
        shapes = [self.plan.shapes[slot] for slot in self.loads if slot in self.plan.on_device]
        try:
            return bool(shapes) and np.broadcast_shapes(*shapes) == self.shape
        except ValueError:
            return False
