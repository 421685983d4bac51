"""A primitive is known by the module that declares it and its name."""

from __future__ import annotations

import copy
import importlib
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.core.primitive import Primitive
from autodiff.core.registry import Registry
from autodiff.errors import DeclarationError

CUBE = """
import autodiff as ad

@ad.elementwise(d_x=lambda x: {factor} * 3 * x * x)
def cube(x):
    return {factor} * x * x * x
"""

Modules = Callable[..., ModuleType]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    """Make a module of a text; forget what it declares afterwards."""
    made: list[str] = []
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, text: str) -> ModuleType:
        write(tmp_path, name, text)
        made.append(name)
        return importlib.import_module(name)

    yield make
    for key in list(ad.REGISTRY):
        if ad.REGISTRY[key].module in made:
            ad.REGISTRY.pop(key)
    for name in made:
        sys.modules.pop(name, None)


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    importlib.invalidate_caches()


# --- two packages ---------------------------------------------------------------------------------


def test_two_modules_declare_one_name(module: Modules) -> None:
    one = module("package_one", CUBE.format(factor=1)).cube
    assert ad.REGISTRY["cube"] is one
    two = module("package_two", CUBE.format(factor=2)).cube
    assert ad.REGISTRY["package_one.cube"] is one
    assert ad.REGISTRY["package_two.cube"] is two
    with pytest.raises(KeyError, match=r"'package_one\.cube' or 'package_two\.cube'"):
        ad.REGISTRY["cube"]
    assert "cube" not in ad.REGISTRY
    assert ad.REGISTRY.get("cube") is None
    assert (one.module, one.name) == ("package_one", "cube")
    for primitive in (one, two):
        assert pickle.loads(pickle.dumps(primitive)) is primitive
        assert copy.deepcopy({"f": primitive})["f"] is primitive


def test_iteration_gives_each_primitive_once(module: Modules) -> None:
    before = list(ad.REGISTRY)
    one = module("package_one", CUBE.format(factor=1)).cube
    two = module("package_two", CUBE.format(factor=2)).cube
    keys = list(ad.REGISTRY)
    assert keys == [*before, "package_one.cube", "package_two.cube"]
    assert len(ad.REGISTRY) == len(keys) == len(set(keys))
    assert all(ad.REGISTRY[key] is value for key, value in ad.REGISTRY.items())
    assert [p for p in ad.REGISTRY.values() if p.name == "cube"] == [one, two]
    assert all("." not in key for key in before)


def test_a_name_of_the_library_stays_the_librarys(module: Modules) -> None:
    own = module("package_one", CUBE.format(factor=1).replace("cube", "sin")).sin
    assert ad.REGISTRY["sin"] is not own
    assert ad.REGISTRY["sin"].forward is np.sin
    assert ad.REGISTRY["package_one.sin"] is own
    assert ad.REGISTRY.key_of(own) == "package_one.sin"
    assert ad.grad(own)(2.0) == 12.0
    assert ad.grad(np.sin)(0.0) == 1.0


def test_decisions_and_blocks_tell_them_apart(module: Modules) -> None:
    """Nothing that goes by what an operation is takes one for the other."""
    one = module("package_one", CUBE.format(factor=1)).cube
    two = module("package_two", CUBE.format(factor=2)).cube
    x = np.array([0.5, -1.0, 2.0])
    for order in ("auto", "cross-country"):
        found = [
            np.diag(ad.jacobian(lambda x, f=f: np.sin(f(x)) * x, order=order)(x))
            for f in (one, two)
        ]
        for factor, diagonal in zip((1, 2), found, strict=True):
            y = factor * x**3
            np.testing.assert_allclose(diagonal, np.sin(y) + x * np.cos(y) * factor * 3 * x**2)
    mixed = ad.record(lambda x: two(one(two(one(x)))))(x)
    assert [entry.primitive for entry in mixed] == [one, two, one, two]
    assert one.identity != two.identity
    assert hash(one.identity) is not None


def test_tapes_and_plans_tell_them_apart(module: Modules) -> None:
    one = module("tapes_one", CUBE.format(factor=1)).cube
    two = module("tapes_two", CUBE.format(factor=10)).cube
    x = np.array([1.0, 2.0])
    tapes = [ad.record(cube)(x) for cube in (one, two)]
    assert tapes[0].signature != tapes[1].signature
    for tape, factor in zip(pickle.loads(pickle.dumps(tapes)), (1, 10), strict=True):
        np.testing.assert_array_equal(tape.evaluate(x), factor * x**3)
    assert pickle.loads(pickle.dumps(tapes[0])).signature == tapes[0].signature
    plan = pickle.loads(pickle.dumps(tapes[0].jacobian_graph().plan("reverse")))
    np.testing.assert_array_equal(ad.jacobian(one, order=plan)(x), np.diag(3 * x**2))
    with pytest.raises(ValueError, match="plan"):
        ad.jacobian(two, order=plan)(x)


def test_maps_of_two_primitives_of_one_name(module: Modules) -> None:
    text = """
import numpy as np
import autodiff as ad
from autodiff import structure

@ad.linear(transpose=lambda g: {back}, local=structure.{local})
def step(x):
    return {there}
"""
    flipped = module("package_one", text.format(back="g[::-1]", there="x[::-1]", local="moves"))
    kept = module("package_two", text.format(back="g * 1.0", there="x * 1.0", local="same"))
    x = np.arange(1.0, 4.0)
    structures = [
        ad.ordering.local_jacobians(ad.record(m.step)(x), x)[0, 1].structure
        for m in (flipped, kept)
    ]
    assert structures == ["index", "identity"]


# --- one module -----------------------------------------------------------------------------------


