"""More Krylov solvers: the same equation, and so the same derivatives, as of `iterative`."""

from __future__ import annotations

from typing import Any

from autodiff.scipy.sparse.linalg.iterative import solved_by

__all__ = ["bicg", "cgs", "gcrotmk", "lgmres", "qmr", "tfqmr"]


def bicg(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
    callback: Any = None,
) -> tuple[Any, int]:
    """Solve A x = b by biconjugate gradients; parameters and results as for `cg`.

    An operator needs products with its adjoint, which it has.

    Examples
    --------
    >>> import numpy as np
    >>> bicg(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0]), rtol=1e-12)[1]
    0
    """
    tolerances = {"rtol": rtol, "atol": atol, "maxiter": maxiter}
    found: tuple[Any, int] = solved_by(
        "bicg", A, b, x0, {"M": M}, {"callback": callback}, **tolerances
    )
    return found


def cgs(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
    callback: Any = None,
) -> tuple[Any, int]:
    """Solve A x = b by conjugate gradients squared; parameters and results as for `cg`.

    Examples
    --------
    >>> import numpy as np
    >>> cgs(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0]), rtol=1e-12)[1]
    0
    """
    tolerances = {"rtol": rtol, "atol": atol, "maxiter": maxiter}
    found: tuple[Any, int] = solved_by(
        "cgs", A, b, x0, {"M": M}, {"callback": callback}, **tolerances
    )
    return found


def tfqmr(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
    callback: Any = None,
    show: bool = False,
) -> tuple[Any, int]:
    """Solve A x = b by transpose-free quasi-minimal residuals; parameters and results as for `cg`.

    Examples
    --------
    >>> import numpy as np
    >>> tfqmr(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0]), rtol=1e-12)[1]
    0
    """
    tolerances = {"rtol": rtol, "atol": atol, "maxiter": maxiter}
    found: tuple[Any, int] = solved_by(
        "tfqmr", A, b, x0, {"M": M}, {"callback": callback, "show": show}, **tolerances
    )
    return found


def qmr(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M1: Any = None,
    M2: Any = None,
    callback: Any = None,
) -> tuple[Any, int]:
    """Solve A x = b by quasi-minimal residuals; parameters and results as for `cg`.

    `M1` and `M2` are the left and the right preconditioner, constants.

    Examples
    --------
    >>> import numpy as np
    >>> qmr(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0]), rtol=1e-12)[1]
    0
    """
    tolerances = {"rtol": rtol, "atol": atol, "maxiter": maxiter}
    constants = {"M1": M1, "M2": M2}
    found: tuple[Any, int] = solved_by(
        "qmr", A, b, x0, constants, {"callback": callback}, **tolerances
    )
    return found


def lgmres(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int = 1000,
    M: Any = None,
    callback: Any = None,
    inner_m: int = 30,
    outer_k: int = 3,
    outer_v: Any = None,
    store_outer_Av: bool = True,
    prepend_outer_v: bool = False,
) -> tuple[Any, int]:
    """Solve A x = b by LGMRES; parameters and results as for `cg`.

    `inner_m` and `outer_k` count the vectors of an iteration and those carried to the next ones;
    `outer_v` holds the latter and is changed, by this solve and not by those of its derivatives.

    Examples
    --------
    >>> import numpy as np
    >>> lgmres(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0]), rtol=1e-12)[1]
    0
    """
    keywords = {"rtol": rtol, "atol": atol, "maxiter": maxiter}
    first = {"callback": callback, "outer_v": outer_v, "store_outer_Av": store_outer_Av}
    first["prepend_outer_v"] = prepend_outer_v
    found: tuple[Any, int] = solved_by(
        "lgmres", A, b, x0, {"M": M}, first, **keywords, inner_m=inner_m, outer_k=outer_k
    )
    return found


def gcrotmk(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int = 1000,
    M: Any = None,
    callback: Any = None,
    m: int = 20,
    k: int | None = None,
    CU: Any = None,
    discard_C: bool = False,
    truncate: str = "oldest",
) -> tuple[Any, int]:
    """Solve A x = b by GCROT(m, k); parameters and results as for `cg`.

    `m` and `k` count the vectors of an iteration and those carried to the next ones; `CU` holds the
    latter and is changed, by this solve and not by those of its derivatives.

    Examples
    --------
    >>> import numpy as np
    >>> gcrotmk(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0]), rtol=1e-12)[1]
    0
    """
    keywords = {"rtol": rtol, "atol": atol, "maxiter": maxiter, "m": m, "k": k}
    first = {"callback": callback, "CU": CU, "discard_C": discard_C}
    found: tuple[Any, int] = solved_by(
        "gcrotmk", A, b, x0, {"M": M}, first, **keywords, truncate=truncate
    )
    return found
