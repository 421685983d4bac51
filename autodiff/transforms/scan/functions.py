"""Loops whose steps hand a state on: `scan`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.core.arrays import array_or_scalar, as_value, foreign_among, is_number, zeros
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.errors import TapeError
from autodiff.ops.examples import stand_in
from autodiff.transforms.arguments import check_transform, code_of, function_name
from autodiff.transforms.closure import example, is_operand
from autodiff.transforms.scan.body import Body
from autodiff.transforms.scan.frozen import Frozen
from autodiff.transforms.scan.layout import Layout, cut
from autodiff.transforms.scan.operation import Checkpoint, Scan
from autodiff.transforms.scan.steps import FlatStep

__all__ = ["scan"]

Step = Callable[[Any, Any], tuple[Any, Any]]
ATTEMPTS = 100
"""How often a scan is begun again because a step met a Tensor that no step before had used."""


def scan(
    f: Step,
    carry: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    checkpoint: Checkpoint = None,
) -> tuple[Any, Any]:
    """Run ``carry, y = f(carry, x)`` for each `x` of `xs`, and stack the ``y``.

    What the loop ``for x in xs: carry, y = f(carry, x); ys.append(y)`` computes, as one operation
    whatever its length: on a tape, in pictures, and for every transform. Its derivative is a loop
    in the other direction, its tangent a loop of pairs, its batch a loop over batches.

    Parameters
    ----------
    f : callable
        Takes a carry and a slice of `xs`, and returns a pair: the carry for the next step, of the
        same structure, shapes and dtypes, and what to collect (None, or a container of arrays).
        Tensors that it uses from outside are differentiated as its arguments are. It must compute
        the same each time it is called: draw random numbers outside, and scan over them. It may
        write into what it is given. None stands for what is missing: ``f(carry, None)`` where
        there is no `xs`.
    carry : container of arrays and numbers
        State before the first step. Integers (counters, keys) carry no derivative.
    xs : container of arrays, optional
        Scanned along their first axes, which have one length.
    length : int, optional
        Number of steps; needed where there is no `xs`.
    reverse : bool
        Whether to start at the end of `xs`. What is collected stays beside its slice.
    checkpoint : None, int or "binomial"
        What reverse mode keeps until its sweep; see *Notes*.

    Returns
    -------
    carry : container
        State after the last step.
    ys : container of arrays
        What `f` collected, with a first axis that counts the steps.

    Raises
    ------
    TypeError
        `f` is no function, does not return a pair, or returns a carry of another structure, shape
        or dtype; `xs` holds something that is no array; `checkpoint` is none of its values.
    ValueError
        Arrays in `xs` have different lengths, or other lengths than `length`; neither is given;
        a length or number of segments is negative or zero; with no steps, `f` cannot be
        evaluated on stand-ins to learn what it collects.
    TapeError
        `f`, evaluated again with the same, returned something else or used other Tensors; in a
        sweep also, where too many ways of it were met to record them, because what it closes over
        has changed since.

    Notes
    -----
    Beside `xs` and what is collected, reverse mode keeps carries only, and runs each step again
    when it goes back. Of n steps it keeps

    =================  ============================================  ==============================
    `checkpoint`       carries kept at a time                        evaluations of `f` for a step
    =================  ============================================  ==============================
    None               n                                             2
    k, an int          k, and n / k while it goes back through one   3
    ``"binomial"``     log2(n) + 2                                   4.6 for n = 1,000
    =================  ============================================  ==============================

    and what one step needs. The last is the schedule of Griewank and Walther (2000), with as many
    snapshots as n has binary digits; no other needs fewer evaluations. More segments than
    steps are as many as steps. Second derivatives of a scan by that schedule keep the square root
    of n; cotangents of what is outside are summed and never kept step by step.

    A Python loop keeps what every operation needs instead of evaluating `f` twice. Against that,
    one step is recorded for all (as far as `f` goes the same way in them): a gradient takes 1.0 to
    1.4 times as long as that of the loop, and a product with a Hessian half as long.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> def step(total, x):
    ...     total = total * 0.5 + x
    ...     return total, total
    >>> ad.scan(step, 0.0, np.array([1.0, 2.0, 3.0]))
    (np.float64(4.25), array([1.  , 2.5 , 4.25]))
    >>> ad.grad(lambda xs: ad.scan(step, 0.0, xs)[0])(np.array([1.0, 2.0, 3.0]))
    array([0.25, 0.5 , 1.  ])
    >>> tape = ad.record(lambda xs: ad.scan(step, 0.0, xs))(np.ones(1000))
    >>> [entry.primitive.name for entry in tape]
    ['scan(step)']
    """
    check_transform(f, "scan")
    carries, carry_tree = tree.flatten(carry)
    rows, xs_tree = tree.flatten(xs)
    for i, leaf in enumerate(carries):
        carries[i] = _carried(leaf, tree.LeafPath(carry_tree, i, "carry"))
    for i, row in enumerate(rows):
        _check_scanned(row, tree.LeafPath(xs_tree, i, "xs"))
    count = _length(rows, xs_tree, length)
    checkpoint = _checked_checkpoint(checkpoint)
    name = f"scan({function_name(f)})"
    body = Body(f, name, carry_tree, xs_tree, [spec_of(leaf) for leaf in carries])
    if not count:
        return _of_no_steps(body, carries, rows)
    run = _Run(body, len(carries), len(rows), count, bool(reverse), checkpoint, code_of(f))
    outs = run([*carries, *rows])
    assert body.y is not None
    y_tree = body.y[0]
    return (
        tree.unflatten(carry_tree, outs[: len(carries)]),
        tree.unflatten(y_tree, outs[len(carries) :]),
    )


class _Run:
    """One call of `scan` on flat values."""

    def __init__(
        self,
        body: Body,
        carries: int,
        scanned: int,
        length: int,
        reverse: bool,
        checkpoint: Checkpoint,
        code: Any,
    ) -> None:
        self.body = body
        self.carries = carries
        self.scanned = scanned
        self.length = length
        self.reverse = reverse
        self.checkpoint = checkpoint
        self.code = code

    def __call__(self, values: Sequence[Any]) -> tuple[Any, ...]:
        body = self.body
        if not any(isinstance(value, Box) for value in values):
            found = self._attempt(lambda: self._plainly(values))
            if found is not None:
                return found
        self._find_outside(values, every=False)
        for _ in range(ATTEMPTS):
            step = self._frozen(values)
            run = functools.partial(self._scan(step).evaluate, [*values, *body.outside])
            found = self._attempt(run)
            if found is not None:
                step.settle()
                return found
            # A step goes another way than the first, and meets Tensors that this one did not
            missed, count = body.missed, len(body.outside)
            self._find_outside(values, every=True)
            if missed is not None and len(body.outside) == count:
                body.outside.append(missed)
        raise TapeError(
            f"{body.name}: each time it is evaluated it uses other Tensors from outside; it must "
            "do the same each time"
        )

    def _attempt(self, run: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...] | None:
        """Outputs; None where a step used a Tensor from outside that had not been found."""
        body = self.body
        body.begin()
        try:
            outs = run()
        except Exception:
            if body.missed is None:
                raise
            return None
        return outs if body.missed is None else None

    def _plainly(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Run the loop on arrays."""
        with self.body.opened(values) as step:
            return self._scan(self.body).run(step, values)

    def _scan(self, step: FlatStep) -> Scan:
        body = self.body
        stacked = 0 if body.y is None else len(body.y[1])
        names = [
            *tree.paths(body.carry, "carry"),
            *tree.paths(body.xs, "xs"),
            *[f"outside Tensor {i}" for i in range(len(body.outside))],
        ]
        return Scan(
            body.name,
            step,
            Layout(self.carries, self.scanned, len(body.outside), stacked, 0),
            length=self.length,
            reverse=self.reverse,
            checkpoint=self.checkpoint,
            paths=names,
            flops=body.flops,
            first=True,
            made_of=self.code,
        )

    def _frozen(self, values: Sequence[Any]) -> Frozen:
        """Record the first step that is evaluated."""
        examples = [example(value) for value in (*values, *self.body.outside)]
        carry, rows, outside = cut(examples, (self.carries, self.scanned, len(examples)))
        first = self.length - 1 if self.reverse else 0
        return Frozen(self.body, [*carry, *[row[first] for row in rows], *outside])

    def _find_outside(self, values: Sequence[Any], *, every: bool) -> None:
        """Evaluate the first step, or all of them, to find Tensors from outside."""
        examples = [example(value) for value in values]
        carry, rows = examples[: self.carries], examples[self.carries :]
        order = range(self.length)[:: -1 if self.reverse else 1]
        for i in order if every else order[:1]:
            carry = list(self.body.discover(*carry, *[row[i] for row in rows])[: self.carries])


