"""Second derivatives of one operation, times the cotangents of its results.

They are the derivatives of what the rules give. Of an elementwise operation each cotangent is a
function of the elements in its place, so one tangent of ones by each input gives them all. Of any
other operation the rules are recorded, and what they do is eliminated like any recorded function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, ones
from autodiff.core.spec import Spec, axes_to_sum, is_inexact, spec_of
from autodiff.interpret.boxed import run
from autodiff.interpret.cotangents import conform, materialised
from autodiff.interpret.forward import Forward
from autodiff.interpret.reverse import recorder
from autodiff.ordering.graph.planning import eliminate
from autodiff.ordering.graph.tapegraph import of_nodes
from autodiff.ordering.hessian.evaluated import Step
from autodiff.ordering.local import broadcast_map
from autodiff.ordering.maps import Diagonal, Identity, IndexMap, LinearMap
from autodiff.tensor import Tensor

__all__ = ["Curvature", "curvature"]

Curvature = dict[tuple[int, int], LinearMap]
"""By positions (a, b) with a <= b: the map from input b to cotangents of input a."""


def curvature(step: Step, cotangents: Sequence[Any]) -> Curvature | None:
    """Second derivatives of an operation, along the cotangents of its results.

    None where a rule computes with what elimination does not go through.
    """
    if not any(g.size for g in cotangents):
        return {}
    if step.primitive.kind == "elementwise" and not isinstance(step.out, tuple):
        return _of_elements(step, cotangents[0])
    return _recorded(step, cotangents)


def _of_elements(step: Step, g: Any) -> Curvature:
    pullback = step.pullback
    plain = pullback.save(step.out, step.params, *step.operands)
    out = spec_of(step.out)
    positions = [position for position, _ in step.sources]
    partials: Any = None
    if "out" in pullback.names:
        partials = pullback.pull(ones(out.shape, out.dtype), plain)
    found: Curvature = {}
    for b in positions:
        interpreter = Forward(Tensor)
        spec = spec_of(step.operands[b])
        inputs = list(step.operands)
        inputs[b] = interpreter.make(inputs[b], ones(spec.shape, spec.dtype))
        result = step.out
        if partials is not None:
            slope = conform(np.broadcast_to(partials[b], out.shape), out.shape, out.dtype)
            result = interpreter.make(result, slope)

        def pulled(*_: Any, inputs: Any = inputs, result: Any = result) -> list[Any]:
            saved = pullback.save(result, step.params, *inputs)
            cotangents = pullback.pull(g, saved)
            return [cotangents[a] for a in positions if a <= b]  # noqa: B023 (called at once)

        tangents = [tangent for _, tangent in run(interpreter, pulled, ())]
        for a, tangent in zip(positions, tangents, strict=False):
            if tangent is not None:
                found[a, b] = _between(tangent, spec_of(step.operands[a]), spec, out)
    return found


def _between(values: Any, a: Spec, b: Spec, out: Spec) -> LinearMap:
    """Map from input b to input a, by what each result contributes; both may be broadcast."""
    values = np.broadcast_to(as_array(values), out.shape)
    if a.shape == b.shape:
        summed = axes_to_sum(out.shape, a.shape)
        if summed:
            values = values.sum(axis=summed)
        return Diagonal(values.reshape(-1), b.shape, a.shape, b.dtype)
    if a.size == out.size:
        return broadcast_map(b, Spec(a.shape, out.dtype), values.reshape(a.shape))
    if b.size == out.size:
        return broadcast_map(a, Spec(b.shape, out.dtype), values.reshape(b.shape)).transpose()
    return _spread(a, out).transpose().compose(broadcast_map(b, out, values))


def _spread(spec: Spec, out: Spec) -> LinearMap:
    if spec.size == out.size:
        return Identity(spec.shape, out.shape, spec.dtype)
    return IndexMap(
        lambda: np.broadcast_to(np.arange(spec.size).reshape(spec.shape), out.shape),
        spec.shape,
        out.shape,
        dtype=spec.dtype,
    )


def _recorded(step: Step, cotangents: Sequence[Any]) -> Curvature | None:
    pullback = step.pullback
    positions = [position for position, _ in step.sources]
    reverse = recorder(Tensor)
    inputs = list(step.operands)
    for position in positions:
        inputs[position] = reverse.variable(inputs[position])
    leaves = [inputs[position]._payload for position in positions]

    def pulled(*_: Any) -> list[Any]:
        out = step.out
        if "out" in pullback.names:
            out = step.primitive.call(*inputs, **step.params)
        saved = pullback.save(out, step.params, *inputs)
        found = pullback.pull(step.seed(cotangents), saved)
        specs = [spec_of(step.operands[position]) for position in positions]
        return [
            conform(materialised(found[position]), spec.shape, spec.dtype)
            for position, spec in zip(positions, specs, strict=True)
        ]

    outs = run(reverse, pulled, ())
    graph = of_nodes(leaves, [node for _, node in outs])
    if graph is None or not graph.paired:
        return None
    left = eliminate(graph.with_sinks(graph.maps()), graph.middle()[::-1])
    found: Curvature = {}
    for i, (a, end) in enumerate(zip(positions, graph.ends(), strict=True)):
        for j, b in enumerate(positions[i:], start=i):
            own = None if end is None else left.get((j, end))
            if own is not None and is_inexact(own.dtype):
                found[a, b] = own
    return found
