"""What gives another value each time: random numbers, clocks. A recording has one of them for ever.

A generator that is drawn from has another state afterwards. What makes a new generator of what the
system offers, and what tells the time, leaves no trace; so the code is looked through for it.
"""

from __future__ import annotations

import datetime
import os
import random
import sys
import time
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from autodiff.compiler.code import calls_without_arguments
from autodiff.core.arrays import has_memory
from autodiff.errors import CompileError
from autodiff.tape.signature import value_key

__all__ = ["Draws", "refuse_clocks"]

_GENERATORS: tuple[Any, ...] = (
    *(np.random.default_rng, np.random.RandomState, random.Random, random.SystemRandom),
)
_CLOCKS: tuple[Any, ...] = (
    *(time.time, time.time_ns, time.perf_counter, time.perf_counter_ns, time.monotonic),
    *(time.monotonic_ns, time.process_time, time.process_time_ns),
    *(datetime.datetime.now, datetime.datetime.utcnow, datetime.datetime.today, os.urandom),
    datetime.date.today,
)


def refuse_clocks(code: CodeType, names: dict[str, Any], function: str) -> None:
    """Refuse code that makes a generator without a seed, or tells the time.

    Parameters
    ----------
    code : code
    names : what its globals and closure hold
    function : its name, for the message
    """
    for first, *rest in calls_without_arguments(code):
        found, shown = names.get(first), ".".join((first, *rest))
        for name in rest:
            inside = isinstance(found, (ModuleType, type))
            found = getattr(found, name, None) if inside else None
        if isinstance(found, (str, bytes)) or not callable(found):
            continue
        if any(found is known for known in _GENERATORS):
            raise CompileError(
                f"compile: {function} calls {shown}() without a seed, and would draw the same "
                "numbers at each call; draw outside, and pass what was drawn, or give a seed"
            )
        if any(found == known for known in (*_CLOCKS, *_names_by_time())):
            raise CompileError(
                f"compile: {function} calls {shown}(), and would see what it gave when it was "
                "recorded; call it outside, and pass the value as an argument"
            )


def _names_by_time() -> tuple[Any, ...]:
    """Functions of a module that is there only where a program uses it."""
    module = sys.modules.get("uuid")
    return () if module is None else (module.uuid1, module.uuid4)


class Draws:
    """State of generators of random numbers before a function runs."""

    def __init__(self, generators: list[tuple[str, Any]]) -> None:
        self.generators = [
            ("np.random", np.random.mtrand._rand),
            ("random", _PYTHONS),
            *generators,
        ]
        self.before = [_state(generator) for _, generator in self.generators]

    def check(self, name: str) -> None:
        """Refuse a function that drew numbers, and leave the generators as they were."""
        drawn = [
            path
            for (path, generator), before in zip(self.generators, self.before, strict=True)
            if _restored(generator, before)
        ]
        if drawn:
            raise CompileError(
                f"compile: {name} draws random numbers from {' and '.join(drawn)}, and would get "
                "the same ones at each call; draw them outside, and pass them as an argument"
            )


_PYTHONS = random._inst
"""Whose methods the functions of `random` are."""


def _state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    return _bits(generator).state


def _content(state: Any) -> Any:
    """A state to be compared: its arrays are long, and their texts take longer than a recording."""
    if isinstance(state, dict):
        return tuple([(name, _content(part)) for name, part in state.items()])
    return value_key(state) if has_memory(state) else state


def _bits(generator: Any) -> Any:
    if isinstance(generator, np.random.RandomState):
        return generator._bit_generator
    return generator.bit_generator


def _restored(generator: Any, before: Any) -> bool:
    """Whether a generator was drawn from; then it is as it was again."""
    if _content(_state(generator)) == _content(before):
        return False
    if isinstance(generator, random.Random):
        generator.setstate(before)
    else:
        _bits(generator).state = before
    return True
