"""What is said where a Tensor would become an array or a number and lose its derivative.

The conversion itself looks the same whoever asks for it: NumPy, a library, an assignment. Who asks
is read off the frames of the Python stack and the line of the program, because what to write
instead depends on it. Nothing here runs but for the message of an error.
"""

from __future__ import annotations

import ast
import functools
import itertools
import linecache
import os.path
import sys
from collections.abc import Iterator
from opcode import opmap
from types import FrameType, FunctionType, ModuleType
from typing import Any

import numpy as np

from autodiff.core.arrays import has_memory
from autodiff.deferred import Deferred
from autodiff.interpret.call_sites import is_library

__all__ = ["COUNTERPARTS", "array_of_objects", "is_installed", "refusal"]

COUNTERPARTS = Deferred("what to call instead of a function that takes no Tensors")
"""``find(name)`` gives the dotted name of a function that takes Tensors, or None."""

_ASSIGNED = (
    "array[i] = tensor: make the array one that can hold it, with np.zeros_like(tensor), with "
    "autodiff.numpy.zeros inside a transform, or with ad.Tensor(array) * 1.0; or collect a list "
    "and np.stack it. A plain array would cut the derivative"
)

_SOLVERS = ("scipy.optimize.", "scipy.sparse.linalg.")
_INTEGRATORS = ("scipy.integrate.",)
_WRITES = {"numpy.ndarray.put", "numpy.ndarray.fill", "numpy.ndarray.itemset"}
_FRAMES = {
    "pandas": ".to_numpy() of the Series or DataFrame",
    "polars": ".to_numpy() of the Series or DataFrame",
    "xarray": ".data of the DataArray",
}
_FOR_NUMBERS_ALONE = {"matplotlib", "seaborn", "plotly", "PIL", "json", "csv", "tqdm"}


