"""`check_grads`: every order and mode of derivative, each checked against the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.core.arrays import as_numpy, copied
from autodiff.core.dispatch import concrete
from autodiff.testing.checks import Check
from autodiff.testing.differences import Settings
from autodiff.testing.point import Point
from autodiff.transforms.arguments import differentiable_leaves

__all__ = ["check_grads"]


def check_grads(
    f: Callable[..., Any],
    args: Any,
    order: int = 2,
    modes: Sequence[str] = ("forward", "reverse"),
    *,
    rtol: float | None = None,
    atol: float | None = None,
    eps: float | None = None,
    seed: int = 0,
    holomorphic: bool = False,
) -> None:
    """Check the derivatives of `f` at a point against finite differences.

    Parameters
    ----------
    f : callable
        Takes plain arrays as well as Tensors, gives the same result each time, and returns arrays
        or containers of arrays of any shapes.
    args : tuple of containers
        Positional arguments, all of them differentiated. A single array or number counts as a
        tuple of one.
    order : int
        Highest order of derivative to check, at least 1.
    modes : "forward", "reverse" or both
        Checked at each order and, from order 2 on, over one another. With both, one VJP and one
        JVP are also compared by inner product.
    rtol, atol : float, optional
        Tolerances; by default `rtol` is 1e-6 for float64, 3e-3 for float32 and 6e-2 for float16
        (the coarsest dtype among inputs and outputs decides), and `atol` a hundredth of it. What
        rounding in `f` may do to a difference is allowed for on top.
    eps : float, optional
        First step of the differences, relative to entries larger than 1; by default the fourth
        root of the dtype's precision. Smaller steps are tried where it disagrees.
    seed : int
        Of the random cotangents, tangents and projections.
    holomorphic : bool
        Check too that `f` is complex-differentiable: that a step times i changes it by i times
        as much. All inputs must be complex.

    Raises
    ------
    AssertionError
        A derivative is wrong, NaN or infinite, `f` is not finite at the point or next to it, or
        has a kink there (but for one whose rule gives the mean of both sides, as ``abs`` at 0 does
        to first order). Says which mode and order, the path and index of the worst entry, what
        was expected there and what was got.
    TypeError
        An argument cannot carry a derivative (it holds integers, for example).
    ValueError
        `order` or `modes` is not valid.

    Notes
    -----
    For complex inputs the gradient of a real-valued f of z = x + iy is df/dx - i df/dy, and a
    cotangent g pairs with a tangent t as Re(sum(g t)). Inputs of up to 40 real numbers are checked
    entry by entry; of larger ones random projections of each leaf are, and where one is wrong its
    worst entry is found by bisection. Arrays of another library are read, and `f` is given arrays
    of that library again: differences are compared in NumPy's.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.check_grads(lambda w, x: np.tanh(x @ w), (np.ones((3, 2)), np.arange(3.0)))
    >>> ad.check_grads(lambda x: x * ad.stop_gradient(x), 2.0, order=1, modes=["reverse"])
    Traceback (most recent call last):
        ...
    AssertionError: check_grads: reverse mode, order 1: wrong derivative at args[0]
      expected -2.1638941 (central differences, step 0.00024414), got -1.081947
      got / expected = 0.5; 1 of the 1 comparisons made are wrong
    """
    if not isinstance(args, (tuple, list)):
        args = (args,)
    if order < 1:
        raise ValueError(f"check_grads: order must be at least 1, got {order!r}")
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    unknown = [mode for mode in modes if mode not in ("forward", "reverse")]
    if unknown or not modes:
        raise ValueError(f"check_grads: modes are 'forward' and 'reverse', got {modes!r}")
    values, structure = differentiable_leaves(tuple(args), "args", "check_grads")
    paths = tree.paths(structure, "args")
    kinds = [concrete(value) for value in values]
    leaves = [copied(as_numpy(kind)) for kind in kinds]
    if not leaves:
        raise TypeError("check_grads: args holds nothing to differentiate with respect to")
    if holomorphic and any(leaf.dtype.kind != "c" for leaf in leaves):
        raise TypeError("check_grads: holomorphic=True needs complex inputs throughout")
    settings = Settings(rtol, atol, eps, np.random.default_rng(seed))
    pending: list[tuple[Callable[..., Any], tuple[str, ...]]] = [(f, ())]
    # NaN and infinity are reported, with their place; NumPy's warnings would come first.
    with np.errstate(all="ignore"):
        while pending:
            function, taken = pending.pop(0)
            check = Check(Point(function, leaves, kinds, structure, paths, taken), settings)
            derived = check.run(modes, holomorphic and not taken)
            if len(taken) + 1 < order:
                pending += [(derived[mode], (mode, *taken)) for mode in modes]
