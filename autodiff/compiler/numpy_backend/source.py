"""Writing the program: lines as Python source, in functions of a length that compiles quickly."""

from __future__ import annotations

import re
from typing import NamedTuple

from autodiff.compiler.numpy_backend.blocks import Group, is_cut
from autodiff.compiler.numpy_backend.planner import Planner, compact
from autodiff.compiler.numpy_backend.threads import in_parts
from autodiff.compiler.numpy_backend.values import Line, Storage, Value
from autodiff.core.memory import LARGE

__all__ = ["Kernel", "Source", "write"]

CHUNK = 300
"""Lines of one function: compiling takes longer than in proportion to a function's length."""


_NO_OUT = re.compile(r", (out=)?None\)$")


class Kernel(NamedTuple):
    """What a line of the program does.

    Attributes
    ----------
    position : int
        Of the entry of the tape.
    primitive : str
    text : str
        The line.
    """

    position: int
    primitive: str
    text: str

    def __str__(self) -> str:
        return f"{self.text}  # {self.primitive}"


class Source(NamedTuple):
    """A program in Python.

    Attributes
    ----------
    text : str
        Defines ``program``.
    kernels : tuple of Kernel
    views : dict of str to Value
        Arrays in the workspace, by their names in the program.
    pools : dict of str to Storage
        Large results, whose memory is used again once the caller has let go of it.
    """

    text: str
    kernels: tuple[Kernel, ...]
    views: dict[str, Value]
    pools: dict[str, Storage]


class _Written(NamedTuple):
    text: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    position: int


class _Writer:
    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.views: dict[str, Value] = {}
        self.pools: dict[str, Storage] = {}
        self.written: list[_Written] = []
        self.notes: list[_Written] = []
        self.functions: list[str] = []
        self.made: set[Storage] = set()

    def named(self, value: Value) -> str:
        """Name of a value; one in the workspace is noted."""
        if value.storages and value.storages[0].kind == "static":
            self.views[value.name] = value
        return value.name

    def add(self, line: Line) -> None:
        result = line.result
        assert result is not None
        storage = result.storages[0] if result.storages else None
        if line.role == "view":
            assert storage is not None
            if storage.kind == "static":
                return
            self._prepare(storage, line)
        names = [self.named(value) for value in line.reads]
        reads = tuple(names)
        writes: tuple[str, ...] = ()
        if line.role in ("buffer", "effect"):
            assert storage is not None
            out = self.named(result)
            is_new = storage.kind == "fresh" and storage not in self.made
            if is_new and line.role == "buffer" and line.fills and storage.spec.nbytes < LARGE:
                self.made.add(storage)
                text = _NO_OUT.sub(")", line.text.format(*names, out="None"))
                self._emit(f"{out} = {text}", reads, (out,), line)
                return
            self._prepare(storage, line)
            reads = (*reads, out)
            self._emit(line.text.format(*names, out=out), reads, (), line)
            return
        targets = ", ".join(value.name for value in (result, *line.extra))
        writes = tuple(value.name for value in (result, *line.extra))
        text = line.text.format(*names)
        if text.startswith("*"):
            targets, text = (targets if line.extra else f"{targets},"), text[1:]
        self._emit(f"{targets} = {text}", reads, writes, line)

    def add_group(self, group: Group) -> None:
        """A function that runs lines block by block, and a call of it."""
        body: list[str] = []
        cut: dict[str, Value] = {}
        given: dict[str, None] = {}
        own = self.planner.lines[group.start : group.stop]

        def named(value: Value) -> str:
            name = self.named(value)
            if name not in self.views and not value.is_constant:
                given[name] = None
            if not is_cut(value, group.shape):
                return name
            cut[name] = value
            return f"{name}_p"

        inner = set(group.inner)
        for line in own:
            if line.role == "view":
                continue
            result = line.result
            assert result is not None
            storage = result.storages[0]
            self._prepare(storage, line)
            names = [named(value) for value in line.reads]
            body.append(line.text.format(*names, out=named(result)))
            self.notes.append(_Written(body[-1], (), (), line.position))
        count, rows = group.shape[0], group.rows
        parts = [
            f"{name}_p = {name}[{'own' if set(value.storages) & inner else 'rows'}]"
            for name, value in cut.items()
        ]
        name = f"group{len(self.functions)}"
        arguments = "".join(f", {each}" for each in given)
        lines = [
            f"def {name}(first, last, mine{arguments}):",
            f"    for start in range(first, last, {rows}):",
            f"        stop = min(start + {rows}, last)",
            "        rows, own = slice(start, stop), slice(mine, mine + stop - start)",
            *[f"        {text}" for text in (*parts, *body)],
            "",
        ]
        self.functions.append("\n".join(lines))
        call = f"{name}(0, {count}, 0{arguments})"
        if group.threads > 1:
            several = self.planner.bind(in_parts, "in_parts")
            call = f"{several}({name}, {count}, {rows}, {group.threads}{arguments})"
        self._write(call, tuple(given), (), own[0])

    def _prepare(self, storage: Storage, line: Line) -> None:
        """Make the memory of a result that is handed out, where it is not made yet."""
        if storage.kind == "fresh" and storage not in self.made:
            self.made.add(storage)
            self._emit(f"{storage.name} = {self._memory(storage)}", (), (storage.name,), line)

    def _memory(self, storage: Storage) -> str:
        spec = storage.spec
        if spec.nbytes >= LARGE:
            pool = f"pool_{storage.name}"
            self.pools[pool] = storage
            return f"take({pool})"
        if compact(storage.prototype):
            dtype = self.planner.bind(spec.dtype, spec.dtype.name)
            return f"empty({spec.shape}, {dtype})"
        return f"empty_like({self.planner.bind(storage.prototype, 'layout')})"

    def _emit(self, text: str, reads: tuple[str, ...], writes: tuple[str, ...], line: Line) -> None:
        self.notes.append(_Written(text, reads, writes, line.position))
        self._write(text, reads, writes, line)

    def _write(
        self, text: str, reads: tuple[str, ...], writes: tuple[str, ...], line: Line
    ) -> None:
        self.written.append(_Written(text, reads, writes, line.position))


