"""Running a function so that the Tensors it uses from outside become inputs.

A function may use Tensors besides its arguments: closed over, global, attributes of its objects.
They are found by evaluating it once under a `Capture`, an interpreter to which every operation on
an outside Tensor is handed. Later evaluations run under a `Capture` again, which puts the values at
hand in their place. So one call of a function becomes a closed function of flat values, `Closed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from autodiff import tree
from autodiff.core.arrays import is_array, scalar_form, zeros
from autodiff.core.dispatch import Box, Interpreter, open_scope
from autodiff.core.memory import protected, read_only
from autodiff.core.modes import modes
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Spec, is_inexact, spec_of
from autodiff.errors import TapeError
from autodiff.interpret.forward import Forward
from autodiff.interpret.reverse import Reverse
from autodiff.ops.operands import joined
from autodiff.tensor import Tensor
from autodiff.views import origin

__all__ = [
    "Capture",
    "Closed",
    "Input",
    "Output",
    "Plainly",
    "Result",
    "example",
    "is_differentiated",
    "is_operand",
]

Values = Sequence[Any]
Run = Callable[..., tuple[Any, ...]]
"""Function of arguments and keywords, returning containers: the output, and perhaps residuals."""


class Capture(Interpreter):
    """Evaluates a function and sees every Tensor from outside that it uses.

    Payloads only mark that a box is no constant.
    """

    transform = "a function with its own derivative"

    def __init__(self, substitutes: dict[int, Any], unknown: Callable[[Box], Any]) -> None:
        super().__init__(Tensor)
        self.substitutes = substitutes
        self.unknown = unknown
        self.outer: Interpreter | None = None
        self.flops = 0

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hand operations on outside Tensors to this interpreter."""
        self.outer = modes.capture
        with open_scope(self), modes.changed(capture=self):
            yield

    def own(self, value: Any) -> Any:
        """Box a value for the function."""
        return self.make(value, self)

    constant = own

    def below(self, value: Any) -> Any:
        """Value below this level: a box's own, or what stands for an outside Tensor."""
        value, own = self.unbox(value)
        if own is not None or not isinstance(value, Box):
            return value
        key = id(origin(value))
        if key not in self.substitutes:
            self.substitutes[key] = self.unknown(value)
        return self.substitutes[key]

    def stands_for(self, values: Iterable[Any]) -> bool:
        """Whether it has a value to put in the place of one of these."""
        return any(id(origin(value)) in self.substitutes for value in values)

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate a primitive one level below, where this interpreter is not in charge."""
        here = modes.here
        inner = here.capture
        if inner is not None and self.level < inner.level:
            return inner.process(primitive, inputs, params)
        values = [self.below(value) for value in inputs]
        here.capture = self.outer
        try:
            out = primitive.call(*values, **params)
        finally:
            here.capture = inner
        outs = out if isinstance(out, tuple) else (out,)
        first = spec_of(outs[0])
        self.flops += primitive.cost(tuple(map(spec_of, values)), first, params)
        boxes = tuple(
            self.own(part) if isinstance(part, Box) or is_inexact(spec_of(part).dtype) else part
            for part in outs
        )
        return boxes if isinstance(out, tuple) else boxes[0]


class Plainly(Capture):
    """A `Capture` of code that needs plain arrays: what it computes of them is plain again.

    A solver calls the user's functions and gives what they return to compiled code. Boxes that
    evaluations are given (batches) stay boxes.
    """

    transform = "a solver"

    def own(self, value: Any) -> Any:
        """Value as the code gets it."""
        return super().own(value) if isinstance(value, Box) else value


def example(box: Any) -> Any:
    """Plain array under a box; of a batch, the first example."""
    if not isinstance(box, Box):
        return box
    value = example(box._value)
    if box._interpreter.leading:
        return value[0] if len(value) else scalar_form(zeros(value.shape[1:], value.dtype, value))
    return value


def is_differentiated(box: Any) -> bool:
    """Whether a derivative with respect to a box is being taken, at any level."""
    while isinstance(box, Box):
        interpreter = box._interpreter
        suspended = interpreter.level < modes.no_grad_level
        carries = isinstance(interpreter, (Reverse, Forward)) and box._payload is not None
        if carries and not suspended:
            return True
        box = box._value
    return False


def is_operand(value: Any) -> bool:
    """Whether a leaf of a container can be computed with: a Tensor, an array or its scalar."""
    return isinstance(value, Box) or is_array(value)


class Output(NamedTuple):
    """Place in a container of a value that an evaluation computes."""

    position: int


class Input(NamedTuple):
    """Place in a container of an input's value."""

    position: int


