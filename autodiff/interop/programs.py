"""Functions of this engine on flat values, with the functions that are derived from them.

Another library asks for more than a value: for a pullback, for tangents, for a batch, and for those
of each of these. Every one is a function of flat arrays that returns a tuple of arrays, and is
derived in the same ways, so a library's rules need to know no more than one `Program`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import autodiff as ad
from autodiff.core import arrays, memory

__all__ = ["Program", "Root", "Spec", "is_inexact", "spec_of"]

Values = Sequence[Any]
Flags = tuple[bool, ...]


class Spec(NamedTuple):
    """Shape and dtype of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def spec_of(value: Any) -> Spec:
    """Shape and dtype of a value of any library that follows NumPy here."""
    return Spec(tuple(value.shape), np.dtype(value.dtype))


def is_inexact(value: Any) -> bool:
    """Whether an array, or its spec, can carry a derivative."""
    return np.dtype(value.dtype).kind in "fc"


class Program:
    """A function of flat values of this engine, which returns a tuple.

    Parameters
    ----------
    name : str
        For messages, and for the tapes of the other library.
    conjugate : bool
        Whether cotangents go in and out as conjugates: PyTorch's gradient by z = x + iy is
        df/dx + i df/dy, where it is df/dx - i df/dy here.
    """

    def __init__(self, name: str, conjugate: bool) -> None:
        self.name = name
        self.conjugate = conjugate
        self._derived: dict[Any, Program] = {}
        self._recorded: _Recorded | None = None

    def __call__(self, *xs: Any) -> tuple[Any, ...]:
        """Values of the outputs."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.name

    def out_specs(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Shapes and dtypes of the outputs, for inputs of these."""
        return tuple(map(spec_of, self(*map(sample, inputs))))

    def pulled(self, active: Flags, given: Flags) -> Program:
        """Derive what takes inputs and cotangents of the `given` outputs to those of `active`."""
        return self._kept(("pulled", active, given), lambda: Pulled(self, active, given))

    def pushed(self, active: Flags, chosen: Flags) -> Program:
        """Derive what takes inputs and tangents of `active` ones to those of `chosen` outputs."""
        return self._kept(("pushed", active, chosen), lambda: Pushed(self, active, chosen))

    def batched(self, flags: Flags, size: int) -> Program:
        """Derive what takes a batch, whose examples the first axis counts where it is flagged."""
        return self._kept(("batched", flags, size), lambda: Batched(self, flags, size))

    def transposed(self, linear: Sequence[Spec | None], given: Flags) -> Program:
        """Derive what takes the inputs that are not linear, and cotangents, to those of the others.

        `linear` has the spec of each input that the function is linear in.
        """
        return Transposed(self, linear, given)

    def _kept(self, key: Any, derive: Callable[[], Program]) -> Program:
        """Derive once: other libraries compare what they have compiled by identity."""
        if key not in self._derived:
            self._derived[key] = derive()
        return self._derived[key]

    def recorded(self, xs: Values, active: Flags) -> tuple[Any, ...]:
        """Outputs, with the pullback kept: `pulled` at the same values need not evaluate again."""
        outs, pull = ad.vjp(self.of(xs, active), *chosen_of(xs, active))
        self._recorded = _Recorded(xs, active, outs, pull)
        return tuple(outs)

    def pulled_back(self, xs: Values, active: Flags, given: Flags, gs: Values) -> tuple[Any, ...]:
        """Cotangents of the active inputs, for those of the outputs that are given."""
        kept = self._recorded
        if kept is not None and kept.serves(xs, active, gs):
            return kept.pull(active, given, gs)
        _, pull = ad.vjp(self.of(xs, active, given), *chosen_of(xs, active))
        return tuple(pull(tuple(gs)))

    def of(self, xs: Values, active: Flags, wanted: Flags | None = None) -> Callable[..., Any]:
        """Return the function of the active inputs alone, with the wanted outputs."""

        def of_active(*variables: Any) -> tuple[Any, ...]:
            following = iter(variables)
            outs = self(
                *[next(following) if flag else x for x, flag in zip(xs, active, strict=True)]
            )
            return outs if wanted is None else tuple(chosen_of(outs, wanted))

        return of_active


