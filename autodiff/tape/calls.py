"""Which function and module calls an operation was recorded in, read off the Python stack.

Recording marks nothing in the program: at each operation the frames on the way to the recorder are
looked at, up to one that was there at the operation before. A frame that is still there is the same
call, so a function called twice makes two scopes; and who called it has not changed, nor has the
line where, so nothing above it need be looked at.
"""

from __future__ import annotations

import inspect
import os.path
import sys
from types import CodeType, FrameType
from typing import Any

from autodiff.interpret.call_sites import is_library
from autodiff.interpret.sweep import SWEEP

__all__ = ["CallScope", "Calls"]

_NETWORKS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "nn", "")
_HIDDEN = frozenset({"<lambda>", "<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>", "<module>"})
_FUNCTION, _METHOD, _LIBRARY, _USER = "function", "method", "library", "user"
_SWEEPS = "sweep"
"""Kind of the sweep's own code: no call that shows, but a frame that stays for many operations."""

_RESUMED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_MOST_CODES = 10_000


class CallScope:
    """One call of a function or a module while a tape was recorded.

    Attributes
    ----------
    kind : "function" or "module"
    name : name of the function, or path of the module in the one that called it, as ``layers[0]``
    type : class of the module, empty for a function
    parent : the call that this one was made from, None at the top
    depth : 1 at the top
    """

    __slots__ = ("depth", "kind", "name", "parent", "type")

    def __init__(self, kind: str, name: str, type: str, parent: CallScope | None) -> None:
        self.kind = kind
        self.name = name
        self.type = type
        self.parent = parent
        self.depth: int = 1 if parent is None else parent.depth + 1

    @property
    def label(self) -> str:
        """``layers[0]: Linear`` for a module, the name of a function."""
        return f"{self.name}: {self.type}" if self.type and self.type != self.name else self.name

    @property
    def chain(self) -> tuple[CallScope, ...]:
        """The calls from the outermost to this one."""
        chain: list[CallScope] = []
        scope: CallScope | None = self
        while scope is not None:
            chain.append(scope)
            scope = scope.parent
        return tuple(reversed(chain))

    @property
    def path(self) -> tuple[str, ...]:
        """Labels from the outermost call to this one."""
        return tuple(scope.label for scope in self.chain)

    def __repr__(self) -> str:
        return f"<{self.kind} {' / '.join(self.path)}>"


class _Code:
    """What there is to know of a code object, found out once.

    ``is_users`` is for code outside the library; ``resumed`` for that of generators, which go on
    where somebody else calls them.
    """

    __slots__ = ("code", "is_users", "kind", "resumed", "sources")

    def __init__(self, code: CodeType) -> None:
        self.code = code  # keeps alive what it is found by
        self.kind = _kind_of(code)
        self.is_users = not is_library(code.co_filename)
        self.resumed = bool(code.co_flags & _RESUMED)
        self.sources: dict[int, str] = {}

    def source(self, frame: FrameType) -> str:
        """``file:line`` where a frame of this code is."""
        place = frame.f_lasti
        found = self.sources.get(place)
        if found is None:
            found = f"{self.code.co_filename}:{frame.f_lineno}"
            self.sources[place] = found
        return found


_codes: dict[int, _Code] = {}
"""By identity: comparing code objects costs more than all that is done with them here."""

_passed: set[int] = set()
"""Those of the library, of which most frames are: there is no more to know of them."""


class _Call:
    """A frame, the scope inside it, and the nearest module that is running.

    ``source`` is the line of the nearest code around it that is not the library's, for the
    library's own frames; ``swept`` says that it is a sweep, within the call ``outer``.
    """

    __slots__ = ("frame", "module", "outer", "scope", "source", "swept")

    def __init__(
        self, frame: FrameType, scope: CallScope | None, module: Any, source: str | None
    ) -> None:
        self.frame = frame
        self.scope = scope
        self.module = module
        self.source = source
        self.swept = False
        self.outer: _Call | None = None


