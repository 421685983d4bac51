"""What a compiled function runs for one form of its arguments."""

from __future__ import annotations

from typing import Any

from autodiff.compiler.paths import Path
from autodiff.tape.ir import Tape

__all__ = ["Program"]


class Program:
    """One path of a compiled function, as it runs.

    Made by ``compiled.lower(*args)``.

    Attributes
    ----------
    tape : Tape
        What is run: flat inputs, flat outputs.

    Examples
    --------
    >>> import autodiff as ad
    >>> program = ad.compile(lambda x: x * x + 1.0).lower(3.0)
    >>> program.run(2.0)
    (np.float64(5.0),)
    """

    def __init__(self, path: Path) -> None:
        self._path = path
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

    def __repr__(self) -> str:
        return f"<Program {self._path.name}: {self.tape!r}>"
