"""Prose is spelled the British way: "colour", "normalise", "optimiser".

Prose is the comments and docstrings of Python files, Markdown files, and the text cells of
notebooks, without what is code there: fences, spans in backticks, examples, addresses, names with a
dot, an underscore or a bracket, and the names that the entries of a docstring begin with.
"""

import ast
import io
import json
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("autodiff", "benchmarks", "docs", "examples", "notebooks", "tests")

_IZE = (
    "canonical|capital|categor|character|custom|diagonal|discret|emphas|equal|factor|final|formal|"
    "general|initial|linear|local|material|maxim|memo|memor|minim|neutral|normal|optim|organ|"
    "orthogonal|parallel|parametr|penal|prior|quant|random|raster|real|recogn|regular|serial|"
    "special|stabil|standard|summar|symbol|symmetr|synchron|token|util|vector|visual"
)
_OR = "arbor|behavi|col|fav|flav|harb|hon|hum|lab|neighb|rig|vap|vig"
_DOUBLED = "cancel|channel|dial|fuel|label|level|marshal|model|signal|total|travel|tunnel"
_WORDS = {
    "analog": "analogue",
    "analogs": "analogues",
    "artifact": "artefact",
    "artifacts": "artefacts",
    "catalog": "catalogue",
    "catalogs": "catalogues",
    "center": "centre",
    "centers": "centres",
    "centered": "centred",
    "centering": "centring",
    "defense": "defence",
    "fulfill": "fulfil",
    "fulfills": "fulfils",
    "gray": "grey",
    "grays": "greys",
    "offense": "offence",
    "skeptical": "sceptical",
    "skillful": "skilful",
}
_RULES = [
    (rf"(\w*(?:{_IZE})i)z(e[drs]?|ers|ing|ations?|able)", r"\1s\2"),
    (r"(\w*(?:anal|catal))yz(e[drs]?|ers|ing)", r"\1ys\2"),
    (rf"(\w*(?:{_OR})o)(r(?:s|ed|ing|ings|ful|less|able|ites?|al|ly|hood)?)", r"\1u\2"),
    (rf"((?:re|un)?(?:{_DOUBLED}))(ed|er|ers|ing)", r"\1l\2"),
]

_TITLES = [
    "Color Universal Design",
    "What Color Is Your Jacobian. Graph Coloring for",
    "New Acyclic and Star Coloring Algorithms",
    "Gradient-based optimization of hyperparameters",
    "Numerical Optimization",
]
"""Titles of works, which keep their spelling."""


def british(word):
    """The British spelling of a word, which is the word itself if it has no other."""
    low = word.lower()
    changed = _WORDS.get(low)
    for pattern, replacement in _RULES:
        found = re.fullmatch(pattern, low)
        if found:
            changed = found.expand(replacement)
    if changed is None:
        return word
    return changed.upper() if word.isupper() else word[0] + changed[1:]


# --- where prose is -------------------------------------------------------------------------------


def _blank(match):
    """As many blanks, so that what comes after it stays in its place."""
    return re.sub(r"[^\n]", " ", match.group())


def _without(patterns, text):
    for pattern in (*patterns, *(title.replace(" ", r"\s+") for title in _TITLES)):
        text = re.sub(pattern, _blank, text, flags=re.MULTILINE | re.DOTALL)
    return text


_NAMES = [
    r"https?://\S+",
    r"\w*_\w*",  # a_name
    r"\b\w+(?:\.\w+)+",  # module.name, name.md
    r"\b\w+(?=[(=\[])",  # name(...), name=..., name[...]
    r"(?<!\S)--?\w[\w-]*",  # an option of a command
]
_SPANS = [r"``.+?``", r"`[^`]+`"]
_IN_MARKDOWN = [r"^( *)```.*?^ *```$", *_SPANS, r"\]\([^)]*\)", r"<[^>]+>", *_NAMES]
_IN_DOCSTRINGS = [r"^ *>>> .*?(?=^ *$|\Z)", *_SPANS, r"^ *[\w*, <>]+ : ", *_NAMES]
_IN_COMMENTS = [*_SPANS, *_NAMES]


def prose_of_markdown(text):
    """The text with blanks in the place of all that is not prose."""
    return _without(_IN_MARKDOWN, text)


def prose_of_python(text):
    """The text with blanks in the place of all that is not prose."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    statements = {
        (node.lineno, len(lines[node.lineno - 1].encode()[: node.col_offset].decode()))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
    kept = list(re.sub(r"[^\n]", " ", text))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            patterns = _IN_COMMENTS
        elif token.type == tokenize.STRING and token.start in statements:
            patterns = _IN_DOCSTRINGS
        else:
            continue
        begin = starts[token.start[0] - 1] + token.start[1]
        kept[begin : begin + len(token.string)] = _without(patterns, token.string)
    return "".join(kept)


def text_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def american_words(prose):
    """Words with another spelling, as (position, word)."""
    words = re.finditer(r"[A-Za-z]+", prose)
    return [(m.start(), m.group()) for m in words if british(m.group()) != m.group()]


# --- tests ----------------------------------------------------------------------------------------


def texts():
    """Files that hold prose, by their path from the root."""
    top = sorted(ROOT.glob("*.md"))
    below = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))]
    return [
        path.relative_to(ROOT).as_posix()
        for path in top + below
        if path.suffix in (".py", ".md", ".ipynb") and ".ipynb_checkpoints" not in path.parts
    ]


@pytest.mark.parametrize("name", texts())
def test_prose_is_british(name):
    path = ROOT / name
    if path.suffix == ".ipynb":
        proses = [prose_of_markdown(text) for text in text_cells(path)]
    else:
        text = path.read_text(encoding="utf-8")
        proses = [prose_of_python(text) if path.suffix == ".py" else prose_of_markdown(text)]
    found = [
        f"line {prose.count(chr(10), 0, position) + 1}: {word}, in British {british(word)}"
        for prose in proses
        for position, word in american_words(prose)
    ]
    assert not found, f"{name}: {'; '.join(found)}"


@pytest.mark.parametrize(
    ("american", "expected"),
    [
        ("optimizer", "optimiser"),
        ("Initialization", "Initialisation"),
        ("vectorized", "vectorised"),
        ("reparametrize", "reparametrise"),
        ("analyzing", "analysing"),
        ("COLOR", "COLOUR"),
        ("colorings", "colourings"),
        ("neighboring", "neighbouring"),
        ("unlabeled", "unlabelled"),
        ("centered", "centred"),
        ("gray", "grey"),
    ],
)
def test_american_words_are_known(american, expected):
    assert british(american) == expected
    assert british(expected) == expected


@pytest.mark.parametrize(
    "word",
    ["size", "resized", "prize", "rigorous", "laboratory", "decorator", "humorous", "color_",
     "dialect", "cancels", "honorary", "coloration", "labels", "modelled", "analysis"],
)  # fmt: skip
def test_other_words_are_left_alone(word):
    assert british(word) == word


def test_code_is_not_prose():
    python = '''"""A color of `color` and ``color``.

Parameters
----------
color : the color

Examples
--------
>>> color
color

The color, color(x), color=1, a.color, a_color.
"""
color = "color"  # a color, not `color`
'''
    found = american_words(prose_of_python(python))
    assert [python[:position].count("\n") + 1 for position, _ in found] == [1, 5, 12, 14]
    markdown = "A color `color` [color](color.md) <b color>.\n\n```python\ncolor\n```\ncolor\n"
    found = american_words(prose_of_markdown(markdown))
    assert [markdown[:position].count("\n") + 1 for position, _ in found] == [1, 1, 6]
