"""A program of kernels as one module: a function for each step, and one that runs them all."""

from __future__ import annotations

from collections.abc import Sequence

from autodiff.compiler.kernels import Buffer, Kernels, Loop, Nest, Product, Step
from autodiff.compiler.llvm import columns, parts, products, sharing, straight, tiles, work
from autodiff.compiler.llvm.alike import alike, content
from autodiff.compiler.llvm.loops import Memory, is_straight, write_nest, write_straight
from autodiff.compiler.llvm.spaces import may_fail, normalised
from autodiff.compiler.llvm.types import BOOL, I32, I64, integer, kind_of, pointer
from autodiff.compiler.llvm.writer import Function, Module, Value

__all__ = ["OWN", "RUN", "level", "straight_operations", "table_size", "write_program"]

RUN = "autodiff_run"
"""Name of the function that runs all steps: ``i32 run(ptr table)``."""


def table_size(kernels: Kernels) -> int:
    """Addresses in the table: inputs, constants, the workspace and outputs; `OWN` more follow."""
    return 1 + sum(buffer.role != "temporary" for buffer in kernels.buffers)


OWN = 2
"""Addresses that `run` writes: of its own memory, and of a byte that says whether a part failed."""

BODY = "autodiff_body"

ON_STACK = 32_768
"""Bytes between steps that lie on the stack; threads may have little of it."""

BYTE = integer(1)


class _ProgramWriter:
    """Writes the steps of a program."""

    def __init__(self, kernels: Kernels, module: Module) -> None:
        self.scratch = table_size(kernels)
        self.lent = kernels.workspace
        own = len(kernels.buffers)
        kernels = straight.chunked(parts.in_parts(columns.in_strips(kernels), own))
        self.kernels = kernels
        self.module = module
        inputs = len(kernels.with_role("input"))
        self.workspace = inputs + len(kernels.with_role("constant"))
        self.first = {"input": 0, "constant": inputs, "output": self.workspace + 1}
        self.in_part = False
        # By what steps do, whatever memory they work on: their function, and whether it may fail
        self.written: dict[object, tuple[str, bool]] = {}

    def write(self) -> None:
        """Write everything."""
        parameters = [(pointer, "table")]
        body = Function(self.module, BODY, "i32", parameters)
        self.steps(body, self.kernels.steps, ())
        body.finish(body.constant(I32, 0))
        run = Function(self.module, RUN, "i32", parameters, linkage="")
        table = run.parameters[0]
        more = self.kernels.workspace - self.lent
        own = None
        if more > ON_STACK:
            self.module.declare("malloc", "ptr", ["i64"])
            own = run.call(pointer, "malloc", [run.constant(I64, more)])
            missing = run.value(BOOL, f"icmp eq ptr {own.name}, null")
            run.line(f"br i1 {missing.name}, label %missing, label %there")
            run.label("missing")
            run.line("ret i32 2")
            run.label("there")
        if more:
            memory = run.array(BYTE, more) if own is None else own
            run.store(memory, run.element(pointer, table, run.constant(I64, self.scratch)))
        if any(isinstance(step, Loop) and _may_fail(step) for step in self.kernels.steps):
            place = run.constant(I64, self.scratch + 1)
            run.store(run.array(BYTE, 1), run.element(pointer, table, place))
        status = run.call(I32, BODY, [table])
        if own is not None:
            self.module.declare("free", "void", ["ptr"])
            run.line(f"call void @free(ptr {own.name})")
        run.finish(status)

    def steps(self, run: Function, steps: tuple[Step, ...], passes: tuple[Value, ...]) -> None:
        waiting: list[Nest] = []
        for step in steps:
            if isinstance(step, Nest) and straight.is_scalar(step):
                if sum(map(straight.length, [*waiting, step])) > straight.PIECE:
                    self.call(run, waiting, passes)
                    waiting = []
                waiting.append(step)
                continue
            self.call(run, waiting, passes)
            waiting = []
            if isinstance(step, Loop) and step.at_once:
                self.share(run, step)
                continue
            if isinstance(step, Loop):
                if step.count:
                    zero, count = run.constant(I64, 0), run.constant(I64, step.count)
                    with run.loop(zero, count) as index:
                        self.steps(run, step.steps, (*passes, index))
                continue
            self.call(run, [step], passes)
        self.call(run, waiting, passes)

    def share(self, run: Function, loop: Loop) -> None:
        """Run a loop whose passes threads may take; it is not one within another."""
        name = f"parts{run.fresh()}"
        table, index = (pointer, "table"), (I64, "index")
        fn = Function(self.module, name, "void", [table, index], "noinline nounwind")
        self.in_part = True
        self.steps(fn, loop.steps, (fn.parameters[1],))
        self.in_part = False
        fn.finish()
        if not _may_fail(loop):
            sharing.write_call(run, name, run.parameters[0], loop.count)
            return
        failed = self.address(run, run.parameters[0], self.scratch + 1)
        run.store(run.constant(BYTE, 0), failed)
        sharing.write_call(run, name, run.parameters[0], loop.count)
        self.check(run, run.load(BYTE, failed).differs(0))

    def call(self, run: Function, written: Sequence[Step], passes: tuple[Value, ...]) -> None:
        """Call the function of steps, which is written if no steps before were like them."""
        if not written:
            return
        steps, buffers, begins = alike(written, self.kernels.buffers)
        scalar = [s for s in steps if isinstance(s, Nest) and straight.is_scalar(s)]
        key: object = object()
        if sum(map(straight.length, scalar)) <= straight.PIECE // 2:
            key = (content(steps), tuple([b.dtype.char for b in buffers]), len(passes))
        # else what is alike among them is a loop already
        if key not in self.written:
            name = f"step{len(self.written)}"
            self.written[key] = name, self.function(name, steps, buffers, len(passes))
        name, fails = self.written[key]
        arguments = [*[self.begin(run, *begin) for begin in begins], *passes]
        if not fails:
            listed = ", ".join(f"{v.kind.name} {v.name}" for v in arguments)
            run.line(f"call void @{name}({listed})")
            return
        self.check(run, run.call(BOOL, name, arguments))

    def check(self, run: Function, wrong: Value) -> None:
        """Go no further where something failed."""
        number = run.fresh()
        run.line(f"br i1 {wrong.name}, label %fail{number}, label %well{number}")
        run.label(f"fail{number}")
        if self.in_part:
            # Others may say so at the same time
            failed = self.address(run, run.parameters[0], self.scratch + 1)
            run.line(f"store atomic i8 1, ptr {failed.name} monotonic, align 1")
            run.line("ret void")
        else:
            run.line("ret i32 1")
        run.label(f"well{number}")

    def function(
        self, name: str, steps: Sequence[Step], buffers: tuple[Buffer, ...], passes: int
    ) -> bool:
        """Write steps as a function of addresses; returns whether it says that one failed."""
        step = steps[0]
        written = list(steps)
        tiled = None
        if isinstance(step, Product) and not products.by_blas(step, buffers):
            tiled = tiles.as_tiles(step, buffers[step.out.buffer].dtype.itemsize)
            written = [] if tiled else products.as_nests(step, buffers)
        parameters = [(pointer, f"memory{k}") for k in range(len(buffers))]
        parameters += [(I64, f"pass{k}") for k in range(passes)]
        fails = any(isinstance(part, Nest) and may_fail(part) for part in written)
        result = BOOL.name if fails else "void"
        scalar = [part for part in written if isinstance(part, Nest) and straight.is_scalar(part)]
        long = sum(map(straight.length, scalar)) > straight.LONG
        attributes = f"noinline nounwind{' optnone' if long else ''}"
        fn = Function(self.module, name, result, parameters, attributes)
        outside = fn.slot(BOOL)
        fn.write(fn.constant(BOOL, False), outside)
        bases, indices = fn.parameters[: len(buffers)], fn.parameters[len(buffers) :]
        memory = Memory(fn, buffers, tuple(bases), tuple(indices), outside)
        fn.inlines = not straight.is_scalar(step)
        if tiled:
            tiles.write_tiles(memory, *tiled)
        for part in written:
            if isinstance(part, Nest) and straight.is_scalar(part) and _is_straight(part):
                for stage in part.stages:
                    write_straight(memory, stage)
            elif isinstance(part, Nest) and part.part:
                extent = (part.outer or part.stages[0].inner)[0]
                begin = indices[-1] * part.part
                end = fn.intrinsic("umin", begin + part.part, fn.constant(I64, extent))
                write_nest(memory, part, begin, end)
            elif isinstance(part, Nest):
                write_nest(memory, normalised(part))
            elif isinstance(part, Product):
                products.write_blas(memory, part)
        fn.finish(fn.read(BOOL, outside) if fails else None)
        return fails

    def begin(self, run: Function, number: int, offset: int) -> Value:
        """The address of an element of a buffer."""
        table = run.parameters[0]
        buffer = self.kernels.buffers[number]
        offset *= buffer.dtype.itemsize
        if buffer.role == "temporary":
            ours = buffer.place >= self.lent
            start = self.address(run, table, self.scratch if ours else self.workspace)
            offset += buffer.place - self.lent if ours else buffer.place
        else:
            start = self.address(run, table, self.first[buffer.role] + buffer.place)
        return run.value(pointer, f"getelementptr inbounds i8, ptr {start.name}, i64 {offset}")

    @staticmethod
    def address(fn: Function, table: Value, place: int) -> Value:
        where = fn.value(pointer, f"getelementptr inbounds ptr, ptr {table.name}, i64 {place}")
        return fn.value(pointer, f"load ptr, ptr {where.name}, align 8")


