"""What the registry offers to tests: each library primitive with each of its samples."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import autodiff as ad
from autodiff import tree
from autodiff.core.primitive import Primitive
from autodiff.core.spec import is_inexact, spec_of
from autodiff.interpret.graph import Node, Projection

with contextlib.suppress(ModuleNotFoundError):
    # Its primitives enter the registry with it; it needs SciPy, which is optional.
    import autodiff.scipy
    import autodiff.scipy.sparse

    for _name in autodiff.scipy.LAZY:  # packages that are loaded when first used
        getattr(autodiff.scipy, _name)

EXAMPLES = 3
"""Batch size of the tests of vmap."""


def is_library(primitive: Primitive) -> bool:
    """Whether the library declares it (rather than a test or an example)."""
    return primitive.module.startswith("autodiff.")


PRIMITIVES = [p for p in ad.REGISTRY.values() if is_library(p)]


def _hermitian(x: Any) -> Any:
    return 0.5 * (x + np.conj(np.matrix_transpose(x)))


DOMAINS: dict[str, Callable[[Any], Any]] = {"cholesky": _hermitian}
"""By primitive: projection of arguments that have a derivative along some directions alone."""


class Case(NamedTuple):
    """One call of a primitive, split in what is differentiated and what is not."""

    primitive: Primitive
    number: int
    inputs: tuple[Any, ...]
    params: dict[str, Any]

    def __repr__(self) -> str:
        shapes = "-".join("x".join(map(str, np.shape(x))) or "0d" for x in self.inputs)
        return f"{self.primitive.name}-{self.number}-{shapes}"

    @property
    def positions(self) -> tuple[int, ...]:
        """Positions of the inputs that carry a derivative."""
        return tuple(
            i
            for i, x in enumerate(self.inputs)
            if self.primitive.input_name(i) not in self.primitive.constant
            and is_inexact(spec_of(x).dtype)
        )

    @property
    def active(self) -> tuple[Any, ...]:
        """The inputs that carry a derivative."""
        return tuple(self.inputs[i] for i in self.positions)

    def call(self, *inputs: Any) -> Any:
        """The primitive as a function of all inputs."""
        return self.primitive(*inputs, **self.params)

    def of_active(self, *active: Any) -> Any:
        """The primitive as a function of the inputs that carry a derivative."""
        return self.call(*self.completed(active))

    def within_domain(self, *active: Any) -> Any:
        """The same of arguments that are moved to where the primitive is defined."""
        projection = DOMAINS.get(self.primitive.name)
        return self.of_active(*map(projection, active) if projection else active)

    def completed(self, active: tuple[Any, ...]) -> tuple[Any, ...]:
        """All inputs, from those that carry a derivative."""
        inputs = list(self.inputs)
        for position, value in zip(self.positions, active, strict=True):
            inputs[position] = value
        return tuple(inputs)

    def with_inputs(self, convert: Callable[[Any], Any]) -> Case:
        """The same call with each input that carries a derivative converted."""
        return self._replace(inputs=self.completed(tuple(map(convert, self.active))))

    def examples(self) -> list[tuple[Any, ...]]:
        """Other inputs of the same shapes, for a batch."""
        return [_draw(self.primitive, shift)[self.number].inputs for shift in range(EXAMPLES)]


def _draw(primitive: Primitive, shift: int = 0) -> list[Any]:
    assert primitive.sample is not None
    return primitive.sample(np.random.default_rng([zlib.crc32(primitive.name.encode()), shift]))


def generator(case: Case) -> np.random.Generator:
    """Random numbers of a case's own, the same in every run."""
    return np.random.default_rng([zlib.crc32(case.primitive.name.encode()), 7 + case.number])


def like(rng: np.random.Generator, value: Any) -> Any:
    """Random cotangent or tangent for a value; a tuple for a tuple."""

    def one(leaf: Any) -> Any:
        spec = spec_of(leaf)
        numbers = rng.uniform(0.5, 1.5, spec.shape) * rng.choice([-1.0, 1.0], spec.shape)
        if spec.dtype.kind == "c":
            numbers = numbers + 1j * rng.uniform(-1.0, 1.0, spec.shape)
        return numbers.astype(spec.dtype)[()] if is_inexact(spec.dtype) else np.zeros(spec.shape)

    return tree.map_leaves(one, value)


