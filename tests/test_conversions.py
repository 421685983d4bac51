"""What is said where a Tensor would become an array or a number: and that it helps to follow it."""

from __future__ import annotations

import cmath
import math
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
import autodiff.numpy as anp
from autodiff.numpy.counterparts import counterpart

scipy = pytest.importorskip("scipy")

from scipy import (  # noqa: E402
    fft,
    integrate,
    interpolate,
    linalg,
    ndimage,
    optimize,
    signal,
    sparse,
    special,
    stats,
)

M = np.array([[2.0, 0.5], [0.5, 3.0]])
V = np.array([0.5, 1.5])
PLAIN = np.zeros(2)
S = 1.7


class Case(NamedTuple):
    """A conversion, what is said first, and the same program after following that."""

    wrong: Callable[..., Any]
    advice: str
    right: Callable[..., Any] | None
    x: Any


def total(x: Any) -> Any:
    return np.sum(x * x)


@ad.custom_vjp
def root(a: Any) -> Any:
    return optimize.brentq(lambda x: x * x - a, 0.0, 9.0)


@ad.custom_vjp
def area(a: Any) -> Any:
    return integrate.quad(lambda x: np.exp(-a * x), 0.0, 1.0)[0]


def _with_rules() -> None:
    root.def_vjp(
        lambda a: (x := root(a), x),
        lambda x, g: (g / (2 * x),),
    )
    area.def_vjp(
        lambda a: (area(a), a),
        lambda a, g: (-g * integrate.quad(lambda x: x * np.exp(-a * x), 0.0, 1.0)[0],),
    )


_with_rules()


def own(name: str) -> Any:
    """A function of `autodiff.scipy`, imported when it is used and not before."""
    package, _, rest = name.partition(".")
    found = getattr(ad.scipy, package)
    for part in rest.split("."):
        found = getattr(found, part)
    return found


def join(x: Any) -> Any:
    return [x[0], x[1]]


