"""Backends of compiled functions: chosen by name, built beside the program, or missing."""

from __future__ import annotations

import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler import backends

X = np.array([0.5, -1.0, 2.0])


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A backend in the place of native code, which builds when it is let to."""
    backends.finish()  # what other tests have asked for
    state: dict[str, Any] = {"go": threading.Event(), "built": 0, "runs": 0, "error": None}

    def build(tape: ad.Tape) -> Callable[..., Any]:
        state["go"].wait(10)
        if state["error"] is not None:
            raise state["error"]
        state["built"] += 1
        run = backends.replayed(tape)

        def runner(*values: Any) -> Any:
            state["runs"] += 1
            return run(*values)

        return runner

    module = types.ModuleType("autodiff_test_backend")
    module.build = build  # type: ignore[attr-defined]
    module.__spec__ = types.SimpleNamespace(name="autodiff_test_backend")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "autodiff_test_backend", module)
    monkeypatch.setitem(backends.BACKENDS, "llvm", ("autodiff_test_backend", None))
    yield state
    state["go"].set()
    backends.finish()


def test_auto_switches_when_native_code_is_there(native: dict[str, Any]) -> None:
    compiled = ad.compile(lambda x: np.sin(x) * 2)
    for _ in range(3):
        np.testing.assert_allclose(compiled(X), np.sin(X) * 2)
    assert native["runs"] == 0
    native["go"].set()
    backends.finish()
    assert native["built"] == 1
    np.testing.assert_allclose(compiled(X), np.sin(X) * 2)
    assert native["runs"] == 1
    for _ in range(2):
        gradient = ad.grad(lambda x: np.sum(compiled(x)))(X)
        np.testing.assert_allclose(gradient, np.cos(X) * 2)
        backends.finish()
    assert native["runs"] in (3, 4, 5)  # forward and back, at the latest in the second


def test_a_named_backend_is_waited_for(native: dict[str, Any]) -> None:
    native["go"].set()
    compiled = ad.compile(lambda x: np.sin(x) * 2, backend="llvm")
    np.testing.assert_allclose(compiled(X), np.sin(X) * 2)
    assert native["runs"] == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_auto_stays_where_native_code_cannot_be_made(
    native: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(backends.warnings, "warn", lambda text, *_, **__: said.append(text))
    monkeypatch.setattr(backends, "_said", set())
    native["error"] = ValueError("no such instruction")
    native["go"].set()
    for factor in (2.0, 3.0):
        compiled = ad.compile(lambda x, factor=factor: x * factor)
        np.testing.assert_allclose(compiled(X), X * factor)
        backends.finish()
        np.testing.assert_allclose(compiled(X), X * factor)
    assert len(said) == 1
    assert "ValueError: no such instruction" in said[0]


def test_a_program_that_cannot_be_made_runs_in_another_way(
    native: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "_said", set())
    native["error"] = ValueError("no such instruction")
    native["go"].set()
    compiled = ad.compile(lambda x: np.sin(x) * 2, backend="llvm")
    with pytest.warns(RuntimeWarning, match="ValueError: no such instruction.*NumPy"):
        np.testing.assert_allclose(compiled(X), np.sin(X) * 2)
    np.testing.assert_allclose(compiled(X), np.sin(X) * 2)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, "llvm", ("autodiff.compiler.llvm", "llvmlite_missing"))
    with pytest.raises(ModuleNotFoundError, match=r'pip install "autodiff\[compile\]"'):
        ad.compile(np.sin, backend="llvm")
    with pytest.raises(ModuleNotFoundError, match="llvmlite_missing"):
        ad.compile(backend="llvm")
    assert ad.compile(np.sin)(0.0) == 0


PROGRAM = """
import threading, time
import numpy as np
import autodiff as ad
from autodiff.compiler import backends

def slow(tape):
    time.sleep(60)

backends.BACKENDS["llvm"] = ("autodiff.compiler.backends", None)
backends.build = slow
f = ad.compile(lambda x: np.sin(x))
print(f(np.zeros(2)))
"""


def test_nothing_hangs_at_exit() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0. 0.]"
    assert not done.stderr


def long_program(x: Any) -> Any:
    for _ in range(backends.LONG // 2 + 1):
        x = np.sin(x) * 1.01
    return x


def test_a_long_program_is_evaluated_until_native_code_is_there(native: dict[str, Any]) -> None:
    compiled = ad.compile(long_program)
    np.testing.assert_allclose(compiled(X), long_program(X))
    native["go"].set()
    backends.finish()
    np.testing.assert_allclose(compiled(X), long_program(X))
    assert native["runs"] == 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_long_program_becomes_one_of_numpy_where_there_is_none(
    native: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "_said", set())
    native["error"] = ValueError("no such instruction")
    native["go"].set()
    compiled = ad.compile(long_program)
    np.testing.assert_allclose(compiled(X), long_program(X))
    backends.finish()
    np.testing.assert_allclose(compiled(X), long_program(X))
    assert "sin(" in compiled.lower(X).source
