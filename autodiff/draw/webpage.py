"""Web pages as one file each: a template of ``assets`` with its style, script and data inside.

Pages load nothing: their own policy allows the style and the script that they hold, by their
hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

from autodiff.host import target_of

__all__ = ["Html", "assemble", "save"]

_SHARED_STYLE = "base"
_SHARED_SCRIPTS = ("dom", "player")


class Html(str):
    """HTML text that notebooks show as a separate page, in a frame."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return (
            '<iframe title="interactive page" sandbox="allow-scripts" width="100%" height="640" '
            f'style="border:1px solid #8886" srcdoc="{html.escape(self)}"></iframe>'
        )


def save(text: str, path: str | PathLike[str] | None) -> Path | Html:
    """Write a page, or give it to a notebook where there is no path."""
    if path is None:
        return Html(text)
    target = target_of(path, "to_html")
    target.write_text(text, encoding="utf-8", newline="\n")
    return target


def assemble(template: str, style: str, scripts: Sequence[str], data: dict[str, Any]) -> str:
    """Page of a template, with everything it needs inside.

    Parameters
    ----------
    template, style : str
        Names of files in ``assets``, without their endings.
    scripts : sequence of str
        The same, in the order in which they are put together; what all pages share comes first.
    data : dict
        What the scripts read; its ``"title"`` is the page's.
    """
    css, script = _style(style), _script(tuple(scripts))
    policy = (
        f"default-src 'none'; style-src {_hash(css)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    # No "<" can end the script element that holds the data, whatever names it has
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = re.sub("[<\u2028\u2029\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)
    parts = {
        "policy": policy,
        "title": html.escape(data["title"].encode("utf-8", "replace").decode()),
        "style": css,
        "player": _asset("player.html").rstrip("\n"),
        "data": text,
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _asset(f"{template}.html"))


@cache
def _asset(name: str) -> str:
    return resources.files("autodiff.draw").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _style(name: str) -> str:
    return _asset(f"{_SHARED_STYLE}.css") + _asset(f"{name}.css")


@cache
def _script(names: tuple[str, ...]) -> str:
    """All scripts in one function of their own, so that no name of theirs is global.

    The layout library is one statement that declares ``dagre``. Its reference to a source map,
    which the page does not have, is left out.
    """
    library = re.sub(r"^//# sourceMappingURL.*\n?", "", _asset("vendor/dagre.min.js"), flags=re.M)
    licence = _asset("vendor/dagre.LICENSE.txt").strip()
    own = "\n".join(_asset(f"{name}.js") for name in (*_SHARED_SCRIPTS, *names))
    return (
        f'(() => {{\n"use strict";\n/*! @dagrejs/dagre\n{licence}\n*/\n{library}\n{own}\n}})();\n'
    )


def _hash(text: str) -> str:
    """Hash source of a content security policy (W3C, Content Security Policy 3, section 2.3.1)."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
