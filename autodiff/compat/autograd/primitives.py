"""Calls of functions that a package declares as primitives, as operations with its rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import autodiff.numpy as anp
from autodiff import tree
from autodiff.core.arrays import ARRAY, PLAIN, SCALAR, as_value
from autodiff.core.dispatch import Box as EngineBox
from autodiff.core.dispatch import innermost
from autodiff.core.spec import spec_of
from autodiff.interpret.batch import Batch
from autodiff.transforms.call import Call, vjp_of
from autodiff.transforms.closure import Capture, Closed, is_differentiated

__all__ = ["PrimitiveCall", "SparseObject", "holds_boxes", "primitive_jvps", "primitive_vjps"]

Function = Callable[..., Any]
Values = Sequence[Any]

_ONE_LEAF = tree.flatten(0.0)[1]

primitive_vjps: dict[Any, Function] = {}
"""By primitive: ``(argnums, ans, args, kwargs)`` to a function of the cotangent."""

primitive_jvps: dict[Any, Function] = {}
"""By primitive: ``(argnums, tangents, ans, args, kwargs)`` to the tangent of the output."""


class SparseObject:
    """A cotangent that is zero but for some entries: `mut_add` adds those into an array.

    Parameters
    ----------
    vs : VSpace
        Of the whole.
    mut_add : function
        Takes a value of `vs`, adds the entries to it, and returns it.
    """

    __slots__ = ["mut_add", "vs"]

    def __init__(self, vs: Any, mut_add: Function) -> None:
        self.vs = vs
        self.mut_add = mut_add

    def dense(self) -> Any:
        """The same with its zeros."""
        return self.mut_add(self.vs.zeros())


class PrimitiveCall:
    """One call of a primitive on Tensors.

    Parameters
    ----------
    function : what the tables have rules for
    raw : what computes it
    args, kwargs : the arguments
    differentiable : bool
        Whether Tensors go through `raw` too: there is a reverse mode without a rule for it then.
    """

    def __init__(
        self,
        function: Function,
        raw: Function,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        differentiable: bool = False,
    ) -> None:
        self.function = function
        self.differentiable = differentiable
        self.raw = raw
        self.name = getattr(raw, "__name__", "primitive")
        self.holds = any(map(_may_hold, tree.leaves((args, kwargs))))
        self.closed = Closed(self.name, args, kwargs, boxed=False, held=self.holds)
        self.arguments = [tree.flatten(argument)[1] for argument in args]
        counts = [structure.num_leaves for structure in self.arguments]
        self.starts = [sum(counts[:i]) for i in range(len(counts) + 1)]
        for slot, box in zip(self.closed.slots, self.closed.boxes, strict=True):
            if slot >= self.starts[-1] and is_differentiated(box):
                raise TypeError(
                    f"{self.name}: a keyword argument is differentiated, for which a primitive "
                    "has no rule; pass it by position"
                )

    def evaluate(self) -> Any:
        """Output, with the rules attached."""
        closed = self.closed

        def run(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
            args, kwargs = tree.map_leaves(_own, (args, kwargs))
            out = tree.map_leaves(_as_array, self.raw(*args, **kwargs))
            computed.append(any(isinstance(leaf, EngineBox) for leaf in tree.leaves(out)))
            return (out,)

        computed: list[bool] = []  # from Tensors outside; what was taken out of them is constant
        result = closed.discover(run)
        if computed[0] and any(map(is_differentiated, closed.outside)):
            raise TypeError(
                f"{self.name}: the primitive uses a Tensor from outside that is being "
                "differentiated, for which it has no rule; pass it as an argument"
            )
        if not closed.inputs() or not result.arrays:
            return result.build(0, (), result.arrays)
        vjp, jvp = primitive_vjps.get(self.function), primitive_jvps.get(self.function)
        pull: Any = self._pull
        if vjp is None and jvp is not None:
            pull = self._pull_through if self.differentiable else None
        call = Call(
            self.name,
            closed,
            closed.paths(),
            pull_rule=pull,
            push_rule=self._push if jvp is not None or vjp is None else None,
            flops=closed.flops,
            loops=True,
            made_of=self.raw,
        )
        return closed.evaluate(call)

    def _arguments(self, xs: Values) -> tuple[tuple[Any, ...], dict[str, Any]]:
        leaves = list(self.closed.leaves)
        for slot, x in zip(self.closed.slots, xs, strict=False):
            leaves[slot] = x
        args, kwargs = tree.unflatten(self.closed.structure, leaves)
        return args, kwargs

    def _argnums(self, active: Sequence[bool]) -> list[int]:
        """Arguments that hold an input which is differentiated."""
        slots = [s for s, flag in zip(self.closed.slots, active, strict=False) if flag]
        bounds = zip(self.starts, self.starts[1:], strict=False)
        return [
            i for i, (start, stop) in enumerate(bounds) if any(start <= s < stop for s in slots)
        ]

    @contextmanager
    def _at(self, xs: Values) -> Iterator[Callable[[Any], Any]]:
        """Let the Tensors that objects among the arguments hold stand for the inputs' values.

        A package's rule may compute with the Tensors that its objects were made with: those of the
        transform that pulls back, over what the rule is given as arguments. So derivatives of the
        rule have to see the latter in them. Gives a function that takes what was computed so back.
        """
        if not self.holds:
            yield _same
            return
        capture = Capture(self.closed.standing(xs), _same)
        with capture.opened():
            yield capture.below

    def _pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> Sequence[Any]:
        """Cotangents of the inputs, by the package's rule."""
        _refuse_batch((*xs, *outs, *gs))
        argnums = self._argnums(active)
        maker = primitive_vjps.get(self.function)
        if maker is None:
            raise NotImplementedError(f"VJP of {self.name} wrt argnums {argnums} not defined")
        args, kwargs = self._arguments(xs)
        result = self.closed.result
        with self._at(xs) as below:
            pullback = maker(argnums, result.build(0, xs, outs), args, kwargs)
            returned = list(pullback(result.build(0, xs, list(map(_own, gs)))))
            returned = tree.map_leaves(below, list(map(_dense, returned)))
        by_slot: dict[int, Any] = {}
        for argnum, cotangent in zip(argnums, returned, strict=True):
            if cotangent is not None:
                by_slot.update(self._leaves_of(argnum, cotangent))
        return [
            _fitting(by_slot.get(slot), x, self.name) if flag else None
            for slot, x, flag in zip(
                [*self.closed.slots, *[-1] * len(self.closed.outside)], xs, active, strict=True
            )
        ]

    def _pull_through(
        self, active: Sequence[bool], xs: Values, outs: Values, gs: Values
    ) -> Sequence[Any]:
        """Cotangents of the inputs, by this engine's own rules."""
        found = iter(vjp_of(self.closed, tuple(active), *xs, *gs))
        return [next(found) if flag else None for flag in active]

    def _leaves_of(self, argnum: int, cotangent: Any) -> Iterable[tuple[int, Any]]:
        expected = self.arguments[argnum]
        if isinstance(cotangent, (list, tuple)) and expected == _ONE_LEAF:
            cotangent = anp.array(cotangent)
        leaves, structure = tree.flatten(cotangent)
        if len(leaves) != expected.num_leaves:
            try:
                leaves = _parts(cotangent, expected)
            except (TypeError, ValueError, IndexError) as error:
                raise TypeError(
                    f"{self.name}: the cotangent of argument {argnum} has structure "
                    f"{tree.shown(structure)}, wanted {tree.shown(expected)}"
                ) from error
        return zip(range(self.starts[argnum], self.starts[argnum + 1]), leaves, strict=True)

    def _push(self, xs: Values, ts: Values, outs: Values) -> Sequence[Any]:
        """Tangents of the outputs, by the package's rule."""
        _refuse_batch((*xs, *ts, *outs))
        active = [t is not None for t in ts]
        argnums = self._argnums(active)
        maker = primitive_jvps.get(self.function)
        if maker is None:
            raise NotImplementedError(f"JVP of {self.name} wrt argnums {argnums} not defined")
        args, kwargs = self._arguments(xs)
        moving = [x * 0.0 if t is None else t for x, t in zip(xs, ts, strict=True)]
        tangents, _ = self._arguments(moving)
        result = self.closed.result
        chosen = [tangents[i] for i in argnums]
        with self._at(xs) as below:
            tangent = maker(argnums, chosen, result.build(0, xs, outs), args, kwargs)
            tangent = tree.map_leaves(below, tangent)
        leaves = [None] * len(outs) if tangent is None else tree.leaves(tangent)
        return [
            out * 0.0 if leaf is None else _fitting(leaf, out, self.name)
            for leaf, out in zip(leaves, outs, strict=True)
        ]


