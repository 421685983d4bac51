"""`compile`: the same function, run from an optimised tape."""

from __future__ import annotations

import functools
import itertools
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, cast, overload

import numpy as np

from autodiff import tree
from autodiff.compiler.backends import check_backend
from autodiff.compiler.levels import LEVELS, Level, Uses, levels_from
from autodiff.compiler.matching import Match
from autodiff.compiler.native import call_path
from autodiff.compiler.paths import MOST_PATHS, Failed, Options, Path
from autodiff.compiler.recorder import recording
from autodiff.compiler.results import Results, overlapping
from autodiff.compiler.signatures import Statics, argument_names, leaf_key, orders
from autodiff.compiler.tracing import Call, Trace, Unrecordable, trace
from autodiff.compiler.variants import Plan, Variant
from autodiff.core.arrays import ARRAY, as_value
from autodiff.core.dispatch import Box
from autodiff.core.modes import modes
from autodiff.errors import CompileError
from autodiff.tape.ir import Tape
from autodiff.transforms.arguments import P, R, check_transform, function_name
from autodiff.transforms.transformed import declared_name

if TYPE_CHECKING:
    from autodiff.compiler.program import Program

__all__ = ["CacheInfo", "Compiled", "compile"]


_RECENT = 8
"""Forms of arguments that are recognised without a key."""

_AGAIN = 2
"""Programs for one form of the arguments, after which integers from outside become inputs."""


class CacheInfo(NamedTuple):
    """What a compiled function keeps: see `Compiled.cache_info`."""

    programs: int
    paths: int
    hits: int
    misses: int
    disk_hits: int


