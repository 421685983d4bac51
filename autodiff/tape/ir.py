"""Tapes: straight-line records of a computation, to read, check, price, evaluate and draw.

A tape is the path that the recorded inputs took. Where the function looked at a value
(``if x > 0``), the tape keeps a guard, and `Tape.evaluate` refuses inputs for which the function
would have gone another way.
"""

from __future__ import annotations

import os.path
from collections import Counter
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autodiff import tree
from autodiff.core.dispatch import Box, concrete
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Shape, Spec, describe, spec_of
from autodiff.errors import TapeError
from autodiff.tape.calls import Scope

if TYPE_CHECKING:
    from autodiff.ordering.graph.jacobian_graph import JacobianGraph
    from autodiff.tape.listing import Summary

__all__ = [
    "Constant",
    "Cost",
    "Entry",
    "Guard",
    "Tape",
    "Variable",
    "params_text",
    "short_source",
]


class Variable:
    """A value on a tape: an input, or what an entry computes."""

    __slots__ = ("name", "role", "spec")

    def __init__(self, spec: Spec, name: str | None = None, role: str = "value") -> None:
        self.spec = spec
        self.name = name
        self.role = role

    def __repr__(self) -> str:
        return f"<{self.role} {self.name or '?'}: {self.spec}>"


class Constant:
    """A number or array that entered the computation from outside.

    ``known`` is false where only shape and dtype were kept (no rule needs the value).
    """

    __slots__ = ("known", "spec", "value")

    def __init__(self, value: Any = None, spec: Spec | None = None) -> None:
        self.known = spec is None
        self.value = value
        self.spec = spec_of(value) if spec is None else spec

    def __repr__(self) -> str:
        if self.known and self.spec.size == 1 and not isinstance(self.value, Box):
            return f"{np.asarray(self.value).item():.6g}"
        return f"constant {self.spec}"


class Entry(NamedTuple):
    """One operation of a tape.

    ``scope`` is the function or module call it was recorded in. An operation of a backward sweep
    has the entry whose rule it belongs to as ``pulls``, and that entry's scope.
    """

    primitive: Primitive
    inputs: tuple[Variable | Constant, ...]
    outputs: tuple[Variable, ...]
    params: dict[str, Any]
    source: str | None
    scope: Scope | None = None
    pulls: Entry | None = None

    @property
    def output(self) -> Variable:
        """The first output (most operations have one)."""
        return self.outputs[0]

    @property
    def shape(self) -> Shape:
        """Shape of the first output."""
        return self.outputs[0].spec.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the first output."""
        return self.outputs[0].spec.dtype

    @property
    def flops(self) -> int:
        """Floating-point operations, from the primitive's declared cost."""
        specs = tuple(operand.spec for operand in self.inputs)
        return self.primitive.cost(specs, self.outputs[0].spec, self.params)

    @property
    def nbytes(self) -> int:
        """Bytes read and written."""
        operands = (*self.inputs, *self.outputs)
        return sum(operand.spec.nbytes for operand in operands)


class Guard(NamedTuple):
    """A value that the recorded function looked at, and so depends on."""

    variable: Variable
    value: Any
    reader: str
    source: str | None


class Cost(NamedTuple):
    """What evaluating a tape once takes: exact integers, from shapes alone."""

    operations: int
    flops: int
    nbytes: int
    by_primitive: dict[str, int]

    def __str__(self) -> str:
        lines = [f"{self.operations} operations, {self.flops:,} flops, {self.nbytes:,} bytes"]
        lines += [
            f"  {name:<20} {flops:>16,} flops"
            for name, flops in sorted(self.by_primitive.items(), key=lambda item: -item[1])
        ]
        return "\n".join(lines)


