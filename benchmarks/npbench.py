"""NPBench's NumPy programs, differentiated as they stand in a checkout of it.

``python benchmarks/npbench.py --checkout PATH`` reads every program from the checkout, runs it on
Tensors, compares its values with NumPy's and its derivative with differences, and times the
gradient against the program itself and, if JAX is installed, against JAX's gradient of NPBench's
program for it. A program that cannot hold Tensors in the arrays that it makes is tried with its
``np`` bound to `autodiff.numpy`: one import changed by whoever wrote it, and not a character here.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import autodiff as ad  # noqa: E402
import autodiff.numpy  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "npbench.json"

LONGEST = 0.1
"""Seconds of a program at the size that is used: above, sizes are halved."""

NO_DERIVATIVE = {
    "crc16": "a checksum of bytes",
    "nussinov": "a table of integers",
    "mandelbrot1": "takes no arrays: counts of iterations on a grid that it makes",
    "mandelbrot2": "takes no arrays: counts of iterations on a grid that it makes",
    "compute": "integers",
    "floyd_warshall": "integers",
}
"""Programs whose results or inputs are integers: only values are compared."""


WHOLE = ("channel_flow",)
"""Programs that take more steps on a coarser grid."""

CONSTANT = {"azimint_hist": ("radius",), "azimint_naive": ("radius",)}
"""Arguments that are compared alone: the results are constant between jumps."""


class Case(NamedTuple):
    """A program with its arguments, as NPBench describes both."""

    name: str
    info: Mapping[str, Any]
    module: ModuleType
    kernel: Callable[..., Any]
    arguments: dict[str, Any]
    sizes: dict[str, Any]

    @property
    def variables(self) -> list[str]:
        """Arguments to differentiate by: arrays and NumPy's scalars that are not integers."""
        kinds = (np.ndarray, np.inexact)
        return [
            name
            for name, value in self.arguments.items()
            if isinstance(value, kinds)
            and np.issubdtype(value.dtype, np.inexact)
            and name not in CONSTANT.get(self.name, ())
        ]

    def function(self, kernel: Callable[..., Any], is_writing: bool = True) -> Callable[..., Any]:
        """The program as a function from its variables to a list of its results."""
        names = self.variables

        def results(*values: Any) -> list[Any]:
            given = {**self.arguments, **dict(zip(names, values, strict=True))}
            for name, value in given.items():
                # The program may write into its arguments; NPBench copies them too
                if is_writing and hasattr(value, "shape") and hasattr(value, "copy"):
                    given[name] = value.copy()
            out = kernel(*given.values())
            if not is_writing:
                return _listed(out)
            found = [given[name] for name in self.info["output_args"]] + _listed(out)
            # Where NPBench names no results, they are what the program was given to write into
            return found or [given[name] for name in self.info["array_args"]]

        return results


def _listed(out: Any) -> list[Any]:
    if out is None:
        return []
    return list(out) if isinstance(out, (tuple, list)) else [out]


# --- reading a program ----------------------------------------------------------------------------


def arguments_of(info: Mapping[str, Any], sizes: dict[str, Any]) -> dict[str, Any]:
    """What NPBench's own initialisation makes at these sizes."""
    known = dict(sizes)
    init = info.get("init")
    if init:
        module = importlib.import_module(_path(info, ""))
        np.random.seed(0)  # noqa: NPY002  # some draw from the global generator
        made = getattr(module, init["func_name"])(*(known[name] for name in init["input_args"]))
        made = made if isinstance(made, tuple) else (made,)
        known |= zip(init["output_args"], made, strict=True)
    return {name: known[name] for name in info["input_args"]}


def _path(info: Mapping[str, Any], suffix: str) -> str:
    folder = info["relative_path"].replace("/", ".")
    return f"npbench.benchmarks.{folder}.{info['module_name']}{suffix}"


