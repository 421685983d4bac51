"""What a worker does: unpack what all shards share, evaluate shards, report what went wrong.

A task is ``evaluate(common, numbers, positions, *pieces)``, whose pieces are what the shards of
those numbers have in place of the arguments at `positions`. It gives a list with an `Outcome` for
each shard, in order; the list ends with the first failure. Exceptions of the function come back
as values: one that cannot be pickled, or cannot be read again, would take the executor down.
"""

from __future__ import annotations

import functools
import inspect
import os
import pickle
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import autodiff as ad
from autodiff.parallel.cutting import WHOLE, Kept

__all__ = ["Common", "Outcome", "Parcel", "evaluate", "function_of"]

Transform = Callable[[Callable[..., Any]], Callable[..., Any]]


class Common(NamedTuple):
    """What all shards of a call share."""

    transform: Transform
    """Makes of the user's function what is evaluated; can be pickled."""
    f: Any
    """The user's function; a pickle of it where it has travelled."""
    whole: tuple[Any, ...]
    """The arguments; `WHOLE` in the place of those that shards have their own of."""
    keywords: dict[str, Any]
    modes: tuple[str, ...]
    """Modes of the caller, ``debug`` and ``strong_zero``, which hold for the worker too."""
    name: str

    def load(self) -> Common:
        """Itself: it is here already."""
        return self

    def begin(self, number: int) -> None:
        """Nobody needs to be told that a shard begins."""


class Outcome(NamedTuple):
    """Result of a shard, or why it has none."""

    value: Any
    error: Exception | None = None
    misuse: bool = False
    """Whether the transform refused what it was given: no shard would fare better."""


class Loadable(Protocol):
    """What stands for a `Common` on its way."""

    def load(self) -> Common:
        """Get it; once for all shards that this worker has of a call."""

    def begin(self, number: int) -> None:
        """Note that the evaluation of a shard begins."""


class Parcel:
    """A pickle of a `Common`: in the message itself, or in a file that all workers can read.

    Parameters
    ----------
    token : bytes
        Tells calls apart.
    content : bytes, or the path of a file
    """

    def __init__(self, token: bytes, content: bytes | Path) -> None:
        self.token = token
        self.content = content

    def load(self) -> Common:
        """Unpack it, if it is not what was unpacked last."""
        with _loading:
            if self.token not in _latest:
                content = self.content
                packed = content if isinstance(content, bytes) else content.read_bytes()
                common: Common = pickle.loads(packed)
                _latest.clear()
                _latest[self.token] = common._replace(f=function_of(common.f))
            return _latest[self.token]

    def begin(self, number: int) -> None:
        """Leave a note beside the file of which process computes the shard."""
        if isinstance(self.content, Path):
            note = self.content.with_name(f"{self.content.name}-{number}")
            note.write_text(str(os.getpid()), encoding="ascii")


_latest: dict[bytes, Common] = {}
"""What was unpacked last, by the token of its call."""
_loading = threading.Lock()


@functools.lru_cache(maxsize=16)
def function_of(packed: bytes) -> Any:
    """Unpickle a function, the same one for the same pickle: a compiled one compiles once."""
    return pickle.loads(packed)


def evaluate(
    common: Loadable, numbers: Sequence[int], positions: Sequence[int], *pieces: Any
) -> list[Outcome]:
    """Evaluate shards, in the process of a worker."""
    outcomes: list[Outcome] = []
    shared = common.load()
    travels = shared is not common
    for i, number in enumerate(numbers):
        common.begin(number)
        own = pieces[i * len(positions) : (i + 1) * len(positions)]
        outcome = _outcome(shared, dict(zip(positions, own, strict=True)))
        if travels and outcome.error is not None:
            outcome = outcome._replace(error=_sendable(outcome.error))
        outcomes.append(outcome)
        if outcome.error is not None:
            break
    return outcomes


def _outcome(common: Common, pieces: dict[int, Any]) -> Outcome:
    """Evaluate one shard."""
    seen: list[BaseException] = []

    @functools.wraps(common.f)
    def watched(*args: Any, **keywords: Any) -> Any:
        """Remember which exceptions are the function's own."""
        try:
            return common.f(*args, **keywords)
        except Exception as error:
            seen.append(error)
            raise

    if not hasattr(common.f, "__name__"):
        watched.__name__ = type(common.f).__name__
    try:
        args = [pieces[i] if value is WHOLE else value for i, value in enumerate(common.whole)]
        args = [arg.fetch() if isinstance(arg, Kept) else arg for arg in args]
        with ExitStack() as stack:
            for mode in common.modes:
                stack.enter_context(getattr(ad, mode)())
            value = common.transform(watched)(*args, **common.keywords)
        _refuse_tensors(value, common)
    except Exception as error:
        own = any(error is one for one in seen)
        return Outcome(None, error, misuse=not own and isinstance(error, _MISUSES))
    return Outcome(value)


_MISUSES = (TypeError, ValueError)


def _refuse_tensors(value: Any, common: Common) -> None:
    """Refuse results that depend on Tensors which the function did not get as arguments."""
    if any(isinstance(leaf, ad.Tensor) for leaf in ad.tree.leaves(value)):
        names = sorted(set(_captured(common.f)))
        which = ", ".join(names) if names else "Tensors"
        raise TypeError(
            f"{common.name}: the function uses {which} from outside, and what is computed on a "
            "worker cannot depend on Tensors here; pass them as arguments, or use .data of them "
            "for constants"
        )


def _captured(f: Any) -> list[str]:
    """Names under which a function finds Tensors, or containers with some, outside of it."""
    found: list[str] = []
    outside: dict[str, Any] = {}
    if isinstance(f, functools.partial):
        outside.update({f"argument {i}": value for i, value in enumerate(f.args)}, **f.keywords)
        for part in (f.func, *filter(callable, outside.values())):
            found += _captured(part)
    else:
        if inspect.ismethod(f):
            outside["self"] = f.__self__
        function = inspect.unwrap(getattr(f, "__func__", f))
        if inspect.isfunction(function):
            variables = inspect.getclosurevars(function)
            outside.update(variables.globals, **variables.nonlocals)
        else:
            outside[type(f).__name__] = f
    return found + [
        name
        for name, value in outside.items()
        if any(isinstance(leaf, ad.Tensor) for leaf in ad.tree.leaves(_opened(value)))
    ]


def _opened(value: Any) -> Any:
    """A value, with the attributes of an object in its place."""
    is_object = hasattr(value, "__dict__") and not isinstance(value, type)
    return [value, *vars(value).values()] if is_object else value


def _sendable(error: Exception) -> Exception:
    """Exception that gets through a pickle, with its traceback as a note."""
    lines = "".join(traceback.format_exception(error))
    try:
        again = pickle.loads(pickle.dumps(error))
        if type(again) is type(error) and str(again) == str(error):
            error.add_note(f"On the worker:\n{lines}")
            return error
    except Exception:  # whatever a class of the user's does when it is pickled
        pass
    stand_in = RuntimeError(f"{type(error).__name__}: {error}")
    stand_in.add_note(f"On the worker:\n{lines}")
    return stand_in