_NUMBERS = (ARRAY, SCALAR, int, float, complex)
_HOLDS_NOTHING = (EngineBox, *_NUMBERS, np.dtype, str, bytes, type, type(None))


def holds_boxes(args: Iterable[Any]) -> bool:
    """Whether there are Tensors among arguments, in containers too."""
    for x in args:  # a primitive is called on plain arrays far more often than on Tensors
        if type(x) in PLAIN:
            continue
        if isinstance(x, EngineBox):
            return True
        if any(isinstance(leaf, EngineBox) for leaf in tree.leaves(x)):
            return True
    return False


def _may_hold(leaf: Any) -> bool:
    """Whether Tensors may be found through a leaf of the arguments: objects and functions."""
    return not isinstance(leaf, _HOLDS_NOTHING)


def _same(value: Any) -> Any:
    return value


def _dense(cotangent: Any) -> Any:
    return cotangent.dense() if isinstance(cotangent, SparseObject) else cotangent


def _refuse_batch(values: Values) -> None:
    """Have the rule called for one example after the other.

    A package's rule may take a value out of its box, which for a batch is that of all examples.
    """
    if isinstance(innermost(values), Batch):
        raise TypeError("rules of packages take one example")


def _own(value: Any) -> Any:
    """A copy that a function may write into."""
    return np.array(value) if isinstance(value, ARRAY) else value


