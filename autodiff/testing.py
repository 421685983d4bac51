"""Numerical checks of derivatives against what the function does.

`check_grads` compares forward and reverse mode with central differences, Richardson-extrapolated
over three steps (Richardson, L. F. (1911), Phil. Trans. R. Soc. A 210, 307-357), so that the
estimate is good to many more digits than any plausible mistake in a rule. A derivative of order k
is checked as the derivative of the derivative of order k - 1, which was itself checked before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff import tree
from autodiff.core.dispatch import concrete
from autodiff.core.spec import is_inexact, spec_of
from autodiff.transforms.arguments import differentiable_leaf
from autodiff.transforms.gradient import vjp
from autodiff.transforms.tangent import jvp

__all__ = ["check_grads"]

Vector = np.ndarray[Any, Any]

_FULL = 40
"""Up to this many real inputs each is checked separately; of more, random projections are."""

_PROJECTIONS = 2
"""Random projections of each leaf of a large input."""

_RELATIVE = {"float64": 1e-6, "float32": 3e-3, "float16": 6e-2}
"""Default relative tolerance by the coarsest dtype among inputs and outputs."""

_ROUNDING = 30.0
"""Rounding errors of f allowed for, in units of the last place of its largest value."""

_UNCERTAIN = 1e-4
"""The difference scheme's own error estimate widens a tolerance by no more than this part."""

_SHRINK = (1.0, 2.0**-6, 2.0**-12)
"""Steps tried in turn, as fractions of the first."""


def check_grads(
    f: Callable[..., Any],
    args: Any,
    order: int = 2,
    modes: Sequence[str] = ("forward", "reverse"),
    *,
    rtol: float | None = None,
    atol: float | None = None,
    eps: float | None = None,
    seed: int = 0,
    holomorphic: bool = False,
) -> None:
    """Check the derivatives of `f` at a point against finite differences.

    Parameters
    ----------
    f : callable
        Takes plain arrays as well as Tensors, gives the same result each time, and returns arrays
        or containers of arrays of any shapes.
    args : tuple of containers
        Positional arguments, all of them differentiated. A single array or number counts as a
        tuple of one.
    order : int
        Highest order of derivative to check, at least 1.
    modes : "forward", "reverse" or both
        Checked at each order and, from order 2 on, over one another. With both, one VJP and one
        JVP are also compared by inner product.
    rtol, atol : float, optional
        Tolerances; by default `rtol` is 1e-6 for float64, 3e-3 for float32 and 6e-2 for float16
        (the coarsest dtype among inputs and outputs decides), and `atol` a hundredth of it. What
        rounding in `f` may do to a difference is allowed for on top.
    eps : float, optional
        First step of the differences, relative to entries larger than 1; by default the fourth
        root of the dtype's precision. Smaller steps are tried where it disagrees.
    seed : int
        Of the random cotangents, tangents and projections.
    holomorphic : bool
        Check too that `f` is complex-differentiable: that a step times i changes it by i times
        as much. All inputs must be complex.

    Raises
    ------
    AssertionError
        A derivative is wrong, NaN or infinite, `f` is not finite at the point or next to it, or
        has a kink there (but for one whose rule gives the mean of both sides, as ``abs`` at 0 does
        to first order). Says which mode and order, the path and index of the worst entry, what
        was expected there and what was got.
    TypeError
        An argument cannot carry a derivative (it holds integers, for example).
    ValueError
        `order` or `modes` is not valid.

    Notes
    -----
    For complex inputs the gradient of a real-valued f of z = x + iy is df/dx - i df/dy, and a
    cotangent g pairs with a tangent t as Re(sum(g t)). Inputs of up to 40 real numbers are checked
    entry by entry; of larger ones random projections of each leaf are, and where one is wrong its
    worst entry is found by bisection.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.check_grads(lambda w, x: np.tanh(x @ w), (np.ones((3, 2)), np.arange(3.0)))
    >>> ad.check_grads(lambda x: x * ad.stop_gradient(x), 2.0, order=1, modes=["reverse"])
    Traceback (most recent call last):
        ...
    AssertionError: check_grads: reverse mode, order 1: wrong derivative at args[0]
      expected -2.1638941 (central differences, step 0.00024414), got -1.081947
      got / expected = 0.5; 1 of the 1 comparisons made are wrong
    """
    if not isinstance(args, (tuple, list)):
        args = (args,)
    if order < 1:
        raise ValueError(f"check_grads: order must be at least 1, got {order!r}")
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    unknown = [mode for mode in modes if mode not in ("forward", "reverse")]
    if unknown or not modes:
        raise ValueError(f"check_grads: modes are 'forward' and 'reverse', got {modes!r}")
    values, structure = tree.flatten(tuple(args))
    paths = tree.paths(structure, "args")
    leaves = [
        np.array(concrete(differentiable_leaf(value, path, "check_grads")))
        for value, path in zip(values, paths, strict=True)
    ]
    if not leaves:
        raise TypeError("check_grads: args holds nothing to differentiate with respect to")
    if holomorphic and any(leaf.dtype.kind != "c" for leaf in leaves):
        raise TypeError("check_grads: holomorphic=True needs complex inputs throughout")
    settings = _Settings(rtol, atol, eps, np.random.default_rng(seed))
    pending: list[tuple[Callable[..., Any], tuple[str, ...]]] = [(f, ())]
    # NaN and infinity are reported, with their place; NumPy's warnings would come first.
    with np.errstate(all="ignore"):
        while pending:
            function, taken = pending.pop(0)
            check = _Check(function, leaves, structure, paths, taken, settings)
            derived = check.run(modes, holomorphic and not taken)
            if len(taken) + 1 < order:
                pending += [(derived[mode], (mode, *taken)) for mode in modes]


