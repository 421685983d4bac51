"""Structure that primitives declare: the map and the pattern of each one, beside its numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from registry import CASES, DOMAINS, PRIMITIVES, SMOOTH, Case

import autodiff as ad
from autodiff import nn, ordering, structure, tree
from autodiff.core.primitive import Primitive
from autodiff.core.spec import is_inexact, spec_of
from autodiff.errors import DeclarationError, RuleError
from autodiff.ordering.local import local_jacobian, operation_at
from autodiff.ordering.patterns import sparsity_pattern

# --- each primitive against its numbers -----------------------------------------------------------


def steps(x: Any) -> list[Any]:
    """One unit step per element, of complex numbers a real and an imaginary one."""
    x = np.asarray(x)
    units = np.eye(x.size, dtype=x.dtype).reshape((x.size, *x.shape))
    return [*units, *(1j * units if x.dtype.kind == "c" else ())]


def changes(case: Case, position: int) -> list[np.ndarray[Any, Any]]:
    """Numerical Jacobian of each output by one input: central differences, a column per step."""
    x = np.asarray(case.inputs[position])
    size = 1e-6
    domain = DOMAINS.get(case.primitive.name, lambda value: value)

    def flat(value: Any) -> list[Any]:
        inputs = list(case.inputs)
        inputs[position] = domain(value)[()]
        return [np.ravel(leaf) for leaf in tree.leaves(case.call(*inputs))]

    columns = [
        [(ahead - behind) / (2 * size) for ahead, behind in zip(more, less, strict=True)]
        for more, less in ((flat(x + size * unit), flat(x - size * unit)) for unit in steps(x))
    ]
    return [np.stack(parts, 1) for parts in zip(*columns, strict=True)]


def is_real(case: Case) -> bool:
    values = [*case.active, *tree.leaves(case.call(*case.inputs))]
    return all(spec_of(value).dtype.kind != "c" for value in values)


def check_map(case: Case) -> None:
    """The local Jacobian by each input: equal to the numerical one; the same without numbers."""
    out = case.call(*case.inputs)
    outs = tree.leaves(out)
    every = tuple(i in case.positions for i in range(len(case.inputs)))
    for position in case.positions:
        numerical = changes(case, position)
        alone = tuple(i == position for i in range(len(case.inputs)))
        for output, value in enumerate(outs):
            if not is_inexact(spec_of(value).dtype):
                continue
            for active in {every, alone}:
                operation = operation_at(case.primitive, active, case.inputs, out, case.params)
                found = local_jacobian(operation, position, output)
                assert found.in_shape == np.shape(case.inputs[position])
                assert found.out_shape == np.shape(value)
                np.testing.assert_allclose(
                    found.materialise(), numerical[output], rtol=2e-5, atol=2e-7
                )
                operation.saved = None
                planned = local_jacobian(operation, position, output)
                assert planned.nbytes == found.nbytes
                assert planned.structure == found.structure or planned.structure == "scaled"


def pattern_of(case: Case) -> np.ndarray[Any, Any]:
    tape = ad.record(case.of_active)(*case.active)
    return sparsity_pattern(tape).dense()


def dependence(case: Case) -> np.ndarray[Any, Any]:
    """Which places of the numerical Jacobian differ from zero."""
    blocks = []
    for position in case.positions:
        size = np.size(case.inputs[position])
        columns = np.abs(np.concatenate(changes(case, position))) > 1e-8
        blocks.append(columns.reshape((len(columns), -1, size)).any(1))
    return np.concatenate(blocks, 1)


def check_pattern(case: Case, exact: bool) -> None:
    """The pattern has every place that differs from zero; no other one if it is exact."""
    found, nonzero = pattern_of(case), dependence(case)
    assert found.shape == nonzero.shape
    missing = nonzero & ~found
    assert not missing.any(), f"the pattern lacks {np.argwhere(missing)[0]}"
    if exact:
        surplus = found & ~nonzero
        assert not surplus.any(), f"nothing is at {np.argwhere(surplus)[0]}"


INEXACT = {
    # what no pattern is declared of; polynomials, of which the lowest is constant
    "eigenpairs",
    "eval_chebyt",
    "eval_chebyu",
    "eval_gegenbauer",
    "eval_hermite",
    "eval_jacobi",
    "expm_cotangent",
    "expm_product",
    "expm_tangent",
    "interpolated",
    "operator_matmul",
    "scattered",
    "spline_coefficients",
    "spline_transposed",
    # choices among their elements
    *("max", "min", "maximum", "minimum", "fmax", "fmin", "clip", "where", "relu"),
    # what reads a triangle, or writes one; products without some elements
    *("cholesky", "qr", "cofactors", "triangular_solve", "banded_solve", "eigh", "svd"),
    "rational_filter",
    *("polyphase", "savgol", "savgol_transposed", "sections_filter", "spectral_resampling"),
    *("zero_phase_filter", "zero_phase_transposed"),
    *("lu_factors", "toeplitz_solve"),
    # steps, and imaginary parts of real numbers
    *("slogdet", "heaviside", "imag"),
}
"""Primitives whose Jacobian has zeros, by chance or by choice, that no pattern tells of."""


LOSSES = [
    Case(loss, number, sample.inputs, sample.params)
    for loss in (nn.losses._softmax_cross_entropy, nn.losses._softmax_excess)
    for number, sample in enumerate(loss.sample(np.random.default_rng(0)))
]
"""Of a package that the registry's tests do not load."""


