"""What no elimination order can go below, read off the recorded nodes alone.

Planning an elimination makes a graph and the structures of its maps, and loads what it takes to do
so. A bound that is seen from the nodes, and that a sweep beats, saves all of that.

Two things are certain of every order. Each map on an edge is made once, and each vertex between
inputs and outputs goes with one product at least. And one dense map is not joined to the next for
nothing. Take a path of values of m elements each, the first one made by a dense map, those after it
by elementwise operations, the last one used by another dense map. When the last of these values
goes, whichever it is, a full matrix of m rows meets a full matrix of m columns. The former has a
column for each element of some value before the path, the latter a row for each element of some
value behind it: no fewer than the smallest of these have.
"""

from __future__ import annotations

from collections.abc import Sequence

from autodiff.core.rules import Pullback
from autodiff.interpret.graph import Node, Projection
from autodiff.transforms.jacobian.rates import Rates
from autodiff.transforms.jacobian.work import node_size, operation_cost

__all__ = ["fma_of_unit_products", "least_elimination_seconds"]


class _Zone:
    """Values that lie on paths between dense maps: those that one dense map's result leads to.

    Zones have no value in common, so that each has a last one of its own to be eliminated.

    Attributes
    ----------
    size, itemsize : int
        Of each value.
    before : int
        Elements of the smallest value that leads to the zone.
    behind : int
        Elements of the smallest value that follows from it by a dense map; 0 while there is none.
        Of several such maps the one that says most.
    is_long : bool
        Whether an elementwise operation lies between the two dense maps.
    """

    __slots__ = ("before", "behind", "is_long", "itemsize", "size")

    def __init__(self, node: Node, before: int) -> None:
        self.size = node_size(node)
        self.itemsize = node.spec.dtype.itemsize
        self.before = before
        self.behind = 0
        self.is_long = False

    def seconds(self, rates: Rates) -> float:
        """Least time of joining the dense maps on both sides, without the calls."""
        if not self.behind:
            return 0.0
        size, before, behind = self.size, self.before, self.behind
        moved = size * before + size * behind + before * behind
        if self.is_long:
            # One of the two takes up what the elementwise operation does: it is read and written
            moved += 2 * size * min(before, behind)
        fma = min(rates.dense, rates.diagonal, rates.opaque)
        return fma * before * size * behind + rates.byte * self.itemsize * moved


def least_elimination_seconds(
    nodes: Sequence[Node], outputs: Sequence[Node | None], rates: Rates
) -> float:
    """Seconds that every elimination order takes at least.

    Parameters
    ----------
    nodes : sequence of Node
        Behind the outputs, in the order of evaluation.
    outputs : sequence of Node or None
    rates : Rates
    """
    made = [(node, sources) for node in nodes if (sources := _sources(node))]
    ends = len({node for node in outputs if node is not None})
    products = max(len(made) - ends, 0)
    light = sum(_is_light(node) for node, _ in made)
    fixed = rates.graph.seconds(len(made), light, 0.0)
    fixed += min(rates.call, rates.opaque_call) * products
    return fixed + sum(zone.seconds(rates) for zone in _zones(nodes, made))


def fma_of_unit_products(outputs: Sequence[Node | None]) -> int:
    """Multiply-adds by which a sweep back multiplies unit vectors into full matrices.

    Where only elementwise operations lie between a full matrix and an output, the cotangents that
    reach it are a diagonal, and its rows need but be scaled.
    """
    total = 0
    for output in outputs:
        node = output
        while node is not None and _is_elementwise(node):
            before = [parent for parent in node.parents if isinstance(parent, Node)]
            node = before[0] if len(before) == 1 and before[0].form == node.form else None
        if node is None or node is output:
            continue
        size = node_size(node)
        total += sum([size * size * node_size(s) for s in _sources(node) if _is_dense(node, s)])
    return total


def _sources(node: Node) -> set[Node]:
    """Values that a value is computed from; none for inputs and for what stands for several."""
    pullback = node.pullback
    maker = node
    if isinstance(pullback, Projection):
        maker = node.parents[0]
    elif not isinstance(pullback, Pullback) or hasattr(node, "outputs"):
        return set()
    return {parent for parent in maker.parents if isinstance(parent, Node)}


def _is_light(node: Node) -> bool:
    maker = node.parents[0] if isinstance(node.pullback, Projection) else node
    return isinstance(maker.pullback, Pullback) and not maker.pullback.names


def _is_dense(node: Node, source: Node) -> bool:
    """Whether the map from the node's only source is a full matrix: its cost says so."""
    pullback = node.pullback
    if not isinstance(pullback, Pullback) or pullback.primitive.kind != "multilinear":
        return False
    return operation_cost(node, pullback) >= 2 * node_size(node) * node_size(source)


def _is_elementwise(node: Node) -> bool:
    pullback = node.pullback
    return isinstance(pullback, Pullback) and pullback.primitive.kind == "elementwise"


def _zones(nodes: Sequence[Node], made: Sequence[tuple[Node, set[Node]]]) -> list[_Zone]:
    """Zones between dense maps; a value of several sources goes with one of them."""
    before = {node: node_size(node) for node in nodes}
    zone_of: dict[Node, _Zone] = {}
    zones: list[_Zone] = []
    starts: set[Node] = set()
    leaving: list[tuple[Node, Node]] = []
    for node, sources in made:
        smallest = min(before[source] for source in sources)
        before[node] = min(before[node], smallest)
        only = next(iter(sources))
        if len(sources) == 1 and _is_dense(node, only):
            if only in zone_of:
                zone_of[only].behind = 1  # what it is follows below; here, that there is something
                leaving.append((only, node))
            zone_of[node] = _Zone(node, smallest)
            zones.append(zone_of[node])
            starts.add(node)
        elif _is_elementwise(node):
            joined = [
                zone_of[source]
                for source in sources
                if source in zone_of and source.form == node.form
            ]
            if joined:
                # A skip connection brings a zone that has its dense map along with one that has not
                zone_of[node] = min(joined, key=lambda zone: zone.behind)
    behind = _smallest_behind(nodes, made) if leaving else {}
    for source, target in leaving:
        zone = zone_of[source]
        if behind[target] >= zone.behind:
            zone.behind = behind[target]
            zone.is_long = source not in starts
    return zones


def _smallest_behind(
    nodes: Sequence[Node], made: Sequence[tuple[Node, set[Node]]]
) -> dict[Node, int]:
    """Elements of the smallest value that follows from each, itself included."""
    behind = {node: node_size(node) for node in nodes}
    for node, sources in reversed(made):
        for source in sources:
            behind[source] = min(behind[source], behind[node])
    return behind
