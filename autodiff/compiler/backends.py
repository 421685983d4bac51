"""Backends by name: each makes a runner of a flat tape.

A *flat tape* has no containers and no guards. A *runner* takes plain arrays and numbers of the
specs of the tape's inputs and gives a tuple of fresh values, one for each output.
"""

from __future__ import annotations

import atexit
import queue
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from autodiff.compiler import passes
from autodiff.compiler.replaying import Runner, replayed
from autodiff.core.arrays import library_of
from autodiff.errors import CompileError
from autodiff.tape.ir import Tape

__all__ = [
    "BACKENDS",
    "LONG",
    "Runner",
    "check_backend",
    "chosen",
    "finish",
    "optimized",
    "replayed",
    "start",
    "start_on",
]

Build = Callable[[Tape], Runner]


BACKENDS: dict[str, tuple[str, str | None]] = {
    "numpy": ("autodiff.compiler.numpy_backend", None),
    "llvm": ("autodiff.compiler.stored", "llvmlite"),
    "cupy": ("autodiff.compiler.cupy_backend", "cupy"),
}
"""By name: the package whose ``build`` makes a runner, and what has to be installed for it."""

_INSTALLED_BY = {
    "llvm": 'python -m pip install "autodiff[compile]"',
    "cupy": "python -m pip install cupy-cuda13x, or as its documentation says for your system",
}


def check_backend(name: str) -> None:
    """Refuse a backend that there is none of, or that something is missing for.

    Raises
    ------
    ValueError
        There is no backend of this name.
    ModuleNotFoundError
        It needs a package that is not installed.
    """
    if name == "auto":
        return
    if name not in BACKENDS:
        known = ", ".join(map(repr, ("auto", *BACKENDS)))
        raise ValueError(f"compile: there is no backend {name!r}; choose one of {known}")
    needed = BACKENDS[name][1]
    if needed is not None and find_spec(needed) is None:
        raise ModuleNotFoundError(
            f"compile: backend={name!r} needs {needed}, which is not installed: "
            f'{_INSTALLED_BY[name]}; backend="numpy" needs nothing',
            name=needed,
        )
    if _build_of(name) is None:
        raise ModuleNotFoundError(f"compile: this installation has no backend {name!r}")


def _build_of(name: str) -> Build | None:
    package, needed = BACKENDS[name]
    if needed is not None and find_spec(needed) is None:
        return None
    if find_spec(package) is None:
        return replayed if name == "numpy" else None
    build: Build = import_module(package).build
    return build


def optimized(tape: Tape, reassociate: bool) -> Tape:
    """Tape that computes the same, for less."""
    try:
        return passes.optimized(tape, reassociate=reassociate)
    except Exception as error:
        _say("the tape could not be optimised", error, "it runs as it was recorded")
        return tape


LONG = 1_000
"""Operations of a tape that is evaluated as it is until native code is there."""

_said: set[str] = set()


def _say(what: str, error: Exception, instead: str) -> None:
    """Warn once of a fault of this library, which costs time and no more."""
    text = f"compile: {what} ({type(error).__name__}: {error}); {instead}"
    if text not in _said:
        _said.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=4)


def _built(build: Build, tape: Tape) -> Runner:
    """Runner of a backend; where that fails, of NumPy, or one that evaluates the tape."""
    try:
        return build(tape)
    except Exception as error:
        second = _build_of("numpy")
        if second is not None and second is not build:
            _say("native code could not be made", error, "a NumPy program runs instead")
            return _built(second, tape)
        _say("a program could not be made", error, "its operations run one by one")
        return replayed(tape)


def chosen(backend: str, like: Any) -> str:
    """Backend for a program on NumPy's arrays, or on such as `like`.

    Parameters
    ----------
    backend : str
        What was asked for.
    like : array or None
        An array of another library; None where all are NumPy's.

    Raises
    ------
    CompileError
        The backend is for other arrays.
    """
    if like is None:
        if backend == "cupy":
            raise CompileError(
                "compile: backend='cupy' is for arrays of CuPy, and these are NumPy's; pass "
                'cupy.asarray(x), or leave the choice to backend="auto"'
            )
        return backend
    library = library_of(like)
    if backend == "llvm" or (backend == "cupy" and library != "cupy"):
        what = "NumPy" if backend == "llvm" else "CuPy"
        raise CompileError(
            f"compile: backend={backend!r} is for arrays of {what}, and these are of {library}; "
            'backend="auto" runs what there is for them'
        )
    return "cupy" if backend == "auto" and library == "cupy" else backend


