"""Colourings of sparsity patterns: which columns, or rows, one sweep can compute together.

Two columns without a common row can share a sweep: each entry of the sum of both belongs to one of
them. Grouping columns so is a partial distance-2 colouring of the bipartite graph of rows and
columns. A symmetric matrix needs less: each entry is in two places, and it is enough that one
of them can be read off, which is so for the groups of a star colouring of its adjacency graph
(Gebremedhin, Manne and Pothen, "What Color Is Your Jacobian? Graph Coloring for Computing
Derivatives", SIAM Review 47, 2005: sections 3.2, 3.4 and 4.2).

Finding the least number of colours is NP-hard; these are greedy algorithms, one pass over the
vertices in an order given beforehand. What programs on arrays give is mostly more regular: a band,
a stencil, blocks. `regular_coloring` sees such patterns in a few passes over whole arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import as_array
from autodiff.ordering.patterns import Integers, Pattern

__all__ = [
    "VERTEX_ORDERS",
    "column_coloring",
    "is_column_coloring",
    "is_star_coloring",
    "regular_coloring",
    "star_coloring",
]

VERTEX_ORDERS = ("natural", "largest-first")
"""Orders in which vertices are coloured: as numbered, or by falling number of neighbours."""


def _check_order(order: str) -> None:
    if order not in VERTEX_ORDERS:
        names = ", ".join(map(repr, VERTEX_ORDERS))
        raise ValueError(f"coloring: order={order!r} is not one of {names}")


def _vertex_order(neighbours: Integers, order: str) -> Integers:
    if order == "natural":
        return np.arange(len(neighbours))
    return np.argsort(-neighbours, kind="stable")


def column_coloring(pattern: Pattern, order: str = "natural") -> Integers:
    """Colour the columns of a pattern so that no row has two entries of one colour.

    The smallest colour that no column with a common row has is chosen for each column (Gebremedhin,
    Manne and Pothen, 2005, algorithm 3.2). Each row keeps the set of its colours as the bits of one
    integer, so the time is proportional to the entries (and to the colours, divided by the word
    length), not to the squares of the rows' lengths. Columns that do not wait for one another are
    coloured together, in vectorised code.

    Parameters
    ----------
    pattern : Pattern
    order : "natural" or "largest-first"
        The number of neighbours is counted with repetition: one for each common row.

    Returns
    -------
    array of int, one per column
        Colours from 0; -1 for a column without entries, which no sweep needs.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.ordering.patterns import Pattern
    >>> tridiagonal = Pattern.of(np.eye(5) + np.eye(5, k=1) + np.eye(5, k=-1))
    >>> column_coloring(tridiagonal)
    array([0, 1, 2, 0, 1])
    """
    _check_order(order)
    by_column = pattern.transposed()
    filled = by_column.counts() > 0
    if pattern.counts().max(initial=0) == filled.sum():
        # A row without zeros: no two columns can share a colour.
        return np.where(filled, np.cumsum(filled) - 1, -1)
    by_entry = pattern.counts()[by_column.indices] - 1
    running = np.concatenate(([0], np.cumsum(by_entry)))
    neighbours = np.diff(running[by_column.indptr])
    ranked = _vertex_order(neighbours, order)
    colors, used = _colored_together(pattern, by_column, ranked)
    left = ranked[(colors[ranked] < 0) & filled[ranked]].tolist()
    if left:
        starts = by_column.indptr.tolist()
        rows = by_column.indices.tolist()
        used_in_row: list[int] = used.tolist()
    for column in left:
        own = rows[starts[column] : starts[column + 1]]
        taken = 0
        for row in own:
            taken |= used_in_row[row]
        lowest_free = ~taken & (taken + 1)
        for row in own:
            used_in_row[row] |= lowest_free
        colors[column] = lowest_free.bit_length() - 1
    return colors


_WORD = 62
"""Colours whose set is the bits of one of NumPy's integers."""
_FEW, _PATIENCE = 400, 20
"""So often fewer entries at a time, and they are faster one by one."""


