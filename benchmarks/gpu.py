"""Gradients on a graphics card: this engine on CuPy's arrays, eager and compiled, beside its peers.

``python benchmarks/gpu.py --out DIR`` prints a line for each figure as it is there, and writes
``gpu.md`` and ``gpu.json``. All engines work on the same numbers in float32, with full float32
products (no TF32), on the same card, one after another. A figure is the median of calls, each of
them waited for. ``--host`` tries the script on a machine without a card, with small sizes.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import platform
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import itertools

import numpy as np

import autodiff as ad
from autodiff import nn, tree

Arrays = dict[str, Any]


class Engine(NamedTuple):
    """How one library takes arrays, and how it is waited for."""

    move: Callable[[Any], Any]
    wait: Callable[[Any], None]
    host: Callable[[Any], Any]
    forget: Callable[[], None]


class Workload(NamedTuple):
    """One computation: its numbers, and how each library does it (with what to call)."""

    name: str
    data: Callable[[bool], Arrays]
    ways: dict[str, Callable[[], Callable[[Arrays], Any]]]


# --- engines --------------------------------------------------------------------------------------


def cupy_engine() -> Engine:
    """CuPy's arrays, for this engine."""
    import cupy

    pool = cupy.get_default_memory_pool()
    stream = cupy.cuda.get_current_stream()
    return Engine(cupy.asarray, lambda _: stream.synchronize(), cupy.asnumpy, pool.free_all_blocks)


def host_engine() -> Engine:
    """NumPy's arrays, to try the script."""
    return Engine(np.asarray, lambda _: None, np.asarray, lambda: None)


def torch_engine() -> Engine:
    """PyTorch's tensors on the card."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return Engine(
        lambda x: torch.from_numpy(np.array(x)).to("cuda"),
        lambda _: torch.cuda.synchronize(),
        lambda x: x.detach().cpu().numpy(),
        torch.cuda.empty_cache,
    )


def jax_engine() -> Engine:
    """JAX's arrays on the card."""
    import jax

    jax.config.update("jax_default_matmul_precision", "highest")
    return Engine(
        lambda x: jax.device_put(x, jax.devices()[0]),
        jax.block_until_ready,
        np.asarray,
        jax.clear_caches,
    )


ENGINES = {"autodiff": cupy_engine, "torch": torch_engine, "jax": jax_engine}
COLUMNS = {
    "eager": ("autodiff", "autodiff, eager"),
    "compiled": ("autodiff", "autodiff, `ad.compile`"),
    "torch": ("torch", "PyTorch, eager"),
    "jax": ("jax", "JAX, `jit`"),
}


# --- sum(tanh(x) exp(-x²)) ------------------------------------------------------------------------


def elementwise_data(small: bool) -> Arrays:
    """Numbers from -3 to 3, in no order."""
    size = 1_000_000 if small else 100_000_000
    rng = np.random.default_rng(0)
    return {"x": rng.random(size, dtype=np.float32) * 6 - 3}


def elementwise(library: Any) -> Callable[[Any], Any]:
    """The function that is differentiated."""
    return lambda x: library.sum(library.tanh(x) * library.exp(-x * x))


def ours(function: Callable[..., Any], compiled: bool) -> Callable[..., Any]:
    """A function of this engine, compiled or not."""
    return ad.compile(function) if compiled else function


def elementwise_ours(compiled: bool) -> Callable[[Arrays], Any]:
    """Gradient by this engine."""
    gradient = ours(ad.grad(elementwise(np)), compiled)
    return lambda a: gradient(a["x"])


def elementwise_torch() -> Callable[[Arrays], Any]:
    """Gradient by PyTorch."""
    import torch

    def run(a: Arrays) -> Any:
        x = a["x"].detach().requires_grad_()
        return torch.autograd.grad(elementwise(torch)(x), x)[0]

    return run


