"""The command line: ``python -m autodiff``, or ``autodiff`` where it is installed.

`program` has the parser and `main`; each command is a module of its name.
"""

from autodiff.cli.program import main

__all__ = ["main"]
