"""Sessions of the maintainer's: ``nox -l`` lists them, ``nox -s types`` runs one.

Each makes an environment of its own. What has to pass before a change goes in is `.ci/run`; here
is the same in parts, and what takes longer: other versions of Python and of the dependencies, how
many lines are tested, whole test-suites of packages that depend on HIPS/autograd, and releases.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests", "examples", "notebooks", "docs"]
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
def tests(session: nox.Session) -> None:
    """The test-suite; arguments go to pytest: ``nox -s tests-3.13 -- tests/test_tape.py``."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-q", *session.posargs, env=QUIET)


@nox.session(python="3.11")
def minimum(session: nox.Session) -> None:
    """The test-suite with the oldest dependencies that are promised."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    extras = project["optional-dependencies"]
    chosen = [*extras["viz"], *extras["scipy"], *extras["compile"], *extras["onnx"]]
    promised = [*project["dependencies"], *chosen]
    oldest = [requirement.replace(">=", "~=") for requirement in promised]
    session.install("-e", ".[dev]", *(f"{it}.0" for it in oldest))
    session.run("python", "-m", "pytest", "-q", *session.posargs, env=QUIET)


@nox.session(python="3.13")
def coverage(session: nox.Session) -> None:
    """Which lines the test-suite runs; fails below the floor in pyproject.toml."""
    session.install("-e", ".[dev]")
    report = ["--cov", "--cov-report=term:skip-covered", "--cov-report=html:build/coverage"]
    # Python's own monitoring costs little; before 3.12 lines are counted at twice the time
    counted = {**QUIET, "COVERAGE_CORE": "sysmon"}
    session.run("python", "-m", "pytest", "-q", *report, *session.posargs, env=counted)


@nox.session
def examples(session: nox.Session) -> None:
    """Examples in docstrings and pages."""
    session.install("-e", ".[dev]")
    pages = ["README.md", "CONTRIBUTING.md", *sorted(map(str, Path("docs").rglob("*.md")))]
    session.run("python", "-m", "pytest", "-q", "--doctest-modules", "autodiff", *pages, env=QUIET)


@nox.session
def notebooks(session: nox.Session) -> None:
    """The notebooks, from their first cell to their last."""
    session.install("-e", ".[dev]")
    paths = sorted(map(str, Path("notebooks").glob("*.ipynb")))
    session.run("jupyter", "execute", "--timeout=300", *paths, env=QUIET)


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


@nox.session
def release(session: nox.Session) -> None:
    """What would be published: built, checked, installed and tested as its users get it.

    The wheel runs the demo from an environment with nothing else; the source archive passes its
    own tests beside that wheel's extras. ``nox -s release -- tests/test_tape.py`` tests less.
    """
    session.install("build", "twine")
    scratch = Path(session.create_tmp()).resolve()
    built = Path("build/dist").resolve()
    shutil.rmtree(built, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(built))
    (wheel,), (archive,) = built.glob("*.whl"), built.glob("*.tar.gz")
    session.run("twine", "check", "--strict", str(wheel), str(archive))
    changes = Path("CHANGELOG.md").read_text(encoding="utf-8")
    version = archive.name.removeprefix("autodiff-").removesuffix(".tar.gz")
    if f"\n## {version}" not in changes:
        session.error(f"CHANGELOG.md has no section {version}")
    with tarfile.open(archive) as opened:
        opened.extractall(scratch, filter="data")
    sources = scratch / archive.name.removesuffix(".tar.gz")
    session.install("--force-reinstall", f"{wheel}[viz]")
    session.chdir(scratch)  # where no checkout can be imported instead
    session.run("python", "-m", "autodiff", "demo", "--out", "demo", env=QUIET)
    session.chdir(sources)
    session.install(f"{archive}[dev]")
    session.run("python", "-m", "pytest", "-q", *session.posargs, env=QUIET)