def _names() -> Iterator[str]:
    """a, b, ..., z, aa, ab, ..."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    shorter = [""]
    while True:
        longer = [prefix + letter for prefix in shorter for letter in letters]
        yield from longer
        shorter = longer


class Tape:
    """A straight-line record of a computation.

    Made by `record`, or read off a Tensor (``loss.tape``). Iterating gives its entries in order of
    evaluation.

    Attributes
    ----------
    inputs, outputs : lists of `Variable` (an output may be a `Constant`)
    entries : list of `Entry`
    guards : list of `Guard`
    arguments : list
        Values of the inputs it was recorded for (None for a variable that has another value since);
        or None, for a tape that was put together by hand.
    cotangents : dict of Variable to Variable
        Where a backward sweep was recorded: which variable holds the whole cotangent of which.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        inputs: Sequence[Variable],
        outputs: Sequence[Variable | Constant],
        in_tree: tree.PyTreeSpec | None = None,
        out_tree: tree.PyTreeSpec | None = None,
        guards: Sequence[Guard] = (),
        arguments: Sequence[Any] | None = None,
        cotangents: dict[Variable, Variable] | None = None,
    ) -> None:
        self.entries = list(entries)
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.in_tree = in_tree
        self.out_tree = out_tree
        self.guards = list(guards)
        self.arguments = None if arguments is None else list(arguments)
        self.cotangents = {} if cotangents is None else dict(cotangents)
        self.check()

    @property
    def variables(self) -> list[Variable]:
        """The inputs, and what the entries compute, in order."""
        return [*self.inputs, *(v for entry in self.entries for v in entry.outputs)]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, position: int) -> Entry:
        return self.entries[position]

    # --- validity ---------------------------------------------------------------------------------

    def check(self) -> None:
        """Check that the tape is a valid straight-line program.

        Raises
        ------
        TapeError
            A value is used before it is computed or computed twice, an operation has the wrong
            number of inputs, or an output is never computed; says which entry.
        """
        known = {id(variable) for variable in self.inputs}
        if len(known) != len(self.inputs):
            raise TapeError("tape: an input stands twice among the inputs")
        for position, entry in enumerate(self.entries):
            where = f"tape entry {position} ({entry.primitive.name})"
            wanted = len(entry.primitive.inputs)
            fixed = wanted - entry.primitive.variadic
            given = len(entry.inputs)
            if given < fixed or (given > wanted and not entry.primitive.variadic):
                raise TapeError(f"{where}: takes {wanted} inputs, has {given}")
            for operand in entry.inputs:
                if isinstance(operand, Variable) and id(operand) not in known:
                    raise TapeError(f"{where}: uses a value that is not computed before it")
            for variable in entry.outputs:
                if id(variable) in known:
                    raise TapeError(f"{where}: computes a value that exists already")
                known.add(id(variable))
            unknown = set(entry.params) - set(entry.primitive.params)
            if unknown:
                raise TapeError(f"{where}: has unknown parameters {sorted(unknown)}")
        for output in self.outputs:
            if isinstance(output, Variable) and id(output) not in known:
                raise TapeError("tape: an output is never computed")

    # --- evaluation -------------------------------------------------------------------------------

    def evaluate(self, *xs: Any) -> Any:
        """Run the tape on inputs of the recorded shapes; Tensors are differentiated through.

        Raises
        ------
        TypeError, ValueError
            Wrong number, structure or shape of inputs.
        TapeError
            The recorded function would have taken another path for these inputs, or the tape keeps
            only the shape of a constant it needs.
        """
        values = self.flat_arguments(xs)
        memory = self.replay(values, self._last_uses())
        results = [memory[id(o)] if isinstance(o, Variable) else o.value for o in self.outputs]
        return results[0] if self.out_tree is None else tree.unflatten(self.out_tree, results)

    def flat_arguments(self, xs: Sequence[Any]) -> list[Any]:
        """Flatten arguments of the recorded function, for `replay`, and check them.

        Raises
        ------
        TypeError, ValueError
            As `evaluate`.
        """
        if self.in_tree is None:
            values = list(xs)
            named = [v.name or f"input {i}" for i, v in enumerate(self.inputs)]
        else:
            values, structure = tree.flatten(xs)
            named = tree.paths(structure, "xs")
            if structure != self.in_tree:
                raise TypeError(f"evaluate: inputs {structure} do not match {self.in_tree}")
        if len(values) != len(self.inputs):
            raise TypeError(f"evaluate: takes {len(self.inputs)} inputs, got {len(values)}")
        for path, value, variable in zip(named, values, self.inputs, strict=True):
            shape = value.shape if hasattr(value, "shape") else np.shape(value)
            if shape != variable.spec.shape:
                raise ValueError(
                    f"evaluate: {path} has shape {shape}, the tape was recorded for {variable.spec}"
                )
        return values

    def replay(
        self, values: Sequence[Any], releases: Sequence[Sequence[int]] | None = None
    ) -> dict[int, Any]:
        """Run the entries on flat inputs.

        Parameters
        ----------
        values : sequence, one for each of ``inputs``
        releases : sequence of sequences of int, optional
            For each entry the identities of the variables to forget after it.

        Returns
        -------
        dict
            Values by the identity of their variable.

        Raises
        ------
        TapeError
            As `evaluate`.
        """
        memory: dict[int, Any] = {}
        guards: dict[int, list[Guard]] = {}
        for guard in self.guards:
            guards.setdefault(id(guard.variable), []).append(guard)
        for value, variable in zip(values, self.inputs, strict=True):
            memory[id(variable)] = value if hasattr(value, "shape") else np.asarray(value)[()]
            _check_guards(guards, variable, memory)
        for position, entry in enumerate(self.entries):
            operands = [_operand(operand, memory, entry) for operand in entry.inputs]
            out = entry.primitive.call(*operands, **entry.params)
            outs = out if isinstance(out, tuple) else (out,)
            for variable, value in zip(entry.outputs, outs, strict=True):
                memory[id(variable)] = value
                _check_guards(guards, variable, memory)
            if releases is not None:
                for key in releases[position]:
                    del memory[key]
        return memory

    def _last_uses(self) -> list[list[int]]:
        """For each entry, the values that nothing after it needs."""
        needed = {id(output) for output in self.outputs}
        releases: list[list[int]] = []
        for entry in reversed(self.entries):
            operands = [o for o in (*entry.inputs, *entry.outputs) if isinstance(o, Variable)]
            fresh = {id(o) for o in operands} - needed
            needed |= fresh
            releases.append(sorted(fresh))
        return releases[::-1]

    # --- what ran over it (readers of tapes are imported only when asked) -------------------------

    def values(self) -> dict[Variable, Any]:
        """Value of every variable, at the inputs the tape was recorded for.

        Returns
        -------
        dict of Variable to array

        Raises
        ------
        ValueError
            The tape was put together by hand, or a variable of ``loss.tape`` was assigned since.
        TapeError
            A constant's value was not kept (``loss.tape`` keeps what rules need).

        Examples
        --------
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: x * x + 1)(3.0)
        >>> [float(value) for value in tape.values().values()]
        [3.0, 9.0, 10.0]
        """
        from autodiff.tape.replay import values_of

        return values_of(self)

    def gradients(self) -> dict[Variable, Any]:
        """Gradient of the first output by every variable it depends on, itself included.

        In a tape that holds a backward sweep these are the cotangents of that sweep.

        Returns
        -------
        dict of Variable to array

        Raises
        ------
        ValueError
            The first output is no real scalar; or as `values`.
        TapeError
            As `values`.

        Examples
        --------
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: x * x + 1)(3.0)
        >>> [float(gradient) for gradient in tape.gradients().values()]
        [6.0, 1.0, 1.0]
        """
        from autodiff.tape.replay import gradients_of

        return gradients_of(self)

    def saved(self) -> dict[Variable | Constant, tuple[Entry, ...]]:
        """Values that a backward sweep would need, and which entries' rules need them.

        All inputs of a float or complex dtype count as differentiated. In a tape that holds a
        backward sweep only the entries that were swept count.

        Returns
        -------
        dict of Variable or Constant to tuple of Entry

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: np.sum(np.tanh(x) + 1))(np.ones(3))
        >>> [variable.spec for variable in tape.saved()] == [tape[0].output.spec]
        True
        """
        from autodiff.tape.replay import saved_by

        return saved_by(self)

    # --- costs ------------------------------------------------------------------------------------

    def cost(self) -> Cost:
        """Operations, floating-point operations and bytes moved, from shapes alone."""
        by_primitive: Counter[str] = Counter()
        total_bytes = 0
        for entry in self.entries:
            by_primitive[entry.primitive.name] += entry.flops
            total_bytes += entry.nbytes
        return Cost(len(self.entries), sum(by_primitive.values()), total_bytes, dict(by_primitive))

    # --- text -------------------------------------------------------------------------------------

    def names(self) -> dict[int, str]:
        """Unique name for each variable by identity: its own, or a letter."""
        names: dict[int, str] = {}
        taken: set[str] = set()
        letters = _names()
        outputs = [v for entry in self.entries for v in entry.outputs]
        for variable in [v for v in (*self.inputs, *outputs) if v.name]:
            wanted = str(variable.name)
            name, count = wanted, 2
            while name in taken:
                name, count = f"{wanted}_{count}", count + 1
            taken.add(name)
            names[id(variable)] = name
        for variable in (*self.inputs, *outputs):
            if id(variable) not in names:
                names[id(variable)] = next(letter for letter in letters if letter not in taken)
        return names

    def __str__(self) -> str:
        return self.listing()

    def listing(self, limit: int | None = 200) -> str:
        """Text of the tape: an operation a line, with its cost, its scope and its source line.

        ``print(tape)`` prints this.

        Parameters
        ----------
        limit : int or None
            A tape of more operations shows its first and last ones, and totals. None shows all.

        Examples
        --------
        >>> import autodiff as ad
        >>> print(ad.record(lambda x: x * x)(3.0).listing())
        tape(x: float64[]):
          a: float64[] = multiply x x  # 1 flop 24 B ...
          return a
        """
        from autodiff.tape.listing import listing

        return listing(self, limit)

    def summary(self) -> Summary:
        """Costs by primitive and by module or function, as a table to print.

        Examples
        --------
        >>> import autodiff as ad
        >>> ad.record(lambda x: x * x + x)(3.0).summary().by_primitive["multiply"].flops
        1
        """
        from autodiff.tape.listing import summarize

        return summarize(self)

    # --- pictures (`autodiff.draw` reads tapes, so it is imported only when asked) ----------------

    def to_dot(
        self,
        *,
        depth: int | None = None,
        fold: bool | None = None,
        values: bool = False,
        gradients: bool = False,
        costs: bool = False,
        direction: str = "TB",
        title: str | None = None,
        legend: bool = True,
        parameters: Sequence[str] | None = None,
    ) -> str:
        """Write the tape as a graph in the DOT language; the arguments are those of `draw`.

        Examples
        --------
        >>> import autodiff as ad
        >>> ad.record(lambda x: x * x)(3.0).to_dot(direction="LR").startswith("digraph tape {")
        True
        """
        from autodiff.draw import tape_to_dot

        return tape_to_dot(
            self,
            depth=depth,
            fold=fold,
            values=values,
            gradients=gradients,
            costs=costs,
            direction=direction,
            title=title,
            legend=legend,
            parameters=parameters,
        )

    def draw(
        self,
        path: str | PathLike[str] | None = None,
        format: str | None = None,
        *,
        depth: int | None = None,
        fold: bool | None = None,
        values: bool = False,
        gradients: bool = False,
        costs: bool = False,
        direction: str = "TB",
        title: str | None = None,
        legend: bool = True,
        parameters: Sequence[str] | None = None,
    ) -> Any:
        """Draw the tape: operations are boxes, values are edges with their dtype and shape.

        Calls of modules and functions are frames around what they compute. Blocks that repeat are
        drawn once, with their number; a tape that holds a backward sweep is drawn with both passes
        side by side, the backward one upwards. Dashed edges carry no derivative, a dot at an edge's
        beginning marks a value that reverse mode keeps. SVG needs Graphviz or the extra ``viz``;
        PNG and PDF need Graphviz.

        Parameters
        ----------
        path : path, optional
            Where to write the picture.
        format : {"svg", "png", "pdf", "dot", "html"}, optional
            By default what the suffix of `path` says, else ``"svg"``. ``"html"`` is `to_html`.
        depth : int, optional
            How many calls deep the picture goes; deeper calls are single boxes, with 0 all calls.
            By default as deep as the picture stays legible; a long program without calls and
            repetition is then cut into runs of operations.
        fold : bool, optional
            Whether at least three equal blocks in a row are drawn once. By default where a picture
            would have more than 60 nodes.
        values, gradients : bool
            Whether to show values, and gradients of the first output by them: small ones in full,
            others by norm and mean, of repeated blocks those of the first and the last.
        costs : bool
            Whether to show floating-point operations and bytes moved, and colour by the former.
        direction : {"TB", "LR", "BT", "RL"}
            Where the computation flows: top to bottom, left to right, ...
        title : str, optional
            Stands above the picture.
        legend : bool
            Whether to explain the shapes, lines and colours that occur.
        parameters : sequence of str, optional
            Which inputs are drawn as parameters: names as in the tape's listing, or the name of the
            argument that holds them. By default: the variables of ``loss.tape``, and of a recorded
            function the leaves of its first argument where that is a container.

        Returns
        -------
        pathlib.Path, str or bytes
            `path` if it was given, else the picture: text for SVG (a notebook shows it), HTML and
            DOT, bytes for PNG and PDF.

        Raises
        ------
        DrawingError
            No Graphviz was found that writes this format, or the picture is too large with the
            `depth` and `fold` asked for. The graph is then written next to `path`, with the suffix
            ``.dot``.
        ValueError
            Unknown format or direction, a negative depth, or a name in `parameters` is no input;
            values or gradients cannot be had, for which see `values` and `gradients`.
        FileNotFoundError
            The folder of `path` does not exist.

        Examples
        --------
        >>> import autodiff as ad
        >>> print(ad.record(lambda x: x * x)(3.0).draw(format="dot")[:14])
        digraph tape {
        """
        from autodiff.draw import draw_tape

        return draw_tape(
            self,
            path,
            format,
            depth=depth,
            fold=fold,
            values=values,
            gradients=gradients,
            costs=costs,
            direction=direction,
            title=title,
            legend=legend,
            parameters=parameters,
        )

    def to_html(
        self,
        path: str | PathLike[str] | None = None,
        *,
        title: str | None = None,
        parameters: Sequence[str] | None = None,
    ) -> Any:
        """Write the tape as an interactive page: one HTML file that needs no network.

        Modules and functions open and close, search finds operations, and a slider plays the
        computation and then the reverse sweep, rule by rule. A tape that holds a backward sweep
        shows it beside the forward computation. Values and gradients are shown where the tape has
        them (see `values` and `gradients`); the page says where not.

        Parameters
        ----------
        path : path, optional
            Where to write the page.
        title : str, optional
            Stands at the top.
        parameters : sequence of str, optional
            Which inputs are drawn as parameters, as for `draw`.

        Returns
        -------
        pathlib.Path or str
            `path` if it was given, else the page as text, which a notebook shows in a frame.

        Raises
        ------
        DrawingError
            The tape has more than 20,000 operations.
        ValueError
            A name in `parameters` is no input.
        FileNotFoundError
            The folder of `path` does not exist.

        Examples
        --------
        >>> import autodiff as ad
        >>> page = ad.record(lambda x: x * x)(3.0).to_html(title="square")
        >>> print(page[:15])
        <!DOCTYPE html>
        """
        from autodiff.draw.page import tape_to_html

        return tape_to_html(self, path, title=title, parameters=parameters)

    def jacobian_graph(self, *, argnums: int | Sequence[int] | None = None) -> JacobianGraph:
        """Graph of the local Jacobians, to plan the order in which they are multiplied.

        The edges carry the structure of the local Jacobians (diagonal, dense, Kronecker, ...),
        which says what products cost.

        Parameters
        ----------
        argnums : int or sequence of int, optional
            Arguments to differentiate, as for `jacobian`. By default all inputs of a float dtype.

        Returns
        -------
        autodiff.ordering.JacobianGraph
            Vertices are numbers: the inputs first, then the values that lie between them and the
            outputs, in the order of evaluation.

        Raises
        ------
        ValueError
            There is no such argument, or no input of a float dtype.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> f = lambda x: np.sum(np.tanh(x))
        >>> plan = ad.record(f)(np.zeros(3)).jacobian_graph().plan("reverse")
        >>> ad.jacobian(f, order=plan)(np.zeros(3))
        array([1., 1., 1.])
        """
        from autodiff.ordering.execute import jacobian_graph

        return jacobian_graph(self, argnums=argnums)

    def _repr_svg_(self) -> str | None:
        """Picture for notebooks, where the tape is small and there is a Graphviz."""
        from autodiff.draw import notebook_svg

        return notebook_svg(self)

    def __repr__(self) -> str:
        return (
            f"<Tape of {len(self.entries)} operations, {len(self.inputs)} inputs, "
            f"{len(self.outputs)} outputs>"
        )


