"""HIPS/autograd's module tree: its names, its conventions, and primitives that packages declare."""

from __future__ import annotations

import copy
import importlib
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
import autodiff.compat.autograd.numpy as anp
from autodiff.compat import autograd, install
from autodiff.compat.autograd import core, extend, test_util, tracer
from autodiff.compat.autograd.builtins import isinstance as of_values
from autodiff.compat.autograd.builtins import type as type_of_values
from autodiff.compat.autograd.core import VSpace, primitive_jvps, primitive_vjps, vspace
from autodiff.compat.autograd.misc import const_graph, fixed_points, flatten, optimizers
from autodiff.compat.autograd.misc.flatten import flatten_func
from autodiff.compat.autograd.misc.tracers import const_graph_unary, full_graph
from autodiff.compat.autograd.numpy import numpy_vjps
from autodiff.compat.autograd.numpy.numpy_boxes import ArrayBox
from autodiff.compat.autograd.util import quick_grad_check, subval, toposort

RNG = np.random.default_rng(3)
X = np.array([0.3, -1.2, 2.0])

MODULES = (
    "numpy",
    "numpy.linalg",
    "numpy.fft",
    "numpy.random",
    "numpy.numpy_boxes",
    "numpy.numpy_vspaces",
    "numpy.numpy_wrapper",
    "numpy.numpy_vjps",
    "numpy.numpy_jvps",
    "extend",
    "core",
    "tracer",
    "builtins",
    "util",
    "wrap_util",
    "test_util",
    "differential_operators",
    "misc",
    "misc.flatten",
    "misc.optimizers",
    "misc.fixed_points",
    "misc.tracers",
)

SCIPYS = (
    "scipy",
    "scipy.special",
    "scipy.linalg",
    "scipy.signal",
    "scipy.integrate",
    "scipy.stats",
    "scipy.stats.norm",
    "scipy.stats.beta",
    "scipy.stats.chi2",
    "scipy.stats.gamma",
    "scipy.stats.poisson",
    "scipy.stats.t",
    "scipy.stats.dirichlet",
    "scipy.stats.multivariate_normal",
)


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    root = str(Path(ad.__file__).parents[1])
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env={"PYTHONPATH": root, "PATH": ""},
    )


# --- the tree, and its installation ---------------------------------------------------------------


@pytest.mark.parametrize("name", [*MODULES, *SCIPYS])
def test_every_module_can_be_imported_by_both_names(name: str) -> None:
    if name in SCIPYS:
        pytest.importorskip("scipy")
    own = importlib.import_module(f"autodiff.compat.autograd.{name}")
    assert own.__name__ == f"autodiff.compat.autograd.{name}"
    program = (
        "import autodiff.compat as c, importlib; c.install('autograd')\n"
        f"other = importlib.import_module('autograd.{name}')\n"
        f"own = importlib.import_module('autodiff.compat.autograd.{name}')\n"
        "assert own is other and own.__spec__.name == own.__name__, own.__spec__"
    )
    if name in ("numpy.linalg", "misc.flatten", "scipy.stats.norm"):
        done = run("-c", program)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("numpy", "sin"),
        ("numpy.linalg", "solve"),
        ("numpy.fft", "ifft"),
        ("numpy.random", "default_rng"),
        ("scipy.special", "gammaln"),
        ("scipy.stats", "norm"),
        ("scipy.stats.norm", "ppf"),
    ],
)
def test_modules_list_their_names(name: str, listed: str) -> None:
    if name in SCIPYS:
        pytest.importorskip("scipy")
    module = importlib.import_module(f"autodiff.compat.autograd.{name}")
    assert listed in dir(module)
    assert hasattr(module, listed)
    with pytest.raises(AttributeError):
        _ = module.__no_such_name__


def test_the_package_has_its_modules() -> None:
    program = (
        "import autodiff; autodiff.compat.install('autograd'); import autograd\n"
        "names = 'extend core tracer util wrap_util numpy builtins differential_operators'\n"
        "print([name for name in names.split() if not hasattr(autograd, name)])"
    )
    assert run("-c", program).stdout.strip() == "[]"


def test_installing_twice_is_as_good_as_once() -> None:
    program = (
        "import sys, autodiff; n = len(sys.meta_path)\n"
        "autodiff.compat.install('autograd'); autodiff.compat.install('autograd')\n"
        "import autograd; from autograd.numpy import sin; print(len(sys.meta_path) - n)"
    )
    assert run("-c", program).stdout.strip() == "1"


def test_installing_too_late_names_who_has_imported_the_library(tmp_path: Path) -> None:
    (tmp_path / "autograd.py").write_text("def grad(f): return f\n")
    (tmp_path / "statistics_package.py").write_text("from autograd import grad\n")
    program = "import statistics_package, autodiff; autodiff.compat.install('autograd')"
    done = run("-c", program, cwd=tmp_path)
    assert "ImportError" in done.stderr
    assert "imported by statistics_package" in done.stderr


def test_an_unknown_tree() -> None:
    with pytest.raises(ValueError, match="there is autograd"):
        install("theano")


def test_programs_run_on_this_engine(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, helper, autograd.numpy as np\n"
        "from autograd import grad\n"
        "print(helper.NAME, sys.argv[1], grad(lambda x: np.sum(x**2))(3.0))\n"
    )
    (tmp_path / "helper.py").write_text("NAME = 'helper'\n")
    ways = ((str(program),), ("-m", "program"), ("-c", "import program"))
    for arguments in ((*way, "first") for way in ways):
        done = run("-m", "autodiff.compat", "autograd", *arguments, cwd=tmp_path)
        assert done.stdout.split() == ["helper", "first", "6.0"], done.stderr
    assert "usage" in run("-m", "autodiff.compat", "autograd").stderr
    assert "there is autograd" in run("-m", "autodiff.compat", "theano", "x.py").stderr


# --- transforms -----------------------------------------------------------------------------------


def quartic(x: Any) -> Any:
    return anp.sum(x**4)


def quartic_of_first(x: Any) -> Any:
    return x**4


def two(x: Any, y: Any) -> Any:
    return anp.sum(x * y**2)


