"""Jacobians and Hessians of functions: `jacobian` and `hessian`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import numpy as np

from autodiff import tree
from autodiff.transforms.arguments import (
    Argnums,
    Function,
    P,
    check_transform,
)
from autodiff.transforms.gradient import grad
from autodiff.transforms.jacobian.decision import STRUCTURES, check_order, execute
from autodiff.transforms.jacobian.problem import Problem
from autodiff.transforms.transformed import Transformed

__all__ = ["hessian", "jacobian"]


@overload
def jacobian(
    f: np.ufunc,
    argnums: Argnums = ...,
    order: Any = ...,
    structure: str = ...,
    *,
    holomorphic: bool = ...,
    chunk_bytes: int | None = ...,
    keep_zeros: bool = ...,
) -> Callable[..., Any]: ...


@overload
def jacobian(
    f: Callable[P, Any],
    argnums: Argnums = ...,
    order: Any = ...,
    structure: str = ...,
    *,
    holomorphic: bool = ...,
    chunk_bytes: int | None = ...,
    keep_zeros: bool = ...,
) -> Callable[P, Any]: ...


def jacobian(
    f: Function,
    argnums: Argnums = 0,
    order: Any = "auto",
    structure: str = "dense",
    *,
    holomorphic: bool = False,
    chunk_bytes: int | None = None,
    keep_zeros: bool = True,
) -> Function:
    """Return a function that gives the Jacobian of `f`.

    Parameters
    ----------
    f : callable on containers of arrays, returning a container of arrays of any rank
    argnums : int or tuple of int
        Arguments to differentiate; a tuple gives a tuple for each output.
    order : "auto", "forward", "reverse", "cross-country" or a `autodiff.ordering.Plan`
        Multiply Jacobians from the inputs (one tangent per input element), from the outputs (one
        cotangent per output element), or in another order: "cross-country" eliminates the vertices
        of the recorded graph one by one, in the order with the least predicted time, and a plan
        from ``ad.record(f)(x).jacobian_graph().plan(...)`` in its own. "auto" takes the way that is
        predicted to be the fastest: elimination as a rule where values between inputs and outputs
        are small or operations elementwise, and the forward order where inputs are fewer than
        outputs by so much that evaluating `f` once more pays. Complex values, values of an outer
        transform, arrays of another library than NumPy, hooks, ``strong_zero()`` and ``debug()``
        need sweeps, in every order.
    structure : "dense" or "sparse"
        "dense": blocks are plain arrays. "sparse": the sparsity pattern is propagated through the
        recorded operations, columns or rows that do not meet are swept together, and blocks are
        SciPy sparse arrays (read, if the sweeps run on a device); for real functions, with `order`
        "auto", "forward" or "reverse".
    holomorphic : bool
        `f` is complex-differentiable, from complex to complex.
    chunk_bytes : int, optional
        Bound on what the intermediate cotangents (or tangents) of one sweep take together; the
        seeds go through in as many sweeps as that needs, at least one seed in each. Default: the
        largest of 64 MiB, the bytes of the recorded values, and the bytes of the result.
    keep_zeros : bool
        Whether sparse blocks keep entries that are zero at this point, so that they have the same
        places at each point that leads along the same path.

    Returns
    -------
    callable
        Gives, for each leaf of the output, a container like the argument, whose leaves are arrays
        of shape ``output.shape + input.shape`` and the input's dtype. Complex outputs of real
        inputs make it complex. For complex inputs z = x + iy of a real output it is
        df/dx - i df/dy, as for `grad`. With ``structure="sparse"`` the leaves are
        `scipy.sparse.csr_array` of shape ``(output.size, input.size)``, elements numbered in C
        order.

    Raises
    ------
    TypeError
        An input leaf is not of a float or complex dtype (the message names it), or inputs and
        outputs are complex and `holomorphic` is not set; with ``structure="sparse"``: an input or
        output is complex.
    ValueError
        `order` or `structure` is not one of the above, or "sparse" was asked for and the Jacobian
        is not sparse.
    ImportError
        ``structure="sparse"`` without SciPy.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.jacobian(lambda x: np.stack([x[0] * x[1], np.sin(x[0])]))(np.array([0.0, 2.0]))
    array([[2., 0.],
           [1., 0.]])
    """
    check_order(order)
    return _transformed(
        f, argnums, order, structure, holomorphic, chunk_bytes, keep_zeros, "jacobian"
    )


def _transformed(
    f: Function,
    argnums: Argnums,
    order: Any,
    structure: str,
    holomorphic: bool,
    chunk_bytes: int | None,
    keep_zeros: bool,
    transform: str,
) -> Function:
    check_transform(f, transform, argnums)
    if chunk_bytes is not None and chunk_bytes <= 0:
        raise ValueError(f"{transform}: chunk_bytes={chunk_bytes!r} must be positive")
    if structure not in ("dense", "sparse"):
        raise ValueError(f"{transform}: structure={structure!r} is not one of 'dense' and 'sparse'")
    if structure == "sparse":
        symmetric = transform == "hessian"
        sparse: Function = STRUCTURES[structure](
            f, argnums, order, holomorphic, chunk_bytes, transform, keep_zeros, symmetric
        )
        return sparse
    evaluate = _jacobian if transform == "jacobian" else _hessian
    return Transformed(evaluate, f, argnums, order, holomorphic, chunk_bytes, transform)


def _jacobian(
    f: Function,
    argnums: Argnums,
    order: Any,
    holomorphic: bool,
    chunk_bytes: int | None,
    transform: str,
    /,
    *args: Any,
    **keywords: Any,
) -> Any:
    problem = Problem(f, argnums, args, keywords, holomorphic, chunk_bytes, transform)
    out_tree, in_tree, blocks = execute(order, problem)
    return tree.unflatten(out_tree, [tree.unflatten(in_tree, row) for row in blocks])


def _hessian(*args: Any, **keywords: Any) -> Any:
    """As `_jacobian`, of the gradient; the function's name is the one that is shown."""
    return _jacobian(*args, **keywords)


@overload
def hessian(
    f: np.ufunc,
    argnums: Argnums = ...,
    structure: str = ...,
    *,
    chunk_bytes: int | None = ...,
    keep_zeros: bool = ...,
) -> Callable[..., Any]: ...


@overload
def hessian(
    f: Callable[P, Any],
    argnums: Argnums = ...,
    structure: str = ...,
    *,
    chunk_bytes: int | None = ...,
    keep_zeros: bool = ...,
) -> Callable[P, Any]: ...


def hessian(
    f: Function,
    argnums: Argnums = 0,
    structure: str = "dense",
    *,
    chunk_bytes: int | None = None,
    keep_zeros: bool = True,
) -> Function:
    """Return a function that gives the Hessian of a scalar function, forward over reverse.

    Parameters
    ----------
    f : callable that returns a real scalar
    argnums : int or tuple of int
    structure : "dense" or "sparse"
        "sparse": a SciPy sparse array, as for `jacobian`; its groups of columns may overlap where
        symmetry lets each entry be read from one of its two places.
    chunk_bytes, keep_zeros : optional
        As for `jacobian`.

    Returns
    -------
    callable
        Gives the Jacobian of the gradient: a container like the argument of containers like the
        argument, with arrays of shape ``first.shape + second.shape``; or one sparse array.

    Raises
    ------
    TypeError
        `f` does not return a real scalar, or an argument is not of a float dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    gradient = grad(f, argnums)
    return _transformed(
        gradient, argnums, "forward", structure, False, chunk_bytes, keep_zeros, "hessian"
    )