def _colored_together(
    pattern: Pattern, by_column: Pattern, ranked: Integers
) -> tuple[Integers, Integers]:
    """Colour all columns at once that wait for no other one, and so on.

    A column waits for those before it with a common row. So in each row one column at most is next,
    and the colours are those of one column after the other. Where few columns are next at a
    time, or many colours are needed, the rest is left (-1); gives the colours used in each row too.
    """
    rank = np.empty(pattern.columns, np.intp)
    rank[ranked] = np.arange(pattern.columns)
    waiters = rank[pattern.indices]
    if (rank[1:] < rank[:-1]).any():
        # The columns of each row in the order in which they are coloured
        before = pattern.row_indices() * pattern.columns
        waiters = np.sort(before + waiters) - before
    sizes = by_column.counts()[ranked]
    starts = by_column.indptr[:-1][ranked]
    following, ends = pattern.indptr[:-1].copy(), pattern.indptr[1:]
    heads = waiters[following[following < ends]]
    waiting = sizes - np.bincount(heads, minlength=len(sizes))
    ready = np.flatnonzero((waiting == 0) & (sizes > 0))
    used: Integers = np.zeros(pattern.rows, np.intp)
    colors: Integers = np.full(pattern.columns, -1)
    patience = _PATIENCE
    while len(ready):
        lengths = sizes[ready]
        total = int(lengths.sum())
        patience -= total < _FEW
        if not patience:
            break
        at = np.cumsum(lengths) - lengths
        rows = by_column.indices[np.repeat(starts[ready] - at, lengths) + np.arange(total)]
        taken = np.bitwise_or.reduceat(used[rows], at)
        lowest_free = ~taken & (taken + 1)
        if (lowest_free >> _WORD).any():
            break
        colors[ranked[ready]] = np.log2(lowest_free).astype(np.intp)
        used[rows] |= np.repeat(lowest_free, lengths)
        following[rows] += 1
        heads = waiters[following[rows[following[rows] < ends[rows]]]]
        heads, times = np.unique(heads, return_counts=True)
        waiting[heads] -= times
        ready = heads[waiting[heads] == 0]
    return colors, used


_MOST_DISTANCES = 4096
"""Distances between columns of one row up to which a pattern may be regular."""
_LONGEST_ROW = 64
_SAMPLED = 65_536
"""Distances that are looked at before all are."""


