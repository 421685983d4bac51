"""Exceptions of the library.

Wrong types and values raise Python's own ``TypeError``, ``ValueError`` and ``IndexError``; the
classes here are subclasses that name situations only this library knows.
"""

from __future__ import annotations


class AutodiffError(Exception):
    """Base of every exception class that this library defines."""


class DeclarationError(AutodiffError, TypeError):
    """A primitive or one of its rules is declared wrongly (raised when it is declared)."""


class RuleError(AutodiffError, TypeError):
    """A derivative rule returned something that is not a cotangent or tangent of its input."""


class NonDifferentiableError(AutodiffError, TypeError):
    """No derivative exists for what was asked: a function, a keyword, or an input's dtype."""


class EscapedTensorError(AutodiffError, RuntimeError):
    """A Tensor was used after the transform that made it had returned."""


class TapeReleasedError(AutodiffError, RuntimeError):
    """A backward sweep met values that an earlier sweep had released."""


class TapeError(AutodiffError, ValueError):
    """A tape is malformed, or was asked to do what it was not recorded for."""


class NonFiniteError(AutodiffError, FloatingPointError):
    """Under ``debug()``: an operation or a rule produced NaN or infinity."""


class FileFormatError(AutodiffError, ValueError):
    """A model file is damaged, foreign, or does not fit what it is loaded into."""


class DrawingError(AutodiffError, RuntimeError):
    """A picture could not be made: no Graphviz for its format, or a graph too large to lay out."""
