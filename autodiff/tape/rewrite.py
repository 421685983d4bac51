"""Rewriting tapes: each function makes a new tape, and keeps what is known of the old one.

`rewrite` is the mechanism: it copies a tape operation by operation, and a rule may put something
else in an operation's place. Names, sources, scopes, the rules that operations of a backward sweep
belong to, guards, arguments and cotangents come along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from autodiff import tree
from autodiff.errors import TapeError
from autodiff.tape.builder import Origin, TapeBuilder
from autodiff.tape.calls import CallScope
from autodiff.tape.entries import Constant, Entry, Operand, Variable
from autodiff.tape.ir import Tape
from autodiff.tape.values import callees

__all__ = ["inlined", "pruned", "replaced", "rewrite", "subtape", "with_callees"]

Place = Callable[[Operand], int]
"""Slot in the new tape of a value of the old one that is computed there already."""

Rule = Callable[[Entry, tuple[int, ...], Place, TapeBuilder], Sequence[int] | None]
"""What stands in an operation's place: slots of its outputs, or None to keep it. It gets the entry,
the slots of its inputs in the new tape, `Place`, and the builder to add operations to; what it adds
without saying where it comes from comes from where the operation does."""


def rewrite(
    tape: Tape,
    rule: Rule | None = None,
    *,
    keep: Iterable[Entry] | None = None,
    inputs: Sequence[Variable] | None = None,
    outputs: Sequence[Operand] | None = None,
) -> Tape:
    """Copy a tape, with what a rule puts in the place of its operations.

    Parameters
    ----------
    tape : Tape
    rule : function of an entry, its inputs' slots and the builder, optional
    keep : entries, optional
        Those to copy; by default all.
    inputs : sequence of Variable, optional
        Inputs of the new tape; by default those of the old. Others make a tape without containers.
    outputs : sequence of Variable or Constant, optional
        Outputs of the new tape; by default those of the old.

    Returns
    -------
    Tape

    Raises
    ------
    TapeError
        What is kept needs a value that is not.
    """
    builder = TapeBuilder()
    places: dict[int, int] = {}
    positions: dict[int, int] = {}
    chosen = tape.inputs if inputs is None else tuple(inputs)
    for variable in chosen:
        role = variable.role if variable.role != "value" else "input"
        places[variable.slot] = builder.input(variable.spec, variable.name, role)

    def place(operand: Operand) -> int:
        slot = places.get(operand.slot)
        if slot is None:
            if isinstance(operand, Variable):
                raise TapeError(f"{operand!r} is neither an input nor computed before it is used")
            slot = places[operand.slot] = builder.adopt(operand)
        return slot

    for entry in tape.entries if keep is None else keep:
        operands = tuple([place(operand) for operand in entry.inputs])
        pulls: int | Entry | None = entry.pulls
        if entry.pulls is not None:
            pulls = positions.get(entry.pulls.position, _gone(entry.pulls))
        builder.origin = Origin(entry.source, entry.scope, pulls)
        before = len(builder.rows)
        results = None if rule is None else rule(entry, operands, place, builder)
        if results is None:
            specs = [variable.spec for variable in entry.outputs]
            results = builder.emit(entry.primitive, operands, specs, entry.params)
        if len(builder.rows) > before:
            # Of several operations in its place the last stands for it
            positions[entry.position] = len(builder.rows) - 1
        for variable, slot in zip(entry.outputs, results, strict=True):
            # An input of the new tape stays one, also where the old tape computed it
            places.setdefault(variable.slot, slot)
            if variable.name is None:
                continue
            # A value that was there before, an input say, keeps the name it has
            producer = builder.producer(slot)
            if builder.name_of(slot) is None or (producer is not None and producer >= before):
                builder.rename(slot, variable.name)
    for guard in tape.guards:
        if guard.variable.slot in places:
            slot = places[guard.variable.slot]
            builder.guard(slot, guard.value, guard.reader, guard.source)
    builder.cotangents = {
        places[variable.slot]: places[total.slot]
        for variable, total in tape.cotangents.items()
        if variable.slot in places and total.slot in places
    }
    same_inputs = inputs is None
    return builder.finish(
        [place(output) for output in (tape.outputs if outputs is None else outputs)],
        tape.in_tree if same_inputs else None,
        tape.out_tree if outputs is None else _structure(outputs),
        tape.arguments if same_inputs else None,
    )


def _gone(entry: Entry) -> Entry:
    """Return an operation that is left out: its rules are still rules, of nothing on the tape."""
    return entry._replace(position=-1, pulls=None)


def _structure(outputs: Sequence[Operand]) -> tree.PyTreeSpec | None:
    """One output is returned as it is, several as a tuple."""
    return None if len(outputs) == 1 else tree.flatten(tuple(range(len(outputs))))[1]


def _needed(tape: Tape, wanted: Iterable[Operand], given: frozenset[int]) -> list[Entry]:
    """Entries that the wanted values depend on, where the given ones are inputs."""
    needed = {operand.slot for operand in wanted} - given
    kept: list[Entry] = []
    for entry in reversed(tape.entries):
        if any(variable.slot in needed for variable in entry.outputs):
            kept.append(entry)
            needed |= {o.slot for o in entry.inputs if isinstance(o, Variable)} - given
    return kept[::-1]


def pruned(tape: Tape) -> Tape:
    """Leave out the operations that nothing needs; `Tape.pruned` documents it."""
    wanted = [*tape.outputs, *(guard.variable for guard in tape.guards)]
    return rewrite(tape, keep=_needed(tape, wanted, frozenset()))


def subtape(
    tape: Tape, outputs: Sequence[Operand], inputs: Sequence[Variable] | None = None
) -> Tape:
    """Cut out the part that computes some values; `Tape.subtape` documents it."""
    for operand in (*outputs, *(inputs or ())):
        _check_own("subtape", tape, operand)
    given = frozenset() if inputs is None else frozenset(v.slot for v in inputs)
    wanted = list(outputs)
    if inputs is None:
        # It took the path to these outputs, so what the program looked at on the way counts
        made = {v.slot: entry.position for entry in tape.entries for v in entry.outputs}
        last = max([made.get(output.slot, -1) for output in outputs], default=-1)
        wanted += [g.variable for g in tape.guards if made.get(g.variable.slot, -1) < last]
    keep = _needed(tape, wanted, given)
    return rewrite(tape, keep=keep, inputs=inputs, outputs=outputs)


def replaced(tape: Tape, replacements: Mapping[int, Tape | Operand]) -> Tape:
    """Put tapes or values of the tape in the places of operations; `Tape.replace` documents it."""
    for position, found in replacements.items():
        if not 0 <= position < len(tape.entries):
            raise TapeError(f"replace: no operation has the position {position} on {tape!r}")
        if not isinstance(found, Tape):
            _check_own("replace", tape, found)

    def rule(
        entry: Entry, operands: tuple[int, ...], place: Place, builder: TapeBuilder
    ) -> Sequence[int] | None:
        found = replacements.get(entry.position)
        if found is None:
            return None
        if isinstance(found, Tape):
            _check_fit(entry, found)
            return insert(builder, found, operands)
        if len(entry.outputs) > 1 or found.spec != entry.output.spec:
            raise TapeError(
                f"replace: {entry.primitive.name} gives {_specs([v.spec for v in entry.outputs])}, "
                f"its replacement is {found.spec}"
            )
        return (place(found),)

    return rewrite(tape, rule)


def _check_own(who: str, tape: Tape, operand: Operand) -> None:
    """Refuse a value of another tape: what has its slot on this one is another value."""
    slot = operand.slot
    if not (0 <= slot < len(tape.slots) and tape.slots[slot] is operand):
        raise TapeError(f"{who}: {operand!r} is no value of this tape")


def _check_fit(entry: Entry, tape: Tape) -> None:
    ours = [o.spec for o in entry.inputs], [v.spec for v in entry.outputs]
    theirs = [v.spec for v in tape.inputs], [o.spec for o in tape.outputs]
    if ours != theirs:
        raise TapeError(
            f"replace: {entry.primitive.name} takes {_specs(ours[0])} and gives {_specs(ours[1])}, "
            f"its replacement takes {_specs(theirs[0])} and gives {_specs(theirs[1])}"
        )


def _specs(specs: Sequence[object]) -> str:
    return ", ".join(map(str, specs)) or "nothing"


def insert(
    builder: TapeBuilder,
    tape: Tape,
    operands: Sequence[int],
    scope: CallScope | None = None,
) -> tuple[int, ...]:
    """Add a whole tape to another in the making, on given inputs, with its guards.

    Returns the slots of its outputs. Calls within it become calls within `scope`.
    """
    around = scope or builder.origin.scope
    places = {v.slot: slot for v, slot in zip(tape.inputs, operands, strict=True)}
    scopes: dict[CallScope, CallScope] = {}

    def place(operand: Operand) -> int:
        slot = places.get(operand.slot)
        if slot is None:
            assert isinstance(operand, Constant)
            slot = places[operand.slot] = builder.adopt(operand)
        return slot

    start = len(builder.rows)
    for entry in tape.entries:
        pulls: int | Entry | None = None
        if entry.pulls is not None:
            position = entry.pulls.position
            pulls = _gone(entry.pulls) if position < 0 else start + position
        results = builder.emit(
            entry.primitive,
            [place(operand) for operand in entry.inputs],
            [variable.spec for variable in entry.outputs],
            entry.params,
            entry.source,
            _within(entry.scope, around, scopes),
            pulls,
            [variable.name for variable in entry.outputs],
        )
        places.update(zip([v.slot for v in entry.outputs], results, strict=True))
    for guard in tape.guards:
        builder.guard(places[guard.variable.slot], guard.value, guard.reader, guard.source)
    return tuple([place(output) for output in tape.outputs])


def _within(
    inner: CallScope | None, outer: CallScope | None, made: dict[CallScope, CallScope]
) -> CallScope | None:
    """A call of one tape as a call within a call of another."""
    if inner is None:
        return outer
    if inner.parent is None and outer is not None and inner.label == outer.label:
        return outer  # a function with a rule of its own, seen once as the call and once inside
    if inner not in made:
        parent = _within(inner.parent, outer, made)
        made[inner] = CallScope(inner.kind, inner.name, inner.type, parent)
    return made[inner]


def inlined(tape: Tape) -> Tape:
    """Put what called functions compute in the place of the calls; `Tape.inlined` documents it."""
    called = callees(tape, tape.entries, whole=True)
    return with_callees(tape, {position: inlined(callee) for position, callee in called.items()})


def with_callees(tape: Tape, called: Mapping[int, Tape]) -> Tape:
    """Put tapes in the place of the entries at given positions."""

    def rule(
        entry: Entry, operands: tuple[int, ...], place: Place, builder: TapeBuilder
    ) -> Sequence[int] | None:
        callee = called.get(entry.position)
        if callee is None:
            return None
        scope = CallScope("function", entry.primitive.name, "", entry.scope)
        return insert(builder, callee, operands, scope)

    return rewrite(tape, rule)
