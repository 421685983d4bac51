"""The tape as an intermediate representation: a straight-line program over numbered slots.

Every value of a tape has a slot: the inputs, the constants (interned, so that one content has one
slot), and what the entries compute. Entries refer to slots, and a tape never changes: whoever
rewrites one makes another with a `TapeBuilder`. What a tape says of itself (its check, liveness,
signature, the program that `evaluate` runs) is computed once.

A tape is the path that the recorded inputs took. Where the function looked at a value
(``if x > 0``), the tape keeps a guard, and `Tape.evaluate` refuses inputs for which the function
would have gone another way.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from autodiff import tree
from autodiff.errors import TapeError
from autodiff.tape.drawable import Drawable
from autodiff.tape.entries import Constant, Cost, Entry, Guard, Operand, Variable
from autodiff.tape.program import Program
from autodiff.tape.readers import Readable
from autodiff.tape.rewriters import Rewritable
from autodiff.tape.texts import letters

__all__ = ["Parts", "Tape"]


class Parts(NamedTuple):
    """What a tape consists of, as of a `Tape`."""

    entries: Sequence[Entry]
    inputs: Sequence[Variable]
    outputs: Sequence[Operand]
    guards: Sequence[Guard]
    cotangents: Mapping[Variable, Variable]


_PARTS = frozenset({*Parts._fields, "slots"})
_assembling = threading.RLock()
"""Two threads that look at a tape for the first time get the same values on it."""


class Tape(Readable, Drawable, Rewritable):
    """A straight-line record of a computation.

    Made by `record`, or read off a Tensor (``loss.tape``), or put together with a `TapeBuilder`.
    Iterating gives its entries in order of evaluation. A tape never changes.

    Parameters
    ----------
    entries : sequence of Entry
    inputs : sequence of Variable
    outputs : sequence of Variable or Constant
    in_tree, out_tree : PyTreeSpec, optional
    guards : sequence of Guard, optional
    arguments : sequence, optional
    cotangents : mapping of Variable to Variable, optional
        All of them as the attributes of these names.

    Raises
    ------
    TapeError
        It is no valid program: see `check`.

    Attributes
    ----------
    inputs : tuple of Variable
    outputs : tuple of Variable or Constant
    entries : tuple of Entry
    slots : tuple of Variable or Constant
        Every value by its number.
    guards : tuple of Guard
    in_tree, out_tree : PyTreeSpec or None
        Containers of the recorded function's arguments and of what it returned.
    arguments : tuple or None
        Values of the inputs it was recorded for (None for a variable that has another value since);
        or None, for a tape that was put together by hand.
    cotangents : mapping of Variable to Variable
        Where a backward sweep was recorded: which variable holds the whole cotangent of which.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x: np.sum(x * 2))(np.ones(3))
    >>> [entry.primitive.name for entry in tape], tape.evaluate(np.ones(3))
    (['multiply', 'sum'], np.float64(6.0))
    """

    entries: tuple[Entry, ...]
    inputs: tuple[Variable, ...]
    outputs: tuple[Operand, ...]
    in_tree: tree.PyTreeSpec | None
    out_tree: tree.PyTreeSpec | None
    guards: tuple[Guard, ...]
    arguments: tuple[Any, ...] | None
    cotangents: Mapping[Variable, Variable]
    slots: tuple[Operand, ...]

    def __init__(
        self,
        entries: Sequence[Entry],
        inputs: Sequence[Variable],
        outputs: Sequence[Operand],
        in_tree: tree.PyTreeSpec | None = None,
        out_tree: tree.PyTreeSpec | None = None,
        guards: Sequence[Guard] = (),
        arguments: Sequence[Any] | None = None,
        cotangents: Mapping[Variable, Variable] | None = None,
    ) -> None:
        fields = self.__dict__  # set once: see __setattr__
        fields["in_tree"] = in_tree
        fields["out_tree"] = out_tree
        fields["arguments"] = None if arguments is None else tuple(arguments)
        self._put_together(Parts(entries, inputs, outputs, guards, cotangents or {}))

    @classmethod
    def _later(
        cls,
        assemble: Callable[[], Parts],
        in_tree: tree.PyTreeSpec | None,
        out_tree: tree.PyTreeSpec | None,
        arguments: Sequence[Any] | None,
    ) -> Tape:
        """Make a tape whose parts are put together, and checked, when somebody asks for one."""
        tape = cls.__new__(cls)
        arguments = None if arguments is None else tuple(arguments)
        tape.__dict__.update(
            in_tree=in_tree, out_tree=out_tree, arguments=arguments, _assemble=assemble
        )
        return tape

    def _bare(self, outputs: Sequence[Operand], *last: Entry) -> Tape:
        """Make the tape of these operations with others of its values as outputs, and no more.

        What `last` computes, after all of it, comes out too.
        """
        tape = Tape.__new__(Tape)
        fields = tape.__dict__
        fields.update(in_tree=None, out_tree=None, arguments=None, guards=(), cotangents={})
        found = [variable for entry in last for variable in entry.outputs]
        entries = _numbered((*self.entries, *last)) if last else self.entries
        fields.update(entries=entries, inputs=self.inputs, slots=(*self.slots, *found))
        fields["outputs"] = (*[self.slots[output.slot] for output in outputs], *found)
        return tape

    def _put_together(self, parts: Parts) -> None:
        fields = self.__dict__
        fields["entries"] = _numbered(parts.entries)
        fields["inputs"] = tuple(parts.inputs)
        fields["outputs"] = tuple(parts.outputs)
        fields["guards"] = tuple(parts.guards)
        fields["cotangents"] = MappingProxyType(dict(parts.cotangents))
        fields["slots"] = self._checked()

    if not TYPE_CHECKING:  # fields have types of their own

        def __getattr__(self, name: str) -> Any:
            """Find the parts of a tape that was not looked at before."""
            fields = self.__dict__
            if name in _PARTS and "arguments" in fields:
                with _assembling:
                    assemble = fields.pop("_assemble", None)
                    if assemble is not None:
                        self._put_together(assemble())
                return fields[name]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(
            f"{name}: a tape never changes; make another one (pruned, subtape, replace, inlined, "
            "or a TapeBuilder)"
        )

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The inputs, and what the entries compute, in order."""
        return (*self.inputs, *(v for entry in self.entries for v in entry.outputs))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, position: int) -> Entry:
        return self.entries[position]

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as a program; what is computed once is computed again."""
        parts = (self.entries, self.inputs, self.outputs, self.in_tree, self.out_tree, self.guards)
        return Tape, (*parts, self.arguments, dict(self.cotangents))

    def __repr__(self) -> str:
        return (
            f"<Tape of {len(self.entries)} operations, {len(self.inputs)} inputs, "
            f"{len(self.outputs)} outputs>"
        )

    # --- validity ---------------------------------------------------------------------------------

    def check(self) -> None:
        """Check that the tape is a valid program, as is done once when it is made.

        Raises
        ------
        TapeError
            A value is used before it is computed or computed twice, an operation has the wrong
            number of inputs, an output is never computed, or two values have one slot; says which
            entry.

        Examples
        --------
        >>> import autodiff as ad
        >>> ad.record(lambda x: x * x)(3.0).check()
        """
        self._checked()

    def _checked(self) -> tuple[Operand, ...]:
        """Every value by its slot, once it is sure that the tape is a valid program."""
        slots: dict[int, Operand] = {}
        for variable in self.inputs:
            if variable.slot in slots:
                raise TapeError("tape: an input is given twice")
            slots[variable.slot] = variable
        for entry in self.entries:
            primitive = entry.primitive
            wanted = len(primitive.inputs)
            given = len(entry.inputs)
            if given < wanted - primitive.variadic or (given > wanted and not primitive.variadic):
                raise TapeError(f"{_place(entry)}: takes {wanted} inputs, has {given}")
            for operand in entry.inputs:
                if slots.get(operand.slot) is not operand:
                    _look_up(operand, slots, entry)
            for variable in entry.outputs:
                if variable.slot in slots:
                    raise TapeError(f"{_place(entry)}: computes a value that exists already")
                slots[variable.slot] = variable
            if entry.params and not entry.params.keys() <= primitive.params.keys():
                unknown = sorted(set(entry.params) - set(primitive.params))
                raise TapeError(f"{_place(entry)}: has unknown parameters {unknown}")
        for output in self.outputs:
            _look_up(output, slots, None)
        if sorted(slots) != list(range(len(slots))):
            raise TapeError(f"tape: {len(slots)} values are not numbered from 0 to {len(slots)}")
        return tuple([slots[number] for number in range(len(slots))])

    # --- what is computed once --------------------------------------------------------------------

    @cached_property
    def last_uses(self) -> tuple[tuple[int, ...], ...]:
        """For each entry the slots of the variables that nothing after it needs."""
        needed = {output.slot for output in self.outputs}
        releases: list[tuple[int, ...]] = []
        for entry in reversed(self.entries):
            fresh = {
                operand.slot
                for operand in (*entry.inputs, *entry.outputs)
                if isinstance(operand, Variable)
            } - needed
            needed |= fresh
            releases.append(tuple(sorted(fresh)))
        return tuple(reversed(releases))

    @cached_property
    def signature(self) -> Hashable:
        """What the program is, whatever numbers it runs on: equal for tapes of one structure.

        Structure, primitives, parameters and specs count; values, names and sources do not.
        """
        numbers: dict[int, Hashable] = {v.slot: i for i, v in enumerate(self.inputs)}
        rows: list[Hashable] = []
        for entry in self.entries:
            wiring = tuple([_wired(operand, numbers) for operand in entry.inputs])
            rows.append((entry.key(), wiring))
            for variable in entry.outputs:
                numbers[variable.slot] = len(numbers)
        ends = tuple([_wired(output, numbers) for output in self.outputs])
        return tuple([v.spec for v in self.inputs]), tuple(rows), ends

    @cached_property
    def _by_slot(self) -> Program:
        """What `replay` runs."""
        return Program.by_slot(self)

    @cached_property
    def _compact(self) -> Program:
        """What `evaluate` runs."""
        return Program.compact(self)

    def names(self) -> dict[Variable, str]:
        """Unique name for each variable: its own, or a letter.

        Returns
        -------
        dict of Variable to str

        Examples
        --------
        >>> import autodiff as ad
        >>> list(ad.record(lambda x: x * x)(3.0).names().values())
        ['x', 'a']
        """
        return dict(self._unique_names)

    @cached_property
    def _unique_names(self) -> dict[Variable, str]:
        names: dict[Variable, str] = {}
        taken: set[str] = set()
        spare = letters()
        for variable in [v for v in self.variables if v.name]:
            wanted = str(variable.name)
            name, count = wanted, 2
            while name in taken:
                name, count = f"{wanted}_{count}", count + 1
            taken.add(name)
            names[variable] = name
        for variable in self.variables:
            if variable not in names:
                names[variable] = next(letter for letter in spare if letter not in taken)
        return names

    # --- evaluation -------------------------------------------------------------------------------

    def evaluate(self, *xs: Any) -> Any:
        """Run the tape on inputs of the recorded shapes; Tensors are differentiated through.

        Parameters
        ----------
        *xs : what the recorded function takes
            Of the structure and shapes that it was recorded for.

        Returns
        -------
        What the function returned, in its structure; of a tape without one its first output.

        Raises
        ------
        TypeError, ValueError
            Wrong number, structure or shape of inputs.
        TapeError
            The recorded function would have taken another path for these inputs, or the tape keeps
            only the shape of a constant it needs.

        Examples
        --------
        >>> import autodiff as ad
        >>> ad.record(lambda x: x * x + 1)(3.0).evaluate(4.0)
        np.float64(17.0)
        """
        program = self._compact
        memory = program.run(self.flat_arguments(xs))
        results = [memory[place] for place in program.outputs]
        return results[0] if self.out_tree is None else tree.unflatten(self.out_tree, results)

    def flat_arguments(self, xs: Sequence[Any]) -> list[Any]:
        """Flatten arguments of the recorded function, for `replay`, and check them.

        Parameters
        ----------
        xs : sequence
            The arguments.

        Returns
        -------
        list
            One value for each input.

        Raises
        ------
        TypeError, ValueError
            As `evaluate`.

        Examples
        --------
        >>> import autodiff as ad
        >>> ad.record(lambda p: p["a"] * p["b"])({"a": 1.0, "b": 2.0}).flat_arguments(
        ...     ({"a": 3.0, "b": 4.0},)
        ... )
        [3.0, 4.0]
        """
        structure = None
        if self.in_tree is None:
            values = list(xs)
        else:
            values, structure = tree.flatten(xs)
            if structure != self.in_tree:
                raise TypeError(
                    f"evaluate: the inputs are {tree.shown(structure)}, the tape was recorded for "
                    f"{tree.shown(self.in_tree)}, where * is an array"
                )
        if len(values) != len(self.inputs):
            raise TypeError(f"evaluate: takes {len(self.inputs)} inputs, got {len(values)}")
        for i, (value, variable) in enumerate(zip(values, self.inputs, strict=True)):
            shape = value.shape if hasattr(value, "shape") else np.shape(value)
            if shape != variable.spec.shape:
                named = variable.name or f"input {i}"
                path = named if structure is None else tree.paths(structure, "xs")[i]
                raise ValueError(
                    f"evaluate: {path} has shape {shape}, the tape was recorded for {variable.spec}"
                )
        return values

    def replay(self, values: Sequence[Any]) -> list[Any]:
        """Run the entries on flat inputs.

        Parameters
        ----------
        values : sequence, one for each of ``inputs``

        Returns
        -------
        list
            Values by slot.

        Raises
        ------
        TapeError
            As `evaluate`.

        Examples
        --------
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: x * x)(3.0)
        >>> tape.replay([4.0])[tape.outputs[0].slot]
        np.float64(16.0)
        """
        return self._by_slot.run(values)

    # --- costs ------------------------------------------------------------------------------------

    def cost(self) -> Cost:
        """Operations, floating-point operations and bytes moved, from shapes alone.

        Returns
        -------
        Cost

        Examples
        --------
        >>> import autodiff as ad
        >>> ad.record(lambda x: x * x + 1)(3.0).cost().flops
        2
        """
        by_primitive: Counter[str] = Counter()
        total_bytes = 0
        for entry in self.entries:
            by_primitive[entry.primitive.name] += entry.flops
            total_bytes += entry.nbytes
        return Cost(len(self.entries), sum(by_primitive.values()), total_bytes, dict(by_primitive))


def _numbered(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Entries that know their positions, and whose rules' entries are those of this tape."""
    numbered: list[Entry] = []
    renewed: dict[int, Entry] = {}
    for position, entry in enumerate(entries):
        pulls = entry.pulls if entry.pulls is None else renewed.get(id(entry.pulls), entry.pulls)
        own = entry
        if entry.position != position or pulls is not entry.pulls:
            own = entry._replace(position=position, pulls=pulls)
            renewed[id(entry)] = own
        numbered.append(own)
    return tuple(numbered)


def _place(entry: Entry) -> str:
    return f"tape entry {entry.position} ({entry.primitive.name})"


def _look_up(operand: Operand, slots: dict[int, Operand], entry: Entry | None) -> None:
    """Check that an operand is what its slot holds; a constant enters where it is first used."""
    known = slots.get(operand.slot)
    if known is operand:
        return
    if known is None and isinstance(operand, Constant):
        slots[operand.slot] = operand
        return
    if known is not None and isinstance(operand, Constant):
        raise TapeError(f"tape: two values have the slot {operand.slot}")
    if entry is None:
        raise TapeError("tape: an output is never computed")
    raise TapeError(f"{_place(entry)}: uses a value that is not computed before it")


def _wired(operand: Operand, numbers: Mapping[int, Hashable]) -> Hashable:
    """What a signature says of an operand: where it comes from, of a constant its kind."""
    if isinstance(operand, Variable):
        return numbers[operand.slot]
    # A plain Python number takes the dtype of its partner, so its type counts
    weak = type(operand.value) in (bool, int, float, complex)
    return type(operand.value).__name__ if weak else operand.spec
