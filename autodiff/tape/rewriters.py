"""Methods of a tape that give other tapes: what it calls, and rewritten ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from autodiff.tape.readers import READERS

if TYPE_CHECKING:
    from autodiff.tape.entries import Entry, Operand, Variable
    from autodiff.tape.ir import Tape

__all__ = ["Rewritable"]


class Rewritable:
    """Methods of a tape that `rewrite` answers; none of them changes the tape."""

    def callee(self, entry: Entry) -> Tape | None:
        """Tape of the function that an operation calls.

        Checkpoints, scans and functions with a derivative of their own are single operations on a
        tape; what they compute is recorded when somebody first asks for it, at the inputs that this
        tape was recorded for, and kept with the operation's primitive. Of a scan it is one step,
        the first that is evaluated: a function of the carries, of a slice of each array, and of
        what is outside.

        Parameters
        ----------
        entry : Entry
            Of this tape.

        Returns
        -------
        Tape or None
            None for an ordinary operation, and for a function that calls code that Tensors do not
            go through.

        Raises
        ------
        ValueError, TapeError
            The inputs are not known: as `values`.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> tape = ad.record(ad.checkpoint(lambda x: np.tanh(x) * 2))(1.0)
        >>> [entry.primitive.name for entry in tape.callee(tape[0])]
        ['tanh', 'multiply']
        """
        found: Tape | None = READERS["callee"](self, entry)
        return found

    def inlined(self) -> Tape:
        """Put what called functions compute in the place of the calls, all the way down.

        Returns
        -------
        Tape
            What an operation called is in a scope of its name; see `callee`. It has the guards of
            what is called. A function with a derivative of its own gives way to what it computes,
            so derivatives of this tape are those of the operations, not of the rule. A scan gives
            way to its steps, one after another, unless those are more than 2,000 operations.

        Raises
        ------
        ValueError, TapeError
            As `callee`.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> tape = ad.record(ad.checkpoint(lambda x: np.tanh(x) * 2))(1.0)
        >>> [entry.primitive.name for entry in tape.inlined()]
        ['tanh', 'multiply']
        """
        tape: Tape = READERS["inlined"](self)
        return tape

    def pruned(self) -> Tape:
        """Leave out the operations that nothing needs: neither an output nor a guard.

        Returns
        -------
        Tape

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: (np.sin(x), np.cos(x))[1])(1.0)
        >>> len(tape), len(tape.pruned())
        (2, 1)
        """
        tape: Tape = READERS["pruned"](self)
        return tape

    def replace(self, replacements: Mapping[int, Tape | Operand]) -> Tape:
        """Put tapes, or values of this tape, in the places of operations.

        Names, sources, scopes, guards and the rules that operations of a backward sweep belong to
        are kept; what is put in an operation's place has that operation's.

        Parameters
        ----------
        replacements : mapping of position to Tape, Variable or Constant
            By the position of an entry (``entry.position``). A tape takes what the operation takes
            and gives what it gives. A value stands for the operation's one output, and must be
            computed before it.

        Returns
        -------
        Tape
            What only the replaced operations needed is still on it; see `pruned`.

        Raises
        ------
        TapeError
            There is no such operation, a replacement does not fit, is no value of this tape or not
            computed before it is used, or the program looked at a value that would be another
            constant now.

        Examples
        --------
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: x * x + x)(3.0)
        >>> double = ad.record(lambda x, y: x + y)(3.0, 3.0)
        >>> tape.replace({0: double}).evaluate(3.0)
        np.float64(9.0)
        """
        tape: Tape = READERS["replace"](self, replacements)
        return tape

    def subtape(self, outputs: Sequence[Operand], inputs: Sequence[Variable] | None = None) -> Tape:
        """Cut out the part that computes some values, from the inputs or from other values.

        From the inputs it keeps the guards on the way: they say for which inputs the program
        computes these values so.

        Parameters
        ----------
        outputs : sequence of Variable or Constant
            What to compute.
        inputs : sequence of Variable, optional
            What is given; by default the inputs of this tape.

        Returns
        -------
        Tape

        Raises
        ------
        TapeError
            An output depends on an input that is not given, or a value is none of this tape.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: np.sum(np.tanh(x) * 2))(np.ones(3))
        >>> part = tape.subtape([tape[2].output], [tape[0].output])
        >>> part.evaluate(np.ones(3))
        np.float64(6.0)
        """
        tape: Tape = READERS["subtape"](self, outputs, inputs)
        return tape
