"""Modes: what is switched on, in the thread, task or generator that switched it on.

Modes belong to the context (`contextvars`), so a task that waits inside ``no_grad()`` leaves its
neighbours alone. A generator shares the context of whoever iterates over it; a mode that it enters
holds only while it runs itself. Generators that are context managers (``contextlib``) or fixtures
(``pytest``) enter modes for somebody else, and are meant to.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autodiff.core.dispatch import Interpreter

__all__ = ["modes", "owner_of"]


class _Change:
    """One change of settings, and the generator's frame that it holds in, or None.

    A task that was started inside a mode has a copy of its context, and learns so that it ended.
    """

    __slots__ = ("ended", "frame", "settings")

    def __init__(self, settings: dict[str, Any], frame: FrameType | None) -> None:
        self.settings = settings
        self.frame = frame
        self.ended = False


class _Settings:
    """What is switched on in one context.

    ``capture`` is an interpreter that operations on boxes of lower levels are handed to, whichever
    transform they belong to: it runs a function whose outside Tensors are to become inputs.
    """

    __slots__ = (
        "capture",
        "changes",
        "debug",
        "no_grad_level",
        "strong_zero",
        "waits",
        "while_holding",
    )

    def __init__(self, changes: tuple[_Change, ...] = ()) -> None:
        self.no_grad_level = 0
        self.strong_zero = False
        self.debug = False
        self.capture: Interpreter | None = None
        self.changes = changes
        for change in changes:
            for name, value in change.settings.items():
                setattr(self, name, value)
        self.waits = any(change.frame is not None for change in changes)
        self.while_holding: dict[tuple[_Change, ...], _Settings] = {}

    def holding(self) -> _Settings:
        """Settings that hold here: without changes that ended, or of generators that wait."""
        running: set[FrameType] = set()
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            running.add(frame)
            frame = frame.f_back
        changes = tuple(
            change
            for change in self.changes
            if not change.ended and (change.frame is None or change.frame in running)
        )
        if changes == self.changes:
            return self
        if changes not in self.while_holding:
            self.while_holding[changes] = _Settings(changes)
        return self.while_holding[changes]


_context: ContextVar[_Settings] = ContextVar("autodiff_modes")
_NOTHING = _Settings()


class _Modes:
    """What is switched on here, and how many modes are open in all contexts together.

    The hot path reads ``open``, one integer, and looks at its own context only where that is not
    zero.
    """

    __slots__ = ("_lock", "open")

    def __init__(self) -> None:
        self.open = 0
        self._lock = threading.Lock()

    @property
    def here(self) -> _Settings:
        """Settings of this context."""
        settings = _context.get(_NOTHING)
        if settings.waits:
            return settings.holding()
        for change in settings.changes:
            if change.ended:
                return settings.holding()
        return settings

    @property
    def capture(self) -> Interpreter | None:
        """Interpreter that operations on outside boxes are handed to."""
        return self.here.capture

    @property
    def no_grad_level(self) -> int:
        """Level below which nothing is recorded."""
        return self.here.no_grad_level

    @property
    def strong_zero(self) -> bool:
        """Whether zero cotangents stay zero."""
        return self.here.strong_zero

    @property
    def debug(self) -> bool:
        """Whether every number is checked."""
        return self.here.debug

    @contextmanager
    def changed(self, frame: FrameType | None = None, **settings: Any) -> Iterator[None]:
        """Change settings of this context, and undo that on the way out.

        With a `frame`, a generator's, they hold only while that runs.
        """
        change = _Change(settings, frame)
        former = _context.get(_NOTHING)
        changed = _Settings((*former.changes, change))
        changed.capture = settings.get("capture", former.capture)  # that may be lifted just now
        with self._lock:
            self.open += 1
        _context.set(changed)
        try:
            yield
        finally:
            change.ended = True
            present = _context.get(_NOTHING)
            if present is changed:
                _context.set(former)
            else:  # not the last that was entered: a generator's, say
                _context.set(_Settings(tuple(c for c in present.changes if c is not change)))
            with self._lock:
                self.open -= 1


modes = _Modes()

_FOR_OTHERS = ("contextlib", "_pytest")
"""Modules that run a generator for what it enters."""


def owner_of(frame: FrameType) -> FrameType | None:
    """Frame that a mode entered in it belongs to: its own, if that is a generator's."""
    if not frame.f_code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
        return None
    caller = frame.f_back
    module = "" if caller is None else caller.f_globals.get("__name__", "")
    return None if module.split(".")[0] in _FOR_OTHERS else frame
