"""Writing LLVM's intermediate representation as text: modules, functions, loops, values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from autodiff.compiler.llvm.types import BOOL, F32, F64, I64, Kind, constant, integer, pointer

__all__ = ["Function", "Module", "Value"]

_FLOATING = {"+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv"}
_INTEGER = {"+": "add", "-": "sub", "*": "mul", "&": "and", "|": "or", "^": "xor", "<<": "shl"}
_ORDERED = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


@dataclass(slots=True)
class Module:
    """A module as it grows."""

    functions: dict[str, str] = field(default_factory=dict)
    declarations: dict[str, str] = field(default_factory=dict)
    metadata: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    """Functions that nothing calls before loops become loops over vectors."""
    vector_bytes: int = 16
    """Of the registers that loops over vectors are to use."""
    parts: int = 0
    """Passes of the longest loop that threads share, 0 where there is none."""

    def declare(self, name: str, result: str, parameters: Sequence[str], suffix: str = "") -> None:
        """Make a function known that is defined elsewhere."""
        self.declarations[name] = f"declare {result} @{name}({', '.join(parameters)}) {suffix}"

    def node(self, text: str) -> str:
        """A node of metadata, by its name; ``{}`` in the text is that name."""
        name = f"!{len(self.metadata)}"
        self.metadata.append(f"{name} = distinct !{{{text.format(name)}}}")
        return name

    def attribute_group(self, text: str) -> str:
        """A group of attributes, by its name."""
        if text not in self.attributes:
            self.attributes.append(text)
        return f"#{self.attributes.index(text)}"

    def text(self) -> str:
        """The module as LLVM reads it."""
        groups = [f"attributes #{i} = {{ {text} }}" for i, text in enumerate(self.attributes)]
        undefined = [t for name, t in self.declarations.items() if name not in self.functions]
        if self.used:
            listed = ", ".join(f"ptr @{name}" for name in self.used)
            used = f"@llvm.compiler.used = appending global [{len(self.used)} x ptr] [{listed}]"
            undefined.append(f'{used}, section "llvm.metadata"')
        return "\n".join([*undefined, *self.functions.values(), *groups, *self.metadata, ""])


class Value:
    """A scalar in a function that is being written, with the operators of its kind."""

    __slots__ = ("function", "kind", "name")

    def __init__(self, function: Function, kind: Kind, name: str) -> None:
        self.function = function
        self.kind = kind
        self.name = name

    def _operand(self, other: Value | float) -> Value:
        return other if isinstance(other, Value) else self.like(other)

    def like(self, number: float) -> Value:
        """A number as a value of the same kind."""
        return Value(self.function, self.kind, constant(self.kind, number))

    def operate(self, instruction: str, other: Value | float) -> Value:
        """The result of an instruction with two operands of this kind."""
        name = self._operand(other).name
        text = f"{instruction} {self.kind.name} {self.name}, {name}"
        return self.function.value(self.kind, text)

    def _arithmetic(self, sign: str, other: Value | float) -> Value:
        return self.operate((_FLOATING if self.kind.floating else _INTEGER)[sign], other)

    def __add__(self, other: Value | float) -> Value:
        return self._arithmetic("+", other)

    def __radd__(self, other: float) -> Value:
        return self.like(other) + self

    def __sub__(self, other: Value | float) -> Value:
        return self._arithmetic("-", other)

    def __rsub__(self, other: float) -> Value:
        return self.like(other) - self

    def __mul__(self, other: Value | float) -> Value:
        return self._arithmetic("*", other)

    def __rmul__(self, other: float) -> Value:
        return self.like(other) * self

    def __truediv__(self, other: Value | float) -> Value:
        return self._arithmetic("/", other)

    def __rtruediv__(self, other: float) -> Value:
        return self.like(other) / self

    def __and__(self, other: Value | int) -> Value:
        return self._arithmetic("&", other)

    def __or__(self, other: Value | int) -> Value:
        return self._arithmetic("|", other)

    def __xor__(self, other: Value | int) -> Value:
        return self._arithmetic("^", other)

    def __invert__(self) -> Value:
        return self ^ -1

    def __lshift__(self, by: Value | int) -> Value:
        return self._arithmetic("<<", by)

    def __rshift__(self, by: Value | int) -> Value:
        return self.operate("ashr" if self.kind.signed else "lshr", by)

    def __neg__(self) -> Value:
        if self.kind.floating:
            return self.function.value(self.kind, f"fneg {self.kind.name} {self.name}")
        return self.like(0) - self

    def _compare(self, predicate: str, other: Value | float) -> Value:
        instruction = "fcmp" if self.kind.floating else "icmp"
        operands = f"{self.name}, {self._operand(other).name}"
        text = f"{instruction} {predicate} {self.kind.name} {operands}"
        return self.function.value(BOOL.vector(self.kind.lanes), text)

    def _order(self, sign: str, other: Value | float) -> Value:
        ordered = "o" if self.kind.floating else "s" if self.kind.signed else "u"
        return self._compare(ordered + _ORDERED[sign], other)

    def __lt__(self, other: Value | float) -> Value:
        return self._order("<", other)

    def __le__(self, other: Value | float) -> Value:
        return self._order("<=", other)

    def __gt__(self, other: Value | float) -> Value:
        return self._order(">", other)

    def __ge__(self, other: Value | float) -> Value:
        return self._order(">=", other)

    def equals(self, other: Value | float) -> Value:
        """Whether both are the same number."""
        return self._compare("oeq" if self.kind.floating else "eq", other)

    def differs(self, other: Value | float) -> Value:
        """Whether they are not the same number; NaN is not the same as itself."""
        return self._compare("une" if self.kind.floating else "ne", other)

    def is_nan(self) -> Value:
        """Whether it is no number."""
        return self._compare("uno", self)

    def bits(self) -> Value:
        """The bits of a float as an integer, or the float that an integer's bits are."""
        kind = integer(self.kind.size)
        if not self.kind.floating:
            kind = F64 if self.kind.size == F64.size else F32
        return self.convert("bitcast", kind.vector(self.kind.lanes))

    def convert(self, instruction: str, kind: Kind) -> Value:
        """The result of an instruction that converts."""
        text = f"{instruction} {self.kind.name} {self.name} to {kind.name}"
        return self.function.value(kind, text)

    def where(self, yes: Value, no: Value | float) -> Value:
        """The one where this (a bool) is true, the other elsewhere."""
        name = yes._operand(no).name
        of = yes.kind.name
        text = f"select {self.kind.name} {self.name}, {of} {yes.name}, {of} {name}"
        return self.function.value(yes.kind, text)


