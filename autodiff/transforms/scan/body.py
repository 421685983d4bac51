"""The function of one step, as a closed function of flat values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.core.arrays import ARRAY, PLAIN, as_value, copied, has_memory, is_number
from autodiff.core.dispatch import Box
from autodiff.core.spec import Spec, is_inexact, spec_of
from autodiff.errors import TapeError
from autodiff.transforms.arguments import Function
from autodiff.transforms.closure import Capture, example, is_operand
from autodiff.views import origin

__all__ = ["Body"]

Values = Sequence[Any]


class Body:
    """``f(carry, x) -> (carry, y)`` as a function of flat carries, slices and outside Tensors.

    What the function is given is its own: arrays are copied, so that it may write into them, and
    from step to step values are handed on and no memory. Where it uses Tensors from outside, or
    is given boxes, all that can carry a derivative is boxed.

    Parameters
    ----------
    f : callable
    name : str
        For messages.
    carry, xs : structures of the two arguments
    specs : of the carry's leaves, which every step must return

    Attributes
    ----------
    outside : Tensors from outside that it uses, as far as they have been found.
    missed : one that it used without having been found; set where that made an evaluation wrong.
    y : structure and specs of what it returns beside the carry, known after an evaluation.
    flops : floating-point operations of the evaluation that found outside Tensors.
    """

    def __init__(
        self,
        f: Function,
        name: str,
        carry: tree.PyTreeSpec,
        xs: tree.PyTreeSpec,
        specs: Sequence[Spec],
    ) -> None:
        self.f = f
        self.name = name
        self.carry = carry
        self.xs = xs
        self.specs = tuple(specs)
        self.outside: list[Box] = []
        self.missed: Box | None = None
        self.y: tuple[tree.PyTreeSpec, list[Spec]] | None = None
        self.flops = 0

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Evaluate a step; it may use the outside Tensors that have been found, and no others."""
        with self.opened(values) as step:
            return step(*values)

    @contextmanager
    def opened(self, values: Values) -> Iterator[Callable[..., tuple[Any, ...]]]:
        """Give the step for evaluations one after another with the same outside values."""
        outside = values[self.carry.num_leaves + self.xs.num_leaves :]
        boxed = bool(self.outside) or any(isinstance(value, Box) for value in values)

        def unknown(box: Box) -> Any:
            self.missed = box
            raise TapeError(
                f"{self.name}: evaluated again, it uses a Tensor of shape {spec_of(box).shape} "
                "from outside that it did not use before; it must do the same each time"
            )

        capture = self._capture(outside, unknown)
        with capture.opened():
            yield functools.partial(self._evaluated, capture, boxed)

    def begin(self) -> None:
        """Forget what an earlier evaluation missed."""
        self.missed = None

    def discover(self, *values: Any) -> tuple[Any, ...]:
        """Evaluate a step on plain arrays, and find Tensors from outside that it uses."""

        def unknown(box: Box) -> Any:
            self.outside.append(box)
            return example(box)

        capture = self._capture(list(map(example, self.outside)), unknown)
        with capture.opened():
            outs = self._evaluated(capture, True, *values)
        self.flops = capture.flops
        return outs

    def _capture(self, outside: Values, unknown: Callable[[Box], Any]) -> Capture:
        substitutes = {
            id(origin(box)): value for box, value in zip(self.outside, outside, strict=True)
        }
        capture = Capture(substitutes, unknown)
        capture.transform = "scan"
        return capture

    def _evaluated(self, capture: Capture, boxed: bool, *values: Any) -> tuple[Any, ...]:
        carries = self.carry.num_leaves
        leaves: list[Any] = []
        for value in values[: carries + self.xs.num_leaves]:
            if boxed and (isinstance(value, Box) or is_inexact(spec_of(value).dtype)):
                leaves.append(capture.own(value))
            else:
                leaves.append(_own_copy(value))
        carry = _built(self.carry, leaves[:carries])
        x = _built(self.xs, leaves[carries:])
        return self._taken_apart(self.f(carry, x), capture.below)

    def _taken_apart(self, returned: Any, below: Callable[[Any], Any]) -> tuple[Any, ...]:
        if not isinstance(returned, tuple) or len(returned) != 2:
            what = (
                f"a tuple of {len(returned)}"
                if isinstance(returned, tuple)
                else f"a {type(returned).__name__}"
            )
            raise TypeError(
                f"{self.name}: the function must return a pair (carry, y), it returned {what}; "
                "return (carry, None) where there is nothing to collect"
            )
        carry, y = returned
        leaves, structure = _flattened(carry)
        if structure is not self.carry and structure != self.carry:
            raise TypeError(
                f"{self.name}: the carry comes out as {tree.shown(structure)}, but went in as "
                f"{tree.shown(self.carry)}; every step must return the structure that it is given"
            )
        outs = []
        for i, leaf in enumerate(leaves):
            value = below(leaf) if isinstance(leaf, Box) else leaf
            if not is_operand(value) or (value.shape, value.dtype) != self.specs[i]:
                value = self._fitting(value, i)
            outs.append(value)
        leaves, structure = _flattened(y)
        for i, leaf in enumerate(leaves):
            if isinstance(leaf, Box):
                outs.append(below(leaf))
            elif is_operand(leaf):
                outs.append(leaf)
            elif is_number(leaf):
                outs.append(as_value(leaf))
            else:
                raise TypeError(
                    f"{self.name}: {tree.LeafPath(structure, i, 'y')} is a {type(leaf).__name__}; "
                    "what is collected must be numbers, arrays or Tensors, or containers of them"
                )
        specs = [(out.shape, out.dtype) for out in outs[self.carry.num_leaves :]]
        if self.y is None:
            self.y = structure, [Spec(*spec) for spec in specs]
        elif specs != self.y[1] or structure != self.y[0]:
            raise self._changed(structure, [Spec(*spec) for spec in specs])
        return tuple(outs)

    def _fitting(self, value: Any, i: int) -> Any:
        """Leaf of the carry that a step returned, with the shape and dtype that it went in with."""
        wanted = self.specs[i]
        if is_number(value) and not is_operand(value):
            # Takes the dtype of what it meets, as everywhere in NumPy
            value = as_value(value)
            if value.dtype != wanted.dtype and np.can_cast(value.dtype, wanted.dtype, "same_kind"):
                value = as_value(value, wanted.dtype)
        elif not is_operand(value):
            path = tree.LeafPath(self.carry, i, "carry")
            raise TypeError(
                f"{self.name}: {path} comes out as a {type(value).__name__}; the carry must hold "
                "numbers, arrays or Tensors"
            )
        spec = spec_of(value)
        if spec == wanted:
            return value
        path = tree.LeafPath(self.carry, i, "carry")
        if spec.shape != wanted.shape:
            remedy = "every step must return the shapes that it is given"
        elif wanted.dtype.kind in "fc" and spec.dtype.kind == wanted.dtype.kind:
            remedy = (
                f"the dtype drifts from {wanted.dtype} to {spec.dtype}: convert it in the function "
                f"with .astype(np.{wanted.dtype}), or start with a carry of {spec.dtype}"
            )
        else:
            remedy = f"start with a carry of {spec.dtype}, or convert it in the function"
        raise TypeError(
            f"{self.name}: {path} comes out as {spec}, but went in as {wanted}; {remedy}"
        )

    def _changed(self, structure: tree.PyTreeSpec, specs: list[Spec]) -> TypeError:
        """Return the error of a step that collects something else than the ones before."""
        assert self.y is not None
        former, wanted = self.y
        if structure != former:
            return TypeError(
                f"{self.name}: y has the structure {tree.shown(structure)}, in the steps before "
                f"{tree.shown(former)}; every step must return the same"
            )
        i = next(i for i, (spec, own) in enumerate(zip(specs, wanted, strict=True)) if spec != own)
        return TypeError(
            f"{self.name}: {tree.LeafPath(structure, i, 'y')} is {specs[i]}, in the steps before "
            f"{wanted[i]}; every step must return the same shapes and dtypes"
        )


_LEAF, _NONE = tree.flatten(0.0)[1], tree.flatten(None)[1]


def _flattened(container: Any) -> tuple[list[Any], tree.PyTreeSpec]:
    """Leaves and structure; at once for what is no container."""
    if type(container) in PLAIN or isinstance(container, Box):
        return [container], _LEAF
    if container is None:
        return [], _NONE
    return tree.flatten(container)


def _own_copy(value: Any) -> Any:
    """Value that the user's step may write into."""
    if type(value) is ARRAY:
        return value.copy("K")
    return copied(value) if has_memory(value) else value


def _built(structure: tree.PyTreeSpec, leaves: list[Any]) -> Any:
    return leaves[0] if structure.type is None else tree.unflatten(structure, leaves)
