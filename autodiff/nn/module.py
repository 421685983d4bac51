"""Modules: objects whose attributes hold parameters, and which are trees of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

import autodiff as ad
from autodiff.core.arrays import as_array, has_memory, is_array
from autodiff.core.memory import freeze, writeable
from autodiff.nn.ties import Holder, Tie, tie, untied

__all__ = ["Module", "arrays", "named_leaves", "variables"]

T = TypeVar("T")

# Names of all attributes in order, of those that hold children, and the values of the others
_Description = tuple[tuple[str, ...], tuple[str, ...], tuple[Any, ...]]


class _Naming(type):
    """Name the parameters once an instance is complete."""

    def __call__(cls, *args: Any, **keywords: Any) -> Any:
        module = super().__call__(*args, **keywords)
        module.named_parameters()
        _refuse_hidden(module)
        return module


class Module(Holder, metaclass=_Naming):
    """Base class of networks and their layers.

    A subclass sets attributes in ``__init__`` and computes in ``__call__``. Parameters are
    `autodiff.Tensor` attributes; attributes may also be modules, and lists, tuples and dicts of
    parameters and modules. Everything else (sizes, flags, functions) is static: it must be
    hashable, and is part of the structure, not a leaf.

    A module is a tree like any container: ``ad.grad(loss)(model, x)`` returns a module of the same
    class that holds the gradients, and ``ad.tree.map_leaves`` maps over its parameters. What a
    transform gives for a Tensor is a Tensor, because transforms of variables are themselves
    recorded. `arrays` gives the same model with plain arrays as leaves, for which gradients are
    plain arrays and nothing else is recorded; `variables` goes back.

    Raises
    ------
    TypeError
        When a class is made: it has ``__slots__``, or a parameter that all instances would share.
        When an instance is made: a static attribute is not hashable (a list of numbers, for
        example) or has parameters where nobody looks for them, or a list holds parameters and
        other things. When an instance of a class without ``__call__`` is called.

    Notes
    -----
    A parameter that is reached by two paths is one parameter, and one leaf of the module as a tree:
    gradients, of ``backward`` and of transforms, are sums over both uses, optimisers update it
    once, and what is made of the module (`arrays`, a gradient, what `load` gives) has the same
    object in both places. Modules in a list or dict that is itself no module's attribute are
    apart; put them into a module to tie them.

    A constant array would be a leaf too, although it is no parameter; keep it in a function
    (``Sequential(lambda x: (x - mean) / scale, ...)``).

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff import nn
    >>> class Affine(nn.Module):
    ...     def __init__(self):
    ...         self.scale = ad.Tensor(2.0)
    ...         self.shift = ad.Tensor([0.0, 1.0])
    ...
    ...     def __call__(self, x):
    ...         return self.scale * x + self.shift
    >>> model = Affine()
    >>> np.sum(model(np.ones(2))).backward()
    >>> [(name, tensor.grad) for name, tensor in model.named_parameters()]
    [('scale', array(2.)), ('shift', array([1., 1.]))]
    >>> ad.grad(lambda model, x: np.sum(model(x)))(nn.arrays(model), np.ones(2)).shift
    array([1., 1.])
    >>> model
    Affine: 3 parameters
      scale float64[], shift float64[2]
    """

    __slots__ = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        _refuse_outside(cls)
        ad.tree.register(cls, _flatten_tied, functools.partial(_unflatten_tied, cls), _parts)

    def __call__(self, *inputs: Any) -> Any:
        """Compute the module's output; each subclass defines it."""
        raise TypeError(f"{type(self).__name__} does not define __call__(self, x)")

    def named_parameters(self) -> list[tuple[str, Any]]:
        """Parameters with their paths, such as ``layers[0].weight``; each parameter once.

        A parameter without a name, or named by a submodule, gets its path as its name.

        Returns
        -------
        list of (str, Tensor)
            For a module of plain arrays: of (str, ndarray).

        Raises
        ------
        TypeError
            An attribute that was set since the module was made is not allowed in one; see `Module`.

        Examples
        --------
        >>> from autodiff import nn
        >>> [(path, p.shape) for path, p in nn.MLP([3, 2]).named_parameters()]
        [('layers[0].weight', (3, 2)), ('layers[0].bias', (2,))]
        """
        found: dict[int, tuple[str, Any]] = {}
        for path, leaf in named_leaves(self):
            if id(leaf) in found:
                continue
            found[id(leaf)] = (path, leaf)
            if isinstance(leaf, ad.Tensor) and path.endswith(leaf.name or ""):
                leaf.name = path
        return list(found.values())

    def parameters(self) -> list[Any]:
        """Parameters in the order of `named_parameters`, each once.

        Returns
        -------
        list of Tensor
            For a module of plain arrays: of ndarray.

        Raises
        ------
        TypeError
            As `named_parameters`.

        Examples
        --------
        >>> from autodiff import nn
        >>> sum(p.size for p in nn.MLP([3, 2]).parameters())
        8
        """
        return [leaf for _, leaf in self.named_parameters()]

    def __scope_path__(self, module: Any) -> str | None:
        """Path of a module inside this one, for tapes, which say where operations come from."""
        return next((path for path, other in _modules(self, "") if other is module), None)

    def zero_grad(self) -> None:
        """Set the ``grad`` of every parameter to None.

        Raises
        ------
        TypeError
            As `named_parameters`.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff import nn
        >>> layer = nn.Linear(2, 1)
        >>> np.sum(layer(np.ones(2))).backward()
        >>> layer.bias.grad
        array([1.])
        >>> layer.zero_grad()
        >>> layer.bias.grad is None
        True
        """
        for parameter in self.parameters():
            if isinstance(parameter, ad.Tensor):
                parameter.grad = None

    def __repr__(self) -> str:
        count = sum(
            np.size(leaf) if not isinstance(leaf, ad.Tensor) else leaf.size
            for leaf in self.parameters()
        )
        lines = [f"{_head(self)}: {count:,} parameters"]
        for path, module in _modules(self, ""):
            own = ", ".join(f"{name} {_describe(leaf)}" for name, leaf in _own_leaves(module, ""))
            if path:
                lines.append(f"  {path}: {_head(module)}{'  ' if own else ''}{own}")
            elif own:
                lines.append(f"  {own}")
        return "\n".join(lines)