def chosen_of(values: Values, flags: Sequence[bool]) -> list[Any]:
    """Values that are marked."""
    return [value for value, flag in zip(values, flags, strict=True) if flag]


def sample(spec: Spec) -> Any:
    """Array to find out shapes with: different numbers between 1/2 and 3/2, or zeros of integers.

    So logarithms, roots and quotients are finite, and an integer is an index that there is.
    """
    if spec.dtype.kind not in "fc":
        return arrays.scalar_form(arrays.zeros(spec.shape, spec.dtype))
    count = int(np.prod(spec.shape))
    numbers = 1 + np.cos(np.arange(1.0, count + 1.0)) / 2
    return arrays.scalar_form(numbers.reshape(spec.shape).astype(spec.dtype))


class _Recorded:
    """A pullback, and the inputs that it belongs to."""

    def __init__(self, xs: Values, active: Flags, outs: Values, pull: Callable[..., Any]) -> None:
        self.xs = xs
        self.active = active
        self.outs = [spec_of(out) for out in outs]
        self._pull = pull

    def serves(self, xs: Values, active: Flags, gs: Values) -> bool:
        """Whether it is of these inputs: what they hold decides, not which arrays they are."""
        values = (*xs, *gs)
        return (
            all(one or not other for one, other in zip(self.active, active, strict=True))
            and not any(isinstance(value, ad.Tensor) for value in values)
            and all(
                memory.same_content(arrays.as_array(one), arrays.as_array(other))
                for one, other in zip(self.xs, xs, strict=True)
            )
        )

    def pull(self, active: Flags, given: Flags, gs: Values) -> tuple[Any, ...]:
        following = iter(gs)
        seeds = [
            next(following) if flag else arrays.scalar_form(arrays.zeros(*spec))
            for flag, spec in zip(given, self.outs, strict=True)
        ]
        found = iter(self._pull(tuple(seeds)))
        by_input = [next(found) if flag else None for flag in self.active]
        return tuple(chosen_of(by_input, active))


