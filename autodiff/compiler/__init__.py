"""Compiling: a function runs from an optimised tape, as generated NumPy or native code."""
