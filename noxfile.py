"""Sessions of the maintainer's: ``nox -l`` lists them, ``nox -s types`` runs one.

Each makes an environment of its own. What has to pass before a change goes in is `.ci/run`; here
is the same in parts, and what takes longer: other versions of Python and NumPy, and whole
test-suites of packages that depend on HIPS/autograd.
"""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests", "examples", "docs"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


@nox.session
def lint(session: nox.Session) -> None:
    """Style."""
    session.install("ruff>=0.9")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session(python=PYTHONS)
@nox.parametrize("numpy", ["newest", "2.0.*"])
def tests(session: nox.Session, numpy: str) -> None:
    """The test-suite; arguments go to pytest: ``nox -s tests -- tests/test_tape.py``."""
    if numpy == "2.0.*" and session.python in ("3.13", "3.14"):
        session.skip("there is no NumPy 2.0 for this Python")
    session.install("-e", ".[dev]")
    if numpy != "newest":
        session.install(f"numpy=={numpy}")
    session.run("python", "-m", "pytest", "-q", *session.posargs, env=QUIET)


@nox.session
def examples(session: nox.Session) -> None:
    """Examples in docstrings and pages, and the notebooks."""
    session.install("-e", ".[dev]")
    pages = ["README.md", "CONTRIBUTING.md", *sorted(map(str, Path("docs").rglob("*.md")))]
    session.run("python", "-m", "pytest", "-q", "--doctest-modules", "autodiff", *pages, env=QUIET)
    notebooks = sorted(map(str, Path("notebooks").glob("*.ipynb")))
    session.run("jupyter", "execute", "--timeout=300", *notebooks, env=QUIET)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, under ``build/site``."""
    session.install("-e", ".[docs]")
    session.run("mkdocs", "build", "--strict", "--quiet", "--site-dir", "build/site")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against peers; arguments go to ``autodiff bench``."""
    session.install("-e", ".[bench,scipy,compile]")
    session.run("autodiff", "bench", *session.posargs, env=QUIET)


@nox.session
def dependents(session: nox.Session) -> None:
    """Whole test-suites of packages for HIPS/autograd, on this engine."""
    session.run("python", "tests/dependents/run.py", "--full", *session.posargs)
