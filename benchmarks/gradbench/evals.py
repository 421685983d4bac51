"""The evals of GradBench as functions of what its messages carry: primal and derivative of each.

The formulas are those of `autodiff.bench.problems.gradbench`, written in NumPy's words. A maker
takes the input of a message and what a function goes through before it runs (nothing, or
`ad.compile`), and gives an `Evaluation`: what is timed, and what makes the output of its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import autodiff as ad
from autodiff.bench import formulas
from autodiff.bench.engines.functions import LIBRARY
from autodiff.bench.problem import Library, advance
from autodiff.bench.problems import PROBLEMS
from autodiff.bench.problems.gradbench import hand_tracking, mixture, small

__all__ = ["EVALS", "Evaluation", "Maker", "Wrap"]

Inputs = Mapping[str, Any]
Function = Callable[..., Any]
Wrap = Callable[[Function], Function]


class Evaluation(NamedTuple):
    """What is timed, and what turns its result into the output of the message."""

    run: Callable[[], Any]
    output: Callable[[Any], Any]


Maker = Callable[[Inputs, Wrap], Evaluation]


def _on(arguments: tuple[Any, ...], function: Function, output: Function, wrap: Wrap) -> Evaluation:
    wrapped = wrap(function)
    return Evaluation(lambda: wrapped(*arguments), output)


def _list(x: Any) -> Any:
    return np.asarray(x).tolist()


# --- hello, whose inputs are numbers --------------------------------------------------------------


def _square(x: Any) -> Any:
    return x * x


def _hello(function: Function) -> Maker:
    return lambda x, wrap: _on((float(x),), function, float, wrap)  # type: ignore[arg-type]


# --- gradients of a number ------------------------------------------------------------------------


def _gmm(message: Inputs) -> tuple[Function, tuple[Any, ...]]:
    arrays = {name: np.array(message[name]) for name in ("alpha", "mu", "q", "x")}
    dimension, components = int(message["d"]), int(message["k"])
    below = np.array(message["l"]).reshape(components, -1)
    layout = {
        "places": mixture.places(dimension),
        "zeros": np.zeros((components, 1)),
        "gamma": float(message["gamma"]),
        "freedom": int(message["m"]),
    }
    function = PROBLEMS["gmm"].formula(LIBRARY, {**arrays, **layout})
    return function, (arrays["alpha"], arrays["mu"], arrays["q"], below)


def _lstm(message: Inputs) -> tuple[Function, tuple[Any, ...]]:
    # One operation, whatever the length of the text
    def loop(step: Function, carry: Any, xs: Any) -> Any:
        return ad.scan(lambda carry, x: (step(carry, x), None), carry, xs)[0]

    library = Library("numpy", loop=loop, sigmoid=ad.sigmoid)
    main, extra = np.array(message["main_params"]), np.array(message["extra_params"])
    text = np.array(message["sequence"])
    inputs = {
        "state": list(np.array(message["state"])),
        "pairs": np.stack([text[:-1], text[1:]], axis=1),
        "layers": len(main) // 2,
    }
    return PROBLEMS["diagonal_lstm"].formula(library, inputs), (main, extra)


def _llsq(message: Inputs) -> tuple[Function, tuple[Any, ...]]:
    x, count = np.array(message["x"]), int(message["n"])
    t = np.linspace(-1.0, 1.0, count)

    def distance(x: Any) -> Any:
        return 0.5 * np.sum((np.sign(t) - np.polyval(x[::-1], t)) ** 2)

    return distance, (x,)


def _lse(message: Inputs) -> tuple[Function, tuple[Any, ...]]:
    return PROBLEMS["lse"].formula(LIBRARY, {}), (np.array(message["x"]),)


@cache
def _columns(size: int) -> tuple[Any, ...]:
    """For minors of 1, 2, ... rows: the columns of each, along the last axis.

    The minors of each are next to each other in the array before. Every choice of columns in turn
    has its own, as in the recursion: nothing is computed once that the recursion computes twice.
    """
    found = [np.arange(size)[None]]
    for width in range(size, 1, -1):
        others = np.stack([np.delete(np.arange(width), j) for j in range(width)])
        found.append(found[-1][:, others].reshape(-1, width - 1))
    return tuple(reversed(found))


def _det(message: Inputs) -> tuple[Function, tuple[Any, ...]]:
    size = int(message["ell"])
    columns = _columns(size)
    signs = (-1.0) ** np.arange(size)

    def determinant(flat: Any) -> Any:
        matrix = flat.reshape(size, size)
        minors: Any = matrix[size - 1][columns[0]][:, 0]
        for chosen in columns[1:]:
            width = chosen.shape[1]
            entries = (matrix[size - width] * 1.0)[chosen] * signs[:width]
            minors = np.sum(entries * minors.reshape(-1, width), axis=1)
        return minors[0]

    return determinant, (np.array(message["A"]),)


def _ode_inputs(message: Inputs) -> dict[str, Any]:
    size = len(message["x"])
    return {"start": np.zeros(size), "one": np.ones(1), "steps": int(message["s"])}


def _ode(message: Inputs) -> tuple[Function, tuple[Any, ...]]:
    return PROBLEMS["ode"].formula(LIBRARY, _ode_inputs(message)), (np.array(message["x"]),)


def _ode_primal(message: Inputs, wrap: Wrap) -> Evaluation:
    end = small.end_state(LIBRARY, _ode_inputs(message))
    return _on((np.array(message["x"]),), end, _list, wrap)


Prepared = Callable[[Inputs], tuple[Function, tuple[Any, ...]]]


def _value(prepare: Prepared) -> Maker:
    def make(message: Inputs, wrap: Wrap) -> Evaluation:
        function, arguments = prepare(message)
        return _on(arguments, function, float, wrap)

    return make


def _gradient(prepare: Prepared, output: Function) -> Maker:
    def make(message: Inputs, wrap: Wrap) -> Evaluation:
        function, arguments = prepare(message)
        gradient = ad.grad(function, argnums=tuple(range(len(arguments))))
        return _on(arguments, gradient, output, wrap)

    return make


def _first(gradients: Any) -> Any:
    return _list(gradients[0])


def _named(gradients: Any) -> dict[str, Any]:
    return dict(zip(("alpha", "mu", "q", "l"), map(_list, gradients), strict=True))


def _joined(gradients: Any) -> Any:
    return np.concatenate([np.ravel(g) for g in gradients]).tolist()


# --- kmeans: a step of Newton's method ------------------------------------------------------------


def _kmeans(message: Inputs) -> tuple[Function, tuple[Any, ...]]:
    inputs = {"points": np.array(message["points"])}
    return PROBLEMS["kmeans"].formula(LIBRARY, inputs), (np.array(message["centroids"]),)


def _newton(message: Inputs, wrap: Wrap) -> Evaluation:
    cost, arguments = _kmeans(message)

    def direction(centroids: Any) -> Any:
        # The Hessian is diagonal, so that its product with ones is all of it
        slope, curvature = ad.jvp(ad.grad(cost), (centroids,), (np.ones_like(centroids),))
        return slope / curvature

    return _on(arguments, direction, _list, wrap)


# --- ba: a sparse Jacobian, as blocks of all observations at once ---------------------------------


class _Bundle(NamedTuple):
    """Cameras and points with one column each, and for each observation which it is of."""

    cameras: Any
    points: Any
    weights: Any
    of_camera: Any
    of_point: Any
    errors: Function


def _bundle(message: Inputs) -> _Bundle:
    n, m, p = (int(message[name]) for name in ("n", "m", "p"))
    image = np.tile(np.array(message["feat"])[:, None], p)
    return _Bundle(
        np.tile(np.array(message["cam"])[:, None], n),
        np.tile(np.array(message["x"])[:, None], m),
        np.full(p, float(message["w"])),
        np.arange(p) % n,
        np.arange(p) % m,
        PROBLEMS["bundle"].formula(LIBRARY, {"image": image}),
    )


def _penalty(weights: Any) -> Any:
    return 1.0 - weights * weights


def _reprojection(message: Inputs, wrap: Wrap) -> Evaluation:
    bundle = _bundle(message)

    def errors(cameras: Any, points: Any, weights: Any) -> Any:
        of_image = bundle.errors(cameras[:, bundle.of_camera], points[:, bundle.of_point], weights)
        return of_image.T, _penalty(weights)

    def output(result: Any) -> Any:
        of_image, of_weight = result
        return {
            "reproj_error": {"elements": of_image[0].tolist(), "repeated": len(of_image)},
            "w_err": {"element": float(of_weight[0]), "repeated": len(of_weight)},
        }

    return _on((bundle.cameras, bundle.points, bundle.weights), errors, output, wrap)


def _reprojection_jacobian(message: Inputs, wrap: Wrap) -> Evaluation:
    bundle = _bundle(message)
    n, m, p = bundle.cameras.shape[1], bundle.points.shape[1], len(bundle.weights)

    @wrap
    def blocks(cameras: Any, points: Any, weights: Any) -> Any:
        chosen = cameras[:, bundle.of_camera], points[:, bundle.of_point], weights
        found, pull = ad.vjp(bundle.errors, *chosen)
        rows = [pull(np.zeros(found.shape) + one) for one in np.eye(2)[:, :, None]]
        return rows, ad.grad(lambda w: np.sum(_penalty(w)))(weights)

    def run() -> tuple[Any, Any, Any]:
        """The matrix in CSR: columns of its entries, and where its rows begin."""
        rows, of_penalty = blocks(bundle.cameras, bundle.points, bundle.weights)
        entries, columns = np.empty((p, 2, 15)), np.empty((p, 2, 15), np.int32)
        for row, (camera, point, weight) in enumerate(rows):
            entries[:, row, :11], entries[:, row, 11:14] = camera.T, point.T
            entries[:, row, 14] = weight
        of_weights = np.arange(11 * n + 3 * m, 11 * n + 3 * m + p)
        columns[:, :, :11] = (11 * bundle.of_camera[:, None] + np.arange(11))[:, None]
        columns[:, :, 11:14] = (11 * n + 3 * bundle.of_point[:, None] + np.arange(3))[:, None]
        columns[:, :, 14] = of_weights[:, None]
        begin = np.concatenate([np.arange(0, 30 * p, 15), np.arange(30 * p, 31 * p + 1)])
        return (
            begin,
            np.concatenate([columns.ravel(), of_weights]),
            np.concatenate([entries.ravel(), of_penalty]),
        )

    def output(result: Any) -> Any:
        ends = ([*part[:30].tolist(), part[-1].item()] for part in result)
        return dict(zip(("rows", "cols", "vals"), ends, strict=True))

    return Evaluation(run, output)


# --- ht: a Jacobian with few columns, forward -----------------------------------------------------


def _hand(message: Inputs) -> tuple[Function, tuple[Any, ...]]:
    """Residuals, of shape (3, points), by the hand's unknowns and, if any, places in triangles."""
    data, model = message["data"], message["data"]["model"]
    if model["is_mirrored"]:
        raise ValueError("ht: a mirrored hand is in none of the data sets")
    weights, base = np.array(model["weights"]), np.array(model["base_positions"])
    bones, theta = len(model["parents"]), np.array(message["theta"])
    chosen = np.array(data["correspondences"])
    measured = np.array(data["points"]).T
    inputs = {
        "none": np.zeros(1),
        "angles": hand_tracking.angles(),
        "parents": tuple(model["parents"]),
        "relatives": np.array(model["base_relatives"]),
        "inverses": np.array(model["inverse_base_absolutes"]),
        "skin": (weights.T[:, None, :] * base.T).reshape(4 * bones, -1),
        "zeros": np.zeros(bones),
        "ones": np.ones(bones),
        "unit": np.eye(3),
    }
    vertices = hand_tracking.surface(LIBRARY, inputs)
    if not len(message["us"]):
        return lambda theta: measured - vertices(theta)[:, chosen], (theta,)
    first, second, third = np.array(model["triangles"])[chosen].T

    def residuals(theta: Any, places: Any) -> Any:
        found = vertices(theta)
        u, v = places
        return measured - (
            u * found[:, first] + v * found[:, second] + (1.0 - u - v) * found[:, third]
        )

    return residuals, (theta, np.array(message["us"]).T)