def params_text(entry: Entry) -> str:
    """Parameters that differ from their defaults, as ``axis=(0,), keepdims=True``."""
    shown = []
    for name, value in entry.params.items():
        default = entry.primitive.params.get(name)
        if value is default:
            continue
        if not isinstance(value, np.ndarray) and not isinstance(default, np.ndarray):
            try:
                if value == default:
                    continue
            except ValueError:
                pass
        shown.append(f"{name}={_value_text(value)}")
    return ", ".join(shown)


def _value_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array {describe(value.shape, value.dtype)}"
    if isinstance(value, tuple):
        inner = ", ".join(_value_text(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, slice):
        parts = ["" if part is None else str(part) for part in (value.start, value.stop)]
        return ":".join(parts if value.step is None else [*parts, str(value.step)])
    if value is Ellipsis:
        return "..."
    return str(value)


def short_source(source: str | None) -> str:
    """``model.py:7``: the file without its folders, empty for None; ``cell:7`` in a notebook."""
    if source is None:
        return ""
    folder, name = os.path.split(source)
    # Notebooks compile each cell as a file whose name is a number
    in_cell = os.path.basename(folder).startswith("ipykernel_") or name.startswith("<ipython")
    return f"cell:{name.rpartition(':')[2]}" if in_cell else name


def _operand(operand: Variable | Constant, memory: dict[int, Any], entry: Entry) -> Any:
    if isinstance(operand, Variable):
        return memory[id(operand)]
    if not operand.known:
        raise TapeError(
            f"tape: {entry.primitive.name} needs a constant {operand.spec} of which only the "
            "shape was kept; ad.record(f)(x) makes tapes that keep their constants"
        )
    return operand.value


def _check_guards(
    guards: dict[int, list[Guard]], variable: Variable, memory: dict[int, Any]
) -> None:
    for guard in guards.get(id(variable), ()):
        value = np.asarray(concrete(memory[id(variable)]))
        same = (
            bool(value.any()) == bool(guard.value.any())
            if guard.reader == "bool()"
            else np.array_equal(value, guard.value)
        )
        if not same:
            where = f" at {guard.source}" if guard.source else ""
            raise TapeError(
                f"evaluate: the recorded function took {guard.reader} of a value{where}, which is "
                "different for these inputs, so the tape does not describe them; record again"
            )
