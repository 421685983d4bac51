"""Random programs of writes, views and aliases: Tensors compute what arrays compute.

A program is a list of steps on a list of values, which begins with one 3 x 4 array. Steps add
values, many of them names or views of others, and write into them. No step branches on values, so
a program is smooth, and its derivative by complex step is exact.
"""

import inspect
import random

import numpy as np
import pytest
from test_views import write_over_memory

import autodiff as ad

# Each step gets the values, two of them (t to write into, u to read), two numbers and a factor.


def augment(values, t, u, i, j, c):
    t += np.resize(u, t.shape) * c


def scale(values, t, u, i, j, c):
    t *= np.cos(t) + c


def lower(values, t, u, i, j, c):
    t -= c


def divide(values, t, u, i, j, c):
    t /= np.mean(u) ** 2 + 1.5


def set_all(values, t, u, i, j, c):
    t[...] = np.sin(np.resize(u, t.shape)) * c


def set_part(values, t, u, i, j, c):
    t[i % len(t)] = np.sum(u) * c


def set_from_itself(values, t, u, i, j, c):
    t[1:] = t[:-1] * c


def accumulate(values, t, u, i, j, c):
    t[1:] += t[:-1] * c


def reverse(values, t, u, i, j, c):
    t[:] = t[::-1]


def set_chosen(values, t, u, i, j, c):
    t[[0, len(t) - 1]] = np.mean(u) * c


def scale_chosen(values, t, u, i, j, c):
    t[[i % len(t)]] *= np.cos(np.mean(u))


def set_masked(values, t, u, i, j, c):
    t[np.arange(t.size).reshape(t.shape) % 3 == i % 3] = c * np.sum(u)


def through_transpose(values, t, u, i, j, c):
    t.T[i % t.shape[-1]] *= np.cos(np.mean(u))


def through_ravel(values, t, u, i, j, c):
    t.ravel()[i % t.size] = np.sum(u) * c


def through_reshape(values, t, u, i, j, c):
    t.reshape(-1)[:: j % 3 + 1] += np.mean(u) * c


def through_flat(values, t, u, i, j, c):
    t.flat[i % t.size] = np.sum(u) * c
    t.flat[1:3] = np.ravel(u)[:2] * c


def through_rows(values, t, u, i, j, c):
    for row in t:
        row *= c  # of a vector, a number: its name is bound anew


def through_rows_of_rows(values, t, u, i, j, c):
    for k, row in enumerate(np.atleast_2d(t)):
        row[k % row.size] += np.mean(u) * c


def unpacked(values, t, u, i, j, c):
    first, *rest = np.atleast_2d(t)
    first += np.mean(u) * c
    for other in rest:
        other[...] = other * first[0]


def through_split(values, t, u, i, j, c):
    for n, part in enumerate(np.array_split(t, 2)):
        part *= c + n
        part += np.mean(u)


def through_diagonal(values, t, u, i, j, c):
    table = np.atleast_2d(t)
    side = min(table.shape[:2])
    np.einsum("ii...->i...", table[:side, :side])[...] *= c


def write_out(values, t, u, i, j, c):
    np.add(t, np.resize(u, t.shape) * c, out=t)
    np.multiply(t, c, out=t[::-1])


def copy_over(values, t, u, i, j, c):
    np.copyto(t, np.mean(u) * c, where=np.arange(t.size).reshape(t.shape) % 2 == 0)


def put_elements(values, t, u, i, j, c):
    np.put(t, [i % t.size, j % t.size], np.resize(u, 2) * c)


def fill(values, t, u, i, j, c):
    out = np.zeros_like(t)
    out[i % len(t)] = np.mean(u)
    out += t * c
    values.append(out)


def name_again(values, t, u, i, j, c):
    values.append(t)


def copy(values, t, u, i, j, c):
    values.append(t.copy())


