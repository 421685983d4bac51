"""What a primitive's ``lower=`` says: what an operation is to the compiler.

Elementwise primitives are compiled by running their function on symbols; ``lower=`` gives another
function of numbers where that one is not made of NumPy's elementary functions. Any other primitive
gives a function of the `Lowering` at hand, which returns a form: a view (`Viewed`), elements at
indices (`Gathered`), a reduction (`Reduced`), an output put together of inputs (`Pieces`), matrix
products (`Multiplied`), each element by itself (`Pointwise`), or NumPy's functions that it is
composed of (`Composed`). What says nothing is called as it is.

Examples
--------
>>> import numpy as np
>>> import autodiff as ad
>>> from autodiff import lowering
>>> @ad.linear(
...     transpose=lambda g: np.concatenate([g, np.zeros(1)]) - np.concatenate([np.zeros(1), g]),
...     lower=lambda operation: lowering.Composed(lambda x: x[:-1] - x[1:]),
... )
... def doc_falls(x):
...     return -np.diff(x)
>>> doc_falls(np.array([3.0, 1.0, 0.0]))
array([2., 1.])
"""

from autodiff.ops.lowered import (
    Composed,
    Form,
    Gathered,
    Indices,
    Lowering,
    Multiplied,
    Piece,
    Pieces,
    Pointwise,
    Reduced,
    Viewed,
    at_index,
    reduced_over_axis,
)

__all__ = [
    "Composed",
    "Form",
    "Gathered",
    "Indices",
    "Lowering",
    "Multiplied",
    "Piece",
    "Pieces",
    "Pointwise",
    "Reduced",
    "Viewed",
    "at_index",
    "reduced_over_axis",
]