def elementwise_jax() -> Callable[[Arrays], Any]:
    """Gradient by JAX."""
    import jax

    gradient = jax.jit(jax.grad(elementwise(jax.numpy)))
    return lambda a: gradient(a["x"])


# --- one step of a network ------------------------------------------------------------------------

RATE = 0.1


def mlp_data(small: bool) -> Arrays:
    """784-4096-4096-10, a batch of 4096."""
    width, batch = (256, 64) if small else (4096, 4096)
    sizes = [784, width, width, 10]
    rng = np.random.default_rng(1)
    arrays: Arrays = {}
    for i, (n, m) in enumerate(itertools.pairwise(sizes)):
        arrays[f"w{i}"] = rng.standard_normal((n, m), dtype=np.float32) / np.float32(np.sqrt(n))
        arrays[f"b{i}"] = np.zeros(m, np.float32)
    arrays["x"] = rng.standard_normal((batch, 784), dtype=np.float32)
    arrays["labels"] = rng.integers(0, 10, batch)
    return arrays


def _split(a: Arrays) -> tuple[Arrays, Any, Any]:
    return {k: v for k, v in a.items() if k not in ("x", "labels")}, a["x"], a["labels"]


def network(p: Arrays, x: Any, tanh: Callable[[Any], Any]) -> Any:
    """Values of the last layer."""
    h = tanh(x @ p["w0"] + p["b0"])
    h = tanh(h @ p["w1"] + p["b1"])
    return h @ p["w2"] + p["b2"]


def mlp_ours(compiled: bool) -> Callable[[Arrays], Any]:
    """Step by this engine."""

    def loss(p: Arrays, x: Any, labels: Any) -> Any:
        return nn.softmax_cross_entropy(network(p, x, np.tanh), labels)

    def step(p: Arrays, x: Any, labels: Any) -> Any:
        value, g = ad.value_and_grad(loss)(p, x, labels)
        return value, {k: p[k] - RATE * g[k] for k in p}

    run = ours(step, compiled)
    return lambda a: run(*_split(a))


def mlp_torch() -> Callable[[Arrays], Any]:
    """Step by PyTorch."""
    import torch

    def run(a: Arrays) -> Any:
        p, x, labels = _split(a)
        p = {k: v.detach().requires_grad_() for k, v in p.items()}
        value = torch.nn.functional.cross_entropy(network(p, x, torch.tanh), labels)
        g = dict(zip(p, torch.autograd.grad(value, list(p.values())), strict=True))
        with torch.no_grad():
            return value, {k: p[k] - RATE * g[k] for k in p}

    return run


def mlp_jax() -> Callable[[Arrays], Any]:
    """Step by JAX."""
    import jax
    import jax.numpy as jnp

    def loss(p: Arrays, x: Any, labels: Any) -> Any:
        logarithms = jax.nn.log_softmax(network(p, x, jnp.tanh))
        return -jnp.mean(jnp.take_along_axis(logarithms, labels[:, None], axis=1))

    @jax.jit
    def step(p: Arrays, x: Any, labels: Any) -> Any:
        value, g = jax.value_and_grad(loss)(p, x, labels)
        return value, {k: p[k] - RATE * g[k] for k in p}

    return lambda a: step(*_split(a))


# --- attention ------------------------------------------------------------------------------------


def attention_data(small: bool) -> Arrays:
    """Batch 16, 8 heads of 64, length 512: projections, attention, projection."""
    batch, length = (2, 32) if small else (16, 512)
    rng = np.random.default_rng(2)
    arrays = {
        name: rng.standard_normal((512, 512), dtype=np.float32) / np.float32(np.sqrt(512))
        for name in ("query", "key", "value", "out")
    }
    return {**arrays, "x": rng.standard_normal((batch, length, 512), dtype=np.float32)}


