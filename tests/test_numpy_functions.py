"""NumPy's functions on Tensors, with their keywords: values against NumPy, derivatives numerically.

Each call is written once, for arrays and Tensors alike.
"""

import numpy as np
import pytest

import autodiff as ad

RNG = np.random.default_rng(0)
A = RNG.standard_normal((2, 3, 4))
M = RNG.standard_normal((3, 4))
V = np.array([0.3, -1.2, 2.1, 0.7])
POSITIVE = RNG.uniform(0.5, 2.0, (3, 4))
MASK = np.array([[True, False, True, True], [False, True, True, False], [True, True, False, True]])

CALLS = {
    "sum axis": (lambda x: np.sum(x, axis=1), A),
    "sum negative axes": (lambda x: np.sum(x, axis=(-1, 0), keepdims=True), A),
    "sum where initial": (lambda x: np.sum(x, axis=0, where=MASK, initial=2.0), M),
    "sum dtype": (lambda x: np.sum(x, dtype=np.float64), M),
    "sum empty axes": (lambda x: np.sum(x, axis=()), M),
    "mean where": (lambda x: np.mean(x, axis=1, where=MASK, keepdims=True), M),
    "mean dtype": (lambda x: np.mean(x, dtype=np.float64), M),
    "prod": (lambda x: np.prod(x, axis=(0, 2)), A),
    "prod where initial": (lambda x: np.prod(x, axis=1, where=MASK, initial=2.0), M),
    "prod one zero": (lambda x: np.prod(x), np.array([1.0, 0.0, 3.0])),
    "prod two zeros": (lambda x: np.prod(x), np.array([1.0, 0.0, 0.0])),
    "max": (lambda x: np.max(x, axis=(0, 1)), A),
    "max where": (lambda x: np.max(x, axis=0, where=MASK, initial=-9.0), M),
    "min initial": (lambda x: np.min(x, axis=1, initial=-0.5, keepdims=True), M),
    "amax amin": (lambda x: np.amax(x) - np.amin(x, axis=0), M),
    "var": (lambda x: np.var(x, axis=1, ddof=1), M),
    "var where": (lambda x: np.var(x, axis=1, where=MASK), M),
    "var mean": (lambda x: np.var(x, axis=1, mean=np.mean(x, axis=1, keepdims=True)), M),
    "std correction": (lambda x: np.std(x, correction=1), M),
    "cumsum": (lambda x: np.cumsum(x), M),
    "cumsum axis": (lambda x: np.cumsum(x, axis=-1, dtype=np.float64), M),
    "clip": (lambda x: np.clip(x, -0.55, 0.45), M),
    "clip one side": (lambda x: np.clip(x, None, 0.45) + np.clip(x, -0.55, None), M),
    "clip keywords": (lambda x: np.clip(x, min=-0.55, max=0.45), M),
    "clip array bounds": (lambda x: np.clip(x, V - 1.0, V + 1.0), M),
    "where": (lambda x: np.where(MASK, x, 2.0 * x[0]), M),
    "maximum of scalar": (lambda x: np.maximum(x, 0.1) + np.minimum(0.2, x), M),
    "power": (lambda x: x**3 + x**1.7 + 2.0**x + x**x + np.power(x, -2), POSITIVE),
    "power of negative base": (lambda x: x**3 + x**2 + x**-1, M),
    "mod": (lambda x: x % 0.7 + np.remainder(2.5, x), POSITIVE),
    "logaddexp": (lambda x: np.logaddexp(x, V), M),
    "arctan2 hypot": (lambda x: np.arctan2(x, V) + np.hypot(x, V), M),
    "reshape": (lambda x: np.reshape(x, (4, -1)) * 2, M),
    "reshape F": (lambda x: np.reshape(x, (2, 6), order="F"), M),
    "ravel F": (lambda x: np.ravel(x, order="F"), M),
    "transpose": (lambda x: np.transpose(x, (1, 2, 0)), A),
    "transpose negative": (lambda x: np.transpose(x, (-1, 0, 1)), A),
    "matrix_transpose": (lambda x: np.matrix_transpose(x), A),
    "swapaxes moveaxis": (lambda x: np.swapaxes(x, 0, -1)[0].T @ np.moveaxis(x, 2, 0)[:, 0].T, A),
    "moveaxis several": (lambda x: np.moveaxis(x, [0, 1], [-1, 0]), A),
    "squeeze expand": (lambda x: np.squeeze(np.expand_dims(x, (0, 2)), axis=0), M),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2, 3, 4)), M),
    "concatenate": (lambda x: np.concatenate([x, 2 * x, np.ones((3, 1))], axis=-1), M),
    "concatenate flat": (lambda x: np.concatenate([x, x[0:1]], axis=None), M),
    "stack": (lambda x: np.stack([x, x * x, np.ones((3, 4))], axis=-1), M),
    "pad": (lambda x: np.pad(x, ((1, 0), (0, 2))), M),
    "pad value": (lambda x: np.pad(x, 1, constant_values=3.0), M),
    "pad values per side": (lambda x: np.pad(x, (1, 2), constant_values=((1, 2), (3, 4))), M),
    "matmul": (lambda x: x @ M.T + np.matmul(M @ M.T, x @ x.T) + M[0] @ x.T, M),
    "dot vectors": (lambda x: np.dot(x, V) + np.dot(V, x), V),
    "dot stack": (lambda x: np.dot(x, np.swapaxes(A, 1, 2)), M),
    "dot scalar": (lambda x: np.dot(x, 2.0), M),
    "inner": (lambda x: np.inner(x, M), M),
    "outer": (lambda x: np.outer(x, V) + np.outer(V, x).T.sum(), M),
    "tensordot": (lambda x: np.tensordot(x, A, axes=([0, 1], [1, 2])), M),
    "tensordot int": (lambda x: np.tensordot(x, x, axes=2), M),
    "tensordot zero": (lambda x: np.tensordot(x, V, axes=0), M),
    "einsum trace": (lambda x: np.einsum("ii", x[:, :3]), M),
    "einsum diagonal": (lambda x: np.einsum("ii->i", x[:, :3]), M),
    "einsum repeated": (lambda x: np.einsum("iij,j->ij", np.stack([x[:2, :2]] * 2), V[:2]), M),
    "einsum missing": (lambda x: np.einsum("ij,k->k", x, V), M),
    "einsum ellipsis": (lambda x: np.einsum("...ij,kj->...ik", x, M), A),
    "einsum broadcast ellipsis": (lambda x: np.einsum("...j,...j->...", x, A[:, :1]), A),
    "einsum implicit": (lambda x: np.einsum("ba,cb", x, x.T), M),
    "einsum three": (lambda x: np.einsum("ij,jk,kl->il", x, x.T, x), M),
    "einsum length one": (lambda x: np.einsum("ij,ij->j", x[:1], M), M),
    "einsum optimize": (lambda x: np.einsum("ij,kj->ik", x, M, optimize=True), M),
    "einsum lists": (lambda x: np.einsum(x, [0, 1], M, [2, 1], [0, 2]), M),
    "real imag": (lambda x: np.real(x) + np.imag(x * 1j) + np.angle(x + 1j), M),
    "abs complex": (lambda x: np.abs(x + 1j * V), M),
    "round": (lambda x: np.round(x, 1) * x, M),
    "copy astype": (lambda x: np.copy(x) * np.astype(x, np.float64), M),
    "full_like": (lambda x: np.full_like(M, 2.0) * x, M),
}