def _residuals(message: Inputs, wrap: Wrap) -> Evaluation:
    function, arguments = _hand(message)
    return _on(arguments, function, lambda result: result.T.ravel().tolist(), wrap)


def _residuals_jacobian(message: Inputs, wrap: Wrap) -> Evaluation:
    function, (theta, *places) = _hand(message)
    unknowns = len(theta)

    def moved(by: Any) -> Any:
        # A point reads its own place in its triangle alone, so all places move at once
        both = [places[0] + by[:2][:, None]] if places else []
        return function(theta + by[len(by) - unknowns :], *both)

    at = np.zeros(unknowns + (2 if places else 0))

    def output(result: Any) -> Any:
        return result.transpose(1, 0, 2).reshape(-1, len(at)).tolist()

    return _on((at,), ad.jacobian(moved, order="forward"), output, wrap)


# --- particle and saddle: derivatives within derivatives ------------------------------------------


def _value_and_gradient(mode: str) -> Callable[[Function], Function]:
    """Value and gradient of a function of one number or vector, in a direction of one's choice."""
    if mode == "r":
        return ad.value_and_grad

    def transform(function: Function) -> Function:
        def both(x: Any, *rest: Any) -> tuple[Any, Any]:
            def along(direction: Any) -> tuple[Any, Any]:
                value, slope = ad.jvp(lambda x: function(x, *rest), (x,), (direction,))
                return value, slope

            if np.ndim(x) == 0:
                return along(1.0)
            # All directions in one pass, whose value and way are those of each
            values, slopes = ad.vmap(along)(np.eye(len(x)))
            return values[0], slopes

        return both

    return transform


