"""The backward sweep: cotangents pulled from the outputs of a graph to its leaves.

The sweep keeps the nodes that have a cotangent in a heap, the latest first, and never recurses.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush, heappushpop
from typing import Any

import numpy as np

from autodiff.chunked import MET, REFUSALS, is_chunked, pulled
from autodiff.core.arrays import ARRAY, as_array, copied, is_array, is_number
from autodiff.core.dispatch import Box, Interpreter, observer
from autodiff.core.faults import explained
from autodiff.core.memory import LARGE, only_holder, owned
from autodiff.core.modes import modes
from autodiff.core.parts import Doubled, Erased, Scattered
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback
from autodiff.core.spec import spec_of
from autodiff.errors import RuleError, TapeReleasedError
from autodiff.interpret.call_sites import check_finite
from autodiff.interpret.cotangents import Parts, Slot, conform, keep_zero
from autodiff.interpret.graph import Hooks, Node, run_hooks
from autodiff.interpret.roots import past_root
from autodiff.views import handed_out

__all__ = ["SWEEP", "backward", "sweep"]

_array = ARRAY
_PARTS = frozenset({Doubled, Erased, Scattered, Slot})


def sweep(
    seeds: Iterable[tuple[Node, Any]], *, keep_tape: bool = False, keep_grads: bool = False
) -> dict[Node, Any]:
    """Pull cotangents back from the seeded nodes to the leaves.

    Parameters
    ----------
    seeds : pairs of a node and its cotangent (of the node's shape and dtype)
    keep_tape : keep saved values, so that another sweep can follow.
    keep_grads : add each intermediate's cotangent to its ``grad``.

    Returns
    -------
    dict
        Cotangent by leaf, for the leaves that were reached.

    Raises
    ------
    TapeReleasedError
        An earlier sweep released what this one needs.
    RuleError
        A rule returned something that is not a cotangent of its input.
    """
    told = observer()
    if told is None:
        return _sweep(seeds, keep_tape, keep_grads)
    with told.sweeping():
        leaves = _sweep(seeds, keep_tape, keep_grads, told)
        for leaf, cotangent in leaves.items():
            told.received(leaf, cotangent)
    return leaves


def backward(
    interpreter: Interpreter, box: Box, gradient: Any, keep_tape: bool, keep_grads: bool
) -> None:
    """Sweep from a box and add to the ``grad`` of the leaves: `Reverse.backward`."""
    node = box._payload
    if node is None:
        raise ValueError(
            "backward() on a constant Tensor: it depends on no variable (it comes from "
            "detach(), stop_gradient, or was computed under no_grad)"
        )
    given = {id(gradient)}
    reached = sweep([(node, gradient)], keep_tape=keep_tape, keep_grads=keep_grads)
    for leaf, cotangent in reached.items():
        _accumulate_grad(leaf, owned(cotangent, given))


def _sweep(
    seeds: Iterable[tuple[Node, Any]], keep_tape: bool, keep_grads: bool, told: Any = None
) -> dict[Node, Any]:
    received: dict[Node, Any] = {}
    heap: list[tuple[int, Node]] = []
    careful = modes.open and (modes.strong_zero or modes.debug)
    hooked = Hooks.exist
    observed = hooked or keep_grads or told is not None
    in_parts = reusing = shown = False
    for node, g in seeds:
        _deliver(node, g, received, heap)
        if MET.any:
            careful = careful or is_chunked(g)
    # The last node that got its first cotangent waits outside the heap: in a chain it is the next
    # one to go, and the heap stays empty.
    ready: Node | None = None
    cotangents: Any
    cotangent: Any
    former: Any
    while True:
        if ready is None:
            if not heap:
                break
            node = heappop(heap)[1]
        elif heap:
            node = heappushpop(heap, (-ready.sequence, ready))[1]
        else:
            node = ready
        ready = None
        g = received.pop(node)
        pullback: Any = node.pullback
        pull = pullback.swept
        if in_parts and type(g) is Parts:
            cotangents = cotangent = former = None  # what they refer to may be erased in place
            if g.doubled is not None:
                g, pull = past_root(node, g, observed or careful)
            else:
                g = g.total(getattr(node, "outputs", None))
        saved = node.saved
        if saved is None:
            raise _released(node)
        if observed:
            if hooked and getattr(node, "hooks", None):
                g = run_hooks(node, g)
                shown = True
            if keep_grads and type(g) is not tuple:
                _accumulate_grad(node, g if isinstance(g, Box) else copied(g))
            if told is not None:
                told.pulling(node, g)
        if reusing:
            # What is left of the last round must neither hold memory nor count as a reference.
            cotangents = cotangent = former = None
            if (
                type(g) is _array
                and pullback.pull_over is not None
                and pull is pullback.swept
                and g.nbytes >= LARGE
                and only_holder(g, 1)
            ):
                pull = pullback.pull_over
        cotangents = _pulled(pullback, g, saved, pull) if careful else pull(g, saved)
        if not keep_tape:
            node.saved = None
        position = -1  # counted by hand: zip and enumerate cost more than the loop
        for parent in node.parents:
            position += 1
            cotangent = cotangents[position]
            if cotangent is None:
                continue
            if careful:
                cotangent = _inspected(cotangent, g, node, position)
            kind: Any = type(cotangent)
            form = parent.form
            if (
                kind is not form
                and not (form is node.form and pullback.trusted)
                and not (kind is _array and (cotangent.shape, cotangent.dtype) == form)
            ):
                if kind in _PARTS:
                    in_parts = True
                    _deliver(parent, cotangent, received, heap)
                    continue
                cotangent = _mend(cotangent, node, position)
                kind = None  # no longer what the rule returned: not looked at for reuse
            former = received.get(parent)
            if former is None:
                received[parent] = cotangent
                if kind is _array and not reusing and cotangent.nbytes >= LARGE:
                    reusing = not careful and told is None
                if parent.pullback is not None:
                    if ready is not None:
                        heappush(heap, (-ready.sequence, ready))
                    ready = parent
            elif reusing:
                # See `reuse`: `former` is the one holder now, `cotangent` and `cotangents` are two.
                received[parent] = None
                arrays = kind is _array and type(former) is _array
                if arrays and only_holder(former, 1):
                    received[parent] = np.add(former, cotangent, out=former)
                elif arrays and only_holder(cotangent, 2):
                    received[parent] = np.add(former, cotangent, out=cotangent)
                else:
                    received[parent] = former + cotangent
            else:
                received[parent] = former + cotangent
    # Leaves are never pushed, so they are what is left.
    for leaf, g in received.items():
        if type(g) is Parts:
            g = g.total(None)
        if hooked and getattr(leaf, "hooks", None):
            g = run_hooks(leaf, g)
            shown = True
        received[leaf] = g
    if shown:
        # Hooks may keep what they were given, and what they returned is theirs.
        for leaf, g in received.items():
            received[leaf] = copied(g) if isinstance(g, _array) else g
    return received


SWEEP = _sweep.__code__
"""The code whose frames hold the rules that a sweep applies."""


def _pulled(pullback: Any, g: Any, saved: tuple[Any, ...], pull: Any) -> Any:
    """Cotangents under a mode: where strong zeros stand in, NumPy need not warn of 0/0."""
    gs = g if type(g) is tuple else (g,)
    if is_chunked(gs[0]) and type(getattr(pullback, "primitive", None)) is Primitive:
        if any(isinstance(value, Box) for value in saved):
            return pull(g, saved)  # an outer transform evaluates what the rule says
        try:
            return pulled(pull, g, saved)
        except TypeError as error:
            if not str(error).startswith(REFUSALS):
                raise
            raise explained(error, ", ".join(pullback.rule_names), gs) from error
    quiet: Any = "ignore" if modes.strong_zero else None
    with np.errstate(divide=quiet, invalid=quiet):
        return pull(g, saved)


def _deliver(node: Node, g: Any, received: dict[Node, Any], heap: list[tuple[int, Node]]) -> None:
    """Add one cotangent, whole or in parts, to what a node has received."""
    in_parts = type(g) in _PARTS
    former = received.get(node)
    if former is None and node.pullback is not None:
        heappush(heap, (-node.sequence, node))
    if in_parts:
        if type(former) is not Parts:
            received[node] = Parts(former)
        received[node].add(g)
    else:
        received[node] = g if former is None else former + g


def _inspected(cotangent: Any, g: Any, node: Node, position: int) -> Any:
    """Apply ``strong_zero()`` and ``debug()`` to what a rule returned."""
    if type(cotangent) in _PARTS:
        return cotangent
    pullback = node.pullback
    if modes.strong_zero and isinstance(pullback, Pullback) and pullback.primitive.has_partials:
        cotangent = keep_zero(g, cotangent)
    if modes.debug:
        assert pullback is not None
        rule = pullback.rule_names[position]
        check_finite(cotangent, f"rule {rule}", getattr(node, "source", None))
    return cotangent


def _mend(cotangent: Any, node: Node, position: int) -> Any:
    """Sum out broadcasting and cast; refuse what cannot be a cotangent of the input."""
    pullback = node.pullback
    assert pullback is not None
    rule = pullback.rule_names[position]
    parent: Node = node.parents[position]
    if isinstance(cotangent, Box) and (cotangent.shape, cotangent.dtype) == parent.form:
        return cotangent
    spec = parent.spec
    if not isinstance(cotangent, Box) and not is_array(cotangent):
        if not is_number(cotangent):
            raise RuleError(
                f"{rule} returned {type(cotangent).__name__}; it must return an array or Tensor"
            )
        cotangent = as_array(cotangent)
    got = spec_of(cotangent)
    if got.dtype.kind not in "fciub":
        raise RuleError(f"{rule} returned an array of dtype {got.dtype}")
    broadcasts = isinstance(pullback, Pullback) and pullback.primitive.has_partials
    if got.shape != spec.shape and not broadcasts:
        raise RuleError(
            f"{rule} returned a cotangent of shape {got.shape} for an input of shape {spec.shape}"
        )
    try:
        return conform(cotangent, spec.shape, spec.dtype)
    except ValueError as error:
        raise RuleError(
            f"{rule} returned a partial that does not broadcast to the output: "
            f"cotangent of shape {got.shape} for an input of shape {spec.shape}"
        ) from error


def _released(node: Node) -> TapeReleasedError:
    name = node.pullback.primitive.name if isinstance(node.pullback, Pullback) else "output"
    return TapeReleasedError(
        f"backward: the values saved for {name} were released by an earlier backward sweep; pass "
        "keep_tape=True to the earlier one, or run the forward computation again"
    )


def _accumulate_grad(node: Node, cotangent: Any) -> None:
    """Add to ``.grad``, an array also where the cotangent is a NumPy scalar."""
    former = getattr(node, "grad", None)
    if former is not None:
        cotangent = former + cotangent
    node.grad = handed_out(cotangent) if isinstance(cotangent, Box) else as_array(cotangent)