def test_gradients() -> None:
    np.testing.assert_allclose(autograd.grad(quartic)(X), 4 * X**3)
    value, gradient = autograd.value_and_grad(quartic)(X)
    np.testing.assert_allclose(value, np.sum(X**4))
    np.testing.assert_allclose(gradient, 4 * X**3)
    np.testing.assert_allclose(autograd.grad(two, 1)(X, 2.0 * X), 4 * X**2)
    first, second = autograd.grad(two, (0, 1))(X, X)
    np.testing.assert_allclose(first, X**2)
    np.testing.assert_allclose(second, 2 * X**2)
    np.testing.assert_allclose(autograd.grad(two, argnum=[1])(X, X)[0], 2 * X**2)
    np.testing.assert_allclose(autograd.grad_named(two, "y")(X, X), 2 * X**2)
    by_name = autograd.multigrad_dict(two)(X, y=X)
    assert list(by_name) == ["x", "y"]
    np.testing.assert_allclose(by_name["y"], 2 * X**2)
    gradient, aux = autograd.grad_and_aux(lambda x: (anp.sum(x**2), {"x": x}))(X)
    np.testing.assert_allclose(gradient, 2 * X)
    assert type(aux["x"]) is np.ndarray


def test_an_output_of_one_element_is_a_number() -> None:
    np.testing.assert_allclose(autograd.grad(lambda x: anp.sum(x**2, keepdims=True))(X), 2 * X)
    with pytest.raises(TypeError, match="scalar-output"):
        autograd.grad(lambda x: x)(X)
    with pytest.raises(TypeError, match="scalar-output"):
        autograd.value_and_grad(lambda x: anp.sum(x) * 1j)(X)


def test_integers_are_taken_for_floats_but_not_pythons() -> None:
    found = autograd.grad(lambda x: anp.sum(x**2))(np.arange(3))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [0.0, 2.0, 4.0])
    with pytest.raises(TypeError, match="type <class 'int'>"):
        autograd.grad(lambda x: x**2)(3)