def _carried(leaf: Any, path: tree.LeafPath) -> Any:
    """Check a leaf of the carry; numbers become scalars."""
    if is_operand(leaf):
        return leaf if isinstance(leaf, Box) else array_or_scalar(leaf)
    if is_number(leaf):
        return as_value(leaf)
    raise TypeError(
        f"scan: {path} is a {type(leaf).__name__}; the carry must hold numbers, arrays or Tensors, "
        "or containers of them; let the function close over anything else"
    )


def _check_scanned(leaf: Any, path: tree.LeafPath) -> None:
    """Refuse a leaf of what is scanned that has no first axis."""
    if is_operand(leaf) and leaf.shape:
        if not isinstance(leaf, Box):
            array_or_scalar(leaf)  # refuses kinds of arrays that are more than their elements
        return
    what = f"a {type(leaf).__name__}" if not is_operand(leaf) else f"a number, {spec_of(leaf)}"
    raise TypeError(
        f"scan: {path} is {what}; xs must hold arrays whose first axis counts the steps: "
        "np.array(xs) of a list of numbers, np.stack(xs) of a list of arrays"
    )


def _length(rows: Sequence[Any], structure: tree.PyTreeSpec, length: int | None) -> int:
    """Check the number of steps that is given, or that the arrays have."""
    if length is not None:
        if isinstance(length, bool) or not isinstance(length, (int, np.integer)):
            raise TypeError(f"scan: length must be an int, got {length!r}")
        if length < 0:
            raise ValueError(f"scan: length must not be negative, got {length}")
    if not rows:
        if length is None:
            raise ValueError("scan: give xs to scan over, or length=, the number of steps")
        return int(length)
    lengths = [row.shape[0] for row in rows]
    for i, own in enumerate(lengths):
        if own != lengths[0]:
            raise ValueError(
                f"scan: {tree.LeafPath(structure, 0, 'xs')} has length {lengths[0]} along its "
                f"first axis, {tree.LeafPath(structure, i, 'xs')} has {own}; all must have one "
                "length"
            )
    if length is not None and length != lengths[0]:
        raise ValueError(
            f"scan: length={length}, but {tree.LeafPath(structure, 0, 'xs')} has length "
            f"{lengths[0]} along its first axis; leave length out, or cut xs"
        )
    return int(lengths[0])


