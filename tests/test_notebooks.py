"""The notebooks as files: valid, without outputs, each with a title, and of code that compiles.

`.ci/run` executes them. Here only what exercises need is run, to see that the solutions are right.
"""

import ast
import copy
import itertools
import re
import symtable
from pathlib import Path

import nbformat
import pytest

import autodiff as ad

FOLDER = Path(__file__).parent.parent / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
SOLUTION = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
STRIP = "jupyter nbconvert --clear-output --inplace notebooks/*.ipynb"

if not PATHS:
    pytest.skip("the notebooks are not part of this distribution", allow_module_level=True)


def read(path):
    """A notebook as it is; `nbformat.read` would repair some of it."""
    return nbformat.v4.reads(path.read_text(encoding="utf-8"))


def code_of(notebook):
    """Code of a notebook with its place: its cells, and the solutions in its text."""
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            yield f"cell {number}", cell.source
        else:
            for at, source in enumerate(SOLUTION.findall(cell.source)):
                yield f"code {at} in the text of cell {number}", source


def problems(notebook):
    """What is wrong with a notebook; empty where nothing is."""
    if (notebook.nbformat, notebook.nbformat_minor) < (4, 5):
        return ["is older than format 4.5, which gave cells their ids"]
    ids = [cell.get("id") for cell in notebook.cells]
    if None in ids or len(set(ids)) < len(ids):
        return ["has cells without an id, or with the same"]  # validation would repair it
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return [f"is not valid: {error.message}"]
    found = []
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        found.append("has another kernel than python3")
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count is not None):
            found.append(f"cell {number} has outputs or an execution count; run: {STRIP}")
    if not notebook.cells or not re.match(r"# \d+\. \S", notebook.cells[0].source):
        found.append("does not begin with a title like '# 1. From scalars to tensors'")
    for place, source in code_of(notebook):
        try:
            compile(source, place, "exec")
        except SyntaxError as error:
            found.append(f"{place} does not compile: {error}")
        if re.search(r"(?<!\w)/(?:home|tmp|work|Users|usr)/", source):
            found.append(f"{place} has a path of one machine")
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebook(path):
    assert not problems(read(path))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_title_and_file_have_the_same_number(path):
    title = read(path).cells[0].source.splitlines()[0]
    assert int(path.stem[:2]) == int(re.match(r"# (\d+)\. ", title).group(1))


def test_they_are_numbered_without_gaps():
    assert [int(path.stem[:2]) for path in PATHS] == list(range(1, len(PATHS) + 1))


def test_overview_lists_them_in_order():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\|.*\]\((\S+\.ipynb)\)", text, re.MULTILINE) == [p.name for p in PATHS]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_links_between_notebooks_lead_somewhere(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#:\s]+)\)", cell.source):
                assert (FOLDER / target).exists(), target


def first_code(notebook):
    return next(cell for cell in notebook.cells if cell.cell_type == "code")


def run_once(notebook):
    first_code(notebook).execution_count = 1


def show_something(notebook):
    first_code(notebook).outputs = [nbformat.v4.new_output("stream", text="1")]


def break_code(notebook):
    first_code(notebook).source += "\nx = = 1"


def break_solution(notebook):
    notebook.cells[-1].source += "\n```python\nx = = 1\n```\n"


def read_a_private_file(notebook):
    first_code(notebook).source += "\nopen('/home/me/data.csv')"


def repeat_an_id(notebook):
    notebook.cells[1].id = notebook.cells[0].id


def drop_an_id(notebook):
    del notebook.cells[0]["id"]


def drop_the_title(notebook):
    notebook.cells[0].source = "Text"


def misspell_a_field(notebook):
    notebook.cells[0].text = notebook.cells[0].pop("source")


def change_the_kernel(notebook):
    notebook.metadata.kernelspec.name = "julia"


@pytest.mark.parametrize(
    "spoil",
    [
        run_once,
        show_something,
        break_code,
        break_solution,
        read_a_private_file,
        repeat_an_id,
        drop_an_id,
        drop_the_title,
        misspell_a_field,
        change_the_kernel,
    ],
)
def test_a_spoilt_notebook_is_noticed(spoil):
    notebook = copy.deepcopy(read(PATHS[0]))
    assert not problems(notebook)
    spoil(notebook)
    assert problems(notebook)


# --- the pages with their results -----------------------------------------------------------------

