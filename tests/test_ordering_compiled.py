"""Jacobians by a plan, compiled: one program that multiplies in the plan's order."""

import itertools

import numpy as np
import pytest

import autodiff as ad
from autodiff.core.spec import spec_of
from tests.test_ordering_execute import REAL, ZOO, assert_same


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("name", ZOO)
def test_compiled_plans_against_eager_ones(name, backend):
    function, args = ZOO[name]
    plan = ad.record(function)(*args).jacobian_graph().plan("markowitz")
    tolerance = {"rtol": 2e-5, "atol": 1e-6} if name == "float32" else {}
    wanted = ad.jacobian(function, order=plan)(*args)
    compiled = ad.compile(ad.jacobian(function, order=plan), backend=backend)
    assert_same(compiled(*args), wanted, **tolerance)
    leaves, structure = ad.tree.flatten(args)
    other = ad.tree.unflatten(structure, [x * type(x)(0.7) if np.ndim(x) == 0 else x * x.dtype.type(0.7) for x in leaves])
    assert_same(compiled(*other), ad.jacobian(function, order=plan)(*other), **tolerance)


@pytest.mark.parametrize("case", REAL, ids=repr)
def test_every_primitive_between_others(case):
    points = tuple(np.asarray(x, float)[()] for x in case.active)
    weights = [np.cos(np.arange(x.size, dtype=float)).reshape(x.shape) for x in points]

    def smooth(*active):
        moved = [x + w * (x - p) for x, w, p in zip(active, weights, points, strict=True)]
        out = case.of_active(*moved)
        outs = out if isinstance(out, tuple) else (out,)
        return [np.tanh(o) for o in outs if o.dtype.kind == "f"]

    argnums = tuple(range(len(points)))
    wanted = ad.jacobian(smooth, argnums, order="cross-country")(*points)
    found = ad.compile(ad.jacobian(smooth, argnums, order="cross-country"), backend="numpy")(*points)
    assert_same(found, wanted, rtol=1e-9, atol=1e-10)
