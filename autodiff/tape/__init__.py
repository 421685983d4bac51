"""Tapes: straight-line records of a computation, to read, check, price, evaluate and draw."""

from autodiff.tape.ir import Constant, Cost, Entry, Guard, Tape, Variable

__all__ = ["Constant", "Cost", "Entry", "Guard", "Tape", "Variable"]
