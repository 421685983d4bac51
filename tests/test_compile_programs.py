"""Programs of one line, compiled: with every kind of argument that NumPy's functions take."""

from __future__ import annotations

import datetime
import decimal
import fractions
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_compile import assert_same

import autodiff as ad

X = np.array([0.5, -1.0, 2.0])
W = np.array([1.0, 2.0, 3.0])

PROGRAMS: dict[str, tuple[Callable[..., Any], list[tuple[Any, ...]]]] = {
    "compress": (lambda x: np.compress(x > 0, x), [(X,), (-X,)]),
    "extract": (lambda x: np.extract(x > 0, x), [(X,), (-X,)]),
    "delete": (lambda x: np.delete(x, 0), [(X,)]),
    "delete mask": (lambda x: np.delete(x, x > 0), [(X,), (-X,)]),
    "argwhere": (lambda x: np.argwhere(x > 0), [(X,), (-X,)]),
    "flatnonzero": (lambda x: np.flatnonzero(x > 0), [(X,), (-X,)]),
    "count_nonzero": (lambda x: np.count_nonzero(x > 0), [(X,), (-X,)]),
    "where1": (lambda x: np.where(x > 0)[0], [(X,), (-X,)]),
    "isin": (lambda x: np.isin(x, [2.0]), [(X,), (X + 1,)]),
    "setdiff": (lambda x: np.setdiff1d(x, [2.0]), [(X,), (X + 1,)]),
    "percentile": (lambda x: np.percentile(x, 30), [(X,), (-X,)]),
    "digitize": (lambda x: np.digitize(x, [0.0, 1.0]), [(X,)]),
    "trim": (
        lambda x: np.trim_zeros(x),
        [(np.array([0, 1.0, 2, 0]),), (np.array([0, 0, 1.0, 2]),)],
    ),
    "any/all": (lambda x: (np.any(x > 0), np.all(x > 0)), [(X,)]),
    "allclose": (lambda x: x if np.allclose(x, 0) else x * 2, [(X,), (X * 0,)]),
    "array_equal": (lambda x: x if np.array_equal(x, W) else x * 2, [(X,), (W,)]),
    "isnan": (lambda x: x if np.isnan(x).any() else x * 2, [(X,), (X * np.nan,)]),
    "nan_to_num": (lambda x: np.nan_to_num(x), [(X,), (X * np.nan,)]),
    "argpartition": (lambda x: np.partition(x, 1), [(X,), (-X,)]),
    "lexsort": (lambda x: np.lexsort((x,)), [(X,), (-X,)]),
    "repeat": (lambda x, n: np.repeat(x, n), [(X, 2), (X, 3)]),
    "repeat arr": (
        lambda x, n: np.repeat(x, n),
        [(X, np.array([1, 2, 0])), (X, np.array([2, 1, 1]))],
    ),
    "tile": (lambda x, n: np.tile(x, n), [(X, 2), (X, (2, 1))]),
    "take": (lambda x, i: np.take(x, i), [(X, 1), (X, np.array([0, 2]))]),
    "split": (lambda x, n: np.array_split(x, n), [(X, 2), (X, 3)]),
    "roll": (lambda x, n: np.roll(x, n), [(X, 1), (X, 2)]),
    "pad": (lambda x, n: np.pad(x, n), [(X, 1), (X, 2)]),
    "expand": (lambda x, a: np.expand_dims(x, a), [(X, 0), (X, 1)]),
    "transpose": (
        lambda x, a: np.transpose(x, a),
        [(np.ones((2, 3, 4)), (0, 2, 1)), (np.ones((2, 3, 4)), (2, 1, 0))],
    ),
    "linspace n": (lambda a, b, n: np.linspace(a, b, n), [(0.0, 1.0, 3), (0.0, 2.0, 4)]),
    "zeros like n": (lambda x, n: np.zeros((n, len(x))) + x, [(X, 2), (X, 3)]),
    "slices by n": (lambda x, n: x[:n], [(X, 1), (X, 2)]),
    "slices by n2": (lambda x, n: x[n:], [(X, 1), (X, 2)]),
    "x[n-1]": (lambda x, n: x[n - 1], [(X, 1), (X, 2)]),
    "x[i,j]": (
        lambda A, i, j: A[i, j],
        [(np.arange(6.0).reshape(2, 3), 0, 1), (np.arange(6.0).reshape(2, 3), 1, 2)],
    ),
    "int bool": (lambda x, n: x * bool(n), [(X, 0), (X, 2)]),
    "float str": (lambda x, n: (x, f"{n:d}"), [(X, 0), (X, 2)]),
    "min/max ints": (lambda x, n: x[: min(n, 2)], [(X, 1), (X, 3)]),
    "n//2": (lambda x, n: x[: n // 2], [(X, 2), (X, 4)]),
    "np.int arg": (lambda x, n: x[:n], [(X, np.int64(1)), (X, np.int64(2))]),
    "np.bool arg": (lambda x, b: x if b else -x, [(X, np.bool_(True)), (X, np.bool_(False))]),
    "cond expr": (lambda x, n: x if n > 2 else x * n, [(X, 1), (X, 3), (X, 2)]),
    "enumerate": (lambda x: sum((i * v for i, v in enumerate(x))), [(X,)]),
    "zip": (lambda x, y: sum((a * b for a, b in zip(x, y, strict=False))), [(X, X)]),
    "fori": (lambda x: functools.reduce(lambda a, i: a + x * i, range(3), 0.0), [(X,)]),
    "poly": (lambda x: np.polyval([1.0, 2.0, 3.0], x), [(X,)]),
    "interp": (lambda x: np.interp(x, [0.0, 1.0, 2.0], [0.0, 2.0, 3.0]), [(X,)]),
    "convolve": (lambda x: np.convolve(x, W), [(X,)]),
    "lstsq": (lambda A: np.linalg.lstsq(A, W, rcond=None)[0], [(np.eye(3) + 0.1,)]),
    "cov": (lambda x: np.cov(np.stack([x, x**2])), [(X,)]),
    "unique counts": (lambda x: np.unique(x, return_counts=True), [(X,), (np.ones(3),)]),
    "outer": (lambda x: np.outer(x, x), [(X,)]),
    "kron": (lambda x: np.kron(x, x), [(X,)]),
    "vander": (lambda x: np.vander(x), [(X,)]),
    "gradient": (lambda x: np.gradient(x), [(X,)]),
    "choose": (
        lambda i: np.choose(i, [X, X * 2, X * 3]),
        [(np.array([0, 1, 2]),), (np.array([2, 1, 0]),)],
    ),
    "select": (lambda x: np.select([x > 0, x < 0], [x, x * 2], 0.0), [(X,), (-X,)]),
    "piecewise": (
        lambda x: np.piecewise(x, [x > 0], [lambda v: v * 2, lambda v: -v]),
        [(X,), (-X,)],
    ),
    "frompyfunc": (lambda x: np.fromiter((v * 2 for v in x), float), [(X,)]),
    "nested fn default": (lambda x: (lambda y, w=W: y * w)(x), [(X,)]),
    "while with counter": (
        lambda x: next(i for i in range(100) if x.sum() * i > 3),
        [(X,), (X * 3,)],
    ),
    "star": (lambda *xs: sum(xs), [(X, X), (X,), (X, X, X)]),
    "dict order": (
        lambda p: next(iter(p.values())),
        [({"b": X, "a": X * 2},), ({"a": X * 2, "b": X},)],
    ),
    "dict iter": (lambda p: {k: v * 2 for k, v in p.items()}, [({"b": X, "a": X * 2},)]),
    "None arg": (lambda x, b=None: x if b is None else x + b, [(X,), (X, X), (X, None)]),
    "einsum str": (lambda s, a, b: np.einsum(s, a, b), [("i,i->", X, X), ("i,j->ij", X, X)]),
    "where guard vector": (lambda x: np.where(x > 0, x, -x), [(X,)]),
    "linalg": (lambda A: np.linalg.solve(A @ A.T + np.eye(3), X), [(np.outer(X, X),)]),
    "svd": (lambda A: np.linalg.svd(A)[1], [(np.outer(X, X) + np.eye(3),)]),
    "fft": (lambda x: np.fft.rfft(x), [(X,)]),
    "cumsum/diff": (lambda x: np.diff(np.cumsum(x)), [(X,)]),
    "sort": (lambda x: (np.sort(x), np.argsort(x)), [(X,), (-X,)]),
    "bincount": (lambda i: np.bincount(i), [(np.array([0, 1, 1]),), (np.array([0, 2, 2]),)]),
    "searchsorted": (lambda x: np.searchsorted(np.array([0.0, 1.0]), x), [(X,)]),
    "median": (lambda x: np.median(x), [(X,), (X[::-1],)]),
    "meshgrid": (lambda x: np.meshgrid(x, x)[0], [(X,)]),
    "apply_along": (lambda A: np.apply_along_axis(np.sum, 0, A), [(np.ones((2, 3)),)]),
    "str method": (lambda x, s: x * len(s.upper()), [(X, "ab")]),
    "memoryview": (lambda x, m: x * m[0], [(X, memoryview(b"ab"))]),
    "path": (lambda x, p: x * len(str(p)), [(X, pathlib.Path("a")), (X, pathlib.Path("abc"))]),
    "decimal": (
        lambda x, d: x * float(d),
        [(X, decimal.Decimal("1.5")), (X, decimal.Decimal("2.5"))],
    ),
    "fraction": (
        lambda x, d: x * float(d),
        [(X, fractions.Fraction(1, 2)), (X, fractions.Fraction(1, 3))],
    ),
    "datetime": (
        lambda x, d: x * d.day,
        [(X, datetime.date(2020, 1, 2)), (X, datetime.date(2020, 1, 3))],
    ),
    "array of arg": (lambda x: np.array(x) * 2, [(X,)]),
    "isinstance": (lambda x: x * 2 if isinstance(W, np.ndarray) else x, [(X,)]),
    "bigint": (lambda x, n: x * n, [(X, 2**70), (X, 3), (X, 2**64)]),
    "not": (lambda a: not a, [(0.0,), (1.0,)]),
    "bool arr": (lambda x: x.astype(bool), [(X,)]),
    "bool in": (lambda x, m: np.where(m, x, 0), [(X, X > 0), (X, X < 0)]),
    "int arr": (
        lambda x: x * 2,
        [(np.arange(3),), (np.arange(3, dtype="u1"),), (np.arange(3, dtype="i4"),)],
    ),
    "bytes": (lambda x, b: x * len(b), [(X, b"ab")]),
    "dt64": (
        lambda x, d: x * (d[1] - d[0]).astype(int),
        [(X, np.array(["2020-01-01", "2020-01-03"], dtype="M8[D]"))],
    ),
    "set arg": (lambda x, s: x * len(s), [(X, {1, 2}), (X, {1})]),
    "range arg": (lambda x, s: sum(x * i for i in s), [(X, range(3)), (X, range(2))]),
    "list idx": (lambda x, i: x[i], [(X, [0, 1]), (X, [1, 2])]),
    "tuple shape": (lambda x, s: x.reshape(s), [(np.ones(6), (2, 3)), (np.ones(6), (3, 2))]),
    "dtype arg": (
        lambda x, d: x.astype(d),
        [(X, np.float32), (X, np.dtype("f8")), (X, "f4"), (X, complex)],
    ),
    "slice arg": (lambda x, s: x[s], [(X, slice(0, 2)), (X, slice(1, 3))]),
    "ellipsis": (lambda x, s: x[s], [(X, ...)]),
    "in": (lambda x: x * 2 if 2.0 in x else x, [(X,), (X + 1,)]),
    "dict key": (lambda x, n: {1: x, 2: x * 2}[n], [(X, 1), (X, 2)]),
    "int in list": (lambda x, n: [x, x * 2][n], [(X, 0), (X, 1)]),
    "n&1": (lambda x, n: x if n & 1 else x * 2, [(X, 0), (X, 1), (X, 2)]),
    "<<": (lambda x, n: x * (1 << n), [(X, 0), (X, 3)]),
    "np.ones(n)": (lambda n: np.ones(n), [(3,), (4,)]),
    "np.arange(n)": (lambda n: np.arange(n), [(3,), (4,), (4.0,)]),
    "np.arange(a,b,c)": (lambda a, b: np.arange(a, b, 0.5), [(0, 3), (0.0, 4)]),
    "np.full": (lambda n, v: np.full(n, v), [(3, 2.0), (3, 3.0), (4, 1)]),
    "eye": (lambda n: np.eye(n) * 2, [(3,)]),
    "ufunc.reduce": (lambda x: np.add.reduce(x), [(X,)]),
    "out=": (lambda x: np.add(x, 1, out=np.empty(3)), [(X,)]),
    "stack nums": (lambda a, b: np.stack([a, b]), [(1.0, 2.0), (1, 2)]),
    "array nums": (lambda a, b: np.array([a, b]), [(1.0, 2.0), (1, 2)]),
    "concatenate": (lambda x, c: np.concatenate([x, [c]]), [(X.astype("f4"), 2.0)]),
    "np.clip": (lambda x, c: np.clip(x, -c, c), [(X.astype("f4"), 1.0)]),
    "sum start": (lambda x: sum(x), [(X,)]),
}


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_program(name: str) -> None:
    function, calls = PROGRAMS[name]
    compiled = ad.compile(function)
    for _ in range(2):
        for args in calls:
            assert_same(compiled(*args), function(*args))
    assert compiled.cache_info().misses <= len(calls)
