"""Derivative rules: plain functions that name what they need, checked and compiled.

A rule's parameter names decide what the tape keeps. `compile_pullback` turns the rules of one
primitive, for one pattern of differentiated inputs, into two straight-line functions: ``save``
picks what the rules name, ``pull`` maps the output's cotangent to the inputs'. They are generated
as text, as the standard library's dataclasses are, because a loop over names at each operation
costs more than the arithmetic on a small array.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff.core import arrays
from autodiff.core.memory import scaled
from autodiff.core.spec import spec_of
from autodiff.errors import DeclarationError

if TYPE_CHECKING:
    from autodiff.core.primitive import Primitive

__all__ = ["Pullback", "Rule", "compile_pullback", "required_positional", "signature_of"]


_COLLECTS = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
_PASS_ON = (lambda x: x).__code__.co_code


class Rule:
    """A rule's function, renamed so that tracebacks show it, and the names it needs.

    A ufunc as a rule is applied to the inputs themselves: ``d_x=np.cos``.
    """

    __slots__ = ("function", "name", "needs", "passes_on")

    def __init__(self, name: str, function: Callable[..., Any], allowed: Sequence[str]) -> None:
        if not callable(function):
            raise DeclarationError(f"{name}: a rule must be a function, got {function!r}")
        if isinstance(function, np.ufunc):
            needs: tuple[str, ...] = tuple(allowed[1 : 1 + function.nin])
        else:
            needs = _named(function, allowed)
        for need in needs:
            if need not in allowed:
                raise DeclarationError(
                    f"{name}: a rule may name {', '.join(allowed)}; it names {need!r}"
                )
        self.name = name
        self.needs = needs
        # ``lambda y: y`` needs no call in generated code.
        code = getattr(function, "__code__", None)
        self.passes_on = code is not None and code.co_code == _PASS_ON and len(needs) == 1
        self.function = _renamed(function, name)

    def __call__(self, available: Mapping[str, Any]) -> Any:
        """Call the function with what it needs of what is available."""
        return self.function(*[available[name] for name in self.needs])


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Parameters of a function.

    Read off the code object where there is one: ``inspect.signature`` takes ten times as long, and
    importing the library declares a thousand rules.
    """
    if not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        return list(inspect.signature(function).parameters.values())
    code = function.__code__
    names = code.co_varnames
    count, keyword_only = code.co_argcount, code.co_kwonlyargcount
    defaults = function.__defaults__ or ()
    empty = inspect.Parameter.empty
    first_default = count - len(defaults)
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=defaults[i - first_default] if i >= first_default else empty,
        )
        for i, name in enumerate(names[:count])
    ]
    last = count + keyword_only
    if code.co_flags & inspect.CO_VARARGS:
        parameters.append(inspect.Parameter(names[last], inspect.Parameter.VAR_POSITIONAL))
        last += 1
    keyword_defaults = function.__kwdefaults__ or {}
    parameters += [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=keyword_defaults.get(name, empty)
        )
        for name in names[count : count + keyword_only]
    ]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        parameters.append(inspect.Parameter(names[last], inspect.Parameter.VAR_KEYWORD))
    return parameters


def _named(function: Callable[..., Any], allowed: Sequence[str]) -> tuple[str, ...]:
    """Parameter names, less those at the end that bind a variable (``lambda x, k=k: ...``)."""
    if isinstance(function, FunctionType) and not hasattr(function, "__wrapped__"):
        code = function.__code__
        if not code.co_kwonlyargcount and not code.co_flags & _COLLECTS:
            count = code.co_argcount
            required = count - len(function.__defaults__ or ())
            names = code.co_varnames
            while count > required and names[count - 1] not in allowed:
                count -= 1
            return names[:count]
    parameters = _parameters(function)
    while parameters:
        last = parameters[-1]
        if last.name in allowed or last.default is last.empty:
            break
        parameters.pop()
    return tuple(parameter.name for parameter in parameters)