def attention(a: Arrays, softmax: Callable[[Any], Any], turned: Callable[..., Any]) -> Any:
    """What the block adds, squared and averaged."""
    x = a["x"]
    batch, length, _ = x.shape

    def heads(name: str) -> Any:
        return turned((x @ a[name]).reshape(batch, length, 8, 64), (0, 2, 1, 3))

    q, k, v = heads("query"), heads("key"), heads("value")
    weights = softmax(q @ turned(k, (0, 1, 3, 2)) * 0.125)
    out = turned(weights @ v, (0, 2, 1, 3)).reshape(batch, length, 512) @ a["out"]
    return ((x + out) ** 2).mean()


def attention_ours(compiled: bool) -> Callable[[Arrays], Any]:
    """Gradient by this engine."""

    def softmax(x: Any) -> Any:
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        return e / np.sum(e, axis=-1, keepdims=True)

    return ours(ad.grad(lambda a: attention(a, softmax, np.transpose)), compiled)


def attention_torch() -> Callable[[Arrays], Any]:
    """Gradient by PyTorch."""
    import torch

    def run(a: Arrays) -> Any:
        a = {k: v.detach().requires_grad_() for k, v in a.items()}
        value = attention(a, lambda x: torch.softmax(x, -1), torch.permute)
        return dict(zip(a, torch.autograd.grad(value, list(a.values())), strict=True))

    return run


def attention_jax() -> Callable[[Arrays], Any]:
    """Gradient by JAX."""
    import jax
    import jax.numpy as jnp

    return jax.jit(jax.grad(lambda a: attention(a, jax.nn.softmax, jnp.transpose)))


WORKLOADS = [
    Workload(
        "gradient of sum(tanh(x) exp(-x²)), 100,000,000 elements",
        elementwise_data,
        {
            "eager": lambda: elementwise_ours(False),
            "compiled": lambda: elementwise_ours(True),
            "torch": elementwise_torch,
            "jax": elementwise_jax,
        },
    ),
    Workload(
        "step of an MLP 784-4096-4096-10, batch 4096",
        mlp_data,
        {
            "eager": lambda: mlp_ours(False),
            "compiled": lambda: mlp_ours(True),
            "torch": mlp_torch,
            "jax": mlp_jax,
        },
    ),
    Workload(
        "gradient of an attention block, batch 16, 8 heads of 64, length 512",
        attention_data,
        {
            "eager": lambda: attention_ours(False),
            "compiled": lambda: attention_ours(True),
            "torch": attention_torch,
            "jax": attention_jax,
        },
    ),
]


# --- measuring ------------------------------------------------------------------------------------


def timed(run: Callable[[], Any], wait: Callable[[Any], None], seconds: float) -> dict[str, Any]:
    """Median time of calls, each waited for; the first one, which compiles, apart."""
    start = time.perf_counter()
    out = run()
    wait(out)
    first = time.perf_counter() - start
    for _ in range(2):
        wait(run())
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or (time.perf_counter() < end and len(times) < 200):
        start = time.perf_counter()
        out = run()
        wait(out)
        times.append(time.perf_counter() - start)
    return {
        "median_ms": 1e3 * statistics.median(times),
        "least_ms": 1e3 * min(times),
        "first_ms": 1e3 * first,
        "calls": len(times),
    }


def difference(found: list[Any], wanted: list[Any]) -> float:
    """Largest difference, by the size of the largest number of each array."""
    largest = 0.0
    for one, two in zip(found, wanted, strict=True):
        scale = max(float(np.abs(two).max()), 1e-30)
        largest = max(largest, float(np.abs(one - two).max()) / scale)
    return largest