SOLVER = r"as the solver of ad\.root\(residual, solver\)"
CASES = {
    # the program itself asks NumPy
    "np.array of a Tensor": Case(
        lambda x: np.array(x), "autodiff.numpy.array for", lambda x: anp.array(x), V
    ),
    "np.array of a list": Case(
        lambda x: np.array([x[0], 2.0]),
        "write autodiff.numpy.array for numpy.array",
        lambda x: anp.array([x[0], 2.0]),
        V,
    ),
    "np.array of nested lists": Case(
        lambda x: np.array([[x[0], 1.0], [0.0, x[1]]]),
        "write autodiff.numpy.array for numpy.array",
        lambda x: anp.array([[x[0], 1.0], [0.0, x[1]]]),
        V,
    ),
    "np.asarray": Case(
        lambda x: np.asarray(x), "write autodiff.numpy.asarray", lambda x: anp.asarray(x), V
    ),
    "over lines": Case(
        lambda x: np.asarray(
            join(x),
            dtype=float,
        ),
        "write autodiff.numpy.asarray",
        lambda x: anp.asarray(join(x), dtype=float),
        V,
    ),
    "np.vectorize": Case(
        lambda x: np.vectorize(lambda t: t * t)(x),
        "write autodiff.numpy.vectorize for numpy.vectorize",
        lambda x: anp.vectorize(lambda t: t * t)(x),
        V,
    ),
    "a function of a list": Case(
        lambda x: np.sum(join(x)), "autodiff.numpy.sum", lambda x: anp.sum(join(x)), V
    ),
    "a ufunc of a list": Case(
        lambda x: np.sin(join(x)), "with np.stack", lambda x: np.sin(np.stack(join(x))), V
    ),
    "a determinant of lists": Case(
        lambda x: np.linalg.det([[x[0], 1.0], [0.0, x[1]]]),
        "nested lists with autodiff.numpy.array",
        lambda x: np.linalg.det(anp.array([[x[0], 1.0], [0.0, x[1]]])),
        V,
    ),
    # the program itself asks for a number
    "math.sin": Case(lambda x: math.sin(x), "write np.sin for math.sin", lambda x: np.sin(x), S),
    "math.pow": Case(lambda x: math.pow(x, 3), "np.pow for", lambda x: np.pow(x, 3), S),
    "math.fsum": Case(lambda x: math.fsum(x), "np.sum for math.fsum", lambda x: np.sum(x), V),
    "math.erf": Case(
        lambda x: math.erf(x),
        "write autodiff.scipy.special.erf for math.erf",
        lambda x: own("special.erf")(x),
        S,
    ),
    "cmath.exp": Case(lambda x: cmath.exp(x), "write np.exp for cmath.exp", lambda x: np.exp(x), S),
    "float": Case(lambda x: float(x), "use the Tensor as it is", lambda x: x, S),
    "complex": Case(lambda x: complex(x), "use the Tensor as it is", lambda x: x, S),
    "array.array": Case(
        lambda x: __import__("array").array("d", [x]), "use the Tensor as it is", lambda x: x, S
    ),
    "random numbers": Case(
        lambda x: np.random.default_rng(0).normal(x, 1.0),
        "mean + scale * rng.standard_normal(shape)",
        lambda x: x + 1.0 * np.random.default_rng(0).standard_normal(2),
        V,
    ),
    "np.random": Case(
        lambda x: np.random.normal(x),  # noqa: NPY002  # as people write it
        "draw standard numbers",
        lambda x: x + np.random.default_rng(0).standard_normal(2),
        V,
    ),
    "array.put": Case(lambda x: PLAIN.put([0, 1], x), "with np.zeros_like(tensor)", None, V),
    # a library asks
    **{
        f"scipy.{name}": Case(
            wrong,
            f"write autodiff.scipy.{name} for scipy.{name}",
            lambda x, name=name, right=right: right(own(name), x),
            x,
        )
        for name, wrong, right, x in [
            ("linalg.cho_factor", linalg.cho_factor, lambda f, x: np.triu(f(x)[0]), M),
            ("linalg.cholesky", linalg.cholesky, lambda f, x: f(x), M),
            ("linalg.expm", linalg.expm, lambda f, x: f(x), M),
            ("linalg.sqrtm", linalg.sqrtm, lambda f, x: f(x), M),
            ("linalg.solve", lambda x: linalg.solve(x, V), lambda f, x: f(x, V), M),
            ("signal.convolve", lambda x: signal.convolve(x, V), lambda f, x: f(x, V), V),
            ("stats.norm.logpdf", lambda x: stats.norm.logpdf(x), lambda f, x: f(x), V),
            ("special.logsumexp", special.logsumexp, lambda f, x: f(x), V),
            ("fft.fft", lambda x: fft.fft(x), lambda f, x: np.abs(f(x)), V),
            ("linalg.eigvalsh", lambda x: linalg.eigvalsh(x), lambda f, x: f(x), M),
            (
                "interpolate.CubicSpline",
                lambda x: interpolate.CubicSpline([0, 1], x),
                lambda f, x: f([0, 1], x)(0.3),
                V,
            ),
            (
                "interpolate.interp1d",
                lambda x: interpolate.interp1d([0, 1], x),
                lambda f, x: f([0, 1], x)(0.3),
                V,
            ),
            (
                "ndimage.gaussian_filter",
                lambda x: ndimage.gaussian_filter(x, 1.0),
                lambda f, x: f(x, 1.0),
                V,
            ),
            (
                "signal.lfilter",
                lambda x: signal.lfilter([1.0], [1.0], x),
                lambda f, x: f([1.0], [1.0, 0.5], x),
                V,
            ),
        ]
    },
    "scipy.integrate.trapezoid": Case(
        lambda x: integrate.trapezoid(x),
        "write autodiff.scipy.integrate.trapezoid for scipy.integrate.trapezoid",
        lambda x: np.trapezoid(x),
        V,
    ),
    "scipy.integrate.simpson": Case(
        lambda x: integrate.simpson(x),
        "write autodiff.scipy.integrate.simpson for scipy.integrate.simpson",
        None,
        V,
    ),
    **{
        f"scipy.optimize.{name}": Case(
            lambda a, name=name: getattr(optimize, name)(lambda x: x * x - a, 0.0, 9.0),
            f"write autodiff.scipy.optimize.{name} for",
            root,
            S,
        )
        for name in ("brentq", "brenth", "bisect", "ridder", "toms748")
    },
    "scipy.optimize.root_scalar": Case(
        lambda a: optimize.root_scalar(lambda x: x * x - a, bracket=(0.0, 9.0)),
        "write autodiff.scipy.optimize.root_scalar for",
        root,
        S,
    ),
    "scipy.optimize.minimize_scalar": Case(
        lambda a: optimize.minimize_scalar(lambda x: (x * x - a) ** 2),
        "write autodiff.scipy.optimize.minimize_scalar for",
        root,
        S,
    ),
    "scipy.optimize.minimize": Case(
        lambda a: optimize.minimize(lambda x: (x[0] ** 2 - a) ** 2, 1.0),
        "write autodiff.scipy.optimize.minimize for",
        root,
        S,
    ),
    "scipy.optimize.least_squares": Case(
        lambda a: optimize.least_squares(lambda x: x * x - a, 1.0),
        "write autodiff.scipy.optimize.least_squares for",
        root,
        S,
    ),
    "scipy.integrate.quad": Case(
        lambda a: integrate.quad(lambda x: np.exp(-a * x), 0.0, 1.0),
        "write autodiff.scipy.integrate.quad for scipy.integrate.quad",
        area,
        S,
    ),
    "scipy.integrate.solve_ivp": Case(
        lambda a: integrate.solve_ivp(lambda t, y: -a * y, (0.0, 1.0), [1.0]),
        "write autodiff.scipy.integrate.solve_ivp for scipy.integrate.solve_ivp",
        None,
        S,
    ),
    "scipy.integrate.odeint": Case(
        lambda a: integrate.odeint(lambda y, t: -a * y, [1.0], [0.0, 1.0]),
        "write autodiff.scipy.integrate.odeint for scipy.integrate.odeint",
        None,
        S,
    ),
    **{
        name: Case(wrong, f"{name} has no derivative here: write it with NumPy", None, V)
        for name, wrong in {
            "scipy.sparse.csr_matrix": lambda x: sparse.csr_matrix(np.eye(2)) @ x,
        }.items()
    },
}