def _holds_parameters(value: Any, owner: Module, path: str) -> bool:
    """Whether an attribute's value is a child: a parameter, a module, or a container of them."""
    if isinstance(value, (ad.Tensor, Module, Tie)) or has_memory(value):
        return True
    if isinstance(value, dict):
        entries = [(f"[{key!r}]", entry) for key, entry in value.items()]
    elif isinstance(value, (list, tuple)):
        entries = [(f"[{i}]", entry) for i, entry in enumerate(value)]
    else:
        return False
    children = [_holds_parameters(entry, owner, path + key) for key, entry in entries]
    if any(children) and not all(children):
        key, entry = entries[children.index(False)]
        raise TypeError(
            f"{type(owner).__name__}: {path}{key} is a {type(entry).__name__} among parameters and "
            "modules; wrap a function in nn.Activation, keep anything else in an attribute of its "
            "own"
        )
    return any(children)


def _flatten(module: Module) -> tuple[list[Any], _Description, tuple[str, ...]]:
    """Children, static description, and the children's names."""
    attributes = vars(module)
    known = getattr(module, "_child_names", ())
    names = tuple(
        name
        for name, value in attributes.items()
        if name in known or _holds_parameters(value, module, name)
    )
    static = tuple(value for name, value in attributes.items() if name not in names)
    try:
        hash(static)
    except TypeError:
        name = next(n for n, v in attributes.items() if n not in names and not _hashable(v))
        raise TypeError(
            f"{type(module).__name__}.{name} is a {type(attributes[name]).__name__} without "
            "parameters, which is part of the module's structure and must be hashable; use a "
            "tuple or a frozen dataclass"
        ) from None
    return [attributes[name] for name in names], (tuple(attributes), names, static), names


def _unflatten(cls: type[Module], description: _Description, children: Any) -> Module:
    """Instance with other children; ``__init__`` does not run."""
    order, names, static = description
    module: Module = object.__new__(cls)
    attributes = vars(module)
    if static:
        values = dict(zip(names, children, strict=True))
        rest = iter(static)
        for name in order:
            attributes[name] = values[name] if name in values else next(rest)
    else:
        attributes.update(zip(order, children, strict=True))
    module._child_names = names
    return module


def _refuse_outside(cls: type[Module]) -> None:
    """Refuse a class whose parameters would not be attributes of its instances alone."""
    given = vars(cls).get("__slots__", ())
    slots = {*((given,) if isinstance(given, str) else given)} - {"__dict__", "__weakref__"}
    if slots:
        raise TypeError(
            f"{cls.__name__}: a module keeps its parameters in its attributes' dict, which "
            f"__slots__ ({', '.join(sorted(slots))}) take them out of; leave __slots__ out"
        )
    for name, value in vars(cls).items():
        if isinstance(value, (ad.Tensor, Module)):
            raise TypeError(
                f"{cls.__name__}.{name} is an attribute of the class, which is no parameter of its "
                "instances; set it in __init__"
            )


def _refuse_hidden(module: Module) -> None:
    """Refuse static attributes that have parameters inside: they would never be trained."""
    order, names, static = _flatten(module)[1]
    for name, value in zip((name for name in order if name not in names), static, strict=True):
        inside = value if isinstance(value, frozenset) else getattr(value, "__dict__", {}).values()
        if isinstance(value, functools.partial):
            inside = (*value.args, *value.keywords.values())
        if any(isinstance(entry, (ad.Tensor, Module)) for entry in inside):
            raise TypeError(
                f"{type(module).__name__}.{name} is a {type(value).__name__} with parameters "
                "inside, where they are not found; keep them in attributes, lists or dicts of a "
                "module"
            )


