"""Threads that take parts of a loop: native code that hands them out, and who waits for some.

Whoever runs a program takes parts of its large loops one after the other, and so does every helper
that is awake and finds the loop open. So nobody waits for a thread to start: the caller does alone
what nobody helps with, after a fork, say, or where all processors are busy; it waits only for parts
that somebody has begun. One loop at a time is open: a second caller does its own alone.

Helpers are threads of Python that sleep on a lock of Python's. Awake, they look for open loops
without Python's global lock, for a fraction of a millisecond more than there are any.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import platform
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from autodiff.compiler.llvm.types import I64, pointer
from autodiff.compiler.llvm.writer import Function, Value
from autodiff.host import thread_count

__all__ = ["SHARE", "prepare", "wake", "write_call"]

SHARE = "autodiff_share"
"""Name of the function that has a loop done: ``void share(ptr passes, ptr table, i64 count)``."""

HELP = "autodiff_help"

MOST = 32
"""Threads of a loop."""

PATIENCE = 4_000
"""How often a helper looks for an open loop before it sleeps: some 200 microseconds."""

_X86 = ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()")
_ARM = ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)")
_PAUSES = {"x86_64": _X86, "AMD64": _X86, "aarch64": _ARM, "arm64": _ARM}
"""By processor: what tells it that a loop waits for another processor."""


def write_call(fn: Function, name: str, table: Value, count: int) -> None:
    """Write that the passes of a loop are run, each by a call of ``void name(ptr table, i64)``."""
    fn.module.declare(SHARE, "void", [pointer.name, pointer.name, I64.name])
    fn.line(f"call void @{SHARE}(ptr @{name}, ptr {table.name}, i64 {count})")


def _text() -> str:
    """The module that shares loops out.

    A loop that is open has its fields written, which stay until it is closed and nobody is in it:
    helpers say that they are in it before they look again whether it is open.
    """
    relaxing, relax = _PAUSES.get(platform.machine(), ("", ""))
    has_yield = sys.platform != "win32"
    yielding = "declare i32 @sched_yield()" if has_yield else ""
    give_way = "call i32 @sched_yield()" if has_yield else ""
    return f"""
; each on a line of the cache of its own
@busy = internal global i64 0, align 128
@open = internal global i64 0, align 128
@next = internal global i64 0, align 128
@inside = internal global i64 0, align 128
@passes = internal global ptr null, align 128
@table = internal global ptr null, align 8
@count = internal global i64 0, align 8
{yielding}
{relaxing}

define internal i64 @work(ptr %passes, ptr %table, i64 %count) nounwind {{
entry:
  br label %take
take:
  %done = phi i64 [ 0, %entry ], [ %more, %do ]
  %index = atomicrmw add ptr @next, i64 1 monotonic
  %there = icmp ult i64 %index, %count
  br i1 %there, label %do, label %end
do:
  call void %passes(ptr %table, i64 %index)
  %more = add i64 %done, 1
  br label %take
end:
  ret i64 %done
}}

define void @{SHARE}(ptr %passes, ptr %table, i64 %count) nounwind {{
entry:
  %pair = cmpxchg ptr @busy, i64 0, i64 1 acquire monotonic
  %ours = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %ours, label %share, label %alone
share:
  store ptr %passes, ptr @passes
  store ptr %table, ptr @table
  store i64 %count, ptr @count
  store atomic i64 0, ptr @next monotonic, align 8
  store atomic i64 1, ptr @open seq_cst, align 8
  call i64 @work(ptr %passes, ptr %table, i64 %count)
  store atomic i64 0, ptr @open seq_cst, align 8
  br label %wait
wait:
  %times = phi i64 [ 0, %share ], [ %again, %relaxed ]
  %left = load atomic i64, ptr @inside seq_cst, align 8
  %none = icmp eq i64 %left, 0
  br i1 %none, label %close, label %relax
relax:
  %again = add i64 %times, 1
  {relax}
  %rarely = and i64 %again, 255
  %long = icmp eq i64 %rarely, 0
  br i1 %long, label %yield, label %relaxed
yield:
  {give_way}
  br label %relaxed
relaxed:
  br label %wait
close:
  store atomic i64 0, ptr @busy release, align 8
  ret void
alone:
  %index = phi i64 [ 0, %entry ], [ %following, %alone ]
  call void %passes(ptr %table, i64 %index)
  %following = add i64 %index, 1
  %there = icmp ult i64 %following, %count
  br i1 %there, label %alone, label %end
end:
  ret void
}}

