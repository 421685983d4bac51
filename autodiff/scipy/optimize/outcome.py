"""What a solver of SciPy's returned, as a result that is differentiable where that is wanted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from scipy.optimize import OptimizeResult

from autodiff.errors import ConvergenceWarning, SolverError
from autodiff.transforms.closure import is_differentiated
from autodiff.transforms.implicit.solution import Solution
from autodiff.transforms.implicit.system import LinearSolver

__all__ = ["Attempt", "Found", "Result", "check_on_failure", "solved"]


class Result(OptimizeResult):
    """SciPy's result. Where something is differentiated, what has no derivative is left out."""

    @classmethod
    def of(cls, found: dict[str, Any], **others: Any) -> Result:
        """Result of what SciPy returned, or of what is known; others go before."""
        result = cls()
        result.update({**found, **others})
        return result

    def __getattr__(self, name: str) -> Any:
        if name not in self and name in (
            "jac",
            "hess",
            "hess_inv",
            "grad",
            "optimality",
            "multipliers",
            "v",
        ):
            raise AttributeError(
                f"the result has no {name!r} here, because it would be a constant where something "
                "is differentiated; take it of the function at the solution, as in "
                "ad.grad(fun)(result.x), or solve on plain numbers"
            )
        return super().__getattr__(name)


class Found:
    """What a solver found: the unknowns, which equations hold, and SciPy's own result.

    Parameters
    ----------
    unknowns : container of arrays
    raw : SciPy's result; counts and flags are read off it.
    failure : str
        What went wrong; empty if nothing did.
    marks : container of arrays of integers
    notes : what to say besides where a derivative is taken.
    beside : arrays of integers that go with the counts.
    """

    def __init__(
        self,
        unknowns: Any,
        raw: Any,
        failure: str = "",
        marks: Any = (),
        notes: tuple[str, ...] = (),
        beside: dict[str, Any] | None = None,
    ) -> None:
        self.unknowns = unknowns
        self.raw = raw
        self.failure = failure
        self.marks = marks
        self.notes = notes
        self.beside = beside or {}


class Attempt:
    """A solver as `Solution` calls it, that says what went wrong once somebody depends on it."""

    def __init__(self, name: str, solver: Callable[..., Found], on_failure: str) -> None:
        check_on_failure(name, on_failure)
        self.name = name
        self.solver = solver
        self.on_failure = on_failure
        self.tells = False
        self.found: Found

    def __call__(self, *args: Any) -> tuple[Any, dict[str, Any], Any]:
        """Solve on plain arrays."""
        self.found = found = self.solver(*args)
        if found.failure and self.on_failure == "raise":
            raise SolverError(f"{self.name}: did not converge: {found.failure}")
        if self.tells:
            self.tell()
        counts = {
            key: value
            for key, value in (found.raw.items() if isinstance(found.raw, dict) else ())
            if isinstance(value, (int, bool)) or type(value).__name__ in ("bool", "bool_")
        }
        return found.unknowns, {**counts, **found.beside}, found.marks

    def tell(self) -> None:
        """Warn of what makes derivatives other than those of a solution."""
        if self.found.failure and self.on_failure == "warn":
            warnings.warn(
                f"{self.name}: did not converge: {self.found.failure}; derivatives are those of an "
                "unconverged point (on_failure='raise' makes this an error, 'ignore' silences it)",
                ConvergenceWarning,
                stacklevel=2,
            )
        for note in self.found.notes:
            warnings.warn(f"{self.name}: {note}", ConvergenceWarning, stacklevel=2)


def solved(
    name: str,
    attempt: Attempt,
    residual: Callable[..., Any],
    args: tuple[Any, ...],
    *,
    linear: LinearSolver = "auto",
    symmetric: bool = False,
    checks: bool = True,
) -> tuple[Any, dict[str, Any], Any]:
    """Unknowns, counts, and SciPy's result where nothing is differentiated (else None)."""
    solution = Solution(
        name,
        attempt,
        residual,
        args,
        linear=linear,
        symmetric=symmetric,
        checks=checks,
        thorough=False,
    )
    if not solution.inputs:
        return attempt.found.unknowns, {}, attempt.found.raw
    attempt.tells = any(map(is_differentiated, solution.inputs))
    if attempt.tells:
        attempt.tell()
    unknowns, counts = solution.evaluate()
    return unknowns, counts, None


def check_on_failure(name: str, on_failure: str) -> None:
    """Refuse what `on_failure` cannot be."""
    if on_failure not in ("warn", "raise", "ignore"):
        raise ValueError(
            f"{name}: on_failure must be 'warn', 'raise' or 'ignore', got {on_failure!r}"
        )
