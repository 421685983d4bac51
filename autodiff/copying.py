"""Copies and pickles of Tensors: what has no history goes anywhere, what has one stays."""

from __future__ import annotations

from typing import Any

from autodiff.core.dispatch import Box, thread_state
from autodiff.interpret.graph import Leaf

__all__ = ["MAKERS", "deep_copy", "reduced", "restored"]

MAKERS: list[Any] = []
"""The class of Tensors, which puts itself here. Pickles do not name it: its module may be called
by another library's name, see `compat.install`."""


def deep_copy(tensor: Any) -> Any:
    """Copy of a variable, which is a new variable, of a constant, or of a transform's value.

    Raises
    ------
    TypeError
        The Tensor was computed outside all transforms.
    """
    if isinstance(tensor._payload, Leaf):
        # What a transform is about stays differentiable; a variable's copy is one of its own
        interpreter = tensor._interpreter
        own = not interpreter.level or any(
            scope.imperative is interpreter for scope in thread_state.open_transforms
        )
        return type(tensor)(tensor._value if own else tensor, name=tensor.name)
    if tensor._payload is None or any(
        tensor._interpreter in (scope.interpreter, scope.imperative)
        for scope in thread_state.open_transforms
    ):
        return tensor.copy()
    raise _refused("deepcopy")


def reduced(tensor: Any) -> tuple[Any, ...]:
    """What a pickle keeps of a variable or a constant: its numbers and its name.

    Raises
    ------
    TypeError
        The Tensor was computed, or belongs to a transform.
    """
    payload = tensor._payload
    outermost = tensor._interpreter.level == 0 and not isinstance(tensor._value, Box)
    if not outermost or not (payload is None or isinstance(payload, Leaf)):
        raise _refused("pickle")
    return restored, (tensor.data, tensor.name, payload is not None)


def restored(value: Any, name: str | None, is_variable: bool) -> Any:
    """Tensor of what `reduced` kept."""
    (make,) = MAKERS
    variable = make(value, name=name)
    return variable if is_variable else variable.detach()


def _refused(how: str) -> TypeError:
    return TypeError(
        f"{how}: this Tensor was computed or belongs to a transform, and what it depends on does "
        "not come along; use tensor.detach() for a constant, tensor.data for the numbers, or the "
        "variables and the function that computes it"
    )
