"""Every public callable says what it takes, what it gives, what it raises, and shows an example.

The docstrings are NumPy-style. Public is what the ``__all__`` of a public module names, with the
public methods of its classes. These are exempt, by rule:

- what NumPy documents: methods of Tensor that an ndarray has too;
- what another library defines and this one hands on;
- an override, where the method it overrides is documented and has the same parameters.
"""

import ast
import builtins
import dataclasses
import functools
import importlib
import inspect
import re
import textwrap
import types

import numpy as np
import pytest

import autodiff as ad
from autodiff import errors
from autodiff.tape.drawable import Drawable
from autodiff.tape.readers import Readable
from autodiff.tape.rewriters import Rewritable

TAPE_METHODS = (Drawable, Readable, Rewritable)
"""Bases that are there for the tape alone: their methods count as its own."""

MODULES = {
    "ad": "autodiff",
    "nn": "autodiff.nn",
    "optim": "autodiff.optim",
    "data": "autodiff.data",
    "interop": "autodiff.interop",
    "parallel": "autodiff.parallel",
    "tree": "autodiff.tree",
    "ordering": "autodiff.ordering",
    "structure": "autodiff.structure",
    "flow": "autodiff.flow",
    "draw": "autodiff.draw",
}

CANNOT_RAISE = {
    **dict.fromkeys(
        ["tree.flatten", "tree.leaves"],
        "anything is a container or a leaf; only a registered class's own function may fail",
    ),
    **dict.fromkeys(["tree.paths", "tree.LeafPath"], "every structure has paths"),
    "tree.is_plain": "every structure is plain or not",
    "tree.parts": "anything may be asked; only a registered class's own function may fail",
    "ad.Tape.cost": "costs are declared, and a tape's shapes were checked when it was made",
    "ad.Tape.names": "every value has a name or gets a letter",
    "ad.Tape.summary": "as `Tape.cost`",
    "ad.Tape.saved": "rules were compiled or refused when the primitives were declared",
    "ad.Tape.pruned": "what is left out is needed by nothing",
    "ad.Primitive.input_name": "positions past the last input mean the last one",
    **dict.fromkeys(
        ["ad.Primitive.remember", "ad.Primitive.explained"],
        "runs where an evaluation went well or has failed already, and must not get in its way",
    ),
    "optim.Optimizer.zero_grad": "its variables were checked when it was made",
    **dict.fromkeys(["flow.Report", "draw.Svg"], "keeps what it is given"),
    **dict.fromkeys(["ad.no_grad", "ad.strong_zero"], "switches a mode of the thread"),
    **dict.fromkeys(
        [
            "ordering.EdgeMap",
            "ordering.EdgeMap.add",
            "ordering.EdgeMap.compose",
            "ordering.EdgeMap.fma_compose",
            "ordering.Elemental",
            "ordering.Elemental.jvp",
            "ordering.Elemental.vjp",
        ],
        "a protocol: what it raises is for the classes to say that have it",
    ),
    "ordering.JacobianGraph.scarcity": "a graph was checked when it was made",
    "ordering.IndexMap.after": "the result's index is worked out when it is first used",
    "ordering.LinearMap.abstract": "what is left out cannot be missing",
    "ordering.LinearMap.transpose": "every map has one, with its numbers or without",
    "ordering.Product.core": "there is at least one factor",
    **dict.fromkeys(
        ["ordering.Plan.table", "ordering.Plan.to_dot"], "a plan of any size has a text"
    ),
    **dict.fromkeys(["ordering.rates", "ordering.use_rates"], "a value is kept and given back"),
    **dict.fromkeys(
        [
            "structure.Blocks",
            "structure.Groups",
            "structure.Nothing",
            "structure.Pairs",
            "structure.Reads",
            "structure.Same",
            "structure.Sums",
        ],
        "a description is data: it keeps what it is given",
    ),
    "structure.Operation.pull": "rules run checked pullbacks, and only at a point",
    "structure.numbered": "every shape has as many numbers as elements",
    "structure.same": "it looks at nothing",
    "draw.notebook_svg": "a notebook that can show no picture shows text",
}
"""Callables that raise nothing of their own whatever they are given, and why."""