PAGES = FOLDER.parent / "docs" / "notebooks"
REMEDY = "run: python docs/make_notebooks.py"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_page_with_results_is_of_this_notebook(path):
    text = (PAGES / f"{path.stem}.md").read_text(encoding="utf-8")
    cells = [cell for cell in read(path).cells if cell.cell_type == "code" and cell.source.strip()]
    at = 0
    for cell in cells:
        at = text.find(f"```python\n{cell.source.rstrip()}\n```", at)
        assert at >= 0, REMEDY
    assert "Traceback" not in text
    assert not re.search(r"ipykernel_|/tmp/|/home/|/root/", text), REMEDY
    files = re.findall(rf"\]\(({re.escape(path.stem)}-\d+\.\w+)\)", text)
    assert files
    assert {file.name for file in PAGES.glob(f"{path.stem}-[0-9]*.*")} == set(files), REMEDY


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_a_cell_prints_stands_in_one_piece(path):
    text = (PAGES / f"{path.stem}.md").read_text(encoding="utf-8")
    assert not re.search(r"^```text\n(?:(?!```).*\n)*```\n\n```text\n", text, re.MULTILINE), REMEDY


def test_live_pages_are_in_the_notebooks():
    for number in ("01", "02", "04", "05"):
        (page,) = PAGES.glob(f"{number}-*.md")
        (live,) = PAGES.glob(f"{page.stem}-[0-9]*.html")
        assert f"[Open the page]({live.name})" in page.read_text(encoding="utf-8")
        assert live.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


# --- exercises that answer ------------------------------------------------------------------------


def exercises(notebook):
    """Code of each cell that answers, and of the solution that is folded below it."""
    (start,) = (i for i, cell in enumerate(notebook.cells) if "## Exercises" in cell.source)
    for cell, below in itertools.pairwise(notebook.cells[start:]):
        if cell.cell_type == "code":
            assert below.source.startswith("<details><summary>Solution</summary>")
            solution = below.source.partition("</details>")[0]
            yield cell.source, "\n".join(SOLUTION.findall(solution))


def names(source):
    """Global names that code binds, and those that it uses, in functions or outside."""
    table = symtable.symtable(source, "cell", "exec")
    symbols = table.get_symbols()
    bound = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}
    used = {s.get_name() for s in symbols if s.is_referenced()}
    inner = list(table.get_children())
    while inner:
        table = inner.pop()
        inner += table.get_children()
        used |= {s.get_name() for s in table.get_symbols() if s.is_global()}
    return bound, used


def needed_cells(notebook, needed):
    """The code cells before the exercises that lead to the needed names; trainings seldom do."""
    (end,) = (i for i, cell in enumerate(notebook.cells) if "## Exercises" in cell.source)
    found = []
    for cell in reversed(notebook.cells[:end]):
        if cell.cell_type == "code":
            bound, used = names(cell.source)
            if bound & needed:
                needed = (needed - bound) | (used - bound)
                found.insert(0, cell.source)
    return found


def solved(source, solution):
    """An exercise as a reader leaves it: the solution in place of what it defines."""
    given, _ = names(solution)
    kept = [ast.unparse(node) for node in ast.parse(source).body]
    changed = [i for i, statement in enumerate(kept) if names(statement)[0] & given]
    assert changed, "the solution defines nothing that the cell asks for"
    kept[changed[0]] = solution
    return "\n".join(text for i, text in enumerate(kept) if i not in changed[1:])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_exercises_tell_right_from_wrong(path, capsys, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    notebook = read(path)
    found = list(exercises(notebook))
    assert len(found) >= (2 if int(path.stem[:2]) <= 7 else 1)
    namespace = {"__name__": "__main__"}  # where a cell may declare its primitive again
    declared = set(ad.REGISTRY)
    needed = set().union(*(names(code)[1] for pair in found for code in pair))

    def said(source):
        capsys.readouterr()
        exec(compile(source, path.name, "exec"), dict(namespace))
        return capsys.readouterr().out

    try:
        with pyplot.rc_context():
            for source in needed_cells(notebook, needed):
                exec(compile(source, path.name, "exec"), namespace)
        for source, solution in found:
            first, last = said(source), said(solved(source, solution))
            assert first.strip(), "the cell says nothing"
            assert not first.startswith("right"), first
            assert last.startswith("right"), last
    finally:
        pyplot.close("all")
        for key in set(ad.REGISTRY) - declared:
            ad.REGISTRY.pop(key)


def test_a_solution_has_to_fit_its_exercise():
    cell = "answer = None\nprint('right' if answer == 10 else 'no')"
    assert solved(cell, "answer = 10").startswith("answer = 10\nprint")
    with pytest.raises(AssertionError, match="nothing that the cell asks for"):
        solved(cell, "ansewr = 10")
