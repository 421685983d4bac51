"""Functions that are one operation (checkpoints, own derivatives) under every order."""

import numpy as np
import pytest

import autodiff as ad

ORDERS = ("forward", "auto", "cross-country")


def own_vjp(x):
    f = ad.custom_vjp(lambda a: np.sin(a) * x)
    f.def_vjp(lambda a: (np.sin(a) * x, a), lambda a, g: (np.sum(g * np.cos(a) * x),))
    return f


def own_jvp(x):
    f = ad.custom_jvp(lambda a: np.sin(a) * x)
    f.def_jvp(lambda p, t: (np.sin(p[0]) * x, t[0] * np.cos(p[0]) * x))
    return f


def pair(x):
    return lambda a: (np.sin(a) * x, np.cos(a) * x[:2])


def own_vjp_of_a_pair(x):
    f = ad.custom_vjp(pair(x))

    def backward(a, g):
        return (np.sum(g[0] * np.cos(a) * x) - np.sum(g[1] * np.sin(a) * x[:2]),)

    f.def_vjp(lambda a: (pair(x)(a), a), backward)
    return f


def own_jvp_of_a_pair(x):
    f = ad.custom_jvp(pair(x))
    f.def_jvp(lambda p, t: (pair(x)(p[0]), (t[0] * np.cos(p[0]) * x, -t[0] * np.sin(p[0]) * x[:2])))
    return f


KINDS = {
    "own vjp": own_vjp,
    "own jvp": own_jvp,
    "checkpoint": lambda x: ad.checkpoint(lambda a: np.sin(a) * x),
    "own vjp, two outputs": own_vjp_of_a_pair,
    "own jvp, two outputs": own_jvp_of_a_pair,
    "checkpoint, two outputs": lambda x: ad.checkpoint(pair(x)),
    "one of two outputs": lambda x: lambda a: own_vjp_of_a_pair(x)(a)[1],
    "a dict": lambda x: ad.checkpoint(lambda a: {"s": np.sin(a) * x, "n": np.sum(np.cos(a) * x)}),
    "in a program": lambda x: lambda a: np.cumsum(own_vjp(x)(a)) * np.sum(own_jvp(x)(2 * a)),
    "one after another": lambda x: lambda a: own_jvp(x)(np.sum(own_vjp(x)(a))),
    "a gradient of it": lambda x: lambda a: ad.grad(lambda b: np.sum(own_vjp(x)(b) ** 2))(a) * x,
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [2, 20, 50, 200])
@pytest.mark.parametrize("kind", KINDS)
def test_every_order_gives_the_same(kind, count, order):
    f = KINDS[kind](np.linspace(0.1, 1.0, count))

    def inside(a):
        return ad.tree.map_leaves(lambda leaf: 1.5 * np.tanh(leaf), f(a * 1.0))

    for function in (f, inside):
        wanted = ad.tree.leaves(ad.jacobian(function, order="reverse")(1.0))
        found = ad.tree.leaves(ad.jacobian(function, order=order)(1.0))
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
