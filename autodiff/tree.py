"""Containers: nested dicts, lists, tuples, named tuples, dataclasses, None and registered classes.

A thin layer over ``optree``. Dataclasses are registered when they are first met; classes of one's
own with `register`. None is a container without leaves.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import optree
from optree import PyTreeSpec

__all__ = [
    "LeafPath",
    "Parts",
    "PyTreeSpec",
    "flatten",
    "is_plain",
    "leaves",
    "map_leaves",
    "parts",
    "paths",
    "register",
    "spread",
    "unflatten",
]

_NAMESPACE = "autodiff"
_met: set[type] = set()
_registering = threading.Lock()
"""Types of leaves that have been looked at: dataclasses among them are registered by now."""


class Parts(NamedTuple):
    """What an object is made of that is its attributes and no more.

    Attributes
    ----------
    children : tuple of str
        Attributes that are children, in order.
    others : tuple of str or None
        Attributes that are part of its structure by their values, beside which it has none; None
        where others do not count.
    marks : tuple of str
        Attributes that are not among the instance's own, by whose values all this may change.

    Examples
    --------
    >>> Parts(("weight", "bias"), ("activation",)).others
    ('activation',)
    """

    children: tuple[str, ...]
    others: tuple[str, ...] | None = None
    marks: tuple[str, ...] = ()


_parts: dict[type, Callable[[Any], Parts | None]] = {}


def parts(value: Any) -> Parts | None:
    """Say what an instance of a container class is made of; None where it is more than attributes.

    Parameters
    ----------
    value : object

    Returns
    -------
    Parts or None

    Examples
    --------
    >>> from dataclasses import make_dataclass
    >>> pair = make_dataclass("Pair", ["left", "right"])(1.0, 2.0)
    >>> leaves(pair), parts(pair).children
    ([1.0, 2.0], ('left', 'right'))
    """
    found = _parts.get(type(value))
    return None if found is None else found(value)


def is_plain(spec: PyTreeSpec) -> bool:
    """Whether all containers are tuples, lists, dicts, None, or classes that say their `parts`.

    Parameters
    ----------
    spec : PyTreeSpec
        As `flatten` returns it.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_plain(flatten([1.0, {"a": (2.0, None)}])[1])
    True
    """
    waiting = [spec]
    while waiting:
        node = waiting.pop()
        if node.type not in _PLAIN and node.type not in _parts:
            return False
        waiting += node.children()
    return True


_PLAIN = frozenset({None, type(None), tuple, list, dict})


def register(
    cls: type,
    flatten_children: Callable[[Any], tuple[Sequence[Any], Any, Sequence[str]]],
    unflatten_children: Callable[[Any, Sequence[Any]], Any],
    parts_of: Callable[[Any], Parts | None] | None = None,
) -> None:
    """Make a class a container.

    Parameters
    ----------
    cls : type
    flatten_children : function of an instance
        Returns its children, what else describes it (hashable), and the children's names.
    unflatten_children : function of that description and the children
        Returns an instance.
    parts_of : function of an instance, optional
        For classes whose instances are their attributes and no more: see `parts`. Compiled
        functions recognise these in less time.

    Raises
    ------
    TypeError
        `cls` is no class, or one of the functions is none.
    ValueError
        `cls` is a container already.

    Examples
    --------
    >>> class Pair:
    ...     def __init__(self, left, right):
    ...         self.left, self.right = left, right
    >>> register(
    ...     Pair,
    ...     lambda pair: ((pair.left, pair.right), None, ("left", "right")),
    ...     lambda _, children: Pair(*children),
    ... )
    >>> leaves([Pair(1.0, 2.0), 3.0])
    [1.0, 2.0, 3.0]
    """
    optree.register_pytree_node(
        cls,
        flatten_children,
        cast(Any, unflatten_children),
        path_entry_type=optree.GetAttrEntry,
        namespace=_NAMESPACE,
    )
    if parts_of is not None:
        _parts[cls] = parts_of


def _register_dataclass(cls: type) -> None:
    """Treat a dataclass's fields as children, in order."""
    names = tuple(field.name for field in dataclasses.fields(cls))

    def unflatten_fields(_: Any, children: Sequence[Any]) -> Any:
        instance: Any = object.__new__(cls)
        for name, child in zip(names, children, strict=True):
            object.__setattr__(instance, name, child)
        return instance

    register(
        cls,
        lambda x: ([getattr(x, n) for n in names], None, names),
        unflatten_fields,
        lambda _: Parts(names),
    )


def flatten(tree: Any) -> tuple[list[Any], PyTreeSpec]:
    """Return the leaves of a container and its structure.

    Parameters
    ----------
    tree : container, or a leaf

    Returns
    -------
    leaves : list
        In order; dicts by sorted key where their keys can be sorted.
    spec : PyTreeSpec
        What `unflatten` needs to build the container again.

    Examples
    --------
    >>> flatten({"b": [1.0, None], "a": (2.0,)})[0]
    [2.0, 1.0]
    """
    while True:
        found, spec = optree.tree_flatten(tree, namespace=_NAMESPACE)
        # There are few types among many leaves, and hardly ever a new one.
        new = set(map(type, found)) - _met
        unknown = [cls for cls in new if dataclasses.is_dataclass(cls)]
        if new:
            with _registering:
                for cls in unknown:
                    if cls not in _met:
                        _register_dataclass(cls)
                # Only now may another thread take them for known.
                _met.update(new)
        if not unknown:
            return found, spec