class _Settings(NamedTuple):
    rtol: float | None
    atol: float | None
    eps: float | None
    rng: np.random.Generator


class _Slope(NamedTuple):
    """Numerical derivative of all outputs in a direction, and one extrapolation less of it."""

    value: Vector
    fine: Vector
    spread: Vector
    left: Vector
    right: Vector
    kink: Vector
    step: float


class _Direction:
    """A tangent that is zero outside one leaf; `index` where it is one entry's alone.

    It keeps the slopes found along it, which both modes need.
    """

    __slots__ = ("index", "leaf", "slopes", "vector")

    def __init__(self, leaf: int, vector: Vector, index: tuple[int, ...] | None) -> None:
        self.leaf: int = leaf
        self.vector: Vector = vector
        self.index = index
        self.slopes: dict[int, _Slope] = {}


class _Mismatch(NamedTuple):
    direction: _Direction
    position: int
    expected: Any
    got: Any
    gap: float
    step: float
    sides: tuple[Any, Any] | None

    def badness(self) -> float:
        """What the worst mismatch has most of."""
        return self.gap if np.isfinite(self.gap) else np.inf


class _Check:
    """One function (f, or a derivative of it) at one point."""

    def __init__(
        self,
        function: Callable[..., Any],
        leaves: list[Vector],
        structure: tree.PyTreeSpec,
        paths: list[str],
        taken: tuple[str, ...],
        settings: _Settings,
    ) -> None:
        self.function = function
        self.leaves = leaves
        self.structure = structure
        self.paths = paths
        self.taken = taken
        self.settings = settings
        outs, self.out_structure = tree.flatten(self.call(leaves))
        self.outs = [np.asarray(concrete(out)) for out in outs]
        self.out_paths = tree.paths(self.out_structure, "out")
        self.center = self.flat(self.outs)
        kinds = [v.dtype for v in (*leaves, *self.outs) if is_inexact(v.dtype)]
        coarsest = max(kinds, key=lambda dtype: float(np.finfo(dtype).eps))
        self.precision = float(np.finfo(coarsest).eps)
        name = np.finfo(coarsest).dtype.name
        self.rtol = _RELATIVE[name] if settings.rtol is None else settings.rtol
        self.atol = 0.01 * _RELATIVE[name] if settings.atol is None else settings.atol

    # --- the function --------------------------------------------------------------------------

    def arguments(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """Arguments for the function, of copies: it may write to what it is given."""
        copies = [np.array(leaf)[()] for leaf in leaves]
        arguments: tuple[Any, ...] = tree.unflatten(self.structure, copies)
        return arguments

    def call(self, leaves: Sequence[Any]) -> Any:
        return self.function(*self.arguments(leaves))

    def evaluate(self, leaves: Sequence[Any]) -> Vector:
        """All outputs as one vector."""
        outs = tree.leaves(self.call(leaves))
        return self.flat([np.asarray(concrete(out)) for out in outs])

    @staticmethod
    def flat(outs: Sequence[Any]) -> Vector:
        """Join outputs that carry a derivative into one float64 or complex128 vector."""
        parts = [np.asarray(concrete(o)).ravel() for o in outs if is_inexact(spec_of(o).dtype)]
        joined = np.concatenate([np.zeros(0), *parts])
        return joined.astype(complex if joined.dtype.kind == "c" else float)

    def seed(self, cotangents: Sequence[Vector]) -> Vector:
        """Cotangents of the outputs that carry a derivative, as one vector."""
        pairs = zip(cotangents, self.outs, strict=True)
        return self.flat([g for g, out in pairs if is_inexact(out.dtype)])

    # --- what is said ----------------------------------------------------------------------------

    @property
    def subject(self) -> str:
        """What the differences are taken of."""
        if not self.taken:
            return "f"
        return f"the derivative of f ({' over '.join(self.taken)} mode)"

    def fail(self, mode: str, text: str) -> AssertionError:
        order = len(self.taken) + 1
        chain = " over ".join((mode, *self.taken))
        return AssertionError(f"check_grads: {chain} mode, order {order}: {text}")

    def out_place(self, position: int) -> str:
        """Path and index of an output by its position in the joined vector."""
        for out, path in zip(self.outs, self.out_paths, strict=True):
            if not is_inexact(out.dtype):
                continue
            if position < out.size:
                return _place(path, np.unravel_index(position, out.shape))
            position -= out.size
        raise IndexError(f"no output number at position {position}")

    # --- the check -------------------------------------------------------------------------------

    def run(self, modes: Sequence[str], holomorphic: bool) -> dict[str, Callable[..., Any]]:
        """Check each mode; returns the derivative functions, for the next order."""
        bad = ~np.isfinite(self.center)
        if bad.any():
            position = int(np.argmax(bad))
            raise self.fail(
                modes[0],
                f"{self.subject} is {self.center[position]} at {self.out_place(position)}; no "
                "derivative can be checked where it is not finite",
            )
        directions = self.directions()
        if holomorphic:
            self.check_holomorphic(directions)
        rng = self.settings.rng
        tangents = [_random(rng, leaf) for leaf in self.leaves]
        cotangents = [_random(rng, out) for out in self.outs]
        derived: dict[str, Callable[..., Any]] = {}
        tangent_out: Vector | None = None
        gradients: list[Vector] | None = None
        if "forward" in modes:
            derived["forward"] = lambda *xs: jvp(
                self.function, xs, tree.unflatten(self.structure, tangents)
            )[1]
            tangent_out = self.check_forward(directions, tangents)
        if "reverse" in modes:
            derived["reverse"] = lambda *xs: vjp(self.function, *xs)[1](
                tree.unflatten(self.out_structure, cotangents)
            )
            gradients = self.check_reverse(directions, cotangents)
        if tangent_out is not None and gradients is not None:
            self.check_inner_product(tangents, cotangents, tangent_out, gradients)
        return derived

    def check_forward(self, directions: list[_Direction], tangents: list[Vector]) -> Vector:
        """Compare JVPs with differences; returns the JVP of the given tangents."""

        def push(vectors: Sequence[Any]) -> Vector:
            primal, tangent = jvp(
                self.function,
                self.arguments(self.leaves),
                tree.unflatten(self.structure, [v[()] for v in vectors]),
            )
            self.compare_value("forward", tree.leaves(primal))
            outs = [
                t
                for t, o in zip(tree.leaves(tangent), self.outs, strict=True)
                if is_inexact(o.dtype)
            ]
            return self.flat(outs)

        def mismatch(direction: _Direction) -> _Mismatch | None:
            vectors = [np.zeros_like(leaf) for leaf in self.leaves]
            vectors[direction.leaf] = direction.vector
            got = push(vectors)
            self.require_finite("forward", got, direction)
            return self.compare(direction, got, np.abs(self.center))

        self.compare_all("forward", directions, mismatch)
        return push(tangents)

    def check_reverse(self, directions: list[_Direction], cotangents: list[Vector]) -> list[Vector]:
        """Compare the gradient of a random projection of the outputs with differences."""
        outs, pullback = vjp(self.function, *self.arguments(self.leaves))
        self.compare_value("reverse", tree.leaves(outs))
        pulled = pullback(tree.unflatten(self.out_structure, [g[()] for g in cotangents]))
        gradients = [np.asarray(concrete(leaf)) for leaf in tree.leaves(pulled)]
        for gradient, path in zip(gradients, self.paths, strict=True):
            bad = ~np.isfinite(gradient)
            if bad.any():
                index = tuple(int(i) for i in np.argwhere(bad)[0])
                raise self.fail(
                    "reverse", f"the gradient is {gradient[index]} at {_place(path, index)}"
                )
        seed = self.seed(cotangents)

        def mismatch(direction: _Direction) -> _Mismatch | None:
            got = np.sum(gradients[direction.leaf] * direction.vector).real
            size = np.sum(np.abs(seed * self.center), keepdims=True)
            return self.compare(direction, np.array([got], float), size, seed)

        self.compare_all("reverse", directions, mismatch)
        return gradients

    def check_inner_product(
        self,
        tangents: list[Vector],
        cotangents: list[Vector],
        tangent_out: Vector,
        gradients: list[Vector],
    ) -> None:
        """Check that Re <g, J t> computed forward is what it is computed in reverse."""
        seed = self.seed(cotangents)
        forward = (seed * tangent_out).real
        reverse = np.concatenate(
            [(g * t).real.ravel() for g, t in zip(gradients, tangents, strict=True)]
        )
        size = float(np.abs(forward).sum() + np.abs(reverse).sum())
        gap = float(abs(forward.sum() - reverse.sum()))
        # No differences are taken here, so the modes must agree but for rounding.
        if not gap <= min(self.rtol, 10 * self.precision**0.5) * size + self.atol:
            raise self.fail(
                "forward and reverse",
                "the two modes disagree: for a random tangent t and cotangent g, <g, J t> is "
                f"{_number(forward.sum())} by forward mode and {_number(reverse.sum())} by reverse",
            )

    def check_holomorphic(self, directions: list[_Direction]) -> None:
        """Check the Cauchy-Riemann equations, D f[i t] = i D f[t]."""
        for direction in directions:
            turned = _Direction(direction.leaf, 1j * direction.vector, direction.index)
            across = self.slope(turned, 0).value / 1j
            found = self.compare(direction, across, np.abs(self.center))
            if found is not None:
                raise self.fail(
                    "numerical",
                    f"f is not complex-differentiable at {self.in_place(direction)}: a real step "
                    f"changes {self.out_place(found.position)} at the rate "
                    f"{_number(found.expected)}, an imaginary one at i times {_number(found.got)}",
                )

    def compare_value(self, mode: str, outs: Sequence[Any]) -> None:
        """The function must compute the same on Tensors as on arrays, and each time."""
        value = self.flat(outs)
        if value.shape != self.center.shape:
            raise self.fail(mode, f"{self.subject} has another shape on Tensors than on arrays")
        gap = np.abs(value - self.center)
        bad = ~(gap <= self.rtol * np.abs(self.center) + self.atol)
        if bad.any():
            position = int(np.argmax(bad))
            raise self.fail(
                mode,
                f"{self.subject} itself is {_number(value[position])} on Tensors and "
                f"{_number(self.center[position])} on arrays at {self.out_place(position)}; it "
                "must compute the same each time",
            )

    def require_finite(self, mode: str, got: Vector, direction: _Direction) -> None:
        bad = ~np.isfinite(got)
        if bad.any():
            position = int(np.argmax(bad))
            raise self.fail(
                mode,
                f"the tangent is {got[position]} at {self.out_place(position)}, for a step of "
                f"{self.in_place(direction)}",
            )

    def in_place(self, direction: _Direction) -> str:
        path = self.paths[direction.leaf]
        if direction.index is None:
            return f"{path} (a random projection)"
        imaginary = "imaginary part of " if np.any(direction.vector.imag) else ""
        return imaginary + _place(path, direction.index)

    def compare_all(
        self,
        mode: str,
        directions: list[_Direction],
        mismatch: Callable[[_Direction], _Mismatch | None],
    ) -> None:
        """Compare every direction, and report the worst one."""
        found = [m for m in map(mismatch, directions) if m is not None]
        if not found:
            return
        worst = max(found, key=_Mismatch.badness)
        if worst.direction.index is None:
            worst = self.narrowed(worst, mismatch)
        raise self.fail(mode, self.explained(worst, mode, len(found), len(directions)))

    def narrowed(
        self, worst: _Mismatch, mismatch: Callable[[_Direction], _Mismatch | None]
    ) -> _Mismatch:
        """Bisect a wrong projection down to one entry, as far as the halves show it."""
        leaf, vector = worst.direction.leaf, worst.direction.vector
        indices = np.arange(vector.size)
        while len(indices) > 1:
            halves = []
            for half in np.array_split(indices, 2):
                part = np.zeros_like(vector)
                part.flat[half] = vector.flat[half]
                index = None
                if len(half) == 1:
                    index = tuple(int(i) for i in np.unravel_index(half[0], vector.shape))
                    part.flat[half] = 1
                found = mismatch(_Direction(leaf, part, index))
                if found is not None:
                    halves.append((found.badness(), half, found))
            if not halves:
                break
            _, indices, worst = max(halves, key=lambda entry: entry[0])
        return worst

    def explained(self, worst: _Mismatch, mode: str, wrong: int, compared: int) -> str:
        """Say what is wrong at the worst entry."""
        where = self.in_place(worst.direction)
        target = f" (tangent of {self.out_place(worst.position)})" if mode == "forward" else ""
        expected, got = _number(worst.expected), _number(worst.got)
        if not np.isfinite(worst.expected):
            return (
                f"{self.subject} is not finite next to {where}{target}: differences give "
                f"{expected}, the rule {got}; move the point into the inside of the domain"
            )
        if worst.sides is not None:
            left, right = worst.sides
            if np.isclose(left, right):
                return (
                    f"{self.subject} has a jump near {where}{target}: its difference quotients "
                    f"grow as the step shrinks, to {_number(left)} over a step of "
                    f"{worst.step / 4:.5g}, the rule gives {got}; no derivative exists there to "
                    "compare with, so move the point"
                )
            return (
                f"{self.subject} has a kink or a jump near {where}{target}: over a step of "
                f"{worst.step / 4:.5g} its slope is {_number(left)} on one side and "
                f"{_number(right)} on the other, the rule gives {got}; no derivative exists there "
                "to compare with, so move the point"
            )
        ratio = f"got / expected = {worst.got / worst.expected:.7g}; " if worst.expected else ""
        return (
            f"wrong derivative at {where}{target}\n"
            f"  expected {expected} (central differences, step {worst.step:.5g}), got {got}\n"
            f"  {ratio}{wrong} of the {compared} comparisons made are wrong"
        )

    # --- differences -----------------------------------------------------------------------------

    def directions(self) -> list[_Direction]:
        """Unit steps of each entry (of the real and the imaginary part), or projections."""
        found = []
        numbers = sum(leaf.size * (2 if leaf.dtype.kind == "c" else 1) for leaf in self.leaves)
        for position, leaf in enumerate(self.leaves):
            if numbers > _FULL and leaf.size > 1:
                found += [
                    _Direction(position, _random(self.settings.rng, leaf), None)
                    for _ in range(_PROJECTIONS)
                ]
                continue
            for index in np.ndindex(leaf.shape):
                for unit in (1, 1j) if leaf.dtype.kind == "c" else (1,):
                    vector = np.zeros_like(leaf)
                    vector[index] = unit
                    found.append(_Direction(position, vector, index))
        return found

    def steps(self, direction: _Direction) -> list[float]:
        """Steps to try: relative to entries beyond 1, then smaller, then relative to small ones."""
        leaf = self.leaves[direction.leaf]
        moved = np.abs(leaf[direction.vector != 0].astype(complex))
        eps = self.precision**0.25 if self.settings.eps is None else self.settings.eps
        first = eps * max(1.0, float(np.median(moved)))
        steps = [first * factor for factor in _SHRINK]
        smallest = float(moved.min())
        if 0 < smallest < 1:
            steps.append(eps * smallest)
        # Powers of two: adding them to an entry rounds less.
        return [float(2.0 ** np.round(np.log2(step))) for step in steps]

    def slope(self, direction: _Direction, attempt: int) -> _Slope:
        """Difference quotients in a direction, extrapolated from three steps to step 0."""
        known = direction.slopes.get(attempt)
        if known is not None:
            return known
        step = self.steps(direction)[attempt]
        leaf = self.leaves[direction.leaf]
        rights, lefts = [], []
        for h in (step, step / 2, step / 4):
            moved = list(self.leaves)
            moved[direction.leaf] = (leaf + h * direction.vector).astype(leaf.dtype)
            rights.append((self.evaluate(moved) - self.center) / h)
            moved[direction.leaf] = (leaf - h * direction.vector).astype(leaf.dtype)
            lefts.append((self.center - self.evaluate(moved)) / h)
        wide, middle, narrow = [
            (right + left) / 2 for right, left in zip(rights, lefts, strict=True)
        ]
        coarse = (4 * middle - wide) / 3
        fine = (4 * narrow - middle) / 3
        value = (16 * fine - coarse) / 15
        # Of a smooth function the one-sided quotients approach each other in proportion to the
        # step, so these combinations vanish; a kink leaves its height in them.
        gaps = [right - left for right, left in zip(rights, lefts, strict=True)]
        kink = np.maximum(np.abs(2 * gaps[1] - gaps[0]), np.abs(2 * gaps[2] - gaps[1]))
        slope = _Slope(value, fine, narrow - wide, lefts[2], rights[2], kink, step)
        direction.slopes[attempt] = slope
        return slope

    def compare(
        self, direction: _Direction, got: Vector, size: Vector, seed: Vector | None = None
    ) -> _Mismatch | None:
        """Compare a derivative with differences; an entry is right if one of the steps agrees.

        `size` is the magnitude whose rounding the differences magnify. With a `seed` the slopes of
        the outputs are contracted with it first, and `got` has one entry.
        """

        def contract(vector: Vector) -> Vector:
            if seed is None:
                return vector
            return np.asarray(np.sum(seed * vector, keepdims=True).real)

        wrong = np.ones(got.shape, bool)
        magnitude = float(size.max(initial=0.0))
        steps = self.steps(direction)
        attempts = range(len(steps))
        # The allowance is the first step's also at smaller ones, where it would grow until a
        # wrong rule passes: at these a right rule is recognised by its relative error.
        rounding = _ROUNDING * self.precision * magnitude / steps[0]
        for attempt in attempts:
            slope = self.slope(direction, attempt)
            expected = contract(slope.value)
            scale = np.maximum(np.abs(expected), np.abs(got))
            tolerance = (
                self.atol
                + self.rtol * scale
                + rounding
                + np.minimum(4 * np.abs(contract(slope.value - slope.fine)), _UNCERTAIN * scale)
            )
            wrong &= ~(np.abs(expected - got) <= tolerance)
            if not wrong.any():
                return None

        def uncertainty(slope: _Slope) -> float:
            error = float(np.abs(contract(slope.value - slope.fine)).max())
            return error if np.isfinite(error) else np.inf

        slope = min((self.slope(direction, attempt) for attempt in attempts), key=uncertainty)
        expected = contract(slope.value)
        gap = np.where(wrong, np.abs(expected - got), -1.0)
        position = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
        # A kink shows in the one-sided slopes; at a jump the quotients grow with 1 / step.
        kink = float(np.abs(contract(slope.kink))[position])
        spread = float(np.abs(contract(slope.spread))[position])
        kinked = kink > 0.05 * gap[position] or spread > 0.25 * gap[position]
        left, right = contract(slope.left)[position], contract(slope.right)[position]
        sides = (left, right) if kinked else None
        return _Mismatch(
            direction, position, expected[position], got[position], gap[position], slope.step, sides
        )


def _random(rng: np.random.Generator, like: Vector) -> Vector:
    """Random numbers of a shape and dtype, none near 0; zeros for integers."""
    if not is_inexact(like.dtype):
        return np.zeros(like.shape)
    numbers = rng.uniform(0.5, 1.5, like.shape) * rng.choice([-1.0, 1.0], like.shape)
    if like.dtype.kind == "c":
        other = rng.uniform(0.5, 1.5, like.shape) * rng.choice([-1.0, 1.0], like.shape)
        return np.asarray(numbers + 1j * other, dtype=like.dtype)
    return np.asarray(numbers, dtype=like.dtype)


def _place(path: str, index: Sequence[Any]) -> str:
    """A leaf's path, and the index in it unless it is 0-d."""
    where = tuple(int(i) for i in index)
    return f"{path}, index {where}" if where else path


def _number(value: Any) -> str:
    """A number as text, to eight digits."""
    return f"{value:.8g}"
