"""Some eigenpairs of a sparse matrix, as one primitive of its stored values.

With A v = w M v and v^H M v = 1, a change dA of the matrix changes a pair by the solution of

    [[A - w M, -M v], [v^H M, 0]] [dv, dw] = [-dA v, 0],

which is regular wherever w is simple: A - w M is singular just along v and its left vector, and the
last row and column stand for those (Nelson 1976, "Simplified calculation of eigenvector
derivatives", AIAA Journal 14; bordered as by Keller 1977). The vector is turned as little as
possible. It is one sparse system for each pair, factorised once for all its right-hand sides; an
eigenvalue of a Hermitian matrix alone needs none: dw = v^H dA v.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import scipy.sparse

from autodiff.core.declare import primitive
from autodiff.ops import elementwise as ew
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.linalg.matrices import conj, is_zero, scaled_tolerance
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.inputs import refuse_half
from autodiff.scipy.sparse.linalg.solves import sparse_solve
from autodiff.scipy.sparse.operations import summed
from autodiff.scipy.sparse.patterns import Pattern
from autodiff.scipy.sparse.products import sampled_matmul, sparse_matmul

__all__ = ["Method", "eigenpairs"]

scipy_sparse: Any = scipy.sparse


class Method(Protocol):
    """How pairs are computed: one of SciPy's functions with its settings."""

    name: str
    hermitian: bool

    def pairs(self, matrix: Any, mass: Any) -> tuple[Any, Any]:
        """Eigenvalues, and vectors as columns; `mass` is None for the identity."""


# --- the bordered systems -------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _bordered_form(form: Pattern, mass_form: Pattern | None) -> tuple[Pattern, Any]:
    """Pattern of the bordered matrix, by rows, and where each of its parts' numbers goes."""
    n = form.shape[0]
    steps, last = np.arange(n), np.full(n, n)
    shift = (steps, steps) if mass_form is None else (mass_form.rows, mass_form.columns)
    rows = np.concatenate([form.rows, shift[0], steps, last])
    columns = np.concatenate([form.columns, shift[1], last, steps])
    return Pattern("coo", (n + 1, n + 1), rows, columns).converted("csr")


class _System:
    """The bordered system of one pair."""

    def __init__(
        self, data: Any, mass: Any, w: Any, v: Any, forms: tuple[Pattern, Any], name: str
    ) -> None:
        form, mass_form = forms
        self.name, self.n = name, form.shape[0]
        moved = v if mass_form is None else sparse_matmul(mass, v, form=mass_form)
        shift = np.ones(self.n, data.real.dtype) if mass_form is None else mass
        self.form, places = _bordered_form(form, mass_form)
        parts = np.concatenate([data, -w * shift, -moved, conj(moved)])
        self.data = summed(parts, places, self.form.nnz)

    def solve(self, right: Any, last: Any, transposed: bool = False) -> tuple[Any, Any]:
        """Solution for a vector and a last number; NaN where the pair is not simple."""
        right = np.concatenate([right, np.reshape(last, (1,))])
        form = self.form.transposed if transposed else self.form
        found = sparse_solve(self.data, right, form=form, function=self.name)
        plain = ew.stop_gradient.call
        size = np.max(np.abs(plain(self.data))) * np.max(np.abs(plain(found)))
        rounding = scaled_tolerance(self.n, found.real.dtype)
        grown = np.greater(rounding * size, np.max(np.abs(plain(right))))
        found = found * np.where(grown, np.nan, 1.0).astype(found.real.dtype)
        return found[:-1], found[-1]


def _systems(data: Any, mass: Any, out: Any, params: dict[str, Any]) -> list[_System]:
    w, v = out
    forms, name = (params["form"], params["mass_form"]), params["method"].name
    return [_System(data, mass, w[i], v[:, i], forms, name) for i in range(v.shape[1])]


def _adjoints(
    g: Any, data: Any, mass: Any, out: Any, params: dict[str, Any]
) -> tuple[Any, Any | None]:
    """For each pair the solution of the transposed system: a column, and the last number."""
    w_bar, v_bar = g
    v = out[1]
    if params["method"].hermitian and is_zero(v_bar):
        return -conj(v) * w_bar, None
    found = [
        system.solve(v_bar[:, i], w_bar[i], transposed=True)
        for i, system in enumerate(_systems(data, mass, out, params))
    ]
    return np.stack([y for y, _ in found], axis=1), np.stack([eta for _, eta in found])


def _in_precision(bar: Any, like: Any) -> Any:
    """Cotangent of values: real ones get the real part."""
    return bar if like.dtype.kind == "c" or bar.dtype.kind != "c" else ew.real.call(bar)


def _vjp_data(g: Any, data: Any, mass: Any, out: Any, **params: Any) -> Any:
    y, _ = _adjoints(g, data, mass, out, params)
    return _in_precision(-sampled_matmul(y, out[1], form=params["form"]), data)


