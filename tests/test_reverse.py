"""The backward sweep: accumulation, release, depth, threads, and what the tape protects."""

import asyncio
import contextlib
import gc
import itertools
import threading

import numpy as np
import pytest
from allocation import traced

import autodiff as ad
from autodiff.core.dispatch import thread_state
from autodiff.core.modes import modes
from autodiff.core.primitive import Primitive
from autodiff.core.spec import spec_of
from autodiff.errors import RuleError


class TestBackward:
    def test_grad_accumulates_and_can_be_cleared(self):
        w = ad.Tensor([1.0, 2.0])
        assert w.grad is None
        np.sum(w * w).backward()
        np.sum(w * w).backward()
        np.testing.assert_array_equal(w.grad, [4.0, 8.0])
        w.grad = None
        np.sum(w).backward()
        np.testing.assert_array_equal(w.grad, [1.0, 1.0])

    def test_gradient_argument(self):
        w = ad.Tensor([1.0, 2.0])
        (w * w).backward(gradient=[1.0, 10.0])
        np.testing.assert_array_equal(w.grad, [2.0, 40.0])

    @pytest.mark.parametrize(
        ("gradient", "error", "message"),
        [
            (None, TypeError, r"needs a real scalar, this Tensor is of shape \(2,\)"),
            (np.ones(3), ValueError, r"gradient has shape \(3,\), the Tensor \(2,\)"),
        ],
    )
    def test_bad_seed(self, gradient, error, message):
        with pytest.raises(error, match=message):
            (ad.Tensor([1.0, 2.0]) * 2).backward(gradient=gradient)

    def test_complex_scalar_needs_a_seed(self):
        with pytest.raises(TypeError, match="this Tensor is complex"):
            np.sum(ad.Tensor([1j])).backward()

    def test_constant_has_no_backward(self):
        with pytest.raises(ValueError, match="depends on no variable"):
            ad.Tensor(1.0).detach().backward()

    def test_released_tape(self):
        w = ad.Tensor(3.0)
        y = np.exp(w) * w
        y.backward()
        with pytest.raises(ad.TapeReleasedError, match=r"multiply were released.*keep_tape=True"):
            y.backward()

    def test_keep_tape(self):
        w = ad.Tensor(3.0)
        y = w * w
        y.backward(keep_tape=True)
        y.backward()
        assert w.grad == 12.0

    def test_keep_grads(self):
        w = ad.Tensor(3.0)
        y = w * w
        z = y * 2
        z.backward(keep_grads=True)
        assert (y.grad, z.grad, w.grad) == (2.0, 1.0, 12.0)
        u = w * w
        (u * 2).backward()
        assert u.grad is None

    def test_grad_does_not_alias(self):
        x, y = ad.Tensor(np.ones(2)), ad.Tensor(np.ones(2))
        seed = np.ones(2)
        (x + y).backward(gradient=seed)
        x.grad += 5.0
        np.testing.assert_array_equal(y.grad, np.ones(2))
        np.testing.assert_array_equal(seed, np.ones(2))

    def test_assigned_grad_is_checked(self):
        x = ad.Tensor(np.ones(2))
        x.grad = [1.0, 2.0]
        assert x.grad.dtype == np.float64
        with pytest.raises(ValueError, match=r"shape \(3,\)"):
            x.grad = np.ones(3)

    def test_unused_and_reused_variables(self):
        used, unused = ad.Tensor(2.0), ad.Tensor(1.0)
        y = used
        for _ in range(5):
            y = y * used + used
        y.backward()
        expected = sum(k * 2.0 ** (k - 1) for k in range(1, 7))
        assert used.grad == expected
        assert unused.grad is None

    def test_no_grad_and_stop_gradient(self):
        w = ad.Tensor(2.0)
        with ad.no_grad():
            constant = w * w
        assert isinstance(constant, ad.Tensor)
        (constant * w).backward()
        assert w.grad == 4.0
        w.grad = None
        (ad.stop_gradient(w) * w).backward()
        assert w.grad == 2.0

        @ad.no_grad()
        def evaluate():
            return w * 3

        assert float(evaluate()) == 6.0

    def test_no_grad_leaves_inner_transforms_alone(self):
        with ad.no_grad():
            assert ad.grad(lambda x: x * x)(3.0) == 6.0


