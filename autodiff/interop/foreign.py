"""Functions of another library as this engine's.

A call is one operation, a function with derivative rules of its own. The rules are functions of the
other library as well, made by its transforms, and become operations of this engine in the same way,
so derivatives of any order are there, each made when it is asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import autodiff as ad
from autodiff.core import arrays, memory

__all__ = ["Library", "call"]

Values = Sequence[Any]
Flags = tuple[bool, ...]
Flat = Callable[..., tuple[Any, ...]]
"""A function of the library's arrays that returns a tuple of them."""
Split = Callable[..., tuple[tuple[Any, ...], tuple[Any, ...]]]
"""One that returns what carries derivatives apart from the rest."""


class Library(Protocol):
    """Arrays and transforms of a library; see `torch_library` and `jax_library`."""

    conjugates: bool

    def is_tensor(self, value: Any) -> bool:
        """Whether a value is one of the library's arrays."""

    def takes(self, value: Any, positional: bool) -> bool:
        """Whether a value that is no array becomes one."""

    def tensor(self, value: Any, who: str) -> Any:
        """The library's array with an array's numbers."""

    def made(self, value: Any) -> Any:
        """The library's array of a number that its function returned."""

    def array(self, tensor: Any, who: str) -> Any:
        """Array with the numbers of the library's."""

    def is_inexact(self, tensor: Any) -> bool:
        """Whether an array of the library can carry a derivative."""

    def conj(self, tensor: Any) -> Any:
        """Conjugate of the library's array."""

    def vjp(self, f: Split, xs: Values) -> tuple[Values, Callable[..., Any], Values]:
        """Outputs that carry derivatives, the pullback, the other outputs."""

    def jvp(self, f: Split, xs: Values, ts: Values) -> tuple[Values, Values, Values]:
        """Outputs that carry derivatives, their tangents, the other outputs."""

    def vmap(self, f: Flat, axes: Sequence[int | None]) -> Flat:
        """Batched function."""


def call(g: Callable[..., Any], name: str, library: Library, /, *args: Any, **keywords: Any) -> Any:
    """Evaluate a function of the library on arrays, numbers and Tensors."""
    leaves, structure = ad.tree.flatten((args, keywords))
    positional = ad.tree.flatten(args)[1].num_leaves
    slots = [i for i, leaf in enumerate(leaves) if isinstance(leaf, ad.Tensor)]
    variables = [leaves[i] for i in slots]
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, ad.Tensor):
            leaves[i] = None
        elif arrays.is_array(leaf) or library.takes(leaf, i < positional):
            leaves[i] = _Constant(library, leaf, name)
    seen: list[Any] = []
    flat = functools.partial(called, g, library, leaves, structure, slots, seen)
    if variables:
        outs = as_function(library, flat, name)(*variables)
    else:
        outs = evaluated(flat, library, name)
    out_structure, template = seen[-1]
    following = iter(outs)
    return ad.tree.unflatten(
        out_structure, [next(following) if leaf is None else leaf.value for leaf in template]
    )


class _Constant:
    """An argument that no derivative is taken by. Each evaluation gets a copy: it may write."""

    def __init__(self, library: Library, value: Any, who: str) -> None:
        self.library = library
        self.value = memory.protected(arrays.as_value(value))
        self.who = who

    def tensor(self) -> Any:
        """The library's array of it."""
        return self.library.tensor(self.value, self.who)


class _Other:
    """A leaf that the library's function returned and that is no array."""

    def __init__(self, value: Any) -> None:
        self.value = value


# --- functions of the library's arrays ------------------------------------------------------------


def called(
    g: Callable[..., Any],
    library: Library,
    leaves: Values,
    structure: ad.tree.PyTreeSpec,
    slots: Sequence[int],
    seen: list[Any],
    *tensors: Any,
) -> tuple[Any, ...]:
    """Arrays that `g` returns, flat; the rest of what it returns is left in `seen`."""
    values = [leaf.tensor() if isinstance(leaf, _Constant) else leaf for leaf in leaves]
    for slot, tensor in zip(slots, tensors, strict=True):
        values[slot] = tensor
    args, keywords = ad.tree.unflatten(structure, values)
    found, out_structure = ad.tree.flatten(g(*args, **keywords))
    outs: list[Any] = []
    template: list[_Other | None] = []
    for leaf in found:
        is_tensor = library.is_tensor(leaf)
        if is_tensor or arrays.is_number(leaf) or arrays.is_array(leaf):
            outs.append(leaf if is_tensor else library.made(leaf))
            template.append(None)
        else:
            template.append(_Other(leaf))
    seen[:] = [(out_structure, template)]
    return tuple(outs)


def pulled(
    base: Flat, library: Library, active: Flags, given: Flags, *values: Any
) -> tuple[Any, ...]:
    """Cotangents of the active inputs, from inputs and cotangents of the outputs that are given."""
    xs, gs = values[: len(active)], values[len(active) :]
    wanted: list[bool] = list(given)
    _, pull, _ = library.vjp(split(base, library, xs, active, wanted), _chosen(xs, active))
    return conjugated(library, pull(conjugated(library, gs)))


def pushed(
    base: Flat, library: Library, active: Flags, inexact: list[bool], *values: Any
) -> tuple[Any, ...]:
    """Outputs, then tangents of those that carry derivatives; which these are is left in a list."""
    xs, ts = values[: len(active)], values[len(active) :]
    f = split(base, library, xs, active, inexact)
    moving, tangents, others = library.jvp(f, _chosen(xs, active), ts)
    return (*_joined(inexact, moving, others), *tangents)


def conjugated(library: Library, values: Values) -> tuple[Any, ...]:
    """Cotangents by the other convention, if it is another."""
    return tuple(map(library.conj, values)) if library.conjugates else tuple(values)