class Function:
    """A function as it grows: a line at a time, in blocks.

    Parameters
    ----------
    module : Module
    name : str
    result : str
        Type of LLVM.
    parameters : sequence of (Kind, str)
    """

    def __init__(
        self,
        module: Module,
        name: str,
        result: str,
        parameters: Sequence[tuple[Kind, str]],
        attributes: str = "nounwind",
        linkage: str = "internal",
    ) -> None:
        self.module = module
        self.name = name
        self.parameters = [Value(self, kind, f"%{word}") for kind, word in parameters]
        listed = ", ".join(f"{v.kind.name} {v.name}" for v in self.parameters)
        self.head = f"define {linkage} {result} @{name}({listed})".replace("define  ", "define ")
        # Otherwise LLVM takes half of what the widest registers hold
        width = f' "prefer-vector-width"="{8 * module.vector_bytes}"'
        self.attributes = attributes + (width if module.vector_bytes > 32 else "")
        self.result = result
        self.block = "entry"
        self.count = 0
        self.operations = 0
        self.slots: list[str] = []
        self.lines: list[str] = []
        self.inlines = True
        """Whether elementary functions become part of it, so that its loops can be vectorised."""
        self.group: str | None = None
        """Access group of the loop that is being written, where its iterations are independent."""

    def fresh(self) -> int:
        """A number that no name of the function has yet."""
        self.count += 1
        return self.count

    def line(self, text: str) -> None:
        """Add an instruction without a result."""
        self.lines.append("  " + text)

    def value(self, kind: Kind, text: str) -> Value:
        """Add an instruction with a result."""
        name = f"%v{self.fresh()}"
        self.lines.append(f"  {name} = {text}")
        self.operations += 1
        return Value(self, kind, name)

    def constant(self, kind: Kind, number: float) -> Value:
        """A number."""
        return Value(self, kind, constant(kind, number))

    def label(self, name: str) -> None:
        """Begin a block; the one before must have ended."""
        self.lines.append(f"{name}:")
        self.block = name

    def slot(self, kind: Kind) -> Value:
        """A place on the stack, which LLVM turns into a register."""
        name = f"%s{self.fresh()}"
        self.slots.append(f"  {name} = alloca {kind.name}")
        return Value(self, pointer, name)

    def read(self, kind: Kind, slot: Value) -> Value:
        """What a slot holds."""
        return self.value(kind, f"load {kind.name}, ptr {slot.name}")

    def write(self, value: Value, slot: Value) -> None:
        """Let a slot hold a value."""
        self.line(f"store {value.kind.name} {value.name}, ptr {slot.name}")

    def array(self, kind: Kind, size: int) -> Value:
        """A piece of memory on the stack."""
        name = f"%s{self.fresh()}"
        self.slots.append(f"  {name} = alloca {kind.memory}, i64 {size}, align 64")
        return Value(self, pointer, name)

    def _grouped(self) -> str:
        return f", !llvm.access.group {self.group}" if self.group else ""

    def load(self, kind: Kind, where: Value) -> Value:
        """An element from memory."""
        text = f"load {kind.memory}, ptr {where.name}, align {kind.size}{self._grouped()}"
        if kind is not BOOL:
            return self.value(kind, text)
        return self.value(integer(1), text).differs(0)

    def store(self, value: Value, where: Value) -> None:
        """Write an element to memory."""
        kind = value.kind
        if kind is BOOL:
            value = value.convert("zext", integer(1))
        place = f"ptr {where.name}, align {kind.size}"
        self.line(f"store {kind.memory} {value.name}, {place}{self._grouped()}")

    def load_vector(self, kind: Kind, where: Value) -> Value:
        """Floats that lie one after the other."""
        return self.value(kind, f"load {kind.name}, ptr {where.name}, align {kind.size}")

    def store_vector(self, value: Value, where: Value) -> None:
        """Write floats one after the other."""
        kind = value.kind
        self.line(f"store {kind.name} {value.name}, ptr {where.name}, align {kind.size}")

    def spread(self, scalar: Value, kind: Kind) -> Value:
        """A scalar in all lanes of a vector."""
        if kind.lanes == 1:
            return scalar
        of = kind.name
        text = f"insertelement {of} poison, {scalar.kind.name} {scalar.name}, i64 0"
        first = self.value(kind, text)
        zeros = f"<{kind.lanes} x i32> zeroinitializer"
        return self.value(kind, f"shufflevector {of} {first.name}, {of} poison, {zeros}")

    def element(self, kind: Kind, base: Value, index: Value, inbounds: bool = True) -> Value:
        """The address of an element."""
        if index.name == "0":
            return base
        flag = "inbounds " if inbounds else ""
        text = f"getelementptr {flag}{kind.memory}, ptr {base.name}, i64 {index.name}"
        return self.value(pointer, text)

    def call(self, kind: Kind, name: str, arguments: Sequence[Value], after: str = "") -> Value:
        """Call a function that gives a scalar."""
        listed = ", ".join(f"{v.kind.name} {v.name}" for v in arguments)
        return self.value(kind, f"call {kind.name} @{name}({listed}){after}")

    def intrinsic(self, name: str, *arguments: Value) -> Value:
        """Call an intrinsic function of LLVM whose operands and result are of one kind."""
        kind = arguments[0].kind
        whole = f"llvm.{name}.{kind.suffix}"
        if whole not in self.module.declarations:
            self.module.declare(whole, kind.name, [kind.name] * len(arguments))
        return self.call(kind, whole, arguments)

    @contextmanager
    def loop(
        self, begin: Value, end: Value, parallel: str | None = None, hints: Sequence[str] = ()
    ) -> Iterator[Value]:
        """Repeat what is written inside, at least once, for indices from `begin` up to `end`.

        `parallel` is the access group of a loop whose iterations are independent.
        """
        number = self.fresh()
        self.line(f"br label %pre{number}")
        self.label(f"pre{number}")
        self.line(f"br label %body{number}")
        self.label(f"body{number}")
        index = f"%i{number}"
        both = f"[ {begin.name}, %pre{number} ], [ {index}.next, %latch{number} ]"
        self.line(f"{index} = phi i64 {both}")
        before, self.group = self.group, parallel or self.group
        yield Value(self, I64, index)
        self.group = before
        self.line(f"br label %latch{number}")
        self.label(f"latch{number}")
        self.line(f"{index}.next = add nuw nsw i64 {index}, 1")
        self.line(f"{index}.more = icmp ult i64 {index}.next, {end.name}")
        nodes = [self.module.node(hint) for hint in hints]
        if parallel:
            nodes.append(self.module.node(f'!"llvm.loop.parallel_accesses", {parallel}'))
        suffix = ""
        if nodes:
            suffix = f", !llvm.loop {self.module.node(', '.join(['{}', *nodes]))}"
        self.line(f"br i1 {index}.more, label %body{number}, label %done{number}{suffix}")
        self.label(f"done{number}")

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """What is written inside happens only where the condition (a bool) holds."""
        number = self.fresh()
        self.line(f"br i1 {condition.name}, label %yes{number}, label %end{number}")
        self.label(f"yes{number}")
        yield
        self.line(f"br label %end{number}")
        self.label(f"end{number}")

    def finish(self, value: Value | None = None) -> None:
        """End the function with its result, and put it into its module."""
        self.line("ret void" if value is None else f"ret {value.kind.name} {value.name}")
        group = self.module.attribute_group(self.attributes)
        body = "\n".join(["entry:", *self.slots, *self.lines])
        self.module.functions[self.name] = f"{self.head} {group} {{\n{body}\n}}\n"
