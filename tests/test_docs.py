"""The documentation site: every public name has an entry, every page its place, nothing is fetched.

``mkdocs build --strict`` checks links and anchors; what is here needs no mkdocs.
"""

import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import autodiff as ad

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
ENTRY = re.compile(r"^::: (autodiff\.[\w.]+)$", re.MULTILINE)

pytestmark = pytest.mark.skipif(
    not (ROOT / "mkdocs.yml").exists(), reason="the documentation is not part of this distribution"
)


def site_hooks():
    spec = importlib.util.spec_from_file_location("site_hooks", DOCS / "site_hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entries():
    """Dotted paths that the reference documents, with the page each stands on."""
    return [
        (path, page.name)
        for page in sorted((DOCS / "reference").glob("*.md"))
        for path in ENTRY.findall(page.read_text(encoding="utf-8"))
    ]


def documented_object(path):
    """What a dotted path means to the documentation: modules first, then attributes."""
    parts = path.split(".")
    known = len(parts)
    while known:
        try:
            value = importlib.import_module(".".join(parts[:known]))
        except ModuleNotFoundError:
            known -= 1
            continue
        break
    for part in parts[known:]:
        value = getattr(value, part)
    return value


@pytest.mark.parametrize(
    "package",
    [ad, ad.ordering, ad.nn, ad.optim, ad.data, ad.interop, ad.parallel],
    ids=lambda package: package.__name__,
)
def test_every_public_name_has_an_entry_in_the_reference(package):
    documented = [documented_object(path) for path, _ in entries()]
    missing = [
        name
        for name in package.__all__
        if not any(value is getattr(package, name) for value in documented)
    ]
    assert not missing, f"{package.__name__}: write `::: ...` on a page in docs/reference"


def test_entries_stand_once_and_say_something():
    paths = [path for path, _ in entries()]
    assert sorted(set(paths)) == sorted(paths)
    for path in paths:
        value = documented_object(path)
        if callable(value):
            assert value.__doc__, path


def undocumented_bases(value, documented):
    """Bases of a class with methods that no entry of their own shows."""
    return [
        base
        for base in value.__mro__[1:]
        if base.__module__.startswith("autodiff.")
        and not base.__name__.startswith("_")
        and base not in documented
        and any(
            inspect.isfunction(member) and not name.startswith("_")
            for name, member in vars(base).items()
        )
    ]


def test_entries_show_the_methods_that_a_class_has_from_its_bases():
    documented = [
        value for path, _ in entries() if isinstance(value := documented_object(path), type)
    ]
    missing = []
    for page in sorted((DOCS / "reference").glob("*.md")):
        for path, options in re.findall(
            r"^::: (autodiff\.[\w.]+)\n((?: +.*\n)*)", page.read_text("utf-8"), re.MULTILINE
        ):
            value = documented_object(path)
            if isinstance(value, type) and "members: " not in options:
                missing += [(path, base.__name__) for base in undocumented_bases(value, documented)]
    assert not missing, "write `inherited_members: true` below these entries"


def test_every_page_is_in_the_navigation():
    configuration = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- (?:.*: )?(\S+\.md)$", configuration, re.MULTILINE)
    own = {page.relative_to(DOCS).as_posix() for page in PAGES}
    included = set(site_hooks().INCLUDED.values())
    assert sorted(listed) == sorted(own | included)


def test_links_between_pages_and_to_pictures_lead_somewhere():
    included = set(site_hooks().INCLUDED.values())
    broken = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for address in re.findall(r"\]\(([^)\s]+)\)", text):
            target = (page.parent / address.partition("#")[0]).resolve()
            if address.startswith("#") or target.exists():
                continue
            if target.is_relative_to(DOCS) and target.relative_to(DOCS).as_posix() in included:
                continue
            broken.append((page.name, address))
    assert not broken


def test_examples_end_before_their_fence():
    """A closing fence right after expected output would be read as part of it."""
    wrong = [
        (page.name, number)
        for page in PAGES
        for number, block in enumerate(
            re.findall(r"^```pycon\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        )
        if not block.endswith("\n\n")
    ]
    assert not wrong


def test_sources_of_the_site_load_nothing_from_the_network():
    hooks = site_hooks()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not hooks.network_assets(text), page.name
        assert not re.findall(r"!\[[^\]]*\]\((?:https?:)?//", text), page.name
        assert "mermaid" not in text, f"{page.name}: the theme would fetch a program to draw it"
    for style in sorted((DOCS / "stylesheets").glob("*.css")):
        text = style.read_text(encoding="utf-8")
        assert "//" not in text, style.name
        assert "@import" not in text, style.name
    configuration = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in configuration
    assert "analytics" not in configuration
    assert "://" not in configuration


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="https://host/x.js"></script>', ["https://host/x.js"]),
        ('<link rel="stylesheet" href="//host/x.css">', ["//host/x.css"]),
        ("<img alt='' src='http://host/x.png'>", ["http://host/x.png"]),
        ('<a href="https://host/">words</a> <img src="images/x.svg">', []),
        ('<link rel="canonical" href="https://host/page/">', []),
    ],
)
def test_what_a_page_would_fetch_is_found(html, found):
    assert site_hooks().network_assets(html) == found


def test_links_of_top_level_documents_become_links_of_the_site():
    relinked = site_hooks().relinked
    assert relinked("[a](ARCHITECTURE.md#rules)", "CONTRIBUTING.md") == "[a](architecture.md#rules)"
    assert relinked("[b](../docs/sparse.md)", "benchmarks/README.md") == "[b](sparse.md)"
    assert relinked("[c](benchmarks/)", "README.md") == "c"
    assert relinked("[d](https://host/)", "README.md") == "[d](https://host/)"
    assert (
        relinked('<img src="docs/images/tape.svg">', "README.md") == '<img src="images/tape.svg">'
    )


def test_pages_say_their_version():
    assert site_hooks().on_config({})["copyright"] == f"autodiff {ad.__version__}"


@pytest.mark.parametrize("word", ["lstm", "conv2d", "pandas", "attention", "dropout"])
def test_words_that_people_look_for_are_found(word):
    titles = [
        line for page in PAGES for line in page.read_text("utf-8").splitlines() if "#" in line
    ]
    bodies = "".join(page.read_text("utf-8") for page in PAGES if "howto" in str(page)).lower()
    assert any(word in title.lower() for title in titles)
    assert word in bodies


def test_directory_shows_what_is_meant_to_be_used():
    shown = [name for name in dir(ad) if not name.startswith("__")]
    assert {"nn", "data", "report", "grad", "optim", "numpy"} <= set(shown)
    # Nothing that the package merely imports, or that only its modules use
    assert set(shown) == {*ad.__all__, *ad._LAZY}
    assert all(getattr(ad, name) is not None for name in shown)


def test_help_of_grad_stands_by_itself():
    text = inspect.getdoc(ad.grad)
    assert text is not None
    for words in ("same arguments", "shape", "container", "value_and_grad", "jacobian", ">>>"):
        assert words in text


def test_rows_of_the_coverage_page_say_something():
    page = (DOCS / "coverage.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"^\| `(np\.[\w.]+)` \| (.+) \|$", page, re.MULTILINE):
        assert text.strip("`. ") != name, name
    assert "### Not covered" in page
    for name in ("np.packbits", "np.gcd", "np.nextafter"):
        assert f"`{name}`" in page.partition("### Not covered")[2]


def test_formulas_are_taken_out_of_text_and_of_nothing_else():
    hooks = site_hooks()
    text = (
        "Costs $5 and $6, `$a$`, \\$b\\$, and $x_1^2$ or $$\\frac{a}{b}$$.\n\n```python\n$c$\n```\n"
        "<script>let $d = $e;</script> $y$"
    )
    formulas = []
    left = hooks.without_formulas(text, formulas)
    assert formulas == [("inline", "x_1^2"), ("block", r"\frac{a}{b}"), ("inline", "y")]
    for kept in ("$5 and $6", "`$a$`", "\\$b\\$", "```python\n$c$\n```", "let $d = $e;"):
        assert kept in left


def test_formulas_of_the_pages_can_be_shown():
    pytest.importorskip("latex2mathml")
    hooks = site_hooks()
    formulas = []
    for page in sorted(DOCS.rglob("*.md")):
        hooks.without_formulas(page.read_text(encoding="utf-8"), formulas)
    assert len(formulas) > 400
    for display, formula in formulas:
        shown = hooks.mathml(formula, display)
        assert shown.startswith("<math")
        assert "\\" not in shown
