"""What a primitive's ``local=`` and ``pattern=`` say: how its results depend on each input.

Each is a function of an `Operation` and the position of the input that returns a description: what
stays (`Same`), what is moved (`Reads`) or summed (`Sums`), which small matrices stand along the
axes (`Blocks`), or, where only the places matter, `Groups` and `Pairs`. Functions ready for use:
`moves` runs the primitive on the numbers of its elements; `reduced` and `one_row` are a sum and any
other reduction over the parameter ``axis``; `along` says that results mix along it alone; `stacks`
that matrices of a stack are apart, `systems` that right-hand sides are too.

Examples
--------
>>> import numpy as np
>>> import autodiff as ad
>>> from autodiff import structure
>>> @ad.linear(transpose=lambda g, by: turned(g, by=-by), local=structure.moves)
... def turned(x, *, by=1):
...     return np.roll(x, by)
>>> tape = ad.record(turned)(np.ones(3))
>>> ad.ordering.local_jacobians(tape, np.ones(3))
{(0, 1): <index map [3] -> [3]>}
"""

from autodiff.ops.descriptions import (
    Blocks,
    Description,
    Groups,
    Nothing,
    Operation,
    Pairs,
    Reads,
    Same,
    StructureRule,
    Sums,
    numbered,
)
from autodiff.ops.structures import (
    along,
    group_of_axes,
    moves,
    one_row,
    reduced,
    same,
    stacks,
    systems,
)

__all__ = [
    "Blocks",
    "Description",
    "Groups",
    "Nothing",
    "Operation",
    "Pairs",
    "Reads",
    "Same",
    "StructureRule",
    "Sums",
    "along",
    "group_of_axes",
    "moves",
    "numbered",
    "one_row",
    "reduced",
    "same",
    "stacks",
    "systems",
]