# --- which ----------------------------------------------------------------------------------------


def is_own(value):
    module = getattr(value, "__module__", None) or getattr(type(value), "__module__", "")
    return module.split(".")[0] == "autodiff"


def methods_of(cls):
    """Public methods that a class defines itself, by name; a class method as its function.

    What stands in a base that is there for this class alone counts as its own.
    """
    found = {}
    own = [value for base in cls.__bases__ if base in TAPE_METHODS for value in vars(base).items()]
    for name, value in [*own, *vars(cls).items()]:
        if name.startswith("_"):
            continue
        if isinstance(value, (classmethod, staticmethod)):
            value = value.__func__
        if isinstance(value, types.FunctionType) and is_own(value):
            found[name] = value
    return found


def overridden(cls, name):
    """Method of a base class of this library that a class's own method stands in for."""
    return next(
        (
            methods_of(base)[name]
            for base in cls.__mro__[1:]
            if base not in TAPE_METHODS and name in methods_of(base)
        ),
        None,
    )


def public_callables():
    """Every public callable by the name it is used by; what has two names counts once."""
    found, seen = {}, set()

    def add(name, value):
        if id(value) not in seen:
            seen.add(id(value))
            found[name] = value

    for short, path in MODULES.items():
        module = importlib.import_module(path)
        for name in module.__all__:
            value = getattr(module, name)
            if not callable(value) or not is_own(value):
                continue
            add(f"{short}.{name}", value)
            if not inspect.isclass(value):
                continue
            for method_name, method in methods_of(value).items():
                if issubclass(value, ad.Tensor) and hasattr(np.ndarray, method_name):
                    continue
                base = overridden(value, method_name)
                if base is not None and parameters_of(base) == parameters_of(method):
                    continue
                add(f"{short}.{name}.{method_name}", method)
    return found


def parameters_of(value):
    """Names of the parameters, those of any number with their stars."""
    method = inspect.isclass(value) or "." in getattr(value, "__qualname__", "")
    if isinstance(value, ad.Primitive):
        stars = "*" if value.variadic else ""
        return [*value.inputs[:-1], stars + value.inputs[-1], *value.params]
    if inspect.isclass(value):
        if hasattr(value, "_fields"):
            return list(value._fields)
        if not is_own(value.__init__) or getattr(value, "_is_protocol", False):
            return []
        value = value.__init__
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parameters = inspect.signature(value).parameters.values()
    names = [stars.get(parameter.kind, "") + parameter.name for parameter in parameters]
    return names[1:] if method and names[:1] in (["self"], ["cls"]) else names


def returns_something(value):
    if inspect.isclass(value):
        return False
    if isinstance(value, ad.Primitive):
        return True
    annotation = inspect.signature(value).return_annotation
    return annotation not in (None, "None", "NoReturn", inspect.Signature.empty)


# --- what the docstring says ----------------------------------------------------------------------


