"""How much of a tape its picture shows.

`compose` decides how much of a tape there is to see. A small one is shown whole. In a larger one
blocks that repeat are folded; if that is not enough, calls are shown as single boxes, from the
innermost outwards; and what is left of a program without calls and repetition is cut into runs of
operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from autodiff.draw.folding import fold as fold_outline
from autodiff.draw.outline import Block, Item, entries_of, outline
from autodiff.draw.roles import parameter_positions
from autodiff.draw.scene import CLOSED, Scene
from autodiff.draw.scene_builder import build_scene
from autodiff.tape.entries import Constant, Variable
from autodiff.tape.ir import Tape

__all__ = ["compose", "tape_size"]

FOLD_ABOVE = 60
"""Tapes of more nodes are folded where they repeat."""

LEGIBLE = 120
"""Pictures of more nodes show calls as boxes."""

_RUNS = (40, 28, 20, 12, 6)
_EDGES_PER_RUN = 3
_FEW = 8


def tape_size(tape: Tape) -> int:
    """Number of nodes in a picture of a tape that leaves nothing out."""
    operands: Iterable[Variable | Constant] = (o for entry in tape for o in entry.inputs)
    constants = sum(isinstance(o, Constant) for o in (*operands, *tape.outputs))
    return len(tape.inputs) + len(tape) + len(tape.outputs) + constants


def compose(
    tape: Tape,
    *,
    depth: int | None = None,
    fold: bool | None = None,
    values: bool = False,
    parameters: Sequence[str] | None = None,
) -> Scene:
    """Decide what a picture of a tape shows.

    Parameters
    ----------
    depth : int, optional
        Calls within this many calls are open, deeper ones are boxes. By default as deep as the
        picture stays legible.
    fold : bool, optional
        Whether repeated blocks are drawn once. By default only in large pictures.
    values : bool
        Whether values are nodes of their own.
    parameters : sequence of str, optional
        See `Tape.draw`.

    Examples
    --------
    >>> import autodiff as ad
    >>> scene = compose(ad.record(lambda x: x * 2)(3.0))
    >>> [node.role for node in scene.nodes]
    ['input', 'operation', 'constant', 'output']
    """
    if depth is not None and not isinstance(depth, (int, np.integer)):
        raise TypeError(
            f"depth is of type {type(depth).__name__}; it must be an integer of at least 0, or "
            "None to choose"
        )
    if depth is not None and depth < 0:
        raise ValueError(f"depth is {depth}; it must be at least 0, or None to choose")
    outlined = outline(tape)
    chosen = parameter_positions(tape, parameters)
    if fold or (fold is None and tape_size(tape) > FOLD_ABOVE):
        fold_outline(outlined, tape)
    saved = tape.saved()

    def build(depth: int | None) -> Scene:
        return build_scene(tape, outlined, chosen, saved, depth, values)

    if depth is not None or fold is False:
        return build(depth)
    return _legible_scene(outlined.root, build, values)


def _legible_scene(root: Block, build: Callable[[int | None], Scene], values: bool) -> Scene:
    """Build the scene that shows the most and is still legible."""
    scene, open_depth = build(None), None
    for shown in reversed(range(_deepest(root))):
        if _legible(scene, values):
            break
        tried = build(shown)
        if _operations_shown(tried) < _FEW < _operations_shown(scene):
            # Too little would be left: rather cut what is open into runs
            break
        scene, open_depth = tried, shown
    whole = list(_open_blocks(root, open_depth))
    for runs in _RUNS:
        if _legible(scene, values) and _few_edges(scene):
            break
        for block, items in whole:
            block.items = _in_runs(items, runs)
        scene = build(open_depth)
    return scene


def _open_blocks(block: Block, depth: int | None) -> Iterator[tuple[Block, list[Item]]]:
    """Blocks whose items show at a depth, with their items; not what is inside repeats."""
    yield block, block.items
    for item in block.items:
        if isinstance(item, Block) and item.kind != "repeat":
            if item.scope is None:
                yield from _open_blocks(item, depth)
            elif depth is None or depth > 0:
                yield from _open_blocks(item, None if depth is None else depth - 1)


def _operations_shown(scene: Scene) -> int:
    return sum(node.role in ("operation", *CLOSED) for node in scene.nodes)


def _legible(scene: Scene, values: bool) -> bool:
    return len(scene.nodes) <= LEGIBLE * (1 + values)


def _few_edges(scene: Scene) -> bool:
    """Whether runs of operations, if there are any, are not all connected with one another."""
    runs = sum(node.role == "run" for node in scene.nodes)
    return not runs or len(scene.edges) <= _EDGES_PER_RUN * len(scene.nodes)


def _deepest(block: Block) -> int:
    own = block.scope is not None
    return own + max((_deepest(i) for i in block.items if isinstance(i, Block)), default=0)


def _is_pass(item: Item) -> bool:
    return isinstance(item, Block) and item.kind in ("tape", "forward", "backward")


def _in_runs(items: Sequence[Item], pieces: int) -> list[Item]:
    """Cut items into runs of about equal length; passes stay as they are."""
    if len(items) <= pieces:
        return list(items)
    length = -(-len(items) // pieces)
    cut: list[Item] = []
    piece: list[Item] = []
    for item in [*items, None]:
        if item is None or _is_pass(item) or len(piece) == length:
            if len(piece) > 1:
                ranks = list(entries_of(piece))
                cut.append(Block("run", piece, ranks[0], ranks[-1] + 1))
            else:
                cut += piece
            piece = []
        if item is not None:
            if _is_pass(item):
                cut.append(item)
            else:
                piece.append(item)
    return cut