def _checked_checkpoint(checkpoint: Any) -> Checkpoint:
    if checkpoint is None or (isinstance(checkpoint, str) and checkpoint == "binomial"):
        return checkpoint
    if isinstance(checkpoint, bool) or not isinstance(checkpoint, (int, np.integer)):
        raise TypeError(
            "scan: checkpoint must be None, a number of segments, or 'binomial', got "
            f"{checkpoint!r}"
        )
    if checkpoint < 1:
        raise ValueError(f"scan: checkpoint={checkpoint}, but there must be a segment at least")
    return int(checkpoint)


def _of_no_steps(body: Body, carries: Sequence[Any], rows: Sequence[Any]) -> tuple[Any, Any]:
    """Give the carry as it is, and empty arrays of what the function would collect."""
    slices = [stand_in(row.shape[1:], row.dtype, row) for row in rows]
    try:
        with np.errstate(all="ignore"):
            body.discover(*map(example, carries), *slices)
    except Exception as error:
        raise ValueError(
            f"{body.name}: there are no steps, so the function was evaluated on ones to learn what "
            f"it collects, and failed: {type(error).__name__}: {error}"
        ) from error
    assert body.y is not None
    structure, collected = body.y
    like = foreign_among([*carries, *rows])
    ys = [zeros((0, *spec.shape), spec.dtype, like) for spec in collected]
    return tree.unflatten(body.carry, carries), tree.unflatten(structure, ys)