def refusal_of(case: Case) -> str:
    """The message, or that of the error that a library raised because of it."""
    tensor = ad.Tensor(case.x) * 1.0
    with pytest.raises((TypeError, ValueError)) as caught:
        case.wrong(tensor)
    error: BaseException | None = caught.value
    while error is not None and "derivative" not in str(error):
        error = error.__cause__
    return str(error)


@pytest.mark.parametrize("name", CASES)
def test_the_first_advice_is_the_differentiable_way(name: str) -> None:
    message = refusal_of(CASES[name])
    assert CASES[name].advice in message
    assert "would cut" in message
    data = message.find("tensor.data") if "tensor.data" in message else message.find(".item()")
    assert message.find(CASES[name].advice) < data or data == -1


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.right])
def test_the_first_advice_works(name: str) -> None:
    right = CASES[name].right
    assert right is not None
    order = 1 if name == "scipy.integrate.quad" else 2
    ad.check_grads(lambda x: total(right(x)), (CASES[name].x,), order=order)


def test_plots_take_the_numbers() -> None:
    figure = pytest.importorskip("matplotlib.figure")
    axes = figure.Figure().subplots()
    x = ad.Tensor(V)
    with pytest.raises(TypeError, match=r"matplotlib.* needs numbers and no derivative: .*\.data"):
        axes.plot(x)
    assert axes.plot(x.data)


def test_a_line_that_cannot_be_read() -> None:
    """A program without a file has no text to look at."""
    namespace = {"np": np, "x": ad.Tensor(V) * 1.0}
    with pytest.raises(TypeError, match=r"join a list of Tensors with np\.stack"):
        exec(compile("np.array(x)", "<nowhere>", "exec"), namespace)


def test_names_of_functions_are_looked_up_and_nothing_is_run() -> None:
    ran = []

    class Tempting:
        @property
        def sin(self) -> Any:
            ran.append(1)
            return math.sin

    tempting, x = Tempting(), ad.Tensor(S) * 1.0
    with pytest.raises(TypeError, match="use the Tensor as it is"):
        tempting.sin(x)
    assert ran == [1]  # by the program itself


