"""The drop-in namespace ``autodiff.numpy``: NumPy's names are there and right, or refuse."""

import subprocess
import sys
import types

import numpy
import numpy as onp
import pytest

import autodiff as ad
import autodiff.numpy as np
from autodiff.numpy.creation import OVERRIDES
from autodiff.ops.protocol import FUNCTIONS, UFUNCS

NAMES = [name for name in dir(numpy) if not name.startswith("_")]
DISPATCHED = {
    name: function
    for name in NAMES
    if hasattr(function := getattr(numpy, name), "_implementation")
    and not isinstance(function, type)
}
NUMPY_UFUNCS = {n: f for n in NAMES if isinstance(f := getattr(numpy, n), numpy.ufunc)}

REFUSED = {
    *("busday_count", "busday_offset", "datetime_as_string", "is_busday"),
    *("packbits", "unpackbits", "save", "savetxt", "savez", "savez_compressed"),
}
"""Dispatched functions that stand for no function of numbers: a Tensor is an error."""

REFUSED_UFUNCS = {
    *("bitwise_count", "bitwise_left_shift", "bitwise_right_shift", "left_shift", "right_shift"),
    *("gcd", "lcm", "isnat", "nextafter", "spacing"),
}
"""Ufuncs on integers, on times, and on the spacing of floats."""

FORMER = {"in1d", "trapz"}
"""Names that some versions of NumPy have and that are deprecated there."""

WITHOUT_ARRAYS = {
    *("arange", "bartlett", "blackman", "hamming", "hanning", "kaiser", "eye", "identity", "tri"),
    *("zeros", "ones", "empty", "indices", "diag_indices", "mask_indices", "tril_indices"),
    *("triu_indices", "fromfunction", "frombuffer", "fromfile", "fromregex", "fromstring"),
    *("genfromtxt", "loadtxt", "load", "from_dlpack", "asmatrix", "bmat", "frompyfunc"),
    *("base_repr", "binary_repr", "broadcast_shapes", "format_float_positional"),
    *("format_float_scientific", "datetime_data", "mintypecode", "typename", "promote_types"),
    *("isdtype", "issubdtype", "isscalar", "iterable", "nested_iters", "row_stack", "test"),
    *("get_include", "get_printoptions", "set_printoptions", "printoptions", "getbufsize"),
    *("setbufsize", "geterr", "seterr", "geterrcall", "seterrcall", "info", "show_config"),
    "show_runtime",
}
"""Functions that NumPy does not dispatch: on shapes, types, texts and files, or plain numbers."""


def test_every_name_of_numpy_is_here():
    assert set(dir(np)) == set(dir(numpy))
    for name in NAMES:
        value = getattr(np, name)
        if name not in OVERRIDES and name not in ("fft", "linalg", "random"):
            assert value is getattr(numpy, name), name
    with pytest.raises(AttributeError, match="nonsense"):
        np.nonsense  # noqa: B018  # the access is the test


def test_star_import_gives_what_numpys_gives():
    here: dict[str, object] = {}
    exec("from autodiff.numpy import *", here)
    assert set(numpy.__all__) <= set(here)
    assert here["array"] is np.array


def test_every_dispatched_function_is_implemented_or_refused():
    missing = {name for name, f in DISPATCHED.items() if f not in FUNCTIONS}
    assert missing - FORMER == REFUSED & set(DISPATCHED)
    assert {name for name, f in NUMPY_UFUNCS.items() if f not in UFUNCS} == REFUSED_UFUNCS


def test_every_other_function_is_known():
    others = {
        name
        for name in NAMES
        if isinstance(getattr(numpy, name), (types.FunctionType, types.BuiltinFunctionType))
        and name not in DISPATCHED
        and name not in OVERRIDES
    }
    assert others - WITHOUT_ARRAYS - FORMER == set()


@pytest.mark.parametrize("name", sorted(REFUSED - {"savetxt", "save", "savez", "savez_compressed"}))
def test_refused_functions_say_so(name):
    count = 2 if name.endswith(("count", "offset")) else 1
    with pytest.raises(TypeError, match=rf"np\.{name} has no derivative rule"):
        getattr(np, name)(*[ad.Tensor([1.0, 2.0])] * count)