def measure(
    workload: Workload, engines: dict[str, Engine], small: bool, seconds: float
) -> Iterator[dict[str, Any]]:
    """Each engine's figures for one workload; what fails says so and does not stop the others."""
    data = workload.data(small)
    reference: list[Any] | None = None
    for column, (library, title) in COLUMNS.items():
        row: dict[str, Any] = {"workload": workload.name, "engine": title, "column": column}
        engine = engines.get(library)
        if engine is None:
            continue
        try:
            run = workload.ways[column]()
            arrays = {name: engine.move(value) for name, value in data.items()}
            result = [engine.host(leaf) for leaf in tree.leaves(run(arrays))]
            if reference is None:
                reference = result
            row["difference"] = difference(result, reference)
            del result
            row |= timed(lambda r=run, a=arrays: r(a), engine.wait, seconds)
        except Exception as error:
            row["error"] = f"{type(error).__name__}: {error}"
            row["traceback"] = traceback.format_exc()
        run = arrays = None  # type: ignore[assignment]  # so that the memory is free for the next
        gc.collect()
        engine.forget()
        yield row


def table(rows: list[dict[str, Any]], about: dict[str, str]) -> str:
    """Markdown: times, and ratios to PyTorch."""
    lines = [
        ", ".join(f"{name} {value}" for name, value in about.items()) + ".",
        "",
        "| workload | engine | median, ms | first call, ms | x PyTorch | difference |",
        "|---|---|---|---|---|---|",
    ]
    base = {row["workload"]: row.get("median_ms") for row in rows if row["column"] == "torch"}
    for row in rows:
        start = f"| {row['workload']} | {row['engine']} |"
        if "error" in row:
            lines.append(f"{start} failed: {row['error'][:80].replace('|', '/')} | | | |")
            continue
        peer = base.get(row["workload"])
        ratio = f"{row['median_ms'] / peer:.2f}" if peer else ""
        lines.append(
            f"{start} {row['median_ms']:.3f} | {row['first_ms']:.0f} | {ratio} | "
            f"{row['difference']:.1e} |"
        )
    return "\n".join(lines) + "\n"


def described(host: bool) -> dict[str, str]:
    """Card and versions."""
    about = {"Python": platform.python_version(), "NumPy": np.__version__}
    for name in ("cupy", "torch", "jax"):
        module = sys.modules.get(name)
        if module is not None:
            about[name] = str(getattr(module, "__version__", "?"))
    if not host:
        import cupy

        name = cupy.cuda.runtime.getDeviceProperties(0)["name"]
        card = name.decode() if isinstance(name, bytes) else str(name)
        version = cupy.cuda.runtime.runtimeGetVersion()
        about = {"card": card, "CUDA": f"{version // 1000}.{version % 1000 // 10}", **about}
    return about


def why_not() -> str:
    """Why nothing can be measured here; nothing where a card is found."""
    try:
        cupy = importlib.import_module("cupy")
        return "" if cupy.cuda.runtime.getDeviceCount() else "CuPy finds no device"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for gpu.md and gpu.json")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure, at least")
    parser.add_argument("--host", action="store_true", help="small sizes on NumPy's arrays")
    options = parser.parse_args()
    missing = "" if options.host else why_not()
    if missing:
        print(f"skipped: no device ({missing})")
        return
    engines: dict[str, Engine] = {}
    for name, make in ENGINES.items():
        try:
            engines[name] = host_engine() if options.host and name == "autodiff" else make()
        except Exception as error:
            print(f"without {name}: {type(error).__name__}: {error}", flush=True)
    about = described(options.host)
    print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    rows: list[dict[str, Any]] = []
    for workload in WORKLOADS:
        for row in measure(workload, engines, options.host, options.seconds):
            rows.append(row)
            what = row.get("error") or (
                f"{row['median_ms']:.3f} ms (first {row['first_ms']:.0f}, least "
                f"{row['least_ms']:.3f}, {row['calls']} calls, difference {row['difference']:.1e})"
            )
            print(f"{workload.name} | {row['engine']}: {what}", flush=True)
            if "traceback" in row:
                print(row["traceback"], flush=True)
    text = table(rows, about)
    print(f"\n{text}", flush=True)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "gpu.md").write_text(text, encoding="utf-8")
        content = {"about": about, "rows": rows}
        (options.out / "gpu.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
