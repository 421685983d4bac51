"""What joins the values of many steps, where a loop has stacked them: stacks and sums by place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from autodiff.compiler.passes.loops import Loop
from autodiff.core.spec import Spec
from autodiff.ops.index import scatter
from autodiff.ops.shape import concatenate, reshape, stack, transpose
from autodiff.tape.entries import Entry

if TYPE_CHECKING:
    from autodiff.compiler.passes.rolling import Rolling

__all__ = ["joined"]

_LONG = 8
"""Operands from which an operation that joins them is looked at for rows of loops."""
_MOST = 6
"""Pieces that the operands may fall into."""


class _Piece(NamedTuple):
    """Operands next to each other: one by itself, or values of a loop at regular distances.

    Attributes
    ----------
    first, length : int
        Which operands.
    loop : Loop or None
    place, step, move : int
        As of a `Column`.
    """

    first: int
    length: int
    loop: Loop | None = None
    place: int = 0
    step: int = 0
    move: int = 0


def joined(rolling: Rolling, entry: Entry) -> tuple[int, ...] | None:
    """Slots of the results of an operation that joins rows of loops; None for any other."""
    if len(entry.inputs) < _LONG:
        return None
    if entry.primitive is stack or (entry.primitive is concatenate and not entry.params["axis"]):
        return _stacked(rolling, entry)
    if entry.primitive is scatter:
        return _scattered(rolling, entry)
    return None


def _pieces(rolling: Rolling, entry: Entry, templates: Sequence[Any] | None) -> list[_Piece] | None:
    """Operands in pieces; None where these are too many."""
    program = rolling.program
    pieces: list[_Piece] = []
    for i, operand in enumerate(entry.inputs):
        number = program.numbers[operand.slot]
        loop = None
        if number >= 0 and operand.slot not in program.read and program.loop_of[number] >= 0:
            loop = program.loops[program.loop_of[number]]
        if loop is None or program.place_of[number] not in loop.stacks:
            pieces.append(_Piece(i, 1))
        else:
            place, step = int(program.place_of[number]), int(program.step_of[number])
            last = pieces[-1] if pieces else None
            if (
                last is not None
                and last.loop is loop
                and last.place == place
                and (last.length == 1 or step == last.step + last.length * last.move)
                and step != last.step
                and (templates is None or _follows(templates, last, i))
                and entry.inputs[last.first].spec == operand.spec
            ):
                move = step - last.step if last.length == 1 else last.move
                pieces[-1] = last._replace(length=last.length + 1, move=move)
            else:
                pieces.append(_Piece(i, 1, loop, place, step))
        if len(pieces) > _MOST:
            return None
    return pieces


def _follows(templates: Sequence[Any], piece: _Piece, i: int) -> bool:
    """Whether the first place of an index moves on as it does within a piece, and nothing else."""
    first, second, own = (templates[j] for j in (piece.first, piece.first + 1, i))
    if piece.first == 0 or not (first and second and own):
        # What is written first is not added to anything, which tells for the sign of zeros
        return False
    if any(type(template[0]) is not int or template[0] < 0 for template in (first, second, own)):
        return False
    move = second[0] - first[0]
    if any(hasattr(part, "shape") for part in (*first, *own)):
        return False
    return (
        move != 0
        and own[0] == first[0] + (i - piece.first) * move
        and repr(own[1:]) == repr(first[1:])
    )


def _rows(rolling: Rolling, piece: _Piece, backwards: bool = False) -> int:
    """Slot of the values of a piece, stacked."""
    loop = piece.loop
    assert loop is not None
    move = -piece.move if loop.reverse else piece.move
    stacked = loop.stacks[piece.place]
    order = Loop(0, 0, piece.length, backwards)
    return rolling.rows(stacked, rolling.spec(stacked), (loop.row(piece.step),), (move,), order)


def _stacked(rolling: Rolling, entry: Entry) -> tuple[int, ...] | None:
    pieces = _pieces(rolling, entry, None)
    if pieces is None:
        return None
    rolling.begin(entry)
    out = entry.outputs[0].spec
    parts: list[int] = []
    lengths: list[int] = []
    joins = entry.primitive is stack
    for piece in pieces:
        spec = entry.inputs[piece.first].spec
        count = piece.length if joins else piece.length * spec.shape[0]
        shape = (count, *(spec.shape if joins else spec.shape[1:]))
        if piece.length == 1:
            slot = rolling.slot(entry.inputs[piece.first].slot)
            rolling.begin(entry)
        else:
            slot = _rows(rolling, piece)
        if rolling.spec(slot).shape != shape:
            params = {"shape": shape}
            slot = rolling.emit(reshape, (slot,), Spec(shape, spec.dtype), params)
        parts.append(slot)
        lengths.append(count)
    rest = rolling.spec(parts[0]).shape[1:]
    whole = Spec((sum(lengths), *rest), out.dtype)
    found = parts[0]
    if len(parts) > 1:
        found = rolling.emit(concatenate, parts, whole, {"axis": 0})
    axis = entry.params["axis"]
    if joins and axis:
        axes = (*range(1, axis + 1), 0, *range(axis + 1, len(whole.shape)))
        found = rolling.emit(transpose, (found,), out, {"axes": axes})
        # In C order, in which NumPy joins: what is added up later is added up in that
        flat = Spec((out.size,), out.dtype)
        found = rolling.emit(reshape, (found,), flat, {"shape": flat.shape})
        found = rolling.emit(reshape, (found,), out, {"shape": out.shape})
    return (found,) if rolling.spec(found) == out else None


def _scattered(rolling: Rolling, entry: Entry) -> tuple[int, ...] | None:
    entry = _by_rank(entry)
    templates = entry.params["templates"]
    pieces = _pieces(rolling, entry, templates)
    if pieces is None:
        return None
    rolling.begin(entry)
    parts: list[int] = []
    places: list[Any] = []
    for piece in pieces:
        template = templates[piece.first]
        if piece.length == 1:
            slot = rolling.slot(entry.inputs[piece.first].slot)
            rolling.begin(entry)
        else:
            first = template[0]
            move = templates[piece.first + 1][0] - first
            slot = _rows(rolling, piece, move < 0)
            last = first + move * (piece.length - 1)
            begin, end = min(first, last), max(first, last)
            template = (slice(begin, end + 1, abs(move)), *template[1:])
        parts.append(slot)
        places.append(template)
    params = {**entry.params, "templates": tuple(places)}
    return (rolling.emit(scatter, parts, entry.outputs[0].spec, params),)


def _by_rank(entry: Entry) -> Entry:
    """First what is first added at each place, then what is second, in the order that it is in.

    Where places are single elements, or equal, sums of different ones have nothing to do with each
    other.
    """
    templates = entry.params["templates"]
    if any(type(part) is not int or part < 0 for template in templates for part in template):
        return entry
    if len(set(map(len, templates))) > 1:
        return entry
    met: dict[Any, int] = {}
    ranks = []
    for template in templates:
        ranks.append(met.get(template, 0))
        met[template] = ranks[-1] + 1
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    params = {**entry.params, "templates": tuple([templates[i] for i in order])}
    return entry._replace(inputs=tuple([entry.inputs[i] for i in order]), params=params)
