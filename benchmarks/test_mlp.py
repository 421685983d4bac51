"""One gradient of an MLP 784-256-128-10 (tanh, softmax cross-entropy), batch 128, float32."""

import itertools

import numpy as np
import pytest

import autodiff as ad

SIZES = (784, 256, 128, 10)
RNG = np.random.default_rng(0)
PARAMS = [
    array
    for inputs, outputs in itertools.pairwise(SIZES)
    for array in (
        (RNG.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32),
        np.zeros(outputs, np.float32),
    )
]
X = RNG.random((128, 784), dtype=np.float32)
LABELS = RNG.integers(0, 10, 128)
for _array in (*PARAMS, X, LABELS):
    _array.setflags(write=False)


def by_hand():
    """Ordinary good NumPy: in place on its own fresh arrays only."""
    w1, b1, w2, b2, w3, b3 = PARAMS
    rows = np.arange(len(X))
    h1 = X @ w1
    h1 += b1
    np.tanh(h1, out=h1)
    h2 = h1 @ w2
    h2 += b2
    np.tanh(h2, out=h2)
    p = h2 @ w3
    p += b3
    p -= p.max(axis=1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(axis=1, keepdims=True)
    p[rows, LABELS] -= 1
    p /= len(X)
    d2 = p @ w3.T
    t = h2 * h2
    np.subtract(1, t, out=t)
    d2 *= t
    d1 = d2 @ w2.T
    t = h1 * h1
    np.subtract(1, t, out=t)
    d1 *= t
    return [X.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ p, p.sum(0)]


def logits_of(tanh, params, x):
    w1, b1, w2, b2, w3, b3 = params
    return tanh(tanh(x @ w1 + b1) @ w2 + b2) @ w3 + b3


def own():
    def loss(params):
        return ad.nn.softmax_cross_entropy(logits_of(np.tanh, params, X), LABELS)

    return lambda: ad.grad(loss)(PARAMS)


def own_module():
    model = ad.nn.MLP(SIZES, dtype=np.float32)
    parameters = model.parameters()
    for parameter, value in zip(parameters, PARAMS, strict=True):
        parameter.data = value

    def run():
        for parameter in parameters:
            parameter.grad = None
        ad.nn.softmax_cross_entropy(model(X), LABELS).backward()
        return [parameter.grad for parameter in parameters]

    return run


def autograd_():
    autograd = pytest.importorskip("autograd")
    anp = pytest.importorskip("autograd.numpy")
    scipy_special = pytest.importorskip("autograd.scipy.special")

    def loss(params):
        logits = logits_of(anp.tanh, params, X)
        picked = logits[anp.arange(len(X)), LABELS]
        return anp.mean(scipy_special.logsumexp(logits, axis=1) - picked)

    return lambda: autograd.grad(loss)(PARAMS)


def torch_():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    params = [torch.tensor(array, requires_grad=True) for array in PARAMS]
    x, labels = torch.tensor(X), torch.tensor(LABELS)

    def run():
        for parameter in params:
            parameter.grad = None
        logits = logits_of(torch.tanh, params, x)
        torch.nn.functional.cross_entropy(logits, labels).backward()
        return [parameter.grad.numpy() for parameter in params]

    return run


ENGINES = {
    "autodiff": own,
    "autodiff nn.MLP": own_module,
    "hand-written NumPy": lambda: by_hand,
    "torch": torch_,
    "autograd": autograd_,
}


@pytest.mark.parametrize("engine", ENGINES)
def test_gradient(benchmark, engine):
    benchmark.group = "gradient of MLP 784-256-128-10, batch 128"
    run = ENGINES[engine]()
    for got, wanted in zip(run(), by_hand(), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-6)
    benchmark.pedantic(run, rounds=150, warmup_rounds=10)