def array_of_objects(tensor: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """Array of the elements of a Tensor as Tensors, where NumPy may have one: nothing is cut.

    It may where objects are asked for, and where an operator meets a list of Tensors: its result is
    then an array of Tensors, of which NumPy's arithmetic, comparisons, sums and products make
    Tensors again.

    Raises
    ------
    TypeError
        Anywhere else, because most of NumPy does not know what to do with objects: see `refusal`.
    """
    asked = _is_operator(sys._getframe(2)) if dtype is None else np.dtype(dtype).hasobject
    if not asked:
        raise refusal("array")
    elements = np.empty(tensor.shape, object)
    for place in np.ndindex(tensor.shape):
        elements[place] = tensor[place] if place else tensor
    return elements


def _is_operator(frame: FrameType) -> bool:
    """Whether a frame converts a Tensor by an operator or a comparison, and not in place."""
    code, place = frame.f_code.co_code, frame.f_lasti
    if code[place] == opmap["BINARY_OP"]:
        return code[place + 1] < _FIRST_IN_PLACE
    return code[place] == opmap["COMPARE_OP"]


_FIRST_IN_PLACE = 13
"""Number of ``+=`` among Python's operators; those below have no memory to write into."""


def refusal(converter: str) -> TypeError:
    """Return the error of a conversion that would cut a derivative.

    Parameters
    ----------
    converter : {"array", "float", "complex"}
        What the Tensor would become.

    Examples
    --------
    >>> raise refusal("float")
    Traceback (most recent call last):
        ...
    TypeError: float() of a Tensor would cut its derivative; ...
    """
    frames = list(itertools.takewhile(_is_foreign, _frames()))
    caller = next(itertools.islice(_frames(), len(frames), None), None)
    asked = [frame for frame in frames if not is_library(frame.f_code.co_filename)]
    if not asked and caller is not None and _is_assignment(caller):
        return TypeError(_ASSIGNED)
    way = _way_of_library(asked) if asked else _way_of_line(converter, frames, caller)
    if converter == "array":
        what = "a Tensor does not turn into an array by itself, because that would cut its"
        number = "tensor.data has the numbers alone, a constant"
    else:
        what = f"{converter}() of a Tensor would cut its"
        number = "tensor.item() is the number alone, a constant"
    return TypeError(f"{what} derivative; {way}; {number}")


def _frames() -> Iterator[FrameType]:
    """Frames from the one that converts outwards, without those of this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").split(".")[0] != "autodiff":
            yield frame
        frame = frame.f_back


def _is_foreign(frame: FrameType) -> bool:
    """Whether a frame runs code of NumPy or of another library, and none of the program."""
    name = frame.f_code.co_filename
    return is_installed(name) or _module_of(frame).split(".")[0] in _FRAMES


def is_installed(filename: str) -> bool:
    """Whether code of this file is a library's: installed, Python's own, NumPy's or this one's."""
    return is_library(filename) or filename.startswith(_installed())


@functools.cache
def _installed() -> tuple[str, ...]:
    """Folders of installed code."""
    import sysconfig

    places = (sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib"))
    return tuple(os.path.join(place, "") for place in places)


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


# --- conversions that a library asks for ----------------------------------------------------------


def _way_of_library(frames: list[FrameType]) -> str:
    """What to do about a library's function, of whose frames the outermost is the last."""
    names = (_public_name(frame) for frame in reversed(frames))
    name = next((name for name in names if name), None)
    library = _module_of(frames[-1]).split(".")[0]
    if library in _FRAMES:
        return (
            f"{name or library} has no derivative: take the arrays out first, with "
            f"{_FRAMES[library]}"
        )
    called = name or f"what {library} does here"
    if library in _FOR_NUMBERS_ALONE:
        return f"{called} needs numbers and no derivative: give it tensor.data or tensor.item()"
    counterpart = COUNTERPARTS["find"](name) if name else None
    if counterpart:
        return f"write {counterpart} for {name}, which takes no Tensors"
    if called.startswith(_SOLVERS):
        return (
            f"call {called} on plain numbers as the solver of ad.root(residual, solver), which "
            "differentiates its result through the equation that it solves (docs/implicit.md)"
        )
    if called.startswith(_INTEGRATORS):
        return (
            f"{called} takes no Tensors: write autodiff.scipy.integrate.solve_ivp (whose method= "
            "takes SciPy's classes) for initial values, solve_bvp for boundary values, and quad, "
            "quad_vec or nquad for integrals"
        )
    return (
        f"{called} has no derivative here: write it with NumPy's functions, or put it into a "
        "function under ad.custom_vjp, which gets plain arrays and says its derivative"
    )


def _public_name(frame: FrameType) -> str | None:
    """Name by which a program calls the function of a frame, if it can be found.

    A library's functions are defined in private modules, under names of decorators, or as methods
    of private classes; what counts is under which name a public package has them.
    """
    for module, owner, method in _names_of(frame):
        parts = module.split(".")
        public = list(itertools.takewhile(lambda part: not part.startswith("_"), parts))
        for end in range(1, len(public) + 1):
            place = ".".join(public[:end])
            namespace = vars(sys.modules.get(place, ModuleType("")))
            key = owner
            if not isinstance(owner, str):
                key = next((k for k, v in namespace.items() if v is owner), "_")
            if not key.startswith("_") and callable(namespace.get(key)):
                return ".".join((place, key, *method))
    return None


_Name = tuple[str, Any, tuple[str, ...]]
"""A module, a name in it or what has one there, and the method of that, if it is one."""


def _names_of(frame: FrameType) -> list[_Name]:
    """What the function of a frame may be found by."""
    code, module = frame.f_code, _module_of(frame)
    parts = code.co_qualname.split(".")
    if "<locals>" in parts:  # a wrapper: the function that it wraps is among its free variables
        free = [frame.f_locals.get(name) for name in code.co_freevars]
        return [(f.__module__, f.__name__, ()) for f in free if isinstance(f, FunctionType)]
    if len(parts) == 1:
        return [(module, parts[0], ())]
    own = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
    method = () if parts[-1].startswith("__") else (parts[-1],)
    return [(module, name, method) for name in (own, type(own).__name__, parts[0])]


# --- conversions that a line of the program asks for ----------------------------------------------


def _way_of_line(converter: str, frames: list[FrameType], caller: FrameType | None) -> str:
    """What to write instead of a call in the program; `frames` are NumPy's, if it has any."""
    name = next((name for name in map(_public_name, reversed(frames)) if name), None)
    if name is None and caller is not None:
        name = _called(caller)
    if name is not None and name.startswith("numpy.random."):
        return (
            f"{name} has no derivative by its parameters: draw standard numbers, then shift and "
            "scale them, as in mean + scale * rng.standard_normal(shape)"
        )
    counterpart = COUNTERPARTS["find"](name) if name else None
    if counterpart:
        return f"write {counterpart} for {name}"
    if name in _WRITES:
        return _ASSIGNED
    if converter == "array":
        return "join a list of Tensors with np.stack, or nested lists with autodiff.numpy.array"
    return "use the Tensor as it is, and NumPy's functions instead of math's"


def _called(frame: FrameType) -> str | None:
    """Dotted name of the function that a frame is calling, as far as its line tells."""
    positions = next(itertools.islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
    first, last, begin, end = positions
    if first is None or last is None or begin is None or end is None:
        return None
    lines = [
        linecache.getline(frame.f_code.co_filename, number, frame.f_globals).encode()
        for number in range(first, last + 1)
    ]
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][begin:]
    try:
        call = ast.parse(b"".join(lines).decode().strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None
    return _name_of_value(call.func, frame) if isinstance(call, ast.Call) else None


def _name_of_value(node: ast.expr, frame: FrameType) -> str | None:
    """Name of what an expression stands for, without evaluating anything but names of modules."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Call):
        made = _name_of_value(node.func, frame)
        return ".".join((made, *attributes)) if made and made.startswith("numpy.random.") else None
    if not isinstance(node, ast.Name):
        return None
    value = frame.f_locals.get(node.id, frame.f_globals.get(node.id))
    if isinstance(value, (np.random.Generator, np.random.RandomState)):
        return ".".join(("numpy.random", type(value).__name__, *attributes))
    if has_memory(value):
        return ".".join(("numpy.ndarray", *attributes))
    while attributes and isinstance(value, ModuleType):
        if len(attributes) == 1:
            return f"{value.__name__}.{attributes[0]}"
        value = vars(value).get(attributes.pop(0))
    name = getattr(value, "__name__", None)
    module = getattr(value, "__module__", None)
    if attributes or not isinstance(name, str) or not isinstance(module, str):
        return None
    return f"{module.split('._')[0]}.{name}"


def _is_assignment(frame: FrameType) -> bool:
    """Whether a frame converts a Tensor by an assignment ``array[i] = t``."""
    return frame.f_code.co_code[frame.f_lasti] == opmap["STORE_SUBSCR"]
