"""Write docs/coverage.md from the tables and the registry: what has a derivative, and how.

Run ``python docs/make_coverage.py`` after declaring a primitive; with ``--check`` it only says
whether the page is current, which a test does.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import autodiff as ad
import autodiff.nn
import autodiff.scipy
from autodiff.core.primitive import Primitive
from autodiff.ops.protocol import FUNCTIONS, UFUNCS, name_of

PAGE = Path(__file__).parent / "coverage.md"

HEAD = """# Coverage

What NumPy functions do on Tensors, and the primitives behind them. `docs/make_coverage.py` writes
this page from the library's own tables; a test keeps it current.

Every primitive is checked numerically through the registry: forward and reverse mode to second
order, elementwise ones to third, `vmap` of the function and of both derivatives against a loop.
"""


def rules(primitive: Primitive) -> tuple[str, str, str]:
    """How a primitive's VJP, JVP and batching come about."""
    if not primitive.differentiable:
        vjp = jvp = "no derivative"
    elif primitive.kind == "elementwise":
        vjp = jvp = "partials"
    elif primitive.kind == "linear":
        vjp, jvp = "transpose", "itself"
    elif primitive.kind == "multilinear":
        vjp, jvp = "per input", "substitution"
    else:
        explicit = set(primitive.forward_rules) == set(primitive.reverse_rules)
        vjp, jvp = "per input", "per input" if explicit else "by transposing the VJP"
    if primitive.kind == "elementwise":
        batching = "aligned"
    else:
        batching = "rule" if primitive.batch_rule is not None else "loop"
    return vjp, jvp, batching


def order(primitive: Primitive) -> str:
    """Highest order of derivative that the registry's tests check."""
    if not primitive.differentiable:
        return ""
    return "3" if primitive.kind == "elementwise" else "2"


def first_line(function: Any) -> str:
    """First line of a docstring, safe inside a table."""
    lines = (function.__doc__ or "").strip().splitlines() or [""]
    return lines[0].replace("|", r"\|")


def primitive_rows() -> list[str]:
    """One row per registered primitive, by name."""
    rows = [
        "| primitive | kind | VJP | JVP | batching | order tested |",
        "|---|---|---|---|---|---|",
    ]
    for name, primitive in sorted(ad.REGISTRY.items()):
        if primitive.forward.__module__ == "__main__" or name.startswith("doc_"):
            continue
        vjp, jvp, batching = rules(primitive)
        cells = (f"`{name}`", primitive.kind, vjp, jvp, batching, order(primitive))
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def function_rows(functions: dict[str, str]) -> list[str]:
    """One row per NumPy function, by name."""
    rows = ["| function | on Tensors |", "|---|---|"]
    return rows + [f"| `{name}` | {what} |" for name, what in sorted(functions.items())]


NOT_THERE = """
Not there, though people ask for it. A name that is missing says what to write instead; on plain
arrays SciPy's own does.

- `signal`: linear systems as objects, `ShortTimeFFT`, splines, `lombscargle`, `envelope`, `czt`,
  partial fractions; the design of filters and windows of Tensors (constants are SciPy's there)
- `sparse.linalg`: `lobpcg`, `spilu`, `funm_multiply_krylov`; `sparse`: formats other than CSR,
  CSC and COO
- `stats`: `nct`, `ncx2`, `ncf` and other distributions, multivariate ones too; `rankdata`,
  `spearmanr`, `kendalltau` (steps), `yeojohnson`, tests but Student's; `expect`
- `linalg`: `ldl`, `qz`, `hessenberg`, `cossin`, `funm`; a real `schur` form of complex eigenvalues
- `interpolate`: smoothing splines, `RBFInterpolator`, triangulated data; `ndimage`:
  `geometric_transform`, filters by a function of one's own, distance transforms, and the factor of
  `zoom` as a variable
- `integrate`: `qmc_quad`, `cubature`, `tanhsinh`, `nsum`, `ode`, `complex_ode` (`solve_ivp`,
  `quad`, `quad_vec` and `nquad` take their place); the mesh and `S` of `solve_bvp` as variables
- `optimize`: `linprog`, `milp` and `linear_sum_assignment` of Tensors, whose results jump;
  `lsq_linear`, `isotonic_regression` (`least_squares` takes their place); `fft`: `hfft2`, `hfftn`
  and their inverses
- `special`: Kelvin's, Struve's and Mathieu's functions, roots of polynomials (constants);
  parameters, degrees and counts as variables, but for the orders of `jv`, `yv`, `iv`, `kv`,
  `ive`, `kve`
"""


NOT_COVERED = """
### Not covered

These functions take arrays and refuse Tensors, with a message that says so (`tensor.data` is a
plain array): {names}.

Functions that make arrays of numbers alone (`np.zeros`, `np.arange`, ...) make plain ones; inside a
transform those of `autodiff.numpy` make arrays that take assignments. Functions that read and write
files, print, or set NumPy up know nothing of Tensors. `np.vectorize` and `np.frompyfunc` call a
Python function for each number; `ad.vmap` takes their place. Classes that change arithmetic
(`np.matrix`, `np.ma.MaskedArray`) are refused by name.
"""

