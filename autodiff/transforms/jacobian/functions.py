"""Jacobians and Hessians of functions: `jacobian` and `hessian`."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, overload

import numpy as np

from autodiff import tree
from autodiff.transforms.arguments import (
    Argnums,
    Function,
    P,
    check_transform,
    positions_of,
)
from autodiff.transforms.gradient import grad
from autodiff.transforms.jacobian.decision import STRUCTURES, check_order, execute
from autodiff.transforms.jacobian.problem import Blocks, Problem
from autodiff.transforms.jacobian.tables import HESSIANS
from autodiff.transforms.transformed import Sealed, Transformed

__all__ = ["hessian", "jacobian"]

HESSIAN_ORDERS = ("auto", "forward", "edge-pushing")


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
        need sweeps, in every order. Inside `compile` and `record` an order becomes part of the
        program, whose `notes` say where it could not.
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
    _check_options(f, argnums, structure, chunk_bytes, "jacobian")
    if structure == "sparse":
        sparse: Function = STRUCTURES["sparse"](
            f, argnums, order, holomorphic, chunk_bytes, keep_zeros
        )
        return sparse
    return Transformed(_jacobian, f, argnums, order, holomorphic, chunk_bytes, _Ways())


def _check_options(
    f: Function, argnums: Argnums, structure: str, chunk_bytes: int | None, transform: str
) -> None:
    check_transform(f, transform, argnums)
    if chunk_bytes is not None and chunk_bytes <= 0:
        raise ValueError(f"{transform}: chunk_bytes={chunk_bytes!r} must be positive")
    if structure not in ("dense", "sparse"):
        raise ValueError(f"{transform}: structure={structure!r} is not one of 'dense' and 'sparse'")


def _jacobian(
    f: Function,
    argnums: Argnums,
    order: Any,
    holomorphic: bool,
    chunk_bytes: int | None,
    ways: _Ways,
    /,
    *args: Any,
    **keywords: Any,
) -> Any:
    if ways and order == "auto":
        order = ways.get(_forms((args, keywords)), order)
    problem = Problem(f, argnums, args, keywords, holomorphic, chunk_bytes, "jacobian")
    out_tree, in_tree, blocks = execute(order, problem)
    if problem.again is not None:
        ways.keep(_forms((args, keywords)), problem.again)
    return tree.unflatten(out_tree, [tree.unflatten(in_tree, row) for row in blocks])


def _hessian(
    f: Function,
    argnums: Argnums,
    order: str,
    chunk_bytes: int | None,
    ways: _Ways,
    /,
    *args: Any,
    **keywords: Any,
) -> Any:
    found: Blocks | None = None
    unserved = False
    if order == "edge-pushing":
        found = HESSIANS[order](f, argnums, args, keywords, chunk_bytes, True)
        unserved = found is None
    elif order == "auto":
        forms = _forms((args, keywords))
        if forms not in ways and _has_columns(argnums, args):
            found = HESSIANS["edge-pushing"](f, argnums, args, keywords, chunk_bytes, False)
            if found is None:
                ways.keep(forms, "forward")
    if found is None:
        gradient = grad(f, argnums)
        problem = Problem(gradient, argnums, args, keywords, False, chunk_bytes, "hessian")
        if unserved:
            problem.note_sweeps("edge pushing needs plain real arrays, and no modes")
        found = execute("forward", problem)
    out_tree, in_tree, blocks = found
    return tree.unflatten(out_tree, [tree.unflatten(in_tree, row) for row in blocks])


_FEWEST_COLUMNS = 16
"""Elements below which another way than tangents is not worth asking for."""


_MOST_KEPT = 64


class _Ways(Sealed, dict[Hashable, str]):
    """Orders that serve best, by forms of arguments; a copy begins without.

    It saves recording the function only to see that. Another path may come with the same forms, for
    which the order is slower and right all the same.
    """

    def keep(self, forms: Hashable, order: str) -> None:
        """Remember an order, as long as they are not many."""
        if len(self) < _MOST_KEPT:
            self[forms] = order

    def __reduce__(self) -> tuple[Any, ...]:
        return _Ways, ()


def _forms(arguments: Any) -> Hashable:
    """Shapes and dtypes of all arguments, and integers, which may be sizes."""
    return tuple(
        [
            (x.shape, getattr(x, "dtype", None))
            if hasattr(x, "shape")
            else x
            if type(x) is int
            else type(x)
            for x in tree.leaves(arguments)
        ]
    )


def _has_columns(argnums: Argnums, args: tuple[Any, ...]) -> bool:
    positions = positions_of(argnums, len(args), "hessian")
    leaves = [leaf for p in positions for leaf in tree.leaves(args[p])]
    return sum([getattr(leaf, "size", 1) for leaf in leaves]) >= _FEWEST_COLUMNS


@overload
def hessian(
    f: np.ufunc,
    argnums: Argnums = ...,
    structure: str = ...,
    *,
    order: str = ...,
    chunk_bytes: int | None = ...,
    keep_zeros: bool = ...,
) -> Callable[..., Any]: ...


@overload
def hessian(
    f: Callable[P, Any],
    argnums: Argnums = ...,
    structure: str = ...,
    *,
    order: str = ...,
    chunk_bytes: int | None = ...,
    keep_zeros: bool = ...,
) -> Callable[P, Any]: ...


def hessian(
    f: Function,
    argnums: Argnums = 0,
    structure: str = "dense",
    *,
    order: str = "auto",
    chunk_bytes: int | None = None,
    keep_zeros: bool = True,
) -> Function:
    """Return a function that gives the Hessian of a scalar function.

    Parameters
    ----------
    f : callable that returns a real scalar
    argnums : int or tuple of int
    structure : "dense" or "sparse"
        "sparse": SciPy sparse arrays, as for `jacobian`.
    order : "auto", "forward" or "edge-pushing"
        "forward": tangents of all input elements (of groups of them, for sparse ones), pushed
        through the gradient together. "edge-pushing": second derivatives by pairs of values, from
        the result back over the recorded operations, each pair once (Gower and Mello, 2012).
        "auto" takes what is predicted to be faster. What forbids elimination in `jacobian` needs
        tangents here, in every order.
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
    ValueError
        `order` or `structure` is not one of the above.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    if order not in HESSIAN_ORDERS:
        names = ", ".join(map(repr, HESSIAN_ORDERS))
        raise ValueError(f"hessian: order={order!r} is not one of {names}")
    gradient = grad(f, argnums)
    _check_options(gradient, argnums, structure, chunk_bytes, "hessian")
    if structure == "sparse":
        sparse: Function = HESSIANS["sparse"](f, argnums, order, chunk_bytes, keep_zeros)
        return sparse
    return Transformed(_hessian, f, argnums, order, chunk_bytes, _Ways())