if np.lib.NumpyVersion(np.__version__) < "2.1.0":
    del CALLS["clip keywords"]  # its min and max are newer


@pytest.mark.parametrize("name", CALLS)
def test_value_and_derivatives(name):
    call, x = CALLS[name]
    expected = call(x)
    result = call(ad.Tensor(x))
    assert isinstance(result, ad.Tensor)
    np.testing.assert_allclose(result.data, expected, rtol=1e-13, atol=1e-14)
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    ad.check_grads(call, (x,), order=2)


@pytest.mark.parametrize("name", CALLS)
def test_float32_stays_float32(name):
    call, x = CALLS[name]
    t = ad.Tensor(x.astype(np.float32))
    result = call(t)
    np.sum(np.real(result)).backward()
    assert t.grad.dtype == np.float32
    assert t.grad.shape == x.shape


FUNCTIONS = [ad.logsumexp, ad.softmax, ad.log_softmax]


class TestStable:
    @pytest.mark.parametrize("function", FUNCTIONS)
    @pytest.mark.parametrize("scale", [1.0, 1e4])
    def test_large_logits(self, function, scale):
        x = np.array([[1.0, -1.0, 0.5], [-1.0, -1.0, -0.7]]) * scale
        shifted = np.longdouble(x) - np.max(x, axis=1, keepdims=True)
        total = np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
        expected = {
            ad.logsumexp: (total + np.max(x, axis=1, keepdims=True))[:, 0],
            ad.softmax: np.exp(shifted - total),
            ad.log_softmax: shifted - total,
        }[function]
        np.testing.assert_allclose(function(x, axis=1), expected.astype(float), rtol=1e-14)
        gradient = ad.grad(lambda x: np.sum(function(x, axis=1)[..., :1]))(x)
        assert np.isfinite(gradient).all()

    def test_rows_of_minus_infinity(self):
        x = np.array([[-np.inf, -np.inf], [0.0, -np.inf]])
        np.testing.assert_array_equal(ad.logsumexp(x, axis=1), [-np.inf, 0.0])
        np.testing.assert_array_equal(ad.softmax(x, axis=1), [[0, 0], [1, 0]])
        np.testing.assert_array_equal(ad.log_softmax(x, axis=1), [[-np.inf] * 2, [0, -np.inf]])
        gradient = ad.grad(lambda x: np.sum(ad.softmax(x, axis=1) * np.array([1.0, 2.0])))(x)
        np.testing.assert_array_equal(gradient, np.zeros((2, 2)))
        gradient = ad.grad(lambda x: ad.logsumexp(x, axis=1)[1] + ad.logsumexp(x, axis=1)[0])(x)
        np.testing.assert_array_equal(gradient, [[0, 0], [1, 0]])
        _, tangent = ad.jvp(lambda x: ad.softmax(x, axis=1), (x,), (np.ones((2, 2)),))
        assert np.isfinite(tangent).all()

    @pytest.mark.parametrize("function", [ad.sigmoid, ad.softplus, ad.relu])
    def test_activations_at_the_ends(self, function):
        x = np.array([-1e4, -40.0, 40.0, 1e4])
        expected = {
            ad.sigmoid: [0.0, 4.248354255291589e-18, 1.0, 1.0],
            ad.softplus: [0.0, 4.248354255291589e-18, 40.0, 1e4],
            ad.relu: [0.0, 0.0, 40.0, 1e4],
        }[function]
        np.testing.assert_allclose(function(x), expected, rtol=1e-12)
        slope = ad.elementwise_grad(function)(x)
        reference = [0.0, 0.0, 1.0, 1.0] if function is not ad.sigmoid else [0.0] * 4
        np.testing.assert_allclose(slope, reference, atol=1e-15)

    def test_logaddexp_of_minus_infinities(self):
        gradient = ad.grad(np.logaddexp, argnums=(0, 1))(-np.inf, -np.inf)
        assert gradient == (0.0, 0.0)
        assert ad.grad(np.logaddexp, argnums=(0, 1))(-np.inf, 1.0) == (0.0, 1.0)


