"""What a type checker sees of the transforms. `test_checked.py` has mypy read it; it also runs.

Functions here take their arguments by position alone where a whole type is compared, since
``Callable[[Array, float], Any]`` names none.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, assert_type

import numpy as np
from numpy.typing import NDArray

import autodiff as ad
from autodiff.compiler.function import Compiled
from autodiff.compiler.program import Program
from autodiff.transforms.custom import CustomFunction

Array = NDArray[np.float64]
Gradient = Callable[[Array, float], Any]

X: Array = np.array([1.0, 2.0])


def loss(x: Array, scale: float, /) -> float:
    total: float = np.sum(scale * x**2)
    return total


def curve(x: Array, *, power: int = 2) -> Array:
    return x**power


def test_gradients_keep_the_parameters() -> None:
    assert_type(ad.grad(loss), Gradient)
    assert_type(ad.grad(loss, argnums=(0, 1)), Gradient)
    assert_type(ad.grad(loss)(X, 1.0), Any)
    assert_type(ad.value_and_grad(loss), Callable[[Array, float], tuple[Any, Any]])
    assert_type(ad.elementwise_grad(loss), Gradient)
    assert_type(ad.grad(ad.grad(lambda x: x**2))(3.0), Any)
    ad.elementwise_grad(curve)(X, power=3)
    if TYPE_CHECKING:
        ad.grad(loss)(X)  # type: ignore[call-arg]
        ad.value_and_grad(loss)("x", 1.0)  # type: ignore[arg-type]
        ad.elementwise_grad(curve)(X, exponent=3)  # type: ignore[call-arg]
        ad.grad(3)  # type: ignore[call-overload]


def test_jacobians_keep_the_parameters() -> None:
    assert_type(ad.jacobian(loss), Gradient)
    assert_type(ad.hessian(loss), Gradient)
    ad.jacobian(curve)(X, power=3)
    if TYPE_CHECKING:
        ad.jacobian(curve)(X, exponent=3)  # type: ignore[call-arg]
        ad.hessian(loss)(X)  # type: ignore[call-arg]


def test_vmap_keeps_the_whole_signature() -> None:
    assert_type(ad.vmap(loss, in_axes=(0, None)), Callable[[Array, float], float])
    assert_type(ad.vmap(curve)(X, power=3), Array)
    assert_type(ad.vmap(ad.grad(loss), (0, None)), Gradient)
    if TYPE_CHECKING:
        ad.vmap(curve)(X, exponent=3)  # type: ignore[call-arg]


def test_checkpoint_keeps_the_whole_signature() -> None:
    assert_type(ad.checkpoint(loss), Callable[[Array, float], float])
    assert_type(ad.checkpoint(curve)(X, power=3), Array)
    if TYPE_CHECKING:
        ad.checkpoint(curve)(X, exponent=3)  # type: ignore[call-arg]


@ad.compile
def doubled(x: Array, /) -> Array:
    return 2 * x


@ad.compile(static_argnames="n", backend="numpy")
def with_options(x: Array, n: int) -> Array:
    return x**n


def test_compile_keeps_the_whole_signature() -> None:
    assert_type(ad.compile(loss), Compiled[[Array, float], float])
    assert_type(ad.compile(curve)(X, power=3), Array)
    assert_type(ad.compile(ad.grad(loss))(X, 1.0), Any)
    assert_type(ad.grad(ad.compile(loss)), Gradient)
    assert_type(doubled(X), Array)
    assert_type(with_options(X, n=3), Array)
    assert_type(doubled.lower(X), Program)
    assert_type(doubled.cache_info().programs, int)
    if TYPE_CHECKING:
        ad.compile(curve)(X, exponent=3)  # type: ignore[call-arg]
        with_options(X, m=3)  # type: ignore[call-arg]
        doubled("x")  # type: ignore[arg-type]


def test_record_gives_a_tape() -> None:
    assert_type(ad.record(loss), Callable[[Array, float], ad.Tape])
    assert_type(ad.record(curve)(X, power=3), ad.Tape)
    if TYPE_CHECKING:
        ad.record(curve)(X, exponent=3)  # type: ignore[call-arg]


def test_ufuncs_take_arrays_and_scalars() -> None:
    """Their types are overloaded, of which a parameter specification would keep the first."""
    assert_type(ad.grad(np.tanh), Callable[..., Any])
    assert_type(ad.value_and_grad(np.tanh), Callable[..., tuple[Any, Any]])
    assert_type(ad.elementwise_grad(np.tanh)(X), Any)
    assert_type(ad.jacobian(np.tanh)(X), Any)
    assert_type(ad.hessian(np.tanh), Callable[..., Any])
    assert_type(ad.vmap(np.tanh)(X), Any)
    assert_type(ad.checkpoint(np.tanh)(X), Any)
    assert_type(ad.record(np.tanh)(X), ad.Tape)
    assert_type(ad.compile(np.tanh)(X), Any)
    assert_type(ad.custom_vjp(np.tanh)(X), Any)
    assert_type(ad.custom_jvp(np.tanh)(X), Any)


def test_pullbacks_and_tangents() -> None:
    assert_type(ad.vjp(loss, X, 1.0), tuple[Any, Callable[[Any], tuple[Any, ...]]])
    pair = ad.vjp(lambda x: (x, 1), X, has_aux=True)
    assert_type(pair, tuple[Any, Callable[[Any], tuple[Any, ...]], Any])
    assert_type(ad.jvp(loss, (X, 1.0), (X, 1.0)), tuple[Any, Any])
    assert_type(ad.linearize(loss, X, 1.0), tuple[Any, Callable[..., Any]])
    assert_type(ad.hvp(loss, (X, 1.0), (X, 1.0)), Any)


def test_constants_and_names_keep_the_type() -> None:
    assert_type(ad.stop_gradient(X), Array)
    assert_type(ad.stop_gradient({"x": 1.0}), dict[str, float])
    assert_type(ad.stop_gradient(ad.Tensor(1.0)), ad.Tensor)
    assert_type(ad.name(X, "x"), Array)
    if TYPE_CHECKING:
        ad.name(X, 3)  # type: ignore[arg-type]


@ad.custom_vjp
def softened(x: Array, /) -> Array:
    return np.logaddexp(0.0, x)


@ad.custom_jvp
def cubed(x: Array, /) -> Array:
    return x**3


class Model:
    scale = 2.0

    @ad.custom_vjp
    def scaled(self, x: Array) -> Array:
        return self.scale * x

    @ad.checkpoint
    def recomputed(self, x: Array) -> Array:
        return self.scale * x

    @ad.grad
    def gradient(self, x: Array) -> float:
        total: float = np.sum(x)
        return total


def test_custom_functions_keep_the_whole_signature() -> None:
    assert_type(softened, CustomFunction[[Array], Array])
    assert_type(softened(X), Array)
    assert_type(
        softened.def_vjp(lambda x: (np.logaddexp(0.0, x), x), lambda x, g: (g / (1 + np.exp(-x)),)),
        CustomFunction[[Array], Array],
    )
    assert_type(cubed, CustomFunction[[Array], Array])
    assert_type(
        cubed.def_jvp(lambda p, t: (p[0] ** 3, 3 * p[0] ** 2 * t[0])),
        CustomFunction[[Array], Array],
    )
    if TYPE_CHECKING:
        softened()  # type: ignore[call-arg]
        softened.def_vjp(lambda x: x)  # type: ignore[call-arg]
        cubed.def_jvp(3)  # type: ignore[arg-type]


def test_methods() -> None:
    model = Model()
    assert_type(model.scaled(x=X), Array)
    assert_type(model.recomputed(x=X), Array)
    if TYPE_CHECKING:
        assert_type(model.gradient(X), Any)
        model.scaled()  # type: ignore[call-arg]
        model.recomputed(X, X)  # type: ignore[call-arg]


@ad.no_grad()
def plain(x: Array, /) -> float:
    return float(np.sum(x))


@ad.debug()
@ad.strong_zero()
def watched(x: Array, /) -> Array:
    return x


def test_modes_keep_the_type_of_what_they_decorate() -> None:
    assert_type(plain, Callable[[Array], float])
    assert_type(watched, Callable[[Array], Array])
    with ad.no_grad(), ad.strong_zero(), ad.debug():
        assert_type(plain(X), float)
    if TYPE_CHECKING:
        plain(X, X)  # type: ignore[call-arg]


def test_names_that_are_loaded_later_are_known() -> None:
    assert_type(ad.optim.SGD([ad.Tensor(1.0)]), ad.optim.SGD)
    assert_type(ad.nn.Linear(2, 3), ad.nn.Linear)
    if TYPE_CHECKING:
        _ = ad.nowhere  # type: ignore[attr-defined]
