"""Values of a tape in the making of its program: where each one lies, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from autodiff.compiler.memory import address
from autodiff.core.spec import Spec

__all__ = ["Line", "Storage", "Value"]

Kind = Literal["static", "fresh", "input", "constant", "opaque"]


@dataclass(slots=True, eq=False)
class Storage:
    """A piece of memory that one value or several views of it lie in.

    Attributes
    ----------
    kind : str
        ``"static"``: a place in the workspace, known when the program is built; ``"fresh"``: an
        array made at each call, because it is handed out; ``"input"`` and ``"constant"``: never
        written to; ``"opaque"``: whatever a primitive's own function returned.
    spec : Spec
    prototype : array, optional
        An array of the layout that the whole has, over memory that nobody reads.
    name : str
        Of the whole, in the program.
    last_use : int
        Position of the last entry that needs a value in it, so far.
    begin, end : int
        First and last line that it is needed in.
    offset : int
        Its place in the workspace, of a static one.
    """

    kind: Kind
    spec: Spec
    prototype: Any = None
    name: str = ""
    last_use: int = -1
    begin: int = -1
    end: int = -1
    offset: int = -1

    def dies_at(self, position: int) -> bool:
        """Whether no value in it is needed after an entry."""
        return self.last_use <= position


@dataclass(slots=True, eq=False)
class Value:
    """A value of the tape, or one on the way to it.

    Attributes
    ----------
    spec : Spec
    name : str
        In the program.
    storages : tuple of Storage
        Memory it may show: one, which is its own, or several for what is opaque; none of a number.
    prototype : array, optional
        As of a storage, where the layout is known.
    literal : object
        Of a constant, its value.
    is_constant : bool
    last_use : int
        Position of the last entry that needs it.
    source : Value, optional
        What this is a broadcast of.
    guess : array, optional
        Prototype where the layout is not known, but likely.
    """

    spec: Spec
    name: str
    storages: tuple[Storage, ...] = ()
    prototype: Any = None
    literal: Any = None
    is_constant: bool = False
    last_use: int = -1
    source: Value | None = None
    guess: Any = None

    @property
    def storage(self) -> Storage:
        """The one memory it lies in."""
        (storage,) = self.storages
        return storage

    @property
    def is_static(self) -> bool:
        """Whether the array is the same object in each call, or would be if it is not handed out.

        Its layout is known.
        """
        return self.prototype is not None

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its memory, in the order of memory."""
        if self.prototype is None:
            return False
        whole = self.storage.prototype
        return self.prototype is whole or bool(
            whole is not None
            and self.prototype.strides == whole.strides
            and self.prototype.shape == whole.shape
            and self.prototype.dtype == whole.dtype
            and address(self.prototype) == address(whole)
        )


@dataclass(slots=True, eq=False)
class Line:
    """A line of the program.

    Attributes
    ----------
    text : str
        With ``{0}``, ``{1}`` in the place of names of `reads`, and ``{out}`` in the place of the
        result's.
    reads : tuple of Value
    result : Value, optional
        What the line makes or writes to.
    role : "buffer", "bind", "view", or "effect"
        ``"buffer"``: an expression of ``{to}``, a positional ``out`` argument, that writes the
        whole of the result's memory, and allocates it if ``{to}`` is left out; ``"bind"``: an
        expression whose value is the result; ``"view"``: the same, of memory that is known when
        the program is built unless it is handed out; ``"effect"``: a statement.
    position : int
        Of the entry.
    extra : tuple of Value
        Further results; of an elementwise line, buffers among `reads` that it writes to.
    elementwise : bool
        Whether it may run on some rows of all operands at a time.
    fills : bool
        Whether the operands have the shape of the result, so that it can be left out.
    """

    text: str
    reads: tuple[Value, ...]
    result: Value | None
    role: Literal["buffer", "bind", "view", "effect"]
    position: int
    extra: tuple[Value, ...] = ()
    elementwise: bool = False
    fills: bool = True