@pytest.mark.parametrize("case", [*SMOOTH, *LOSSES], ids=repr)
def test_pattern_of_every_primitive(case: Case) -> None:
    check_pattern(case, case.primitive.name not in INEXACT)


@pytest.mark.parametrize("case", [case for case in (*SMOOTH, *LOSSES) if is_real(case)], ids=repr)
def test_map_of_every_primitive(case: Case) -> None:
    check_map(case)


@pytest.mark.parametrize("name", sorted(INEXACT))
def test_no_primitive_is_excused_for_nothing(name: str) -> None:
    own = [case for case in SMOOTH if case.primitive.name == name]
    assert any((pattern_of(case) & ~dependence(case)).any() for case in own)


def sparse_in(case: Case) -> bool:
    return not pattern_of(case).all()


def test_what_has_structure_declares_it() -> None:
    """Not every case is dense: the check of patterns sees some."""
    sparse = {case.primitive.name for case in SMOOTH if sparse_in(case)}
    assert {"sum", "cumsum", "matmul", "einsum", "concatenate", "scatter", "assign"} <= sparse
    assert {"inv", "solve", "svd", "convolve", "dft", "softmax", "euclidean_norm"} <= sparse


# --- testing the tester ---------------------------------------------------------------------------


def square_sum(x: Any) -> Any:
    return np.cumsum(x * x)


def planted(function: Callable[..., Any] = square_sum, **options: Any) -> Case:
    """A call of a primitive that the registry does not know: running sums of squares."""
    rules = {"vjp_x": lambda g, x: 2 * x * np.flip(np.cumsum(np.flip(g)))}
    declared = Primitive(function, "general", rules, name="planted", **options)
    return Case(declared, 0, (np.array([0.5, -1.5, 2.0]),), {})


def lower_triangle(operation: Any, position: int) -> Any:
    return structure.Pairs(lambda: np.tril_indices(3), 6)


def dense_block(operation: Any, position: int) -> Any:
    return structure.Blocks(
        (1, 3, 3, 1), lambda: np.tril(np.ones((3, 3))) * (2 * operation.values["x"])
    )


def test_the_right_structure_passes() -> None:
    check_map(planted(local=dense_block))
    check_pattern(planted(pattern=lower_triangle), exact=True)
    check_pattern(planted(local=dense_block), exact=False)


