"""Functions of this engine as JAX's: one primitive of JAX for all of them.

Under `jax.jit` it calls back (`jax.pure_callback`); its derivative rules and its batched form are
the same primitive of derived programs. One primitive has a JVP and its transpose, where
`jax.custom_jvp` cannot be transposed through a callback, and `jax.custom_vjp` has no forward mode.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from jax.interpreters import ad as jax_ad
from jax.interpreters import batching, mlir

import autodiff as ad
from autodiff.core import arrays
from autodiff.interop.jax_library import to_array
from autodiff.interop.programs import Program, Root, Spec, is_inexact, spec_of

__all__ = ["call"]

PRIMITIVE = jax.extend.core.Primitive("autodiff")
PRIMITIVE.multiple_results = True


def bind(program: Program, *xs: Any) -> list[Any]:
    """Evaluate a program on arrays of JAX, or on what stands for them."""
    outs: list[Any] = PRIMITIVE.bind(*xs, program=program)
    return outs


def run(program: Program, *xs: Any) -> tuple[Any, ...]:
    """Evaluate on concrete arrays, as NumPy's."""
    outs = program(*[to_array(x, program.name) for x in xs])
    return tuple(_plain(out, program.name) for out in outs)


def _plain(out: Any, who: str) -> Any:
    try:
        array = np.array(arrays.as_numpy(out))
    except TypeError:
        raise TypeError(
            f"{who}: the result depends on a Tensor from outside, and JAX would lose that "
            "derivative; pass it as an argument, or use its numbers, tensor.data"
        ) from None
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)


def specs_of(program: Program, xs: Sequence[Any]) -> list[Spec]:
    """Shapes and dtypes of the outputs, in the dtypes that JAX has here."""
    with jax.ensure_compile_time_eval():  # the function may call JAX itself, to get numbers
        specs = program.out_specs([spec_of(x) for x in xs])
    return [Spec(spec.shape, jax.dtypes.canonicalize_dtype(spec.dtype)) for spec in specs]


def evaluate(*xs: Any, program: Program) -> list[Any]:
    """Outputs, outside of compiled code."""
    return [jnp.asarray(out) for out in run(program, *xs)]


def abstract(*xs: Any, program: Program) -> list[Any]:
    """What is known of the outputs before there are values."""
    return [jax.core.ShapedArray(*spec) for spec in specs_of(program, xs)]


def called_back(*xs: Any, program: Program) -> Any:
    """What compiled code does."""
    specs = specs_of(program, xs)
    wanted = [jax.ShapeDtypeStruct(*spec) for spec in specs]
    return jax.pure_callback(functools.partial(run_checked, program, specs), wanted, *xs)


def run_checked(program: Program, specs: Sequence[Spec], *xs: Any) -> list[Any]:
    """Evaluate for compiled code, which was made for results of certain shapes."""
    outs = run(program, *xs)
    found = [out.shape for out in outs]
    if found != [spec.shape for spec in specs]:
        raise ValueError(
            f"{program.name}: it returned shapes {found}, compiled for "
            f"{[spec.shape for spec in specs]}; shapes must not depend on values, and where those "
            "of made-up numbers are others, give them with out=..."
        )
    return [out.astype(spec.dtype, copy=False) for out, spec in zip(outs, specs, strict=True)]


def push(
    primals: Sequence[Any], tangents: Sequence[Any], *, program: Program
) -> tuple[list[Any], list[Any]]:
    """Outputs and their tangents."""
    outs = bind(program, *primals)
    active = tuple(type(t) is not jax_ad.Zero for t in tangents)
    chosen = tuple(map(is_inexact, outs))
    moving = [t for t in tangents if type(t) is not jax_ad.Zero]
    found = iter(bind(program.pushed(active, chosen), *primals, *moving) if any(chosen) else ())
    return outs, [
        next(found) if flag else jax_ad.Zero(jax.core.ShapedArray(out.shape, jax.dtypes.float0))
        for out, flag in zip(outs, chosen, strict=True)
    ]


def transpose(cotangents: Sequence[Any], *inputs: Any, program: Program) -> list[Any]:
    """Cotangents of the inputs that the program is linear in."""
    linear = [spec_of(x.aval) if jax_ad.is_undefined_primal(x) else None for x in inputs]
    given = tuple(type(g) is not jax_ad.Zero for g in cotangents)
    if not any(given):
        return [jax_ad.Zero(x.aval) if jax_ad.is_undefined_primal(x) else None for x in inputs]
    known = [x for x in inputs if not jax_ad.is_undefined_primal(x)]
    gs = [g for g, flag in zip(cotangents, given, strict=True) if flag]
    found = iter(bind(program.transposed(linear, given), *known, *gs))
    return [None if spec is None else next(found) for spec in linear]


def batch(
    inputs: Sequence[Any], dims: Sequence[Any], *, program: Program
) -> tuple[list[Any], list[int]]:
    """Outputs of a batch, examples first."""
    flags = tuple(dim is not None for dim in dims)
    rows = [
        x if dim is None else jnp.moveaxis(x, dim, 0) for x, dim in zip(inputs, dims, strict=True)
    ]
    size = next(len(x) for x, flag in zip(rows, flags, strict=True) if flag)
    outs = bind(program.batched(flags, size), *rows)
    return outs, [0] * len(outs)


PRIMITIVE.def_impl(evaluate)
PRIMITIVE.def_abstract_eval(abstract)
jax_ad.primitive_jvps[PRIMITIVE] = push
jax_ad.primitive_transposes[PRIMITIVE] = transpose
batching.primitive_batchers[PRIMITIVE] = batch
mlir.register_lowering(PRIMITIVE, mlir.lower_fun(called_back, multiple_results=True))


def call(f: Callable[..., Any], name: str, out: Any, /, *args: Any, **keywords: Any) -> Any:
    """Evaluate a function of this engine on arrays of JAX and constants."""
    leaves, structure = ad.tree.flatten((args, keywords))
    slots = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]
    xs = [leaves[i] for i in slots]
    for slot in slots:
        leaves[slot] = None
    known = None
    if out is not None:
        if callable(out):
            stand_ins = list(leaves)
            for slot, x in zip(slots, xs, strict=True):
                stand_ins[slot] = jax.ShapeDtypeStruct(x.shape, x.dtype)
            args_out, keywords_out = ad.tree.unflatten(structure, stand_ins)
            out = out(*args_out, **keywords_out)
        specs, out_structure = ad.tree.flatten(out)
        known = [spec_of(spec) for spec in specs], out_structure
    program = Root(f, name, leaves, structure, slots, conjugate=False, out=known)
    outs = bind(program, *xs)
    assert program.out is not None
    return ad.tree.unflatten(program.out[1], outs)
