"""What a picture of a tape shows: nodes in groups, and edges, independent of how they look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from autodiff.tape.entries import Constant, Entry, Variable
from autodiff.tape.ir import Tape

__all__ = ["CLOSED", "Edge", "Group", "Node", "Scene"]

CLOSED = ("call", "run")
"""Roles of nodes that stand for several operations."""


@dataclass(eq=False, slots=True)
class Node:
    """A thing to draw.

    Attributes
    ----------
    role : "input", "parameter", "constant", "operation", "call", "run", "value" or "output"
        A ``call`` is a module or function shown as one box, a ``run`` several operations, a
        ``value`` what an operation computed.
    name : text to show; empty for an operation, whose primitive says it
    group : the group that holds it
    entries : operations that it shows
    operands : values that it shows; none for an operation
    count : number of operations inside, 1 for an operation
    times : number of equal blocks that it shows, those around it not counted
    """

    role: str
    name: str
    group: Group
    entries: list[Entry] = field(default_factory=list)
    operands: list[Variable | Constant] = field(default_factory=list)
    count: int = 1
    times: int = 1

    @property
    def repeats(self) -> int:
        """How many nodes a picture of the whole tape would have for it."""
        return self.times * self.group.repeats


@dataclass(eq=False, slots=True)
class Group:
    """A part of the picture with a frame around it.

    Attributes
    ----------
    kind : "tape", "forward", "backward", "module", "function" or "repeat"
    label : text of the frame
    count : number of equal blocks that it shows
    members : nodes and groups inside, in order
    entries : operations that it shows
    paths : paths of the modules that it shows, each within the module around it
    """

    kind: str
    label: str = ""
    parent: Group | None = None
    count: int = 1
    members: list[Node | Group] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def repeats(self) -> int:
        """How often a node inside would be drawn in a picture of the whole tape."""
        return self.count * (1 if self.parent is None else self.parent.repeats)

    def chain(self) -> Iterator[Group]:
        """Yield the group and all around it."""
        group: Group | None = self
        while group is not None:
            yield group
            group = group.parent


@dataclass(eq=False, slots=True)
class Edge:
    """A value on its way, or with ``kind`` "cotangent" a value and its cotangent.

    Attributes
    ----------
    source, target : Node
    port : which output of the source, None where that does not show
    slot : which input of the target, None where that does not show
    kind : "value", "carried" (to the next of repeated blocks) or "cotangent"
    operands : values that it shows
    uses : number of inputs that it shows
    differentiable : whether a derivative goes along
    saved : whether rules of reverse mode keep one of its values
    first, last : whether only the first of the target's repeated blocks takes it, or only the last
        of the source's gives it
    """

    source: Node
    target: Node
    port: int | None
    slot: int | None
    kind: str
    operands: list[Variable | Constant] = field(default_factory=list)
    uses: int = 0
    differentiable: bool = False
    saved: bool = False
    first: bool = False
    last: bool = False


@dataclass(eq=False, slots=True)
class Scene:
    """A picture to draw.

    Attributes
    ----------
    tape : Tape
    root : Group
    nodes : list of Node, in the order of the tape
    edges : list of Edge
    saved_bytes : what rules of reverse mode keep, in all
    """

    tape: Tape
    root: Group
    nodes: list[Node]
    edges: list[Edge]
    saved_bytes: int

    @property
    def operations(self) -> int:
        """Number of operations that the nodes show, folded blocks unfolded."""
        inside = {"operation", *CLOSED}
        return sum(n.count * n.repeats for n in self.nodes if n.role in inside)

    def groups(self) -> Iterator[Group]:
        """All groups but the whole, outer ones first."""
        pending: list[Node | Group] = list(reversed(self.root.members))
        while pending:
            member = pending.pop()
            if isinstance(member, Group):
                yield member
                pending += reversed(member.members)
