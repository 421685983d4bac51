"""Object code without LLVM: on disk, in memory, and called from Python.

What runs a program that an earlier process compiled imports this, and nothing of what made it.
"""
