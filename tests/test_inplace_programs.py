"""Random programs of writes: on Tensors they compute what they compute on arrays.

A program has no branch and no order of evaluation that could differ: it is a list of steps on a
list of 3 x 3 values, among which are several names of one value. Views are not among them.
"""

import random

import numpy as np
import pytest

import autodiff as ad

TRIANGLE = np.tril(np.ones((3, 3), bool))


def augment(values, t, u, i, j, c):
    t += u * c


def scale(values, t, u, i, j, c):
    t *= np.cos(u)


def lower(values, t, u, i, j, c):
    t -= c


def divide(values, t, u, i, j, c):
    t /= u * u + 1.5


def multiply_matrix(values, t, u, i, j, c):
    t @= np.eye(3) * c


def set_element(values, t, u, i, j, c):
    t[i, j] = np.sin(u[j, i]) * c


def set_row(values, t, u, i, j, c):
    t[i] = u[:, j] * c


def set_all(values, t, u, i, j, c):
    t[...] = u * c


def set_masked(values, t, u, i, j, c):
    t[TRIANGLE] = c * u[1, 1]


def scale_chosen(values, t, u, i, j, c):
    t[[0, 2], [i, j]] *= u[i, j]


def fill(values, t, u, i, j, c):
    out = np.zeros_like(t)
    out[i] = u[j]
    out[:, j] += t[i] * c
    values.append(out)


def write_out(values, t, u, i, j, c):
    np.add(t, u * c, out=t)


def name_again(values, t, u, i, j, c):
    values.append(t)


def compute(values, t, u, i, j, c):
    values.append(t * c + np.tanh(u))


STEPS = [
    augment,
    scale,
    lower,
    divide,
    multiply_matrix,
    set_element,
    set_row,
    set_all,
    set_masked,
    scale_chosen,
    fill,
    write_out,
    name_again,
    compute,
]


def program(seed):
    """Random program: a function of a 3 x 3 array or Tensor that gives a number."""
    draw = random.Random(seed)
    steps = [
        (
            draw.choice(STEPS),
            draw.randrange(12),
            draw.randrange(12),
            draw.randrange(3),
            draw.randrange(3),
            draw.uniform(-1, 1),
        )
        for _ in range(draw.randint(2, 9))
    ]

    def f(x):
        values = [x * 1.0]
        for step, a, b, i, j, c in steps:
            step(values, values[a % len(values)], values[b % len(values)], i, j, c)
        return sum((n + 1) * np.sum(value * value) for n, value in enumerate(values))

    return f


@pytest.mark.parametrize("seed", range(150))
def test_random_program(seed):
    f, rng = program(seed), np.random.default_rng(seed)
    x, tangent = rng.normal(size=(2, 3, 3))
    slope = np.imag(f(x + 1e-200j * tangent)) / 1e-200

    value, gradient = ad.value_and_grad(f)(x)
    np.testing.assert_allclose(value, f(x), rtol=1e-12)
    np.testing.assert_allclose(np.sum(gradient * tangent), slope, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ad.jvp(f, (x,), (tangent,))[1], slope, rtol=1e-9, atol=1e-12)

    elsewhere = x + 0.1 * tangent
    there = ad.grad(f)(elsewhere)
    np.testing.assert_allclose(ad.record(ad.grad(f))(x).evaluate(elsewhere), there, rtol=1e-12)
    both = ad.vmap(ad.grad(f))(np.stack([x, elsewhere]))
    np.testing.assert_allclose(both, np.stack([gradient, there]), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ad.grad(ad.checkpoint(f))(x), gradient, rtol=1e-12)

    variable = ad.Tensor(x)
    f(variable).backward()
    np.testing.assert_allclose(variable.grad, gradient, rtol=1e-12)