class TestSafety:
    """Nothing that a tape saved may be changed behind its back unnoticed."""

    def test_constant_changed_after_use(self):
        x, w = np.array([1.0, 2.0]), ad.Tensor([3.0, 4.0])
        y = np.sum(w * x)
        x[:] = 100.0
        y.backward()
        np.testing.assert_array_equal(w.grad, [1.0, 2.0])

    def test_base_of_a_read_only_view_changed_after_use(self):
        base = np.array([1.0, 2.0])
        view = base[:]
        view.flags.writeable = False
        w = ad.Tensor([3.0, 4.0])
        y = np.sum(w * view)
        base[:] = 100.0
        y.backward()
        np.testing.assert_array_equal(w.grad, [1.0, 2.0])

    def test_scratch_buffer_reused_inside_a_function(self):
        buffer = np.zeros(2)

        def f(x):
            total = 0.0
            for k in range(3):
                buffer[:] = k + 1.0
                total = total + np.sum(buffer * x)
            return total

        np.testing.assert_array_equal(ad.grad(f)(np.ones(2)), [6.0, 6.0])

    def test_input_changed_before_the_pullback(self):
        x = np.array([1.0, 2.0])
        _, pullback = ad.vjp(lambda x: x * x, x)
        x[:] = 100.0
        np.testing.assert_array_equal(pullback(np.ones(2))[0], [2.0, 4.0])

    def test_index_array_changed_after_use(self):
        index, w = np.array([0, 0]), ad.Tensor([3.0, 4.0])
        y = np.sum(w[index])
        index[:] = 1
        y.backward()
        np.testing.assert_array_equal(w.grad, [2.0, 0.0])

    def test_matrix_constants_and_variadic_inputs(self):
        a, w = np.ones((2, 2)), ad.Tensor(np.ones((2, 2)))
        y = np.sum(np.einsum("ij,jk,kl->il", a, w, a)) + np.sum(a @ w)
        a[:] = 100.0
        y.backward()
        np.testing.assert_array_equal(w.grad, np.full((2, 2), 6.0))

    def test_frozen_arrays_are_not_copied(self):
        big = np.ones(1_000_000)
        big.setflags(write=False)
        w = ad.Tensor(2.0)
        np.sum(w * big).backward()
        with traced() as memory:
            y = w * big
        assert memory.held < 1.5 * big.nbytes
        assert y.shape == big.shape

    def test_variable_replaced_after_use(self):
        w = ad.Tensor([1.0, 2.0])
        y = np.sum(w * w)
        w.data = np.array([100.0, 100.0])
        y.backward()
        np.testing.assert_array_equal(w.grad, [2.0, 4.0])

    def test_gradients_returned_belong_to_the_caller(self):
        gradient = ad.grad(lambda x: np.sum(x))(np.ones(3))
        gradient[0] = 5.0
        a, b = ad.grad(lambda x, y: np.sum(x + y), argnums=(0, 1))(np.ones(2), np.ones(2))
        a[0] = 5.0
        np.testing.assert_array_equal(b, np.ones(2))