def _vjp_mass(g: Any, data: Any, mass: Any, out: Any, **params: Any) -> Any:
    form = params["mass_form"]
    if form is None:
        return 0.0 * mass
    y, eta = _adjoints(g, data, mass, out, params)
    w, v = out
    bar = y * w
    if eta is not None:
        # Of the length: v^H M v = 1 holds for the changed M
        bar = bar - 0.5 * eta * conj(v)
    return _in_precision(sampled_matmul(bar, v, form=form), mass)


def _tangents(
    rights: Any, lasts: Any, data: Any, mass: Any, out: Any, params: dict[str, Any]
) -> tuple[Any, Any]:
    """Tangents of values and vectors, from what a tangent adds to the equations."""
    found = [
        system.solve(rights[:, i], lasts[i])
        for i, system in enumerate(_systems(data, mass, out, params))
    ]
    change = np.stack([dw for _, dw in found])
    if params["method"].hermitian:
        change = ew.real.call(change)
    return change, np.stack([dv for dv, _ in found], axis=1)


def _jvp_data(t: Any, data: Any, mass: Any, out: Any, **params: Any) -> Any:
    v = out[1]
    rights = -sparse_matmul(t, v, form=params["form"])
    return _tangents(rights, 0.0 * v[0], data, mass, out, params)


def _jvp_mass(t: Any, data: Any, mass: Any, out: Any, **params: Any) -> Any:
    w, v = out
    form = params["mass_form"]
    if form is None:
        return 0.0 * w, 0.0 * v
    moved = sparse_matmul(t, v, form=form)
    lasts = -0.5 * np.sum(conj(v) * moved, axis=0)
    return _tangents(moved * w, lasts, data, mass, out, params)


# --- the primitive --------------------------------------------------------------------------------


class _Sampled:
    """Pairs for samples: real ones of the largest eigenvalues, by NumPy."""

    name, hermitian = "eigs", False

    def pairs(self, matrix: Any, mass: Any) -> tuple[Any, Any]:
        dense = matrix.toarray()
        if mass is not None:
            dense = np.linalg.solve(mass.toarray(), dense)
        w, v = np.linalg.eig(dense)
        order = np.argsort(-w.real)[:2]
        w, v = w[order], v[:, order]
        weights = v if mass is None else mass @ v
        v = v / np.sqrt(np.sum(np.conj(v) * weights, axis=0).real)
        return w, v * np.sign(v[np.argmax(np.abs(v), axis=0), np.arange(2)].real)


def _samples(rng: np.random.Generator) -> list[Sample]:
    dense = np.diag([1.0, 3.0, 6.0]) + np.diag([0.5, -0.4], 1) + np.diag([0.3, 0.0], -1)
    matrix, weight = scipy_sparse.csr_array(dense), scipy_sparse.csc_array(np.diag([1.0, 1.5, 2.0]))
    form, mass_form = Pattern.of(matrix), Pattern.of(weight)
    data = matrix.data + rng.uniform(-0.1, 0.1, form.nnz)
    mass = weight.data + rng.uniform(-0.1, 0.1, 3)
    return [
        Sample((data, mass), {"form": form, "mass_form": mass_form, "method": _Sampled()}),
        Sample((data, np.zeros(1)), {"form": form, "mass_form": None, "method": _Sampled()}),
    ]


def _batch(batched: Sequence[bool], inputs: Any, params: dict[str, Any]) -> Any:
    return loop_over_batch(lambda d, m: eigenpairs(d, m, **params), batched, inputs)


@primitive(
    vjp_data=lambda g, data, mass, out, form, mass_form, method: _vjp_data(
        g, data, mass, out, form=form, mass_form=mass_form, method=method
    ),
    vjp_mass=lambda g, data, mass, out, form, mass_form, method: _vjp_mass(
        g, data, mass, out, form=form, mass_form=mass_form, method=method
    ),
    jvp_data=lambda t, data, mass, out, form, mass_form, method: _jvp_data(
        t, data, mass, out, form=form, mass_form=mass_form, method=method
    ),
    jvp_mass=lambda t, data, mass, out, form, mass_form, method: _jvp_mass(
        t, data, mass, out, form=form, mass_form=mass_form, method=method
    ),
    batch=_batch,
    cost=lambda data_spec, mass_spec: 100 * (data_spec.size + mass_spec.size),
    sample=_samples,
)
def eigenpairs(
    data: Any, mass: Any, *, form: Pattern, mass_form: Pattern | None, method: Method
) -> Any:
    """Some eigenvalues, and eigenvectors of length 1, of a sparse matrix given by its values.

    `mass` has the values of the matrix M on the right; where `mass_form` is None nobody looks at
    it. For a Hermitian method, tangents are Hermitian too: the caller sees to that.
    """
    refuse_half(method.name, data, mass)
    weight = None if mass_form is None else mass_form.array(mass)
    w, v = method.pairs(form.array(data), weight)
    dtype = np.result_type(data, mass if weight is not None else data)
    if not method.hermitian:
        dtype = np.result_type(dtype, np.complex64)
    real = np.finfo(dtype).dtype
    return w.astype(real if method.hermitian else dtype, copy=False), v.astype(dtype, copy=False)