def test_a_result_that_does_not_depend_on_the_input_is_said_to() -> None:
    with pytest.warns(UserWarning, match="independent of input"):
        np.testing.assert_allclose(autograd.grad(lambda x: anp.sum(np.ones(2)))(X), 0 * X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        autograd.grad(lambda x: anp.sum(x))(X)
        autograd.grad(lambda x: autograd.grad(lambda y: x * y)(2.0) * x)(3.0)


def test_warnings_are_at_the_line_of_the_user() -> None:
    def constant(x: Any) -> Any:
        return np.sum(np.ones(2))

    @autograd.primitive
    def old(x: Any) -> Any:
        return x

    calls: list[Any] = [
        lambda: autograd.grad(constant)(X),
        lambda: autograd.jacobian(constant)(X),
        lambda: autograd.hessian(constant)(X),
        lambda: autograd.deriv(constant)(1.0),
        lambda: autograd.make_ggnvp(constant)(X)(X),
        lambda: autograd.multigrad_dict(constant)(X),
        lambda: autograd.holomorphic_grad(lambda x: x)(1.0),
        lambda: quick_grad_check(quartic, X),
        lambda: old.defvjp(lambda g, ans, vs, gvs, x: g),
    ]
    for call in calls:
        with pytest.warns((UserWarning, DeprecationWarning)) as seen:
            call()
        assert {warning.filename for warning in seen} == {__file__}


@pytest.mark.filterwarnings("error")
def test_other_derivatives() -> None:
    def field(x: Any) -> Any:
        return anp.stack([anp.sin(x[0]) * x[1], x[2] ** 3])

    dense = np.array([[np.cos(X[0]) * X[1], np.sin(X[0]), 0.0], [0.0, 0.0, 3 * X[2] ** 2]])
    np.testing.assert_allclose(autograd.jacobian(field)(X), dense)
    np.testing.assert_allclose(autograd.hessian(quartic)(X), np.diag(12 * X**2))
    np.testing.assert_allclose(autograd.elementwise_grad(anp.sin)(X), np.cos(X))
    np.testing.assert_allclose(autograd.egrad(anp.sin)(X), np.cos(X))
    np.testing.assert_allclose(autograd.deriv(anp.sin)(X), np.cos(X))
    u, v = RNG.normal(size=3), RNG.normal(size=2)
    pull, value = autograd.make_vjp(field)(X)
    np.testing.assert_allclose(pull(v), v @ dense)
    np.testing.assert_allclose(value, field(X))
    np.testing.assert_allclose(autograd.make_jvp(field)(X)(u)[1], dense @ u)
    operators = importlib.import_module("autodiff.compat.autograd.differential_operators")
    np.testing.assert_allclose(operators.make_jvp_reversemode(field)(X)(u), dense @ u)
    np.testing.assert_allclose(autograd.vector_jacobian_product(field)(X, v), v @ dense)
    np.testing.assert_allclose(autograd.hessian_vector_product(quartic)(X, u), 12 * X**2 * u)
    product, gradient = autograd.make_hvp(quartic)(X)
    np.testing.assert_allclose(product(u), 12 * X**2 * u)
    np.testing.assert_allclose(gradient, 4 * X**3)
    np.testing.assert_allclose(autograd.make_ggnvp(field)(X)(u), dense.T @ dense @ u)
    np.testing.assert_allclose(autograd.checkpoint(quartic)(X), np.sum(X**4))
    np.testing.assert_allclose(autograd.grad(autograd.checkpoint(quartic))(X), 4 * X**3)
    np.testing.assert_allclose(autograd.holomorphic_grad(lambda z: z**3)(1 + 2j), 3 * (1 + 2j) ** 2)
    with pytest.raises(TypeError, match="real-output"):
        autograd.elementwise_grad(lambda x: x * 1j)(X)


def test_containers() -> None:
    def loss(parameters: Any) -> Any:
        weights, (bias, scale) = parameters["weights"], parameters["rest"]
        return anp.sum((weights[0] * X + bias) ** 2) * scale

    parameters = {"weights": [X], "rest": (2.0, 3.0)}
    found = autograd.grad(loss)(parameters)
    np.testing.assert_allclose(found["weights"][0], 6 * (X * X + 2.0) * X)
    assert type(found["rest"]) is tuple
    np.testing.assert_allclose(found["rest"][1], np.sum((X * X + 2.0) ** 2))


def test_operators_of_ones_own_are_made_as_there() -> None:
    operators = autograd.differential_operators

    @operators.unary_to_nary
    def value_and_slopes(fun: Any, x: Any) -> Any:
        vjp, value = operators._make_vjp(fun, x)
        return value, vjp(operators.vspace(value).ones()), operators._make_jvp(fun, x)(1.0)[1]

    assert value_and_slopes(anp.square)(3.0) == (9.0, 6.0, 6.0)


def test_functions_have_names_and_pickle() -> None:
    assert autograd.grad(two, 1).__name__ == "grad_of_two_wrt_argnum_1"
    assert autograd.grad.__name__ == "grad"
    for operator in (autograd.grad, autograd.make_vjp, autograd.hessian):
        assert pickle.loads(pickle.dumps(operator)) is operator
    gradient = autograd.grad(autograd.grad(quartic_of_first))
    for again in (pickle.loads(pickle.dumps(gradient)), copy.deepcopy(gradient)):
        np.testing.assert_allclose(again(2.0), 48.0)

    class Model:
        gradient = autograd.grad(lambda self, x: x**2 * self.scale, 1)
        scale = 3.0

    assert Model().gradient(2.0) == 12.0
    with pytest.raises(AssertionError, match="argnum"):
        autograd.grad(quartic, "x")


def test_what_a_function_keeps_is_a_constant_afterwards() -> None:
    kept = []

    def keeping(x: Any) -> Any:
        kept.append(x * 2.0)
        return anp.sum(x**2)

    autograd.grad(keeping)(X)
    assert isinstance(kept[0], ArrayBox)
    np.testing.assert_allclose(anp.sum(kept[0] + 1.0), np.sum(2 * X + 1))
    np.testing.assert_allclose(autograd.grad(lambda x: anp.sum(x * kept[0]))(X), 2 * X)
    autograd.grad(lambda x: autograd.grad(keeping)(x)[0])(X)
    np.testing.assert_allclose(anp.sum(kept[-1] + 1.0), np.sum(2 * X + 1))
    ad.grad(lambda x: (kept.append(x), np.sum(x))[1])(X)
    with pytest.raises(ad.EscapedTensorError):  # the engine's own transforms go on to refuse it
        np.sum(kept[-1])


class Pair(NamedTuple):
    first: Any
    second: Any


def test_cotangents_and_tangents_of_other_containers_and_shapes() -> None:
    """What packages give to a pullback: a number for an array, a tuple for a named one, a list."""
    cases: list[tuple[Any, Any, Any]] = [
        (anp.sin, 1.0, np.cos(X)),
        (anp.sin, np.ones(1), np.cos(X)),
        (anp.sin, [1.0, 1.0, 1.0], np.cos(X)),
        (anp.sum, np.ones((1, 1)), np.ones(3)),
        (lambda x: x[:1], 1.0, [1.0, 0.0, 0.0]),
        (lambda x: anp.stack([x, x]), X, 2 * X),
        (lambda x: Pair(x, x[0]), (X, 1.0), np.add(X, [1.0, 0.0, 0.0])),
        (lambda x: (x, {"a": x}), [X, {"a": 1.0}], X + 1.0),
    ]
    for function, given, expected in cases:
        np.testing.assert_allclose(autograd.make_vjp(function)(X)[0](given), expected)
    for wrong in (np.ones(2), np.ones((3, 1)), (X, X)):
        with pytest.raises((ValueError, TypeError), match="cotangent has"):
            autograd.make_vjp(lambda x: 2.0 * x)(X)[0](wrong)
    with pytest.raises(TypeError, match="structure"):
        autograd.make_vjp(lambda x: (x, {"a": x}))(X)[0]((X, {"b": X}))
    for tangent in (1.0, [1.0, 1.0, 1.0], np.ones(3, int)):
        np.testing.assert_allclose(autograd.make_jvp(anp.sin)(X)(tangent)[1], np.cos(X))
    pushed = autograd.make_jvp(lambda x, y: x * y, (0, 1))(X, X)([X, 1.0])[1]
    np.testing.assert_allclose(pushed, X**2 + X)
    pull = autograd.make_vjp(anp.sin)(X)[0]
    np.testing.assert_allclose(autograd.grad(lambda g: anp.sum(pull(g)))(1.0), np.sum(np.cos(X)))


def test_hessian_products_with_containers() -> None:
    def cubic(x: Any, y: Any) -> Any:
        return anp.sum(x * y**3)

    found = autograd.hessian_vector_product(cubic, (0, 1))(X, X, [X, X])
    np.testing.assert_allclose(found[0], 3 * X**3)
    np.testing.assert_allclose(found[1], 3 * X**3 + 6 * X**3)
    found = autograd.hessian_tensor_product(lambda p: anp.sum(p["a"] ** 3) * p["b"])(
        {"a": X, "b": 2.0}, {"a": X, "b": 1.0}
    )
    np.testing.assert_allclose(found["a"], 12 * X**2 + 3 * X**2)
    np.testing.assert_allclose(found["b"], np.sum(3 * X**3))
    found = autograd.tensor_jacobian_product(lambda x: [x[0], x[1] ** 2])(X, np.ones(2))
    np.testing.assert_allclose(found, [1.0, 2 * X[1], 0.0])


def test_what_is_no_variable_is_refused() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        autograd.grad(lambda x: 1.0)(None)
    with pytest.raises(TypeError, match="holomorphic=True"):
        autograd.jacobian(lambda z: z**2)(X + 1j)
    found = autograd.jacobian(lambda z: z**2, holomorphic=True)(X + 1j)
    np.testing.assert_allclose(found, np.diag(2 * (X + 1j)))


# --- boxes ----------------------------------------------------------------------------------------


def test_questions_about_boxes() -> None:
    seen = []

    def looking(x: Any) -> Any:
        assert anp.isscalar(x[0])
        assert not anp.isscalar(x)
        seen.extend(
            [
                isinstance(x, ArrayBox),
                isinstance(x, extend.Box),
                tracer.isbox(x),
                of_values(x, np.ndarray),
                type_of_values(x) is np.ndarray,
                type(tracer.getval(x)) is np.ndarray,
                type(x._value) is np.ndarray,
            ]
        )
        return anp.sum(x)

    autograd.grad(looking)(X)
    assert seen == [True] * 7
    assert not isinstance(X, ArrayBox)
    assert not tracer.isbox(X)
    assert tracer.getval(X) is X
    for kind, python in ((autograd.list, list), (autograd.tuple, tuple), (autograd.dict, dict)):
        assert kind is not python
        assert type(kind(())) is python
        assert isinstance(python(), kind)
        assert issubclass(python, kind)
        assert not isinstance(X, kind)


def test_comparisons_with_what_is_no_number() -> None:
    seen = []

    def looking(x: Any) -> Any:
        seen.extend([(x == None).any(), (x != "auto").all(), x[0] in [None, 5.0]])  # noqa: E711 what people write
        return anp.sum(x)

    autograd.grad(looking)(X)
    assert seen == [False, True, False]


# --- primitives -----------------------------------------------------------------------------------


@extend.primitive
def scaled_power(x: Any, y: Any, exponent: int = 2) -> Any:
    assert type(x) in (np.ndarray, np.float64, float)
    if isinstance(x, np.ndarray) and x.ndim:
        x[...] = x * 1.0  # what it gets is its own
    return y * x**exponent


extend.defvjp(
    scaled_power,
    lambda ans, x, y, exponent=2: lambda g: g * y * exponent * x ** (exponent - 1),
    lambda ans, x, y, exponent=2: lambda g: anp.sum(g * x**exponent),
)
extend.defjvp(
    scaled_power,
    lambda g, ans, x, y, exponent=2: g * y * exponent * x ** (exponent - 1),
    lambda g, ans, x, y, exponent=2: g * x**exponent,
)


def test_a_primitive_has_its_rules() -> None:
    np.testing.assert_allclose(scaled_power(X, 2.0), 2 * X**2)
    found = autograd.grad(lambda x, y: anp.sum(scaled_power(x, y, exponent=3)), (0, 1))(X, 2.0)
    np.testing.assert_allclose(found[0], 6 * X**2)
    np.testing.assert_allclose(found[1], np.sum(X**3))
    test_util.check_grads(scaled_power, (0, 1))(X, 2.0)
    np.testing.assert_allclose(ad.vmap(lambda x: scaled_power(x, 2.0))(X), 2 * X**2)
    assert scaled_power.fun(2.0, 3.0) == 12.0
    assert scaled_power.__name__ == "scaled_power"
    assert scaled_power in primitive_vjps


def test_an_argument_is_left_as_it_was() -> None:
    before = X.copy()
    autograd.grad(lambda x: anp.sum(scaled_power(x, 2.0)))(X)
    np.testing.assert_array_equal(X, before)


def test_a_missing_rule_is_named() -> None:
    @extend.primitive
    def ruleless(x: Any, y: Any) -> Any:
        return x * y

    assert ruleless(2.0, 3.0) == 6.0
    with pytest.raises(NotImplementedError, match="VJP of ruleless"):
        autograd.grad(ruleless)(2.0, 3.0)
    with pytest.raises(NotImplementedError, match="JVP of ruleless"):
        autograd.make_jvp(ruleless)(2.0, 3.0)(1.0)
    extend.defvjp(ruleless, lambda ans, x, y: lambda g: g * y)
    assert autograd.grad(ruleless)(2.0, 3.0) == 3.0
    with pytest.raises(NotImplementedError, match=r"argnums \[1\]"):
        autograd.grad(ruleless, 1)(2.0, 3.0)
    assert autograd.make_jvp(ruleless)(2.0, 3.0)(1.0)[1] == 3.0  # transposed
    with pytest.raises(TypeError, match="Bad VJP"):
        extend.defvjp(ruleless, 3.0)
    with pytest.raises(TypeError, match="Bad JVP"):
        extend.defjvp(ruleless, "sum")


def test_rules_by_the_number_of_the_argument() -> None:
    @extend.primitive
    def weighted(*xs: Any) -> Any:
        return sum(i * x for i, x in enumerate(xs))

    extend.defvjp_argnum(weighted, lambda argnum, ans, args, kwargs: lambda g: argnum * g)
    extend.defjvp_argnum(weighted, lambda argnum, g, ans, args, kwargs: argnum * g)
    test_util.check_grads(weighted, (0, 1, 2))(X, X, X)
    np.testing.assert_allclose(
        autograd.grad(lambda *xs: anp.sum(weighted(*xs)), 2)(X, X, X), [2, 2, 2]
    )

    @extend.primitive
    def product(x: Any, y: Any) -> Any:
        return x * y

    extend.def_linear(product)
    extend.defvjp_argnums(
        product, lambda argnums, ans, args, kwargs: lambda g: [g * args[1 - i] for i in argnums]
    )
    test_util.check_grads(product, (0, 1))(X, X)

    @extend.primitive
    def constant_in_second(x: Any, y: Any) -> Any:
        return 2.0 * x + 0.0 * y

    extend.defvjp(constant_in_second, lambda ans, x, y: lambda g: 2.0 * g, None)
    extend.defjvp(constant_in_second, "same", None)
    test_util.check_grads(lambda x, y: constant_in_second(x, 0.0) + y, (0, 1))(X, X)
    np.testing.assert_allclose(autograd.grad(lambda y: anp.sum(constant_in_second(X, y)))(X), 0 * X)


def test_primitives_take_and_give_containers() -> None:
    @extend.primitive
    def both(parts: Any) -> Any:
        return [parts["a"] * 2.0, parts["b"] ** 2]

    extend.defvjp(
        both, lambda ans, parts: lambda g: {"a": 2.0 * g[0], "b": 2.0 * g[1] * parts["b"]}
    )
    found = autograd.grad(lambda parts: anp.sum(both(parts)[0] * both(parts)[1]))({"a": X, "b": X})
    np.testing.assert_allclose(found["a"], 2 * X**2)
    np.testing.assert_allclose(found["b"], 4 * X * X)


def test_cotangents_are_brought_into_shape() -> None:
    """Rules of packages leave out the sum over broadcast axes, and the imaginary part."""

    @extend.primitive
    def plus(x: Any, y: Any) -> Any:
        return x + y

    extend.defvjp(plus, lambda ans, x, y: lambda g: g, lambda ans, x, y: lambda g: g * (1 + 0j))
    a, b = np.ones((2, 3)), np.ones((1, 3))
    assert autograd.grad(lambda a: anp.sum(plus(a, b)))(a).shape == (2, 3)
    found = autograd.grad(lambda b: anp.sum(plus(a, b)))(b)
    np.testing.assert_allclose(found, 2 * b)
    assert found.dtype == np.float64
    assert autograd.grad(lambda y: anp.sum(plus(a, y)))(1.0) == 6.0


def test_a_cotangent_of_no_fitting_shape_is_refused() -> None:
    def gradient(given: Any, at: Any = X) -> Any:
        @extend.primitive
        def doubled(x: Any) -> Any:
            return 2.0 * x

        extend.defvjp(doubled, lambda ans, x: lambda g: given)
        return autograd.grad(lambda x: anp.sum(doubled(x)))(at)

    np.testing.assert_allclose(gradient([1.0, 2.0, 3.0]), [1.0, 2.0, 3.0])
    np.testing.assert_allclose(gradient(np.ones((3, 1))), np.ones(3))
    np.testing.assert_allclose(gradient(np.arange(6.0), np.ones((2, 3)))[1], [3.0, 4.0, 5.0])
    for wrong, at in ((np.ones(2), X), (np.ones((3, 2)), np.ones((2, 3)))):
        with pytest.raises(ValueError, match="doubled: a rule gave an array of shape"):
            gradient(wrong, at)


def test_sparse_cotangents() -> None:
    @extend.primitive
    def first(x: Any) -> Any:
        return x[0]

    def rule(ans: Any, x: Any) -> Any:
        def pull(g: Any) -> Any:
            def mut_add(total: Any) -> Any:
                total[0] = total[0] + g
                return total

            return extend.SparseObject(vspace(x), mut_add)

        return pull

    extend.defvjp(first, rule)
    np.testing.assert_allclose(autograd.grad(lambda x: first(x) ** 2)(X), [2 * X[0], 0, 0])


def test_old_ways_to_give_rules() -> None:
    @autograd.primitive
    def times(x: Any, y: Any) -> Any:
        return x * y

    with pytest.warns(DeprecationWarning, match="defvjp"):
        times.defvjp(lambda g, ans, vs, gvs, x, y: g * y)
    with pytest.warns(DeprecationWarning, match="defgrad"):
        times.defgrad(lambda ans, x, y: lambda g: g * x, argnum=1)
    np.testing.assert_allclose(autograd.grad(lambda x: anp.sum(times(x, x)))(X), 2 * X)
    with pytest.warns(DeprecationWarning, match="defvjp_is_zero"):
        times.defvjp_is_zero([0])
    np.testing.assert_allclose(autograd.grad(lambda x: anp.sum(times(x, X)) + x[0])(X), [1, 0, 0])


def test_what_a_primitive_cannot_know_is_refused() -> None:
    with pytest.raises(TypeError, match="by position"):
        autograd.grad(lambda e: anp.sum(scaled_power(e, 2.0, exponent=e)))(2.0)

    def outer(x: Any) -> Any:
        @extend.primitive
        def closing_over(y: Any) -> Any:
            return x * y

        extend.defvjp(closing_over, lambda ans, y: lambda g: g)
        return closing_over(x)

    with pytest.raises(TypeError, match="from outside"):
        autograd.grad(outer)(2.0)


def test_a_rule_that_nothing_looks_up_is_warned_of() -> None:
    """A function that is neither of the tree nor a primitive; `primitive` makes one of it."""

    def hundred(ans: Any, x: Any) -> Any:
        return lambda g: 100.0 * g

    def tangent(g: Any, ans: Any, x: Any) -> Any:
        return 100.0 * g

    def by_number(number: int, *args: Any) -> Any:
        return lambda g: 100.0 * g

    def mine(x: Any) -> Any:
        return np.sin(x)

    functions: list[Any] = [mine, np.linalg.inv, ad.numpy.sum]
    for function in functions:
        givings: list[Any] = [
            lambda f: extend.defvjp(f, hundred),
            lambda f: extend.defvjp_argnum(f, by_number),
            lambda f: extend.defvjp_argnums(f, lambda *args: lambda g: [100.0 * g]),
            lambda f: extend.defjvp(f, tangent),
            lambda f: extend.defjvp_argnum(f, by_number),
            lambda f: extend.defjvp_argnums(f, by_number),
            extend.def_linear,
            lambda f: extend.register_notrace(extend.VJPNode, f),
            lambda f: extend.register_notrace(extend.JVPNode, f),
        ]
        for give in givings:
            with pytest.warns(UserWarning, match=f"{function.__name__} is no primitive") as seen:
                give(function)
            assert all(warning.filename == __file__ for warning in seen)
            primitive_vjps.pop(function, None)
            primitive_jvps.pop(function, None)
    np.testing.assert_allclose(autograd.grad(mine)(0.5), np.cos(0.5))
    own = extend.primitive(mine)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extend.defvjp(own, hundred)
    assert autograd.grad(own)(0.5) == 100.0
    assert autograd.grad(mine)(0.5) == np.cos(0.5)


@pytest.mark.parametrize("output", [3, True, np.int64(3), "three", None])
def test_an_output_that_is_no_float_is_a_constant(output: Any) -> None:
    @extend.primitive
    def described(x: Any) -> Any:
        return output

    extend.defvjp(described, lambda ans, x: lambda g: g)
    seen = []
    found = autograd.grad(lambda x: (seen.append(described(x)), anp.sum(x))[1])(X)
    np.testing.assert_allclose(found, np.ones(3))
    assert seen == [output]


def test_functions_without_derivative() -> None:
    @extend.notrace_primitive
    def length(x: Any) -> int:
        assert type(x) is np.ndarray
        return len(x)

    np.testing.assert_allclose(autograd.grad(lambda x: anp.sum(x) * length(x))(X), [3, 3, 3])

    @extend.primitive
    def flat(x: Any) -> Any:
        return np.floor(x)

    extend.register_notrace(extend.VJPNode, flat)
    extend.register_notrace(extend.JVPNode, flat)
    np.testing.assert_allclose(autograd.grad(lambda x: anp.sum(flat(x) + x))(X), [1, 1, 1])
    np.testing.assert_allclose(autograd.deriv(lambda x: flat(x) + x)(X), [1, 1, 1])


# --- NumPy's namespace ----------------------------------------------------------------------------


def test_made_arrays_are_plain() -> None:
    def looking(x: Any) -> Any:
        made = [anp.zeros(2), anp.ones(2), anp.array([1.0, 2.0]), anp.full(2, 3.0), anp.eye(2)]
        made += [anp.zeros_like(x), anp.ones_like(x), anp.arange(3.0), anp.linspace(0.0, 1.0, 3)]
        assert all(type(a) is np.ndarray for a in made)
        assert tracer.isbox(anp.array([x[0], 1.0]))
        assert tracer.isbox(anp.full(2, x[0]))
        return anp.sum(x)

    autograd.grad(looking)(X)


def test_lists_and_iterables_of_boxes() -> None:
    functions = [
        lambda x: anp.sum([x[0] ** 2, x[1] ** 2]),
        lambda x: anp.mean([x[0] ** 2, x[1] ** 2]) * 2,
        lambda x: anp.dot([x[0], x[1]], [x[0], x[1]]),
        lambda x: anp.sum(anp.stack(a**2 for a in x[:2])),
        lambda x: anp.sum(anp.concatenate({"a": x[:1] ** 2, "b": x[1:2] ** 2}.values())),
        lambda x: anp.sum(anp.vstack(map(anp.square, [x[:1], x[1:2]]))),
        lambda x: anp.sum(anp.r_[x[0] ** 2, x[1] ** 2]),
        lambda x: anp.sum(anp.c_[x[:2], x[:2]] ** 2) / 2,
        lambda x: anp.linalg.norm([x[0], x[1]]) ** 2,
        lambda x: anp.sum(anp.append(x[:1], [x[1]]) ** 2),
    ]
    for function in functions:
        np.testing.assert_allclose(autograd.grad(function)(X), [2 * X[0], 2 * X[1], 0])


def test_conventions_of_functions() -> None:
    np.testing.assert_allclose(autograd.grad(anp.std)(np.ones(3)), np.zeros(3))
    np.testing.assert_allclose(autograd.grad(anp.std)(X), ad.grad(np.std)(X))
    assert anp.where(True, 1, 2) == 1
    assert type(anp.where(True, 1, 2)) is int
    assert type(anp.where(np.True_, 1.0, 2.0)) is np.ndarray
    np.testing.assert_array_equal(anp.where(condition=X > 0, x=X, y=0.0), np.where(X > 0, X, 0.0))
    with pytest.raises(ValueError, match="either both or neither"):
        anp.where(X > 0, X)
    np.testing.assert_allclose(autograd.grad(lambda x: x[0] * anp.int64(x[2]))(X), [2.0, 0, 0])
    a = RNG.normal(size=(3, 3))
    a = a @ a.T + np.eye(3)
    found = autograd.grad(lambda a: anp.sum(anp.sin(anp.linalg.cholesky(a))))(a)
    np.testing.assert_allclose(found, found.T)
    same = ad.grad(lambda a: np.sum(np.sin(np.linalg.cholesky(a))))(a)
    np.testing.assert_array_equal(found, same)
    assert anp.metadata(X) == ((3,), 1, np.float64, False)
    assert anp.pi == np.pi
    assert anp.float64 is np.float64
    assert anp.parse_einsum_input("ij,j", a, X)[:2] == ("ij,j", "i")


def test_every_name_of_numpy_is_there() -> None:
    missing = [name for name in np.__all__ if not hasattr(anp, name)]
    assert not missing
    with pytest.raises(AttributeError):
        _ = anp.no_such_name


def test_wrap_namespace_takes_a_module_over() -> None:
    space: dict[str, Any] = {}
    anp.wrap_namespace({"sin": np.sin, "norm": np.linalg.norm, "shift": shift, "pi": 3.0}, space)
    np.testing.assert_allclose(autograd.grad(lambda x: space["norm"](x))(X), X / np.linalg.norm(X))
    assert space["sin"] is np.sin
    assert space["pi"] == 3.0
    with pytest.raises(NotImplementedError, match="VJP of shift"):
        autograd.grad(lambda x: anp.sum(space["shift"](x)))(X)


def shift(x: Any) -> Any:
    return x + 1.0


def test_helpers_of_rules() -> None:
    meta = anp.metadata(np.ones((1, 3)))
    np.testing.assert_allclose(numpy_vjps.unbroadcast(np.ones((2, 4, 3)), meta), [[8.0] * 3])
    assert numpy_vjps.unbroadcast_f(1.0, lambda g: g * np.ones(3))(2.0) == 6.0
    full, count = numpy_vjps.repeat_to_match_shape(np.ones(3), (2, 3), float, 0, False)
    assert full.shape == (2, 3)
    assert count == 2
    np.testing.assert_allclose(numpy_vjps.replace_zero(np.array([0.0, 2.0]), 1.0), [1.0, 2.0])
    np.testing.assert_allclose(
        anp.make_diagonal(np.arange(3.0), axis1=-1, axis2=-2), np.diag(np.arange(3.0))
    )


# --- spaces, checks, the rest ---------------------------------------------------------------------


def test_spaces() -> None:
    value = {"a": [np.ones(2), 1.0], "b": (1j,)}
    space = vspace(value)
    assert space.size == 5
    assert len(list(space.standard_basis())) == 5
    assert space == vspace({"a": [np.zeros(2), 2.0], "b": (0j,)})
    assert space != vspace({"a": [np.zeros(3), 2.0], "b": (0j,)})
    assert space.inner_prod(space.ones(), space.ones()) == 5.0
    np.testing.assert_allclose(space.covector(value)["b"][0], -1j)
    with pytest.raises(TypeError, match="Can't find vector space"):
        vspace("text")

    class Interval:
        pass

    class IntervalSpace(VSpace):
        def zeros(self) -> Any:
            return Interval()

    IntervalSpace.register(Interval)
    assert isinstance(vspace(Interval()), IntervalSpace)


def test_spaces_add_in_place_where_they_can() -> None:
    total = np.zeros(3)
    assert vspace(X).mut_add(total, X) is total
    np.testing.assert_allclose(total, X)
    np.testing.assert_allclose(vspace(X).mut_add(None, X), X)
    both = vspace([X, 1.0]).mut_add(None, [X, 2.0])
    np.testing.assert_allclose(both[0], X)
    assert both[1] == 2.0
    first = extend.SparseObject(vspace(X), lambda whole: whole + np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(vspace(X).mut_add(None, first), [1.0, 0.0, 0.0])
    found = autograd.grad(lambda x: anp.sum(vspace(X).mut_add(None, x) ** 2))(X)
    np.testing.assert_allclose(found, 2 * X)

    class Doubling(VSpace):
        def zeros(self) -> Any:
            return 1.0

        def _mut_add(self, x: Any, y: Any) -> Any:
            return x + 2 * y

    assert Doubling(None).mut_add(None, 3.0) == 7.0


def test_check_grads_sees_a_wrong_rule() -> None:
    @extend.primitive
    def wrong(x: Any) -> Any:
        return np.sin(x)

    extend.defvjp(wrong, lambda ans, x: lambda g: 1.01 * g * anp.cos(x))
    extend.defjvp(wrong, lambda g, ans, x: 1.01 * g * anp.cos(x))
    for mode in ("fwd", "rev"):
        with pytest.raises(AssertionError):
            test_util.check_grads(wrong, modes=[mode], order=1)(X)
    test_util.check_grads(anp.sin)(X)
    test_util.combo_check(anp.power, (0, 1), order=1)([X**2, 2.0], [2.0, 3.0])
    with pytest.raises(AssertionError, match="modes"):
        test_util.check_grads(anp.sin, modes=["both"])(X)
    with pytest.warns(UserWarning, match="deprecated"):
        quick_grad_check(quartic, X)


def test_flat_vectors() -> None:
    value = {"b": 2.0, "a": [X, (np.ones((2, 2)), 1.0)]}
    flat, unflatten = flatten(value)
    np.testing.assert_allclose(flat, [*X, 1, 1, 1, 1, 1, 2])
    again = unflatten(flat * 2)
    assert list(again) == ["b", "a"]
    np.testing.assert_allclose(again["a"][1][0], 2 * np.ones((2, 2)))
    found = autograd.grad(lambda v: anp.sum(flatten(v)[0] ** 2))(value)
    np.testing.assert_allclose(found["a"][0], 2 * X)
    found = autograd.grad(lambda f: anp.sum(unflatten(f)["a"][0] ** 2))(flat)
    np.testing.assert_allclose(found, [*(2 * X), 0, 0, 0, 0, 0, 0])
    function, _, example = flatten_func(lambda v: {"a": v["a"], "b": v["b"] * 2}, value)
    np.testing.assert_allclose(function(example), [*X, 1, 1, 1, 1, 1, 4])
    assert flatten([])[0].shape == (0,)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
def test_optimizers_go_down(name: str) -> None:
    seen = []

    def gradient(p: Any, i: int) -> Any:
        return autograd.grad(lambda p: anp.sum((p["x"] - 1.0) ** 2) + p["y"] ** 2)(p)

    found = getattr(optimizers, name)(
        gradient, {"x": X, "y": 3.0}, lambda p, i, g: seen.append((i, p["y"])), 300, 0.05
    )
    np.testing.assert_allclose(found["x"], 1.0, atol=0.1)
    np.testing.assert_allclose(found["y"], 0.0, atol=0.1)
    assert [i for i, _ in seen] == list(range(300))
    assert seen[0][1] == 3.0


def test_fixed_points_and_recorded_functions() -> None:
    def babylonian(a: Any) -> Any:
        return lambda x: 0.5 * (x + a / x)

    def root(a: Any) -> Any:
        return fixed_points.fixed_point(babylonian, a, 1.0, lambda x, y: abs(x - y), 1e-12)

    np.testing.assert_allclose(root(2.0), np.sqrt(2.0))
    np.testing.assert_allclose(autograd.grad(root)(2.0), 0.5 / np.sqrt(2.0))
    np.testing.assert_allclose(autograd.grad(autograd.grad(root))(2.0), -0.25 * 2.0**-1.5)
    calls = []

    def counted(x: Any, y: Any) -> Any:
        calls.append(1)
        return anp.sin(x) * y

    recorded = const_graph(counted, y=2.0)
    for x in (0.5, 1.5):
        np.testing.assert_allclose(recorded(x), 2 * np.sin(x))
    assert calls == [1]


def test_orders_of_sweeps() -> None:
    parents = {"d": ["b", "c"], "c": ["a"], "b": ["a"], "a": []}
    order = list(toposort("d", parents.__getitem__))
    assert order[0] == "d"
    assert order[-1] == "a"
    assert sorted(order) == ["a", "b", "c", "d"]
    assert subval((1, 2, 3), 1, 5) == (1, 5, 3)


def test_traces_with_nodes_of_ones_own() -> None:
    class Again(tracer.Node):
        def __init__(
            self, value: Any, fun: Any, args: Any, kwargs: Any, argnums: Any, parents: Any
        ) -> None:
            self.parents, self.value = parents, value
            np.testing.assert_array_equal(fun(*args, **kwargs), value)
            for i, parent in zip(argnums, parents, strict=True):
                np.testing.assert_array_equal(args[i], parent.value)

        def initialize_root(self, value: Any) -> None:
            self.parents, self.value = (), value

    root = Again.new_root(1.5)
    with pytest.raises(TypeError, match="must define"):
        tracer.Node.new_root()
    value, node = tracer.trace(root, lambda x: anp.exp(x) * 2.0, 1.5)
    np.testing.assert_allclose(value, 2 * np.exp(1.5))
    assert [type(n) for n in toposort(node)] == [Again] * 3
    assert tracer.trace(root, lambda x: 2.0 * anp.ones(2), 1.5)[1] is None


# --- SciPy's names --------------------------------------------------------------------------------


def test_names_of_scipy() -> None:
    scipy = pytest.importorskip("scipy")
    pytest.importorskip("scipy.stats")
    import autodiff.compat.autograd.scipy as asp
    import autodiff.compat.autograd.scipy.stats.norm as norm

    np.testing.assert_allclose(autograd.grad(norm.logpdf)(0.5), -0.5)
    test_util.check_grads(lambda x: asp.special.gammaln(anp.exp(x)))(X)
    assert asp.special.jn_zeros(0, 2).shape == (2,)  # no rule: SciPy's own
    with pytest.raises(NotImplementedError, match="VJP of expi_like"):
        autograd.grad(extend.primitive(expi_like))(1.0)
    test_util.check_grads(asp.linalg.sqrtm, modes=["rev"], order=1)(np.eye(2) + 0.1)
    grid = np.linspace(0.0, 1.0, 4)
    found = autograd.grad(
        lambda k: asp.integrate.odeint(lambda y, t, k: -k * y, np.ones(1), grid, (k,))[-1, 0]
    )(0.7)
    np.testing.assert_allclose(found, -np.exp(-0.7), rtol=1e-5)
    assert scipy.stats is not asp.stats


def expi_like(x: Any) -> Any:
    return x


@pytest.mark.parametrize("mode", ["full", "valid", "same"])
@pytest.mark.parametrize("swapped", [False, True])
def test_convolutions_along_axes(mode: str, swapped: bool) -> None:
    signal = pytest.importorskip("scipy.signal")
    from autodiff.compat.autograd.scipy.signal import convolve

    a, b = RNG.normal(size=(2, 7, 3)), RNG.normal(size=(3, 4, 5))
    a_axes, b_axes, dots = [1], [1], ([2], [0])
    if swapped:
        a, b, dots = b, a, ([0], [2])
    found = convolve(a, b, axes=(a_axes, b_axes), dot_axes=dots, mode=mode)
    rows = []
    for i in range(2 if not swapped else 5):
        rows.append([])
        for j in range(5 if not swapped else 2):
            x = a[i] if not swapped else a[:, :, i].T
            y = b[:, :, j].T if not swapped else b[j]
            terms = [signal.convolve(x[:, k], y[:, k], mode=mode) for k in range(3)]
            rows[-1].append(np.sum(terms, axis=0))
    np.testing.assert_allclose(found, np.array(rows), atol=1e-12)
    test_util.check_grads(
        lambda a, b: convolve(a, b, axes=(a_axes, b_axes), dot_axes=dots, mode=mode),
        (0, 1),
        order=1,
    )(a, b)
    x, y = RNG.normal(size=(4, 5)), RNG.normal(size=(2, 3))
    np.testing.assert_allclose(convolve(x, y, mode=mode), signal.convolve(x, y, mode=mode))
    with pytest.raises(AssertionError, match="Mode odd"):
        convolve(x, y, mode="odd")


# --- what PennyLane relies on ---------------------------------------------------------------------


class Marked(np.ndarray):
    """An array with a mark, whose results are marked as well."""

    mark: bool

    def __new__(cls, value: Any, mark: bool = True) -> Any:
        made = np.asarray(value).view(cls)
        made.mark = mark
        return made

    def __array_finalize__(self, other: Any) -> None:
        self.mark = getattr(other, "mark", True)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        plain = [x.view(np.ndarray) if isinstance(x, Marked) else x for x in inputs]
        return Marked(super().__array_ufunc__(ufunc, method, *plain, **keywords))


def _boxed_if_marked(x: Any, *args: Any) -> Any:
    if not x.mark:
        raise ValueError("not to be differentiated")
    return ArrayBox(x, *args)


def test_array_types_of_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Marked, "__array_ufunc__", Marked.__array_ufunc__)  # put back afterwards
    monkeypatch.setattr(tracer.Box, "type_mappings", type(tracer.Box.type_mappings)())
    monkeypatch.setitem(VSpace.mappings, Marked, VSpace.mappings[np.ndarray])
    tracer.Box.type_mappings[Marked] = _boxed_if_marked
    x, factor = Marked([1.0, 2.0]), Marked([3.0, 5.0])
    for function in (
        lambda x: anp.sum(x * factor),
        lambda x: anp.sum(factor * x),
        lambda x: anp.sum(anp.multiply(factor, x)),
        lambda x: anp.dot(factor, x),
        lambda x: anp.sum(anp.stack([factor, x * factor])),
    ):
        found = autograd.grad(function)(x)
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, [3.0, 5.0])
    with pytest.raises(ValueError, match="not to be differentiated"):
        autograd.grad(anp.sum)(Marked([1.0], mark=False))
    assert type(x * factor) is Marked


