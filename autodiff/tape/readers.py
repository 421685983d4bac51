"""What a tape can be asked, and is answered by modules above it.

A tape holds a program; texts, pictures, pages, values and graphs are made of it by its readers,
which register in `READERS` and are loaded when first asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autodiff.tape.drawable import READERS

if TYPE_CHECKING:
    from autodiff.ordering.graph.jacobian_graph import JacobianGraph
    from autodiff.tape.comparing import Comparison
    from autodiff.tape.entries import Entry, Operand, Variable
    from autodiff.tape.ir import Tape
    from autodiff.tape.profile import Profile
    from autodiff.tape.summary import Summary

__all__ = ["READERS", "Readable"]


class Readable:
    """Methods of a tape that its readers answer."""

    # --- what ran over it -------------------------------------------------------------------------

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
        found: dict[Variable, Any] = READERS["values"](self)
        return found

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
        found: dict[Variable, Any] = READERS["gradients"](self)
        return found

    def saved(self) -> dict[Operand, tuple[Entry, ...]]:
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
        >>> tape = ad.record(lambda x: np.sum(np.exp(x) + 1))(np.ones(3))
        >>> [variable.spec for variable in tape.saved()] == [tape[0].output.spec]
        True
        """
        found: dict[Operand, tuple[Entry, ...]] = READERS["saved"](self)
        return found

    def profile(self, *xs: Any, repeats: int = 5) -> Profile:
        """Measure what each operation takes by the clock, to set beside the counted flops.

        Operations run one by one on the values that they have, whatever they are fused into when
        the tape is compiled. On small arrays the time is that of the call.

        Parameters
        ----------
        *xs
            Arguments of the recorded function; by default those it was recorded for.
        repeats : int
            Runs of each operation, of which the shortest counts.

        Returns
        -------
        Profile

        Raises
        ------
        ValueError
            `repeats` is below 1, or there are no arguments and the tape has none.
        TapeError
            As `evaluate`.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: np.sum(np.tanh(x)))(np.ones(100))
        >>> len(tape.profile().seconds)
        2
        """
        measured: Profile = READERS["profile"](self, xs, repeats)
        return measured

    # --- text -------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return self.listing()

    def listing(self, limit: int | None = 200, *, calls: bool = False) -> str:
        """Text of the tape: an operation a line, with its cost, its scope and its source line.

        ``print(tape)`` prints this.

        Parameters
        ----------
        limit : int or None
            A tape of more operations shows its first and last ones, and totals. None shows all.
        calls : bool
            Whether to show what called functions compute in the place of the calls: see `inlined`.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            The limit is negative.

        Examples
        --------
        >>> import autodiff as ad
        >>> print(ad.record(lambda x: x * x)(3.0).listing())
        tape(x: float64[]):
          a: float64[] = multiply x x  # 1 flop 24 B ...
          return a
        """
        found: str = READERS["listing"](READERS["inlined"](self) if calls else self, limit)
        return found

    def summary(self) -> Summary:
        """Costs by primitive and by module or function, as a table to print.

        Returns
        -------
        Summary

        Examples
        --------
        >>> import autodiff as ad
        >>> ad.record(lambda x: x * x + x)(3.0).summary().by_primitive["multiply"].flops
        1
        """
        found: Summary = READERS["summary"](self)
        return found

    def compare(self, other: Tape) -> Comparison:
        """Compare with another tape: after a pass, or of another version of the function.

        Operations are the same where they compute the same value: equal primitives, parameters and
        shapes, of the same operands; inputs count by their position, constants by their values.

        Parameters
        ----------
        other : Tape
            What came of this one.

        Returns
        -------
        Comparison
            With the operations that are ``same``, ``changed`` (alike, of other operands),
            ``removed`` and ``added``. Its text lists them; ``draw(against=)`` shows them.

        Raises
        ------
        AttributeError
            `other` is no tape.

        Examples
        --------
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: x * x)(3.0)
        >>> print(tape.compare(ad.record(lambda x: x * x + 1.0)(3.0)))
        1 -> 2 operations, 1 -> 2 flops, 24 -> 48 B
           a: float64[] = multiply x x
        +  b: float64[] = add a 1
        """
        found: Comparison = READERS["compare"](self, other)
        return found

    def jacobian_graph(self, *, argnums: int | Sequence[int] | None = None) -> JacobianGraph:
        """Graph of the local Jacobians, to plan the order in which they are multiplied.

        The edges carry the structure of the local Jacobians (diagonal, dense, Kronecker, ...),
        which says what products cost. Scans of up to 1,000 operations in all are seen through, step
        by step; what else is one operation (a longer scan, a checkpoint) is one map.

        Parameters
        ----------
        argnums : int or sequence of int, optional
            Arguments to differentiate, as for `jacobian`. By default all inputs of a float dtype.

        Returns
        -------
        autodiff.ordering.JacobianGraph
            Vertices are numbers: the inputs first, then the values that lie between them and the
            outputs, in the order of evaluation. Its ``notes``, and those of its plans, say which
            scans stay one map, and why.

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
        found: JacobianGraph = READERS["jacobian_graph"](self, argnums=argnums)
        return found
