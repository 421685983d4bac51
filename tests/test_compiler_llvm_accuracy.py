"""Elementary functions of native code: within 2 units in the last place over their whole range."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autodiff.compiler import llvm
from autodiff.compiler.llvm import elementary, program
from autodiff.compiler.llvm.writer import Module
from tests.test_compiler_llvm import F4, F8, elementwise, run_native

Array = np.ndarray[Any, Any]

WIDE = np.longdouble

OWN = sorted({*elementary.OWN, *elementary.GUARDED} - {"power"})

MOST = 2.0
"""Units in the last place."""


def applied(op: str, *args: Array) -> Array:
    """What native code gives."""
    out = np.empty_like(args[0])
    kernels = elementwise(op, [args[0].dtype] * len(args), args[0].dtype, args[0].size)
    assert run_native(kernels, *args, out) == 0
    return out


def points(dtype: np.dtype[Any]) -> Array:
    """All magnitudes, the neighbourhoods where functions turn, and what is special."""
    random = np.random.default_rng(0)
    whole = {8: np.int64, 4: np.int32}[dtype.itemsize]
    info = np.iinfo(whole)
    drawn = random.integers(info.min, info.max, 20_000, dtype=whole).view(dtype)
    parts = [drawn[np.isfinite(drawn)]]
    parts += [random.normal(size=4000) * 10.0**scale for scale in range(-9, 8)]
    parts += [center + random.normal(size=2000) * 10.0**s for center in (1, -1) for s in (-1, -4)]
    parts += [random.uniform(80, 760, 4000), -random.uniform(80, 760, 4000)]
    parts.append(np.arange(-2000, 2000) * (math.pi / 4))
    limits = np.finfo(dtype)
    edges = [float(limits.tiny), float(limits.smallest_subnormal), float(limits.max)]
    parts.append(np.array([0.0, math.inf, *edges, 2.0**20, 2.0**-27, 2.0**-54, math.log(2) / 2]))
    values = np.concatenate([np.asarray(part, dtype) for part in parts])
    return np.concatenate([values, -values, np.full(1, np.nan, dtype)])


def ulps(got: Array, exact: Array, dtype: np.dtype[Any]) -> Array:
    """Distance from the exact value in units of the last place of a result of its size."""
    info = np.finfo(dtype)
    _, exponent = np.frexp(np.abs(exact))
    unit = np.maximum(
        np.ldexp(WIDE(1), exponent - 1 - info.nmant), WIDE(float(info.smallest_subnormal))
    )
    rounded = exact.astype(dtype)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    return np.where(same, 0, np.abs(got.astype(WIDE) - exact) / unit)


REFERENCE: dict[str, Callable[[Array], Array]] = {"expit": lambda x: 1 / (1 + np.exp(-x))}

OF_DOUBLES: dict[str, Callable[[float], float]] = {"erf": math.erf, "erfc": math.erfc}
"""Functions that are not there in long double."""

OF_MPMATH = ["ndtr"]
"""Functions that mpmath alone has to all digits."""


@pytest.mark.skipif(np.finfo(WIDE).nmant < 63, reason="long double is no wider than double")
@pytest.mark.parametrize("dtype", [F8, F4], ids=str)
@pytest.mark.parametrize("op", [op for op in OWN if op not in OF_MPMATH])
def test_elementary_function_is_accurate(op: str, dtype: np.dtype[Any]) -> None:
    with np.errstate(all="ignore"):
        x = points(dtype)
        if op in OF_DOUBLES:
            exact = np.array([OF_DOUBLES[op](float(v)) for v in x]).astype(WIDE)
        else:
            exact = REFERENCE.get(op, getattr(np, op, None))(x.astype(WIDE))  # type: ignore[misc]
        got = applied(op, x)
        error = ulps(got, exact, dtype)
        worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
        most = MOST + (op in OF_DOUBLES)
        assert error[worst] <= most, (op, x[worst], got[worst], exact[worst])
        signs = np.signbit(got) == np.signbit(exact)
    assert np.all(signs | np.isnan(got)), "the sign of zero"


@pytest.mark.parametrize("dtype", [F8, F4], ids=str)
@pytest.mark.parametrize("op", OWN)
def test_elementary_function_is_that_of_mpmath(op: str, dtype: np.dtype[Any]) -> None:
    mpmath = pytest.importorskip("mpmath")
    names = {"log2": lambda x: mpmath.log(x, 2), "exp2": lambda x: mpmath.mpf(2) ** x}
    names |= {"log1p": mpmath.log1p, "expit": lambda x: 1 / (1 + mpmath.exp(-x))}
    names |= {"ndtr": mpmath.ncdf}
    function = names.get(op) or getattr(mpmath, op)
    values = points(dtype)
    x = values[np.isfinite(values)][:: 7 if op in OF_MPMATH else 61].copy()
    if op.startswith("log"):
        x = x[x > (-1 if op == "log1p" else 0)]
    with np.errstate(all="ignore"):
        got = applied(op, x)
    info = np.finfo(dtype)
    with mpmath.workdps(60):
        for argument, result in zip(x, got, strict=True):
            if abs(argument) > 1e5 and op not in ("sin", "cos") and "log" not in op:
                continue  # numbers with more digits than there is memory
            with mpmath.workdps(400 if op in ("sin", "cos") else 60):
                exact = function(mpmath.mpf(float(argument)))
            size = abs(exact)
            if size > float(info.max):
                assert math.isinf(result)
                continue
            exponent = int(mpmath.frexp(exact)[1]) if size else -5000
            unit = mpmath.mpf(2) ** (exponent - 1 - info.nmant)
            unit = max(unit, mpmath.mpf(float(info.smallest_subnormal)))
            assert abs(mpmath.mpf(float(result)) - exact) <= MOST * unit, (argument, result)


@pytest.mark.skipif(np.finfo(WIDE).nmant < 63, reason="long double is no wider than double")
@pytest.mark.parametrize("dtype", [F8, F4], ids=str)
def test_power_is_accurate(dtype: np.dtype[Any]) -> None:
    random = np.random.default_rng(0)
    n = 5000
    most = 300 if dtype == F8 else 37
    pairs = [
        (random.uniform(0, 3, n), random.normal(size=n) * 5),
        (10 ** random.uniform(-most, most, n), random.uniform(-3, 3, n)),
        (1 + random.normal(size=n) * 1e-3, random.normal(size=n) * 1e3),
        (random.normal(size=n) * 5, random.integers(-9, 10, n)),
        (1 + random.normal(size=n) * 1e-8, random.normal(size=n) * 1e9),
        (random.uniform(0.5, 2, n), random.normal(size=n) * 1000),
    ]
    special = np.array([0.0, -0.0, 1, -1, 2, -2, 0.5, 3, math.inf, -math.inf, math.nan, 1e-310])
    pairs.append(tuple(v.ravel() for v in np.meshgrid(special, special)))
    x, y = (np.concatenate(part).astype(dtype) for part in zip(*pairs, strict=True))
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(WIDE), y.astype(WIDE))
        got = applied("power", x, y)
        error = ulps(got, exact, dtype)
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    assert error[worst] <= MOST, (x[worst], y[worst], got[worst], exact[worst])
    with np.errstate(all="ignore"):
        signs = np.signbit(got) == np.signbit(exact.astype(dtype))
    assert np.all(signs | np.isnan(got))


@pytest.mark.parametrize("cpu", ["skylake-avx512", "haswell", "x86-64-v2"])
def test_other_processors_have_loops_over_their_vectors(
    cpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autodiff.compiler.llvm import engine

    host = engine._host()
    if not host.triple.startswith("x86_64"):
        pytest.skip("the host is another one")
    features = {
        "skylake-avx512": "+avx512f,+avx512dq,+avx512vl,+avx512bw,+avx512cd,+avx2,+fma",
        "haswell": "+avx2,+fma",
        "x86-64-v2": "",
    }[cpu]
    lanes = {"skylake-avx512": 8, "haswell": 4, "x86-64-v2": 2}[cpu]
    monkeypatch.setattr(engine, "_host", lambda: host._replace(cpu=cpu, features=features))
    for op in ("exp", "sin", "power"):
        module = Module(vector_bytes=engine.vector_bytes())
        dtypes = [F8] * (1 + (op == "power"))
        program.write_program(elementwise(op, dtypes, F8, 1000), module)
        text = engine.optimized(module.text(), 2)
        assert f"load <{lanes} x double>" in text
        if op != "exp":
            assert f"call <{lanes} x double> @autodiff_{op}" in text


def test_neighbours_do_not_matter() -> None:
    """A huge argument beside others in a vector leaves their results as they are."""
    x = np.random.default_rng(0).normal(size=64)
    alone = applied("sin", x)
    x[::4] = 1e300
    np.testing.assert_array_equal(applied("sin", x)[1::4], alone[1::4])
    np.testing.assert_allclose(applied("sin", x)[::4], np.sin(1e300), rtol=1e-15)


def test_a_wrong_coefficient_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from autodiff.compiler.llvm import exponentials

    planted = list(exponentials._EXP_DOUBLE)
    planted[4] *= 1 + 1e-9
    monkeypatch.setattr(exponentials, "_EXP_DOUBLE", tuple(planted))
    x = np.linspace(-1, 1, 1001)
    wide = np.exp(x.astype(WIDE))
    assert ulps(applied("exp", x), wide, F8).max() > MOST


def test_functions_are_loops_over_vectors() -> None:
    """No function that is written here keeps a loop from being vectorised."""
    if llvm.available():
        from autodiff.compiler.llvm import engine

        if engine.vector_bytes() < 32:
            pytest.skip("the processor has short vectors")
    for op in OWN:
        native = llvm.compile_kernels(elementwise(op, [F8], F8, 1000), cache=None)
        assert "< x double>" not in native.ir
        assert "x double>" in native.optimized(), op