def _as_array(value: Any) -> Any:
    """Python's numbers in an output depend on the inputs as its arrays do."""
    return as_value(value) if isinstance(value, (int, float, complex)) else value


def _fitting(g: Any, x: Any, name: str) -> Any:
    """A cotangent or tangent with the shape, and of the kind, of what it belongs to.

    Rules of packages may leave out the sum over broadcast axes, or give numbers for arrays, or flat
    arrays for others.
    """
    if g is None:
        return None
    spec = spec_of(x)
    if np.shape(g) != spec.shape:
        g = _shaped(g, spec.shape, name)
    dtype = spec_of(g).dtype if isinstance(g, EngineBox) else np.result_type(g)
    if dtype.kind == "c" and spec.dtype.kind != "c":
        g = np.real(g)
    elif isinstance(g, (int, float, complex)) or dtype != spec.dtype:
        g = g * np.ones((), spec.dtype)
    return g


def _shaped(g: Any, shape: tuple[int, ...], name: str) -> Any:
    own = np.shape(g)
    long, wanted = ([n for n in part if n != 1] for part in (own, shape))
    is_flat = min(len(long), len(wanted)) <= 1
    if np.size(g) == math.prod(shape) and (is_flat or long == wanted):
        return np.reshape(g, shape)
    try:
        joint = np.broadcast_shapes(own, shape)
    except ValueError:
        joint = ()
    if joint == shape:
        return np.broadcast_to(g, shape)
    if joint == own:
        return _summed(g, shape)
    raise ValueError(f"{name}: a rule gave an array of shape {own} for one of shape {shape}")


def _summed(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum over the axes along which an array of a shape was repeated."""
    extra = np.ndim(g) - len(shape)
    g = np.sum(g, axis=tuple(range(extra))) if extra else g
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and np.shape(g)[i] != 1)
    return np.sum(g, axis=axes, keepdims=True) if axes else g


def _parts(g: Any, structure: Any) -> list[Any]:
    """Cotangents of the leaves of a container, where an array stands for a list of its elements."""
    if structure == _ONE_LEAF:
        return [g]
    entries = list(g.values()) if isinstance(g, dict) else list(g)
    pairs = zip(entries, structure.children(), strict=True)
    return [leaf for entry, child in pairs for leaf in _parts(entry, child)]
