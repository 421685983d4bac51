"""The benchmarks' own machinery: workloads, the protocol, checks, text, files. Nothing is timed."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import sys
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.bench import footprint, harness, peers, report, worker
from autodiff.bench.engines import (
    ENGINES,
    OWN,
    REFERENCE,
    compiled,
    functional,
    hand,
    offered,
    own,
    programs,
)
from autodiff.bench.harness import difference
from autodiff.bench.machine import machine
from autodiff.bench.peers import Fleet, Peer, PeerError
from autodiff.bench.problems import PROBLEMS
from autodiff.bench.program import Program
from autodiff.bench.records import record as record_of
from autodiff.bench.run import _able
from autodiff.bench.settings import Settings, environment
from autodiff.bench.worker import Worker, measure_memory, settle
from autodiff.bench.workload import GROUPS
from autodiff.bench.workloads import WORKLOADS, Case, cases, make_inputs
from autodiff.cli import main

TINY: dict[str, dict[str, Any]] = {
    "binary_chain": {"elements": 3, "length": 6},
    "dense": {"depth": 3, "width": 5},
    "expression": {"size": 7},
    "graph": {"nodes": 20},
    "hessian": {"size": 5},
    "indexing": {"length": 6},
    "jacobian": {"width": 4},
    "logistic": {"examples": 20, "features": 3},
    "mlp_step": {"sizes": [6, 5, 4], "batch": 8, "optimizer": "adam"},
    "recurrent": {"depth": 7, "segment": 3, "width": 5},
    "tanh_chain": {"elements": 3, "length": 6},
    "tanh_sum": {"size": 7},
}
"""Sizes at which every program is quick."""


class LocalPeer:
    """A worker in this process, behind the pipe's JSON."""

    def __init__(self, engine: str, settings: Settings) -> None:
        self.worker = Worker(engine)
        self.requests: list[dict[str, Any]] = []
        self.alive = True

    def send(self, request: dict[str, Any]) -> None:
        self.requests.append(json.loads(json.dumps(request)))

    def receive(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(json.dumps(self.worker.answer(self.requests[-1])))
        return answer

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.send(request)
        return self.receive()

    def close(self) -> None:
        self.alive = False

    def __enter__(self) -> LocalPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


QUICKLY = Settings(rounds=3, seconds=1e-6)


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fleets of workers in this process."""
    monkeypatch.setattr(harness, "Peer", LocalPeer)
    monkeypatch.setattr(peers, "Peer", LocalPeer)


@pytest.fixture
def tiny_case(monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """A case that all engines do quickly."""
    workload = replace(WORKLOADS["elementwise"], sizes={"tiny": {"size": 7}})
    monkeypatch.setitem(WORKLOADS, "elementwise", workload)
    return Case(workload, "tiny")


def tiny_of(program: str) -> Case:
    workload = next(w for w in WORKLOADS.values() if w.program == program)
    return Case(replace(workload, sizes={"tiny": TINY[program]}), "tiny")


def results_of(engine: str, case: Case) -> list[Any]:
    made = programs(engine)[case.workload.program](make_inputs(case.workload, case.parameters))
    for _ in range(case.workload.calls):
        result = made.run()
    return [np.asarray(value) for value in made.fetch(result)]


# --- workloads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", TINY)
@pytest.mark.parametrize("engine", ["autodiff", "autodiff-grad", "autodiff-compiled", "scalars"])
def test_engine_agrees_with_derivatives_by_hand(engine: str, program: str) -> None:
    if program not in programs(engine):
        pytest.skip("a transform already, or of arrays")
    case = tiny_of(program)
    if engine == "scalars" and program == "binary_chain":
        case = Case(WORKLOADS["chain-scalar"], "0-d")
    wanted = results_of(REFERENCE, case)
    assert difference(results_of(engine, case), wanted, case.workload.tolerance) is None
    assert all(np.any(array != 0) for array in wanted), "a result of zeros shows nothing"


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # by PyTorch itself
@pytest.mark.parametrize(
    "engine", [name for name, engine in ENGINES.items() if engine.requires != "autodiff"]
)
def test_peer_agrees_where_it_is_installed(engine: str) -> None:
    pytest.importorskip(ENGINES[engine].requires)
    for program in programs(engine).keys() - PROBLEMS.keys():
        case = tiny_of(program)
        if engine == "micrograd" and program == "binary_chain":
            case = Case(WORKLOADS["chain-scalar"], "0-d")
        if engine == "mygrad" and program == "recurrent":
            case.parameters["segment"] = 0
        wanted = results_of(REFERENCE, case)
        assert difference(results_of(engine, case), wanted, case.workload.tolerance) is None


class StandIn:
    """A compiler that runs a function as it is, and remembers what it was given."""

    def __init__(self) -> None:
        self.functions: list[Any] = []
        self.calls = 0

    def __call__(self, function: Any) -> Any:
        self.functions.append(function)

        def compiled_function(*arguments: Any) -> Any:
            self.calls += 1
            return function(*arguments)

        return compiled_function


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(ad, "compile", stand_in)
    return stand_in


@pytest.mark.parametrize("program", TINY)
def test_compiled_engine_compiles_one_function_once(compiler: StandIn, program: str) -> None:
    case = tiny_of(program)
    wanted = results_of(REFERENCE, case)
    programs("autodiff-compiled")  # loads what a compiler loads when first used
    before = len(compiler.functions), compiler.calls
    found = results_of("autodiff-compiled", case)
    assert difference(found, wanted, case.workload.tolerance) is None
    after = len(compiler.functions), compiler.calls
    assert after == (before[0] + 1, before[1] + case.workload.calls)


def test_compiled_engine_has_every_program() -> None:
    assert compiled.PROGRAMS.keys() == own.PROGRAMS.keys() == hand.PROGRAMS.keys()


@pytest.mark.usefixtures("local")
def test_first_call_is_of_a_fresh_function(compiler: StandIn, tiny_case: Case) -> None:
    with Fleet(["autodiff-compiled"], QUICKLY) as fleet:
        records = [harness.measure(fleet, tiny_case) for _ in range(2)]
    assert len(set(compiler.functions)) == len(compiler.functions) >= 2
    for record in records:
        entry = record["engines"]["autodiff-compiled"]
        assert entry["first"] > 0
        assert entry["ratio"] > 0


@pytest.mark.usefixtures("local")
def test_what_is_compiled_beside_the_first_call_is_checked(
    monkeypatch: pytest.MonkeyPatch, tiny_case: Case
) -> None:
    def turns_wrong(function: Any) -> Any:
        calls = itertools.count(1)

        def wrong(*xs: Any) -> list[Any]:
            factor = next(calls)
            return [factor * leaf for leaf in ad.tree.leaves(function(*xs))]

        return wrong

    monkeypatch.setattr(ad, "compile", turns_wrong)
    with Fleet(["autodiff-compiled"], QUICKLY) as fleet:
        entry = harness.measure(fleet, tiny_case)["engines"]["autodiff-compiled"]
    assert entry["error"].startswith("wrong: result 0 differs by")


@pytest.mark.usefixtures("local")
def test_what_is_not_compiled_in_time_is_said(
    monkeypatch: pytest.MonkeyPatch, tiny_case: Case
) -> None:
    monkeypatch.setattr(worker, "settle", lambda limit: False)
    with Fleet(["autodiff-compiled"], QUICKLY) as fleet:
        record = harness.measure(fleet, tiny_case)
        asked = fleet.peers["autodiff-compiled"].requests[1]
    assert asked["patience"] < QUICKLY.timeout
    assert record["engines"]["autodiff-compiled"]["settled"] is False
    assert any("compiled: was still compiling" in line for line in report.notes([record]))


def test_settling_waits_for_threads_that_compute() -> None:
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            np.ones(1000).sum()

    thread = threading.Thread(target=compute)
    threading.Timer(0.3, stop.set).start()
    thread.start()
    assert not settle(0.0)
    assert settle()
    assert stop.is_set()
    thread.join()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_mlp_step_changes_every_parameter(optimizer: str) -> None:
    parameters = {**TINY["mlp_step"], "optimizer": optimizer}
    workload = replace(WORKLOADS["mlp-sgd"], sizes={"tiny": parameters})
    before = make_inputs(workload, parameters)["parameters"]
    after = results_of(OWN, Case(workload, "tiny"))
    assert difference(results_of(REFERENCE, Case(workload, "tiny")), after, 1e-5) is None
    for old, new in zip(before, after, strict=True):
        assert np.any(old != new)


def test_inputs_are_the_same_each_time_and_read_only() -> None:
    workload = WORKLOADS["logistic"]
    first, second = (make_inputs(workload, TINY["logistic"]) for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
        assert not array.flags.writeable


def test_checkpoints_change_no_result() -> None:
    workload = WORKLOADS["depth"]
    stored = replace(workload, sizes={"a": {**TINY["recurrent"], "segment": 0}})
    pieces = replace(workload, sizes={"a": TINY["recurrent"]})
    for engine in (OWN, REFERENCE):
        (whole,), (recomputed,) = (results_of(engine, Case(w, "a")) for w in (stored, pieces))
        np.testing.assert_allclose(whole, recomputed, rtol=1e-5, atol=1e-6)


def test_every_workload_is_consistent() -> None:
    for workload in WORKLOADS.values():
        assert workload.program in hand.PROGRAMS
        assert workload.program in own.PROGRAMS
        assert set(workload.quick) <= set(workload.sizes)
        if workload.measure == "memory":
            assert workload.tiny
        for label, parameters in workload.sizes.items():
            assert Case(workload, label).operations >= 1
            assert not workload.axis or workload.axis in parameters
        assert "/" not in workload.name
        assert workload.group in GROUPS
    assert not GROUPS.keys() & WORKLOADS.keys(), "either may be named"
    order = [workload.group for workload in WORKLOADS.values()]
    assert order == sorted(order, key=list(GROUPS).index)
    assert set(order) == set(GROUPS)


def test_table_of_a_group_has_the_engines_that_can_do_it() -> None:
    chosen = cases(True, ["networks", "graph", "jacobian"])
    engines = ["autodiff", "numpy", "mygrad", "micrograd"]
    assert _able(engines, chosen, "operations") == engines
    assert _able(engines, chosen, "networks") == ["autodiff", "numpy", "mygrad"]
    assert _able(engines, chosen, "derivatives") == ["autodiff", "numpy"]


@pytest.mark.parametrize("engine", ENGINES)
def test_engine_offers_programs_that_there_are(engine: str) -> None:
    assert offered(engine)
    assert offered(engine).keys() <= hand.PROGRAMS.keys()


def test_cases() -> None:
    quick, full = cases(quick=True), cases(quick=False)
    assert 10 < len(quick) < len(full)
    assert {case.name for case in quick} < {case.name for case in full}
    assert [case.label for case in cases(True, ["graph"])] == ["1,000 nodes", "10,000 nodes"]
    assert len(cases(True, ["mlp-width"])) == 7, "not in the quick set, so asked for whole"
    found = cases(True, ["networks", "hessian"])
    assert {case.workload.group for case in found} == {"networks", "derivatives"}
    assert "mlp-width" not in {case.workload.name for case in found}
    assert len(cases(False, ["networks"])) > len(cases(True, ["networks"]))
    with pytest.raises(ValueError, match="no workload 'nonsense'; there are chain-binary, "):
        cases(True, ["nonsense"])


# --- the check of equality ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1.0, 2.1]), "result 0 differs by 0.1, of entries up to 2"),
        (np.array([1.0, np.nan]), "result 0 differs by nan"),
        (np.array([1.0, 2.0, 3.0]), r"result 0 has shape \(3,\) instead of \(2,\)"),
        (np.array([1.0, 2.0], np.float32), "result 0 has dtype float32 instead of float64"),
    ],
)
def test_difference_is_described(array: Any, message: str) -> None:
    found = difference([array], [np.array([1.0, 2.0])], 1e-9)
    assert found is not None
    with pytest.raises(ValueError, match=message):
        raise ValueError(found)


def test_difference_counts_results() -> None:
    assert difference([], [np.ones(1)], 1e-9) == "0 results instead of 1"
    assert difference([np.ones(0)], [np.ones(0)], 1e-9) is None


@pytest.mark.usefixtures("local")
def test_wrong_engine_is_caught_and_not_timed(
    monkeypatch: pytest.MonkeyPatch, tiny_case: Case
) -> None:
    right = functional.FUNCTIONAL["expression"]

    def wrong(inputs: Any) -> Program:
        program = right(inputs)

        def run() -> list[Any]:
            value, gradient = program.fetch(program.run())
            return [value, gradient * np.float32(1.01)]

        return Program(run)

    monkeypatch.setitem(functional.FUNCTIONAL, "expression", wrong)
    with Fleet(["autodiff-grad"], QUICKLY) as fleet:
        record = harness.measure(fleet, tiny_case)
        asked = [request["do"] for request in fleet.peers["autodiff-grad"].requests]
    assert record["engines"]["autodiff-grad"]["error"].startswith("wrong: result 1 differs by")
    assert "run" not in asked
    assert record["engines"][OWN]["median"] > 0
    assert report.notes([record])[0].startswith(
        "sum(tanh(x) exp(-x²)), tiny: ad.grad: wrong: result 1"
    )


@pytest.mark.usefixtures("local")
def test_failure_of_one_engine_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, tiny_case: Case
) -> None:
    def broken(inputs: Any) -> Program:
        raise RecursionError("too deep")

    monkeypatch.setitem(functional.FUNCTIONAL, "expression", broken)
    with Fleet(["autodiff-grad"], QUICKLY) as fleet:
        record = harness.measure(fleet, tiny_case)
    assert record["engines"]["autodiff-grad"] == {"error": "RecursionError: too deep"}
    assert record["engines"][REFERENCE]["ratio"] > 0


@pytest.mark.usefixtures("local")
def test_record_of_a_case(tiny_case: Case) -> None:
    with Fleet(["autodiff-grad"], QUICKLY) as fleet:
        record = json.loads(json.dumps(harness.measure(fleet, tiny_case)))
        orders = [len(peer.requests) for peer in fleet.peers.values()]
    assert {key: record[key] for key in ("workload", "case", "measure", "size", "operations")} == {
        "workload": "elementwise",
        "case": "tiny",
        "measure": "time",
        "size": 7,
        "operations": 1,
    }
    assert list(record["engines"]) == ["autodiff", "autodiff-grad", "numpy"]
    for name, entry in record["engines"].items():
        assert entry["rounds"] == 3
        assert entry["quartiles"][0] <= entry["median"] <= entry["quartiles"][1]
        assert {"first", "cores", "repeats"} <= entry.keys()
        assert len(entry["times"]) == 3
        assert ("ratio" in entry) == (name != OWN)
    assert len(set(orders)) == 1, "every engine got as many requests"


def test_ratio_is_the_median_of_ratios_within_rounds() -> None:
    columns = {"autodiff": [1.0, 20.0, 3.0], "numpy": [1.0, 10.0, 1.0], "torch": [4.0, 40.0, 8.0]}
    found = {name: {} for name in columns}
    case = cases(True, ["hessian"])[0]
    engines = record_of(case, Settings(), found, columns)["engines"]
    assert engines["numpy"]["ratio"] == 2.0
    assert engines["numpy"]["ratio_quartiles"] == [1.5, 2.5]
    assert engines["torch"]["ratio"] == 0.375


@pytest.mark.usefixtures("local")
def test_memory_is_measured_in_fresh_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "environment", None)  # no process is started
    sizes = {"tiny": {"depth": 2, "width": 8}}
    workload = replace(WORKLOADS["memory-mlp"], sizes=sizes, tiny=sizes["tiny"])
    monkeypatch.setitem(WORKLOADS, "memory-mlp", workload)
    with Fleet([], QUICKLY) as fleet:
        record = harness.measure_memory(fleet, Case(workload, "tiny"))
        assert [r["do"] for r in fleet.peers[OWN].requests] == ["hello", "prepare"]
    assert record["measure"] == "memory"
    assert record["engines"][OWN]["rounds"] == 1


def test_peak_of_memory_is_seen() -> None:
    case = Case(
        replace(WORKLOADS["memory-mlp"], sizes={"a": {"depth": 3, "width": 600}}),
        "a",
    )
    array = 600 * 600 * 4
    # In a process of its own: this one may have memory left over that would be used first
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert 3 * array < pool.submit(measure_memory, REFERENCE, case).result() < 30 * array


# --- engines that are not there -------------------------------------------------------------------


def test_library_that_is_not_there_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(inputs: Any) -> Program:
        raise ModuleNotFoundError("No module named 'special'", name="special")

    monkeypatch.setitem(hand.PROGRAMS, "hessian", lacks)
    answer = Worker("numpy").answer({"do": "prepare", "case": "hessian/100"})
    assert answer == {"unsupported": "needs special, which is not installed"}


@pytest.mark.usefixtures("local")
def test_missing_engine_is_listed(monkeypatch: pytest.MonkeyPatch, tiny_case: Case) -> None:
    gone = ENGINES["torch"]._replace(requires="no_such_module_anywhere")
    monkeypatch.setitem(ENGINES, "torch", gone)
    assert "missing" in Worker("torch").answer({"do": "hello"})
    with Fleet(["torch"], QUICKLY) as fleet:
        assert fleet.missing == {"torch": "not installed"}
        assert list(fleet.peers) == [OWN, REFERENCE]
        assert list(harness.measure(fleet, tiny_case)["engines"]) == [OWN, REFERENCE]
        results = {
            "machine": machine(QUICKLY),
            "engines": fleet.about,
            "missing": fleet.missing,
        }
    assert "PyTorch: not installed" in report.heading(results)


@pytest.mark.usefixtures("local")
def test_reference_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "numpy", ENGINES["numpy"]._replace(requires="no_such_module"))
    with pytest.raises(PeerError, match="numpy does not start: not installed"):
        Fleet([], QUICKLY)


def test_program_that_an_engine_lacks_is_unsupported() -> None:
    answer = Worker("autodiff-grad").answer({"do": "prepare", "case": "hessian/100"})
    assert answer == {"unsupported": "not among its implementations"}


# --- the protocol ---------------------------------------------------------------------------------


def test_worker_answers_every_mistake() -> None:
    worker = Worker("numpy")
    assert "no program is prepared" in worker.answer({"do": "run", "repeats": 1})["error"]
    assert worker.answer({"do": "prepare", "case": "x/y"}) == {"error": "KeyError: 'x'"}
    assert "unknown request" in worker.answer({"do": "jump"})["error"]


def test_results_are_files_without_pickle(tmp_path: Path) -> None:
    path = tmp_path / "results.npz"
    request = {"do": "prepare", "case": "hessian/100", "results": str(path)}
    assert Worker("numpy").answer(request)["count"] == 1
    with np.load(path, allow_pickle=False) as file:
        assert file["arr_0"].shape == (100, 100)


def script(text: str, timeout: float = 60.0) -> Peer:
    return Peer("numpy", Settings(timeout=timeout), [sys.executable, "-c", text])


def test_process_of_an_engine() -> None:
    with Peer("numpy", Settings(threads=1)) as peer:
        assert peer.ask({"do": "hello"})["numpy"] == np.__version__
        assert peer.ask({"do": "prepare", "case": "hessian/100"})["count"] == 1
        assert peer.ask({"do": "run", "repeats": 2})["seconds"] > 0
        assert peer.alive
    assert not peer.alive


def test_what_an_engine_prints_is_no_answer(tmp_path: Path) -> None:
    text = """
from autodiff.bench import worker
real = worker.Worker.answer
def answer(self, request):
    print("noise", flush=True)
    return real(self, request)
worker.Worker.answer = answer
import sys
sys.argv = ["worker", "numpy"]
worker.main()
"""
    with script(text) as peer:
        assert "version" in peer.ask({"do": "hello"})


def test_process_that_dies_is_reported() -> None:
    text = "import sys; input(); sys.exit('out of luck')"
    with script(text) as peer, pytest.raises(PeerError, match="status 1: out of luck"):
        peer.ask({"do": "hello"})


def test_process_that_does_not_answer_is_ended() -> None:
    peer = script("input(); input()", timeout=0.5)
    with pytest.raises(PeerError, match=r"no answer within 0\.5 s"):
        peer.ask({"do": "hello"})
    peer.close()
    assert not peer.alive


@pytest.mark.usefixtures("local")
def test_fleet_starts_a_process_again_that_ended() -> None:
    with Fleet([], QUICKLY) as fleet:
        first = fleet.peer(OWN)
        assert fleet.peer(OWN) is first
        first.alive = False
        assert fleet.peer(OWN) is not first


def test_environment_is_equal_for_all() -> None:
    base = {"OPENBLAS_CORETYPE": "Haswell", "XLA_FLAGS": "--a", "MALLOC_ARENA_MAX": "1"}
    as_is = environment(Settings(threads=3), base)
    assert as_is["OMP_NUM_THREADS"] == as_is["OPENBLAS_NUM_THREADS"] == as_is["NPROC"] == "3"
    assert as_is["OPENBLAS_CORETYPE"] == "Haswell"
    assert as_is["MALLOC_ARENA_MAX"] == "1"
    assert "MALLOC_MMAP_THRESHOLD_" not in as_is
    assert environment(Settings(), base)["XLA_FLAGS"].startswith("--a --xla_cpu")
    assert "OPENBLAS_CORETYPE" not in environment(Settings(coretype=""), base)
    zen = environment(Settings(coretype="Zen", exact_memory=True), base)
    assert zen["OPENBLAS_CORETYPE"] == "Zen"
    assert zen["MALLOC_MMAP_THRESHOLD_"] == "65536"


def test_import_times() -> None:
    found = harness.import_times(["numpy"], Settings(rounds=1))
    assert list(found) == ["numpy"]
    assert found["numpy"]["rounds"] == 1


def test_requirements_of_extras_and_other_platforms_do_not_count() -> None:
    lines = ["a-b>=1", "c; extra == 'x'", "d; sys_platform == 'zos'", "e (>2); python_version>'3'"]
    assert footprint.requirements(lines) == ["a-b", "e"]
    total, parts = footprint.installed_size("autodiff")
    assert {"autodiff", "numpy", "optree"} <= parts.keys()
    assert total == sum(parts.values()) > parts["numpy"] > parts["autodiff"] > 0


# --- text -----------------------------------------------------------------------------------------


def sample_record(case: str = "100", coretype: str = "as is", **engines: Any) -> dict[str, Any]:
    return {
        "workload": "hessian",
        "case": case,
        "title": "Hessian, Rosenbrock",
        "measure": "time",
        "size": None,
        "operations": 1,
        "coretype": coretype,
        "engines": {"autodiff": {"median": 0.002, "quartiles": [0.002, 0.002]}, **engines},
    }


def test_row_of_the_table() -> None:
    table = report.Table(["autodiff", "numpy", "torch", "jax", "micrograd"], width=30)
    record = sample_record(
        numpy={"ratio": 96.7, "ratio_quartiles": [96, 97]},
        torch={"ratio": 0.5, "ratio_quartiles": [0.4, 0.6]},
        jax={"error": "crashed"},
        micrograd={"unsupported": "scalars only"},
    )
    header, row = table.header("derivatives"), table.row(record)
    assert header.startswith("Jacobians and Hessians ")
    titles = " ".join(header.removeprefix("Jacobians and Hessians").split())
    assert titles == "autodiff NumPy by hand PyTorch JAX jit first call micrograd"
    assert row.startswith("Hessian, Rosenbrock, 100 ")
    assert row.split()[3:] == ["2", "ms", "97", "~0.50", "!", "-", "-"]
    assert len(row) == len(header)


def test_first_calls_stand_beside_the_engine() -> None:
    table = report.Table(["autodiff", "autodiff-compiled", "numpy"], width=30)
    ratio = {"ratio": 4.0, "ratio_quartiles": [4.0, 4.0]}
    record = sample_record(**{"autodiff-compiled": {**ratio, "first": 0.0123}, "numpy": ratio})
    assert [column.title for column in table.columns] == [
        "compiled",
        "first call",
        "NumPy by hand",
    ]
    assert table.row(record).split()[3:] == ["2", "ms", "4.00", "12.3", "ms", "4.00"]


def test_heading_says_what_compiled_programs_run_on() -> None:
    results = synthetic("hessian")
    assert "compiled: without llvmlite, which is not installed" in report.heading(results)
    results["engines"]["autodiff-compiled"] = {
        **results["engines"]["autodiff-compiled"],
        "helper": "0.50.0",
    }
    assert "compiled: with llvmlite 0.50.0\n" in report.heading(results) + "\n"


def test_row_says_which_kernel() -> None:
    table = report.Table(["autodiff"])
    assert "100 [Zen]" in table.row(sample_record(coretype="Zen"))
    assert "100 [kernel unset]" in table.row(sample_record(coretype=""))


def test_notes_name_greedy_engines_and_a_busy_machine() -> None:
    record = sample_record(torch={"cores": 2.0}, jax={"cores": 0.5}, numpy={"cores": 1.0})
    greedy, busy = report.notes([record])
    assert greedy == "Hessian, Rosenbrock, 100: PyTorch: used 2.0 cores"
    assert busy.startswith("1 of 3 figures were taken with less than 0.9 of a core")
    assert report.notes([record], threads=2) == [busy]


def test_amounts() -> None:
    shown = [report.amount(value, "s") for value in (3.2, 0.0021, 5.5e-6, 4e-9)]
    assert shown == ["3.2 s", "2.1 ms", "5.5 µs", "4 ns"]
    assert report.amount(512, "B") == "512 B"


def test_exponent_is_fitted_to_the_largest_sizes() -> None:
    sizes = [1, 10, 100, 1_000, 10_000]
    assert report.exponent(sizes, [7, 7, 1e2, 1e4, 1e6]) == pytest.approx(2.0)
    sizes = [1, 2, 4, 8, 16, 32, 64]
    assert report.exponent(sizes, [7, 7, 7, 64, 256, 1024, 4096]) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="needs two sizes, got 1"):
        report.exponent([1], [1])


def synthetic(*workloads: str, names: tuple[str, ...] = tuple(ENGINES)) -> dict[str, Any]:
    """Results as a full run has them."""
    records = []
    for case in cases(quick=False, names=workloads or None):
        engines: dict[str, Any] = {}
        for shift, name in enumerate(names):
            median = 1e-6 * (case.size or 10) * (1 + shift)
            engines[name] = {"median": median, "quartiles": [median, median]}
            if name != OWN:
                ratio = 1 / (1 + shift)
                engines[name] |= {"ratio": ratio, "ratio_quartiles": [0.9 * ratio, 1.1 * ratio]}
        record = sample_record(case.label, **engines)
        workload = case.workload
        record |= {"workload": workload.name, "title": workload.title, "size": case.size}
        record |= {"measure": workload.measure, "operations": case.operations}
        records.append(record)
    about = {"version": "1.0", "python": "3.11", "numpy": "2.0", "libraries": []}
    return {
        "schema": 1,
        "machine": machine(Settings()),
        "engines": dict.fromkeys(names, about),
        "missing": {},
        "cases": records,
        "imports": {name: {"median": 0.1} for name in names},
        "sizes": {name: {"median": 1_000_000} for name in names},
        "exponents": report.exponents(records),
    }


def test_markdown_has_a_row_for_each_case() -> None:
    results = synthetic()
    text = report.markdown(results)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    tables = len(GROUPS) + 1
    assert len(rows) == tables + len(results["cases"]) + 2
    for title in GROUPS.values():
        assert f"**{title}**" in text
    assert "- one operation of a scalar graph ~ size^k: autodiff 1.00, " in text


def test_plots(tmp_path: Path) -> None:
    from autodiff.bench import figures

    shown = ("graph", "hessian", "depth", "depth-checkpoint", "memory-depth")
    results = synthetic(*shown, "memory-depth-checkpoint", names=("autodiff", "numpy"))
    paths = figures.draw(results, tmp_path, "svg")
    assert [path.name for path in paths] == [
        "bench-ratios.svg",
        "bench-scaling.svg",
        "bench-depth.svg",
    ]
    for path in paths:
        text = "".join(ElementTree.parse(path).getroot().itertext())
        assert "date" not in text.lower(), "a picture changes with its figures only"


def test_no_plot_without_figures_for_it(tmp_path: Path) -> None:
    from autodiff.bench import figures

    empty = {**synthetic(), "cases": [], "exponents": {}}
    assert figures.draw(empty, tmp_path) == []


# --- the command ----------------------------------------------------------------------------------


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--workloads", "hessian", "--engines", "numpy", "--rounds", "2"]
    assert main(["bench", *arguments, "--out", str(tmp_path / "new")]) == 0
    shown = capsys.readouterr().out
    assert "below 1 autodiff is better" in shown
    assert "Hessian, Rosenbrock, 100" in shown
    results = json.loads((tmp_path / "new" / "bench.json").read_text(encoding="utf-8"))
    assert results["schema"] == 1
    assert set(results) == {
        "schema",
        "machine",
        "engines",
        "missing",
        "cases",
        "imports",
        "sizes",
        "exponents",
        "kernels",
    }
    assert results["machine"]["settings"]["threads"] == 1
    assert "/" not in results["machine"]["settings"]["python"], "no path of this machine"
    (record,) = results["cases"]
    assert record["engines"]["numpy"]["ratio"] > 0
    assert "times" not in record["engines"]["numpy"], "the file is small enough to keep"
    assert (tmp_path / "new" / "bench.md").is_file()
    assert (tmp_path / "new" / "bench-ratios.png").stat().st_size > 1000


def test_command_draws_a_file_again_and_does_without_matplotlib(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "bench.json"
    source.write_text(json.dumps(synthetic("hessian")), encoding="utf-8")
    arguments = ["bench", "--from", str(source), "--out", str(tmp_path), "--format", "svg"]
    assert main(arguments) == 0
    assert (tmp_path / "bench-ratios.svg").is_file()
    assert "| Hessian, Rosenbrock, 100 |" in capsys.readouterr().out
    monkeypatch.delitem(sys.modules, "autodiff.bench.figures", raising=False)
    monkeypatch.delattr("autodiff.bench.figures", raising=False)
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(arguments) == 0
    assert "plots   not drawn: matplotlib is not installed" in capsys.readouterr().out


def test_command_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*WORKLOADS, *ENGINES))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workloads", "nonsense"], "--workloads: no workload 'nonsense'; there are chain-"),
        (["--engines", "nonsense"], "--engines: no 'nonsense'; there are autodiff,"),
        (["--rounds", "0"], "'0' is not an integer of at least 1"),
        (["--from", "{folder}/none.json"], "none.json: No such file"),
        (["--from", "{folder}/text"], "is not JSON"),
        (["--from", "{folder}/other.json"], "not a bench.json of this version"),
        (["--workloads", "hessian", "--out", "{folder}/text"], "--out: "),
        (["--quick", "--full"], "not allowed with argument --quick"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("no JSON", encoding="utf-8")
    (tmp_path / "other.json").write_text("[]", encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        main(["bench", *(part.format(folder=tmp_path) for part in arguments)])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("local")
def test_matrix_products_are_measured_with_other_kernels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {"tiny": TINY["mlp_step"]}
    workload = replace(WORKLOADS["mlp-adam"], sizes=sizes, quick=("tiny",))
    monkeypatch.setitem(WORKLOADS, "mlp-adam", workload)
    arguments = ["--workloads", "mlp-adam", "hessian", "--engines", "numpy", "--rounds", "1"]
    kernels = ["--coretype", "unset", "--coretype", "Zen"]
    assert main(["bench", *arguments, *kernels, "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    found = [(record["workload"], record["coretype"]) for record in results["cases"]]
    assert found == [
        ("mlp-adam", "as is"),
        ("hessian", "as is"),
        ("mlp-adam", ""),
        ("mlp-adam", "Zen"),
    ]
    assert list(results["kernels"]) == ["unset", "Zen"]
    assert "OPENBLAS_CORETYPE=Zen" in capsys.readouterr().out


@pytest.mark.usefixtures("local")
def test_own_failure_is_the_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def zeros(inputs: Any) -> Program:
        return Program(lambda: [np.zeros((100, 100))])

    monkeypatch.setitem(own.PROGRAMS, "hessian", zeros)
    arguments = ["--workloads", "hessian", "--engines", "numpy", "--rounds", "1"]
    assert main(["bench", *arguments, "--out", str(tmp_path)]) == 1
    assert "! Hessian, Rosenbrock, 100: autodiff: wrong: result 0" in capsys.readouterr().out
