"""The parser of a command: it says what was meant by an option or a name that does not exist."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

__all__ = ["Parser", "did_you_mean"]


class Parser(argparse.ArgumentParser):
    """A parser that refuses unknown options itself, with its own usage and a suggestion.

    `argparse` hands what a command does not know to the program's parser, whose usage shows no
    option of the command.

    Examples
    --------
    >>> parser = Parser(prog="paint")
    >>> _ = parser.add_argument("--colour")
    >>> parser.parse_args(["--colour", "red"]).colour
    'red'
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse unknown long options first: what follows one would be taken for something else."""
        if args is not None:
            self._refuse_unknown(args)
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            what = "there is no option" if rest[0].startswith("-") else "one argument too many:"
            self.error(f"{what} {rest[0]}")
        return found, rest

    def _refuse_unknown(self, args: Sequence[str]) -> None:
        known = list(self._option_string_actions)
        for text in args:
            if text == "--" or (self._subparsers is not None and not text.startswith("-")):
                return
            name = text.partition("=")[0]
            if text.startswith("--") and not any(option.startswith(name) for option in known):
                self.error(f"there is no option {name}{did_you_mean(name, known)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            choices = map(str, action.choices or ())
            error.message += did_you_mean(str(value), choices)
            raise

    def error(self, message: str) -> NoReturn:
        """Show the usage and one line, whatever lines the message has."""
        super().error(" ".join(message.split()))


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """Return a question that names what is most like a text, or nothing.

    Examples
    --------
    >>> did_you_mean("--inptu", ["--input", "--out"])
    '; did you mean --input?'
    >>> did_you_mean("--quick", ["--input", "--out"])
    ''
    """
    close = difflib.get_close_matches(text, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