def _halved(sizes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: max(size // 2, 4) if isinstance(size, int) and size > 8 else size
        for name, size in sizes.items()
    }


def case_of(checkout: Path, name: str) -> Case:
    """Read a program, at the smallest of its sizes or half of that, and so on."""
    text = (checkout / "bench_info" / f"{name}.json").read_text()
    info = json.loads(text)["benchmark"]
    module = importlib.import_module(_path(info, "_numpy"))
    kernel = getattr(module, info["func_name"])
    sizes = dict(info["parameters"]["S"])
    found = Case(name, info, module, kernel, arguments_of(info, sizes), sizes)
    while True:
        values = [found.arguments[variable] for variable in found.variables]
        start = time.perf_counter()
        found.function(kernel)(*values)
        smaller = _halved(sizes)
        if time.perf_counter() - start < LONGEST or smaller == sizes or name in WHOLE:
            return found
        sizes = smaller
        found = Case(name, info, module, kernel, arguments_of(info, sizes), sizes)


# --- what is asked of it --------------------------------------------------------------------------


def weights_of(results: list[Any]) -> list[Any]:
    """A number for each element of the results, so that together they are one number."""
    random = np.random.default_rng(1)
    return [random.uniform(0.5, 1.5, np.shape(out)) for out in results]


def weighed(results: list[Any], weights: list[Any]) -> Any:
    """Sum of the results with weights; of complex results the real and the imaginary parts."""
    total: Any = 0.0
    for out, weight in zip(results, weights, strict=True):
        if np.iscomplexobj(out):
            total = total + np.sum(np.real(out) * weight) + np.sum(np.imag(out) * weight)
        else:
            total = total + np.sum(out * weight)
    return total


def direction_of(values: list[Any]) -> list[Any]:
    """A way to move all variables at once, of their own size."""
    random = np.random.default_rng(2)
    return [random.standard_normal(np.shape(v)) * (np.abs(v).mean() or 1.0) for v in values]


def slope_by_complex_step(case: Case, values: list[Any], along: list[Any], weights: Any) -> Any:
    """Derivative along a direction from a step into the imaginary, or None if that fails."""
    if any(np.iscomplexobj(value) for value in values):
        return None
    step = 1e-30
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            moved = [v + 1j * step * a for v, a in zip(values, along, strict=True)]
            results = case.function(case.kernel)(*moved)
            total = sum(np.sum(out * w) for out, w in zip(results, weights, strict=True))
    except Exception:
        return None
    return float(np.imag(total)) / step


def slopes_by_differences(case: Case, values: list[Any], along: list[Any], weights: Any) -> Any:
    """Derivatives along a direction from central differences with steps of several sizes."""
    function = case.function(case.kernel)

    def at(step: float) -> float:
        moved = [
            np.asarray(v + step * a, np.result_type(v))[()]
            for v, a in zip(values, along, strict=True)
        ]
        try:
            return float(weighed(function(*moved), weights))
        except np.linalg.LinAlgError:
            return np.nan

    single = any(np.result_type(value).itemsize == 4 for value in values)
    steps = (1e-1, 1e-2, 1e-3) if single else [10.0**-k for k in range(3, 11)]
    return [(at(step) - at(-step)) / (2 * step) for step in steps], single


def median(function: Callable[[], Any], seconds: float = 0.5, runs: int = 5) -> float:
    """Median time of calls after the first."""
    function()
    times: list[float] = []
    while not times or (len(times) < runs and sum(times) < seconds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def differentiated(case: Case, found: dict[str, Any], is_timed: bool) -> None:
    """Compare values and a derivative, and time them, for one way to run the program."""
    values = [case.arguments[name] for name in case.variables]
    wanted = case.function(case.kernel)(*values)
    found["numpy"] = median(lambda: case.function(case.kernel)(*values))
    weights = weights_of(wanted)
    function = case.function(case.kernel)
    original = getattr(case.module, "np", None)
    ways = ["as it stands"] + (["np is autodiff.numpy"] if original is np else [])
    for way in ways:
        try:
            if way != "as it stands":
                case.module.np = autodiff.numpy  # type: ignore[attr-defined]
            _check(case, function, values, wanted, weights, found, way != "as it stands")
        except Exception as error:
            line = str(error).strip().splitlines()
            found.setdefault("errors", {})[way] = f"{type(error).__name__}: {' '.join(line)}"[:600]
        else:
            found["way"] = way
            print(json.dumps(found), flush=True)
            if is_timed:
                _time(case, function, values, weights, found)
            return
        finally:
            if original is not None:
                case.module.np = original  # type: ignore[attr-defined]


def _check(
    case: Case,
    function: Callable[..., Any],
    values: list[Any],
    wanted: list[Any],
    weights: list[Any],
    found: dict[str, Any],
    is_inside: bool,
) -> None:
    if is_inside:
        # Inside a transform alone `autodiff.numpy.zeros` makes what can hold a Tensor
        results = ad.vjp(function, *values)[0]
    else:
        results = function(*(ad.Tensor(value) for value in values))
    for one, other in zip(results, wanted, strict=True):
        np.testing.assert_allclose(_plain(one), other, rtol=1e-5, atol=1e-8)
    found["values"] = "equal"
    if case.name in NO_DERIVATIVE:
        found["derivative"] = NO_DERIVATIVE[case.name]
        return
    arguments = tuple(range(len(values)))
    gradients = ad.grad(lambda *v: weighed(function(*v), weights), argnums=arguments)(*values)
    along = direction_of(values)
    slope = float(sum(np.real(np.sum(g * a)) for g, a in zip(gradients, along, strict=True)))
    original, case.module.np = getattr(case.module, "np", None), np  # type: ignore[attr-defined]
    try:
        exact = slope_by_complex_step(case, values, along, weights)
        estimates, single = slopes_by_differences(case, values, along, weights)
    finally:
        case.module.np = original  # type: ignore[attr-defined]
    scale = max(abs(slope), 1e-12)
    # A large step may leave the matrices that have a factor
    away = [abs(e - slope) / scale for e in estimates if np.isfinite(e)] or [np.inf]
    errors = {"differences": min(away)}
    if exact is not None and np.isfinite(exact):
        errors["complex step"] = abs(exact - slope) / scale
    by = min(errors, key=errors.__getitem__)
    found["error"], found["checked by"] = errors[by], by
    if not errors[by] < (2e-2 if single else 1e-4):
        raise ArithmeticError(f"slope {slope}, by differences {estimates}, by complex step {exact}")
    found["derivative"] = "checked"


def _plain(value: Any) -> Any:
    return value.data if isinstance(value, ad.Tensor) else value


def _time(
    case: Case,
    function: Callable[..., Any],
    values: list[Any],
    weights: list[Any],
    found: dict[str, Any],
) -> None:
    if case.name in NO_DERIVATIVE:
        return
    arguments = tuple(range(len(values)))

    def loss(*given: Any) -> Any:
        return weighed(function(*given), weights)

    gradient = ad.grad(loss, argnums=arguments)
    expected = gradient(*values)
    found["gradient"] = median(lambda: gradient(*values))
    print(json.dumps(found), flush=True)
    with_jax(case, values, weights, found)
    print(json.dumps(found), flush=True)
    try:
        # Compiling gives programs arrays that hold Tensors by itself
        case.module.np = np  # type: ignore[attr-defined]
        compiled = ad.compile(gradient)
        start = time.perf_counter()
        results = compiled(*values)
        found["first call compiled"] = time.perf_counter() - start
        for one, other in zip(results, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-8)
        # Native code is made beside the first calls; it takes its place when it is there
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            compiled(*values)
        found["compiled"] = median(lambda: compiled(*values))
    except Exception as error:
        found["compiled error"] = f"{type(error).__name__}: {error}"[:300]


def with_jax(case: Case, values: list[Any], weights: list[Any], found: dict[str, Any]) -> None:
    """Time JAX's gradient of NPBench's program for JAX, of the same weights."""
    try:
        import jax
    except ImportError:
        return
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    try:
        module = importlib.import_module(_path(case.info, "_jax"))
        kernel = getattr(module, case.info["func_name"])
        function = case.function(kernel, is_writing=False)

        def loss(*given: Any) -> Any:
            results = function(*given)[: len(weights)]
            total = 0.0
            for out, weight in zip(results, weights, strict=True):
                total += (out.real * weight).sum()
                if jax.numpy.iscomplexobj(out):
                    total += (out.imag * weight).sum()
            return total

        gradient = jax.jit(jax.grad(loss, argnums=tuple(range(len(values)))))
        given = [jax.numpy.asarray(value) for value in values]
        start = time.perf_counter()
        jax.block_until_ready(gradient(*given))
        found["first call of JAX"] = time.perf_counter() - start
        found["jax"] = median(lambda: jax.block_until_ready(gradient(*given)))
    except Exception as error:
        found["jax error"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]


def run_one(checkout: Path, name: str, is_timed: bool) -> None:
    """Print what was found of a program, as JSON, again and again as more is known."""
    case = case_of(checkout, name)
    found: dict[str, Any] = {"sizes": case.sizes, "variables": case.variables}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        differentiated(case, found, is_timed)
    print(json.dumps(found), flush=True)


def main() -> None:
    """Run every program in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkout", required=True, type=Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--untimed", action="store_true", help="compare, and time nothing")
    parser.add_argument("--timeout", type=float, default=90.0, help="of one program")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    if options.one:
        sys.path.insert(0, str(checkout))
        run_one(checkout, options.one, not options.untimed)
        return
    names = sorted(path.stem for path in (checkout / "bench_info").glob("*.json"))
    programs: dict[str, Any] = {}
    if options.only and options.out.exists():
        programs = json.loads(options.out.read_text())["programs"]
    for name in options.only or names:
        command = [sys.executable, __file__, "--checkout", str(checkout), "--one", name]
        command += ["--untimed"] * options.untimed
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        try:
            out, errors = process.communicate(timeout=options.timeout)
            late = process.returncode != 0
        except subprocess.TimeoutExpired:
            process.kill()
            out, errors = process.communicate()
            late, errors = True, "timeout"
        lines = [line for line in out.splitlines() if line.startswith("{")]
        programs[name] = json.loads(lines[-1]) if lines else {}
        if late:
            programs[name]["ended early"] = (errors.strip().splitlines() or ["?"])[-1][:200]
        shown = {k: v for k, v in programs[name].items() if k not in ("variables", "sizes")}
        print(name, shown, file=sys.stderr, flush=True)
        machine = {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "date": time.strftime("%Y-%m-%d"),
        }
        text = json.dumps({"machine": machine, "programs": programs}, indent=1)
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