NO_ARRAYS = """
arange array asanyarray asarray asarray_chkfinite ascontiguousarray asfortranarray asmatrix
bartlett base_repr binary_repr blackman bmat broadcast_shapes datetime_data diag_indices empty
eye format_float_positional format_float_scientific from_dlpack frombuffer fromfile fromfunction
fromiter frompyfunc fromregex fromstring full genfromtxt get_include get_printoptions getbufsize
geterr geterrcall hamming hanning identity indices info isdtype issubdtype iterable kaiser load
loadtxt mask_indices mintypecode nested_iters ones printoptions promote_types require row_stack
save savetxt savez savez_compressed set_printoptions setbufsize seterr seterrcall show_config
show_runtime test tri tril_indices triu_indices typename zeros isfortran isscalar
"""
"""Functions that make, read, write or describe arrays, or set NumPy up."""


def numpy_functions() -> dict[str, str]:
    """NumPy's functions and ufuncs that take Tensors, with what they lead to."""
    by_call = {id(primitive.call): primitive for primitive in ad.REGISTRY.values()}
    functions: dict[str, str] = {}
    for ufunc, call in UFUNCS.items():
        if getattr(np, ufunc.__name__, None) is not ufunc:
            continue  # one of SciPy's
        functions[f"np.{ufunc.__name__}"] = described(ufunc, call, by_call)
    for function, implementation in FUNCTIONS.items():
        functions[name_of(function)] = described(function, implementation, by_call)
    return functions


def made_of(function: Any) -> str:
    """The primitives that a function records, found by calling it with a small matrix."""
    x = np.arange(1.0, 10.0).reshape(3, 3) + 10 * np.eye(3)
    calls: tuple[Callable[[Any], Any], ...] = (
        function,
        lambda x: function([x, x]),
        lambda x: function(x, x),
        lambda x: function(x, 1),
        lambda x: function(x[0], 1),
        lambda x: function(x[0]),
        lambda x: function(x, 0, 1),
        lambda x: function(x, (2, 3, 3)),
        lambda x: function(x, [1, 2, 0]),
        lambda x: function(np.array([0, 2, 1]), x),
        lambda x: function(np.array([0, 1, 1]), x[0]),
        lambda x: function(np.sum, x, (0,)),
        lambda x: function(x[:, :, None], 1),
        lambda x: function(x, x, x),
    )
    for call in calls:
        results: list[Any] = []

        def kept(x: Any, call: Callable[[Any], Any] = call, results: list[Any] = results) -> None:
            results.append(call(x))

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                names = {entry.primitive.name for entry in ad.record(kept)(x)}
        except Exception:  # not how this one is called
            continue
        if not any(isinstance(leaf, ad.Tensor) for leaf in ad.tree.leaves(results)):
            return "a plain result"
        if names:
            return f"made of {', '.join(f'`{name}`' for name in sorted(names))}"
    return "made of other operations, with their derivatives"


def not_covered() -> str:
    """NumPy's functions of arrays that refuse Tensors, by name."""
    makers = NO_ARRAYS.split()
    found = []
    for name in sorted(dir(np)):
        function = getattr(np, name)
        if isinstance(function, type) or not callable(function) or name.startswith("_"):
            continue
        if function not in FUNCTIONS and function not in UFUNCS and name not in makers:
            found.append(f"`np.{name}`")
    return ", ".join(found)


def described(function: Any, implementation: Any, by_call: dict[int, Primitive]) -> str:
    """A primitive's name, or the summary of the function that covers several."""
    primitive = by_call.get(id(implementation))
    if primitive is None:
        summary = first_line(implementation)
        # A summary that is the name alone says nothing: what it is made of does
        if re.fullmatch(r"`*np\.[\w.]+`*\.?", summary):
            return made_of(function)
        return summary
    return f"primitive `{primitive.name}`" + ("" if primitive.differentiable else ", plain result")


def scipy_names(module: ModuleType) -> str:
    """Public names of one of ``autodiff.scipy``'s modules."""
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    return ", ".join(f"`{name}`" for name in sorted(names))


def page() -> str:
    """The whole page."""
    functions = numpy_functions()
    sections = [
        HEAD,
        f"## NumPy: {len(functions)} functions\n",
        "\n".join(function_rows(functions)),
        NOT_COVERED.format(names=not_covered()),
        "\n## SciPy, from `autodiff.scipy`\n",
        "\n".join(
            f"- `{module.__name__.removeprefix('autodiff.scipy.')}`: {scipy_names(module)}"
            for module in (
                autodiff.scipy.special,
                autodiff.scipy.stats,
                autodiff.scipy.linalg,
                autodiff.scipy.signal,
                *(getattr(autodiff.scipy, name) for name in sorted(autodiff.scipy.LAZY)),
                autodiff.scipy.sparse.linalg,
            )
        ),
        NOT_THERE,
        "## Primitives\n",
        "\n".join(primitive_rows()),
    ]
    return "\n".join(sections) + "\n"


def main() -> int:
    """Write the page, or with ``--check`` compare it."""
    text = page()
    if "--check" in sys.argv[1:]:
        current = PAGE.read_text(encoding="utf-8") == text
        print(f"{PAGE.name} is {'current' if current else 'not current: run this script'}")
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