def _may_fail(loop: Loop) -> bool:
    """Whether passes that threads may take look at computed indices."""
    return loop.at_once and any(isinstance(step, Nest) and may_fail(step) for step in loop.steps)


def _is_straight(nest: Nest) -> bool:
    return all(map(is_straight, nest.stages))


def level(kernels: Kernels) -> int:
    """How much LLVM is to optimise: not at all what is long and mostly without loops, for its time.

    Loops that do little beside it take longer then, and less than what they are beside takes.
    """
    scalar = straight_operations(kernels)
    if scalar <= straight.LONG:
        return 2
    loops = work.of(kernels) - sum(map(work.of_step, _straight_nests(kernels)))
    return 0 if loops * _BESIDE <= scalar else 2


def straight_operations(kernels: Kernels) -> int:
    """How many operations a program does on numbers, outside of loops."""
    return sum(map(straight.length, _straight_nests(kernels)))


def _straight_nests(kernels: Kernels) -> list[Nest]:
    return [step for step in kernels.steps if isinstance(step, Nest) and straight.is_scalar(step)]


_BESIDE = 8
"""Scalar operations for each that a loop does, where loops count for little."""


def write_program(kernels: Kernels, module: Module) -> None:
    """Write the whole program into a module."""
    for buffer in kernels.buffers:
        if kind_of(buffer.dtype) is None:
            raise TypeError(f"there is no native code for elements of dtype {buffer.dtype}")
    _ProgramWriter(kernels, module).write()