CASES = [
    Case(primitive, number, sample.inputs, sample.params)
    for primitive in PRIMITIVES
    if primitive.sample is not None
    for number, sample in enumerate(_draw(primitive))
]
SMOOTH = [case for case in CASES if case.primitive.differentiable and case.positions]
"""Cases with a derivative."""


def close(found: Any, wanted: Any, rtol: float = 1e-12, atol: float = 1e-13) -> None:
    """Compare containers of arrays: structure, shapes, dtypes and numbers."""
    ours, structure = tree.flatten(found)
    theirs, other = tree.flatten(wanted)
    assert structure == other
    for one, two in zip(ours, theirs, strict=True):
        assert np.shape(one) == np.shape(two)
        assert spec_of(one).dtype == spec_of(two).dtype
        np.testing.assert_allclose(one, two, rtol=rtol, atol=atol)


def pairing(cotangent: Any, tangent: Any) -> float:
    """Re of the sum of products, over all leaves."""
    pairs = zip(tree.leaves(cotangent), tree.leaves(tangent), strict=True)
    return float(sum(np.sum(np.asarray(g) * np.asarray(t)).real for g, t in pairs))


def holomorphic(case: Case) -> bool:
    """Whether the forward takes complex inputs here, and an imaginary step does i times as much."""
    shift = 1e-6
    lifted = [np.asarray(x) * (1 + 0.05j) for x in case.active]
    try:
        with np.errstate(all="ignore"):
            base, real, imaginary = (
                np.concatenate([np.ravel(leaf) for leaf in tree.leaves(case.of_active(*moved))])
                for moved in (
                    lifted,
                    [x + shift for x in lifted],
                    [x + 1j * shift for x in lifted],
                )
            )
    except TypeError:
        return False
    if base.dtype.kind != "c" or not np.isfinite(base).all():
        return False
    rate, turned = (real - base) / shift, (imaginary - base) / (1j * shift)
    return bool(np.allclose(rate, turned, rtol=1e-3, atol=1e-3))


def check_vmap(function: Any, examples: list[tuple[Any, ...]]) -> None:
    """Compare vmap with a loop: each argument batched alone, and all of them together."""
    count = len(examples[0])
    patterns = {(True,) * count, *(tuple(i == j for j in range(count)) for i in range(count))}
    for pattern in sorted(patterns):
        arguments = [
            np.stack([example[i] for example in examples]) if flag else examples[0][i]
            for i, flag in enumerate(pattern)
        ]
        axes = tuple(0 if flag else None for flag in pattern)
        rows = [
            function(*[(e if flag else examples[0])[i] for i, flag in enumerate(pattern)])
            for e in examples
        ]
        wanted = tree.map_leaves(lambda *leaves: np.stack(leaves), *rows)
        close(ad.vmap(function, axes)(*arguments), wanted, rtol=1e-10, atol=1e-11)


def recorded_node(out: Any) -> Node:
    """The node of the operation behind an output."""
    first = next(leaf for leaf in tree.leaves(out) if isinstance(leaf, ad.Tensor))
    node: Node = first._payload
    return node.parents[0] if isinstance(node.pullback, Projection) else node


def arrays_in(values: Any) -> list[np.ndarray[Any, Any]]:
    return [v for v in tree.leaves(values) if isinstance(v, np.ndarray)]


def poison(values: list[Any], kept: list[np.ndarray[Any, Any]]) -> int:
    """Fill with NaN every array that shares no memory with what is kept; returns how many."""
    count = 0
    for array in values:
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fc" or not array.size:
            continue
        if any(np.shares_memory(array, other) for other in kept):
            continue
        owner = array
        base = array.base
        while base is not None:  # between stand objects that only hold memory
            owner = base if isinstance(base, np.ndarray) else owner
            base = getattr(base, "base", None)
        try:
            owner.setflags(write=True)
        except ValueError:
            continue  # memory that nobody can write to
        owner[...] = np.nan
        count += 1
    return count