def compute(values, t, u, i, j, c):
    values.append(t * c + np.mean(np.tanh(u)))


def view_of_part(values, t, u, i, j, c):
    part = t[i % len(t) :: j % 2 + 1]
    values.append(part)


def view_of_columns(values, t, u, i, j, c):
    values.append(t[..., : i % t.shape[-1] + 1])


def view_of_row(values, t, u, i, j, c):
    values.append(np.atleast_2d(t)[i % len(np.atleast_2d(t))])


def view_backwards(values, t, u, i, j, c):
    values.append(t[::-1])


def view_transposed(values, t, u, i, j, c):
    values.append(t.T)


def view_reshaped(values, t, u, i, j, c):
    values.append(t.reshape(-1))


def view_raveled(values, t, u, i, j, c):
    values.append(t.ravel(order="CFAK"[i % 4]))


def view_expanded(values, t, u, i, j, c):
    values.append(np.expand_dims(t, 0))


def view_squeezed(values, t, u, i, j, c):
    values.append(np.atleast_1d(np.squeeze(t)))


def view_swapped(values, t, u, i, j, c):
    values.append(np.moveaxis(t, 0, -1))


def view_of_one(values, t, u, i, j, c):
    one = t.reshape(-1)[i % t.size, ...]  # an array without axes, no number
    one += np.mean(u) * c


STEPS = [value for value in list(globals().values()) if inspect.isfunction(value)]
STEPS.remove(write_over_memory)


def program(seed):
    """Random program: a function of a 3 x 4 array or Tensor that gives a number."""
    draw = random.Random(seed)
    steps = [
        (
            draw.choice(STEPS),
            draw.randrange(12),
            draw.randrange(12),
            draw.randrange(12),
            draw.randrange(12),
            draw.uniform(-1, 1),
        )
        for _ in range(draw.randint(2, 14))
    ]

    def f(x):
        values = [x * 1.0]
        for step, a, b, i, j, c in steps:
            step(values, values[a % len(values)], values[b % len(values)], i, j, c)
        return sum((n + 1) * np.mean(value * value) for n, value in enumerate(values))

    return f


@pytest.mark.parametrize("seed", range(600))
def test_random_program(seed, monkeypatch):
    if seed % 2:  # write over memory as if every array were large
        write_over_memory(monkeypatch)
    f, rng = program(seed), np.random.default_rng(seed)
    x, tangent = rng.normal(size=(2, 3, 4))
    slope = np.imag(f(x + 1e-200j * tangent)) / 1e-200

    value, gradient = ad.value_and_grad(f)(x)
    np.testing.assert_allclose(value, f(x), rtol=1e-12)
    close(np.sum(gradient * tangent), slope)
    close(ad.jvp(f, (x,), (tangent,))[1], slope)

    elsewhere = x + 0.1 * tangent
    there = ad.grad(f)(elsewhere)
    close(ad.record(ad.grad(f))(x).evaluate(elsewhere), there)
    close(ad.vmap(ad.grad(f))(np.stack([x, elsewhere])), np.stack([gradient, there]))
    close(ad.grad(ad.checkpoint(f))(x), gradient)
    if seed % 12 == 0:
        compiled = ad.compile(ad.grad(f))
        close(compiled(x), gradient)
        close(compiled(elsewhere), there)
        close(ad.grad(ad.compile(f))(elsewhere), there)

    if seed % 8 < 2:
        ahead = ad.jvp(ad.grad(f), (x,), (tangent,))[1]
        close(ad.grad(lambda x: np.sum(ad.grad(f)(x) * tangent))(x), ahead)
        close(ad.vmap(lambda t: ad.jvp(ad.grad(f), (x,), (t,))[1])(tangent[None])[0], ahead)

    variable = ad.Tensor(x)
    f(variable).backward()
    close(variable.grad, gradient)


def close(actual, expected):
    size = 1 + np.max(np.abs(expected))
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-11 * size)