class TestScale:
    def test_a_million_operations(self):
        x = ad.Tensor(1.0)
        y = x
        for _ in range(1_000_000):
            y = y + 1e-6
        y.backward()
        assert x.grad == 1.0
        del y
        gc.collect()

    def test_a_million_operations_dropped_without_a_sweep(self):
        y = ad.Tensor(np.ones(1))
        for _ in range(1_000_000):
            y = -y
        del y
        gc.collect()

    def test_diamonds_are_visited_once(self):
        x = ad.Tensor(1.0)
        y = x
        for _ in range(200):
            y = y + y
        y.backward()
        assert x.grad == 2.0**200

    def test_indexing_in_a_loop_makes_no_array_per_element(self):
        n = 4000
        x = ad.Tensor(np.ones(n))
        total = 0.0
        for i in range(n):
            total = total + x[i] * x[i]
        with traced() as memory:
            total.backward()
        np.testing.assert_array_equal(x.grad, np.full(n, 2.0))
        assert memory.peak < 20 * n * 100  # far below n arrays of n floats

    def test_saved_values_are_released_as_the_sweep_passes(self):
        x = ad.Tensor(np.ones(100_000))
        y = x
        for _ in range(20):
            y = np.tanh(y)
        loss = np.sum(y)
        del y
        with traced() as memory:
            loss.backward()
        # A sweep that kept its cotangents, or copied what is saved, would need 20 arrays.
        assert memory.peak < 8 * x.nbytes

    def test_tape_keeps_what_rules_name_and_no_more(self):
        sizes = [64] * 31
        rng = np.random.default_rng(0)
        weights = [ad.Tensor(rng.standard_normal((a, b)) / 8) for a, b in itertools.pairwise(sizes)]
        biases = [ad.Tensor(np.zeros(b)) for b in sizes[1:]]
        x = rng.standard_normal((512, 64))
        x.setflags(write=False)
        np.sum(np.tanh(x @ weights[0] + biases[0])).backward()
        with traced() as memory:
            h = x
            for w, b in zip(weights, biases, strict=True):
                h = np.tanh(h @ w + b)
        # Of a layer the inputs of tanh, for its slope where it is saturated, and its results
        activations = 2 * 30 * 512 * 64 * 8
        assert memory.held <= 1.1 * activations
        assert h.shape == (512, 64)


class TestThreads:
    def test_eight_threads_get_their_own_answers(self):
        errors = []
        start = threading.Barrier(8)

        def work(k):
            rng = np.random.default_rng(k)
            start.wait()
            for _ in range(30):
                x = rng.standard_normal(5)
                got = ad.grad(lambda x: ad.grad(lambda y: np.sum(np.sin(y) * x**k))(x) @ x)(x)
                want = (
                    k * x ** max(k - 1, 0) * np.cos(x) * x - x**k * np.sin(x) * x + x**k * np.cos(x)
                )
                w = ad.Tensor(x)
                np.sum(w**2).backward()
                with ad.no_grad() if k % 2 else ad.strong_zero():
                    inner = w * 2
                if not np.allclose(w.grad, 2 * x) or (inner._payload is None) != bool(k % 2):
                    errors.append((k, "imperative"))
                if k and not np.allclose(got, want):
                    errors.append((k, got, want))

        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert modes.open == 0

    def test_threads_share_a_variable(self):
        w = ad.Tensor(np.ones(3))
        results = []

        def work(k):
            results.append((k, ad.grad(lambda x: np.sum(w * x**2) * k)(np.ones(3))))

        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 8
        for k, gradient in results:
            np.testing.assert_array_equal(gradient.data, np.full(3, 2.0 * k))


class TestScopes:
    @pytest.mark.parametrize(
        "transform",
        [
            lambda f: ad.grad(f)(1.0),
            lambda f: ad.jvp(f, (1.0,), (1.0,)),
            lambda f: ad.vjp(f, 1.0),
            lambda f: ad.vmap(f)(np.ones(2)),
            lambda f: ad.record(f)(1.0),
            lambda f: ad.linearize(f, 1.0),
            lambda f: ad.no_grad()(f)(1.0),
            lambda f: ad.debug()(f)(1.0),
            lambda f: ad.strong_zero()(f)(1.0),
        ],
    )
    def test_an_exception_leaves_nothing_behind(self, transform):
        def fails(x):
            raise KeyError("inside")

        with pytest.raises(KeyError, match="inside"):
            transform(fails)
        assert thread_state.open_transforms == []
        assert modes.open == 0
        assert not modes.debug
        assert not modes.strong_zero
        assert modes.no_grad_level == 0
        assert ad.grad(ad.grad(lambda x: x**3))(1.0) == 6.0

    @pytest.mark.parametrize(
        "run",
        [
            lambda f: ad.grad(f)(2.0),
            lambda f: ad.jvp(f, (2.0,), (1.0,)),
            lambda f: ad.vmap(f)(np.ones(2)),
            lambda f: ad.record(f)(2.0),
        ],
    )
    def test_an_escaped_tensor_is_refused(self, run):
        stored = []

        def f(x):
            stored.append(x)
            return x * x

        run(f)
        for use in (lambda t: t + 1, lambda t: 2 * t, lambda t: np.sin(t), lambda t: np.sum(t)):
            with pytest.raises(ad.EscapedTensorError, match=r"escaped from the .* has returned"):
                use(stored[0])

    def test_variables_made_inside_a_transform_escape_too(self):
        stored = []

        def f(x):
            stored.append(ad.Tensor(1.0))
            return x * stored[0]

        ad.grad(f)(2.0)
        with pytest.raises(ad.EscapedTensorError):
            _ = stored[0] * 2


