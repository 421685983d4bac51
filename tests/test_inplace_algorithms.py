"""Algorithms as people write them on arrays, in place: values as on arrays, gradients right."""

import numpy as np
import pytest

import autodiff as ad

RNG = np.random.default_rng(3)
MATRIX = RNG.normal(size=(4, 4)) + 4.0 * np.eye(4)


def lu(a):
    """Doolittle's elimination, over the matrix itself."""
    n = len(a)
    for k in range(n):
        a[k + 1 :, k] /= a[k, k]
        a[k + 1 :, k + 1 :] -= np.outer(a[k + 1 :, k], a[k, k + 1 :])
    return a


def gauss_jordan(a):
    """Inverse by elimination of an augmented matrix, rows swapped and scaled in place."""
    n = len(a)
    table = np.concatenate([a, np.eye(n)], axis=1)
    table[[0, n - 1]] = table[[n - 1, 0]]
    for i in range(n):
        table[i] /= table[i, i]
        for j in range(n):
            if j != i:
                row = table[j]
                row -= row[i] * table[i]
    return table[:, n:]


def gram_schmidt(a):
    """Modified Gram-Schmidt on columns, which are views."""
    columns = list(a.T)
    for i, column in enumerate(columns):
        column /= np.sqrt(np.sum(column * column))
        for other in columns[i + 1 :]:
            other -= np.sum(column * other) * column
    return a


def cholesky(a):
    a = a @ a.T
    n = len(a)
    for k in range(n):
        a[k, k] = np.sqrt(a[k, k])
        a[k + 1 :, k] /= a[k, k]
        for j in range(k + 1, n):
            a[j:, j] -= a[j:, k] * a[j, k]
    return np.tril(a)


def heat(a):
    """Explicit steps of the heat equation, with a boundary that is driven."""
    u = a.copy()
    inside = u[1:-1, 1:-1]
    for step in range(5):
        inside += 0.1 * (
            u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1]
        )
        u[0] = np.sin(step) * u[1]
    return u


def red_black(a):
    """Gauss-Seidel sweeps in two colours, by strided views."""
    for colour in (0, 1):
        for i in range(1, 3):
            row = a[i, 1 + (i + colour) % 2 : -1 : 2]
            row[...] = 0.25 * (
                a[i - 1, 1 + (i + colour) % 2 : -1 : 2] + a[i + 1, 1 + (i + colour) % 2 : -1 : 2]
            )
    return a


def leapfrog(a):
    """A symplectic integrator on a state whose halves are views."""
    position, velocity = a.reshape(2, 2, 4)
    for _ in range(4):
        velocity -= 0.05 * np.sin(position)
        position += 0.1 * velocity
        velocity -= 0.05 * np.sin(position)
    return a


def runge_kutta(a):
    """Stages written into one table, the state updated by ``out=``."""
    state = a.ravel()
    stages = np.zeros_like(np.broadcast_to(state, (4, 16)))
    for _ in range(2):
        for i, weight in enumerate((0.0, 0.5, 0.5, 1.0)):
            np.cos(state + 0.1 * weight * stages[i - 1], out=stages[i])
        np.add(state, 0.1 / 6 * (np.array([1.0, 2.0, 2.0, 1.0]) @ stages), out=state)
    return a


def butterflies(a):
    """A Walsh-Hadamard transform in place."""
    flat = a.reshape(-1)
    h = 1
    while h < flat.size:
        blocks = flat.reshape(-1, 2, h)
        left, right = blocks[:, 0], blocks[:, 1]
        total = left + right
        right[...] = left - right
        left[...] = total
        h *= 2
    return np.tanh(0.1 * a)


def horner(a):
    """Accumulation in one buffer."""
    total = np.zeros_like(a[0])
    for row in a[::-1]:
        total *= 0.5
        total += row**2
    return total


def shortest_paths(a):
    """Floyd and Warshall, with a soft minimum; rows and columns are read while they are written."""
    for k in range(len(a)):
        np.logaddexp(-a, -(a[:, k, None] + a[k]), out=a)
        a *= -1.0
    return a


def adam(a):
    """An optimiser's buffers, updated in place."""
    first, second = np.zeros_like(a), np.zeros_like(a)
    w = np.ones_like(a)
    for _ in range(3):
        g = 2 * (w - a)
        first *= 0.9
        first += 0.1 * g
        second *= 0.99
        second += 0.01 * g * g
        w -= 0.1 * first / (np.sqrt(second) + 1e-3)
    return w


ALGORITHMS = [
    lu,
    gauss_jordan,
    gram_schmidt,
    cholesky,
    heat,
    red_black,
    leapfrog,
    runge_kutta,
    butterflies,
    horner,
    shortest_paths,
    adam,
]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda f: f.__name__)
class TestAlgorithms:
    def test_values_and_derivatives(self, algorithm):
        def f(a):
            return algorithm(a * 1.0)

        np.testing.assert_allclose(f(ad.Tensor(MATRIX)).data, f(MATRIX), rtol=1e-12)
        ad.check_grads(f, (MATRIX,), order=2)

    def test_jacobians_by_any_order(self, algorithm):
        def f(a):
            return algorithm(a * 1.0)

        forward = ad.jacobian(f, order="forward")(MATRIX)
        for order in ("reverse", "auto"):
            np.testing.assert_allclose(ad.jacobian(f, order=order)(MATRIX), forward, atol=1e-9)

    def test_batches_tapes_and_checkpoints(self, algorithm):
        def f(a):
            return np.sum(np.cos(algorithm(a * 1.0)))

        stack = np.stack([MATRIX, MATRIX.T])
        expected = [ad.grad(f)(a) for a in stack]
        np.testing.assert_allclose(ad.vmap(ad.grad(f))(stack), expected, atol=1e-10)
        tape = ad.record(ad.grad(f))(MATRIX)
        np.testing.assert_allclose(tape.evaluate(stack[1]), expected[1], atol=1e-10)
        np.testing.assert_allclose(ad.grad(ad.checkpoint(f))(MATRIX), expected[0], atol=1e-10)


def test_the_derivative_of_the_inverse():
    inverse = np.linalg.inv(MATRIX)
    np.testing.assert_allclose(gauss_jordan(MATRIX), inverse)
    found = ad.jacobian(lambda a: gauss_jordan(a * 1.0))(MATRIX)
    # d(A^-1) = -A^-1 dA A^-1
    np.testing.assert_allclose(found, -np.einsum("ik,lj->ijkl", inverse, inverse), atol=1e-12)
