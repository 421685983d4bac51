"""What is measured: inputs, sizes and tolerances, the same for all engines."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.bench import problems
from autodiff.bench.workload import FLOAT32, GROUPS, Case, Workload, make_inputs

__all__ = ["WORKLOADS", "Case", "Workload", "cases", "make_inputs"]


def cases(quick: bool, names: Sequence[str] | None = None) -> list[Case]:
    """Cases of the quick or the full set.

    Parameters
    ----------
    quick : bool
    names : sequence of str, optional
        Of workloads and of groups. A workload that is named but not in the quick set comes whole;
        of a group come those that are.

    Raises
    ------
    ValueError
        There is no such workload or group.

    Examples
    --------
    >>> [case.label for case in cases(quick=True, names=["logistic"])]
    ['100,000 x 50']
    >>> [case.name for case in cases(quick=True, names=["derivatives"])]
    ['jacobian/50-50-50', 'hessian/100']
    """
    unknown = [name for name in names or () if name not in WORKLOADS and name not in GROUPS]
    if unknown:
        raise ValueError(
            f"no workload {unknown[0]!r}; there are {', '.join(WORKLOADS)}; "
            f"and the groups {', '.join(GROUPS)}"
        )
    found = []
    for name, workload in WORKLOADS.items():
        named = names is not None and name in names
        if names is not None and not named and workload.group not in names:
            continue
        labels: Sequence[str] = tuple(workload.sizes)
        if quick and (workload.quick or not named):
            labels = workload.quick
        found += [Case(workload, label) for label in labels]
    return found


# --- inputs ---------------------------------------------------------------------------------------


def _random() -> np.random.Generator:
    return np.random.default_rng(0)


def _chain(elements: int, length: int) -> dict[str, Any]:
    if elements == 0:
        return {"x": np.array(0.3), "y": np.array(0.5), "length": length}
    x, y = np.linspace(0.1, 0.4, elements), np.linspace(0.5, 0.6, elements)
    return {"x": x, "y": y, "length": length}


def _graph(nodes: int) -> dict[str, Any]:
    return {"a": 0.5, "b": 0.3, "c": 0.4, "nodes": nodes}


def _mlp(
    sizes: Sequence[int], batch: int, optimizer: str, width: int | None = None
) -> dict[str, Any]:
    random = _random()
    if width is not None:
        sizes = [width] * len(sizes)
    parameters = []
    for inputs, outputs in itertools.pairwise(sizes):
        weight = random.standard_normal((inputs, outputs)) / np.sqrt(inputs)
        parameters += [weight.astype(np.float32), np.zeros(outputs, np.float32)]
    return {
        "sizes": list(sizes),
        "parameters": parameters,
        "x": random.random((batch, sizes[0]), dtype=np.float32),
        "labels": random.integers(0, sizes[-1], batch),
        "optimizer": optimizer,
        "rate": {"sgd": 1e-2, "adam": 1e-4}[optimizer],
    }


def _elements(size: int) -> dict[str, Any]:
    return {"x": _random().standard_normal(size, dtype=np.float32)}


def _logistic(examples: int, features: int) -> dict[str, Any]:
    random = _random()
    x = random.standard_normal((examples, features))
    y = np.where(x @ random.standard_normal(features) > 0, 1.0, -1.0)
    return {"w": random.standard_normal(features) / 10, "x": x, "y": y}


def _jacobian(width: int) -> dict[str, Any]:
    random = _random()
    weights = [random.standard_normal((width, width)) / np.sqrt(width) for _ in range(2)]
    return {"weights": weights, "x": random.standard_normal(width)}


def _vector(size: int) -> dict[str, Any]:
    return {"x": _random().standard_normal(size)}


def _recurrent(depth: int, segment: int, width: int = 256) -> dict[str, Any]:
    random = _random()
    weight = (random.standard_normal((width, width)) / np.sqrt(width)).astype(np.float32)
    x = random.standard_normal((width, width), dtype=np.float32)
    return {"weight": weight, "x": x, "depth": depth, "segment": segment}


def _dense(depth: int, width: int) -> dict[str, Any]:
    random = _random()
    parameters: list[Any] = []
    for _ in range(depth):
        weight = random.standard_normal((width, width)) / np.sqrt(width)
        parameters += [weight.astype(np.float32), np.zeros(width, np.float32)]
    x = random.standard_normal((width, width), dtype=np.float32)
    return {"parameters": parameters, "x": x}


# --- the list -------------------------------------------------------------------------------------

_MLPS: dict[str, tuple[list[int], int]] = {
    "64-32-10, batch 32": ([64, 32, 10], 32),
    "784-256-128-10, batch 128": ([784, 256, 128, 10], 128),
    "784-1024-1024-10, batch 512": ([784, 1024, 1024, 10], 512),
}


def _mlp_sizes(optimizer: str) -> dict[str, dict[str, Any]]:
    return {
        label: {"sizes": sizes, "batch": batch, "optimizer": optimizer}
        for label, (sizes, batch) in _MLPS.items()
    }


def _powers(first: int, last: int) -> dict[str, dict[str, Any]]:
    return {f"{10**k:,} elements": {"size": 10**k} for k in range(first, last + 1)}


_DEPTHS = (16, 36, 64, 100, 144, 256)

_LIST = (
    Workload(
        "chain-binary",
        "one operation, x * y + y",
        "binary_chain",
        "operations",
        _chain,
        {"4 elements": {"elements": 4, "length": 500}},
        quick=("4 elements",),
    ),
    Workload(
        "chain-tanh",
        "one operation, tanh",
        "tanh_chain",
        "operations",
        _chain,
        {"4 elements": {"elements": 4, "length": 500}},
        quick=("4 elements",),
    ),
    Workload(
        "chain-scalar",
        "one operation, x * y + y",
        "binary_chain",
        "operations",
        _chain,
        {"0-d": {"elements": 0, "length": 500}},
        quick=("0-d",),
    ),
    Workload(
        "call",
        "one call, gradient of sum(tanh(x) exp(-x²))",
        "expression",
        "operations",
        _elements,
        {"4 elements": {"size": 4}},
        quick=("4 elements",),
        tolerance=FLOAT32,
    ),
    Workload(
        "graph",
        "one operation of a scalar graph",
        "graph",
        "operations",
        _graph,
        {f"{n:,} nodes": {"nodes": n} for n in (10, 100, 1_000, 10_000, 100_000)},
        quick=("1,000 nodes", "10,000 nodes"),
        axis="nodes",
        axis_label="operations in the graph",
    ),
    *(
        Workload(
            f"mlp-{name}",
            f"MLP training step, {title}",
            "mlp_step",
            "networks",
            _mlp,
            _mlp_sizes(name),
            quick=("64-32-10, batch 32", "784-256-128-10, batch 128"),
            tolerance=FLOAT32,
            calls=3,
            products=True,
        )
        for name, title in (("sgd", "SGD"), ("adam", "Adam"))
    ),
    Workload(
        "elementwise-tanh",
        "sum(tanh(x))",
        "tanh_sum",
        "arrays",
        _elements,
        _powers(3, 7),
        quick=("1,000 elements", "1,000,000 elements"),
        tolerance=FLOAT32,
        axis="size",
        axis_label="elements, float32",
    ),
    Workload(
        "elementwise",
        "sum(tanh(x) exp(-x²))",
        "expression",
        "arrays",
        _elements,
        _powers(3, 7),
        quick=("1,000 elements", "1,000,000 elements"),
        tolerance=FLOAT32,
        axis="size",
        axis_label="elements, float32",
    ),
    Workload(
        "logistic",
        "logistic regression",
        "logistic",
        "networks",
        _logistic,
        {"100,000 x 50": {"examples": 100_000, "features": 50}},
        quick=("100,000 x 50",),
        products=True,
    ),
    Workload(
        "jacobian",
        "Jacobian, tanh MLP",
        "jacobian",
        "derivatives",
        _jacobian,
        {"50-50-50": {"width": 50}},
        quick=("50-50-50",),
    ),
    Workload(
        "hessian",
        "Hessian, Rosenbrock",
        "hessian",
        "derivatives",
        _vector,
        {"100": {"size": 100}},
        quick=("100",),
    ),
    Workload(
        "indexing",
        "one read x[i] in a loop",
        "indexing",
        "operations",
        lambda length: {"x": _random().standard_normal(length), "length": length},
        {f"{n:,} reads": {"length": n} for n in (100, 1_000, 10_000, 100_000)},
        quick=("1,000 reads",),
        axis="length",
        axis_label="reads",
    ),
    Workload(
        "mlp-width",
        "MLP training step, width",
        "mlp_step",
        "networks",
        _mlp,
        {
            f"{width}": {"sizes": [0] * 4, "batch": 128, "optimizer": "sgd", "width": width}
            for width in (16, 32, 64, 128, 256, 512, 1024)
        },
        tolerance=FLOAT32,
        calls=3,
        products=True,
        axis="width",
        axis_label="width of three layers, batch 128",
    ),
    Workload(
        "mlp-batch",
        "MLP training step, batch",
        "mlp_step",
        "networks",
        _mlp,
        {
            f"{batch}": {"sizes": [256] * 4, "batch": batch, "optimizer": "sgd"}
            for batch in (8, 32, 128, 512, 2048, 8192)
        },
        tolerance=FLOAT32,
        calls=3,
        products=True,
        axis="batch",
        axis_label="batch, three layers of 256",
    ),
    Workload(
        "depth",
        "gradient of a deep chain",
        "recurrent",
        "checkpoints",
        _recurrent,
        {f"{depth} layers": {"depth": depth, "segment": 0} for depth in _DEPTHS},
        quick=("64 layers",),
        tolerance=FLOAT32,
        products=True,
        axis="depth",
        axis_label="layers of 256, batch 256",
    ),
    Workload(
        "depth-checkpoint",
        "the same with checkpoints",
        "recurrent",
        "checkpoints",
        _recurrent,
        {
            f"{depth} layers": {"depth": depth, "segment": round(depth**0.5)}
            for depth in (16, 36, 64, 100, 144, 256)
        },
        quick=("64 layers",),
        tolerance=FLOAT32,
        products=True,
        axis="depth",
        axis_label="layers of 256, batch 256",
    ),
    Workload(
        "memory-mlp",
        "peak memory, gradient of an MLP",
        "dense",
        "memory",
        _dense,
        {"30 layers of 512": {"depth": 30, "width": 512}},
        quick=("30 layers of 512",),
        tolerance=FLOAT32,
        measure="memory",
        tiny={"depth": 2, "width": 64},
    ),
    *(
        Workload(
            f"memory-depth{suffix}",
            title,
            "recurrent",
            "memory",
            _recurrent,
            {
                f"{depth} layers": {"depth": depth, "segment": round(depth**0.5) if suffix else 0}
                for depth in _DEPTHS
            },
            quick=("256 layers",) if suffix else (),
            tolerance=FLOAT32,
            measure="memory",
            axis="depth",
            axis_label="layers of 256, batch 256",
            tiny={"depth": 4, "segment": 2 if suffix else 0, "width": 64},
        )
        for suffix, title in (
            ("", "peak memory, deep chain"),
            ("-checkpoint", "peak memory with checkpoints"),
        )
    ),
)

_ORDER = list(GROUPS)

WORKLOADS = {
    workload.name: workload
    for workload in sorted(
        (*_LIST, *problems.WORKLOADS), key=lambda workload: _ORDER.index(workload.group)
    )
}
"""Every workload by name, group after group."""