@pytest.mark.parametrize(
    "wrong",
    [
        structure.same,
        lambda operation, position: structure.Nothing(),
        lambda operation, position: structure.Reads(lambda: np.arange(3), 2.0),
        lambda operation, position: structure.Sums(lambda: np.zeros(3, int)),
        lambda operation, position: structure.Blocks(
            (1, 3, 3, 1), lambda: np.triu(np.ones((3, 3))) * (2 * operation.values["x"])
        ),
    ],
)
def test_a_wrong_map_is_caught(wrong: Any) -> None:
    with pytest.raises(AssertionError):
        check_map(planted(local=wrong))
    with pytest.raises(AssertionError, match="the pattern lacks"):
        check_pattern(planted(pattern=wrong, local=dense_block), exact=False) if (
            not isinstance(wrong(_operation(), 0), structure.Blocks)
        ) else check_pattern(planted(pattern=structure.same), exact=False)


def _operation() -> Any:
    case = planted()
    return operation_at(case.primitive, (True,), case.inputs, case.call(*case.inputs), {})


def test_a_pattern_that_is_too_small_or_too_large_is_caught() -> None:
    def upper(operation: Any, position: int) -> Any:
        return structure.Pairs(lambda: np.triu_indices(3), 6)

    with pytest.raises(AssertionError, match=r"the pattern lacks \[1 0\]"):
        check_pattern(planted(pattern=upper), exact=False)
    with pytest.raises(AssertionError, match=r"nothing is at \[0 1\]"):
        check_pattern(planted(), exact=True)


# --- descriptions ---------------------------------------------------------------------------------


def weights() -> Any:
    return np.array([2.0, -3.0, 0.5])


def described(function: Any, description: Any, x: Any) -> Case:
    """A linear primitive with a description, at x."""
    declared = Primitive(
        function,
        "linear",
        {"transpose": lambda g: ad.vjp(function, np.zeros(np.shape(x)))[1](g)[0]},
        name="described",
        local=lambda operation, position: description,
    )
    return Case(declared, 0, (x,), {})


@pytest.mark.parametrize(
    ("function", "description", "kind"),
    [
        (lambda x: 3.0 * x, structure.Same(3.0), "scaled"),
        (lambda x: x * weights(), structure.Same(weights), "diagonal"),
        (lambda x: 2.0 * x[::-1], structure.Reads(lambda: [2, 1, 0], 2.0), "index"),
        (lambda x: x[::-1] * weights(), structure.Reads(lambda: [2, 1, 0], weights), None),
        (lambda x: -x.sum(), structure.Sums(lambda: [0, 0, 0], -1.0), "sum"),
        (lambda x: (x * weights()).sum(), structure.Sums(lambda: [0, 0, 0], weights), None),
        (lambda x: x[:2] * 0.0, structure.Nothing(), "zero"),
        (
            lambda x: np.outer(np.arange(1.0, 3.0), x),
            structure.Blocks((1, 2, 1, 1), lambda: np.arange(1.0, 3.0), trail=3),
            "kronecker 3 x [2,1]",
        ),
    ],
)
def test_a_description_becomes_its_map_and_pattern(
    function: Any, description: Any, kind: str | None
) -> None:
    case = described(function, description, np.array([0.5, -1.5, 2.0]))
    check_map(case)
    check_pattern(case, exact=True)
    operation = operation_at(case.primitive, (True,), case.inputs, case.call(*case.inputs), {})
    found = local_jacobian(operation, 0)
    if kind is not None:
        assert found.structure == kind
    assert found.abstract().structure.replace("scaled", "") in found.structure


@pytest.mark.parametrize("description", [structure.Groups, structure.Pairs])
def test_a_pattern_is_no_map(description: Any) -> None:
    case = planted(local=lambda operation, position: description(lambda: 0, lambda: 0, 1))
    operation = operation_at(case.primitive, (True,), case.inputs, case.call(*case.inputs), {})
    with pytest.raises(RuleError, match=r"planted\.local: .* give it as pattern="):
        local_jacobian(operation, 0)


