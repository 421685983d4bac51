"""``python -m autodiff.compat autograd program.py``, ``-m module``, ``-c code``, on this engine."""

from __future__ import annotations

import os
import runpy
import sys

from autodiff.compat.installing import install

__all__: list[str] = []

USAGE = "usage: python -m autodiff.compat autograd (program.py | -m module | -c code) [arguments]"


def main() -> None:
    """Install a module tree, and run a program or a module."""
    arguments = sys.argv[1:]
    if len(arguments) < 2 or (arguments[1] in ("-m", "-c") and len(arguments) < 3):
        raise SystemExit(USAGE)
    try:
        install(arguments[0])
    except (ValueError, ImportError) as error:
        raise SystemExit(str(error)) from None
    if arguments[1] == "-m":
        sys.argv = arguments[2:]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(arguments[2], run_name="__main__", alter_sys=True)
    elif arguments[1] == "-c":
        sys.argv = ["-c", *arguments[3:]]
        sys.path.insert(0, os.getcwd())
        exec(compile(arguments[2], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = arguments[1:]
        sys.path.insert(0, os.path.dirname(os.path.abspath(arguments[1])))
        runpy.run_path(arguments[1], run_name="__main__")


if __name__ == "__main__":
    main()
