"""Native code that hands out the parts of loops, and calls of it: what `machine.sharing` runs."""

from __future__ import annotations

import platform
import sys
from functools import cache

from autodiff.compiler.llvm.types import I64, pointer
from autodiff.compiler.llvm.writer import Function, Value
from autodiff.compiler.machine import disk, sharing
from autodiff.compiler.machine.sharing import HELP, MEMORY, SHARE

__all__ = ["prepare", "write_call"]

_PLACES = {"busy": 0, "open": 16, "next": 32, "inside": 48, "passes": 64, "table": 65, "count": 66}
"""Where words lie in the memory; those that several threads write, on lines of their own."""

_X86 = ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()")
_ARM = ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)")
_PAUSES = {"x86_64": _X86, "AMD64": _X86, "aarch64": _ARM, "arm64": _ARM}
"""By processor: what tells it that a loop waits for another processor."""


def write_call(fn: Function, name: str, table: Value, count: int) -> None:
    """Write that the passes of a loop are run, each by a call of ``void name(ptr table, i64)``."""
    fn.module.parts = max(fn.module.parts, count)
    fn.module.declare(SHARE, "void", [pointer.name, pointer.name, I64.name])
    fn.line(f"call void @{SHARE}(ptr @{name}, ptr {table.name}, i64 {count})")


def _text() -> str:
    """The module that shares loops out.

    A loop that is open has its fields written, which stay until it is closed and nobody is in it:
    helpers say that they are in it before they look again whether it is open.
    """
    at = {
        name: f"getelementptr inbounds ([128 x i64], ptr @{MEMORY}, i64 0, i64 {place})"
        for name, place in _PLACES.items()
    }
    relaxing, relax = _PAUSES.get(platform.machine(), ("", ""))
    has_yield = sys.platform != "win32"
    yielding = "declare i32 @sched_yield()" if has_yield else ""
    give_way = "call i32 @sched_yield()" if has_yield else ""
    return f"""
@{MEMORY} = external global [128 x i64]
{yielding}
{relaxing}

define internal void @relax(i64 %times) nounwind {{
entry:
  {relax}
  %rarely = and i64 %times, 63
  %long = icmp eq i64 %rarely, 0
  br i1 %long, label %yield, label %end
yield:
  {give_way}
  br label %end
end:
  ret void
}}

define internal i64 @work(ptr %passes, ptr %table, i64 %count) nounwind {{
entry:
  br label %take
take:
  %done = phi i64 [ 0, %entry ], [ %more, %do ]
  %index = atomicrmw add ptr {at["next"]}, i64 1 monotonic
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
  %pair = cmpxchg ptr {at["busy"]}, i64 0, i64 1 acquire monotonic
  %ours = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %ours, label %share, label %alone
share:
  store ptr %passes, ptr {at["passes"]}
  store ptr %table, ptr {at["table"]}
  store i64 %count, ptr {at["count"]}
  store atomic i64 0, ptr {at["next"]} monotonic, align 8
  store atomic i64 1, ptr {at["open"]} seq_cst, align 8
  call i64 @work(ptr %passes, ptr %table, i64 %count)
  store atomic i64 0, ptr {at["open"]} seq_cst, align 8
  br label %wait
wait:
  %times = phi i64 [ 0, %share ], [ %again, %relax ]
  %left = load atomic i64, ptr {at["inside"]} seq_cst, align 8
  %none = icmp eq i64 %left, 0
  br i1 %none, label %close, label %relax
relax:
  %again = add i64 %times, 1
  call void @relax(i64 %again)
  br label %wait
close:
  store atomic i64 0, ptr {at["busy"]} release, align 8
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
  %times = phi i64 [ 0, %entry ], [ %again, %relax ], [ %after, %leave ]
  %state = load atomic i64, ptr {at["open"]} acquire, align 8
  %is_open = icmp eq i64 %state, 1
  br i1 %is_open, label %enter, label %idle
enter:
  atomicrmw add ptr {at["inside"]}, i64 1 seq_cst
  %still = load atomic i64, ptr {at["open"]} seq_cst, align 8
  %is_still = icmp eq i64 %still, 1
  br i1 %is_still, label %help, label %leave
help:
  %passes = load ptr, ptr {at["passes"]}
  %table = load ptr, ptr {at["table"]}
  %count = load i64, ptr {at["count"]}
  %helped = call i64 @work(ptr %passes, ptr %table, i64 %count)
  br label %leave
leave:
  %parts = phi i64 [ 0, %enter ], [ %helped, %help ]
  atomicrmw sub ptr {at["inside"]}, i64 1 seq_cst
  %useless = icmp eq i64 %parts, 0
  %plus = add i64 %times, 1
  %after = select i1 %useless, i64 %plus, i64 0
  br label %look
idle:
  %again = add i64 %times, 1
  %enough = icmp ugt i64 %again, %patience
  br i1 %enough, label %end, label %relax
relax:
  call void @relax(i64 %again)
  br label %look
end:
  ret void
}}
"""


def prepare(kept: disk.Disk | None) -> str:
    """Have the code in memory, where native code finds it; returns the name that it is kept by."""
    return _prepared(None if kept is None else kept.folder)


@cache
def _prepared(folder: str | None) -> str:
    from autodiff.compiler.llvm import engine

    engine.announce(sharing.own_memory())
    loaded, _, key = engine.load(_text(), 2, None if folder is None else disk.Disk(folder))
    sharing.adopt({name: loaded.address(name) for name in (SHARE, HELP)}, loaded.life)
    engine.announce(sharing.adopted())
    return key