def test_large_blocks_are_not_written_out_unless_they_are_there() -> None:
    size = ordering.local.LARGEST_BLOCK + 1
    matrix = np.ones((size, size))

    def block(kept: bool) -> str:
        case = described(
            lambda x: matrix @ x,
            structure.Blocks((1, size, size, 1), lambda: matrix, kept=kept),
            np.ones(size),
        )
        operation = operation_at(case.primitive, (True,), case.inputs, case.call(*case.inputs), {})
        return local_jacobian(operation, 0).structure

    assert block(True) == "dense"
    assert block(False) == "opaque"


def test_many_inputs_are_moved_in_one_pass() -> None:
    calls = []

    def joined(*xs: Any) -> Any:
        calls.append(len(xs))
        return np.concatenate(xs)

    declared = Primitive(
        joined,
        "linear",
        {"transpose_xs": lambda g, index: g[index : index + 1]},
        name="joined",
        local=structure.moves,
    )
    tape = ad.record(lambda x: declared(*[x[i : i + 1] for i in range(50)]))(np.ones(50))
    before = len(calls)
    assert np.array_equal(sparsity_pattern(tape).dense(), np.eye(50, dtype=bool))
    assert len(calls) == before + 1


def test_structure_of_one_output_among_several() -> None:
    """A rule is told which output is asked about."""

    def local(operation: Any, position: int) -> Any:
        if operation.output == 0:
            return structure.Same()
        return structure.Sums(lambda: np.zeros(3, int), lambda: operation.partials[0])

    declared = Primitive(
        lambda x: (x * 1.0, (x * x).sum()),
        "general",
        {"vjp_x": lambda g, x: g[0] + 2 * x * g[1]},
        name="twofold",
        local=local,
    )
    case = Case(declared, 0, (np.array([0.5, -1.5, 2.0]),), {})
    check_map(case)
    check_pattern(case, exact=True)
    for order in ("forward", "reverse", "cross-country"):
        found = ad.jacobian(lambda x: declared(np.sin(x)), order=order)(case.inputs[0])
        wanted = np.diag(np.cos(case.inputs[0]))
        np.testing.assert_allclose(found[0], wanted, atol=1e-15)
        np.testing.assert_allclose(found[1], np.sin(2 * case.inputs[0]))


# --- what used to go by name ----------------------------------------------------------------------


@pytest.mark.parametrize("order", ["forward", "reverse", "cross-country"])
def test_a_function_called_like_a_primitive_is_not_taken_for_it(order: str) -> None:
    def reshape(x: Any) -> Any:
        return x * x

    named = ad.custom_vjp(reshape, lambda x: (x * x, x), lambda x, g: (2 * x * g,))
    x = np.array([0.5, -1.5, 2.0])
    found = ad.jacobian(lambda x: np.sin(named(np.exp(x))), order=order)(x)
    wanted = np.diag(np.cos(np.exp(2 * x)) * 2 * np.exp(2 * x))
    np.testing.assert_allclose(found, wanted)


@pytest.mark.parametrize("wrap", [ad.checkpoint, lambda f: ad.custom_vjp(f, *square_rules())])
def test_a_whole_function_with_one_output_is_eliminated(wrap: Any) -> None:
    f = wrap(lambda x: x * x)
    x = np.array([0.5, -1.5, 2.0])

    def program(x: Any) -> Any:
        return np.sin(f(np.exp(x)))

    wanted = np.diag(np.cos(np.exp(2 * x)) * 2 * np.exp(2 * x))
    np.testing.assert_allclose(ad.jacobian(program, order="cross-country")(x), wanted)
    maps = ordering.local_jacobians(ad.record(program)(x), x)
    np.testing.assert_allclose(maps[1, 2].materialise(), np.diag(2 * np.exp(x)))


def square_rules() -> Any:
    return lambda x: (x * x, x), lambda x, g: (2 * x * g,)