class Result:
    """What an evaluation returned, taken apart: arrays, and how to put containers together of them.

    Every array of the first container is an `Output`. The later ones refer to those, and to the
    `places` of arguments (by identity), instead of keeping an array twice.
    """

    def __init__(
        self, containers: Values, places: Mapping[int, Any], below: Callable[[Any], Any]
    ) -> None:
        self.arrays: list[Any] = []
        self.specs: list[Spec] = []
        self.trees: list[tuple[tree.PyTreeSpec, list[Any]]] = []
        known: dict[int, Any] = {}
        alive: list[Any] = []  # what was joined here, as long as it goes by its identity
        for container in containers:
            leaves, structure = tree.flatten(container)
            leaves = list(map(joined, leaves))
            alive.append(leaves)
            template: list[Any] = []
            for leaf in leaves:
                if id(leaf) in known:
                    template.append(known[id(leaf)])
                elif is_operand(leaf):
                    template.append(Output(len(self.arrays)))
                    value = below(leaf)
                    self.arrays.append(value)
                    self.specs.append(spec_of(value))
                else:
                    template.append(leaf)
            self.trees.append((structure, template))
            outputs = {id(leaf): entry for leaf, entry in zip(leaves, template, strict=True)}
            known = {**outputs, **places}

    def build(self, which: int, inputs: Values, outputs: Values) -> Any:
        """Put a container together again, of the values of inputs and outputs."""
        values = {Input: inputs, Output: outputs}
        structure, template = self.trees[which]
        return tree.unflatten(
            structure,
            [
                values[type(entry)][entry.position] if isinstance(entry, (Input, Output)) else entry
                for entry in template
            ],
        )

    def check_same(self, other: Result, name: str) -> None:
        """Raise if another evaluation gave other containers or shapes."""
        first = [tree.shown(structure) for structure, _ in self.trees]
        second = [tree.shown(structure) for structure, _ in other.trees]
        shapes = [spec.shape for spec in self.specs]
        other_shapes = [spec.shape for spec in other.specs]
        if first != second or shapes != other_shapes:
            raise TapeError(
                f"{name}: evaluated again, it returned {second} with shapes {other_shapes}, before "
                f"{first} with shapes {shapes}; it must do the same each time"
            )


class Closed:
    """One call of a function, as a closed function of flat values.

    The values are those of the Tensors among the arguments, then of those from outside that the
    function uses.

    Parameters
    ----------
    name : str
        For messages.
    args, keywords : the arguments; arrays among them are protected from later changes.
    boxed : bool
        Whether the function gets Tensors also where the values are plain arrays.
    plain : bool
        Whether it computes plain arrays of Tensors from outside too, as a solver must.
    slots : numbers of the leaves of the arguments that are inputs; by default the Tensors
    held : bool
        Whether a Tensor that is an argument is that argument also where the function comes by it
        in another way, through an object among the arguments; by default it is from outside there.
    """

    result: Result
    """What the first evaluation gave; its arrays are held until `evaluate` has used them."""

    def __init__(
        self,
        name: str,
        args: tuple[Any, ...],
        keywords: Mapping[str, Any],
        *,
        boxed: bool,
        plain: bool = False,
        slots: Sequence[int] | None = None,
        held: bool = False,
    ) -> None:
        self.name = name
        self.held = held
        self.boxed = boxed
        self.kind = Plainly if plain else Capture
        leaves, self.structure = tree.flatten((args, dict(keywords)))
        if slots is None:
            slots = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Box)]
        self.slots = list(slots)
        self.boxes = [leaves[i] for i in self.slots]
        self.leaves = [None if isinstance(leaf, Box) else protected(leaf) for leaf in leaves]
        self.outside: list[Box] = []
        self.flops = 0
        self.known: Values | None = None

    def inputs(self) -> list[Any]:
        """Tensors that the function is a function of."""
        return [*self.boxes, *self.outside]

    def paths(self) -> list[str]:
        """Name each input as the user would reach it."""
        names = tree.paths(self.structure, "")
        arguments = []
        for slot in self.slots:
            which, rest = names[slot][:3], names[slot][3:]
            arguments.append(f"{'args' if which == '[0]' else 'keywords'}{rest}")
        return [*arguments, *[f"outside Tensor {i}" for i in range(len(self.outside))]]

    def standing(self, values: Values) -> dict[int, Any]:
        """What stands for the Tensors among the arguments, as a `Capture` looks it up."""
        pairs = zip(self.boxes, values, strict=False)
        return {id(origin(box)): value for box, value in pairs}

    def discover(self, run: Run) -> Result:
        """Evaluate once on plain arrays, and find the outside Tensors."""

        def unknown(box: Box) -> Any:
            self.outside.append(box)
            return example(box)

        self.run = run
        examples = [example(box) for box in self.boxes]
        substitutes: dict[int, Any] = {}
        self.result = self._evaluated(examples, substitutes, unknown)
        self.known = [*examples, *[substitutes[id(origin(box))] for box in self.outside]]
        return self.result

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Arrays of the result: evaluate again, but on the very values of the discovery."""
        known = self.known
        if known is not None and all(a is b for a, b in zip(known, values, strict=True)):
            return tuple(self.result.arrays)

        def unknown(box: Box) -> Any:
            raise TapeError(
                f"{self.name}: evaluated again, it uses a Tensor of shape {spec_of(box).shape} "
                "from outside that it did not use before; it must do the same each time"
            )

        count = len(self.boxes)
        substitutes = {
            id(box): value for box, value in zip(self.outside, values[count:], strict=True)
        }
        again = self._evaluated(values[:count], substitutes, unknown)
        self.result.check_same(again, self.name)
        return tuple(again.arrays)

    def evaluate(self, primitive: Primitive) -> Any:
        """Output, computed by a primitive made of this function; lets go of the discovery's."""
        inputs = self.inputs()
        try:
            outputs = primitive.call(*inputs)
        finally:
            self.known = None
            self.result.arrays = []
        return self.result.build(0, inputs, outputs)

    def _evaluated(
        self, values: Values, substitutes: dict[int, Any], unknown: Callable[[Box], Any]
    ) -> Result:
        if self.held:
            substitutes.update(self.standing(values))
        capture = self.kind(substitutes, unknown)
        with capture.opened():
            leaves = list(self.leaves)
            places = {id(leaf): leaf for leaf in leaves if is_operand(leaf)}
            for i, (slot, value) in enumerate(zip(self.slots, values, strict=True)):
                boxed = self.boxed or isinstance(value, Box)
                leaf = leaves[slot] = capture.own(value) if boxed else read_only(value)
                places[id(leaf)] = Input(i)
            args, keywords = tree.unflatten(self.structure, leaves)
            result = Result(self.run(*args, **keywords), places, capture.below)
        self.flops = capture.flops
        return result