def regular_coloring(pattern: Pattern) -> Integers | None:
    """Colour the columns of a regular pattern with the fewest colours there can be.

    Columns of bands and stencils lie at few distances from one another, and remainders by a number
    that divides none of these tell them apart. In a pattern of blocks columns may be counted within
    their block.

    Parameters
    ----------
    pattern : Pattern

    Returns
    -------
    array of int, one per column, or None
        As `column_coloring`; None where neither way does with as many colours as the longest row
        has entries.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.ordering.patterns import Pattern
    >>> regular_coloring(Pattern.of(np.kron(np.eye(2), np.ones((1, 3)))))
    array([0, 1, 2, 0, 1, 2])
    >>> regular_coloring(Pattern.of(np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]]))) is None
    True
    """
    bound = int(pattern.counts().max(initial=0))
    if not 0 < bound <= _LONGEST_ROW:
        return None
    distances: Integers = np.zeros(0, np.intp)
    rows, columns = pattern.row_indices(), pattern.indices
    for step in range(1, bound):
        together = rows[step:] == rows[:-step]
        own = (columns[step:] - columns[:-step])[together]
        if len(np.unique(own[:: len(own) // _SAMPLED + 1])) > _MOST_DISTANCES:
            break
        distances = np.union1d(distances, own)
        if len(distances) > _MOST_DISTANCES:
            break
    else:
        unit = int(np.gcd.reduce(distances)) if len(distances) else 1
        if (distances // unit % bound).all():
            found: Integers = np.arange(pattern.columns) // unit % bound
            found[np.bincount(columns, minlength=pattern.columns) == 0] = -1
            return found
    return _counted_in_blocks(pattern, bound)


def _counted_in_blocks(pattern: Pattern, bound: int) -> Integers | None:
    """Numbers of the columns within their blocks, if no block has more columns than `bound`."""
    block = np.arange(pattern.columns)
    by_column = pattern.transposed()
    filled = by_column.counts() > 0
    if not filled.any():
        return None
    least = np.full(pattern.rows, pattern.columns)
    while True:
        # The least number among the columns of each row goes to all of them, and on from there
        least = _least_in_rows(pattern, block, least)
        lower = _least_in_rows(by_column, least, block)
        lower = lower[lower]
        # Columns of one number are of one block, before all of a block are found as well
        if np.bincount(lower[filled]).max() > bound:
            return None
        if np.array_equal(lower, block):
            break
        block = lower
    order = np.flatnonzero(filled)
    order = order[np.argsort(block[order], kind="stable")]
    starts = np.flatnonzero(np.diff(block[order], prepend=-1))
    counts = np.diff(np.append(starts, len(order)))
    colors = np.full(pattern.columns, -1)
    colors[order] = np.arange(len(order)) - np.repeat(starts, counts)
    return colors


def _least_in_rows(pattern: Pattern, of_columns: Integers, otherwise: Integers) -> Integers:
    """The least among a row's columns of some numbers; for empty rows, what is given for them."""
    found = otherwise.copy()
    filled = pattern.counts() > 0
    found[filled] = np.minimum.reduceat(of_columns[pattern.indices], pattern.indptr[:-1][filled])
    return found


def is_column_coloring(pattern: Pattern, colors: Any) -> bool:
    """Whether no row of a pattern has two entries in columns of one colour.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.ordering.patterns import Pattern
    >>> is_column_coloring(Pattern.of(np.array([[1, 1]])), np.array([0, 0]))
    False
    """
    colors = as_array(colors)
    entry_colors = colors[pattern.indices]
    if (entry_colors < 0).any():
        return False
    return bool((color_counts(pattern, colors, pattern.row_indices(), entry_colors) == 1).all())


def color_counts(pattern: Pattern, colors: Integers, rows: Integers, wanted: Integers) -> Integers:
    """How many entries of the given rows are in columns of the given colours."""
    width = int(colors.max(initial=-1)) + 1
    keys = np.sort(pattern.row_indices() * width + colors[pattern.indices])
    places = rows * width + wanted
    return np.searchsorted(keys, places, "right") - np.searchsorted(keys, places, "left")


def _check_symmetric(pattern: Pattern) -> None:
    if pattern.rows != pattern.columns or not pattern.equals(pattern.transposed()):
        raise ValueError(
            f"star_coloring: the pattern of shape {pattern.shape} is not symmetric; use "
            "column_coloring"
        )


def star_coloring(pattern: Pattern, order: str = "natural") -> Integers:
    """Colour a symmetric pattern so that every path of four vertices has at least three colours.

    Neighbours then differ in colour, and any two colours together form stars, so of the entries
    (i, j) and (j, i) one can be read off the compressed columns directly. The stars are kept while
    colouring (Gebremedhin, Tarafdar, Manne and Pothen, "New Acyclic and Star Coloring Algorithms
    with Application to Computing Hessians", SIAM Journal on Scientific Computing 29, 2007,
    algorithm 4.1). Here each vertex keeps the colours of its neighbours, and of the hubs whose
    leaf it is, as the bits of two integers: the time is proportional to the entries (and to the
    colours, divided by the word length), not to the number of paths of three vertices.

    Parameters
    ----------
    pattern : Pattern
        Symmetric; the diagonal needs no entries.
    order : "natural" or "largest-first"

    Returns
    -------
    array of int, one per row
        Colours from 0; -1 for a row without entries.

    Raises
    ------
    ValueError
        The pattern is not symmetric.

    Examples
    --------
    An arrow needs as many colours of columns as it has columns, but two of a star colouring:

    >>> import numpy as np
    >>> from autodiff.ordering.patterns import Pattern
    >>> arrow = np.eye(5)
    >>> arrow[0] = arrow[:, 0] = 1
    >>> star_coloring(Pattern.of(arrow))
    array([0, 1, 1, 1, 1])
    """
    _check_order(order)
    _check_symmetric(pattern)
    rows, columns = pattern.row_indices(), pattern.indices
    off = rows != columns
    degrees = np.bincount(rows[off], minlength=pattern.rows)
    starts = np.concatenate(([0], np.cumsum(degrees))).tolist()
    neighbours = columns[off].tolist()
    size = pattern.rows
    # Sets of colours are the bits of an integer; 0 is a vertex that has no colour yet.
    color = [0] * size
    near = [0] * size  # colours of a vertex's neighbours
    hubs = [0] * size  # colours of the hubs of the stars in which a vertex is a leaf
    of_color: dict[tuple[int, int], int] = {}  # a vertex's first neighbour of a colour
    for v in _vertex_order(degrees, order).tolist():
        colored = [w for w in neighbours[starts[v] : starts[v + 1]] if color[w]]
        first: dict[int, int] = {}
        forbidden = 0
        for w in colored:
            own = color[w]
            q = first.setdefault(own, w)
            # Two neighbours of one colour make v a hub: it differs from all their neighbours. With
            # one neighbour of a colour, v must not lengthen a star in which that one is a leaf.
            forbidden |= own | (hubs[w] if q == w else near[q] | near[w])
        chosen = ~forbidden & (forbidden + 1)
        color[v] = chosen
        for w in colored:
            own = color[w]
            if near[w] & chosen:
                hubs[of_color[w, chosen]] |= own
                hubs[v] |= own
            elif first[own] != w:
                hubs[first[own]] |= chosen
                hubs[w] |= chosen
        for w in neighbours[starts[v] : starts[v + 1]]:
            near[w] |= chosen
            of_color.setdefault((w, chosen), v)
    colors = np.array([bit.bit_length() - 1 for bit in color], np.intp)
    colors[pattern.counts() == 0] = -1
    return colors


def is_star_coloring(pattern: Pattern, colors: Any) -> bool:
    """Whether neighbours differ and no path of four vertices has only two colours.

    Equivalent, and what is tested: of each entry off the diagonal (i, j), row i has no other entry
    of column j's colour, or row j none of column i's.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.ordering.patterns import Pattern
    >>> path = Pattern.of(np.eye(4, k=1) + np.eye(4, k=-1))
    >>> is_star_coloring(path, [0, 1, 0, 1]), is_star_coloring(path, [0, 1, 0, 2])
    (False, True)
    """
    colors = as_array(colors)
    rows, columns = pattern.row_indices(), pattern.indices
    off = rows != columns
    rows, columns = rows[off], columns[off]
    if (colors[pattern.indices] < 0).any() or (colors[rows] == colors[columns]).any():
        return False
    alone = color_counts(pattern, colors, rows, colors[columns]) == 1
    mirrored = color_counts(pattern, colors, columns, colors[rows]) == 1
    return bool((alone | mirrored).all())