def leaves(tree: Any) -> list[Any]:
    """Return the leaves of a container, in order.

    Parameters
    ----------
    tree : container, or a leaf

    Returns
    -------
    list

    Examples
    --------
    >>> leaves({"w": [1.0, 2.0], "b": None})
    [1.0, 2.0]
    """
    return flatten(tree)[0]


def unflatten(spec: PyTreeSpec, values: Sequence[Any]) -> Any:
    """Build a container of a known structure from its leaves.

    Parameters
    ----------
    spec : PyTreeSpec
        As `flatten` returns it.
    values : sequence
        One leaf for each of the structure's, in order.

    Returns
    -------
    container

    Raises
    ------
    ValueError
        There are more or fewer values than leaves.

    Examples
    --------
    >>> spec = flatten({"w": [1.0, 2.0]})[1]
    >>> unflatten(spec, [3.0, 4.0])
    {'w': [3.0, 4.0]}
    """
    return optree.tree_unflatten(spec, values)


def map_leaves(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Apply a function to corresponding leaves of containers of one structure.

    Parameters
    ----------
    function : callable
        Takes one leaf of each container.
    tree : container
    *rest : containers of the same structure

    Returns
    -------
    container of the same structure, of what the function returned

    Raises
    ------
    ValueError
        The structures differ.

    Examples
    --------
    >>> map_leaves(lambda x, y: x + y, {"a": 1, "b": [2]}, {"a": 10, "b": [20]})
    {'a': 11, 'b': [22]}
    """
    first, spec = flatten(tree)
    columns = [first]
    for other in rest:
        values, other_spec = flatten(other)
        if other_spec != spec:
            raise ValueError(f"containers differ in structure: {spec} and {other_spec}")
        columns.append(values)
    return unflatten(spec, [function(*row) for row in zip(*columns, strict=True)])


def spread(prefix: Any, spec: PyTreeSpec) -> list[Any]:
    """Return an entry of `prefix` for each leaf of a structure, of which it is the beginning.

    Parameters
    ----------
    prefix : container
        Has the structure of `spec` but may end early: an entry stands for all leaves below its
        place. None is an entry here. Lists, tuples and named tuples stand for one another.
    spec : structure, as `flatten` returns it

    Returns
    -------
    list

    Raises
    ------
    ValueError
        `prefix` is not the beginning of the structure.

    Examples
    --------
    >>> spread({"w": None, "b": [0, 1]}, flatten({"w": [1.0, 2.0], "b": [3.0, 4.0]})[1])
    [0, 1, None, None]
    """
    found: list[Any] = [None] * spec.num_leaves

    def spread_over(entry: Any, numbers: Any) -> None:
        for number in optree.tree_leaves(numbers, namespace=_NAMESPACE):
            found[number] = entry

    entries, own = optree.tree_flatten(prefix, none_is_leaf=True, namespace=_NAMESPACE)
    optree.tree_map_(
        spread_over,
        own.traverse(entries, _as_tuple),
        spec.traverse(range(spec.num_leaves), _as_tuple),
        none_is_leaf=True,
        namespace=_NAMESPACE,
    )
    return found


def _as_tuple(node: Any) -> Any:
    return tuple(node) if isinstance(node, (list, tuple)) else node


def paths(spec: PyTreeSpec, root: str) -> list[str]:
    """Write how each leaf is reached from a root, in the manner of ``params['w'][0]``.

    Parameters
    ----------
    spec : PyTreeSpec
        As `flatten` returns it.
    root : str
        What the container is called.

    Returns
    -------
    list of str
        One path for each leaf, in order.

    Examples
    --------
    >>> paths(flatten({"w": [1.0, 2.0]})[1], "params")
    ["params['w'][0]", "params['w'][1]"]
    """
    return [accessor.codify(root) for accessor in optree.treespec_accessors(spec)]


def shown(spec: PyTreeSpec) -> str:
    """Write a structure as Python writes the container, with a star for each leaf.

    Parameters
    ----------
    spec : PyTreeSpec

    Returns
    -------
    str

    Examples
    --------
    >>> shown(flatten(({"w": 1.0, "b": [2.0, 3.0]}, None))[1])
    "({'b': [*, *], 'w': *}, None)"
    """
    parts = [shown(child) for child in spec.children()]
    kind = spec.type
    if kind is None:
        return "*"
    if kind is type(None):
        return "None"
    if kind is tuple:
        return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    if kind is list:
        return f"[{', '.join(parts)}]"
    named = zip(spec.entries(), parts, strict=True)
    if kind is dict:
        return "{" + ", ".join(f"{key!r}: {part}" for key, part in named) + "}"
    return f"{kind.__name__}({', '.join(f'{key}={part}' for key, part in named)})"


class LeafPath:
    """How a leaf is reached, written out only when an error message needs it.

    Parameters
    ----------
    spec : PyTreeSpec
        Structure of the container.
    position : int
        Which of its leaves.
    root : str
        What the container is called.

    Examples
    --------
    >>> path = LeafPath(flatten({"w": [1.0, 2.0]})[1], 1, "params")
    >>> str(path)
    "params['w'][1]"
    """

    __slots__ = ("position", "root", "spec")

    def __init__(self, spec: PyTreeSpec, position: int, root: str) -> None:
        self.spec = spec
        self.position = position
        self.root = root

    def __str__(self) -> str:
        return paths(self.spec, self.root)[self.position]
