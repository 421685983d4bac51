"""``np.fft`` on Tensors: every function, length, axis and norm; closed forms and adjoints.

Each call is written once, for arrays and Tensors alike.
"""

import numpy as np
import pytest
from test_numpy_functions import test_float32_stays_float32 as check_float32
from test_numpy_functions import test_value_and_derivatives as check_call

import autodiff as ad
from autodiff.errors import NonDifferentiableError
from autodiff.ops.protocol import FUNCTIONS

fft = np.fft
RNG = np.random.default_rng(6)
V = np.array([0.3, -1.2, 2.1, 0.7])
W = np.array([1.5, -0.4, 0.9])
M = RNG.standard_normal((3, 4))
A = RNG.standard_normal((2, 3, 4))
PHASES = np.exp(1j * np.arange(4.0))
"""Makes complex numbers of real ones, and none of them real or imaginary."""

ONE_AXIS = {
    "fft": (fft.fft, V),
    "ifft": (fft.ifft, V),
    "rfft": (fft.rfft, V),
    "irfft": (fft.irfft, V),
    "hfft": (fft.hfft, V),
    "ihfft": (fft.ihfft, V),
}
SEVERAL_AXES = (
    fft.fft2,
    fft.ifft2,
    fft.fftn,
    fft.ifftn,
    fft.rfft2,
    fft.irfft2,
    fft.rfftn,
    fft.irfftn,
)

CALLS = {
    "shift even": (lambda x: fft.fftshift(x) * V, V),
    "shift odd": (lambda x: fft.fftshift(x) * W, W),
    "shift all axes": (lambda x: fft.fftshift(x), A),
    "shift axes": (lambda x: fft.fftshift(x, axes=(0, -1)) + fft.fftshift(x, axes=1), A),
    "unshift odd": (lambda x: fft.ifftshift(x) * W, W),
    "unshift axes": (lambda x: fft.ifftshift(x, axes=[1]), M),
    "shift and back": (lambda x: fft.ifftshift(fft.fftshift(x)), M),
    "frequencies": (lambda x: x * fft.fftfreq(4, 0.1) + np.sum(fft.rfftfreq(5) * W), V),
    "fft of products": (lambda x: np.real(fft.ifft(fft.fft(x) * fft.fft(V))), V),
    "power spectrum": (lambda x: np.abs(fft.rfft(x)) ** 2, M),
    "fftn no axes": (lambda x: fft.fftn(x, axes=()), M),
    "fftn repeated axis": (lambda x: np.real(fft.fftn(x, axes=(1, 1))), M),
    "fftn zero-d": (lambda x: np.real(fft.fftn(x)), np.array(2.5)),
    "fftn keeps axes": (lambda x: fft.fftn(x, s=(-1, 2), axes=(0, 2)), A),
}
for _name, (_function, _) in ONE_AXIS.items():
    for _x, _label in ((V, "even"), (W, "odd")):
        CALLS[f"{_name} {_label}"] = (_function, _x)
        for _n in (2, 3, 6, 7):
            CALLS[f"{_name} {_label} n={_n}"] = (lambda x, f=_function, n=_n: f(x, n), _x)
    for _norm in ("backward", "ortho", "forward"):
        CALLS[f"{_name} {_norm}"] = (
            lambda x, f=_function, k=_norm: f(x, n=5, axis=1, norm=k),
            A,
        )
    CALLS[f"{_name} one point"] = (lambda x, f=_function: f(x[:, :2], 1, axis=0), M)
for _function in SEVERAL_AXES:
    _name = _function.__name__
    CALLS[_name] = (_function, M)
    CALLS[f"{_name} axes"] = (lambda x, f=_function: f(x, axes=(2, 0), norm="ortho"), A)
    CALLS[f"{_name} s"] = (
        lambda x, f=_function: f(x, s=(5, 2), axes=(0, 1), norm="forward"),
        A,
    )


