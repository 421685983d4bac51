"""From the outline of a tape to the scene of its picture: groups, nodes, and edges between them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from autodiff.core.spec import is_inexact
from autodiff.draw.outline import Block, Item, Outline
from autodiff.draw.roles import output_names
from autodiff.draw.scene import CLOSED, Edge, Group, Node, Scene
from autodiff.draw.texts import range_text
from autodiff.tape.entries import Constant, Entry, Variable
from autodiff.tape.ir import Tape
from autodiff.tape.values import saved_bytes

__all__ = ["build_scene"]

_MERGED = 4
"""From so many on, inputs and outputs of a closed box are one node."""

_Path = tuple[tuple[int, int], ...]
_Use = tuple[int, int]


def build_scene(
    tape: Tape,
    outlined: Outline,
    parameters: set[int],
    saved: dict[Variable | Constant, tuple[Entry, ...]],
    depth: int | None,
    values: bool,
) -> Scene:
    """Make the scene of an outline.

    Parameters
    ----------
    tape : Tape
    outlined : Outline
        Of the tape; blocks that repeat are folded in it, long stretches cut into runs.
    parameters : set of int
        Positions of the inputs that are parameters.
    saved : dict
        What the backward sweep keeps, as `Tape.saved` gives it.
    depth : int, optional
        Calls deeper than this are boxes.
    values : bool
        Whether values are nodes of their own.
    """
    return _Builder(tape, outlined, parameters, saved, depth, values).scene


class _Builder:
    """Makes the scene of an outline."""

    def __init__(
        self,
        tape: Tape,
        outlined: Outline,
        parameters: set[int],
        saved: dict[Variable | Constant, tuple[Entry, ...]],
        depth: int | None,
        values: bool,
    ) -> None:
        self.tape = tape
        self.outlined = outlined
        self.names = tape.names()
        self.depth = depth
        self.saved = saved
        self.root = Group("tape", entries=outlined.entries)
        size = len(outlined.entries)
        self.node_of: list[Node] = [None] * size  # type: ignore[list-item]  # all filled by `_place`
        # For each operation, the block that holds it, of each repeat around it
        self.path_of: list[_Path] = [()] * size
        self.nodes: list[Node] = []
        self.edges: dict[Hashable, Edge] = {}
        self.drawn: set[tuple[Hashable, Variable | Constant]] = set()
        self.counts: dict[int, int] = {}
        self.constants: dict[tuple[int, int], Node] = {}
        # What edges start from
        self.origins: dict[Variable, tuple[Node, int | None]] = {}
        self._place(outlined.root, self.root, 0)
        operations, self.nodes = self.nodes, []
        uses = self._uses()
        self._add_inputs(parameters, uses)
        for node in operations:
            self.nodes.append(node)
        for rank, entry in enumerate(outlined.entries):
            several = len(entry.outputs) > 1 and self.node_of[rank].role == "operation"
            for port, variable in enumerate(entry.outputs):
                self.origins[variable] = (self.node_of[rank], port if several else None)
        if values:
            self._add_values()
        for rank in range(size):
            self._add_edges(rank)
        self._add_outputs()
        self._add_cotangents()
        self.nodes = self._in_order()
        _sort(self.root, {id(node): i for i, node in enumerate(self.nodes)})
        total = sum(saved_bytes(saved).values())
        self.scene = Scene(tape, self.root, self.nodes, list(self.edges.values()), total)

    def _in_order(self) -> list[Node]:
        """Nodes as listed, but a constant right after the operation that uses it."""
        followers: dict[int, list[Node]] = {}
        for (target, _), constant in self.constants.items():
            followers.setdefault(target, []).append(constant)
        ordered: list[Node] = []
        for node in self.nodes:
            if node.role != "constant":
                ordered.append(node)
                ordered += followers.get(id(node), [])
        return ordered

    # --- operations and groups ---

    def _place(self, block: Block, group: Group, level: int) -> None:
        for item in block.items:
            self._place_item(item, group, level)

    def _place_item(self, item: Item, group: Group, level: int) -> None:
        if isinstance(item, int):
            entry = self.outlined.entries[item]
            self._stand_for([item], self._node("operation", "", group, [entry]))
            return
        entries = self.outlined.entries[item.start : item.stop]
        if item.kind == "repeat":
            self._place_repeat(item, group, level)
        elif item.kind == "run":
            node = self._node("run", "", group, entries, count=len(entries))
            self._stand_for(range(item.start, item.stop), node)
        elif self._is_one_operation(item):
            self._place(item, group, level)
        elif item.scope is not None and self.depth is not None and level >= self.depth:
            node = self._node("call", item.scope.label, group, entries, count=len(entries))
            self._stand_for(range(item.start, item.stop), node)
        else:
            label = item.kind if item.scope is None else item.scope.label
            inner = Group(item.kind, label, group, entries=entries, paths=_paths([item]))
            group.members.append(inner)
            self._place(item, inner, level + (item.scope is not None))

    def _is_one_operation(self, block: Block) -> bool:
        """Whether a call is one operation of the same name, which a frame would only say twice."""
        (first, *rest) = block.items
        if rest or not isinstance(first, int) or block.scope is None or block.scope.type:
            return False
        primitive = self.outlined.entries[first].primitive
        return block.scope.name in (primitive.name, primitive.label)

    def _place_repeat(self, repeat: Block, group: Group, level: int) -> None:
        """Place the first of the blocks, to represent them all."""
        count = len(repeat.periods)
        entries = self.outlined.entries[repeat.start : repeat.stop]
        calls = [items[0] for items in repeat.periods if len(items) == 1]
        first = repeat.items[0]
        if len(calls) == count and isinstance(first, Block) and first.scope is not None:
            labels = [c.scope.label for c in calls if isinstance(c, Block) and c.scope is not None]
            kind, label, inner_items = first.kind, range_text(labels), first.items
            deeper = level + 1
        else:
            kind, label, inner_items, deeper = "repeat", "", repeat.items, level
        width = (repeat.stop - repeat.start) // count
        if deeper > level and self.depth is not None and level >= self.depth:
            node = self._node("call", label, group, entries[:width], count=width)
            node.times = count
            self._stand_for(range(repeat.start, repeat.start + width), node)
        else:
            paths = _paths(calls) if kind == "module" else []
            inner = Group(kind, label, group, count, entries=entries, paths=paths)
            group.members.append(inner)
            for item in inner_items:
                self._place_item(item, inner, deeper)
            if kind == "repeat":
                self._name_members(inner, repeat)
        for offset in range(width):
            node, path = self.node_of[repeat.start + offset], self.path_of[repeat.start + offset]
            for j in range(count):
                rank = repeat.start + offset + j * width
                if j:
                    self.node_of[rank] = node
                    node.entries.append(self.outlined.entries[rank])
                self.path_of[rank] = ((id(repeat), j), *path)
        self.counts[id(repeat)] = count

    def _name_members(self, group: Group, repeat: Block) -> None:
        """Label the calls in a repeat of several items by what they are called in all blocks."""
        for position, item in enumerate(repeat.items):
            if not isinstance(item, Block) or item.scope is None:
                continue
            labels = [
                same.scope.label
                for same in (items[position] for items in repeat.periods)
                if isinstance(same, Block) and same.scope is not None
            ]
            member = group.members[position]
            if isinstance(member, Group):
                member.label = range_text(labels)
                member.paths = _paths([items[position] for items in repeat.periods])
            else:
                member.name = range_text(labels)

    def _node(
        self,
        role: str,
        name: str,
        group: Group,
        entries: Sequence[Entry] = (),
        operands: Sequence[Variable | Constant] = (),
        count: int = 1,
    ) -> Node:
        node = Node(role, name, group, list(entries), list(operands), count)
        group.members.append(node)
        self.nodes.append(node)
        return node

    def _stand_for(self, ranks: Iterable[int], node: Node) -> None:
        for rank in ranks:
            self.node_of[rank] = node

    # --- inputs, values, outputs ---

    def _uses(self) -> dict[Variable, list[_Use]]:
        """Operations that use each variable, as rank and place among the inputs."""
        uses: dict[Variable, list[_Use]] = {}
        for rank, entry in enumerate(self.outlined.entries):
            for slot, operand in enumerate(entry.inputs):
                if isinstance(operand, Variable):
                    uses.setdefault(operand, []).append((rank, slot))
        return uses

    def _add_inputs(self, parameters: set[int], uses: dict[Variable, list[_Use]]) -> None:
        """Add nodes of the inputs; one for those that folded blocks have each for itself."""
        stacks: dict[Hashable, list[Variable]] = {}
        roles: dict[Variable, str] = {}
        for position, variable in enumerate(self.tape.inputs):
            roles[variable] = "parameter" if position in parameters else "input"
            key: Hashable = id(variable)
            if uses.get(variable):
                rank, slot = uses[variable][0]
                node = self.node_of[rank]
                if node.role in CLOSED:
                    key = (roles[variable], id(node))
                elif node.repeats > 1:
                    key = (roles[variable], id(node), slot, variable.spec)
            stacks.setdefault(key, []).append(variable)
        for key, variables in list(stacks.items()):
            closed = isinstance(key, tuple) and len(key) == 2
            if closed and len(variables) < _MERGED:
                del stacks[key]
                stacks.update((id(variable), [variable]) for variable in variables)
        position_of = {variable: i for i, variable in enumerate(self.tape.inputs)}
        for variables in sorted(stacks.values(), key=lambda found: position_of[found[0]]):
            role = roles[variables[0]]
            names = [self.names[variable] for variable in variables]
            group = self._home(role, variables, uses)
            name = _within(group, names) or _joint(names, role)
            node = self._node(role, name, group, operands=variables)
            self.origins.update((variable, (node, None)) for variable in variables)

    def _home(
        self, role: str, variables: Sequence[Variable], uses: dict[Variable, list[_Use]]
    ) -> Group:
        """Group of an input: that of the module whose parameter it is, else the whole."""
        ranks = [rank for variable in variables for rank, _ in uses.get(variable, [])]
        forward = [r for r in ranks if self.outlined.entries[r].pulls is None]
        if role != "parameter" or not forward:
            return self.root
        common = list(self.node_of[forward[0]].group.chain())
        for rank in forward[1:]:
            around = set(self.node_of[rank].group.chain())
            common = [group for group in common if group in around]
        for group in common:
            if group.kind == "module" and group.repeats in (1, len(variables)):
                return group
        return self.root

    def _add_values(self) -> None:
        """Make every value a node between the operation that computes it and those that use it."""
        made: dict[tuple[int, int], Node] = {}
        outputs = dict(
            zip(reversed(self.tape.outputs), reversed(output_names(self.tape)), strict=True)
        )
        for rank, entry in enumerate(self.outlined.entries):
            source = self.node_of[rank]
            if source.role != "operation":
                continue
            for port, variable in enumerate(entry.outputs):
                value = made.get((id(source), port))
                if value is None:
                    name = self.names[variable] if variable.name else outputs.get(variable, "")
                    value = self._node("value", name, source.group)
                    made[id(source), port] = value
                value.operands.append(variable)
                origin = self.origins[variable]
                self._edge(origin, value, None, "value", variable, differentiable=True)
                self.origins[variable] = (value, None)

    def _add_outputs(self) -> None:
        stacks: dict[Hashable, list[int]] = {}
        for position, output in enumerate(self.tape.outputs):
            key: Hashable = position
            if isinstance(output, Variable):
                node, port = self.origins[output]
                if node.role == "value" and len(node.operands) == 1:
                    continue
                if node.role in CLOSED or node.repeats > 1:
                    key = (id(node), port)
            stacks.setdefault(key, []).append(position)
        names = output_names(self.tape)
        for key, positions in list(stacks.items()):
            node_is_closed = isinstance(key, tuple) and len(positions) < _MERGED
            if node_is_closed and self._is_closed(self.tape.outputs[positions[0]]):
                del stacks[key]
                stacks.update((position, [position]) for position in positions)
        for positions in sorted(stacks.values()):
            outputs = [self.tape.outputs[position] for position in positions]
            name = _joint([names[position] for position in positions], "output")
            node = self._node("output", name, self._pass_of(outputs), operands=outputs)
            for output in outputs:
                if isinstance(output, Variable):
                    ends = (False, self._passage(output, None)[2])
                    self._edge(self.origins[output], node, None, "value", output, True, ends)
                else:
                    source = self._constant(node, 0, output)
                    self._edge((source, None), node, None, "value", output, True)

    def _pass_of(self, outputs: Sequence[Variable | Constant]) -> Group:
        """The pass that computes outputs, whose frame holds them; the whole where there is none."""
        makers = {
            id(group): group
            for output in outputs
            for group in (
                self.origins[output][0].group if isinstance(output, Variable) else self.root
            ).chain()
            if group.kind in ("forward", "backward")
        }
        return next(iter(makers.values())) if len(makers) == 1 else self.root

    def _is_closed(self, output: Variable | Constant) -> bool:
        return isinstance(output, Variable) and self.origins[output][0].role in CLOSED

    # --- edges ---

    def _add_edges(self, rank: int) -> None:
        """Edges to an operation."""
        entry = self.outlined.entries[rank]
        target = self.node_of[rank]
        closed = target.role in CLOSED
        constant = entry.primitive.constant
        for slot, operand in enumerate(entry.inputs):
            differentiable = entry.primitive.input_name(slot) not in constant
            shown = None if closed else slot
            if isinstance(operand, Constant):
                if not closed:
                    node = self._constant(target, slot, operand)
                    ends = (_at_first(self.path_of[rank]), False)
                    self._edge((node, None), target, shown, "value", operand, False, ends)
                continue
            kind, first, last = self._passage(operand, rank)
            if self.origins[operand][0] is not target or kind == "carried":
                origin, ends = self.origins[operand], (first, last)
                self._edge(origin, target, shown, kind, operand, differentiable, ends)

    def _passage(self, operand: Variable, consumer: int | None) -> tuple[str, bool, bool]:
        """Kind of an edge, and whether it leads to the first block and comes from the last."""
        producer = self.outlined.producers.get(operand)
        source = () if producer is None else self.path_of[producer[0]]
        target = () if consumer is None else self.path_of[consumer]
        shared = 0
        for (repeat, block), (other, other_block) in zip(source, target, strict=False):
            if repeat != other:
                break
            if block != other_block:
                return "carried", False, False
            shared += 1
        inner, outer = source[shared:], target[shared:]
        first = _at_first(outer)
        last = bool(inner) and all(block == self.counts[repeat] - 1 for repeat, block in inner)
        return "value", first, last

    def _constant(self, target: Node, slot: int, operand: Constant) -> Node:
        """Node of a constant; folded blocks share one."""
        key = (id(target), slot)
        node = self.constants.get(key)
        if node is None:
            node = self.constants[key] = self._node("constant", "", target.group)
        node.operands.append(operand)
        return node

    def _edge(
        self,
        origin: tuple[Node, int | None],
        target: Node,
        slot: int | None,
        kind: str,
        operand: Variable | Constant,
        differentiable: bool,
        ends: tuple[bool, bool] = (False, False),
    ) -> None:
        source, port = origin
        key: Hashable = (id(source), port, id(target), slot, kind)
        edge = self.edges.get(key)
        if edge is None:
            edge = self.edges[key] = Edge(source, target, port, slot, kind)
            edge.first, edge.last = ends
        edge.uses += 1
        edge.first &= ends[0]
        edge.last &= ends[1]
        if (key, operand) not in self.drawn:
            self.drawn.add((key, operand))
            edge.operands.append(operand)
        inexact = is_inexact(operand.spec.dtype)
        variable = isinstance(operand, Variable)
        edge.differentiable |= differentiable and inexact and variable
        edge.saved |= operand in self.saved

    def _add_cotangents(self) -> None:
        """Connect what is computed with the cotangent of it; of folded blocks, of most of them."""
        pairs: dict[int, dict[int, Edge]] = {}
        for variable, cotangent in self.tape.cotangents.items():
            if variable not in self.origins or cotangent not in self.origins:
                continue
            source, target = self.origins[variable][0], self.origins[cotangent][0]
            if source is target or source.role in CLOSED or target.role in CLOSED:
                continue
            edges = pairs.setdefault(id(source), {})
            edge = edges.setdefault(id(target), Edge(source, target, None, None, "cotangent"))
            edge.operands += (variable, cotangent)
            edge.uses += 1
        for position, edges in enumerate(pairs.values()):
            most = max(edges.values(), key=lambda edge: edge.uses)
            self.edges["cotangent", position] = most


def _at_first(path: _Path) -> bool:
    """Whether something is in the first block of each repeat around it."""
    return bool(path) and not any(block for _, block in path)


def _paths(calls: Sequence[Item]) -> list[str]:
    """Paths of modules within the module around them; of an outermost one it is not known."""
    scopes = [call.scope for call in calls if isinstance(call, Block) and call.scope is not None]
    return [s.name for s in scopes if s.kind == "module" and s.name != s.type]


def _within(group: Group, names: Sequence[str]) -> str:
    """What a module calls its parameter, where the names show it: ``weight``."""
    for path in group.paths[:1]:
        _, found, rest = names[0].rpartition(f"{path}.")
        if found and all(name.endswith(f".{rest}") for name in names):
            return rest
    return ""


def _joint(names: Sequence[str], role: str) -> str:
    """One name for several inputs or outputs; their number where they have nothing in common."""
    text = range_text(names)
    return f"{len(names):,} {role}s" if " … " in text else text


def _sort(group: Group, order: dict[int, int]) -> int:
    """Bring the members of a group in order; returns that of the first node inside."""
    places = [
        _sort(member, order) if isinstance(member, Group) else order[id(member)]
        for member in group.members
    ]
    ranked = sorted(zip(places, range(len(places)), strict=True))
    group.members = [group.members[position] for _, position in ranked]
    return ranked[0][0] if ranked else len(order)