class TestEdges:
    """Where a derivative is a matter of convention, the convention is this."""

    @pytest.mark.parametrize(
        ("function", "x", "slope"),
        [
            (np.abs, 0.0, 0.0),
            (ad.relu, 0.0, 0.0),
            (lambda x: np.maximum(x, 1.0), 1.0, 0.5),
            (lambda x: np.minimum(1.0, x), 1.0, 0.5),
            (lambda x: np.clip(x, 0.0, 1.0), 1.0, 1.0),
            (lambda x: np.clip(x, 0.0, 1.0), 0.0, 1.0),
            (lambda x: np.hypot(x, 0.0 * x), 0.0, 0.0),
            (lambda x: x**0, 0.0, 0.0),
            (lambda x: x**1, 0.0, 1.0),
            (lambda x: x**2, 0.0, 0.0),
            (lambda x: x ** np.array(0.0), 0.0, 0.0),
            (lambda x: 0.0**x, 1.0, 0.0),
            (lambda x: 0.0**x, 0.0, 0.0),
            (np.sign, 1.0, 0.0),
            (np.floor, 1.5, 0.0),
            (lambda x: x // 0.4, 1.5, 0.0),
            (lambda x: np.max(np.stack([x, x, x])), 1.0, 1.0),
        ],
    )
    def test_value_of_the_derivative(self, function, x, slope):
        assert ad.grad(function)(x) == slope
        assert ad.jvp(function, (x,), (1.0,))[1] == slope
        w = ad.Tensor(x)
        function(w).backward()
        assert w.grad == slope

    def test_equal_maxima_share_the_derivative(self):
        x = np.array([[1.0, 3.0, 3.0], [2.0, 1.0, 0.0]])
        np.testing.assert_array_equal(
            ad.grad(lambda x: np.sum(np.max(x, axis=1)))(x), [[0, 0.5, 0.5], [1, 0, 0]]
        )

    def test_bounds_of_clip_have_derivatives(self):
        gradient = ad.grad(lambda low, high: np.sum(np.clip(V, low, high)), argnums=(0, 1))
        assert gradient(-0.5, 1.0) == (1.0, 1.0)

    def test_complex_gradient_convention(self):
        z = np.array([1.0 + 2.0j, -0.5 + 0.3j])
        gradient = ad.grad(lambda z: np.sum(np.abs(z) ** 2))(z)
        np.testing.assert_allclose(gradient, 2 * np.conj(z))
        np.testing.assert_allclose(ad.grad(lambda z: np.sum(z**3), holomorphic=True)(z), 3 * z**2)
        gradient = ad.grad(lambda x: np.sum(np.abs(np.exp(1j * x) + x) ** 2))(np.array([0.3, 1.0]))
        assert gradient.dtype == np.float64

    @pytest.mark.parametrize(
        "function",
        [
            lambda x: np.abs(np.exp(1j * x) + 1j) + np.real(1j / (1j - x)),
            lambda x: np.imag(np.multiply(1j, x) ** 2 * (2.0 - 1j)),
        ],
    )
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_complex_number_on_the_left_of_a_number(self, function, dtype):
        t = ad.Tensor(dtype(0.3))
        result = function(t)
        assert result.dtype == dtype
        result.backward()
        assert t.grad.dtype == dtype
        ad.check_grads(function, (0.3,), order=2)

    @pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
    def test_empty_arrays(self, shape):
        x = np.ones(shape)
        for function in (np.sum, np.prod, lambda x: np.sum(np.tanh(x) @ np.ones(shape[-1]))):
            assert ad.grad(lambda x, f=function: np.sum(f(x)))(x).shape == shape

    def test_zero_dimensional(self):
        x = np.array(2.0)
        for function in (np.sum, np.mean, np.max, np.prod, np.cumsum, np.ravel):
            assert ad.grad(lambda x, f=function: np.sum(f(x) * 3.0))(x) == 3.0


class TestPlainResultsUnderTransforms:
    """What reads numbers keeps a guard on a tape, and is refused where there are many at once."""

    def test_where_with_a_condition_alone_is_guarded(self):
        tape = ad.record(lambda x: np.sum(x[np.where(x > 0)[0]]))(np.array([1.0, -1.0, 2.0]))
        assert tape.evaluate(np.array([3.0, -1.0, 4.0])) == 7.0
        with pytest.raises(ad.TapeError, match="record again"):
            tape.evaluate(np.array([-3.0, 1.0, 4.0]))

    def test_where_with_a_condition_alone_is_refused_in_a_batch(self):
        with pytest.raises(TypeError, match="stands for 2 examples at once"):
            ad.vmap(lambda x: np.where(x > 0)[0])(np.ones((2, 3)))

    def test_full_like_has_the_dtype_of_its_model(self):
        narrow, wide = ad.Tensor(np.ones(2, np.float32)), ad.Tensor(3.0)
        result = np.full_like(narrow, wide)
        assert result.dtype == np.float32
        np.sum(result).backward()
        assert wide.grad == 2.0


class TestNumbersAsRowsOfOne:
    """A reduction takes axis 0 or -1 of a number, as NumPy's does."""

    REDUCTIONS = ("sum", "prod", "max", "min", "nansum", "nanmax", "squeeze", "ptp")
    PLAIN = ("any", "all", "argmax", "argmin", "count_nonzero")

    @pytest.mark.parametrize("name", [*REDUCTIONS, *PLAIN])
    @pytest.mark.parametrize("axis", [0, -1])
    def test_as_numpy_does(self, name, axis):
        function = getattr(np, name)

        def reduced(x):
            return function(x, axis=axis) * x

        assert ad.value_and_grad(reduced)(3.0)[0] == reduced(np.array(3.0))
        with pytest.raises(np.exceptions.AxisError):
            ad.grad(lambda x: function(x, axis=1) * x)(3.0)

    @pytest.mark.parametrize("name", ["mean", "var", "std", "flip", "sort"])
    def test_others_refuse_as_numpys_do(self, name):
        function = getattr(np, name)
        for x in (np.array(3.0), ad.Tensor(3.0)):
            with pytest.raises(np.exceptions.AxisError):
                function(x, axis=0)

    def test_the_derivative(self):
        assert ad.grad(lambda x: np.sum(x**2, axis=-1))(3.0) == 6.0
        assert ad.grad(lambda x: np.max(x**2, axis=0, keepdims=True))(3.0) == 6.0


SPREADS = {
    "std": np.std,
    "std of rows": lambda x: np.sum(np.std(np.stack([x, x**2]), axis=1, ddof=1)),
    "std of complex numbers": lambda x: np.std(x * (1 + 1j)),
    "method": lambda x: x.std(keepdims=True)[0],
    "nanstd": lambda x: np.nanstd(np.append(x, np.nan)),
    "norm": lambda x: np.linalg.norm(x - np.mean(x)),
}


@pytest.mark.parametrize("spread", SPREADS.values(), ids=SPREADS)
def test_spreads_of_equal_elements_have_derivative_0_as_norms_have(spread):
    x = np.full(3, 2.0)
    np.testing.assert_array_equal(ad.grad(spread)(x), np.zeros(3))
    np.testing.assert_array_equal(ad.hessian(spread)(x), np.zeros((3, 3)))
    assert ad.jvp(spread, (x,), (np.arange(3.0),))[1] == 0
    np.testing.assert_array_equal(ad.compile(ad.grad(spread))(x), np.zeros(3))
    ad.check_grads(spread, (np.array([2.0, 0.5, 1.5]),), order=2)
    assert np.isnan(ad.grad(np.std)(np.array([1.0, np.nan]))).all()
    with np.errstate(all="ignore"):
        assert np.isnan(ad.grad(lambda x: np.sqrt(np.var(x)))(x)).all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_polynomial_is_one_operation(count: int) -> None:
    p, x = np.linspace(0.5, 2.0, count), np.linspace(-1.0, 1.0, 6).reshape(2, 3)
    assert len(ad.record(np.polyval)(p, x)) == 1
    ad.check_grads(np.polyval, (p, x), order=2)
    found = ad.vmap(np.polyval)(np.stack([p, 2 * p]), np.stack([x, -x]))
    np.testing.assert_allclose(found, [np.polyval(p, x), np.polyval(2 * p, -x)])
    found = ad.vmap(np.polyval, in_axes=(0, None))(np.stack([p, 2 * p]), x)
    np.testing.assert_allclose(found, [np.polyval(p, x), np.polyval(2 * p, x)])
    jacobian = ad.jacobian(lambda x: np.polyval(p, x))(x).reshape(6, 6)
    slopes = np.polyval(np.polyder(p), x) if count > 1 else np.zeros(6)
    np.testing.assert_allclose(jacobian, np.diag(np.ravel(slopes)))
