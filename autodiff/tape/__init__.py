"""Tapes: straight-line records of a computation, to read, check, price, evaluate and draw."""

from autodiff.tape.entries import Constant, Cost, Entry, Guard, Variable
from autodiff.tape.ir import Tape

__all__ = ["Constant", "Cost", "Entry", "Guard", "Tape", "Variable"]