@pytest.fixture(autouse=True)
def table(monkeypatch):
    monkeypatch.setattr("test_numpy_functions.CALLS", CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_value_and_derivatives(name):
    check_call(name)


@pytest.mark.parametrize("name", CALLS)
def test_float32_stays_float32(name):
    check_float32(name)
    call, x = CALLS[name]
    low = x.astype(np.float32)
    assert call(ad.Tensor(low)).dtype == call(low).dtype


COMPLEX = {
    **{f.__name__: (f, M * PHASES) for f in (fft.fft, fft.ifft, fft.fft2, fft.ifftn)},
    **{
        f"{f.__name__} n={n} {norm}": (lambda z, f=f, n=n, k=norm: f(z, n, norm=k), M * PHASES)
        for f in (fft.irfft, fft.hfft, fft.fft, fft.ifft)
        for n in (1, 4, 5, 8, 9)
        for norm in ("backward", "ortho", "forward")
    },
    "irfftn": (lambda z: fft.irfftn(z, s=(4, 5), axes=(0, 1)), M * PHASES),
    "irfft2": (lambda z: fft.irfft2(z), M * PHASES),
    "round trip": (lambda z: fft.fftn(fft.ifftn(z)), M * PHASES),
    "shift": (lambda z: fft.fftshift(z), M * PHASES),
    "modulus": (lambda z: np.abs(fft.fft2(z)), M * PHASES),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_value_and_derivatives(name):
    call, z = COMPLEX[name]
    result = call(ad.Tensor(z))
    np.testing.assert_allclose(result.data, call(z), rtol=1e-13, atol=1e-13)
    assert result.dtype == call(z).dtype
    ad.check_grads(call, (z,), order=2)
    low = z.astype(np.complex64)
    t = ad.Tensor(low)
    out = call(t)
    assert out.dtype == call(low).dtype
    np.sum(np.real(out)).backward()
    assert t.grad.dtype == np.complex64


# --- closed forms ---------------------------------------------------------------------------------


def matrix(n):
    """The transform as a matrix."""
    return np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n)


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_transform_is_its_own_transpose(n):
    g = RNG.standard_normal(n) + 1j * RNG.standard_normal(n)
    z = RNG.standard_normal(n) + 1j * RNG.standard_normal(n)
    (pulled,) = ad.vjp(fft.fft, z)[1](g)
    np.testing.assert_allclose(pulled, matrix(n) @ g, atol=1e-12)
    (pulled,) = ad.vjp(fft.ifft, z)[1](g)
    np.testing.assert_allclose(pulled, np.conj(matrix(n)) @ g / n, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_real_transform(n):
    terms = n // 2 + 1
    jacobian = ad.jacobian(lambda x: np.real(fft.rfft(x)))(RNG.standard_normal(n))
    np.testing.assert_allclose(jacobian, matrix(n).real[:terms], atol=1e-12)
    jacobian = ad.jacobian(lambda x: np.imag(fft.rfft(x)))(RNG.standard_normal(n))
    np.testing.assert_allclose(jacobian, matrix(n).imag[:terms], atol=1e-12)
    back = ad.jacobian(lambda x: fft.irfft(fft.rfft(x), n))(RNG.standard_normal(n))
    np.testing.assert_allclose(back, np.eye(n), atol=1e-12)


@pytest.mark.parametrize("n", [4, 5])
def test_imaginary_parts_that_are_not_read_have_no_gradient(n):
    z = (RNG.standard_normal(n // 2 + 1) + 1j).astype(complex)
    gradient = ad.grad(lambda z: np.sum(fft.irfft(z, n) * np.arange(n)))(z)
    assert gradient[0].imag == 0
    assert gradient[1].imag != 0
    if n % 2 == 0:
        assert abs(gradient[-1].imag) < 1e-15


def test_parseval():
    gradient = ad.grad(lambda x: np.sum(np.abs(fft.fft(x)) ** 2))(V)
    np.testing.assert_allclose(gradient, 2 * len(V) * V)
    gradient = ad.grad(lambda x: np.sum(np.abs(fft.fft2(x, norm="ortho")) ** 2))(M)
    np.testing.assert_allclose(gradient, 2 * M)


def test_heat_equation_solved_by_transforms():
    """The Hessian of half the energy after time t is exp(-2 t k^2) in Fourier space."""
    n, t = 7, 0.05
    decay = np.exp(-t * (2 * np.pi * fft.rfftfreq(n, 1 / n)) ** 2 / n)

    def energy(x):
        return 0.5 * np.sum(fft.irfft(decay * fft.rfft(x), n) ** 2)

    w = np.linalg.eigvalsh(ad.hessian(energy)(RNG.standard_normal(n)))
    np.testing.assert_allclose(w, np.sort([*decay**2, *decay[1:] ** 2]), atol=1e-12)


@pytest.mark.parametrize("function", [fft.fft, fft.rfft, fft.ihfft, fft.ifftn, fft.fftshift])
def test_vmap_of_value_and_gradient(function):
    def energy(x):
        return np.sum(np.abs(function(x) * 2.0 + 1.0) ** 2)

    rows = np.stack([function(x) for x in A])
    np.testing.assert_allclose(ad.vmap(function)(A), rows, rtol=1e-12, atol=1e-13)
    gradients = np.stack([ad.grad(energy)(x) for x in A])
    np.testing.assert_allclose(ad.vmap(ad.grad(energy))(A), gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("arguments", [{"s": (5,)}, {"s": (2, None), "axes": (1, 0)}])
@pytest.mark.parametrize("function", [fft.fftn, fft.irfftn, fft.rfftn])
def test_deprecated_arguments_warn_and_work(function, arguments):
    with pytest.warns(DeprecationWarning, match="NumPy 2.0"):
        expected = function(M, **arguments)
    with pytest.warns(DeprecationWarning, match=function.__name__):
        found = function(ad.Tensor(M), **arguments)
    np.testing.assert_allclose(found.data, expected, atol=1e-13)


def test_every_function_that_numpy_dispatches_is_there():
    names = {n for n in dir(fft) if hasattr(getattr(fft, n), "_implementation")}
    assert {"fft", "irfftn", "fftshift"} <= names
    assert {n for n in names if getattr(fft, n) not in FUNCTIONS} == set()


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: fft.fft(t, norm="unit"), ValueError, "fft: norm must be .*'unit'"),
        (lambda t: fft.fft(t, 0), ValueError, "at least 1, got 0"),
        (lambda t: fft.irfft(t[:, :1]), ValueError, "irfft: .*got 0"),
        (lambda t: fft.fft(t, axis=2), ValueError, "axis 2"),
        (lambda t: fft.rfft(t * 1j), TypeError, r"rfft: of real numbers, got complex128\[3,4\]"),
        (lambda t: fft.ihfft(t * 1j), TypeError, "ihfft: of real numbers"),
        (lambda t: fft.fft(t, out=np.zeros(4, complex)), NonDifferentiableError, "out"),
        (lambda t: fft.fftn(t, out=np.zeros(4, complex)), NonDifferentiableError, "out"),
        (lambda t: fft.fftn(t, s=(2,), axes=(0, 1)), ValueError, "different lengths"),
        (lambda t: fft.rfftn(t, axes=()), IndexError, "at least one axis"),
        (lambda t: fft.fftshift(t, axes=3), ValueError, "axis 3"),
    ],
)
def test_wrong_input_is_explained(call, error, message):
    with pytest.raises(error, match=message):
        call(ad.Tensor(M))