def sections_of(docstring):
    """Sections of a NumPy-style docstring by title, each as its lines; '' is what comes first."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    sections, title, skip = {"": []}, "", False
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if skip:
            skip = False
        elif re.fullmatch(r"-{3,}", below) and len(below) == len(line):
            title, skip = line, True
            sections[title] = []
        else:
            sections[title].append(line)
    return sections


def entries_of(lines):
    """Names that a section documents: ``first, second : type`` names two."""
    heads = [line.partition(" : ")[0] for line in lines if line and not line.startswith(" ")]
    return [name.strip() for head in heads for name in head.split(",")]


def complaints(name, value):
    """What the docstring of a public callable lacks, in words."""
    sections = sections_of(value.__doc__)
    found = []
    if not any(sections[""]):
        found.append("has no summary")
    if not any(line.startswith(">>>") for line in sections.get("Examples", [])):
        found.append("has no Examples with a >>>")
    if inspect.isclass(value) and issubclass(value, Exception):
        return found
    is_record = inspect.isclass(value) and (
        hasattr(value, "_fields") or dataclasses.is_dataclass(value)
    )
    is_plain_record = is_record and not hasattr(value, "__post_init__")  # it only keeps its fields
    # Who makes a record passes its fields, who reads it finds them: one list serves both
    title = "Attributes" if is_record and "Parameters" not in sections else "Parameters"
    documented = entries_of(sections.get(title, []))
    wanted = parameters_of(value)
    missing = [parameter for parameter in wanted if parameter not in documented]
    unknown = [parameter for parameter in documented if parameter not in wanted]
    if any(parameter.startswith("**") for parameter in wanted) and unknown:
        # Keywords may be documented one by one, in the place of their collector
        missing = [parameter for parameter in missing if not parameter.startswith("**")]
        unknown = []
    if missing:
        found.append(f"does not document its parameters {missing}")
    if unknown and title == "Parameters":
        found.append(f"documents parameters it does not have {unknown}")
    if returns_something(value) and not {"Returns", "Yields"} & set(sections):
        found.append("does not say what it returns")
    if not (name in CANNOT_RAISE or is_plain_record) and "Raises" not in sections:
        found.append("does not say what it raises")
    found += [
        f"raises {error!r}, which is no exception"
        for error in entries_of(sections.get("Raises", []))
        if not isinstance(getattr(errors, error, getattr(builtins, error, None)), type)
    ]
    return found


# --- tests ----------------------------------------------------------------------------------------


@functools.cache
def all_callables():
    return public_callables()


@pytest.mark.parametrize("name", all_callables())
def test_public_callable_is_documented(name):
    found = complaints(name, all_callables()[name])
    assert not found, f"{name} {'; '.join(found)}"


def test_the_public_callables_are_found():
    names = set(all_callables())
    assert names >= {"ad.grad", "ad.relu", "ad.Tensor.backward", "ad.Tape.draw", "ordering.Plan"}
    assert names >= {"nn.fit", "optim.Optimizer.step", "data.batches", "tree.register"}
    assert names >= {"structure.moves", "structure.Operation.pull"}
    assert "ad.Tensor.sum" not in names
    assert "optim.Adam.rule" not in names
    assert "tree.PyTreeSpec" not in names


def test_exceptions_are_public_callables():
    assert set(CANNOT_RAISE) <= set(all_callables())


@pytest.mark.parametrize("name", CANNOT_RAISE)
def test_what_cannot_raise_does_not(name):
    value = all_callables()[name]
    if inspect.isclass(value):
        value = value.__init__
    if not is_own(value):
        return
    body = ast.parse(textwrap.dedent(inspect.getsource(value)))
    assert not [node for node in ast.walk(body) if isinstance(node, ast.Raise)]


def test_a_docstring_that_lacks_something_is_found():
    def whole(x: float, *rest: float, **options: float) -> float:
        """Do it.

        Parameters
        ----------
        x : float
        *rest, **options : float

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            Always.

        Examples
        --------
        >>> whole(1.0)
        1.0
        """

    def documented(old, new):
        function = types.FunctionType(whole.__code__, {}, "whole")
        function.__annotations__ = whole.__annotations__
        text = inspect.cleandoc(whole.__doc__)  # as the compiler does from Python 3.13 on
        assert old in text
        function.__doc__ = text.replace(old, new)
        return complaints("ad.whole", function)

    assert documented("Do it", "Do that") == []
    assert documented("x : float", "y : float") == ["does not document its parameters ['x']"]
    assert documented("*rest, ", "") == ["does not document its parameters ['*rest']"]
    assert documented("Returns\n-------", "Gives\n-----") == ["does not say what it returns"]
    assert documented("Raises\n------", "Notes\n-----") == ["does not say what it raises"]
    assert documented("TypeError, V", "V") == []
    assert documented("TypeError", "TypoError") == ["raises 'TypoError', which is no exception"]
    assert documented(">>> whole(1.0)\n1.0", "whole(1.0)") == ["has no Examples with a >>>"]
    assert documented("Do it.", "") == ["has no summary"]
