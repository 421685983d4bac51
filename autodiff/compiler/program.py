"""What a compiled function runs for one form of its arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

from autodiff.compiler.paths import Path
from autodiff.compiler.pricing import KernelCost
from autodiff.tape.calls import CallScope
from autodiff.tape.entries import Cost
from autodiff.tape.ir import Tape

__all__ = ["Program", "ProgramCost"]


class ProgramCost(NamedTuple):
    """Cost of a program: as it was recorded, and as it runs."""

    before: Cost
    after: Cost

    def __str__(self) -> str:
        rows = [("before", self.before), ("after", self.after)]
        return "\n".join(
            f"{name}: {cost.operations} operations, {cost.flops:,} flops, {cost.nbytes:,} bytes"
            for name, cost in rows
        )


class Program:
    """One path of a compiled function, as it runs; made by ``compiled.lower(*args)``.

    With ``backend="auto"`` it is the NumPy program until the native one is there.

    Attributes
    ----------
    recorded : Tape
        What was recorded.
    tape : Tape
        What is run: flat inputs, flat outputs.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> program = ad.compile(lambda x: x * x + 1.0, backend="numpy").lower(3.0)
    >>> program.run(2.0)
    (np.float64(5.0),)
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.recorded: Tape = path.flat
        self.tape: Tape = path.tape

    def run(self, *values: Any) -> tuple[Any, ...]:
        """Run on flat values: leaves of the arguments, then what is read from outside.

        Parameters
        ----------
        *values : array or number

        Returns
        -------
        tuple
        """
        return self._path.run(values)

    @property
    def backend(self) -> str:
        """``"llvm"``, ``"cupy"`` or ``"numpy"``: what runs at the moment."""
        return str(getattr(self._path.runner, "backend", "numpy"))

    @property
    def kernels(self) -> tuple[Any, ...]:
        """What runs one after the other, each saying what is fused into it.

        Of native code a `KernelCost` each; of any other program its lines.
        """
        found: tuple[Any, ...] = tuple(getattr(self._path.runner, "kernels", ()))
        return found

    @property
    def cost(self) -> ProgramCost:
        """Operations, flops and bytes moved, of the recorded tape and of what runs."""
        after = self.tape.cost()
        if self.backend == "llvm":
            costs = [k for k in self.kernels if isinstance(k, KernelCost)]
            by_title: dict[str, int] = {}
            for cost in costs:
                by_title[cost.title] = by_title.get(cost.title, 0) + cost.flops
            flops, nbytes = sum(c.flops for c in costs), sum(c.nbytes for c in costs)
            after = Cost(len(costs), flops, nbytes, by_title)
        return ProgramCost(self.recorded.cost(), after)

    @property
    def source(self) -> str:
        """The generated Python code, and after it that of kernels: LLVM's, or C++ for CuPy."""
        return str(getattr(self._path.runner, "source", ""))

    @property
    def peak_bytes(self) -> int:
        """Bytes of memory that the program holds for what it computes on the way."""
        return int(getattr(self._path.runner, "peak_bytes", 0))

    @property
    def notes(self) -> tuple[str, ...]:
        """What went another way than was asked for, or is slower than it might be, and why."""
        recorded = getattr(self._path.beside, "notes", ())
        return (*recorded, *getattr(self._path.runner, "notes", ()))

    def draw(self, path: str | None = None, **options: Any) -> Any:
        """Draw the program: its operations, grouped by the kernels they run in.

        Parameters
        ----------
        path : str, optional
            File to write, as for `Tape.draw`.
        **options
            As of `Tape.draw`.

        Returns
        -------
        As `Tape.draw`.
        """
        return self.grouped().draw(path, **options)

    def grouped(self) -> Tape:
        """Tape of what runs, each operation in the scope of its kernel.

        Returns
        -------
        Tape
        """
        runner: Any = self._path.runner
        if self.backend != "llvm":
            return self.tape
        tape, kernel_of = runner.grouping()
        scopes = {
            number: CallScope("function", f"kernel {number + 1}", "", None)
            for number in set(kernel_of.values())
        }
        entries = [
            entry._replace(scope=scopes[kernel_of[entry.position]])
            if entry.position in kernel_of
            else entry._replace(scope=None)
            for entry in tape.entries
        ]
        return Tape(entries, tape.inputs, tape.outputs, arguments=self.recorded.arguments)

    def __repr__(self) -> str:
        return f"<Program {self._path.name}: {self.tape!r}, {self.backend}>"

    def __str__(self) -> str:
        head = [
            f"program {self._path.name} ({self.backend}), {self.peak_bytes:,} bytes of memory",
            *[f"  {line}" for line in str(self.cost).splitlines()],
            *[f"  note: {note}" for note in self.notes],
            "kernels:",
        ]
        return "\n".join([*head, *[f"  {i + 1:>3} {k}" for i, k in enumerate(self.kernels)]])