class Compiled(Generic[P, R]):
    """A compiled function; `compile` makes it.

    It is called as the function is, under every transform, and pickles where the function does.
    """

    runs_inline = True
    """To a function that is being recorded it is the function it was made of."""

    __wrapped__: Callable[P, R]

    def __init__(
        self,
        function: Callable[P, R],
        backend: str,
        static_argnames: str | Sequence[str],
        reassociate: bool,
    ) -> None:
        functools.update_wrapper(self, function)
        self.__wrapped__ = function
        self._statics = Statics(function, static_argnames)
        self._options = Options(backend, reassociate)
        self._name = function_name(function)
        self._plans: dict[Hashable, Plan] = {}
        self._recent: tuple[tuple[Match, Plan], ...] = ()
        self._lock = threading.Lock()
        self._misses = 0
        self._hits = 0

    def __call__(self, *args: P.args, **keywords: P.kwargs) -> R:
        """Run the program for these arguments; record it where there is none."""
        if not modes.open:
            for match, plan in self._recent:
                leaves = match(args, keywords)
                if leaves is not None:
                    return cast(R, self._run(plan, leaves, args, keywords, True))
        return cast(R, self._general(args, keywords))

    def _general(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Any call."""
        if modes.open and (modes.debug or recording()):
            return self.__wrapped__(*args, **keywords)
        static: Hashable = ()
        traced, others = args, keywords
        if self._statics:
            traced, others, static = self._statics.split(args, keywords)
        plan, leaves = self._plan_of(traced, others, static)
        plain = not any(isinstance(leaf, Box) for leaf in leaves)
        if plain and not modes.open:
            match = plan.matcher(args, keywords, self._statics)
            if match is not None:
                self._recent = ((match, plan), *self._recent[: _RECENT - 1])
        return self._run(plan, leaves, args, keywords, plain)

    def _plan_of(
        self, args: tuple[Any, ...], keywords: dict[str, Any], static: Hashable
    ) -> tuple[Plan, list[Any]]:
        leaves, structure = tree.flatten((args, keywords))
        mode = bool(modes.open) and modes.strong_zero
        order = orders((*args, *keywords.values()))
        key = (structure, order, static, mode, *map(leaf_key, leaves))
        plan = self._plans.get(key)
        if plan is None:
            with self._lock:
                plan = self._plans.setdefault(key, Plan(structure))
        return plan, leaves

    def _run(
        self,
        plan: Plan,
        leaves: Sequence[Any],
        args: tuple[Any, ...],
        keywords: dict[str, Any],
        plain: bool,
    ) -> Any:
        """Run the program of a form; `plain` says that no leaf is a Tensor."""
        function = self.__wrapped__
        for variant in plan.variants:
            outside = variant.read(function, leaves)
            if outside is not None:
                break
        else:
            found = self._recorded(plan, leaves, args, keywords)
            if found is None:
                return function(*args, **keywords)
            variant, outside = found
        inputs = leaves if variant.every else [leaves[i] for i in variant.inputs]
        given = [*inputs, *outside]
        direct = variant.direct
        if plain and direct is not None:
            values = given
            if variant.numbers and not direct.takes_numbers:
                values = variant.converted(given)
            try:
                outs = direct.call(*values)
                taken = not direct.looks.all or direct.looks.hold(values, outs)
            except Exception:
                taken = False  # another path, or an error of the function's
            if taken:
                self._hits += 1
                results: Results = direct.beside
                return outs[0] if results.single else results.build(given, outs)
        done = self._path(plan, variant, list(map(_value, given)), leaves, args, keywords)
        if done is None:
            return function(*args, **keywords)
        path, outs = done
        results = path.beside
        if variant.direct is not path:
            variant.look(leaves, outside, path)
        given += path.captured
        if results.written and overlapping(results.written, given):
            return function(*args, **keywords)
        return results.build(given, outs)

    def _path(
        self,
        plan: Plan,
        variant: Variant,
        values: list[Any],
        leaves: Sequence[Any],
        args: tuple[Any, ...],
        keywords: dict[str, Any],
    ) -> tuple[Path, tuple[Any, ...]] | None:
        """Run the path that the values take; None where the function has to run itself."""
        recorded = False

        def record(_: Sequence[Any]) -> tuple[Tape, list[Any], Any]:
            nonlocal recorded
            recorded = True
            found, variant.first = variant.first, None
            if found is None:
                self._misses += 1
                try:
                    call = self._call(plan, leaves, args, keywords)
                    found = trace(call, variant.level, Uses())
                except Unrecordable as error:
                    raise Failed from error
                if found.reads.inputs != variant.outside:
                    raise self._changed()
            return found.tape, found.captured, found.results

        done = variant.paths.run(values, record, call_path)
        self._hits += not recorded
        return done

    def _call(
        self, plan: Plan, leaves: Sequence[Any], args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> Call:
        statics = self._statics
        return Call(
            self.__wrapped__,
            self._name,
            leaves,
            argument_names(self.__wrapped__, plan.structure),
            plan.structure,
            lambda a, k: statics.joined(a, k, args, keywords) if statics else (a, k),
        )

    def _recorded(
        self, plan: Plan, leaves: Sequence[Any], args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[Variant, tuple[Any, ...]] | None:
        """Record a program; None where there are too many already."""
        function = self.__wrapped__
        with plan.lock:
            for variant in plan.variants:
                outside = variant.read(function, leaves)
                if outside is not None:
                    return variant, outside
            if len(plan.variants) >= MOST_PATHS:
                self._warn(plan, leaves)
                return None
            self._misses += 1
            call = self._call(plan, leaves, args, keywords)
            try:
                found, level = self._traced(call, plan)
            except Unrecordable:
                return None
            variant = Variant(self._name, found, found.reads.reading.finish(), level, self._options)
            outside = variant.read(function, leaves)
            if outside is None:
                raise self._changed()
            plan.variants = [*plan.variants, variant]
            return variant, outside

    def _changed(self) -> CompileError:
        return CompileError(
            f"compile: what {self._name} reads from outside changed while it was recorded"
        )

    def _traced(self, call: Call, plan: Plan) -> tuple[Trace, Level]:
        """Record; where numbers or outside arrays are needed themselves, with those fixed.

        An integer from outside is a witness at first. Where programs are recorded again and again,
        it may be one that counts: then it is an input.
        """
        uses = Uses()
        levels = levels_from(plan.level, uses)
        if len(plan.variants) >= _AGAIN:
            again = LEVELS[plan.level]._replace(counters=True)
            levels = itertools.chain([again], levels)
        failed: Exception | None = None
        for level in levels:
            try:
                found = trace(call, level, uses)
            except (CompileError, Unrecordable):
                raise
            except Exception as error:
                failed = failed or error
            else:
                plan.level = LEVELS.index(level._replace(counters=False))
                return found, level
        assert failed is not None
        raise failed

    def _warn(self, plan: Plan, leaves: Sequence[Any]) -> None:
        """Say once what keeps making other programs."""
        if plan.warned:
            return
        plan.warned = True
        names = Counter(v.difference(self.__wrapped__, leaves) for v in plan.variants)
        changing = " and ".join(name for name, _ in names.most_common(2) if name) or "what it reads"
        warnings.warn(
            f"compile: {self._name} has been recorded {MOST_PATHS} times for one form of its "
            f"arguments, because of {changing}, which made another program each time; it runs as "
            "it is written where there is yet another. Pass what changes as an array, or compute "
            "with it instead of choosing by it",
            RuntimeWarning,
            stacklevel=5,
        )

    # --- looking at it --------------------------------------------------------------------------

    def lower(self, *args: P.args, **keywords: P.kwargs) -> Program:
        """Program for these arguments, to print and to price.

        Parameters
        ----------
        *args, **keywords
            As the function takes them.

        Returns
        -------
        Program

        Examples
        --------
        >>> import autodiff as ad
        >>> program = ad.compile(lambda x: x * x).lower(3.0)
        >>> [entry.primitive.name for entry in program.tape]
        ['multiply']
        """
        from autodiff.compiler.program import Program  # what most programs are never asked for

        traced: tuple[Any, ...] = args
        others: dict[str, Any] = keywords
        static: Hashable = ()
        if self._statics:
            traced, others, static = self._statics.split(traced, others)
        plan, leaves = self._plan_of(traced, others, static)
        for variant in plan.variants:
            outside = variant.read(self.__wrapped__, leaves)
            if outside is not None:
                break
        else:
            found = self._recorded(plan, leaves, args, keywords)
            if found is None:
                raise CompileError(f"compile: {self._name} runs as it is written, see the warning")
            variant, outside = found
        values = [_value(value) for value in (*[leaves[i] for i in variant.inputs], *outside)]
        done = self._path(plan, variant, values, leaves, args, keywords)
        if done is None:
            raise CompileError(f"compile: {self._name} runs as it is written for these arguments")
        return Program(done[0])

    def cache_info(self) -> CacheInfo:
        """Numbers of programs, paths, calls answered and recordings.

        Returns
        -------
        CacheInfo
            A named tuple of ``programs``, ``paths``, ``hits`` (calls that recorded nothing),
            ``misses`` (recordings), ``disk_hits`` (paths whose native code an earlier
            process compiled).

        Examples
        --------
        >>> import autodiff as ad
        >>> square = ad.compile(lambda x: x * x)
        >>> square(2.0), square(3.0), square.cache_info().misses
        (np.float64(4.0), np.float64(9.0), 1)
        """
        variants = [v for plan in list(self._plans.values()) for v in plan.variants]
        paths = [path for v in variants for path in v.paths.known]
        disk = sum(bool(getattr(path.runner, "from_disk", False)) for path in paths)
        return CacheInfo(len(variants), len(paths), self._hits, self._misses, disk)

    def clear_cache(self) -> None:
        """Forget all programs.

        Examples
        --------
        >>> import autodiff as ad
        >>> square = ad.compile(lambda x: x * x)
        >>> value = square(2.0)
        >>> square.clear_cache()
        >>> square.cache_info().programs
        0
        """
        with self._lock:
            self._plans = {}
            self._recent = ()

    # --- as a function --------------------------------------------------------------------------

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> str | tuple[Any, ...]:
        options = (self._options.backend, self._statics.names, self._options.reassociate)
        return declared_name(self) or (type(self), (self.__wrapped__, *options))

    def __repr__(self) -> str:
        name = getattr(self.__wrapped__, "__qualname__", None) or repr(self.__wrapped__)
        return f"<compiled {name}>"


def _value(leaf: Any) -> Any:
    return leaf if type(leaf) is ARRAY or isinstance(leaf, Box) else as_value(leaf)


@overload
def compile(
    f: np.ufunc,
    *,
    backend: str = ...,
    static_argnames: str | Sequence[str] = ...,
    reassociate: bool = ...,
) -> Compiled[..., Any]: ...


@overload
def compile(
    f: Callable[P, R],
    *,
    backend: str = ...,
    static_argnames: str | Sequence[str] = ...,
    reassociate: bool = ...,
) -> Compiled[P, R]: ...


@overload
def compile(
    f: None = None,
    *,
    backend: str = ...,
    static_argnames: str | Sequence[str] = ...,
    reassociate: bool = ...,
) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...


def compile(
    f: Callable[..., Any] | None = None,
    *,
    backend: str = "auto",
    static_argnames: str | Sequence[str] = (),
    reassociate: bool = False,
) -> Any:
    """Return the same function, run from an optimised tape.

    Parameters
    ----------
    f : callable on containers of arrays
        Recorded once for each form of its arguments (structure, shapes, dtypes), and once more
        where it goes another way (``if x > 0``). Left out, `compile` is a decorator with options.
    backend : {"auto", "numpy", "llvm", "cupy"}
        ``"auto"`` runs NumPy until native code is ready, where `llvmlite` is installed; on arrays
        of CuPy it makes kernels of CuPy. ``"llvm"`` is for NumPy's arrays, ``"cupy"`` for CuPy's.
    static_argnames : str or sequence of str
        Arguments whose values make programs of their own.
    reassociate : bool
        Whether chains of matrix products may be bracketed by cost, which changes rounding.

    Returns
    -------
    Compiled
        Takes and returns what `f` does, under every transform.

    Raises
    ------
    TypeError
        `f` is no function; `static_argnames` holds no names.
    ValueError
        There is no such backend, or no such argument.
    ModuleNotFoundError
        The backend needs a package that is not installed.
    CompileError
        When it is called: `f` draws random numbers, changes what is outside, or returns objects
        that are no containers; or the backend is for arrays of another library.

    Notes
    -----
    Arrays that `f` reads from outside (closures, globals, attributes of objects) are read anew at
    each call. What it prints, it prints when it is recorded.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> @ad.compile
    ... def loss(w, x):
    ...     return np.sum(np.tanh(x @ w) ** 2)
    >>> w, x = np.zeros(2), np.ones((3, 2))
    >>> loss(w, x)
    np.float64(0.0)
    >>> gradient = ad.compile(ad.grad(loss))
    >>> gradient(w, x)
    array([0., 0.])
    >>> loss.cache_info().programs
    1
    """
    if f is None:
        check_backend(backend)
        return functools.partial(
            compile, backend=backend, static_argnames=static_argnames, reassociate=reassociate
        )
    check_transform(f, "compile")
    check_backend(backend)
    return Compiled(f, backend, static_argnames, reassociate)