define void @{HELP}(i64 %patience) nounwind {{
entry:
  br label %look
look:
  %times = phi i64 [ 0, %entry ], [ %again, %relaxed ], [ %after, %leave ]
  %state = load atomic i64, ptr @open acquire, align 8
  %is_open = icmp eq i64 %state, 1
  br i1 %is_open, label %enter, label %idle
enter:
  atomicrmw add ptr @inside, i64 1 seq_cst
  %still = load atomic i64, ptr @open seq_cst, align 8
  %is_still = icmp eq i64 %still, 1
  br i1 %is_still, label %help, label %leave
help:
  %passes = load ptr, ptr @passes
  %table = load ptr, ptr @table
  %count = load i64, ptr @count
  %helped = call i64 @work(ptr %passes, ptr %table, i64 %count)
  br label %leave
leave:
  %parts = phi i64 [ 0, %enter ], [ %helped, %help ]
  atomicrmw sub ptr @inside, i64 1 seq_cst
  %useless = icmp eq i64 %parts, 0
  %plus = add i64 %times, 1
  %after = select i1 %useless, i64 %plus, i64 0
  br label %look
idle:
  %again = add i64 %times, 1
  %enough = icmp ugt i64 %again, %patience
  br i1 %enough, label %end, label %relax
relax:
  {relax}
  %rarely = and i64 %again, 63
  %long = icmp eq i64 %rarely, 0
  br i1 %long, label %yield, label %relaxed
yield:
  {give_way}
  br label %relaxed
relaxed:
  br label %look
end:
  ret void
}}
"""


class _Helper:
    """A thread that helps when it is woken."""

    def __init__(self, help_out: Callable[[int], None], number: int) -> None:
        self.help_out = help_out
        self.lock = threading.Lock()
        self.lock.acquire()
        self.sleeps = True
        self.ends = False
        self.thread = threading.Thread(
            target=self._run, name=f"autodiff native {number}", daemon=True
        )
        self.thread.start()

    def _run(self) -> None:
        while True:
            self.lock.acquire()
            if self.ends:
                return
            self.help_out(PATIENCE)
            self.sleeps = True

    def wake(self) -> None:
        """Have it look for open loops, if it sleeps."""
        if self.sleeps:
            self.sleeps = False
            with contextlib.suppress(RuntimeError):  # somebody else has at the same time
                self.lock.release()

    def end(self) -> None:
        """Have the thread end, and wait for that."""
        self.ends = True
        self.sleeps = True
        self.wake()
        self.thread.join(1.0)


@cache
def prepare() -> Any:
    """Load the code that shares loops out, where native code finds it; it stays for good."""
    from autodiff.compiler.llvm import disk, engine

    loaded, _ = engine.load(_text(), 2, disk.default())
    engine.announce(SHARE, loaded.address(SHARE))
    return loaded


@cache
def _helpers() -> tuple[_Helper, ...]:
    help_out = ctypes.CFUNCTYPE(None, ctypes.c_int64)(prepare().address(HELP))
    return tuple([_Helper(help_out, number) for number in range(thread_count(MOST) - 1)])


def wake() -> None:
    """Wake the helpers: a program with loops to share out is about to run."""
    for helper in _helpers():
        helper.wake()


def _end() -> None:
    """Have no thread in native code when the interpreter takes itself apart."""
    if _helpers.cache_info().currsize:
        for helper in _helpers():
            helper.end()


def _forget() -> None:
    """A child process has none of its parent's threads, and maybe loops that they left open."""
    _helpers.cache_clear()


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
