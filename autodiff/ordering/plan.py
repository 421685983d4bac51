"""Plans: in which order local Jacobians are multiplied, and what that costs."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from autodiff.errors import DrawingError
from autodiff.host import target_of
from autodiff.ordering.playing import Playable
from autodiff.ordering.steps import Memory, Step, format_range
from autodiff.transforms.jacobian.decision import GivenOrder

if TYPE_CHECKING:
    from autodiff.draw.webpage import Html

__all__ = ["Plan"]

_MOST_ROWS = 120
_NOTEBOOK_STEPS = 150
_MOST_DRAWN = 1000
_ITEM_BYTES = 8


@dataclass(frozen=True)
class Plan(GivenOrder):
    """An order of multiplying local Jacobians, with its costs. Made by ``plan`` methods.

    Attributes
    ----------
    kind : {"chain", "graph"}
    name : str
        Of the order: ``"optimal"``, ``"markowitz"`` and so on.
    steps : tuple of Step
    cost : int
        Fused multiply-adds of all steps; exact.
    memory : Memory
    makespan : int
        When the last step ends, in fused multiply-adds; `cost` on one machine.
    machines : int
    proven_optimal : bool
        Whether no order of this problem has a lower cost (a shorter makespan, on several machines).
    lower_bound : int or None
        No order costs less (takes less time, on several machines); None where nothing is known.
    forward_cost, reverse_cost : int
        What the forward and the reverse order would cost.
    signature : str
        Of the problem it was made for.
    subject : str
        That problem, in words.
    edges, inputs, outputs : tuple
        Of the graph, for its picture; empty for a chain.
    names : dict
        Labels of the graph's vertices in tables and pictures.
    faces : tuple of pairs of int
        Where single products are made: which of the edges each multiplies. They are numbered as in
        `edges`, and new ones on from there and one number for each input and output.
    limit : int or None
        Most tape edges that adjoints of a chain were allowed to go through at once.
    notes : tuple of str
        What is one map and might be more, and why: scans of too many steps.
    problem : Chain, JacobianGraph or None
        What it was made for; a copy that was unpickled has none.

    Examples
    --------
    >>> from autodiff.ordering import Chain
    >>> plan = Chain([(2, 4, 100), (4, 2, 100)]).plan("optimal")
    >>> plan.cost, plan.forward_cost, plan.reverse_cost
    (432, 800, 800)
    >>> print(plan)
    optimal order of a chain of 2 factors, R^4 -> R^4: 432 fma, proved to be the least
    step  operation            operands  result  shape  structure  fma  bytes
       1  accumulate tangents  F2        F2      4x2    dense      200     64
       2  accumulate adjoints  F1        F1      2x4    dense      200     64
       3  multiply             F2, F1    F2..F1  4x4    dense       32    128
    total 432 fma; forward 800 (1.85 times as much), reverse 800 (1.85 times as much)
    peak  100 tape edges, 32 matrix elements (256 bytes)
    """

    given: ClassVar[str] = "plan"

    kind: str
    name: str
    steps: tuple[Step, ...]
    cost: int
    memory: Memory
    makespan: int
    machines: int
    proven_optimal: bool
    lower_bound: int | None
    forward_cost: int
    reverse_cost: int
    signature: str
    subject: str
    edges: tuple[tuple[Hashable, Hashable], ...] = ()
    inputs: tuple[Hashable, ...] = ()
    outputs: tuple[Hashable, ...] = ()
    names: dict[Hashable, str] = field(default_factory=dict, compare=False)
    faces: tuple[tuple[int, int], ...] = ()
    limit: int | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)
    problem: Playable | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        # Maps of a graph may hold functions that cannot be pickled; all but pages do without them
        return {**vars(self), "problem": None}

    @property
    def order(self) -> tuple[Hashable, ...]:
        """Vertices of a graph as they are eliminated; empty for a chain, or where faces are."""
        if self.kind == "chain" or self.faces:
            return ()
        return tuple(step.operands[0] for step in self.steps)

    def check(self, signature: str, subject: str) -> None:
        """Refuse to serve another problem than the one it was made for.

        Parameters
        ----------
        signature, subject : str
            Of the problem at hand.

        Raises
        ------
        ValueError
            The signatures differ.

        Examples
        --------
        >>> from autodiff.ordering import Chain
        >>> chain = Chain([(2, 4, 100), (4, 2, 100)])
        >>> chain.plan("optimal").check(chain.signature, "this chain")
        """
        if signature != self.signature:
            raise ValueError(
                f"this plan (order {self.name!r}) was made for {self.subject}, not for {subject} "
                "at hand (sizes, edges or inputs differ); plan again"
            )

    # --- text -------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        steps = f"{len(self.steps)} step{'s' * (len(self.steps) != 1)}"
        return f"<Plan {self.name!r} of {self.subject}: {self.cost:,} fma in {steps}>"

    def __str__(self) -> str:
        return self.table(_MOST_ROWS)

    def table(self, most: int | None = None) -> str:
        """The steps as text, with totals compared with forward and reverse.

        Parameters
        ----------
        most : int, optional
            Rows to print; those in the middle of a longer plan are left out. By default all.

        Returns
        -------
        str

        Examples
        --------
        >>> from autodiff.ordering import Chain
        >>> plan = Chain([(2, 4, 100), (4, 2, 100)]).plan("optimal")
        >>> print(plan.table().splitlines()[-2])
        total 432 fma; forward 800 (1.85 times as much), reverse 800 (1.85 times as much)
        """
        scheduled = self.machines > 1
        header = ["step", "operation", "operands", "result", "shape", "structure", "fma", "bytes"]
        right = {0, 6, 7}
        if scheduled:
            header.append("start")
            right.add(8)
        rows = []
        for number, step in enumerate(self.steps, 1):
            row = [
                str(number),
                step.operation,
                self._operands_text(step),
                self._result_text(step),
                f"{step.shape[0]}x{step.shape[1]}",
                step.structure,
                f"{step.fma:,}",
                f"{step.bytes:,}",
            ]
            if scheduled:
                row.append(f"{step.start:,}")
            rows.append(row)
        left_out = 0
        if most is not None and len(rows) > most:
            half = max(1, most // 2)
            left_out = len(rows) - 2 * half
            rows = rows[:half] + rows[-half:]
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = []
        for row in (header, *rows):
            cells = [
                cell.rjust(width) if at in right else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        if left_out:
            steps = "step" if left_out == 1 else "steps"
            lines.insert(1 + len(rows) // 2, f"      ... {left_out:,} {steps} more ...")
        return "\n".join([self._headline(), *lines, *self._totals()])

    def _headline(self) -> str:
        text = f"{self.name} order of {self.subject}: {self.cost:,} fma"
        if self.machines > 1:
            text += f", {self.makespan:,} from start to end on {self.machines} machines"
        if self.proven_optimal:
            text += f", proved to be the {'shortest' if self.machines > 1 else 'least'}"
        elif self.lower_bound:
            text += f" (no order needs less than {self.lower_bound:,})"
        return text

    def _totals(self) -> list[str]:
        others = []
        for name, cost in (("forward", self.forward_cost), ("reverse", self.reverse_cost)):
            ratio = f" ({cost / self.cost:.3g} times as much)" if self.cost else ""
            others.append(f"{name} {cost:,}{ratio}")
        held = self.memory.matrix_elements
        peak = f"peak  {held:,} matrix elements ({held * _ITEM_BYTES:,} bytes)"
        if self.kind == "chain":
            peak = peak.replace("peak  ", f"peak  {self.memory.tape_edges:,} tape edges, ")
        scarcity = "" if self.problem is None else self.problem.scarcity_text
        notes = [f"note  {note}" for note in self.notes]
        totals = f"total {self.cost:,} fma; " + ", ".join(others)
        return [totals, peak, *filter(None, [scarcity]), *notes]

    def _operands_text(self, step: Step) -> str:
        if self.kind == "chain":
            return ", ".join(map(format_range, step.operands))
        if self.faces:
            return " after ".join(self._edge_text(edge) for edge in step.operands)
        return self.vertex_text(step.operands[0])

    def _edge_text(self, edge: Hashable) -> str:
        assert isinstance(edge, tuple)
        return f"{edge[0]} -> {edge[1]}"

    def vertex_text(self, vertex: Hashable) -> str:
        """A vertex of the graph, with its name: ``5 tanh``.

        Parameters
        ----------
        vertex : hashable

        Returns
        -------
        str

        Raises
        ------
        TypeError
            It is not hashable.

        Examples
        --------
        >>> from autodiff.ordering import JacobianGraph
        >>> graph = JacobianGraph([(0, 5), (5, 6)], [0], [6], names={5: "tanh"})
        >>> plan = graph.plan("reverse")
        >>> plan.vertex_text(5), plan.vertex_text(6)
        ('5 tanh', '6')
        """
        name = self.names.get(vertex)
        return str(vertex) if name is None else f"{vertex} {name}"

    def _result_text(self, step: Step) -> str:
        if self.kind == "chain":
            return format_range(step.result)
        count = len(step.result)
        return "1 edge" if count == 1 else f"{count} edges"

    # --- pictures ---------------------------------------------------------------------------------

    def to_dot(self) -> str:
        """The plan as a graph in the DOT language: a bracketing tree, or numbered eliminations.

        Returns
        -------
        str

        Examples
        --------
        >>> from autodiff.ordering import Chain
        >>> dot = Chain([(2, 4, 100), (4, 2, 100)]).plan("optimal").to_dot()
        >>> dot.splitlines()[0], "3. multiply" in dot
        ('digraph plan {', True)
        """
        from autodiff.ordering.drawing import bracketing_dot, elimination_dot

        return bracketing_dot(self) if self.kind == "chain" else elimination_dot(self)

    def draw(self, path: str | PathLike[str], format: str | None = None) -> Path:
        """Draw the plan: the bracketing tree of a chain, the numbered eliminations of a graph.

        Parameters
        ----------
        path : str or path-like
            File to write.
        format : {"svg", "png", "pdf", "dot"}, optional
            By default the ending of the path.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        DrawingError
            There is no Graphviz for the format, or the plan is too large to lay out.
        FileNotFoundError
            There is no such folder.
        ValueError
            Unknown format.

        Examples
        --------
        >>> import os, tempfile
        >>> from autodiff.ordering import Chain
        >>> plan = Chain([(2, 4, 100), (4, 2, 100)]).plan("optimal")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plan.draw(os.path.join(folder, "plan.dot")).name
        'plan.dot'
        """
        from autodiff.draw.render import FORMATS, render

        target = Path(path)
        if format is None:
            format = target.suffix[1:].lower() or "svg"
        if format not in FORMATS:
            raise ValueError(f"draw: format is {format!r}; it must be one of {', '.join(FORMATS)}")
        target_of(target, "draw")
        if format != "dot" and self._picture_size() > _MOST_DRAWN:
            raise DrawingError(
                f"draw: the picture would have {self._picture_size()} nodes, more than "
                f"{_MOST_DRAWN}; print the plan, or write it as .dot"
            )
        target.write_bytes(render(self.to_dot(), format))
        return target

    def to_html(
        self, path: str | PathLike[str] | None = None, *, title: str | None = None
    ) -> Path | Html:
        """Write a page that plays the plan beside the forward and the reverse order.

        `Chain.to_html` and `JacobianGraph.to_html` say what it shows.

        Parameters
        ----------
        path : str or path-like, optional
            File to write. Without it the page is returned; notebooks show it.
        title : str, optional
            By default what is planned, in words.

        Returns
        -------
        Path or str
            The file, or the page's text.

        Raises
        ------
        DrawingError
            There are too many steps to play, they eliminate neither vertices nor faces, or the plan
            came out of a pickle.
        FileNotFoundError
            There is no such folder.

        Examples
        --------
        >>> import os, tempfile
        >>> from autodiff.ordering import Chain
        >>> plan = Chain([(2, 4, 100), (4, 2, 100)]).plan("optimal")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plan.to_html(os.path.join(folder, "plan.html")).name
        'plan.html'
        """
        if self.problem is None:
            raise DrawingError(
                "to_html: a plan that was pickled does not know its problem any more; call "
                f"to_html(path, plan) of {self.subject}"
            )
        return self.problem.to_html(path, self, title=title)

    def _picture_size(self) -> int:
        return max(len(self.steps), len(self.edges))

    def _repr_svg_(self) -> str | None:
        """SVG for a notebook; None where it is too large or there is no Graphviz."""
        from autodiff.draw.render import for_notebooks, render

        if self._picture_size() > _NOTEBOOK_STEPS:
            return None
        try:
            return for_notebooks(render(self.to_dot(), "svg").decode("utf-8"))
        except DrawingError:
            return None
