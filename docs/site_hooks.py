"""What the site needs beyond its pages: the top-level documents as pages, and no network.

mkdocs calls the ``on_...`` functions (``hooks:`` in mkdocs.yml).
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent

INCLUDED = {
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "own-benchmarks.md",
    "notebooks/README.md": "notebooks.md",
}
"""Files outside docs/ that are pages of the site, and their addresses there."""

_VERBATIM = re.compile(
    r"(^(`{3,}|~{3,}).*?^\2[ ]*$|`[^`\n]+`|<(svg|script|style)\b.*?</\3>)", re.DOTALL | re.MULTILINE
)
_FORMULA = re.compile(
    r"\$\$(?P<block>.+?)\$\$|(?<![\\$\w])\$(?=\S)(?P<inline>[^$\n]+?)(?<=\S)\$(?![\w$])", re.DOTALL
)
_BRACKET = re.compile(
    r'<mo stretchy="true" fence="true" minsize="[^"]+" maxsize="[^"]+">|<mo>(?=&#x02016;)'
)
_STAND_IN = "\ue000{}\ue001"
"""Of a formula, for Markdown to leave alone."""

_LINK = re.compile(r"(\[[^\]\n]*\]\(|\b(?:src|href)=\")([^)\"\s]+)")
_TAG = re.compile(r"<(?:script|link|img|iframe|source|video|audio|object|embed)\b[^>]*>")
_ADDRESS = re.compile(r"""\b(?:src|srcset|href|data|poster)=["']?((?:https?:)?//[^"'\s>]+)""")


def on_config(config: Any) -> Any:
    """Say at the foot of every page which version it describes."""
    text = (ROOT / "autodiff" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found is not None
    config["copyright"] = f"autodiff {found[1]}"
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the documents from outside docs/."""
    from mkdocs.structure.files import File

    for source, target in INCLUDED.items():
        text = relinked((ROOT / source).read_text(encoding="utf-8"), source)
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Take the formulas out of the text: to Markdown they would be emphasis and escapes."""
    page.formulas = []
    return without_formulas(markdown, page.formulas)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Put them back as MathML, which browsers show without a script."""
    for number, (display, formula) in enumerate(page.formulas):
        html = html.replace(_STAND_IN.format(number), mathml(formula, display))
    return html


def mathml(formula: str, display: str) -> str:
    """A formula in LaTeX as MathML."""
    from latex2mathml.converter import convert

    text: str = convert(formula, display=display)
    # Browsers stretch one bracket of a pair whose other one bears an exponent
    return _BRACKET.sub('<mo stretchy="false">', text)


def without_formulas(text: str, formulas: list[tuple[str, str]]) -> str:
    """The text with stand-ins; adds what they stand for: "block" or "inline", and LaTeX."""

    def taken(match: re.Match[str]) -> str:
        display = "inline" if match["block"] is None else "block"
        formulas.append((display, match[display].strip()))
        return _STAND_IN.format(len(formulas) - 1)

    found, place = [], 0
    for verbatim in _VERBATIM.finditer(text):
        found += [_FORMULA.sub(taken, text[place : verbatim.start()]), verbatim[0]]
        place = verbatim.end()
    return "".join([*found, _FORMULA.sub(taken, text[place:])])


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Refuse a page that a browser would load something for from another place."""
    from mkdocs.exceptions import PluginError

    found = network_assets(output)
    if found:
        raise PluginError(f"{page.file.src_uri} loads from the network: {', '.join(found)}")
    return output


def relinked(text: str, source: str) -> str:
    """Turn links of a top-level document into links of the site.

    What is no page and no picture of the site (a script, a folder) has no place to link to: a link
    to it becomes plain text.
    """
    folder = posixpath.dirname(source)

    def replaced(match: re.Match[str]) -> str:
        opening, address = match.groups()
        if address.startswith(("#", "http:", "https:", "mailto:")):
            return match.group()
        path, hash_, anchor = address.partition("#")
        path = posixpath.normpath(posixpath.join(folder, path))
        target = INCLUDED.get(path) or path.removeprefix("docs/")
        return f"{opening}{target}{hash_}{anchor}"

    return _unlinked(_LINK.sub(replaced, text))


def _unlinked(text: str) -> str:
    """Keep the words of links that lead out of the site."""

    def kept(match: re.Match[str]) -> str:
        words, address = match.groups()
        path = address.partition("#")[0]
        inside = not path or path in INCLUDED.values() or (ROOT / "docs" / path).is_file()
        return match.group() if inside or ":" in address else str(words)

    return re.sub(r"(?<!!)\[([^\]\n]*)\]\(([^)\s]+)\)", kept, text)


def network_assets(html: str) -> list[str]:
    """Addresses outside of the site that showing a page would fetch."""
    return [
        address
        for tag in _TAG.findall(html)
        for address in _ADDRESS.findall(tag)
        if 'rel="canonical"' not in tag
    ]
