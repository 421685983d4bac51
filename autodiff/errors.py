"""Exceptions of the library.

Wrong types and values raise Python's own ``TypeError``, ``ValueError`` and ``IndexError``; the
classes here are subclasses that name situations only this library knows.
"""

from __future__ import annotations

import numpy as np


class AutodiffError(Exception):
    """Base of every exception class that this library defines.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> try:
    ...     np.packbits(ad.Tensor([1.0]))
    ... except ad.AutodiffError as error:
    ...     print(type(error).__name__, isinstance(error, TypeError))
    NonDifferentiableError True
    """


class DeclarationError(AutodiffError, TypeError):
    """A primitive or one of its rules is declared wrongly (raised when it is declared).

    Examples
    --------
    >>> import autodiff as ad
    >>> @ad.elementwise(d_z=1.0)
    ... def double(x):
    ...     return 2 * x
    Traceback (most recent call last):
        ...
    autodiff.errors.DeclarationError: double.d_z: not a rule of this elementwise primitive; ...
    """


class RuleError(AutodiffError, TypeError):
    """A derivative rule returned something that is not a cotangent or tangent of its input.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> @ad.linear(transpose=lambda g: np.ones(3))
    ... def doc_wrong(x):
    ...     return 2 * x
    >>> ad.grad(doc_wrong)(1.0)
    Traceback (most recent call last):
        ...
    autodiff.errors.RuleError: doc_wrong.transpose returned a cotangent of shape (3,) ...
    """


class NonDifferentiableError(AutodiffError, TypeError):
    """No derivative exists for what was asked: a function, a keyword, or an input's dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> np.packbits(ad.Tensor([1.0, 2.0]))
    Traceback (most recent call last):
        ...
    autodiff.errors.NonDifferentiableError: np.packbits has no derivative rule for Tensors; ...
    """


class EscapedTensorError(AutodiffError, RuntimeError):
    """A Tensor was used after the transform that made it had returned.

    Examples
    --------
    >>> import autodiff as ad
    >>> kept = []
    >>> def f(x):
    ...     kept.append(x)
    ...     return x * x
    >>> ad.grad(f)(3.0)
    np.float64(6.0)
    >>> kept[0] + 1
    Traceback (most recent call last):
        ...
    autodiff.errors.EscapedTensorError: ...
    """


class TapeReleasedError(AutodiffError, RuntimeError):
    """A backward sweep met values that an earlier sweep had released.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> loss = np.tanh(ad.Tensor(1.0))
    >>> loss.backward()
    >>> loss.backward()
    Traceback (most recent call last):
        ...
    autodiff.errors.TapeReleasedError: ...
    """


class TapeError(AutodiffError, ValueError):
    """A tape is malformed, or was asked to do what it was not recorded for.

    Examples
    --------
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x: x * x if x > 0 else -x)(3.0)
    >>> tape.evaluate(-1.0)
    Traceback (most recent call last):
        ...
    autodiff.errors.TapeError: ...
    """


class CompileError(AutodiffError, RuntimeError):
    """A compiled function would be wrong: it draws random numbers, or changes what is outside.

    Examples
    --------
    >>> import autodiff as ad
    >>> log = []
    >>> @ad.compile
    ... def f(x):
    ...     log.append("called")
    ...     return x * x
    >>> f(3.0)
    Traceback (most recent call last):
        ...
    autodiff.errors.CompileError: compile: f changes log, a list outside of it, ...
    """


class NonFiniteError(AutodiffError, FloatingPointError):
    """Under ``debug()``: an operation or a rule produced NaN or infinity; or a loss in ``nn.fit``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> with ad.debug(), np.errstate(divide="ignore"):
    ...     ad.grad(np.log)(0.0)
    Traceback (most recent call last):
        ...
    autodiff.errors.NonFiniteError: forward of log gave -inf at index () of shape () ...
    """


class SingularSystemError(AutodiffError, np.linalg.LinAlgError):
    """A derivative by the implicit function theorem does not exist: its linear system is singular.

    At the solution the residual's Jacobian by the unknowns has no inverse: a double root, an
    optimum that is no isolated one, constraints that depend on one another.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> double_root = ad.root(lambda x, p: (x - p) ** 2, lambda p: p)
    >>> ad.grad(double_root)(1.0)
    Traceback (most recent call last):
        ...
    autodiff.errors.SingularSystemError: root(<lambda>): the residual's Jacobian by x is ...
    """


class SolverError(AutodiffError, RuntimeError):
    """A solver did not converge, and ``on_failure="raise"`` was asked for.

    Examples
    --------
    >>> import autodiff as ad
    >>> raise ad.SolverError("minimize: did not converge: the maximum number of iterations")
    Traceback (most recent call last):
        ...
    autodiff.errors.SolverError: minimize: did not converge: ...
    """


class ConvergenceWarning(UserWarning):
    """A solver did not converge, so values are not the solution's, and derivatives neither.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> import autodiff as ad
    >>> halfway = ad.root(lambda x, p: x * x - p, lambda p: 0.75 * np.sqrt(p))
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error")
    ...     ad.grad(halfway)(4.0)
    Traceback (most recent call last):
        ...
    autodiff.errors.ConvergenceWarning: root(<lambda>): the solver's result is no solution: ...
    """


class FileFormatError(AutodiffError, ValueError):
    """A model file is damaged, foreign, or does not fit what it is loaded into.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from autodiff import nn
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.npz"
    >>> nn.save(path, {"w": np.ones(2)})
    >>> nn.load(path, like={"w": np.ones(3)})
    Traceback (most recent call last):
        ...
    autodiff.errors.FileFormatError: ...model.npz: ['w'] has shape (2,) in the file, ...
    """


class DrawingError(AutodiffError, RuntimeError):
    """A picture could not be made: no Graphviz for its format, or a graph too large to lay out.

    Examples
    --------
    >>> import autodiff as ad
    >>> def f(x):
    ...     for _ in range(1001):
    ...         x = x * x
    ...     return x
    >>> ad.record(f)(1.0).draw(fold=False, depth=9)
    Traceback (most recent call last):
        ...
    autodiff.errors.DrawingError: draw: the picture would have ... nodes, more than 1000; ...
    """


class ExportError(AutodiffError, ValueError):
    """A tape cannot be written in another format: what it does does not exist there.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.record(np.linalg.cholesky)(np.eye(2)).to_onnx()
    Traceback (most recent call last):
        ...
    autodiff.errors.ExportError: to_onnx: ONNX models cannot hold
      cholesky...: there is no such operator in ONNX, and no short composition of others
    ...
    """


class ShardError(AutodiffError, RuntimeError):
    """Of a computation in `autodiff.parallel`, one shard has no result; there is none at all then.

    What went wrong there is its ``__cause__``. ``shard`` is the shard's number from 0, or the rank
    in `parallel.allreduce`, and ``rows`` the range of rows that it has, where that is known.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> import autodiff as ad
    >>> def total(w, x):
    ...     if np.any(x > 2.0):
    ...         raise ValueError("too large")
    ...     return np.sum(w * x)
    >>> with ThreadPoolExecutor(2) as pool:
    ...     ad.parallel.grad(total, pool, in_axes=(None, 0))(1.0, np.arange(4.0))
    Traceback (most recent call last):
        ...
    autodiff.errors.ShardError: parallel.grad: shard 1 of 2 (rows 2 to 3): ValueError: too large
    """

    def __init__(self, message: str, shard: int | None = None, rows: range | None = None) -> None:
        super().__init__(message)
        self.shard = shard
        self.rows = rows
