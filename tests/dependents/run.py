"""Run test-suites of packages written for HIPS/autograd on this engine, as they are.

``python tests/dependents/run.py`` makes an environment under ``build/dependents``, installs pinned
packages from the registry, takes the tests from their source archives, and runs a fast slice of
each on `autodiff.compat.autograd`. ``baseline.json`` beside this file says which of them fail on
HIPS/autograd itself; any other failure is a difference, and the exit status is 1 (2 where the
registry cannot be reached). ``--full`` runs whole suites (on HIPS/autograd too, where the baseline
has nothing of them), ``--record`` runs all there too and writes the baseline anew; names choose
suites. Where an archive has no tests, a program of ours (``programs/``) stands for them. Times are
seconds of the processor, of the tests' processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "dependents"
BASELINE = Path(__file__).with_name("baseline.json")
TOOLS = ["pytest==9.0.2", "flaky==3.8.1"]


class Suite(NamedTuple):
    """Tests of a package.

    Attributes
    ----------
    requirement : name and version in the registry
    needs : what its tests import besides
    fast : what to run by default, as arguments of pytest
    full : all that can be run
    known : tests that fail here and not there, with the reason
    installed : folder of the tests among the installed packages, if they come with the package,
        which then has an environment of its own: PennyLane wants an older HIPS/autograd
    program : tests of ours beside this file, where the archive has none
    """

    requirement: str
    fast: list[str]
    full: list[str]
    needs: list[str] = []  # noqa: RUF012 a default that nobody changes
    known: dict[str, str] = {}  # noqa: RUF012 likewise
    installed: str = ""
    program: str = ""


SUITES = {
    "autograd": Suite(
        "autograd==1.9.1",
        ["tests"],
        ["tests"],
        known={
            "tests.test_fft::test_rfftn_odd_not_implemented": "it has a derivative here",
            "tests.test_graphs::test_assignment_raises_error": "assignment has a derivative here",
            "tests.test_linalg::test_pinv": "it calls private functions of the library",
            "tests.test_wrappers::test_wrapped_name_and_docs": "it compares docstrings",
        },
    ),
    "lifelines": Suite(
        "lifelines==0.30.3",
        [
            "lifelines/tests/test_estimation.py",
            "-k",
            "TestLogNormalFitter",
        ],
        ["lifelines/tests"],
        ["pandas==2.3.3", "matplotlib==3.11.0"],
    ),
    "legume": Suite(
        "legume-gme==1.0.3",
        ["tests/test_primitives.py", "tests/test_gme_grad.py"],
        ["tests"],
    ),
    "mici": Suite("mici==0.4.1", ["tests/test_autodiff.py"], ["tests"]),
    "pennylane": Suite(
        "pennylane==0.45.1",
        ["test_gradients_autograd.py", "test_templates.py", "--device", "default.qubit"],
        [".", "--device", "default.qubit"],
        ["pytest-mock==3.15.1"],
        installed="pennylane/devices/tests",
    ),
    "pyerrors": Suite(
        "pyerrors==2.17.0",
        ["pyerrors_observables.py"],
        ["pyerrors_observables.py"],
        program="programs",
    ),
    "pymanopt": Suite(
        "pymanopt==2.2.1",
        ["--noconftest", "tests/backends/test_autograd.py", "tests/test_multi_tools.py"],
        ["--noconftest", "tests/backends/test_autograd.py", "tests/test_multi_tools.py"],
    ),
    "pymoo": Suite(
        "pymoo==0.6.2",
        ["pymoo_gradients.py"],
        ["pymoo_gradients.py"],
        program="programs",
    ),
    "reliability": Suite(
        "reliability==0.9.0",
        ["tests/test_Fitters.py", "-k", "Weibull_2P or Gamma_2P or Lognormal"],
        ["tests"],
        known={
            "tests.test_ALT_fitters::test_Fit_Everything_ALT_single_stress": "an optimiser's path "
            "along a flat valley (a parameter of 1e16), where rounding decides when it gives up",
        },
    ),
    "surpyval": Suite("surpyval==0.25", ["surpyval/tests/reference"], ["surpyval/tests/reference"]),
}


def main() -> int:
    """Run suites; how many differences there are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", choices=[[], *SUITES])
    parser.add_argument("--full", action="store_true", help="whole suites")
    parser.add_argument("--record", action="store_true", help="write the baseline anew")
    options = parser.parse_args()
    names = options.names or list(SUITES)
    together = [SUITES[name] for name in names if not SUITES[name].installed]
    shared = environment("environment", together) if together else None
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    kind = "full" if options.full else "fast"
    differences = 0
    for name in names:
        suite = SUITES[name]
        python = environment(name, [suite]) if shared is None or suite.installed else shared
        sources = unpacked(python, suite)
        arguments = suite.full if options.full else suite.fast
        key = f"{name}, {kind}"
        if options.record or key not in baseline:
            there, seconds = outcomes(python, sources, arguments, compat=False)
            failing = sorted(test for test, passed in there.items() if not passed)
            baseline[key] = {"tests": len(there), "failing": failing, "seconds": round(seconds, 1)}
        here, seconds = outcomes(python, sources, arguments, compat=True)
        expected = baseline[key]
        failing = {test for test, passed in here.items() if not passed}
        new = sorted(failing - set(expected["failing"]) - set(suite.known))
        missing = expected["tests"] - len(here)
        print(
            f"{suite.requirement}: {len(here) - len(failing)} of {len(here)} pass, "
            f"{expected['tests'] - len(expected['failing'])} of {expected['tests']} on "
            f"HIPS/autograd; {seconds:.0f} s, {expected['seconds']:.0f} s"
        )
        for test in new:
            print(f"  fails here alone: {test}")
        if missing > 0:
            print(f"  {missing} tests were not run")
        differences += len(new) + max(missing, 0)
    if options.record:
        BASELINE.write_text(json.dumps(baseline, indent=1, sort_keys=True) + "\n")
    return differences