OPERANDS = {
    "float64": lambda: np.float64(0.7),
    "float32": lambda: np.float32(0.7),
    "complex128": lambda: np.complex128(0.7 + 0.2j),
    "number": lambda: 0.7,
    "integer": lambda: 2,
    "float64[2]": lambda: np.array([0.7, 1.3]),
    "float32[2]": lambda: np.array([0.7, 1.3], np.float32),
    "float32[1]": lambda: np.array([0.7], np.float32),
    "float64[3,2]": lambda: np.full((3, 2), 0.6),
    "complex64[2]": lambda: np.array([0.7 + 1j, 1.3], np.complex64),
    "int64[2]": lambda: np.array([2, 3]),
}
BINARY = [np.add, np.subtract, np.multiply, np.divide, np.power]
UNARY = [np.negative, np.positive, np.sin, np.tanh, np.exp, np.absolute, np.square]


class TestForms:
    """Nodes hand their shape and dtype on, and cotangents are not looked at where they must fit."""

    @pytest.mark.parametrize("second", OPERANDS)
    @pytest.mark.parametrize("first", OPERANDS)
    @pytest.mark.parametrize("function", BINARY, ids=lambda f: f.__name__)
    def test_binary(self, function, first, second):
        values = OPERANDS[first](), OPERANDS[second]()
        for boxed in ((True, True), (True, False), (False, True)):
            operands = [
                ad.Tensor(value) if flag else value
                for value, flag in zip(values, boxed, strict=True)
            ]
            for _ in range(2):  # the first use compiles, the second takes the short way
                out = function(*operands)
                self._check(out, [x for x in operands if isinstance(x, ad.Tensor)])

    @pytest.mark.parametrize("operand", OPERANDS)
    @pytest.mark.parametrize("function", UNARY, ids=lambda f: f.__name__)
    def test_unary(self, function, operand):
        x = ad.Tensor(OPERANDS[operand]())
        for _ in range(2):
            self._check(function(x * 1.0), [x])

    @staticmethod
    def _check(out, variables):
        assert out._payload.spec == spec_of(out._value)
        out.backward(gradient=np.ones(out.shape))
        for variable in variables:
            assert (variable.grad.shape, variable.grad.dtype) == (variable.shape, variable.dtype)
            variable.grad = None

    def test_function_that_changes_the_dtype(self):
        narrowed = Primitive(
            lambda x, y: (x * y).astype(np.float32),
            "elementwise",
            {"d_x": lambda y: y, "d_y": lambda x: x},
            name="narrowed",
            inputs=("x", "y"),
        )
        x, y = ad.Tensor(np.ones(2, np.float32)), ad.Tensor(np.ones(2))
        for _ in range(2):
            self._check(narrowed(x, y), [x, y])

    def test_rule_of_another_librarys_ufunc(self):
        cosine = np.frompyfunc(lambda x: float(np.cos(x)), 1, 1)
        sine = Primitive(np.sin, "elementwise", {"d_x": cosine}, name="sine", inputs=("x",))
        x = ad.Tensor(np.ones(3, np.float32))
        for _ in range(2):  # the first use compiles, the second takes the short way
            with pytest.raises(RuleError, match=r"sine\.d_x returned an array of dtype object"):
                np.sum(sine(x)).backward()

    @pytest.mark.parametrize("number", [2.5, np.float64(2.5), float("inf"), True])
    def test_number_as_a_rule(self, number):
        times = Primitive(
            lambda x: x * np.float32(number), "elementwise", {"d_x": number}, name="times"
        )
        x = ad.Tensor(np.ones(3, np.float32))
        for _ in range(2):
            np.sum(times(x)).backward()
            assert x.grad.dtype == np.float32
            np.testing.assert_array_equal(x.grad, np.full(3, number))
            x.grad = None