def test_boxes_in_traces_of_a_package_itself() -> None:
    node = tracer.VJPNode.__new__(tracer.VJPNode)
    with tracer.trace_stack.new_trace() as trace:
        start = tracer.new_box((X, 2.0), trace, node)
        x, y = start
        depends, constant = x * y + 1.0, anp.sum(X)
    assert tracer.isbox(depends)
    assert depends._trace == start._trace
    assert not tracer.isbox(constant)
    np.testing.assert_allclose(tracer.getval(depends), 2.0 * X + 1.0)
    with pytest.raises(TypeError, match="new_trace"):
        tracer.new_box(X, "trace", node)


def test_sweeps_of_a_package_itself() -> None:
    """As pymoo goes back from several values, in a trace that is known by a number."""
    x = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, -6.0]])
    start = tracer.new_box(x, 0, tracer.VJPNode.new_root())
    out = anp.stack([anp.sum(start**2, axis=1), start[:, 0] * start[:, 1]], axis=1)
    gradients = []
    for j in range(2):
        seed = anp.zeros(out.shape)
        seed[:, j] = 1.0
        boxed = tracer.new_box(seed, 0, tracer.VJPNode.new_root())
        gradients.append(core.backward_pass(boxed, out._node))
    expected = np.stack([2.0 * x, x[:, ::-1]], axis=1)
    np.testing.assert_allclose(anp.stack(gradients, axis=1)._value, expected)
    np.testing.assert_allclose(core.backward_pass(np.ones((3, 2)), out._node), expected.sum(1))
    np.testing.assert_allclose(core.backward_pass(x, start._node), x)
    with pytest.raises(ValueError, match="does not depend"):
        core.backward_pass(1.0, ad.Tensor(1.0).detach()._node)  # type: ignore[attr-defined]