@pytest.mark.parametrize("name", sorted(REFUSED_UFUNCS))
def test_refused_ufuncs_say_so(name):
    ufunc = getattr(np, name)
    with pytest.raises(TypeError, match="has no derivative rule"):
        ufunc(*[ad.Tensor([1.0, 2.0])] * ufunc.nin)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.save("nowhere/file.npy", t),
        lambda t: np.asmatrix(t),
        lambda t: np.bmat([[np.atleast_2d(t)]]),
        lambda t: np.float64(t),
        lambda t: np.float32(t),
        lambda t: np.complex128(t),
        lambda t: np.nditer(t),
        lambda t: np.ndenumerate(t),
        lambda t: np.arange(t),
        lambda t: np.zeros(t),
        lambda t: np.eye(t),
        lambda t: np.isfortran(t),
        lambda t: np.frompyfunc(abs, 1, 1)(t),
        lambda t: np.kaiser(4, t),
        lambda t: np.random.normal(t, 1.0),
        lambda t: np.linspace(0.0, 1.0, t),
    ],
)
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_what_takes_no_tensor_raises(call):
    with pytest.raises(TypeError):
        call(ad.Tensor([1.0, 2.0]))
    with pytest.raises(TypeError):
        call(ad.Tensor(2.0))


V = onp.array([0.3, -1.2, 2.1])
M = onp.array([[0.5, -0.7, 1.1], [2.0, 0.1, -0.4]])


def _shrink(x, limit):
    return x - limit if x > limit else x * x


CALLS = {
    "array of scalars": (lambda x: np.array([[x[0], x[1]], [x[2], 1.0]]), V),
    "array of rows": (lambda x: np.array([x, [1.0, 2.0, 3.0], 2 * x]), V),
    "array of a tuple": (lambda x: np.array((x[0], (x[1] * x[2]))), V),
    "array ndmin": (lambda x: np.array(x, dtype=np.float64, ndmin=3), V),
    "array mixed": (lambda x: np.array([[x, x * x], [V, M[0]]]), V),
    "asarray": (lambda x: np.asarray([x, x]) * np.asanyarray(x), V),
    "ascontiguousarray": (lambda x: np.ascontiguousarray(x[0]) * np.asfortranarray(x), V),
    "asarray_chkfinite require": (lambda x: np.asarray_chkfinite(x) * np.require(x, float), V),
    "full": (lambda x: np.full((2, 3), x), V),
    "full_like": (lambda x: np.full_like(M, x[0]) + np.full_like(M, x, shape=(2, 3)), V),
    "zeros_like": (lambda x: np.zeros_like(x) + np.ones_like(x) * x, V),
    "stack of lists": (lambda x: np.stack([[x[0], 1.0], [2.0, x[2]]]), V),
    "concatenate of lists": (lambda x: np.concatenate([[x[0], 1.0], x, [x[2]]]), V),
    "vstack hstack": (
        lambda x: np.vstack([[x[0], 1.0], [x[1], x[1]]]) + np.hstack([x[0], [x[1]]]),
        V,
    ),
    "dstack column_stack": (
        lambda x: (
            np.dstack([[x[0], 1.0], [x[2], 4.0]])[0] * np.column_stack([[x[0], 1.0], [3.0, 2.0]])
        ),
        V,
    ),
    "block": (lambda x: np.block([[x[0], x[1:2]], [1.0, x[2]]]), V),
    "fromiter": (lambda x: np.fromiter((v * v for v in x), float), V),
    "fromfunction": (lambda x: np.fromfunction(lambda i, j: x[i] * j, (3, 2), dtype=int), V),
    "select default": (lambda x: np.select([V > 1], [2.0], x), V),
    "vectorize": (lambda x: np.vectorize(_shrink)(x, 0.2), M),
    "vectorize two": (lambda x: np.vectorize(_shrink)(x[:, None], limit=V), M[:, 0]),
    "vectorize several": (
        lambda x: np.multiply(*np.vectorize(lambda v: (v, v * v), otypes=[float, float])(x)),
        M,
    ),
    "vectorize excluded": (
        lambda x: np.vectorize(np.polyval, excluded=[0, "p"])([x[0, 0], 1.0, x[0, 1]], x),
        M,
    ),
    "vectorize signature": (
        lambda x: np.vectorize(lambda a, b: a @ b, signature="(n),(n)->()")(x, V),
        M,
    ),
    "poly1d": (lambda x: np.poly1d(V)(x), M),
    "linalg fft": (lambda x: np.linalg.norm(x, axis=1) * 2.0, M),
}