def _renamed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Copy a Python function under the rule's name: tracebacks print the code object's name."""
    if not isinstance(function, FunctionType):
        return function
    copy = FunctionType(
        function.__code__.replace(co_name=name, co_qualname=name),
        function.__globals__,
        name,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__qualname__ = name
    copy.__module__ = function.__module__
    return copy


def required_positional(function: Callable[..., Any]) -> int | None:
    """How many arguments a function must be given by position, None where it does not tell."""
    if isinstance(function, FunctionType) and not hasattr(function, "__wrapped__"):
        return function.__code__.co_argcount - len(function.__defaults__ or ())
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters)


def signature_of(
    function: Callable[..., Any], name: str
) -> tuple[tuple[str, ...], dict[str, Any], bool]:
    """Read inputs, parameter defaults and variadicity off a forward function.

    Inputs (arrays) are its positional parameters, the last of which may be ``*name``; parameters
    (anything else: axes, flags) are its keyword-only ones.
    """
    if isinstance(function, np.ufunc):
        return ("x", "y")[: function.nin], {}, False
    inputs: list[str] = []
    params: dict[str, Any] = {}
    variadic = False
    for parameter in _parameters(function):
        if parameter.kind is parameter.VAR_POSITIONAL:
            inputs.append(parameter.name)
            variadic = True
        elif parameter.kind is parameter.KEYWORD_ONLY:
            params[parameter.name] = parameter.default
        elif parameter.kind is parameter.VAR_KEYWORD:
            raise DeclarationError(
                f"{name}: a primitive must list its keyword parameters; it takes **{parameter.name}"
            )
        elif parameter.default is not parameter.empty:
            raise DeclarationError(
                f"{name}: input {parameter.name!r} has a default; make it keyword-only (after "
                "'*') if it is a parameter"
            )
        else:
            inputs.append(parameter.name)
    if not inputs:
        raise DeclarationError(f"{name}: a primitive needs at least one input")
    return tuple(inputs), params, variadic


class Pullback:
    """The compiled rules of a primitive for one pattern of differentiated inputs.

    ``save(out, params, *inputs)`` returns the tuple a tape node keeps, ``pull(g, saved)`` one
    cotangent per input (None for the inputs not differentiated). ``names`` says what is kept,
    ``saves[i]`` whether input i itself is, ``saves_inputs`` that it is the inputs and nothing else.

    ``pull_over(g, saved)`` does what ``pull`` does and may write over `g`, an array that nobody
    else can see; None where no rule is a product with `g`.

    ``trusted`` says that an input whose form (shape and dtype) is the output's gets a cotangent of
    that form for certain: the function is `Primitive.closed`, and each rule is a number, an
    operand, or one of NumPy's own ufuncs of one.

    ``swept`` is what a backward sweep calls: ``pull``, or for the square of a root what hands the
    root its cotangent as a `Doubled`. ``is_root`` says that the primitive has a `Primitive.square`.
    """

    __slots__ = (
        "is_root",
        "names",
        "primitive",
        "pull",
        "pull_over",
        "rule_names",
        "save",
        "saves",
        "saves_inputs",
        "saves_out",
        "swept",
        "trusted",
    )

    def __init__(
        self,
        primitive: Primitive,
        save: Callable[..., tuple[Any, ...]],
        pull: Callable[[Any, tuple[Any, ...]], tuple[Any, ...]],
        saves: tuple[bool, ...],
        names: tuple[str, ...],
        rule_names: tuple[str, ...],
        trusted: bool = False,
        pull_over: Callable[[Any, tuple[Any, ...]], tuple[Any, ...]] | None = None,
    ) -> None:
        self.primitive = primitive
        self.is_root = primitive.square is not None
        self.save = save
        self.pull = self.swept = pull
        self.saves = saves
        self.names = names
        self.rule_names = rule_names
        self.saves_inputs = names == primitive.inputs
        self.saves_out = names == ("out",)
        self.trusted = trusted
        self.pull_over = pull_over


def _keeps_dtype(function: Any) -> bool:
    """Whether a function is a ufunc of one input that gives every dtype back.

    NumPy's own do; another library's may lack a dtype's loop and use a wider one.
    """
    is_unary = isinstance(function, np.ufunc) and function.nin == 1
    return is_unary and getattr(np, function.__name__, None) is function


def zero_like(g: Any) -> Any:
    """Zero of a cotangent's shape and dtype, for partials that are 0 everywhere."""
    return arrays.zeros(g.shape, g.dtype, like=g)