def start_on(tape: Tape, backend: str, like: Any, given: Sequence[bool]) -> Runner:
    """Return a runner for a tape on arrays of another library.

    Parameters
    ----------
    tape : Tape
        Flat.
    backend : str
        As `chosen`.
    like : array
        One of the arrays.
    given : sequence of bool
        Which of the inputs are such arrays, and no numbers.
    """
    try:
        if backend == "cupy":
            build = import_module(BACKENDS[backend][0]).build
            made: Runner = build(tape, like, given)
            return made
    except Exception as error:
        _say("kernels of CuPy could not be made", error, "its functions are called one by one")
    from autodiff.compiler.stepping import stepped  # which NumPy's arrays never need

    try:
        return stepped(tape)
    except Exception as error:
        _say("a program could not be made", error, "its operations run one by one")
        return replayed(tape)


def start(
    flat: Tape, optimised: Callable[[], Tape], backend: str, switch: Callable[[Runner], None]
) -> Runner:
    """Return a runner for a tape; one that takes longer to build comes later, by `switch`.

    Parameters
    ----------
    flat : Tape
    optimised : callable
        Gives the tape with less to do. Of a long one that takes longer than to evaluate it once.
    backend : str
    switch : callable
        Takes the better runner, in another thread.
    """
    if backend != "auto":
        build = _build_of(backend)
        assert build is not None
        return _built(build, optimised())
    needed = BACKENDS["llvm"][1]
    alone = needed is not None and find_spec(needed) is None
    if len(flat) > LONG and not alone:
        # A NumPy program takes longer to make than it would save until it is replaced
        return _replaced_later(replayed(flat), optimised, switch)
    tape = optimised()
    if not alone:
        # Native code that is on disk is there sooner than a NumPy program
        find = getattr(import_module(BACKENDS["llvm"][0]), "found", None)
        ready: Runner | None = find(tape) if find is not None else None
        if ready is not None:
            return ready
    build = _build_of("numpy")
    assert build is not None
    runner = _built(build, tape)
    return runner if alone else _replaced_later(runner, lambda: tape, switch)


def _replaced_later(
    runner: Runner, optimised: Callable[[], Tape], switch: Callable[[Runner], None]
) -> Runner:
    """A runner in whose place native code comes, made when it has run once."""
    waiting = [optimised]

    def first(*values: Any) -> tuple[Any, ...]:
        """Run once, and have native code made then: nobody is to wait for the first result."""
        outs = runner(*values)
        with suppress(IndexError):  # another thread was first
            made_of = waiting.pop()
            switch(runner)  # before native code can be there, which is to stay
            _WORKER.add(made_of, switch)
        return outs

    return first


class _Worker:
    """One thread of the process that builds native code beside the program."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, optimised: Callable[[], Tape], switch: Callable[[Runner], None]) -> None:
        """Make native code of a tape when its turn comes."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, name="autodiff.compile", daemon=True
                )
                self._thread.start()
                atexit.register(self._stop)
        self._jobs.put((optimised, switch))

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            if isinstance(job, threading.Event):
                job.set()
                continue
            optimised, switch = job
            tape = optimised()
            build = _build_of("llvm")  # loaded here, where nobody waits for it
            try:
                if build is not None:
                    switch(build(tape))
            except Exception as error:
                _say("native code could not be made", error, "the NumPy program goes on running")
                second = _build_of("numpy")
                if len(tape) > LONG and second is not None:
                    switch(_built(second, tape))

    def _stop(self) -> None:
        """Drop what waits, at the interpreter's exit; what is being built is waited for briefly."""
        while not self._jobs.empty():
            self._jobs.get_nowait()
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def finish(self) -> None:
        """Wait until everything that was asked for has been built."""
        if self._thread is not None and self._thread.is_alive():
            done = threading.Event()
            self._jobs.put(done)
            done.wait()


_WORKER = _Worker()


def finish() -> None:
    """Wait until all native code that is being made beside the program is there."""
    _WORKER.finish()