def test_elimination_uses_what_a_users_primitive_declares() -> None:
    declared = Primitive(
        lambda x: np.roll(x, 1),
        "linear",
        {"transpose": lambda g: np.concatenate([g[1:], g[:1]])},
        name="turned",
        local=structure.moves,
    )
    bare = Primitive(
        lambda x: np.roll(x, 1),
        "linear",
        {"transpose": lambda g: np.concatenate([g[1:], g[:1]])},
        name="turned",
    )
    x = np.arange(1.0, 41.0)

    def program(primitive: Primitive) -> Callable[[Any], Any]:
        return lambda x: np.sin(primitive(np.cos(x))) * x

    costs = [
        ad.record(program(p))(x).jacobian_graph().plan("markowitz").cost for p in (declared, bare)
    ]
    assert costs[0] < costs[1]
    maps = ordering.local_jacobians(ad.record(program(declared))(x), x)
    assert "index" in {found.structure for found in maps.values()}
    found = [ad.jacobian(program(p), order="cross-country")(x) for p in (declared, bare)]
    np.testing.assert_allclose(found[0], found[1])


# --- declarations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["local", "pattern"])
@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("index", "must be a function of an operation and the position"),
        (structure.Same(), "must be a function of an operation and the position"),
        (
            lambda operation: None,
            "takes an operation and the position of an input; this one takes 1",
        ),
        (lambda op, position, output: None, "this one takes 3 arguments"),
    ],
)
def test_a_wrong_rule_is_refused(what: str, rule: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=rf"planted\.{what}: .*{message}"):
        planted(**{what: rule})


def test_structure_without_a_derivative_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"rounded\.local: no input carries a derivative"):
        Primitive(
            lambda x: np.rint(x),
            "elementwise",
            {},
            name="rounded",
            constant=("x",),
            local=structure.same,
        )


@pytest.mark.parametrize(
    ("symmetric", "message"),
    [
        (("x", "z"), "'z' is not an input; the inputs are x, y"),
        (("x",), "two at least, got 'x' alone"),
        ("y", "two at least, got 'y' alone"),
    ],
)
def test_wrong_symmetry_is_refused(symmetric: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=rf"planted\.symmetric: .*{message}"):
        Primitive(
            lambda x, y: x * y,
            "elementwise",
            {"d_x": lambda y: y, "d_y": lambda x: x},
            name="planted",
            symmetric=symmetric,
        )


def test_a_partial_rule_and_a_bound_parameter_are_rules() -> None:
    """Arguments by keyword, and those with a default, are the rule's own."""

    def scaled(operation: Any, position: int, factor: float = 2.0) -> Any:
        return structure.Same(factor)

    case = planted(lambda x: 2.0 * x, local=scaled)
    assert case.primitive.local is scaled


# --- symmetric operands ---------------------------------------------------------------------------


def is_symmetric(case: Case) -> bool:
    """Whether the value is the same with the first two inputs exchanged."""
    first, second, *others = case.inputs
    with np.errstate(all="ignore"):
        value, other = case.call(first, second, *others), case.call(second, first, *others)
    return np.allclose(value, other, 1e-14, 1e-14)


PAIRS = [
    primitive
    for primitive in PRIMITIVES
    if primitive.kind == "elementwise"
    and len(primitive.inputs) == 2
    and len(primitive.constant) != 1  # an order is an integer
]


@pytest.mark.parametrize("primitive", PAIRS, ids=lambda primitive: primitive.name)
def test_operands_that_may_change_places_are_declared(primitive: Primitive) -> None:
    holds = all(is_symmetric(case) for case in CASES if case.primitive is primitive)
    assert (primitive.symmetric == frozenset(primitive.inputs)) == holds


def test_symmetry_is_declared_of_pairs_alone() -> None:
    assert {p.name for p in PRIMITIVES if p.symmetric} <= {p.name for p in PAIRS}
    assert {"add", "multiply", "maximum", "equal", "logical_and"} <= {
        p.name for p in PAIRS if p.symmetric
    }