def _slope(mode: str, function: Function) -> Function:
    both = _value_and_gradient(mode)(function)
    return lambda x: both(x)[1]


def _chosen(condition: Any, some: Any, others: Any) -> tuple[Any, ...]:
    """One state or another one."""
    return tuple(np.where(condition, a, b) for a, b in zip(some, others, strict=True))


def _advance(going: Function, step: Function, carry: Any) -> Any:
    """Take a state through the same step for as long as a condition holds.

    Many steps are one operation; those after the last one leave the state as it is.
    """

    def step_if_going(carry: Any, _: Any) -> tuple[Any, None]:
        return _chosen(going(carry), step(carry), carry), None

    while going(carry):
        carry, _ = ad.scan(step_if_going, carry, length=200)
    return carry


def _particle(outer: str, inner: str) -> Maker:
    def make(message: Inputs, wrap: Wrap) -> Evaluation:
        library = Library("numpy", advance=_advance, grad=lambda f: _slope(inner, f))
        inputs = {
            "position": np.array([0.0, 8.0]),
            "velocity": np.array([0.75, 0.0]),
            "charges": np.array([[10.0, 10.0], [10.0, 0.0]]),
            "shift": np.array([[0.0, -1.0], [0.0, 0.0]]),
            "h": 0.1,
        }
        landing = PROBLEMS["particle"].formula(library, inputs)
        value_and_slope = wrap(_value_and_gradient(outer)(landing))
        start = float(message["w"])
        return Evaluation(lambda: formulas.descend(value_and_slope, start, 10**9)[0], float)

    return make


