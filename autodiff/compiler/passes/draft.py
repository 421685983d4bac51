"""A tape that passes rewrite: operations that change in place, made a tape again once.

Making a tape costs more than most passes, so passes work on one `Draft` in turn. A `sweep` goes
through the operations in order and gives each to the rules, which find other values in the place of
its results or leave it; the operations after it use what was found. What a rule adds with `emit` is
given to the rules in its turn, so that a rule which looks only at what makes its inputs sees them
in their final form, and one sweep is enough.

Types stay: a value takes another's place only where shape and dtype are the same. Names, sources,
scopes, guards and the rules that operations of a backward sweep belong to come along, as in
`tape.rewrite`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autodiff.core.arrays import is_foreign
from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Spec, spec_of
from autodiff.tape.constants import Interner
from autodiff.tape.entries import Constant, Entry, Guard, Operand, Variable, same_path
from autodiff.tape.ir import Tape

if TYPE_CHECKING:
    from autodiff.tape.calls import CallScope

__all__ = ["Draft", "Operation", "Rule", "Rules", "merged", "rewritten"]


_entry = tuple.__new__
"""As `Entry` makes one, without a call of Python's."""


class Operation:
    """An operation of a draft: an `Entry` with the numbers of values in place of operands.

    Attributes
    ----------
    primitive, params, source, scope
        As of an `Entry`.
    inputs, outputs : tuple of int
        Numbers of values; `outputs` is empty until the operation has its place.
    specs : tuple of Spec
        Of the outputs.
    entry : Entry or None
        What it was on the tape.
    pulls : Operation, Entry or None
        The operation whose rule it belongs to.
    became : Operation or None
        What stands for it where others say that they belong to its rule.
    """

    __slots__ = (
        "became",
        "entry",
        "inputs",
        "outputs",
        "params",
        "primitive",
        "pulls",
        "scope",
        "source",
        "specs",
    )

    def __init__(
        self,
        primitive: Primitive,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        params: dict[str, Any],
        specs: tuple[Spec, ...],
        source: str | None,
        scope: CallScope | None,
        pulls: Operation | Entry | None,
        entry: Entry | None,
    ) -> None:
        self.primitive = primitive
        self.inputs = inputs
        self.outputs = outputs
        self.params = params
        self.specs = specs
        self.source = source
        self.scope = scope
        self.pulls = pulls
        self.entry = entry
        self.became: Operation | None = None

    @property
    def spec(self) -> Spec:
        """Of the first output."""
        return self.specs[0]


Rule = Callable[["Draft", Operation], "Sequence[int] | None"]
"""Values in the place of an operation's results, or None to leave it."""


class Rules:
    """What a sweep does: rules for every operation, by primitive, and again for every one."""

    def __init__(
        self,
        first: tuple[Rule, ...] = (),
        by_primitive: Mapping[Primitive, tuple[Rule, ...]] | None = None,
        last: tuple[Rule, ...] = (),
    ) -> None:
        self._known = {p: (*first, *rules, *last) for p, rules in (by_primitive or {}).items()}
        self._others = (*first, *last)

    def of(self, primitive: Primitive) -> tuple[Rule, ...]:
        """Those that an operation of this primitive is given to."""
        return self._known.get(primitive, self._others)