def test_one_module_declares_a_name_once(module: Modules) -> None:
    text = CUBE.format(factor=1)
    with pytest.raises(DeclarationError, match="'cube' is declared already in package_one"):
        module("package_one", text + text)


def test_a_factory_gives_its_primitives_names(module: Modules) -> None:
    text = """
import autodiff as ad

def make(factor):
    @ad.elementwise(d_x=factor)
    def scaled(x):
        return factor * x
    return scaled
"""
    make = module("package_one", text).make
    first = make(2.0)
    with pytest.raises(DeclarationError, match="give this one another name"):
        make(3.0)
    assert ad.REGISTRY["scaled"] is first


def test_a_cell_may_run_twice() -> None:
    cell = compile(CUBE.format(factor=1).replace("cube", "cell_cube"), "<cell>", "exec")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    try:
        exec(cell, namespace)
        first = namespace["cell_cube"]
        exec(cell, namespace)
        second = namespace["cell_cube"]
        assert second is not first
        assert ad.REGISTRY["cell_cube"] is second
        assert pickle.loads(pickle.dumps(second)) is second
        with pytest.raises(TypeError, match="'cell_cube' has been declared again since"):
            pickle.dumps(first)
        assert ad.grad(first)(2.0) == 12.0  # a former one works on
    finally:
        ad.REGISTRY.pop("cell_cube", None)


def test_a_ufunc_belongs_to_the_module_that_declares_it(module: Modules) -> None:
    text = """
import numpy as np
import autodiff as ad

mine = ad.elementwise(name="own_spacing", inputs=("x",), d_x=0)(np.spacing)
"""
    one, two = module("package_one", text).mine, module("package_two", text).mine
    assert (one.module, two.module) == ("package_one", "package_two")
    assert ad.REGISTRY["package_one.own_spacing"] is one


def test_a_helper_declares_for_others(module: Modules) -> None:
    helper = """
import autodiff as ad

def declare(function):
    return ad.elementwise(d_x=1.0, module=function.__module__)(function)
"""
    user = """
from declaring_helper import declare

@declare
def shifted(x):
    return x + {shift}
"""
    module("declaring_helper", helper)
    one = module("package_one", user.format(shift=1.0)).shifted
    two = module("package_two", user.format(shift=2.0)).shifted
    assert ad.REGISTRY["package_one.shifted"] is one
    assert ad.REGISTRY["package_two.shifted"] is two


# --- modules read again ---------------------------------------------------------------------------


def test_a_module_reloaded_replaces_its_primitives(module: Modules, tmp_path: Path) -> None:
    loaded = module("package_one", CUBE.format(factor=1))
    former = loaded.cube
    write(tmp_path, "package_one", CUBE.format(factor=20))
    reloaded = importlib.reload(loaded)
    assert reloaded.cube is not former
    assert ad.REGISTRY["cube"] is ad.REGISTRY["package_one.cube"] is reloaded.cube
    assert (ad.grad(reloaded.cube)(1.0), ad.grad(former)(1.0)) == (60.0, 3.0)
    assert former.identity != reloaded.cube.identity
    with pytest.raises(TypeError, match="declared again since and cannot be copied or pickled"):
        copy.copy(former)


def test_a_module_reloaded_still_declares_a_name_once(module: Modules, tmp_path: Path) -> None:
    loaded = module("package_one", CUBE.format(factor=1))
    write(tmp_path, "package_one", CUBE.format(factor=1) + CUBE.format(factor=2))
    with pytest.raises(DeclarationError, match="declared already in package_one"):
        importlib.reload(loaded)


def test_a_module_imported_anew(module: Modules) -> None:
    former = module("package_one", CUBE.format(factor=1)).cube
    del sys.modules["package_one"]
    again = importlib.import_module("package_one").cube
    assert again is not former
    assert ad.REGISTRY["cube"] is again


# --- looking up -----------------------------------------------------------------------------------


def test_a_pickle_imports_the_module(module: Modules, tmp_path: Path) -> None:
    primitive = module("package_one", CUBE.format(factor=1)).cube
    (tmp_path / "cube.pickle").write_bytes(pickle.dumps([primitive, ad.REGISTRY["tanh"]]))
    program = (
        "import pickle, pathlib; cube, tanh = "
        "pickle.loads(pathlib.Path('cube.pickle').read_bytes()); print(cube(2.0), tanh)"
    )
    root = str(Path(ad.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r}); {program}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["8.0", "tanh"]


def test_what_is_not_registered_is_not_pickled() -> None:
    lonely = Primitive(lambda x: x, "linear", {"transpose": lambda g: g}, name="lonely")
    with pytest.raises(TypeError, match="'lonely' is not registered and cannot be copied"):
        pickle.dumps(lonely)


def test_unknown_names() -> None:
    with pytest.raises(KeyError, match="no primitive is declared as 'no_such_function'"):
        ad.REGISTRY["no_such_function"]
    assert ad.REGISTRY.get("no_such_function") is None
    assert ad.REGISTRY.pop("no_such_function", None) is None
    with pytest.raises(KeyError, match="no_such_function"):
        ad.REGISTRY.pop("no_such_function")
    assert repr(ad.REGISTRY) == f"<registry of {len(ad.REGISTRY)} primitives>"


def test_what_is_popped_is_forgotten() -> None:
    registry = Registry()

    def declared(module: str) -> Primitive:
        found = Primitive(
            lambda x: x, "linear", {"transpose": lambda g: g}, name="step", module=module
        )
        registry.add(found)
        return found

    one, two = declared("one"), declared("two")
    assert registry.pop("two.step") is two
    assert list(registry.items()) == [("step", one)]
    assert registry.pop("step") is one
    assert len(registry) == 0
    assert "step" not in registry
    declared("one")
    assert list(registry) == ["step"]