@pytest.mark.parametrize("name", CALLS)
def test_value_and_derivatives(name):
    call, x = CALLS[name]
    expected = call(x)
    result = call(ad.Tensor(x))
    assert isinstance(result, ad.Tensor)
    onp.testing.assert_allclose(result.data, expected, rtol=1e-13, atol=1e-14)
    assert result.dtype == expected.dtype
    ad.check_grads(call, (x,), order=2)


def test_array_of_variables_backward():
    t1, t2, t3 = ad.Tensor(1.0), ad.Tensor(2.0), ad.Tensor(3.0)
    np.sum(np.array([[t1, t2], [t3, 1.0]]) ** 2).backward()
    assert (t1.grad, t2.grad, t3.grad) == (2.0, 4.0, 6.0)


def test_plain_numbers_stay_plain():
    for made in (
        np.array([[1, 2], [3, 4]]),
        np.asarray([1.0]),
        np.full(3, 2),
        np.stack([[1], [2]]),
    ):
        assert type(made) is onp.ndarray
    assert np.array([1, 2]).dtype == onp.array([1, 2]).dtype
    assert np.array([1, 2], dtype=np.float32).dtype == onp.float32
    assert type(np.random.default_rng(0).normal(size=3)) is onp.ndarray
    assert np.pi == onp.pi
    assert np.vectorize(_shrink)(V, 0.2).shape == (3,)
    assert list(np.fromiter((i for i in range(3)), int)) == [0, 1, 2]


def test_array_makes_a_copy():
    x = ad.Tensor([1.0, 2.0])
    y = np.array(x)
    y[0] = 5.0
    onp.testing.assert_array_equal(x.data, [1.0, 2.0])
    assert np.asarray(x) is x


def test_low_precision():
    x = ad.Tensor(onp.float32(2.0))
    assert np.array([x, x]).dtype == onp.float32
    assert np.array([x, 1.0]).dtype == onp.array([onp.float32(2.0), 1.0]).dtype
    assert np.array([x, x], dtype=np.float64).dtype == onp.float64
    assert np.full(2, x).dtype == onp.float32


def test_submodules():
    import autodiff.numpy.fft as fft
    import autodiff.numpy.linalg as linalg
    import autodiff.numpy.random as random

    assert np.linalg is linalg
    assert np.fft is fft
    assert np.random is random
    assert linalg.norm is numpy.linalg.norm
    assert fft.fft is numpy.fft.fft
    assert set(numpy.linalg.__all__) <= set(dir(linalg))
    assert set(numpy.fft.__all__) <= set(dir(fft))
    assert set(numpy.random.__all__) <= set(dir(random))


def test_import_of_the_package_does_not_import_the_namespace():
    code = (
        "import sys, autodiff; assert 'autodiff.numpy' not in sys.modules; "
        "autodiff.numpy.array; assert 'autodiff.numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


MAKERS = {
    "zeros": lambda: np.zeros((2, 2)),
    "ones": lambda: np.ones((2, 2)),
    "empty": lambda: np.empty((2, 2)),
    "full": lambda: np.full((2, 2), 3.0),
    "eye": lambda: np.eye(2),
    "identity": lambda: np.identity(2),
    "tri": lambda: np.tri(2),
    "zeros_like": lambda: np.zeros_like(numpy.ones((2, 2))),
    "ones_like": lambda: np.ones_like(numpy.ones((2, 2))),
    "empty_like": lambda: np.empty_like(numpy.ones((2, 2))),
    "full_like": lambda: np.full_like(numpy.ones((2, 2)), 3.0),
}


@pytest.mark.parametrize("name", MAKERS)
def test_arrays_that_are_made_to_be_filled_hold_tensors_inside_a_transform(name):
    def filled(x):
        made = MAKERS[name]()
        made[:, 0] = x
        made[0, 1] = x * x
        return np.sum(made[:, 0]) + made[0, 1]

    assert ad.grad(filled)(3.0) == 2.0 + 6.0
    assert isinstance(MAKERS[name](), numpy.ndarray)


@pytest.mark.parametrize("name", ["zeros_like", "ones_like", "empty_like", "full_like"])
def test_arrays_like_arrays_of_integers_are_arrays(name):
    rest = (1,) if name == "full_like" else ()

    def called(x):
        assert isinstance(getattr(np, name)(numpy.arange(3), *rest), numpy.ndarray)
        return x * x

    assert ad.grad(called)(3.0) == 6.0
