"""Which function and module calls an operation was recorded in, read off the Python stack.

Recording marks nothing in the program: at each operation the frames between it and the recorder
are looked at, and compared with those of the operation before. A frame that is still there is the
same call, so a function called twice makes two scopes.
"""

from __future__ import annotations

import os.path
import sys
from types import CodeType, FrameType
from typing import Any, NamedTuple

from autodiff.interpret.call_sites import is_library

__all__ = ["CallScope", "Calls"]

_NETWORKS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "nn", "")
_HIDDEN = frozenset({"<lambda>", "<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>", "<module>"})
_FUNCTION, _METHOD, _LIBRARY, _USER = "function", "method", "library", "user"


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


class _Call(NamedTuple):
    """A frame, the scope inside it, and the nearest module that is running."""

    frame: FrameType
    scope: CallScope | None
    module: Any


class Calls:
    """The calls between a recorder and the current operation.

    The recorder makes one in its own frame and asks it at each operation. It holds the frames of
    the last operation, so that a later call cannot be taken for one of them; `clear` lets go.
    """

    def __init__(self) -> None:
        self._base: FrameType | None = sys._getframe(1)
        self._calls: list[_Call] = []
        self._kinds: dict[CodeType, str] = {}

    def clear(self) -> None:
        """Forget the frames, and what their variables hold."""
        self._base = None
        self._calls = []

    def here(self) -> tuple[CallScope | None, str | None]:
        """CallScope of the caller, and ``file:line`` of the nearest code outside the library."""
        kinds = self._kinds
        frames: list[FrameType] = []
        source: str | None = None
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame is not self._base:
            code = frame.f_code
            kind = kinds.get(code) or kinds.setdefault(code, _kind_of(code))
            if kind is not _LIBRARY:
                if source is None and not is_library(code.co_filename):
                    source = f"{code.co_filename}:{frame.f_lineno}"
                frames.append(frame)
            frame = frame.f_back
        frames.reverse()
        same = 0
        for call, frame in zip(self._calls, frames, strict=False):
            if call.frame is not frame:
                break
            same += 1
        del self._calls[same:]
        for frame in frames[same:]:
            outer = self._calls[-1] if self._calls else None
            self._calls.append(_entered(frame, kinds[frame.f_code], outer))
        return (self._calls[-1].scope if self._calls else None), source


def _kind_of(code: CodeType) -> str:
    name = code.co_name
    if is_library(code.co_filename):
        # Layers and losses are calls that a user made; the machinery around them is not
        if not code.co_filename.startswith(_NETWORKS) or name.startswith("_") != (
            name == "__call__"
        ):
            return _LIBRARY
    elif name in _HIDDEN:
        return _USER
    return _METHOD if name == "__call__" and code.co_argcount else _FUNCTION


def _entered(frame: FrameType, kind: str, outer: _Call | None) -> _Call:
    """CallScope of a frame whose callers' scopes are known."""
    scope = None if outer is None else outer.scope
    module = None if outer is None else outer.module
    code = frame.f_code
    called = frame.f_locals.get(code.co_varnames[0]) if kind is _METHOD else None
    is_module = hasattr(type(called), "__scope_path__")
    if is_module:
        path = None if module is None else module.__scope_path__(called)
        module = called
    # The outermost frame is the recorded function itself: the tape as a whole stands for it.
    if outer is None and not is_library(code.co_filename):
        return _Call(frame, None, module)
    if is_module:
        name = type(called).__name__
        return _Call(frame, CallScope("module", path or name, name, scope), module)
    if kind is _USER or (kind is _METHOD and is_library(code.co_filename)):
        return _Call(frame, scope, module)
    name = type(called).__name__ if kind is _METHOD else code.co_name
    return _Call(frame, CallScope("function", name, "", scope), module)