def _flatten_tied(module: Module) -> tuple[list[Any], Any, tuple[str, ...]]:
    """As `_flatten`; what is met a second time, in the module or below, is no child there."""
    apart, ties = untied(module)
    children, description, names = _flatten(apart)
    return children, (description, ties), names


def _parts(module: Module) -> ad.tree.Parts | None:
    """Attributes of a module; None where it has something twice."""
    apart, ties = untied(module)
    if apart is not module or ties:
        return None
    order, names, _ = _flatten(module)[1]
    others = tuple(name for name in order if name not in names)
    return ad.tree.Parts(names, others, ("_child_names", "_ties"))


def _unflatten_tied(cls: type[Module], description: Any, children: Any) -> Module:
    """As `_unflatten`, with the same object in all places of a tie."""
    own, ties = description
    module = _unflatten(cls, own, children)
    if ties:
        tie(module, ties)
    return module


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """Leaves of a container with their paths: ``layers[0].weight``, ``['w']``."""
    leaves, structure = ad.tree.flatten(tree)
    paths = [path.removeprefix(".") for path in ad.tree.paths(structure, "")]
    return list(zip(paths, leaves, strict=True))


def arrays(tree: T) -> T:
    """Return a container with read-only arrays in place of Tensors.

    Gradients of a function of it are plain arrays, and arrays that nobody can write to are not
    copied by transforms, so this is the form for functional training.

    Parameters
    ----------
    tree : module or other container
        Its Tensors become the arrays they hold, writable arrays are copied; other leaves stay.

    Returns
    -------
    container of the same structure

    Raises
    ------
    TypeError
        An attribute of a module is not allowed in one; see `Module`.

    Examples
    --------
    >>> from autodiff import nn
    >>> nn.arrays(nn.Linear(2, 1, init="zeros")).weight
    array([[0.],
           [0.]])
    """
    frozen: T = ad.tree.map_leaves(_frozen, tree)
    return frozen


def _frozen(leaf: Any) -> Any:
    if isinstance(leaf, ad.Tensor):
        return leaf.data
    return freeze(leaf.copy()) if has_memory(leaf) and writeable(leaf) else leaf


def variables(tree: T) -> T:
    """Return a container with new variables in place of arrays and numbers, named by their paths.

    The inverse of `arrays`. Integers and booleans, and what is not numeric, stay as they are.

    Parameters
    ----------
    tree : module or other container of arrays, numbers or Tensors

    Returns
    -------
    container of the same structure

    Raises
    ------
    TypeError
        A leaf has a dtype that a `Tensor` cannot have, such as ``np.longdouble``.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import nn
    >>> nn.variables({"w": np.array([1.0])})
    {'w': Tensor([1.], name="['w']")}
    """
    leaves, structure = ad.tree.flatten(tree)
    paths = [path.removeprefix(".") for path in ad.tree.paths(structure, "")]
    recorded: T = ad.tree.unflatten(
        structure, [_variable(leaf, path) for leaf, path in zip(leaves, paths, strict=True)]
    )
    return recorded


def _variable(leaf: Any, path: str) -> Any:
    if isinstance(leaf, ad.Tensor):
        return ad.Tensor(leaf, name=leaf.name or path or None)
    return ad.Tensor(leaf, name=path or None) if as_array(leaf).dtype.kind in "fc" else leaf


# --- text ---------------------------------------------------------------------------------------


def _describe(leaf: Any) -> str:
    if isinstance(leaf, ad.Tensor) or is_array(leaf):
        return f"{leaf.dtype.name}[{','.join(map(str, leaf.shape))}]"
    return repr(leaf)


def _head(module: Module) -> str:
    """Class and static attributes: ``Activation(tanh)``."""
    (order, names, static) = _flatten(module)[1]
    shown = zip((name for name in order if name not in names), static, strict=True)
    text = ", ".join(f"{n}={getattr(v, '__name__', None) or repr(v)}" for n, v in shown)
    return type(module).__name__ + (f"({text})" if text else "")


def _entries(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """What an attribute holds, with containers opened."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _entries(entry, f"{path}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for i, entry in enumerate(value):
            yield from _entries(entry, f"{path}[{i}]")
    else:
        yield path, value


def _children(module: Module, path: str) -> Iterator[tuple[str, Any]]:
    children, _, names = _flatten(module)
    for name, child in zip(names, children, strict=True):
        yield from _entries(child, f"{path}.{name}" if path else name)


def _own_leaves(module: Module, path: str) -> list[tuple[str, Any]]:
    return [(p, child) for p, child in _children(module, path) if not isinstance(child, Module)]


def _modules(module: Module, path: str) -> Iterator[tuple[str, Module]]:
    """The module and all below it, with their paths."""
    yield path, module
    for child_path, child in _children(module, path):
        if isinstance(child, Module):
            yield from _modules(child, child_path)
