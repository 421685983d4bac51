"""Complex values between real ends: eliminated as pairs of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from registry import SMOOTH, Case, holomorphic

import autodiff as ad
from autodiff import ordering, tree
from autodiff.core.spec import is_inexact, spec_of
from autodiff.ordering.local import operation_at
from autodiff.ordering.maps import Opaque
from autodiff.ordering.pairs import paired_jacobian

RNG = np.random.default_rng(5)
X = RNG.uniform(0.5, 1.5, 4)
z = RNG.standard_normal(4) + 1j * RNG.standard_normal(4)
Z = RNG.standard_normal((4, 4)) + 1j * RNG.standard_normal((4, 4))
STACK = RNG.standard_normal((3, 4, 4)) + 1j * RNG.standard_normal((3, 4, 4))

PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "waves": lambda x: np.abs(np.exp(1j * x) * (2 + x)),
    "spectrum": lambda x: np.abs(np.fft.fft(x)) ** 2,
    "convolution": lambda x: np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(np.sin(x)), 4),
    "matrix": lambda x: np.real(Z @ (x * z)),
    "matrix from the right": lambda x: np.imag((x + 1j * x**2) @ Z @ z),
    "stack": lambda x: np.real(STACK @ (x * z)[:, None]),
    "stack from the right": lambda x: np.real((x * STACK) @ Z),
    "einsum": lambda x: np.abs(np.einsum("bij,j->bi", STACK, x * z)),
    "conjugates": lambda x: np.real(np.conj(x * z) * (x * z)),
    "broadcast": lambda x: np.real((x * z)[:, None] * (x * z) * Z),
    "broadcast numbers": lambda x: np.imag(z * x[0] + x * z[:, None]),
    "moved": lambda x: np.real(np.concatenate([(x * z)[::-1], (z * np.cos(x))[1:]]).reshape(7, 1)),
    "joined with real ones": lambda x: np.real(np.concatenate([x * z, x])),
    "sums": lambda x: np.abs(np.sum(np.exp(1j * x) * Z, axis=0)),
    "a mean": lambda x: np.real(np.mean(x * Z) * 1j),
    "angles": lambda x: np.angle(x * z) + np.real(np.log(x * z + 3)),
    "powers": lambda x: np.real((x * z) ** 3 + np.sqrt(x * z)),
    "numbers": lambda x: np.abs(np.exp(1j * x[0]) + x[1] * 1j),
    "solved": lambda x: np.real(np.linalg.solve(Z + np.diag(x), z)),
    "chosen": lambda x: np.real(np.where(x > 1, x * z, z * 2)),
    "running": lambda x: np.imag(np.cumsum(x * z)),
    "imaginary unit": lambda x: np.real(x * 1j) + x,
    "several outputs": lambda x: [np.real(y := np.exp(z * x)), x, np.imag(y)],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_order_gives_the_derivative(name: str) -> None:
    program = PROGRAMS[name]
    step = 1e-6
    wanted = [
        np.stack(
            [
                np.asarray(ahead - behind) / (2 * step)
                for unit in np.eye(4)
                for ahead, behind in [
                    (
                        tree.leaves(program(X + step * unit))[leaf],
                        tree.leaves(program(X - step * unit))[leaf],
                    )
                ]
            ],
            -1,
        )
        for leaf in range(len(tree.leaves(program(X))))
    ]
    graph = ad.record(program)(X).jacobian_graph()
    orders = ["forward", "reverse", "cross-country", "auto"]
    for order in (*orders, *(graph.plan(n) for n in ("forward", "reverse", "markowitz"))):
        found = tree.leaves(ad.jacobian(program, order=order)(X))
        for one, two in zip(found, wanted, strict=True):
            assert one.dtype == np.float64
            np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7)


def test_few_of_the_maps_are_known_by_rules_alone() -> None:
    for name, program in PROGRAMS.items():
        maps = ordering.local_jacobians(ad.record(program)(X), X).values()
        opaque = [own for own in maps if isinstance(own, Opaque)]
        allowed = {"spectrum": 1, "convolution": 3, "einsum": 1, "joined with real ones": 1}
        allowed |= {"solved": 2, "running": 1, "stack from the right": 1}
        assert len(opaque) <= allowed.get(name, 0), name


def test_single_precision_stays() -> None:
    def spectrum(x: Any) -> Any:
        return np.abs(np.fft.fft(x) * np.complex64(1j))

    found = ad.jacobian(spectrum, order="cross-country")(X.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, ad.jacobian(spectrum)(X), rtol=1e-5, atol=1e-5)


def test_large_complex_programs_are_planned_and_decided() -> None:
    """Many real numbers, few complex ones, many real numbers."""
    inner = RNG.standard_normal((4, 400)) + 1j * RNG.standard_normal((4, 400))
    outer = RNG.standard_normal((400, 4)) + 1j * RNG.standard_normal((400, 4))

    def program(x: Any) -> Any:
        return np.abs(outer @ np.exp(0.01 * (inner @ x)))

    x = RNG.standard_normal(400)
    plan = ad.record(program)(x).jacobian_graph().plan("markowitz")
    assert plan.cost < min(plan.forward_cost, plan.reverse_cost)
    np.testing.assert_allclose(
        ad.jacobian(program, order="auto")(x), ad.jacobian(program, order="reverse")(x), rtol=1e-9
    )


# --- every primitive ------------------------------------------------------------------------------


def lifted(case: Case) -> Case:
    """The same call at complex inputs."""
    inputs = list(case.inputs)
    for position in case.positions:
        inputs[position] = np.asarray(inputs[position]) * (1 + 0.05j)
    return case._replace(inputs=tuple(inputs))


def is_complex(case: Case) -> bool:
    leaves = [*case.active, *tree.leaves(case.call(*case.inputs))]
    return any(spec_of(leaf).dtype.kind == "c" for leaf in leaves)


COMPLEX = [case if is_complex(case) else lifted(case) for case in SMOOTH
           if is_complex(case) or holomorphic(case)]  # fmt: skip


def parts(value: Any) -> Any:
    value = np.asarray(value)
    pairs = np.stack([value.real, value.imag], -1) if value.dtype.kind == "c" else value
    return pairs.reshape(-1)


@pytest.mark.parametrize("case", COMPLEX, ids=repr)
def test_map_of_every_primitive(case: Case) -> None:
    out = case.call(*case.inputs)
    outs = out if isinstance(out, tuple) else (out,)
    active = tuple(i in case.positions for i in range(len(case.inputs)))
    for position in case.positions:
        x = np.asarray(case.inputs[position])

        def f(value: Any, position: int = position) -> Any:
            inputs = list(case.inputs)
            inputs[position] = value
            return case.call(*inputs)

        units = [1.0, 1j] if x.dtype.kind == "c" else [1.0]
        tangents = [
            unit * row.reshape(x.shape) for row in np.eye(x.size) for unit in units
        ]  # parts beside one another
        pushed = [ad.jvp(f, (x,), (tangent.astype(x.dtype),))[1] for tangent in tangents]
        for output, value in enumerate(outs):
            kinds = spec_of(value).dtype.kind + x.dtype.kind
            if not is_inexact(spec_of(value).dtype) or "c" not in kinds:
                continue
            columns = [parts(one[output] if isinstance(one, tuple) else one) for one in pushed]
            wanted = np.stack(columns, 1)
            operation = operation_at(case.primitive, active, case.inputs, out, case.params)
            found = paired_jacobian(operation, position, output)
            np.testing.assert_allclose(found.materialise(), wanted, rtol=1e-8, atol=1e-9)
            rows = RNG.standard_normal((2, found.out_size)).astype(found.dtype)
            np.testing.assert_allclose(found.pull_rows(rows), rows @ wanted, rtol=1e-7, atol=1e-8)
            operation.saved = None
            planned = paired_jacobian(operation, position, output)
            assert planned.nbytes == found.nbytes
            assert planned.fma_apply == found.fma_apply
