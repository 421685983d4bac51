"""A sum of products by labels as matrix products of two operands at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.ops.lowered import Composed, Lowering
from autodiff.ops.shape import reshape, transpose

__all__ = ["einsum_as_products"]


def einsum_as_products(operation: Lowering) -> Composed:
    """Rule of ``einsum``: the cheapest order of pairs, each as a stack of matrix products."""
    subscripts = operation.params["subscripts"]
    inputs, _, output = subscripts.partition("->")
    terms = inputs.split(",")
    lengths: dict[str, int] = {}
    for term, spec in zip(terms, operation.inputs, strict=True):
        lengths.update(zip(term, spec.shape, strict=True))
    # The planner asks for shapes alone, and takes them off arrays
    shaped = [np.broadcast_to(0.0, spec.shape) for spec in operation.inputs]
    path = np.einsum_path(subscripts, *shaped, optimize="greedy")[0][1:]

    def composed(*xs: Any, **params: Any) -> Any:
        values, labels = list(xs), list(terms)
        for chosen in path:
            picked = [(values.pop(i), labels.pop(i)) for i in sorted(chosen, reverse=True)]
            rest = set(output).union(*labels)
            value, label = picked.pop()
            while picked:
                other, other_label = picked.pop()
                later = rest.union(*[waiting for _, waiting in picked])
                value, label = _summed(value, label, later | set(other_label))
                other, other_label = _summed(other, other_label, later | set(label))
                value, label = _product(value, label, other, other_label, later, lengths)
            value, label = _summed(value, label, rest)
            values.append(value)
            labels.append(label)
        return _permuted(values[0], labels[0], output)

    return Composed(composed)


def _summed(x: Any, labels: str, wanted: set[str]) -> tuple[Any, str]:
    """Sum over axes that nothing else has."""
    axes = tuple([i for i, label in enumerate(labels) if label not in wanted])
    kept = "".join([label for label in labels if label in wanted])
    return (np.sum(x, axis=axes) if axes else x), kept


def _permuted(x: Any, labels: str, order: Sequence[str]) -> Any:
    axes = tuple([labels.index(label) for label in order])
    return x if axes == tuple(range(len(axes))) else transpose(x, axes=axes)


def _product(
    x: Any, x_labels: str, y: Any, y_labels: str, wanted: set[str], lengths: dict[str, int]
) -> tuple[Any, str]:
    """Product of two operands, summed over what both have and nothing else wants."""
    both = [label for label in x_labels if label in y_labels]
    batch = [label for label in both if label in wanted]
    summed = [label for label in both if label not in wanted]
    rows = [label for label in x_labels if label not in y_labels]
    columns = [label for label in y_labels if label not in x_labels]
    sizes = [[lengths[label] for label in group] for group in (batch, rows, summed, columns)]
    lead, m, k, n = sizes[0], *[math.prod(group) for group in sizes[1:]]
    a = _permuted(x, x_labels, [*batch, *rows, *summed])
    b = _permuted(y, y_labels, [*batch, *summed, *columns])
    if not summed:
        a = reshape(a, shape=(*lead, *sizes[1], *(1,) * len(columns)))
        b = reshape(b, shape=(*lead, *(1,) * len(rows), *sizes[3]))
        return a * b, "".join([*batch, *rows, *columns])
    product = reshape(a, shape=(*lead, m, k)) @ reshape(b, shape=(*lead, k, n))
    shape = (*lead, *sizes[1], *sizes[3])
    return reshape(product, shape=shape), "".join([*batch, *rows, *columns])