def compile_pullback(primitive: Primitive, active: Sequence[bool]) -> Pullback:
    """Generate ``save`` and ``pull`` for the inputs marked in `active`."""
    names: list[str] = []
    expressions: list[str] = []
    over: list[str] = []  # what differentiated inputs get, written over g; "" where it cannot be
    rule_names: list[str] = []
    trusted = primitive.closed
    scope: dict[str, Any] = {
        "_multiply": np.multiply,
        "_negative": np.negative,
        "_scaled": scaled,
        "spec_of": spec_of,
        "zero_like": zero_like,
        "defaults": primitive.params,
    }
    for position, is_active in enumerate(active):
        name = primitive.input_name(position)
        if not is_active:
            expressions.append("None")
            rule_names.append(f"{primitive.name} (constant {name})")
            continue
        rule = primitive.reverse_rules[name]
        if not isinstance(rule, Rule):
            factor = f"number_{name}"
            scope[factor] = rule
            factors: dict[float, str] = {1: "g", -1: "-g", 0: "zero_like(g)"}
            expressions.append(factors.get(rule, f"g * {factor}"))
            in_place: dict[float, str] = {1: "", -1: "_negative(g, out=g)", 0: ""}
            over.append(in_place.get(rule, f"_multiply(g, {factor}, out=g)"))
            rule_names.append(f"{primitive.name}.d_{name}")
            continue
        function_name = f"rule_{name}"
        scope[function_name] = rule.function
        rule_names.append(rule.name)
        arguments: list[str] = []
        for need in rule.needs:
            if need == "index":
                arguments.append(str(position))
                continue
            arguments.append(need)
            if need not in names and need != "g":
                names.append(need)
        call = f"{function_name}({', '.join(arguments)})"
        if rule.passes_on:
            call = arguments[0]
        elif not _keeps_dtype(rule.function):
            trusted = False
        is_partial = primitive.has_partials and "g" not in rule.needs
        expressions.append(f"g * {call}" if is_partial else call)
        over.append(f"_scaled(g, {call})" if is_partial else "")
    # Inputs first and in order: where they are all there is, a tape makes the tuple itself.
    names.sort(key=[*primitive.inputs, *names].index)
    signature = list(primitive.inputs)
    if primitive.variadic:
        signature[-1] = "*" + signature[-1]
    saved = [_saved_expression(primitive, name) for name in names]
    unpack = f"    ({', '.join(names)},) = saved\n" if names else ""
    text = (
        f"def save(out, params, {', '.join(signature)}):\n"
        f"    return ({''.join(expression + ', ' for expression in saved)})\n"
        f"def pull(g, saved):\n{unpack}    return ({', '.join(expressions)},)\n"
    )
    if over and all(over):
        # Only the last may be written over g: the others use it before. None of them is g itself.
        last = max(position for position, is_active in enumerate(active) if is_active)
        expressions[last] = over[-1]
        text += f"def pull_over(g, saved):\n{unpack}    return ({', '.join(expressions)},)\n"
    exec(compile(text, f"<rules of {primitive.name}>", "exec"), scope)
    saves = tuple(primitive.input_name(position) in names for position in range(len(active)))
    return Pullback(
        primitive,
        scope["save"],
        scope["pull"],
        saves,
        tuple(names),
        tuple(rule_names),
        trusted,
        scope.get("pull_over"),
    )


def _saved_expression(primitive: Primitive, name: str) -> str:
    """Text that picks what a rule calls `name` out of an evaluation."""
    if name == "out" or name in primitive.inputs:
        return name
    if name in primitive.params:
        return f"params.get({name!r}, defaults[{name!r}])"
    if name == "out_spec":
        return "spec_of(out)"
    owner = name.removesuffix("_spec")
    if primitive.variadic and owner == primitive.inputs[-1]:
        return f"tuple(map(spec_of, {owner}))"
    return f"spec_of({owner})"


def available_names(
    primitive: Primitive, inputs: Sequence[Any], out: Any, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything a rule may name, for the interpretations off the hot path."""
    names: dict[str, Any] = {**primitive.params, **params, "out": out}
    for name, value in primitive.named(inputs).items():
        names[name] = value
        variadic = primitive.variadic and name == primitive.inputs[-1]
        names[f"{name}_spec"] = tuple(map(spec_of, value)) if variadic else spec_of(value)
    if not isinstance(out, tuple):
        names["out_spec"] = spec_of(out)
    return names


def checked_rule(primitive: Primitive, what: str, rule: Any) -> Callable[..., Any] | None:
    """Return a primitive's ``local`` or ``pattern`` rule, refused where it could not be called.

    Raises
    ------
    DeclarationError
        It is not a function of an operation and the position of an input, or no input carries a
        derivative.
    """
    if rule is None:
        return None
    name = f"{primitive.name}.{what}"
    if not callable(rule):
        raise DeclarationError(
            f"{name}: a rule of structure must be a function of an operation and the position of "
            f"an input, got {rule!r}"
        )
    count = required_positional(rule)
    if count is not None and count != 2:
        raise DeclarationError(
            f"{name}: a rule of structure takes an operation and the position of an input; this "
            f"one takes {count} argument{'' if count == 1 else 's'}"
        )
    if not primitive.differentiable:
        raise DeclarationError(f"{name}: no input carries a derivative, so there is no structure")
    found: Callable[..., Any] = rule
    return found


def checked_symmetry(primitive: Primitive, symmetric: Any) -> frozenset[str]:
    """Return the names of the inputs that may change places.

    Raises
    ------
    DeclarationError
        They are not inputs, or fewer than two.
    """
    if not symmetric:
        return frozenset()
    names = (symmetric,) if isinstance(symmetric, str) else tuple(symmetric)
    for name in names:
        if name not in primitive.inputs:
            raise DeclarationError(
                f"{primitive.name}.symmetric: {name!r} is not an input; the inputs are "
                f"{', '.join(primitive.inputs)}"
            )
    several = primitive.variadic and primitive.inputs[-1] in names
    if len(set(names)) < 2 and not several:
        raise DeclarationError(
            f"{primitive.name}.symmetric: inputs that may change places are two at least, got "
            f"{names[0]!r} alone"
        )
    return frozenset(names)
