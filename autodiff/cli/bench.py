"""The command ``autodiff bench``: compare this engine with its peers."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autodiff.cli.arguments import UsageError, count
from autodiff.cli.parser import did_you_mean

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]

_OTHER_KERNEL = "Haswell"


def add_command(commands: _SubParsersAction[Any]) -> None:
    """Add ``bench`` to the commands of a parser."""
    parser = commands.add_parser(
        "bench",
        help="measure this engine beside hand-written NumPy and the peers that are installed",
        description="Measure this engine beside derivatives written by hand in NumPy and beside "
        "PyTorch, JAX, HIPS/autograd, MyGrad and micrograd, as far as they are installed; this "
        "engine also compiled, its first calls apart. Every "
        "engine runs in a process of its own; results are checked equal before they are timed; "
        "the processes take turns. Writes bench.json, bench.md and plots.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--quick", action="store_true", help="the quick set, a few minutes (the default)"
    )
    which.add_argument(
        "--full", action="store_true", help="all sizes, more rounds: about an hour and a half"
    )
    parser.add_argument(
        "--workloads",
        nargs="+",
        metavar="NAME",
        help="only these, by name or by group; see --list",
    )
    parser.add_argument("--engines", nargs="+", metavar="NAME", help="only these; see --list")
    parser.add_argument("--rounds", type=count, metavar="N", help="turns of each engine (7; 21)")
    parser.add_argument(
        "--threads", type=count, default=1, metavar="N", help="of every engine (%(default)s)"
    )
    parser.add_argument(
        "--coretype",
        action="append",
        metavar="NAME",
        help="measure matrix products again with OPENBLAS_CORETYPE set to NAME, or to nothing with "
        f"'unset'; may be repeated. --full does so by itself: unset if it is set, {_OTHER_KERNEL} "
        "if it is not. Only engines on NumPy are concerned",
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="PATH",
        help="interpreter of the engines' processes, where the peers are installed elsewhere",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out"), metavar="FOLDER", help="(%(default)s)"
    )
    parser.add_argument(
        "--format", choices=["png", "svg"], default="png", help="of the plots (%(default)s)"
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="print and draw a bench.json instead of measuring",
    )
    parser.add_argument("--list", action="store_true", help="show workloads and engines")
    parser.set_defaults(run=_command, parser=parser)


def _command(arguments: argparse.Namespace) -> int:
    from autodiff.bench.engines import ENGINES, OWN
    from autodiff.bench.peers import PeerError
    from autodiff.bench.run import run
    from autodiff.bench.settings import Settings
    from autodiff.bench.workload import GROUPS
    from autodiff.bench.workloads import WORKLOADS, cases

    if arguments.list:
        for group, title in GROUPS.items():
            print(f"{group}: {title.lower()}")
            for name, workload in WORKLOADS.items():
                if workload.group == group:
                    print(f"  {name:<22} {workload.title}: {'; '.join(workload.sizes)}")
            print()
        for name, engine in ENGINES.items():
            print(f"{name:<24} {engine.title}")
        return 0
    if arguments.source is not None:
        return _again(arguments)
    unknown = [name for name in arguments.engines or () if name not in ENGINES]
    if unknown:
        arguments.parser.error(
            f"--engines: no {unknown[0]!r}; there are {', '.join(ENGINES)}"
            + did_you_mean(unknown[0], ENGINES)
        )
    if shutil.which(arguments.python) is None:
        arguments.parser.error(f"--python: there is no program {arguments.python!r}")
    try:
        chosen = cases(not arguments.full, arguments.workloads)
    except ValueError as error:
        arguments.parser.error(f"--workloads: {error}")
    _make_folder(arguments.out)
    settings = Settings(
        rounds=arguments.rounds or (21 if arguments.full else 7),
        seconds=0.1 if arguments.full else 0.03,
        budget=30.0 if arguments.full else 1.0,
        threads=arguments.threads,
        python=arguments.python,
        timeout=600.0 if arguments.full else 60.0,
    )
    start = time.perf_counter()
    try:
        results = run(
            chosen,
            list(arguments.engines or ENGINES),
            settings,
            coretypes=_coretypes(arguments),
            extras=arguments.workloads is None,
        )
    except (PeerError, OSError) as error:
        print(f"autodiff bench: {error}", file=sys.stderr)
        return 1
    _write(results, arguments.out, arguments.format)
    print(f"time {time.perf_counter() - start:.0f} s")
    wrong = [record for record in results["cases"] if "error" in record["engines"][OWN]]
    return 1 if wrong else 0


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out: {folder}: {error.strerror}") from error


def _coretypes(arguments: argparse.Namespace) -> list[str]:
    import os
    import platform

    if arguments.coretype:
        return ["" if name == "unset" else name for name in arguments.coretype]
    if not arguments.full:
        return []
    if os.environ.get("OPENBLAS_CORETYPE"):
        return [""]
    return [_OTHER_KERNEL] if platform.machine() in ("x86_64", "AMD64") else []


def _write(results: dict[str, Any], folder: Path, kind: str) -> None:
    from autodiff.bench import report

    path = folder / "bench.json"
    path.write_text(_text(results), encoding="utf-8")
    print(f"results {path}")
    path = folder / "bench.md"
    path.write_text(report.markdown(results), encoding="utf-8")
    print(f"table   {path}")
    _draw(results, folder, kind)


def _text(results: dict[str, Any]) -> str:
    """JSON with one case a line, without the times of single rounds."""
    records = []
    for record in results["cases"]:
        engines = {
            name: {key: value for key, value in entry.items() if key != "times"}
            for name, entry in record["engines"].items()
        }
        records.append(json.dumps({**record, "engines": engines}))
    rest = {key: value for key, value in results.items() if key != "cases"}
    lines = [f' "{key}": {json.dumps(value)}' for key, value in rest.items()]
    lines.append(' "cases": [\n  ' + ",\n  ".join(records) + "\n ]")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _draw(results: dict[str, Any], folder: Path, kind: str) -> None:
    try:
        from autodiff.bench import figures

        paths = figures.draw(results, folder, kind)
    except ImportError as error:
        print(f"plots   not drawn: {error}")
        return
    for path in paths:
        print(f"plot    {path}")


def _again(arguments: argparse.Namespace) -> int:
    from autodiff.bench import report
    from autodiff.bench.run import SCHEMA

    try:
        results = json.loads(arguments.source.read_text(encoding="utf-8"))
    except OSError as error:
        arguments.parser.error(f"--from: {arguments.source}: {error.strerror}")
    except ValueError as error:
        arguments.parser.error(f"--from: {arguments.source} is not JSON: {error}")
    if not isinstance(results, dict) or results.get("schema") != SCHEMA:
        arguments.parser.error(
            f"--from: {arguments.source} is not a bench.json of this version; measure again"
        )
    try:
        table = report.markdown(results)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        arguments.parser.error(f"--from: {arguments.source} is damaged ({what}); measure again")
    print(table, end="")
    _make_folder(arguments.out)
    _draw(results, arguments.out, arguments.format)
    return 0
