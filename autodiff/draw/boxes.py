"""Boxes of a page: nested groups of bounded size, of which a reader opens what interests.

Groups are the calls of the tape's outline. Where one has too many members, repetitions are folded
and what is still long is cut into runs, so that a group fits on a screen however long the tape is.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from autodiff.draw.folding import fold
from autodiff.draw.outline import Block, Item, outline
from autodiff.tape.entries import Variable
from autodiff.tape.ir import Tape

__all__ = ["MAX_MEMBERS", "Group", "boxes", "phases"]

MAX_MEMBERS = 24
"""Members that a group may have before repetitions in it are folded, and runs cut."""

RUN = 16
"""About the number of members of a run."""


@dataclass(eq=False)
class Group:
    """A box that holds operations, inputs, outputs and other groups.

    Attributes
    ----------
    kind : "tape", "module", "function", "repeat", "block" (one of a repeat) or "run"
    phase : 0 forward; 1 the backward sweep; 2 a sweep through a sweep, and so on
    members : numbers of nodes (see `boxes`), and groups
    repeats : number of blocks in a "repeat", else 0
    """

    kind: str
    label: str
    phase: int = 0
    members: list[Member] = field(default_factory=list)
    repeats: int = 0


Member = int | Group


def phases(tape: Tape) -> list[int]:
    """For each entry, through how many backward sweeps it was recorded."""
    found: list[int] = []
    for entry in tape:
        pulled = entry.pulls
        outer = 0 if pulled is None or pulled.position < 0 else found[pulled.position]
        found.append(0 if pulled is None else outer + 1)
    return found


def boxes(tape: Tape, parameters: Collection[int] = ()) -> Group:
    """Group the nodes of a tape.

    Nodes are numbered: the inputs first, then the operations, then the outputs. A parameter is in
    the innermost group that holds all operations that read it in the forward computation, as a
    weight belongs with its layer; other inputs are in no group.

    Parameters
    ----------
    parameters : set of int
        Which inputs are parameters.

    Returns
    -------
    Group
        The outermost one.

    Examples
    --------
    >>> import autodiff as ad
    >>> boxes(ad.record(lambda x: x * x)(3.0)).members
    [0, 1, 2]
    """
    return _Builder(tape, parameters).root


class _Builder:
    def __init__(self, tape: Tape, parameters: Collection[int]) -> None:
        self.tape = tape
        self.parameters = parameters
        self.first = len(tape.inputs)
        self.outputs = self.first + len(tape)
        entry_phases = phases(tape)
        self.phases = [0] * self.first + entry_phases
        producers = {v: i for i, entry in enumerate(tape) for v in entry.outputs}
        for output in tape.outputs:
            made_by = producers.get(output) if isinstance(output, Variable) else None
            self.phases.append(0 if made_by is None else entry_phases[made_by])
        outlined = outline(tape)
        fold(outlined, tape)
        self.nodes = [self.first + entry.position for entry in outlined.entries]
        self.root = Group("tape", "")
        # The passes are no boxes: a layer's backward operations go next to its forward ones
        for item in outlined.root.items:
            passes = isinstance(item, Block) and item.kind in ("forward", "backward")
            items = item.items if isinstance(item, Block) and passes else [item]
            self.root.members += self._members(items)
        self.root.members += self._outputs()
        self._place_inputs()
        self._bound()

    def _members(self, items: Sequence[Item]) -> list[Member]:
        """Members of a group; repetitions stay folded where there would be too many else."""
        unfolded: list[Item] = []
        for item in items:
            if isinstance(item, Block) and item.kind == "repeat":
                unfolded += itertools.chain.from_iterable(item.periods)
            else:
                unfolded.append(item)
        if len(unfolded) <= MAX_MEMBERS:
            items = unfolded
        return [self._member(item) for item in items]

    def _member(self, item: Item) -> Member:
        if isinstance(item, int):
            return self.nodes[item]
        phase = self.phases[self.nodes[item.start]]
        if item.kind == "repeat":
            return self._repeat(item, phase)
        label = item.kind if item.scope is None else item.scope.label
        inner = item.items[0]
        if len(item.items) == 1 and isinstance(inner, int):
            primitive = self.tape[self.nodes[inner] - self.first].primitive
            if label in (primitive.name, primitive.label):
                # One operation of the same name: a group would only say it twice
                return self.nodes[inner]
        group = Group(item.kind, label, phase, self._members(item.items))
        held = group.members[0]
        # A call that does nothing but call another is drawn as one box
        if len(group.members) == 1 and isinstance(held, Group) and held.kind != "repeat":
            return Group(held.kind, f"{label} / {held.label}", phase, held.members)
        return group

    def _repeat(self, block: Block, phase: int) -> Group:
        blocks: list[Member] = []
        for number, period in enumerate(block.periods, 1):
            members = self._members(period)
            if len(members) > 1:
                blocks.append(Group("block", f"block {number}", phase, members))
            else:
                blocks += members
        groups = [member for member in blocks if isinstance(member, Group)]
        if len({group.label for group in groups}) == 1:
            # Calls of one function are told apart by their numbers
            for number, group in enumerate(groups, 1):
                group.label = f"{group.label} {number}"
        return Group("repeat", self._unit_name(block.items), phase, blocks, len(blocks))

    def _unit_name(self, items: Sequence[Item]) -> str:
        """What is repeated: a function or a class of modules, an operation, or a block of several.

        A block with calls in it is known by these: ``block of Linear, relu``.
        """
        names = []
        for item in items:
            if isinstance(item, int):
                names.append(self.tape[self.nodes[item] - self.first].primitive.name)
            elif item.scope is None:
                names.append(self._unit_name(item.items))
            else:
                names.append(item.scope.type or item.scope.name)
        if len(names) == 1:
            return names[0]
        calls = [
            name
            for item, name in zip(items, names, strict=True)
            if isinstance(item, Block) and item.scope is not None
        ]
        return f"block of {', '.join(dict.fromkeys(calls))}" if calls else "block"

    def _outputs(self) -> list[Member]:
        """Outputs, those of a phase in one group where they are many: a gradient of each weight."""
        members: list[Member] = []
        numbers = range(self.outputs, len(self.phases))
        for phase in sorted({self.phases[number] for number in numbers}):
            found: list[Member] = [n for n in numbers if self.phases[n] == phase]
            if len(found) > RUN:
                found = [Group("run", f"{len(found)} outputs", phase, found)]
            members += found
        return members

    # --- inputs -----------------------------------------------------------------------------------

    def _place_inputs(self) -> None:
        """Put every input before the first member of its group that reads it."""
        if not self.root.members:
            # Neither operations nor outputs: there are inputs alone
            self.root.members = list(range(len(self.tape.inputs)))
            return
        parents: dict[int, Group] = {}
        homes: dict[int, Group] = {}
        waiting = [self.root]
        while waiting:
            group = waiting.pop()
            for member in group.members:
                if isinstance(member, Group):
                    parents[id(member)] = group
                    waiting.append(member)
                else:
                    homes[member] = group
        readers: dict[Variable, list[int]] = {variable: [] for variable in self.tape.inputs}
        for position, entry in enumerate(self.tape, self.first):
            for operand in entry.inputs:
                if isinstance(operand, Variable) and operand in readers:
                    found = readers[operand]
                    if not found or self.phases[found[0]] == self.phases[position]:
                        found.append(position)
        arriving: dict[tuple[int, int], list[Member]] = {}
        for number, variable in enumerate(self.tape.inputs):
            paths = []
            for reader in readers[variable]:
                path: list[Member] = [reader, homes[reader]]
                while id(path[-1]) in parents:
                    path.append(parents[id(path[-1])])
                paths.append(path[::-1])
            home, before = self.root, self.root.members[0]
            for depth, level in enumerate(zip(*paths, strict=False)):
                before = level[0]
                apart = isinstance(before, int) or any(other is not before for other in level)
                if apart or (depth > 0 and number not in self.parameters):
                    break
                assert isinstance(before, Group)
                home = before
            arriving.setdefault((id(home), _identity(before)), []).append(number)
        waiting = [self.root]
        while waiting:
            group = waiting.pop()
            waiting += [member for member in group.members if isinstance(member, Group)]
            members: list[Member] = []
            for member in group.members:
                inputs = arriving.get((id(group), _identity(member)), [])
                if len(inputs) > RUN:
                    inputs = [Group("run", f"{len(inputs)} inputs", 0, inputs)]
                members += [*inputs, member]
            group.members = members

    # --- bounds -----------------------------------------------------------------------------------

    def _bound(self) -> None:
        """Cut what is longer than a screen."""
        waiting = [self.root]
        while waiting:
            group = waiting.pop()
            waiting += [member for member in group.members if isinstance(member, Group)]
            while len(group.members) > MAX_MEMBERS:
                runs = self._cut(group.members, mixed=False)
                if len(runs) == len(group.members):
                    runs = self._cut(group.members, mixed=True)
                group.members = runs

    def _cut(self, members: list[Member], mixed: bool) -> list[Member]:
        """Cut a list into runs of about `RUN` members, which may mix phases if `mixed`."""
        runs: list[Member] = []
        start = 0
        while start < len(members):
            phase = self._phase(members[start])
            stop = len(members) if mixed else start
            while stop < len(members) and self._phase(members[stop]) == phase:
                stop += 1
            count = -(-(stop - start) // RUN)
            bounds = [start + (stop - start) * i // count for i in range(count + 1)]
            for low, high in itertools.pairwise(bounds):
                piece = members[low:high]
                if len(piece) > 1:
                    runs.append(Group("run", self._run_label(piece), phase, piece))
                else:
                    runs += piece
            start = stop
        return runs

    def _phase(self, member: Member) -> int:
        return member.phase if isinstance(member, Group) else self.phases[member]

    def _run_label(self, piece: Sequence[Member]) -> str:
        """``operations 17 to 32``, ``block 1 to block 16``, ``12 outputs``."""
        groups = [member for member in piece if isinstance(member, Group)]
        if len(groups) > 1:
            first, last = groups[0].label, groups[-1].label
            # A run of runs is called by what it holds from first to last
            if len(groups) == len(piece) and all(group.kind == "run" for group in groups):
                return f"{first.rpartition(' to ')[0]} to {last.rpartition(' to ')[2]}"
            name, space, number = last.rpartition(" ")
            counted = bool(space) and number.isdigit() and first.rpartition(" ")[0] == name
            return f"{first} to {number if counted else last}"
        numbers = [n for member in piece for n in self._inside(member)]
        operations = [n - self.first + 1 for n in numbers if self.first <= n < self.outputs]
        if operations:
            return f"operations {operations[0]} to {operations[-1]}"
        return f"{len(numbers)} {'inputs' if numbers[0] < self.first else 'outputs'}"

    def _inside(self, member: Member) -> list[int]:
        """Nodes that a member holds, in their order."""
        if isinstance(member, int):
            return [member]
        return sorted(n for inner in member.members for n in self._inside(inner))


def _identity(member: Member) -> int:
    """A key for a member: below zero for groups, whose identities are no numbers of nodes."""
    return member if isinstance(member, int) else -1 - id(member)