def split(base: Flat, library: Library, xs: Values, active: Flags, inexact: list[bool]) -> Split:
    """Return the function of the active inputs alone, which sorts its outputs into two kinds.

    `inexact` says which are which; where it is empty, their dtypes do, and it is filled.
    """

    def of_active(*variables: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        following = iter(variables)
        outs = base(*[next(following) if flag else x for x, flag in zip(xs, active, strict=True)])
        inexact[:] = inexact or map(library.is_inexact, outs)
        others = [not flag for flag in inexact]
        return tuple(_chosen(outs, inexact)), tuple(_chosen(outs, others))

    return of_active


def _joined(inexact: Sequence[bool], moving: Values, others: Values) -> tuple[Any, ...]:
    """Outputs of two kinds in their order."""
    first, second = iter(moving), iter(others)
    return tuple(next(first) if flag else next(second) for flag in inexact)


def _chosen(values: Values, flags: Sequence[bool]) -> list[Any]:
    return [value for value, flag in zip(values, flags, strict=True) if flag]


# --- as functions of this engine ------------------------------------------------------------------


def as_function(library: Library, flat: Flat, name: str) -> Callable[..., tuple[Any, ...]]:
    """Return the function of this engine that evaluates a flat one of the library."""
    evaluate = functools.partial(evaluated, flat, library, name)
    evaluate.__name__ = name  # type: ignore[attr-defined] # it has a dict
    function = ad.custom_vjp(
        evaluate,
        functools.partial(kept, flat, library, name),
        functools.partial(pull_rule, flat, library, name),
    )
    return function.def_jvp(functools.partial(push_rule, flat, library, name))


def evaluated(flat: Flat, library: Library, name: str, *xs: Any) -> tuple[Any, ...]:
    """Evaluate on arrays; on Tensors, which are a batch, by the library's own batching."""
    if not any(isinstance(x, ad.Tensor) for x in xs):
        outs = flat(*[library.tensor(x, name) for x in xs])
        return tuple(library.array(out, name) for out in outs)
    inputs = tuple(f"x{i}" for i in range(len(xs)))
    operation = ad.Primitive(
        functools.partial(evaluated, flat, library, name),
        "general",
        {},
        name=name,
        inputs=inputs,
        constant=inputs,
        batch=functools.partial(batched, flat, library, name),
    )
    outs = operation(*xs)
    return outs if isinstance(outs, tuple) else (outs,)


def batched(
    flat: Flat, library: Library, name: str, flags: Sequence[bool], inputs: Values, params: Any
) -> tuple[Any, ...]:
    """Evaluate on a batch; where the library cannot, examples are evaluated one by one."""
    whole = library.vmap(flat, [0 if flag else None for flag in flags])
    outs = whole(*[library.tensor(x, name) for x in inputs])
    return tuple(library.array(out, name) for out in outs)


class Kept:
    """What an evaluation leaves for its sweep besides its inputs."""

    def __init__(self, inexact: Flags, xs: Values, pull: Callable[..., Any] | None) -> None:
        self.inexact = inexact
        self.xs = xs
        self.pull = pull

    def serves(self, xs: Values, gs: Values) -> bool:
        """Whether the pullback is of these inputs: what they hold decides.

        Other values come where a tape is evaluated anew, and Tensors where a derivative of the
        derivative is taken.
        """
        return (
            self.pull is not None
            and not any(isinstance(value, ad.Tensor) for value in (*xs, *gs))
            and all(
                memory.same_content(arrays.as_array(one), arrays.as_array(other))
                for one, other in zip(self.xs, xs, strict=True)
            )
        )


def kept(flat: Flat, library: Library, name: str, *xs: Any) -> tuple[Any, Any]:
    """Outputs, and what the reverse rule needs."""
    active = tuple(map(_is_inexact, xs))
    if not any(active) or any(isinstance(x, ad.Tensor) for x in xs):
        outs = evaluated(flat, library, name, *xs)
        return outs, (xs, Kept(tuple(map(_is_inexact, outs)), (), None))
    tensors = [library.tensor(x, name) for x in xs]
    inexact: list[bool] = []
    f = split(flat, library, tensors, active, inexact)
    moving, pull, others = library.vjp(f, _chosen(tensors, active))
    outs = tuple(library.array(out, name) for out in _joined(inexact, moving, others))
    return outs, (xs, Kept(tuple(inexact), xs, pull))


def pull_rule(flat: Flat, library: Library, name: str, residuals: Any, g: Any) -> tuple[Any, ...]:
    """Cotangent of each input."""
    xs, held = residuals
    active, given = tuple(map(_is_inexact, xs)), held.inexact
    gs = _chosen(g, given)
    if held.serves(xs, gs):
        tensors = tuple(library.tensor(g, name) for g in gs)
        results = held.pull(conjugated(library, tensors))
        found = [library.array(part, name) for part in conjugated(library, results)]
    else:
        derived = functools.partial(pulled, flat, library, active, given)
        found = list(as_function(library, derived, f"{name}.vjp")(*xs, *gs))
    following = iter(found)
    return tuple(next(following) if flag else None for flag in active)


def push_rule(
    flat: Flat, library: Library, name: str, primals: Values, tangents: Values
) -> tuple[Any, Any]:
    """Outputs and their tangents."""
    active = tuple(t is not None for t in tangents)
    inexact: list[bool] = []
    derived = functools.partial(pushed, flat, library, active, inexact)
    found = as_function(library, derived, f"{name}.jvp")(*primals, *_chosen(tangents, active))
    outs, moving = found[: len(inexact)], found[len(inexact) :]
    return outs, _joined(inexact, moving, _chosen(outs, [not flag for flag in inexact]))


def _is_inexact(value: Any) -> bool:
    return value.dtype.kind in "fc"