class Draft:
    """A tape in the middle of its passes.

    Attributes
    ----------
    operations : list of Operation
    specs : list of Spec
        By number of the value.
    makers : list of Operation or None
        What computes a value; None for inputs and constants.
    values : dict of int to value
        Of the constants whose value is known, and is no box of an outer transform. Arrays of
        other libraries are left out: to look at them would be to wait for them.
    numbers : dict of int to number or None
        Of constant arrays, what `numbers.one_number` has found.
    changed : bool
        Whether a sweep found anything since this was last set to False.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.changed = False
        self.specs: list[Spec] = [operand.spec for operand in tape.slots]
        self.makers: list[Operation | None] = [None] * len(tape.slots)
        self.values: dict[int, Any] = {}
        self.numbers: dict[int, Any] = {}
        self._constants: dict[int, Constant] = {}
        for slot, operand in enumerate(tape.slots):
            if type(operand) is Constant:
                self._constants[slot] = operand
                if operand.known and not (
                    isinstance(operand.value, Box) or is_foreign(operand.value)
                ):
                    self.values[slot] = operand.value
        self.names: dict[int, str] = {v.slot: v.name for v in tape.variables if v.name is not None}
        self.outputs = [output.slot for output in tape.outputs]
        self.guards = [(guard.variable.slot, guard) for guard in tape.guards]
        self.cotangents = [(v.slot, total.slot) for v, total in tape.cotangents.items()]
        self.operations: list[Operation] = []
        self._interner: Interner | None = None
        self._interned: dict[int, int] = {}
        self._current: Operation | None = None
        self._rules = Rules()
        self._touched = False
        self._uses: list[int] = []
        for entry in tape.entries:
            rule = entry.pulls
            pulls: Operation | Entry | None = rule
            if rule is not None and rule.position >= 0:
                pulls = self.operations[rule.position]
            variables = entry.outputs
            if len(variables) == 1:
                variable = variables[0]
                outputs: tuple[int, ...] = (variable.slot,)
                specs: tuple[Spec, ...] = (variable.spec,)
            else:
                outputs = tuple([variable.slot for variable in variables])
                specs = tuple([variable.spec for variable in variables])
            operation = Operation(
                entry.primitive,
                tuple([operand.slot for operand in entry.inputs]),
                outputs,
                entry.params,
                specs,
                entry.source,
                entry.scope,
                pulls,
                entry,
            )
            self.operations.append(operation)
            for slot in outputs:
                self.makers[slot] = operation

    # --- what rules ask ---------------------------------------------------------------------------

    def made_by(self, value: int, primitive: Primitive) -> Operation | None:
        """The operation that computes a value, if it is one of this primitive."""
        maker = self.makers[value]
        return maker if maker is not None and maker.primitive is primitive else None

    def is_variable(self, value: int) -> bool:
        """Whether a value is no constant."""
        return value not in self._constants

    def used_once(self, value: int) -> bool:
        """Whether one operation alone needs a value that was there when `count` was called."""
        return value < len(self._uses) and self._uses[value] == 1

    def count(self) -> None:
        """Count how often each value is used, by operations, outputs and guards: for one sweep."""
        self._uses = uses = [0] * len(self.specs)
        for operation in self.operations:
            for value in operation.inputs:
                uses[value] += 1
        for value in (*self.outputs, *[value for value, _ in self.guards]):
            uses[value] += 1

    # --- what rules do ----------------------------------------------------------------------------

    def constant(self, value: Any) -> int:
        """Number of a constant: the same one for the same content."""
        if self._interner is None:
            self._interner = Interner()
            for number, known in self.values.items():
                self._interned.setdefault(id(self._interner.intern(known)), number)
        kept = self._interner.intern(value)
        number = self._interned.get(id(kept), -1)
        if number < 0:
            number = self._new(spec_of(kept), None)
            self._interned[id(kept)] = number
            self._constants[number] = Constant(number, kept)
            self.values[number] = kept
        return number

    def emit(
        self,
        primitive: Primitive,
        inputs: Sequence[int],
        spec: Spec,
        params: dict[str, Any] | None = None,
    ) -> int:
        """Add an operation of one result, simplified; returns the number of its result.

        It comes from where the operation does that the rule was given.
        """
        current = self._current
        origin = (None,) * 3 if current is None else (current.source, current.scope, current.pulls)
        operation = Operation(primitive, tuple(inputs), (), params or {}, (spec,), *origin, None)
        return self._settled(operation)[0]

    def sweep(self, rules: Rules) -> None:
        """Give every operation to the rules, in order of evaluation."""
        self._rules = rules
        before, self.operations = self.operations, []
        moved: dict[int, int] = {}
        watched: dict[int, list[Guard]] = {}
        for value, guard in self.guards:
            watched.setdefault(value, []).append(guard)
        for operation in before:
            if moved:
                inputs = operation.inputs
                for value in inputs:
                    if value in moved:
                        operation.inputs = tuple([moved.get(v, v) for v in inputs])
                        break
            self._current = operation
            count = len(self.operations)
            found = self._settled(operation)
            own = operation.outputs
            if found is own:
                continue
            if watched and not self._goes_the_same_way(own, found, watched):
                self._place(operation)
                continue
            self.changed = self._touched = True
            maker = self.makers[found[0]]
            if len(self.operations) > count:
                operation.became = self.operations[-1]
            elif maker is not None and maker.primitive is operation.primitive:
                operation.became = maker
            for old, new in zip(own, found, strict=True):
                moved[old] = new
                if new < len(self._uses):
                    self._uses[new] += self._uses[old]
                if old in self.names and self.makers[new] is not None:
                    self.names.setdefault(new, self.names[old])
        self._current = None
        self._uses = []
        if moved:
            self.outputs = [moved.get(value, value) for value in self.outputs]
            self.guards = [(moved.get(value, value), guard) for value, guard in self.guards]
            self.cotangents = [(moved.get(v, v), moved.get(w, w)) for v, w in self.cotangents]

    def _settled(self, operation: Operation) -> Sequence[int]:
        """Results of an operation once the rules have seen it."""
        for rule in self._rules.of(operation.primitive):
            found = rule(self, operation)
            if found is not None and self._fits(found, operation.specs):
                return found
        return self._place(operation)

    def _fits(self, found: Sequence[int], specs: tuple[Spec, ...]) -> bool:
        known = self.specs
        if len(specs) == 1:
            return known[found[0]] == specs[0]
        return all(known[value] == spec for value, spec in zip(found, specs, strict=True))

    def _goes_the_same_way(
        self, own: Sequence[int], found: Sequence[int], watched: Mapping[int, Sequence[Guard]]
    ) -> bool:
        """Whether no constant takes the place of a value that was looked at and was another."""
        return all(
            new in self.values and same_path(guard.reader, guard.value, self.values[new])
            for old, new in zip(own, found, strict=True)
            if not self.is_variable(new)
            for guard in watched.get(old, ())
        )

    def _place(self, operation: Operation) -> tuple[int, ...]:
        """Add an operation as it is."""
        if not operation.outputs:
            operation.outputs = tuple([self._new(spec, operation) for spec in operation.specs])
            self.changed = self._touched = True
        self.operations.append(operation)
        return operation.outputs

    def _new(self, spec: Spec, maker: Operation | None) -> int:
        self.specs.append(spec)
        self.makers.append(maker)
        return len(self.specs) - 1

    def leave(self, operations: list[Operation]) -> None:
        """Go on with these operations, some of those that there are, and no others."""
        if len(operations) < len(self.operations):
            self.changed = self._touched = True
            self.operations = operations

    # --- the end ----------------------------------------------------------------------------------

    def finish(self) -> Tape:
        """Make the tape; the one that it came from, if nothing has changed."""
        tape = self.tape
        if not self._touched:
            return tape
        made: dict[int, Operand] = {}
        for variable in tape.inputs:
            made[variable.slot] = Variable(len(made), variable.spec, variable.name, variable.role)
        names = self.names
        entries: list[Entry] = []
        placed: dict[int, Entry] = {}
        for operation in self.operations:
            operands: list[Operand] = []
            for value in operation.inputs:
                operand = made.get(value)
                operands.append(self._adopted(made, value) if operand is None else operand)
            variables = []
            for value, spec in zip(operation.outputs, operation.specs, strict=True):
                variable = Variable(len(made), spec, names.get(value))
                made[value] = variable
                variables.append(variable)
            pulls = operation.pulls
            fields = (
                operation.primitive,
                tuple(operands),
                tuple(variables),
                operation.params,
                operation.source,
                operation.scope,
                None if pulls is None else _pulled(pulls, placed),
                len(entries),
            )
            entry = _entry(Entry, fields)
            entries.append(entry)
            placed[id(operation)] = entry
        ends = [made.get(value) or self._adopted(made, value) for value in self.outputs]
        guards = []
        for value, guard in self.guards:
            looked_at = made.get(value)
            # A constant that was looked at, and is what it was, needs no guard
            if isinstance(looked_at, Variable):
                guards.append(guard._replace(variable=looked_at))
        return Tape(
            entries,
            [made[variable.slot] for variable in tape.inputs],  # type: ignore[misc] # as made above
            ends,
            tape.in_tree,
            tape.out_tree,
            guards,
            tape.arguments,
            self._whole_cotangents(made),
        )

    def _whole_cotangents(self, made: Mapping[int, Operand]) -> dict[Variable, Variable]:
        """Which variable holds the whole cotangent of which.

        Where several values have become one, what each received is only a part.
        """
        totals: dict[int, set[int]] = {}
        for value, total in self.cotangents:
            totals.setdefault(value, set()).add(total)
        found: dict[Variable, Variable] = {}
        for value, parts in totals.items():
            variable, whole = made.get(value), made.get(min(parts))
            if len(parts) == 1 and isinstance(variable, Variable) and isinstance(whole, Variable):
                found[variable] = whole
        return found

    def _adopted(self, made: dict[int, Operand], value: int) -> Constant:
        """A constant where it is first used."""
        constant = self._constants[value]
        spec = None if constant.known else constant.spec
        found = made[value] = Constant(len(made), constant.value, spec)
        return found


def _pulled(pulls: Operation | Entry, placed: Mapping[int, Entry]) -> Entry:
    """The entry whose rule an operation belongs to; where that is left out, it is on no tape."""
    if not isinstance(pulls, Operation):
        return pulls
    operation = pulls
    while operation.became is not None:
        operation = operation.became
    found = placed.get(id(operation))
    if found is not None:
        return found
    assert pulls.entry is not None
    return pulls.entry._replace(position=-1, pulls=None)


def rewritten(tape: Tape, rules: Rules) -> Tape:
    """A tape after one sweep of the rules."""
    draft = Draft(tape)
    draft.sweep(rules)
    return draft.finish()


def merged(*tables: Mapping[Primitive, tuple[Rule, ...]]) -> dict[Primitive, tuple[Rule, ...]]:
    """Rules of several passes by primitive, in their order."""
    merged: dict[Primitive, tuple[Rule, ...]] = {}
    for table in tables:
        for primitive, rules in table.items():
            merged[primitive] = (*merged.get(primitive, ()), *rules)
    return merged
