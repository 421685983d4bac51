"""What users call: a function, made one of another library, or taken from it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

__all__ = ["from_jax", "from_torch", "jax_function", "torch_function"]

Function = Callable[..., Any]

_LIBRARIES = {"torch": "PyTorch", "jax": "JAX"}
"""Names of libraries by the package to install, which is also the module."""


class Bridge:
    """A function on the other side: called as the function is, also as a method of its class.

    Parameters
    ----------
    way : str
        The public function that made it, for messages.
    function : callable
    call : function of `function`, its name, the options, and what it is called with
    """

    def __init__(self, way: str, function: Function, call: Function, *options: Any) -> None:
        if not callable(function):
            raise TypeError(f"{way}: takes a function, got {type(function).__name__}")
        functools.update_wrapper(self, function, updated=())
        self.way = way
        self.function = function
        self.name: str = getattr(function, "__name__", None) or type(function).__name__
        self.call = call
        self.options = options

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Evaluate."""
        return self.call(self.function, self.name, *self.options, *args, **keywords)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<{self.way} of {self.name}>"


@contextmanager
def _needed(package: str, way: str) -> Iterator[None]:
    """Say which package to install, where it is that one which is missing."""
    try:
        yield
    except ImportError as error:
        if error.name != package:
            raise
        raise ImportError(
            f"{way} needs {_LIBRARIES[package]}, which is not installed: "
            f"python -m pip install {package}",
            name=package,
        ) from error


def torch_function(f: Function) -> Function:
    """Make a function of this engine a function of PyTorch.

    Parameters
    ----------
    f : callable on containers of arrays, written in NumPy
        Tensors among its arguments, in containers too, reach it as arrays that it cannot write
        to; everything else as it is, and is constant.

    Returns
    -------
    callable
        Takes tensors and returns tensors, on the device of its arguments. PyTorch differentiates
        it: ``backward``, ``torch.autograd.grad`` with ``create_graph``, forward mode, and
        ``torch.func``'s transforms, to any order.

    Raises
    ------
    ImportError
        PyTorch is not installed.
    TypeError
        `f` is no function; or, when the new function is called, NumPy has nothing like a tensor
        (bfloat16, sparse), or `f` returned something that is no array, or that depends on a
        Tensor from outside, whose derivative would be lost.

    Notes
    -----
    Numbers pass through main memory: a tensor on another device is copied there and results are
    copied back. Nothing shares memory. Outputs have the dtypes that `f` gives them.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import autodiff as ad
    >>> f = ad.interop.torch_function(lambda x: np.sum(x**3))
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> f(x).backward()
    >>> x.grad
    tensor([ 3., 12.])
    """
    with _needed("torch", "torch_function"):
        from autodiff.interop import into_torch
    return Bridge("torch_function", f, into_torch.call)


def jax_function(f: Function, out: Any = None) -> Function:
    """Make a function of this engine a function of JAX.

    Parameters
    ----------
    f : callable on containers of arrays, written in NumPy
        Arrays of JAX among its arguments, in containers too, reach it as NumPy's, which it cannot
        write to; everything else as it is, and is constant. It must do the same each time, and
        may be called as often as JAX likes.
    out : container of arrays or `jax.ShapeDtypeStruct`, or a function that returns one, optional
        Shapes and dtypes of what `f` returns, which `jax.jit` has to know before there are values;
        a function gets what `f` gets, with a `jax.ShapeDtypeStruct` for each array. Without it, `f`
        is run when JAX traces it, on numbers between 0.5 and 1.5 and on zeros of integers, and the
        shapes of those results count: give `out` where such numbers make it fail or take a way
        of other shapes. What `f` computes never comes from that run.

    Returns
    -------
    callable
        Takes arrays and returns arrays, in the dtypes that JAX has (float32, unless
        ``jax_enable_x64`` is set). Works under ``jit``, ``grad``, ``jvp``, ``vmap``, ``jacobian``,
        ``hessian`` and whatever else JAX makes of them, to any order.

    Raises
    ------
    ImportError
        JAX is not installed.
    TypeError
        `f` is no function; or, when the new function is called, NumPy has no such dtype
        (bfloat16), or `f` returned something that is no array, or that depends on a Tensor from
        outside, whose derivative would be lost.
    ValueError
        When compiled code runs: shapes of results are others than it was compiled for.

    Notes
    -----
    Compiled code calls back (`jax.pure_callback`), so `f` runs in Python, in main memory.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> import autodiff as ad
    >>> f = ad.interop.jax_function(lambda x: np.sum(x**3))
    >>> jax.jit(jax.grad(f))(jnp.array([1.0, 2.0]))
    Array([ 3., 12.], dtype=float32)
    """
    with _needed("jax", "jax_function"):
        from autodiff.interop import into_jax
    return Bridge("jax_function", f, into_jax.call, out)


def from_torch(g: Function, device: Any = None) -> Function:
    """Make a function of PyTorch a function of this engine.

    Parameters
    ----------
    g : callable on tensors, and containers of them
        A module's parameters are constants: to differentiate by them, pass them to a function
        that calls ``torch.func.functional_call``.
    device : torch.device or str, optional
        Where tensors are made; the CPU by default.

    Returns
    -------
    callable
        Takes arrays, numbers and Tensors, and returns arrays. Arrays, and floats that are passed
        by position, reach `g` as tensors; everything else as it is. Every transform works, to any
        order: derivatives come from ``torch.func``, ``ad.vmap`` uses ``torch.func.vmap`` where
        `g` allows it, and a tape has one operation of `g`'s name, whose cost is not known (0).

    Raises
    ------
    ImportError
        PyTorch is not installed.
    TypeError
        `g` is no function; or, when the new function is called, NumPy has nothing like a tensor
        that `g` returned.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import autodiff as ad
    >>> f = ad.interop.from_torch(lambda x: torch.sum(torch.special.i0(x)))
    >>> ad.grad(f)(np.array([0.0, 1.0])).round(4)
    array([0.    , 0.5652])
    """
    with _needed("torch", "from_torch"):
        from autodiff.interop import foreign, torch_library
    return Bridge("from_torch", g, foreign.call, torch_library.Torch(device))


def from_jax(g: Function) -> Function:
    """Make a function of JAX a function of this engine.

    Parameters
    ----------
    g : callable on arrays of JAX, and containers of them
        Compiled (``jax.jit``) or not.

    Returns
    -------
    callable
        Takes arrays, numbers and Tensors, and returns arrays. Arrays reach `g` as JAX's,
        everything else as it is. Every transform works, to any order: derivatives come from
        ``jax.vjp`` and ``jax.jvp``, ``ad.vmap`` uses ``jax.vmap``, and a tape has one operation of
        `g`'s name, whose cost is not known (0). JAX computes in float32 unless ``jax_enable_x64``
        is set, whatever goes in.

    Raises
    ------
    ImportError
        JAX is not installed.
    TypeError
        `g` is no function; or, when the new function is called, NumPy has nothing like an array
        that `g` returned.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> import autodiff as ad
    >>> f = ad.interop.from_jax(lambda x: jnp.sum(x**3))
    >>> ad.grad(f)(np.array([1.0, 2.0], np.float32))
    array([ 3., 12.], dtype=float32)
    """
    with _needed("jax", "from_jax"):
        from autodiff.interop import foreign, jax_library
    return Bridge("from_jax", g, foreign.call, jax_library.Jax())
