"""Cost of one operation, forward and backward, where overhead is everything: chains of 1,000."""

import numpy as np
import pytest

import autodiff as ad

LENGTH = 1000


def chain_unary(sin, x):
    for _ in range(LENGTH):
        x = sin(x)
    return x


def chain_binary(x, y):
    for _ in range(LENGTH // 2):
        x = x * y
        x = x + y
    return x


def own(chain, start):
    def run():
        variables = [ad.Tensor(value) for value in start]
        np.sum(chain(*variables)).backward()
        return [variable.grad for variable in variables]

    return run


def autograd_(chain, start):
    autograd = pytest.importorskip("autograd")
    anp = pytest.importorskip("autograd.numpy")
    argnums = tuple(range(len(start)))
    gradient = autograd.grad(lambda *xs: anp.sum(chain(*xs)), argnums)
    return lambda: gradient(*start)


def torch_(chain, start):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)

    def run():
        variables = [torch.tensor(value, requires_grad=True) for value in start]
        chain(*variables).sum().backward()
        return [variable.grad.numpy() for variable in variables]

    return run


def micrograd_(chain, start):
    engine = pytest.importorskip("micrograd.engine")

    def run():
        variables = [engine.Value(float(value)) for value in start]
        chain(*variables).backward()
        return [np.asarray(variable.grad) for variable in variables]

    return run


def sine_of(engine):
    if engine == "autograd":
        return pytest.importorskip("autograd.numpy").sin
    if engine == "torch":
        return pytest.importorskip("torch").sin
    return np.sin


ENGINES = {"autodiff": own, "autograd": autograd_, "torch": torch_, "micrograd": micrograd_}
X, Y = np.linspace(0.1, 0.4, 4), np.linspace(0.5, 0.6, 4)
CASES = {
    "sin on 4 elements": (lambda sin: lambda x: chain_unary(sin, x), (X,)),
    "x * y + y on 4 elements": (lambda sin: chain_binary, (X, Y)),
    "x * y + y on scalars": (lambda sin: chain_binary, (np.float64(0.3), np.float64(0.5))),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_chain(benchmark, case, engine):
    make_chain, start = CASES[case]
    if engine == "micrograd" and "scalars" not in case:
        pytest.skip("scalars only")
    benchmark.group = f"chain of 1,000: {case}"
    run = ENGINES[engine](make_chain(sine_of(engine)), start)
    reference = own(make_chain(np.sin), start)()
    for got, wanted in zip(run(), reference, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9)
    benchmark.pedantic(run, rounds=60, warmup_rounds=3)
