"""Run the notebooks and write them as pages with their results: ``python docs/make_notebooks.py``.

Notebooks are committed without outputs; the pages in ``docs/notebooks`` have them, so that readers
of the site and of the repository see figures. Names of notebooks after the command run those alone.
"""

from __future__ import annotations

import base64
import html
import re
import sys
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
PAGES = ROOT / "docs" / "notebooks"

_MOST_LINES = 60
_CELL_FILE = re.compile(r"[^\s(]*[/\\]ipykernel_\d+[/\\]\d+\.py")
_PICTURES = {"image/svg+xml": "svg", "image/png": "png"}


def executed(path: Path) -> Any:
    """A notebook after it was run, in its own folder."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, resources=place).execute()
    return notebook


def page_of(notebook: Any, stem: str) -> tuple[str, dict[str, bytes]]:
    """Markdown of a notebook with outputs, and the pictures and pages in it by their names."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(relinked(cell.source))
        elif cell.cell_type == "code" and cell.source.strip():
            parts.append(f"```python\n{cell.source.rstrip()}\n```")
            for output in _joined(cell.outputs):
                parts += _shown(output, stem, pictures)
        if parts and parts[0].startswith("# ") and len(parts) == 1:
            parts.append(f"*The notebook `notebooks/{stem}.ipynb` with its results.*")
    return "\n\n".join(parts) + "\n", pictures


def relinked(text: str) -> str:
    """Links between notebooks as links between their pages."""
    return re.sub(r"\]\(([\w-]+)\.ipynb(#[^)]*)?\)", r"](\1.md)", text)


def _joined(outputs: list[Any]) -> list[Any]:
    """Outputs with what was printed in one piece: it comes in as many as its time gave rise to."""
    joined: list[Any] = []
    for output in outputs:
        printed = output.output_type == "stream"
        if printed and output.name == "stderr":
            continue
        last = joined[-1] if joined else None
        if printed and last is not None and last.output_type == "stream":
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _shown(output: Any, stem: str, pictures: dict[str, bytes]) -> list[str]:
    if output.output_type == "stream":
        return [_fenced(output.text)]
    data = output.get("data", {})
    frame = re.search(r'<iframe[^>]* srcdoc="([^"]*)"', "".join(data.get("text/html", "")))
    if frame is not None:
        name = f"{stem}-{len(pictures) + 1}.html"
        pictures[name] = html.unescape(frame[1]).encode()
        return [f"[Open the page]({name}) that the cell shows."]
    for kind, ending in _PICTURES.items():
        if kind in data:
            name = f"{stem}-{len(pictures) + 1}.{ending}"
            text = "".join(data[kind])
            pictures[name] = base64.b64decode(text) if ending == "png" else text.encode()
            return [f"![Result of the cell above]({name})"]
    return [_fenced("".join(data["text/plain"]))] if "text/plain" in data else []


def _fenced(text: str) -> str:
    # A cell's file is called after the machine and the process that ran it
    text = _CELL_FILE.sub("<cell>", text)
    lines = text.rstrip().splitlines()
    if len(lines) > _MOST_LINES:
        half = _MOST_LINES // 2
        lines = [*lines[:half], "...", *lines[-half:]]
    # A fence longer than any in the text
    fence = "`" * max(3, 1 + max((len(m) for m in re.findall(r"`+", text)), default=0))
    return "\n".join([f"{fence}text", *(line.rstrip() for line in lines), fence])


def main() -> None:
    """Write the pages."""
    PAGES.mkdir(exist_ok=True)
    wanted = sys.argv[1:]
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if wanted and path.stem not in wanted:
            continue
        text, pictures = page_of(executed(path), path.stem)
        for old in PAGES.glob(f"{path.stem}-[0-9]*.*"):
            old.unlink()
        (PAGES / f"{path.stem}.md").write_text(text, encoding="utf-8", newline="\n")
        for name, content in pictures.items():
            (PAGES / name).write_bytes(content)
        print(path.stem, f"{len(text) / 1000:.0f} kB, {len(pictures)} pictures")


if __name__ == "__main__":
    main()
