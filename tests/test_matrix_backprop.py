"""The formulas this library came from, written out in NumPy, against the engine.

Backpropagation through layers in matrix form follows N. Aralis, "Backpropagation in matrix form"
(2017), eq. 28-53: n_l = W_l w_{l-1}, w_l = φ(n_l), with Ψ_l = diag(φ'(n_l)).
"""

import itertools

import numpy as np
import pytest

import autodiff as ad


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# φ, and φ' written in terms of w = φ(n)
ACTIVATIONS = {
    "tanh": (np.tanh, np.tanh, lambda w: 1 - w**2),
    "sigmoid": (ad.sigmoid, sigmoid, lambda w: w * (1 - w)),
}


def squared_error(w, target):
    return np.sum((w - target) ** 2) / 2


def cross_entropy(w, target):
    """Cross-entropy of probabilities softmax(w) with a probability vector."""
    return np.log(np.sum(np.exp(w))) - np.sum(target * w)


# E, and the row vector dE/dw
ERRORS = {
    "squared": (squared_error, lambda w, target: w - target),
    "cross-entropy": (
        cross_entropy,
        lambda w, target: np.exp(w) / np.sum(np.exp(w)) - target,
    ),
}

SIZES = (4, 5, 3, 2)


def network(rng):
    weights = [rng.standard_normal((m, n)) for n, m in itertools.pairwise(SIZES)]
    target = rng.random(SIZES[-1])
    return weights, rng.standard_normal(SIZES[0]), target / target.sum()


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_feed_forward_network_in_matrix_form(activation, error):
    """Deltas are row vectors, layers are columns.

    n_l = W_l w_{l-1},  w_l = φ(n_l)
    δ_L = dE/dw_L Ψ_L,  δ_{l-1} = δ_l W_l Ψ_{l-1},  Δ_l = δ_l^T w_{l-1}^T,  W_l' = W_l - η Δ_l
    """
    rng = np.random.default_rng(0)
    weights, x, target = network(rng)
    engine_phi, phi, phi_slope = ACTIVATIONS[activation]
    error_of, error_slope = ERRORS[error]

    w = [x]
    for weight in weights:
        w.append(phi(weight @ w[-1]))
    psi = [np.diag(phi_slope(w_l)) for w_l in w]

    delta = error_slope(w[-1], target)[None, :] @ psi[-1]
    steps = []
    for l in range(len(weights), 0, -1):  # noqa: E741 - l is the formula's own index
        steps.insert(0, delta.T @ w[l - 1][None, :])
        delta = delta @ weights[l - 1] @ psi[l - 1]

    def engine_error(weights):
        w_l = x
        for weight in weights:
            w_l = engine_phi(weight @ w_l)
        return error_of(w_l, target)

    gradients = ad.grad(engine_error)(weights)
    for step, gradient in zip(steps, gradients, strict=True):
        np.testing.assert_allclose(gradient, step, rtol=1e-12, atol=1e-14)

    eta = 1e-3
    updated = [weight - eta * step for weight, step in zip(weights, steps, strict=True)]
    assert engine_error(updated) < engine_error(weights)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_feed_forward_network_transposed(activation, error):
    """The same network with rows for layers, w_{l-1}^T W_l^T, has the transposed gradient.

    n_l^T = w_{l-1}^T V_l with V_l = W_l^T,  δ_{l-1} = δ_l V_l^T Ψ_{l-1},  dE/dV_l = w_{l-1} δ_l
    """
    rng = np.random.default_rng(1)
    weights, x, target = network(rng)
    engine_phi, phi, phi_slope = ACTIVATIONS[activation]
    error_of, error_slope = ERRORS[error]
    transposed = [weight.T for weight in weights]

    rows = [x[None, :]]
    for v in transposed:
        rows.append(phi(rows[-1] @ v))
    delta = error_slope(rows[-1], target) * phi_slope(rows[-1])
    expected = []
    for v, row in zip(transposed[::-1], rows[-2::-1], strict=True):
        expected.insert(0, row.T @ delta)
        delta = (delta @ v.T) * phi_slope(row)

    def engine_error(weights):
        row = x[None, :]
        for weight in weights:
            row = engine_phi(row @ weight.T)
        return error_of(row, target)

    def engine_error_of_rows(matrices):
        row = x[None, :]
        for v in matrices:
            row = engine_phi(row @ v)
        return error_of(row, target)

    by_w = ad.grad(engine_error)(weights)
    by_v = ad.grad(engine_error_of_rows)(transposed)
    for w_gradient, v_gradient, formula in zip(by_w, by_v, expected, strict=True):
        np.testing.assert_allclose(v_gradient, formula, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(w_gradient, formula.T, rtol=1e-12, atol=1e-14)


def test_hadamard_form_of_the_deltas():
    """dL/dπ_m = a'(π_m) * W_{m+1}^T dL/dπ_{m+1}, and dL/dW_m = dL/dπ_m ⊗ d_{m-1}.

    With π_m = W_m d_{m-1} and d_m = a(π_m). By components the first is
    dL/dπ_m[i] = a'(π_m[i]) Σ_h W_{m+1}[h, i] dL/dπ_{m+1}[h].
    """
    rng = np.random.default_rng(2)
    w1, w2 = rng.standard_normal((4, 3)), rng.standard_normal((2, 4))
    d0, target = rng.standard_normal(3), rng.standard_normal(2)
    pi1 = w1 @ d0
    d1 = np.tanh(pi1)
    pi2 = w2 @ d1
    slope1, slope2 = 1 - np.tanh(pi1) ** 2, 1 - np.tanh(pi2) ** 2

    by_pi2 = slope2 * (np.tanh(pi2) - target)
    by_pi1 = slope1 * (w2.T @ by_pi2)

    by_loops = np.zeros(4)
    for i in range(4):
        for h in range(2):
            by_loops[i] += slope1[i] * w2[h, i] * by_pi2[h]
    np.testing.assert_allclose(by_pi1, by_loops, rtol=1e-13)

    def loss_from_pi1(pi1):
        return squared_error(np.tanh(w2 @ np.tanh(pi1)), target)

    np.testing.assert_allclose(ad.grad(loss_from_pi1)(pi1), by_pi1, rtol=1e-12)

    def loss(w1, w2):
        return squared_error(np.tanh(w2 @ np.tanh(w1 @ d0)), target)

    by_w1, by_w2 = ad.grad(loss, argnums=(0, 1))(w1, w2)
    np.testing.assert_allclose(by_w2, np.outer(by_pi2, d1), rtol=1e-12)
    np.testing.assert_allclose(by_w1, np.outer(by_pi1, d0), rtol=1e-12)


def test_two_layers_by_loops_by_jacobians_and_by_the_engine():
    """x -> f = (U x^T)^T -> g = σ(f) -> h = (V g^T)^T -> L = Σ h², for a batch of rows x.

    Pointwise: dL/dg[n, j] = Σ_k dL/dh[n, k] V[k, j],  dL/dV[k, j] = Σ_n dL/dh[n, k] g[n, j].
    Flattened: dL/dx = dL/dh · dh/dg · dg/df · df/dx with full Jacobians, dh/dg = I ⊗ V.
    """
    rng = np.random.default_rng(3)
    x, u, v = rng.standard_normal((3, 4)), rng.standard_normal((5, 4)), rng.standard_normal((2, 5))
    (rows, inputs), hidden, outputs = x.shape, len(u), len(v)
    f = (u @ x.T).T
    g = sigmoid(f)
    h = (v @ g.T).T

    # pointwise
    by_h = 2 * h
    by_g, by_v = np.zeros_like(g), np.zeros_like(v)
    for n in range(rows):
        for j in range(hidden):
            for k in range(outputs):
                by_g[n, j] += by_h[n, k] * v[k, j]
                by_v[k, j] += by_h[n, k] * g[n, j]
    by_f = by_g * g * (1 - g)
    by_x, by_u = np.zeros_like(x), np.zeros_like(u)
    for n in range(rows):
        for i in range(inputs):
            for j in range(hidden):
                by_x[n, i] += by_f[n, j] * u[j, i]
                by_u[j, i] += by_f[n, j] * x[n, i]

    # flattened, row by row of each matrix
    h_by_g = np.kron(np.eye(rows), v)
    g_by_f = np.diag((g * (1 - g)).ravel())
    f_by_x = np.kron(np.eye(rows), u)
    h_by_v = np.einsum("kl,nj->nklj", np.eye(outputs), g).reshape(h.size, v.size)
    f_by_u = np.einsum("kl,nj->nklj", np.eye(hidden), x).reshape(f.size, u.size)
    flat_by_h = by_h.ravel()
    flat_by_f = flat_by_h @ h_by_g @ g_by_f
    np.testing.assert_allclose(flat_by_f @ f_by_x, by_x.ravel(), rtol=1e-12)
    np.testing.assert_allclose(flat_by_f @ f_by_u, by_u.ravel(), rtol=1e-12)
    np.testing.assert_allclose(flat_by_h @ h_by_v, by_v.ravel(), rtol=1e-12)

    def loss(x, u, v):
        f = (u @ x.T).T
        g = ad.sigmoid(f)
        h = (v @ g.T).T
        return np.sum(h**2)

    for gradient, formula in zip(
        ad.grad(loss, argnums=(0, 1, 2))(x, u, v), (by_x, by_u, by_v), strict=True
    ):
        np.testing.assert_allclose(gradient, formula, rtol=1e-11)

    # one column of the flattened Jacobian of f at a time, by the engine
    direction = rng.standard_normal(x.shape)
    pushed = ad.jvp(lambda x: (u @ x.T).T, (x,), (direction,))[1]
    np.testing.assert_allclose(pushed.ravel(), f_by_x @ direction.ravel(), rtol=1e-12)


def test_layer_of_different_units():
    """y_j = f_j(z; θ^j) with arbitrary f_j: dE/dΘ = diag(δ) B.

    B[j, i] = ∂f_j/∂θ^j_i and δ = dE/dy. The Jacobian dy/dvec(Θ), J rows and J·I columns of which
    all but a J-th part are zero, is never formed.
    """
    units = [
        lambda z, theta: np.sin(theta[0] * z[0]) + theta[1] * z[1],
        lambda z, theta: theta[0] * z[0] ** 2 * theta[1],
        lambda z, theta: np.exp(theta[0]) * z[1] + np.tanh(theta[1] * z[0]),
    ]
    slopes = [
        lambda z, theta: [z[0] * np.cos(theta[0] * z[0]), z[1]],
        lambda z, theta: [z[0] ** 2 * theta[1], theta[0] * z[0] ** 2],
        lambda z, theta: [
            np.exp(theta[0]) * z[1],
            z[0] * (1 - np.tanh(theta[1] * z[0]) ** 2),
        ],
    ]
    rng = np.random.default_rng(4)
    theta, z, target = rng.standard_normal((3, 2)), rng.standard_normal(2), rng.standard_normal(3)

    y = np.array([f(z, t) for f, t in zip(units, theta, strict=True)])
    b = np.array([slope(z, t) for slope, t in zip(slopes, theta, strict=True)])
    delta = y - target
    formula = np.diag(delta) @ b

    def error(theta):
        return squared_error(np.stack([f(z, theta[j]) for j, f in enumerate(units)]), target)

    np.testing.assert_allclose(ad.grad(error)(theta), formula, rtol=1e-12)

    # B itself, from the engine's local derivatives: one unit at a time
    engine_b = np.stack([ad.grad(f, argnums=1)(z, t) for f, t in zip(units, theta, strict=True)])
    np.testing.assert_allclose(delta[:, None] * engine_b, formula, rtol=1e-12)


def test_logistic_regression():
    """∇J(w) = (1/N) Σ_i -y_i x_i / (1 + exp(y_i w^T x_i)) for labels y_i = ±1.

    J(w) = (1/N) Σ_i log(1 + exp(-y_i w^T x_i)).
    """
    rng = np.random.default_rng(5)
    x, y, w = rng.standard_normal((20, 3)), rng.choice([-1.0, 1.0], 20), rng.standard_normal(3)

    terms = [-yi * xi / (1 + np.exp(yi * (w @ xi))) for xi, yi in zip(x, y, strict=True)]
    formula = np.mean(terms, axis=0)

    def objective(w):
        return np.mean(np.log(1 + np.exp(-y * (x @ w))))

    np.testing.assert_allclose(ad.grad(objective)(w), formula, rtol=1e-12)

    def stable_objective(w):
        return ad.nn.binary_cross_entropy(x @ w, (y + 1) / 2)

    np.testing.assert_allclose(stable_objective(w), objective(w), rtol=1e-13)
    np.testing.assert_allclose(ad.grad(stable_objective)(w), formula, rtol=1e-12)