def test_an_error_message_imports_nothing() -> None:
    code = (
        "import sys, numpy as np, autodiff as ad, scipy.linalg\n"
        "try: scipy.linalg.cho_factor(ad.Tensor(np.eye(2)))\n"
        "except TypeError as error: assert 'autodiff.scipy.linalg.cho_factor' in str(error)\n"
        "assert 'autodiff.scipy' not in sys.modules\n"
    )
    import subprocess

    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("package", ["linalg", "signal", "special", "stats"])
def test_counterparts_are_what_there_is(package: str) -> None:
    """For every public name of SciPy's, but for those that are SciPy's own here too."""
    theirs, ours = getattr(scipy, package), getattr(ad.scipy, package)
    for name in theirs.__all__:
        found = counterpart(f"scipy.{package}.{name}")
        numpys = getattr(np.linalg, name, None) if package == "linalg" else None
        if name in ours.__all__ and getattr(ours, name) is getattr(theirs, name):
            assert found is None or isinstance(getattr(ours, name), ModuleType)
        elif name in ours.__all__:
            assert found == f"autodiff.scipy.{package}.{name}"
        elif found is not None:
            assert found == f"np.linalg.{name}"
            assert numpys is not None
        if package != "stats" or name not in ours.__all__:
            continue
        if isinstance(getattr(ours, name), FunctionType):
            continue
        for method in ("pdf", "logpdf", "pmf", "sf", "ppf", "rvs", "entropy", "moment"):
            found = counterpart(f"scipy.stats.{name}.{method}")
            assert (found is not None) == hasattr(getattr(ours, name), method), method


@pytest.mark.parametrize("name", [name for name in dir(math) if not name.startswith("_")])
def test_counterparts_of_math(name: str) -> None:
    found = counterpart(f"math.{name}")
    if found is None:
        return
    place, _, function = found.rpartition(".")
    module = {"np": np, "autodiff.scipy.special": ad.scipy.special}[place]
    assert callable(getattr(module, function))


# --- pandas ---------------------------------------------------------------------------------------

PANDAS = '''
import numpy as np

class Series:
    """What pandas' does with what it does not know, as far as it matters here."""

    __array_priority__ = 1000
    __pandas_priority__ = 3000

    def __init__(self, data):
        self.values = data if isinstance(data, np.ndarray) else np.array(data)
        self.dtype, self.shape = self.values.dtype, self.values.shape

    def to_numpy(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)

    def __len__(self):
        return len(self.values)

    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        return Series(getattr(ufunc, method)(*map(np.asarray, inputs)))

    def __mul__(self, other):
        return Series(self.values * other)

    def __add__(self, other):
        return Series(self.values + other)

    def dot(self, other):
        return self.values @ np.asarray(other)

    __matmul__ = dot
'''


@pytest.fixture
def series(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A pandas Series, or where there is no pandas a stand-in."""
    try:
        import pandas

        return pandas.Series(V)
    except ImportError:
        module = ModuleType("pandas")
        monkeypatch.setitem(sys.modules, "pandas", module)
        exec(PANDAS, vars(module))
        return module.Series(V)


@pytest.mark.parametrize(
    "call",
    [
        lambda s, x: s * x,
        lambda s, x: s + x,
        lambda s, x: s @ x,
        lambda s, x: np.multiply(s, x),
    ],
)
def test_pandas(series: Any, call: Callable[[Any, Any], Any]) -> None:
    x = ad.Tensor(V) * 1.0
    with pytest.raises(TypeError, match=r"pandas\.?.* has no derivative: .*\.to_numpy\(\)"):
        call(series, x)
    ad.check_grads(lambda x: total(call(series.to_numpy(), x)), (V,))


def test_tensors_take_series(series: Any) -> None:
    ad.check_grads(lambda x: total(x * series), (V,))


@pytest.mark.parametrize("transform", [ad.grad, ad.value_and_grad, ad.jacobian, ad.hessian])
def test_derivatives_by_a_series(series: Any, transform: Any) -> None:
    with pytest.raises(TypeError, match=r"0 is of type Series, .*; pass .*\.to_numpy\(\)"):
        transform(total)(series)
    transform(total)(series.to_numpy())


def test_variables_of_a_series(series: Any) -> None:
    assert ad.Tensor(series).shape == (2,)