class Calls:
    """The calls between a recorder and the current operation.

    The recorder makes one in its own frame and asks it at each operation. It holds the frames of
    the last operation, so that a later call cannot be taken for one of them; `clear` lets go.
    """

    def __init__(self) -> None:
        self._base: FrameType | None = sys._getframe(1)
        self._calls: list[_Call] = []
        self._places: dict[FrameType, int] = {}

    def clear(self) -> None:
        """Forget the frames, and what their variables hold."""
        self._base = None
        self._calls = []
        self._places = {}

    def here(self, skipped: int = 0) -> tuple[CallScope | None, str | None]:
        """CallScope of the caller, and ``file:line`` of the nearest code outside the library.

        `skipped` is how many frames from the caller on are known to be the library's.
        """
        codes, places, base = _codes, self._places, self._base
        fresh: list[tuple[FrameType, _Code]] = []
        source: str | None = None
        same = 0
        frame: FrameType | None = sys._getframe(1 + skipped)
        while frame is not None and frame is not base:
            code = frame.f_code
            if id(code) in _passed:
                frame = frame.f_back
                continue
            about = codes.get(id(code))
            if about is None:
                about = _learnt(code)
                if about.kind is _LIBRARY:
                    continue
            if source is None and about.is_users:
                source = about.source(frame)
            if frame in places and not about.resumed:
                same = places[frame] + 1
                if source is None:
                    source = self._calls[same - 1].source
                break
            fresh.append((frame, about))
            frame = frame.f_back
        calls = self._calls
        if fresh or same < len(calls):
            self._follow(fresh, same)
        return (calls[-1].scope if calls else None), source

    def _follow(self, fresh: list[tuple[FrameType, _Code]], same: int) -> None:
        """Go on from the calls that are the same into the fresh frames, given innermost first."""
        calls, places = self._calls, self._places
        while fresh and same < len(calls) and calls[same].frame is fresh[-1][0]:
            fresh.pop()  # a generator's
            same += 1
        for call in calls[same:]:
            del places[call.frame]
        del calls[same:]
        for frame, about in reversed(fresh):
            around = calls[-1] if calls else None
            source: str | None = None
            if around is not None and not about.is_users:
                known = _codes.get(id(around.frame.f_code)) or _learnt(around.frame.f_code)
                source = known.source(around.frame) if known.is_users else around.source
            places[frame] = len(calls)
            calls.append(_entered(frame, about.kind, around, source))


def _learnt(code: CodeType) -> _Code:
    if len(_codes) >= _MOST_CODES:
        _codes.clear()  # of functions that are gone, most likely
        _passed.clear()
    about = _codes[id(code)] = _Code(code)
    if about.kind is _LIBRARY:
        _passed.add(id(code))
    return about


def _kind_of(code: CodeType) -> str:
    name = code.co_name
    if code is SWEEP:
        return _SWEEPS
    if is_library(code.co_filename):
        # Layers and losses are calls that a user made; the machinery around them is not
        if not code.co_filename.startswith(_NETWORKS) or name.startswith("_") != (
            name == "__call__"
        ):
            return _LIBRARY
    elif name in _HIDDEN:
        return _USER
    return _METHOD if name == "__call__" and code.co_argcount else _FUNCTION


def _entered(frame: FrameType, kind: str, around: _Call | None, source: str | None) -> _Call:
    """A call whose callers are known."""
    outer = around.outer if around is not None and around.swept else around
    scope = None if outer is None else outer.scope
    module = None if outer is None else outer.module
    if kind is _SWEEPS:
        call = _Call(frame, scope, module, source)
        call.swept, call.outer = True, outer
        return call
    code = frame.f_code
    called = frame.f_locals.get(code.co_varnames[0]) if kind is _METHOD else None
    is_module = hasattr(type(called), "__scope_path__")
    if is_module:
        path = None if module is None else module.__scope_path__(called)
        module = called
    # The outermost frame is the recorded function itself: the tape as a whole stands for it.
    if outer is not None or is_library(code.co_filename):
        if is_module:
            name = type(called).__name__
            scope = CallScope("module", path or name, name, scope)
        elif kind is not _USER and not (kind is _METHOD and is_library(code.co_filename)):
            name = type(called).__name__ if kind is _METHOD else code.co_name
            scope = CallScope("function", name, "", scope)
    return _Call(frame, scope, module, source)