def environment(name: str, suites: list[Suite]) -> Path:
    """Interpreter of an environment with the packages, and this one."""
    WORK.mkdir(parents=True, exist_ok=True)
    folder = WORK / name
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    wanted = [requirement for suite in suites for requirement in (suite.requirement, *suite.needs)]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *TOOLS, *wanted, "-e", f"{ROOT}[scipy]"], check=True)
    return python


def unpacked(python: Path, suite: Suite) -> Path:
    """Folder of a package's sources, or of what is installed of it, with its tests."""
    if suite.installed:
        place = "import sysconfig; print(sysconfig.get_path('purelib'))"
        found = subprocess.run([python, "-c", place], check=True, capture_output=True, text=True)
        return Path(found.stdout.strip()) / suite.installed
    if suite.program:
        return Path(__file__).with_name(suite.program)
    folder = WORK / "sources" / suite.requirement.replace("==", "-")
    if not folder.exists():
        folder.mkdir(parents=True)
        pip = [str(python), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        archive = ["--no-deps", "--no-binary", ":all:", suite.requirement]
        subprocess.run([*pip, "--dest", str(folder), *archive], check=True)
        with tarfile.open(next(folder.glob("*.tar.gz"))) as archived:
            archived.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def outcomes(
    python: Path, sources: Path, arguments: list[str], *, compat: bool
) -> tuple[dict[str, bool], float]:
    """Whether each test that was not skipped passed, and how long all took."""
    report = WORK / "report.xml"
    report.unlink(missing_ok=True)
    settings = WORK / "pytest.ini"  # neither those of the package nor ours
    settings.write_text("[pytest]\n")
    engine = ["-m", "autodiff.compat", "autograd"] if compat else []
    pytest = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=",
        "-o",
        "required_plugins=",
    ]
    before = os.times()
    done = subprocess.run(
        [
            *(str(python), *engine, *pytest, "-c", str(settings)),
            *(f"--rootdir={sources}", f"--junitxml={report}", *arguments),
        ],
        cwd=sources,
        env={**os.environ, "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    after = os.times()
    seconds = after.children_user - before.children_user
    if not report.exists():
        raise SystemExit(f"{sources.name}: no test was run\n{done.stdout[-2000:]}{done.stderr}")
    found: dict[str, bool] = {}
    for test in ElementTree.parse(report).iter("testcase"):
        tags = {child.tag for child in test}
        if "skipped" not in tags:
            name = f"{test.get('classname')}::{test.get('name')}"
            found[name] = not tags & {"failure", "error"}
    return found, seconds


if __name__ == "__main__":
    try:
        sys.exit(min(main(), 1))
    except subprocess.CalledProcessError as error:
        print(f"the packages could not be had: {error}", file=sys.stderr)
        sys.exit(2)