def write(planner: Planner) -> Source:
    """Write the program of a planner.

    Parameters
    ----------
    planner : Planner

    Returns
    -------
    Source
    """
    writer = _Writer(planner)
    groups = {group.start: group for group in planner.groups}
    number = 0
    while number < len(planner.lines):
        group = groups.get(number)
        if group is None:
            writer.add(planner.lines[number])
            number += 1
        else:
            writer.add_group(group)
            number = group.stop
    results = [writer.named(value) for value in planner.results]
    entries = planner.tape.entries
    kernels = tuple(
        Kernel(
            each.position,
            entries[each.position].primitive.name if each.position < len(entries) else "return",
            each.text,
        )
        for each in writer.notes
    )
    written = _released(writer.written, planner, results)
    inputs = [f"x{i}" for i in range(len(planner.tape.inputs))]
    head = [
        line
        for name, v in zip(inputs, planner.tape.inputs, strict=True)
        if not v.spec.shape
        for line in (
            f"if type({name}) is not {planner.bind(v.spec.dtype.type, v.spec.dtype.name)}:",
            f"    {name} = number({name})",
        )
    ]
    places = bool(writer.views or writer.pools)
    text = "\n".join([*writer.functions, _functions(written, inputs, head, results, places)])
    return Source(text, kernels, writer.views, writer.pools)


def _released(written: list[_Written], planner: Planner, results: list[str]) -> list[_Written]:
    """Let go of large arrays, made by primitives' own functions, after their last use."""
    large = {
        storage.name
        for line in planner.lines
        for value in (line.result, *line.extra)
        if value is not None
        for storage in value.storages
        if storage.kind == "opaque" and storage.spec.nbytes >= LARGE
    }
    large.difference_update(results)
    if not large:
        return written
    last: dict[str, int] = {}
    for number, each in enumerate(written):
        for name in (*each.reads, *each.writes):
            if name in large:
                last[name] = number
    done: dict[int, list[str]] = {}
    for name, number in last.items():
        done.setdefault(number, []).append(name)
    released = []
    for number, each in enumerate(written):
        released.append(each)
        if number in done:
            names = done[number]
            text = " = ".join([*names, "None"])
            released.append(_Written(text, (), tuple(names), each.position))
    return released


def _functions(
    written: list[_Written],
    inputs: list[str],
    head: list[str],
    results: list[str],
    has_workspace: bool,
) -> str:
    if len(written) > CHUNK:
        chunks = [written[i : i + CHUNK] for i in range(0, len(written), CHUNK)]
        parts, body, results = _chunked(chunks, inputs, results)
    else:
        parts, body = [], [each.text for each in written]
    body = [*head, *body, f"return ({''.join(f'{name}, ' for name in results)})"]
    return "\n".join([*parts, *_entry(inputs, body, has_workspace), ""])


def _entry(inputs: list[str], body: list[str], has_workspace: bool) -> list[str]:
    """Function that has the workspace to itself while it runs, and explains errors."""
    given = ", ".join(inputs)
    waiting = ["    try:", "        idle.pop()", "    except IndexError:"]
    waiting += [f"        return other({given})"]
    return [
        f"def program({given}):",
        *(waiting if has_workspace else []),
        "    try:",
        *[f"        {line}" for line in body],
        "    except Exception:",
        f"        explain({given})",
        "        raise",
        *(["    finally:", "        idle.append(None)"] if has_workspace else []),
    ]


def _chunked(
    chunks: list[list[_Written]], inputs: list[str], results: list[str]
) -> tuple[list[str], list[str], list[str]]:
    """Functions that pass on what later ones need in a list."""
    local = {name for chunk in chunks for each in chunk for name in each.writes} | set(inputs)
    needed: dict[str, int] = {name: len(chunks) for name in results if name in local}
    for number in reversed(range(len(chunks))):
        for each in chunks[number]:
            for name in each.reads:
                if name in local:
                    needed.setdefault(name, number)
    places: dict[str, int] = {}
    texts: list[str] = []
    for name in inputs:
        if name in needed:
            places[name] = len(places)
    for number, chunk in enumerate(chunks):
        loads: dict[str, None] = {}
        made: dict[str, None] = {}
        for each in chunk:
            for name in each.reads:
                if name in local and name not in made:
                    loads[name] = None
            for name in each.writes:
                made[name] = None
        kept = [name for name in made if needed.get(name, -1) > number]
        for name in kept:
            places.setdefault(name, len(places))
        body = [f"    {name} = m[{places[name]}]" for name in loads]
        body += [f"    {each.text}" for each in chunk]
        body += [f"    m[{places[name]}] = {name}" for name in kept]
        texts.append("\n".join([f"def part{number}(m):", *body, ""]))
    body = [f"m = [None] * {len(places)}"]
    body += [f"m[{places[name]}] = {name}" for name in inputs if name in places]
    body += [f"part{number}(m)" for number in range(len(chunks))]
    returned = [f"m[{places[name]}]" if name in places else name for name in results]
    return texts, body, returned