def test_a_hook_cannot_change_what_others_get():
    x, y = ad.Tensor([1.0, 2.0]), ad.Tensor([3.0, 4.0])
    refused = []

    def play(g):
        try:
            g *= 10.0
        except ValueError:
            refused.append(g)

    x.register_hook(play)
    np.sum(x + y).backward()
    assert len(refused) == 1
    np.testing.assert_array_equal(y.grad, [1.0, 1.0])


# --- whom a mode concerns -------------------------------------------------------------------------


def is_recorded():
    w = ad.Tensor(2.0)
    return (w * w)._payload is not None


def generated():
    with ad.no_grad():
        yield is_recorded()
        yield is_recorded()


async def generated_asynchronously():
    with ad.no_grad():
        yield is_recorded()
        await asyncio.sleep(0)
        yield is_recorded()


@contextlib.contextmanager
def evaluating():
    with ad.no_grad():
        yield


@contextlib.asynccontextmanager
async def evaluating_asynchronously():
    with ad.no_grad():
        yield


class TestContexts:
    def test_a_task_leaves_its_neighbours_alone(self):
        async def evaluates(turn, other):
            with ad.no_grad():
                turn.set()
                await other.wait()
                return is_recorded()

        async def trains(turn, other):
            await turn.wait()
            found = is_recorded()
            other.set()
            return found

        async def both():
            turn, other = asyncio.Event(), asyncio.Event()
            return await asyncio.gather(evaluates(turn, other), trains(turn, other))

        assert asyncio.run(both()) == [False, True]
        assert modes.open == 0

    def test_a_task_started_inside_a_mode_goes_on_without_it(self):
        async def later(turn):
            await turn.wait()
            with ad.strong_zero():  # modes are looked at while any is open
                return is_recorded()

        async def start():
            turn = asyncio.Event()
            with ad.no_grad():
                task = asyncio.create_task(later(turn))
                await asyncio.sleep(0)
            turn.set()
            return await task

        assert asyncio.run(start()) is True

    def test_a_generator_leaves_its_consumer_alone(self):
        inside, outside = [], []
        for found in generated():
            inside.append(found)
            outside.append(is_recorded())
        assert inside == [False, False]
        assert outside == [True, True]
        assert modes.open == 0

    def test_and_what_the_consumer_enters_is_its_own(self):
        first = generated()
        assert next(first) is False
        with ad.no_grad():
            second = generated()
            assert next(second) is False
            assert list(first) == [False]  # ends here, before what was entered after it
            assert not is_recorded()
            second.close()
            assert not is_recorded()
        assert is_recorded()
        assert modes.open == 0

    def test_derivatives_go_on_while_a_generator_waits(self):
        waiting = generated()
        next(waiting)
        function = ad.checkpoint(lambda x: np.sin(x) * x)
        assert ad.grad(function)(1.0) == pytest.approx(np.cos(1.0) + np.sin(1.0))
        assert ad.record(ad.grad(function))(1.0).evaluate(2.0) == ad.grad(function)(2.0)
        waiting.close()
        assert modes.open == 0

    def test_an_asynchronous_generator_too(self):
        async def consume():
            return [(found, is_recorded()) async for found in generated_asynchronously()]

        assert asyncio.run(consume()) == [(False, True), (False, True)]

    def test_a_context_manager_enters_for_its_block(self):
        with evaluating():
            assert not is_recorded()
        with contextlib.ExitStack() as stack:
            stack.enter_context(evaluating())
            assert not is_recorded()

        async def enter():
            async with evaluating_asynchronously():
                return is_recorded()

        assert asyncio.run(enter()) is False
        assert is_recorded()

    def test_a_decorated_function_and_a_thread(self):
        assert ad.no_grad()(is_recorded)() is False
        with ad.no_grad():
            found = []
            thread = threading.Thread(target=lambda: found.append(is_recorded()))
            thread.start()
            thread.join()
        assert found == [True]

    def test_a_generator_that_is_forgotten(self):
        waiting = generated()
        next(waiting)
        del waiting
        gc.collect()
        assert is_recorded()
        assert modes.open == 0