def _cost(y: Any, x: Any) -> Any:
    return np.sum(x * x) - np.sum(y * y)


def _descent(value_and_gradient: Function, start: Any, repeat: Function) -> tuple[Any, Any]:
    """Where a descent along the gradient ends, and the value there; the rate adapts."""

    def is_long(step: Any) -> Any:
        return np.sum(step * step) > 1e-10

    def rated(rate: Any, successes: Any) -> tuple[Any, Any]:
        grows = successes == 10
        return np.where(grows, 2 * rate, rate), np.where(grows, 0, successes)

    def is_going(state: Any) -> Any:
        _, _, slope, rate, successes = state
        rate, _ = rated(rate, successes)
        return is_long(slope) & is_long(rate * slope)

    def step(state: Any) -> Any:
        x, value, slope, rate, successes = state
        rate, successes = rated(rate, successes)
        moved = x - rate * slope
        new_value, new_slope = value_and_gradient(moved)
        is_lower = new_value < value
        after = moved, new_value, new_slope, rate, successes + 1
        return _chosen(is_lower, after, (x, value, slope, rate / 2, 0 * successes))

    x, value, *_ = repeat(is_going, step, (start, *value_and_gradient(start), 1e-5, 0))
    return x, value


def _saddle(outer: str, inner: str) -> Maker:
    def make(message: Inputs, wrap: Wrap) -> Evaluation:
        start = np.array(message["start"])
        loss = _value_and_gradient(inner)(lambda y, x: -_cost(y, x))

        def highest(x: Any) -> tuple[Any, Any]:
            y, lowest = _descent(lambda y: loss(y, x), start, _advance)
            return y, -lowest

        gradient = wrap(_value_and_gradient(outer)(lambda x: highest(x)[1]))
        place = wrap(lambda x: highest(x)[0])

        def run() -> Any:
            x, _ = _descent(gradient, start, advance)
            return np.concatenate([x, place(x)])

        return Evaluation(run, _list)

    return make


def _nested(make: Callable[[str, str], Maker]) -> dict[str, Maker]:
    return {outer + inner: make(outer, inner) for outer in "rf" for inner in "rf"}


EVALS: dict[str, dict[str, Maker]] = {
    "hello": {"square": _hello(_square), "double": _hello(ad.grad(_square))},
    "gmm": {"objective": _value(_gmm), "jacobian": _gradient(_gmm, _named)},
    "ba": {"objective": _reprojection, "jacobian": _reprojection_jacobian},
    "ht": {"objective": _residuals, "jacobian": _residuals_jacobian},
    "lstm": {"objective": _value(_lstm), "jacobian": _gradient(_lstm, _joined)},
    "kmeans": {"cost": _value(_kmeans), "dir": _newton},
    "llsq": {"primal": _value(_llsq), "gradient": _gradient(_llsq, _first)},
    "lse": {"primal": _value(_lse), "gradient": _gradient(_lse, _first)},
    "ode": {"primal": _ode_primal, "gradient": _gradient(_ode, _first)},
    "det": {"primal": _value(_det), "gradient": _gradient(_det, _first)},
    "particle": _nested(_particle),
    "saddle": _nested(_saddle),
}
"""By eval and function."""