class Root(Program):
    """The user's function.

    Parameters
    ----------
    f : callable
    leaves, structure : the arguments, flat; those at `slots` are given when it is called.
    out : what it returns, if that is known: specs, flat, and their structure
    """

    def __init__(
        self,
        f: Callable[..., Any],
        name: str,
        leaves: Values,
        structure: ad.tree.PyTreeSpec,
        slots: Sequence[int],
        *,
        conjugate: bool,
        out: tuple[Sequence[Spec], ad.tree.PyTreeSpec] | None = None,
    ) -> None:
        super().__init__(name, conjugate)
        self.f = f
        # Derivatives may be asked for later, when an array has become another
        self.leaves = [memory.protected(leaf) for leaf in leaves]
        self.structure = structure
        self.slots = slots
        self.out = out

    def __call__(self, *xs: Any) -> tuple[Any, ...]:
        """Values that the function returns, flat."""
        leaves = list(self.leaves)
        for slot, x in zip(self.slots, xs, strict=True):
            leaves[slot] = x
        args, keywords = ad.tree.unflatten(self.structure, leaves)
        found, structure = ad.tree.flatten(self.f(*args, **keywords))
        outs = tuple(
            self._value(out, ad.tree.LeafPath(structure, i, "output"))
            for i, out in enumerate(found)
        )
        specs = tuple(map(spec_of, outs))
        if self.out is None:
            self.out = specs, structure
        return outs

    def out_specs(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        """Shapes and dtypes of the outputs, as known, or found by running it on a sample."""
        if self.out is None:
            try:
                with np.errstate(all="ignore"):
                    super().out_specs(inputs)
            except Exception as error:
                error.add_note(
                    f"{self.name}: it was run on numbers between 0.5 and 1.5 (zeros of integers) "
                    "to find the shapes and dtypes of its results; give them with out=..."
                )
                raise
        assert self.out is not None
        return tuple(self.out[0])

    def _value(self, out: Any, path: ad.tree.LeafPath) -> Any:
        if isinstance(out, ad.Tensor) or arrays.is_array(out):
            return out
        if arrays.is_number(out):
            return arrays.as_value(out)
        raise TypeError(
            f"{self.name}: {path} is a {type(out).__name__}; the function must return numbers, "
            "arrays or Tensors, or containers of them"
        )


class Pulled(Program):
    """Inputs, then cotangents of the given outputs, to cotangents of the active inputs."""

    def __init__(self, base: Program, active: Flags, given: Flags) -> None:
        super().__init__(f"{base.name}.vjp", base.conjugate)
        self.base, self.active, self.given = base, active, given

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        count = len(self.active)
        xs, gs = values[:count], self._conjugated(values[count:])
        return self._conjugated(self.base.pulled_back(xs, self.active, self.given, gs))

    def _conjugated(self, values: Values) -> tuple[Any, ...]:
        return tuple(
            np.conj(value) if self.conjugate and np.dtype(value.dtype).kind == "c" else value
            for value in values
        )

    def out_specs(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        return tuple(chosen_of(inputs[: len(self.active)], self.active))

    def transposed(self, linear: Sequence[Spec | None], given: Flags) -> Program:
        count = len(self.active)
        if self.conjugate or [spec is not None for spec in linear] != [
            i >= count for i in range(len(linear))
        ]:
            return super().transposed(linear, given)
        following = iter(given)
        return self.base.pushed(
            tuple(next(following) if flag else False for flag in self.active), self.given
        )


class Pushed(Program):
    """Inputs, then tangents of the active ones, to tangents of the chosen outputs."""

    def __init__(self, base: Program, active: Flags, chosen: Flags) -> None:
        super().__init__(f"{base.name}.jvp", base.conjugate)
        self.base, self.active, self.chosen = base, active, chosen

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        count = len(self.active)
        xs, ts = values[:count], values[count:]
        of_active = self.base.of(xs, self.active, self.chosen)
        _, tangents = ad.jvp(of_active, tuple(chosen_of(xs, self.active)), tuple(ts))
        return tuple(tangents)

    def out_specs(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        count = len(self.active)
        return tuple(chosen_of(self.base.out_specs(inputs[:count]), self.chosen))

    def transposed(self, linear: Sequence[Spec | None], given: Flags) -> Program:
        count = len(self.active)
        if [spec is not None for spec in linear] != [i >= count for i in range(len(linear))]:
            return super().transposed(linear, given)
        following = iter(given)
        return self.base.pulled(
            self.active, tuple(next(following) if flag else False for flag in self.chosen)
        )


class Batched(Program):
    """Examples in rows of the inputs that are flagged, to examples in rows of every output."""

    def __init__(self, base: Program, flags: Flags, size: int) -> None:
        super().__init__(f"{base.name}.vmap", base.conjugate)
        self.base, self.batched_inputs, self.size = base, flags, size

    def __call__(self, *xs: Any) -> tuple[Any, ...]:
        axes = tuple(0 if flag else None for flag in self.batched_inputs)
        try:
            return tuple(ad.vmap(self.base, axes)(*xs))
        except Exception:
            # The function looks at values, or calls code that takes no batch, which reports it in
            # its own way; a fault of the function itself shows again below.
            if not self.size:
                raise
        rows = [
            self.base(
                *[x[i] if flag else x for x, flag in zip(xs, self.batched_inputs, strict=True)]
            )
            for i in range(self.size)
        ]
        return tuple(np.stack(parts) for parts in zip(*rows, strict=True))

    def out_specs(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        single = [
            Spec(spec.shape[1:], spec.dtype) if flag else spec
            for spec, flag in zip(inputs, self.batched_inputs, strict=True)
        ]
        return tuple(
            Spec((self.size, *spec.shape), spec.dtype) for spec in self.base.out_specs(single)
        )


class Transposed(Program):
    """The other inputs, then cotangents of the given outputs, to those of the linear inputs."""

    def __init__(self, base: Program, linear: Sequence[Spec | None], given: Flags) -> None:
        super().__init__(f"{base.name}.transpose", base.conjugate)
        self.base, self.linear, self.given = base, linear, given
        self.active = tuple(spec is not None for spec in linear)

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        following = iter(values)
        # Where it is linear, one place is as good as another
        xs = [next(following) if spec is None else sample(spec) for spec in self.linear]
        return self.base.pulled_back(xs, self.active, self.given, list(following))

    def out_specs(self, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
        return tuple(spec for spec in self.linear if spec is not None)
