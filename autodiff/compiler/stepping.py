"""Programs on arrays of other libraries: the operations of a tape as lines of Python.

Each line calls one function of NumPy's, which the library answers by NumPy's protocols; a value is
let go of after the line that is the last to need it. No memory is planned ahead, as nobody knows
whose it is. A backend of one library puts lines of its own in the place of several operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from autodiff.core.arrays import copied
from autodiff.core.memory import owned
from autodiff.core.primitive import Primitive
from autodiff.errors import TapeError
from autodiff.tape.entries import Constant, Entry
from autodiff.tape.ir import Tape

__all__ = ["Line", "SteppedRunner", "call_of", "stepped", "written"]


class Line(NamedTuple):
    """One line of a program.

    Attributes
    ----------
    outputs, inputs : tuple of int
        Slots that it computes and reads.
    function : callable
        Takes the inputs; gives the output, or a tuple of several.
    title : str
        What a reader is told that it does.
    keywords : dict
    fresh : bool
        Whether nobody else sees the memory of what it gives.
    source : str
        Code in another language, of what it calls.
    """

    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    function: Callable[..., Any]
    title: str
    keywords: Mapping[str, Any] = {}
    fresh: bool = False
    source: str = ""

    def __str__(self) -> str:
        return self.title


@dataclass(eq=False)
class SteppedRunner:
    """A program of lines: takes one value for each input, gives a tuple of fresh outputs.

    Attributes
    ----------
    tape : Tape
    backend : str
    program : callable
    source : str
        The program in Python, then what its lines are in another language.
    kernels : tuple of Line
    """

    tape: Tape
    backend: str
    program: Callable[..., tuple[Any, ...]]
    source: str
    kernels: tuple[Line, ...] = field(default=())

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Run the program."""
        return self.program(*values)


def call_of(entry: Entry) -> Line:
    """Line that calls an operation as NumPy has it."""
    primitive = entry.primitive
    function = primitive.forward if type(primitive) is Primitive else primitive.call
    return Line(
        tuple([variable.slot for variable in entry.outputs]),
        tuple([operand.slot for operand in entry.inputs]),
        function,
        primitive.name,
        entry.params,
        fresh=False,
    )


def stepped(tape: Tape) -> SteppedRunner:
    """Runner of a flat tape on arrays of another library, operation by operation.

    Parameters
    ----------
    tape : Tape

    Returns
    -------
    SteppedRunner

    Raises
    ------
    TapeError
        The tape needs a constant of which it only has the shape.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> x = np.ones(3)
    >>> runner = stepped(ad.record(lambda x: np.sum(np.tanh(x) * x))(x))
    >>> runner(np.zeros(3))
    (np.float64(0.0),)
    >>> print(runner.source)
    def program(v0):
        v1 = tanh(v0)
        v2 = multiply(v1, v0)
        del v1
        v3 = sum(v2, **k0)
        del v2
        given = set()
        return (own(v3, given),)
    <BLANKLINE>
    """
    return written(tape, [call_of(entry) for entry in tape.entries], "numpy")


def written(
    tape: Tape, lines: Sequence[Line], backend: str, moved: Mapping[int, Any] | None = None
) -> SteppedRunner:
    """Write lines down as a function, and make it.

    Parameters
    ----------
    tape : Tape
    lines : sequence of Line
    backend : str
    moved : mapping
        Other values for constants, by slot.
    """
    space: dict[str, Any] = {"own": owned, "copied": copied}
    computed = {slot for line in lines for slot in line.outputs}
    outputs = [output.slot for output in tape.outputs]
    read = {slot for line in lines for slot in line.inputs} | set(outputs)
    for operand in tape.slots:
        if isinstance(operand, Constant) and operand.slot in read:
            if not operand.known:
                raise TapeError(f"tape: a constant {operand.spec} has no value, only a shape")
            space[f"v{operand.slot}"] = (moved or {}).get(operand.slot, operand.value)
    last: dict[int, int] = {}
    for number, line in enumerate(lines):
        for slot in (*line.inputs, *line.outputs):
            last[slot] = number
    names: dict[Any, str] = {}
    counted = 0
    text = [f"def program({', '.join(f'v{variable.slot}' for variable in tape.inputs)}):"]
    for number, line in enumerate(lines):
        name = _named(line.function, line.title, names, space)
        given = [f"v{slot}" for slot in line.inputs]
        if line.keywords:
            keyword = f"k{counted}"
            counted += 1
            space[keyword] = dict(line.keywords)
            given.append(f"**{keyword}")
        targets = ", ".join(f"v{slot}" for slot in line.outputs)
        text.append(f"    {targets} = {name}({', '.join(given)})")
        dead = [
            f"v{slot}"
            for slot in dict.fromkeys((*line.inputs, *line.outputs))
            if slot in computed and last[slot] == number and slot not in outputs
        ]
        if dead:
            text.append(f"    del {', '.join(dead)}")
    fresh = {slot for line in lines if line.fresh for slot in line.outputs}
    results = []
    for position, slot in enumerate(outputs):
        if slot in fresh and slot not in outputs[:position]:
            results.append(f"v{slot}, ")
        elif slot in computed and slot not in outputs[:position]:
            results.append(f"own(v{slot}, given), ")
        else:
            results.append(f"copied(v{slot}), ")
    if any("given" in result for result in results):
        text.append("    given = set()")
    text.append(f"    return ({''.join(results).strip()})" if results else "    return ()")
    source = "\n".join(text) + "\n"
    exec(compile(source, "<autodiff program>", "exec"), space)
    codes = dict.fromkeys(line.source for line in lines if line.source)
    return SteppedRunner(tape, backend, space["program"], "\n".join([source, *codes]), tuple(lines))


def _named(
    function: Callable[..., Any], title: str, names: dict[Any, str], space: dict[str, Any]
) -> str:
    """Name of a function in the text: what it does, as far as that is a name."""
    known = names.get(id(function))
    if known is None:
        stem = "".join(c if c.isalnum() else "_" for c in title.split(" ")[0]) or "call"
        known = stem if stem.isidentifier() and stem not in space else f"{stem}_{len(space)}"
        names[id(function)] = known
        space[known] = function
    return known