def test_rules_of_packages_see_one_example() -> None:
    """They take values out of their boxes, also where many cotangents are asked for."""

    @extend.primitive
    def doubled(x: Any) -> Any:
        return 2.0 * x

    extend.defvjp(doubled, lambda ans, x: lambda g: 2.0 * tracer.getval(g))
    extend.defjvp(doubled, lambda g, ans, x: 2.0 * tracer.getval(g))
    np.testing.assert_allclose(autograd.jacobian(doubled)(X), 2.0 * np.eye(3))
    np.testing.assert_allclose(autograd.make_jvp(doubled)(X)(X)[1], 2.0 * X)


def test_an_array_is_the_cotangent_of_a_list() -> None:
    @extend.primitive
    def total(groups: Any) -> Any:
        return sum(sum(group) for group in groups)

    extend.defvjp(total, lambda ans, groups: lambda g: tuple(g * np.ones(2) for _ in groups))
    found = autograd.grad(lambda x: total(([x[0], 2 * x[1]], [x[2], x[0]])))(X)
    np.testing.assert_allclose(found, [2.0, 2.0, 1.0])


def test_values_taken_out_of_boxes_in_a_primitive_are_constants() -> None:
    def function(x: Any) -> Any:
        @extend.primitive
        def shifted(y: Any) -> Any:
            return y + tracer.getval(x[0] * 2.0)

        extend.defvjp(shifted, lambda ans, y: lambda g: g)
        return anp.sum(shifted(x))

    np.testing.assert_allclose(autograd.grad(function)(X), np.ones(3))


def test_tensors_are_of_the_library_for_who_asks_their_class() -> None:
    program = (
        "import autodiff as ad, pickle; ad.compat.install('autograd')\n"
        "import autograd, autograd.numpy.linalg as linalg, autograd.numpy.random as random\n"
        "seen = []\n"
        "autograd.grad(lambda x: seen.append(type(x).__module__) or x)(1.0)\n"
        "assert seen == ['autograd.numpy.numpy_boxes'], seen\n"
        "assert pickle.loads(pickle.dumps(ad.Tensor)) is ad.Tensor\n"
        "assert b'autograd.' not in pickle.dumps(ad.Tensor(1.0))\n"
        "assert 'solve' in linalg.__dict__ and 'normal' in random.__dict__"
    )
    done = run("-c", program)
    assert done.returncode == 0, done.stderr


def test_full_graph() -> None:
    node = full_graph(lambda x, y: anp.sum(anp.sin(x) * y), X, 2.0)
    names = []
    while node.value is not None:
        fun, _, _, parents = node.recipe
        names.append(fun.__name__)
        node = parents[0][1]
    assert names == ["sum", "multiply", "sin"]
    assert node.recipe[3] == []
    np.testing.assert_allclose(const_graph_unary(lambda x: x * x)(X), X * X)
