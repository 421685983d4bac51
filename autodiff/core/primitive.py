"""`Primitive`: a NumPy function with everything the library knows about it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autodiff.chunked import MET, evaluated
from autodiff.core.dispatch import Box, innermost
from autodiff.core.faults import FAULTS, explained
from autodiff.core.registry import REGISTRY, restored
from autodiff.core.rules import (
    Pullback,
    Rule,
    checked_rule,
    checked_symmetry,
    compile_pullback,
    signature_of,
)
from autodiff.core.spec import Spec
from autodiff.errors import DeclarationError

__all__ = ["Number", "Primitive", "RuleSource"]

Number = int | float
RuleSource = Callable[..., Any] | Number


class _Pullbacks(dict[tuple[bool, ...], "Pullback | None"]):
    """Compiled VJPs by pattern of differentiated inputs, compiled when first asked for.

    None stands for a primitive without a derivative.
    """

    def __init__(self, primitive: Primitive) -> None:
        self.primitive = primitive

    def __missing__(self, active: tuple[bool, ...]) -> Pullback | None:
        primitive = self.primitive
        compiled = compile_pullback(primitive, active) if primitive.differentiable else None
        self[active] = compiled
        return compiled


class Primitive:
    """A differentiable function that interpreters know how to treat.

    Instances come from the decorators `elementwise`, `linear`, `multilinear` and `primitive`, which
    also register them. Made by hand, a primitive is not registered: it works, but cannot be copied
    or pickled.

    Parameters
    ----------
    function : callable
        The NumPy function, on plain arrays; array inputs by position, all else keyword-only.
    kind : {"elementwise", "linear", "multilinear", "general"}
    rules : mapping of str to number or rule
        By the names that the decorator of this kind takes, such as ``d_x``.
    name, module : str, optional
        What it is known by: by default the function's; `module` is the one that declares it.
    inputs : tuple of str, optional
        Names of the array inputs, where the function's signature does not tell them.
    label : str, optional
        What pictures call it; by default its name.
    constant : tuple of str
        Inputs that carry no derivative (conditions, indices).
    local, pattern : rule, optional
        How results depend on each input (`autodiff.structure`), where the kind does not say it.
    symmetric : sequence of str
        Inputs that may change places; kept as a frozenset.
    batch : rule, optional
        ``batch(batched, inputs, params)``; without it examples are evaluated one by one.
    cost : number or rule, optional
        Floating-point operations: per output element, or of specs and parameters.
    sample : callable, optional
        Draws valid inputs for tests.
    lower : callable, optional
        What it is to the compiler (`autodiff.lowering`), where the kind does not say it.

    Attributes
    ----------
    forward : callable
        The NumPy function itself, on plain arrays.
    call : callable
        What operators and functions call: evaluates on anything, boxes included.
    inputs, params : names of array inputs; keyword parameters with their defaults.
    reverse_rules, forward_rules : rules by input name.
    pullbacks : compiled VJPs by pattern of differentiated inputs; those of one or two inputs
        without parameters also as ``pullback_unary``, ``pullback_both``, ``pullback_first`` and
        ``pullback_second``, None until first used.
    closed : whether operands that broadcast to one shape and dtype are sure to give both:
        arithmetic, and ufuncs of one input (but of an absolute value the dtype is the real one).
    joint_jvp : None, or a function of input values, their tangents (None for zero) and the output,
        for the output's tangent: for primitives whose inputs must be pushed forward together.

    Raises
    ------
    DeclarationError
        A rule is not one of this kind or names what it cannot have, or an input has no rule and is
        not constant.
    TypeError
        When it is called: a keyword is none of its parameters, or holds a Tensor.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.sigmoid
    <elementwise primitive sigmoid(x)>
    >>> ad.REGISTRY["sigmoid"] is ad.sigmoid
    True
    >>> half = Primitive(lambda x: x / 2, "linear", {"transpose": lambda g: g / 2}, name="half")
    >>> ad.grad(half)(1.0)
    np.float64(0.5)
    """

    joint_jvp: Callable[[Sequence[Any], Sequence[Any], Any], Any] | None = None
    registered = False
    gives_tuple = False
    """Whether one output, too, comes as a tuple."""
    square: Primitive | None = None
    """Its square, where that is smooth at a kink of it."""
    hidden = 0
    """How many of its last outputs are there for its own rules, and not for the program."""

    def __init__(
        self,
        function: Callable[..., Any],
        kind: str,
        rules: Mapping[str, RuleSource],
        *,
        name: str | None = None,
        module: str | None = None,
        inputs: tuple[str, ...] | None = None,
        label: str | None = None,
        constant: tuple[str, ...] = (),
        local: Callable[..., Any] | None = None,
        pattern: Callable[..., Any] | None = None,
        symmetric: Sequence[str] = (),
        batch: Callable[..., Any] | None = None,
        cost: RuleSource | None = None,
        sample: Callable[..., Any] | None = None,
        lower: Callable[..., Any] | None = None,
    ) -> None:
        # CPython shares the keys of up to 30 attributes, and finds those faster
        self.name = self.__qualname__ = name or function.__name__.rstrip("_")
        self.__module__ = module or getattr(function, "__module__", None) or ""
        self.__doc__ = function.__doc__
        self.kind = kind
        self.forward = function
        self.inputs, self.params, self.variadic = (
            signature_of(function, self.name) if inputs is None else (inputs, {}, False)
        )
        self.label = label or self.name
        self.constant = constant
        self.batch_rule = batch
        self.sample = sample
        self.lower = lower
        self.has_partials = kind == "elementwise"
        self.closed = self.has_partials and (
            function.nin == 1 and function.signature is None
            if isinstance(function, np.ufunc)
            else any(function is known for known in _ARITHMETIC)
        )
        self.reverse_rules: dict[str, Rule | Number] = {}
        self.forward_rules: dict[str, Rule] = {}
        self.pullbacks = _Pullbacks(self)
        self.pullback_unary: Pullback | None = None
        self.pullback_both: Pullback | None = None
        self.pullback_first: Pullback | None = None
        self.pullback_second: Pullback | None = None
        for input_name in constant:
            if input_name not in self.inputs:
                raise DeclarationError(f"{self.name}: constant {input_name!r} is not an input")
        for rule_name, source in rules.items():
            self._add_rule(rule_name, source)
        self._check_complete()
        self.differentiable = bool(self.reverse_rules)
        self.cost_rule = self._cost_rule(cost)
        self.local = checked_rule(self, "local", local)
        self.pattern = checked_rule(self, "pattern", pattern)
        self.symmetric = checked_symmetry(self, symmetric)
        self.call = self._make_call()

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        """Evaluate on arrays, numbers or Tensors."""
        for name in params:
            if name not in self.params:
                what = (
                    "pass it by position" if name in self.inputs else "there is no such parameter"
                )
                raise TypeError(f"{self.name}: keyword {name!r} is not one of its own; {what}")
        return self.call(*inputs, **params)

    def __repr__(self) -> str:
        arguments = [f"*{n}" if self.variadic else n for n in self.inputs]
        arguments += [f"{n}=..." for n in self.params]
        return f"<{self.kind} primitive {self.name}({', '.join(arguments)})>"

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Copy and pickle by module and name: rules are code, and code lives in the registry."""
        if REGISTRY.knows(self):
            return restored, (self.module, self.name)
        what = "has been declared again since" if self.registered else "is not registered"
        raise TypeError(f"primitive {self.name!r} {what} and cannot be copied or pickled")

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def module(self) -> str:
        """Name of the module that declares it."""
        return self.__module__

    @property
    def identity(self) -> Any:
        """What tells it from others, hashable.

        Itself if it was declared; for functions made into primitives, which are made anew at each
        call, their kind of primitive and name.
        """
        return self if self.registered else (type(self), self.name)

    def input_name(self, position: int) -> str:
        """Name of the input at a position; the inputs from ``*name`` on share that name.

        Parameters
        ----------
        position : int
            From 0.

        Returns
        -------
        str

        Examples
        --------
        >>> import autodiff as ad
        >>> ad.REGISTRY["add"].input_name(1)
        'y'
        """
        return self.inputs[min(position, len(self.inputs) - 1)]

    def named(self, values: Sequence[Any]) -> dict[str, Any]:
        """Input values by name; ``*name`` gets a tuple.

        Parameters
        ----------
        values : sequence
            One for each input, in order.

        Returns
        -------
        dict of str to value

        Raises
        ------
        ValueError
            More or fewer values than inputs.

        Examples
        --------
        >>> import autodiff as ad
        >>> ad.REGISTRY["add"].named([1.0, 2.0])
        {'x': 1.0, 'y': 2.0}
        """
        if not self.variadic:
            return dict(zip(self.inputs, values, strict=True))
        fixed = len(self.inputs) - 1
        named = dict(zip(self.inputs[:fixed], values[:fixed], strict=True))
        named[self.inputs[-1]] = tuple(values[fixed:])
        return named

    def remember(self, active: tuple[bool, ...], pullback: Pullback) -> None:
        """Keep a compiled VJP of one or two inputs where the hot path finds it without a key.

        For primitives without parameters and with one output.

        Parameters
        ----------
        active : tuple of bool
            Which inputs are differentiated.
        pullback : Pullback
            The VJP compiled for them.

        Examples
        --------
        >>> import autodiff as ad
        >>> @ad.linear(transpose=lambda g: 3.0 * g)
        ... def doc_thrice(x):
        ...     return 3.0 * x
        >>> compiled = doc_thrice.pullbacks[(True,)]
        >>> doc_thrice.remember((True,), compiled)
        >>> doc_thrice.pullback_unary is compiled
        True
        """
        if not self.variadic:
            attribute = _HOT_PATTERNS.get(active)
            if attribute is not None:
                setattr(self, attribute, pullback)

    def cost(self, inputs: tuple[Spec, ...], out: Spec, params: Mapping[str, Any]) -> int:
        """Floating-point operations of one evaluation, an exact integer.

        Parameters
        ----------
        inputs : tuple of Spec
            Shapes and dtypes of the inputs.
        out : Spec
            Shape and dtype of the output.
        params : mapping of str to value

        Returns
        -------
        int

        Raises
        ------
        ValueError
            More or fewer inputs than the primitive has.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> from autodiff.core.spec import spec_of
        >>> spec = spec_of(np.ones((2, 3)))
        >>> ad.sigmoid.cost((spec,), spec, {})
        60
        """
        names: dict[str, Any] = {**self.params, **params, "out_spec": out}
        for name, spec in self.named(inputs).items():
            names[f"{name}_spec"] = spec
        return int(self.cost_rule(names))

    def _rule_names(self) -> list[str]:
        specs = [f"{name}_spec" for name in self.inputs]
        extra = ["index"] if self.variadic else []
        return [*self.inputs, "out", *specs, "out_spec", *self.params, *extra]

    def _add_rule(self, rule_name: str, source: RuleSource) -> None:
        """Check one keyword of a declaration and file the rule under its input."""
        full_name = f"{self.name}.{rule_name}"
        prefixes = _PREFIXES[self.kind]
        if rule_name == "transpose" and self.kind == "linear" and len(self.inputs) == 1:
            prefix, input_name = "transpose", self.inputs[0]
        else:
            prefix, _, input_name = rule_name.partition("_")
        if prefix not in prefixes or input_name not in self.inputs:
            wanted = [f"{p}_{n}" for p in prefixes for n in self.inputs]
            raise DeclarationError(
                f"{full_name}: not a rule of this {self.kind} primitive; its rules are "
                f"{', '.join(wanted)}"
            )
        if input_name in self.constant:
            raise DeclarationError(f"{full_name}: {input_name!r} is declared constant")
        if isinstance(source, (int, float)):
            if prefix != "d":
                raise DeclarationError(f"{full_name}: only a partial d_... may be a number")
            # np.float64 is a float too, but one that widens float32
            self.reverse_rules[input_name] = float(source) if isinstance(source, float) else source
            return
        seed = "t" if prefix == "jvp" else "g"
        rule = Rule(full_name, source, [seed, *self._rule_names()])
        (self.forward_rules if prefix == "jvp" else self.reverse_rules)[input_name] = rule

    def _check_complete(self) -> None:
        for input_name in self.inputs:
            if input_name not in self.reverse_rules and input_name not in self.constant:
                raise DeclarationError(
                    f"{self.name}: input {input_name!r} has no rule; give "
                    f"{_PREFIXES[self.kind][0]}_{input_name}, or name it in constant=(...) if "
                    "it carries no derivative"
                )

    def _cost_rule(self, cost: RuleSource | None) -> Rule:
        allowed = [*[f"{n}_spec" for n in self.inputs], "out_spec", *self.params]
        if cost is None:
            cost = 1 if self.kind == "elementwise" else 0
        if isinstance(cost, (int, float)):
            weight = cost
            return Rule(f"{self.name}.cost", lambda out_spec: weight * out_spec.size, allowed)
        return Rule(f"{self.name}.cost", cost, allowed)

    def _make_call(self) -> Callable[..., Any]:
        """Build the entry point: one and two inputs without parameters have their own."""
        forward = self.forward
        if not self.params and not self.variadic and len(self.inputs) == 1:

            def call_unary(x: Any, /) -> Any:
                if isinstance(x, Box):
                    return x._interpreter.process_unary(self, x)
                try:
                    return evaluated(forward, (x,), {}) if MET.any else forward(x)
                except FAULTS as error:
                    raise self.explained(error, x) from error

            return call_unary
        if not self.params and not self.variadic and len(self.inputs) == 2:

            def call_binary(x: Any, y: Any, /) -> Any:
                if isinstance(x, Box):
                    return x._interpreter.process_binary(self, x, y)
                if isinstance(y, Box):
                    return y._interpreter.process_binary(self, x, y)
                if type(x) is complex and isinstance(y, np.floating):
                    # Python's own arithmetic would take np.float64, a float, and forget its dtype.
                    x = np.result_type(x, y).type(x)
                try:
                    return evaluated(forward, (x, y), {}) if MET.any else forward(x, y)
                except FAULTS as error:
                    raise self.explained(error, x, y) from error

            return call_binary

        def call(*inputs: Any, **params: Any) -> Any:
            interpreter = innermost(inputs)
            if params and innermost(params.values()) is not None:
                self._refuse_boxed_params(params)
            if interpreter is None:
                try:
                    if MET.any and type(self) is Primitive:
                        return evaluated(forward, inputs, params)
                    return forward(*inputs, **params)
                except FAULTS as error:
                    raise self.explained(error, *inputs) from error
            if len(inputs) < len(self.inputs) - self.variadic or (
                len(inputs) > len(self.inputs) and not self.variadic
            ):
                raise TypeError(
                    f"{self.name} takes {len(self.inputs)} inputs ({', '.join(self.inputs)}), "
                    f"got {len(inputs)}"
                )
            return interpreter.process(self, inputs, params)

        return call

    def explained(self, error: Exception, *inputs: Any) -> Exception:
        """Say in an error of the NumPy function which primitive it was, and on what shapes.

        Parameters
        ----------
        error : Exception
        *inputs : array or number
            What the function was called with.

        Returns
        -------
        Exception
            Of the same class if it is one of `FAULTS`; else `error` itself. Where another library's
            array cannot be computed with, a TypeError that names the library and the function.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> ad.REGISTRY["add"].explained(ValueError("shapes differ"), np.ones(2), np.ones(3))
        ValueError('add(float64[2], float64[3]): shapes differ')
        """
        return explained(error, self.name, inputs)

    def _refuse_boxed_params(self, params: Mapping[str, Any]) -> None:
        for name, value in params.items():
            if isinstance(value, Box):
                remedy = (
                    "pass it by position"
                    if name in self.inputs
                    else "it has no derivative; pass a plain number or array (tensor.data)"
                )
                raise TypeError(f"{self.name}: keyword {name!r} is a Tensor; {remedy}")


_ARITHMETIC: tuple[Any, ...] = (
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.neg,
    operator.pos,
)

_HOT_PATTERNS = {
    (True,): "pullback_unary",
    (True, True): "pullback_both",
    (True, False): "pullback_first",
    (False, True): "pullback_second",
}

_PREFIXES = {
    "elementwise": ("d",),
    "linear": ("transpose",),
    "multilinear": ("vjp",),
    "general": ("vjp", "jvp"),
}
