"""Every method of the table, in every rank and form, against an oracle of plain loops and autograd."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hypothesis.strategies as st
import numpy as np
import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from problems import (
    FLAVOURS,
    FLOATS,
    FORMS,
    INTEGERS,
    LAYOUTS,
    RANKS,
    ROUNDING,
    Problem,
    adaptive,
    assert_near,
    awkward,
    distinct,
    draws,
    in_layout,
    picks,
    problems,
    randomness,
    settings,
    sliding,
    values,
    whole,
)
from torch.utils._python_dispatch import TorchDispatchMode

from poolkit import functional, geometry, reference
from poolkit.errors import ArgumentError
from poolkit.methods import METHODS

pytestmark = pytest.mark.usefixtures("poisoned_memory")  # a cell that is not written shows

every_method = pytest.mark.parametrize("name", METHODS)
every_rank = pytest.mark.parametrize("rank", RANKS)
every_form = pytest.mark.parametrize("form", FORMS)

WITH_INDICES = [name for name, method in METHODS.items() if method.returns_indices]
OF_ALL_INTEGERS = [name for name, method in METHODS.items() if method.integers == "all"]
OF_INT64 = [name for name, method in METHODS.items() if method.integers == "int64"]
BOTH_GRADIENTS = 40  # cells at most for finite differences, which call the method twice a cell


def test_the_oracle_knows_every_method() -> None:
    assert set(oracle.RULES) == set(METHODS)


def solve(name: str, problem: Problem, x: torch.Tensor, **params: Any) -> torch.Tensor:
    return problem.function(name)(x, **problem.arguments, **params, **randomness(name, params))


def expect(name: str, problem: Problem, x: torch.Tensor, **params: Any) -> oracle.Pooled:
    leading = tuple(x.shape[: -problem.rank])
    numbers = draws(name, params, leading, math.prod(map(len, problem.axes)))
    with np.errstate(invalid="ignore", over="ignore"):
        return oracle.pool(name, x.detach().double().numpy(), problem.axes, numbers, **params)


def refused(name: str, problem: Problem, x: torch.Tensor, **params: Any) -> bool:
    """Whether the windows are such as must be refused, which is then checked."""
    if problem.form != "windowed":
        return False
    if not all(problem.axes):
        with pytest.raises(ArgumentError, match="Output size is too small"):
            solve(name, problem, x, **params)
        return True
    if oracle.empty_window(problem.axes):
        with pytest.raises(ArgumentError, match="lies wholly in the padding"):
            solve(name, problem, x, **params)
        return True
    return False


# ------------------------------------------------------------------------------ value and gradient


@pytest.mark.feature("float types")
@every_form
@every_rank
@every_method
@given(data=st.data())
def test_value_winner_and_gradient(name: str, rank: int, form: str, data: st.DataObject) -> None:
    problem = data.draw(problems(form, rank))
    params = data.draw(st.sampled_from(settings(name, form)))
    dtype = data.draw(st.sampled_from(FLOATS))
    flavour = data.draw(st.sampled_from(FLAVOURS))
    layout = data.draw(st.sampled_from(LAYOUTS))
    lead = data.draw(st.sampled_from(((1, 2), (2, 1), (2, 3))))
    x = torch.tensor(values(flavour, (*lead, *problem.size))).to(dtype)
    x = in_layout(x, layout).requires_grad_()
    if refused(name, problem, x, **params):
        return

    expected = expect(name, problem, x, **params)
    y = solve(name, problem, x, **params)
    assert y.dtype == dtype
    assert_near(y, expected.values, 0.0 if picks(name, params) else ROUNDING[dtype])

    if picks(name, params) and form != "global":
        again, indices = solve(name, problem, x, return_indices=True, **params)
        assert torch.equal(again.nan_to_num(99), y.nan_to_num(99))
        assert indices.dtype == torch.int64
        np.testing.assert_array_equal(indices.numpy(), expected.winners)

    gradient = torch.tensor(values("normal", tuple(y.shape), seed=1)).to(dtype)
    y.backward(gradient)
    assert x.grad is not None
    assert x.grad.dtype == dtype
    if flavour in ("normal", "ties") or name not in ("lp", "power_avg", "gem", "stochastic"):
        assert_near(x.grad, expected.backward(gradient.double().numpy()), 3 * ROUNDING[dtype])


@every_form
@every_method
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_full_vectors(name: str, form: str, dtype: torch.dtype) -> None:
    """Rows and channels longer than any vector register, each with a tail."""
    for shape, layout in (((1, 1, 3, 149), "contiguous"), ((1, 149, 3, 5), "channels_last")):
        height, width = shape[2:]
        problem = {
            "windowed": sliding((height, width), (3, 3), (1, 2), ((1, 1), (1, 0))),
            "adaptive": adaptive((height, width), (2, max(width // 2, 1))),
            "global": whole((height, width)),
        }[form]
        [params, *_] = settings(name, form)
        x = in_layout(torch.tensor(values("normal", shape)).to(dtype), layout).requires_grad_()
        expected = expect(name, problem, x, **params)
        y = solve(name, problem, x, **params)
        assert_near(y, expected.values, ROUNDING[dtype])
        gradient = torch.tensor(values("normal", tuple(y.shape), seed=1)).to(dtype)
        y.backward(in_layout(gradient, layout))
        assert x.grad is not None
        assert_near(x.grad, expected.backward(gradient.double().numpy()), 3 * ROUNDING[dtype])


@pytest.mark.feature("backward")
@every_form
@every_rank
@every_method
def test_finite_differences(name: str, rank: int, form: str) -> None:
    problem = awkward(form, rank)
    for params in settings(name, form):
        x = distinct((1, 1, *problem.size))
        if name == "stochastic" and params.get("training"):
            x = x.abs()  # a window without a positive cell is 0 all around, and hands its gradient on all the same
        x.requires_grad_()
        assert torch.autograd.gradcheck(
            lambda x, params=params: solve(name, problem, x, **params),
            (x,),
            fast_mode=x.numel() > BOTH_GRADIENTS,
        )


@pytest.mark.feature("double backward")
@every_form
@every_rank
@every_method
def test_second_derivative(name: str, rank: int, form: str) -> None:
    problem = awkward(form, rank)
    for params in settings(name, form):
        x = distinct((1, 1, *problem.size)).requires_grad_()
        assert torch.autograd.gradgradcheck(
            lambda x, params=params: solve(name, problem, x, **params), (x,), fast_mode=True
        )


@every_form
@every_rank
@every_method
def test_formula_of_the_table(name: str, rank: int, form: str) -> None:
    """The kernel and autograd through the reference formula agree, value and gradient."""
    problem = awkward(form, rank)
    if form == "windowed":
        windows = geometry.sliding(rank, problem.size, **problem.arguments)
    else:
        windows = geometry.adaptive(rank, problem.size, problem.arguments.get("output_size", 1))
    method = METHODS[name]
    for params in settings(name, form):
        x = torch.tensor(values("normal", (2, 3, *problem.size))).requires_grad_()
        steps = method.plan(False, *(params.get(param.name, param.default) for param in method.params))
        if method.choice is not None and len(steps) > 1:
            continue  # its steps are those of other methods
        [seed, *_] = (
            torch.randint(-(2**63), 2**63 - 1, (), dtype=torch.int64, **given) if given else None
            for given in [randomness(name, params)]
        )
        parts = [reference.pool(x.abs() if step.magnitude else x, windows, step, seed) for step in steps]
        formula = torch.cat(parts, 1)
        y = solve(name, problem, x, **params)
        torch.testing.assert_close(y, formula, rtol=1e-11, atol=1e-11)
        gradient = torch.randn_like(y)
        torch.testing.assert_close(
            torch.autograd.grad(y, x, gradient),
            torch.autograd.grad(formula, x, gradient),
            rtol=1e-9,
            atol=1e-9,
        )


@every_form
@every_method
def test_second_derivative_is_that_of_the_formula(name: str, form: str) -> None:
    """The penalty sum(grad^2), which trains with a gradient of a gradient, in float32 and channels_last."""
    problem = awkward(form, 2)
    [params, *_] = settings(name, form)

    def penalty(x: torch.Tensor) -> torch.Tensor:
        y = solve(name, problem, x, **params)
        (first,) = torch.autograd.grad((y * y).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad((first * first).sum(), x)
        return second

    x = distinct((1, 2, *problem.size))
    exact = penalty(x.clone().requires_grad_())
    single = penalty(in_layout(x.float(), "channels_last").requires_grad_())
    assert exact.abs().sum() > 0
    assert_near(single, exact.numpy(), 1e-4)


# ------------------------------------------------------------------------------------------ dtypes


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@every_form
@pytest.mark.parametrize("name", ["avg", "avg_max", "power_avg", "lp"])
def test_half_precision_accumulates_in_single(name: str, form: str, dtype: torch.dtype) -> None:
    """64 cells of 60000 add up to far more than float16 holds; their mean is 60000 again."""
    params = {"avg_max": {"scale": 0.5}, "power_avg": {"norm_type": 1.0}, "lp": {"norm_type": math.inf}}.get(name, {})
    x = torch.full((1, 2, 8, 8), 60000.0, dtype=dtype)
    for layout in ("contiguous", "channels_last"):
        arguments = {"windowed": {"kernel_size": 8}, "adaptive": {"output_size": 1}, "global": {}}[form]
        problem = Problem(form, (8, 8), arguments, whole((8, 8)).axes)
        y = solve(name, problem, in_layout(x, layout), **params)
        assert torch.equal(y, x[..., :1, :1])


def test_half_precision_sum_keeps_small_addends() -> None:
    """2048 ones and more: a float16 accumulator stops at 2048."""
    x = torch.ones(1, 1, 64, 64, dtype=torch.float16)
    for layout in ("contiguous", "channels_last"):
        assert functional.global_sum_pool2d(in_layout(x, layout)).item() == 4096
        assert functional.sum_pool2d(in_layout(x, layout), 64).item() == 4096


@pytest.mark.parametrize("dtype", [*INTEGERS, torch.bool], ids=str)
@every_form
@every_rank
@pytest.mark.parametrize("name", OF_ALL_INTEGERS)
@hypothesis_settings(max_examples=6)
@given(data=st.data())
def test_order_of_integers(name: str, rank: int, form: str, dtype: torch.dtype, data: st.DataObject) -> None:
    problem = data.draw(problems(form, rank))
    layout = data.draw(st.sampled_from(LAYOUTS))
    shape = (2, 2, *problem.size)
    if dtype == torch.bool:
        x = torch.tensor(values("normal", shape) > 0)
    else:
        bounds = torch.iinfo(dtype)
        low, high = data.draw(st.sampled_from(((-2, 3), (bounds.min, bounds.min + 3), (bounds.max - 3, bounds.max))))
        random = np.random.default_rng(0)
        numbers = random.integers(max(low, bounds.min), high, size=shape, endpoint=True)
        x = torch.tensor(numbers, dtype=dtype)
    x = in_layout(x, layout)
    params = data.draw(st.sampled_from([row for row in settings(name, form) if picks(name, row)]))
    if refused(name, problem, x, **params):
        return
    # A double does not tell the largest int64 apart, so the oracle orders the ranks of the values.
    distinct_values = torch.unique(x.to(torch.int64))
    ranks = torch.searchsorted(distinct_values, x.to(torch.int64).contiguous())
    expected = expect(name, problem, ranks, **params)
    y = solve(name, problem, x, **params)
    assert y.dtype == dtype
    assert torch.equal(y.to(torch.int64), distinct_values[torch.tensor(expected.values).long()])
    if form != "global":
        _, indices = solve(name, problem, x, return_indices=True, **params)
        np.testing.assert_array_equal(indices.numpy(), expected.winners)


@every_form
@every_rank
@pytest.mark.parametrize("name", OF_INT64)
@hypothesis_settings(max_examples=20)
@given(data=st.data())
def test_average_and_sum_of_int64(name: str, rank: int, form: str, data: st.DataObject) -> None:
    """The average is truncated toward zero."""
    problem = data.draw(problems(form, rank))
    params = data.draw(st.sampled_from(settings(name, form)))
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    x = torch.tensor(random.integers(-9, 9, size=(2, 2, *problem.size)))
    x = in_layout(x, data.draw(st.sampled_from(LAYOUTS)))
    if refused(name, problem, x, **params):
        return
    y = solve(name, problem, x, **params)
    assert y.dtype == torch.int64
    np.testing.assert_array_equal(y.numpy(), np.trunc(expect(name, problem, x, **params).values))


@pytest.mark.parametrize("dtype", [*INTEGERS, torch.bool], ids=str)
@every_form
@pytest.mark.parametrize("name", OF_INT64)
def test_average_and_sum_of_other_integers(name: str, form: str, dtype: torch.dtype) -> None:
    """Only with a stated result, into which the input is converted first."""
    problem = awkward(form, 2)
    x = torch.tensor(np.random.default_rng(0).integers(0, 100, size=(2, 2, *problem.size))).to(dtype)
    if dtype != torch.int64:
        with pytest.raises(NotImplementedError, match=r"dtype="):
            solve(name, problem, x)
    for result in (torch.float32, torch.float64):
        y = solve(name, problem, x, dtype=result)
        assert y.dtype == result
        assert_near(y, expect(name, problem, x).values, ROUNDING[result])
    y = solve(name, problem, x, dtype=torch.int64)
    assert y.dtype == torch.int64
    np.testing.assert_array_equal(y.numpy(), np.trunc(expect(name, problem, x).values))


def test_stated_result_of_a_float_is_differentiable() -> None:
    x = torch.full((1, 1, 4), 60000.0, dtype=torch.float16, requires_grad=True)
    y = functional.sum_pool1d(x, 4, dtype=torch.float32)
    assert y.dtype == torch.float32
    assert y.item() == 240000
    y.backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.float16
    assert torch.equal(x.grad, torch.ones_like(x))


@every_form
@every_method
def test_unsupported_dtypes(name: str, form: str) -> None:
    problem = awkward(form, 2)
    [params, *_] = settings(name, form)
    refused_dtypes = [torch.complex64, torch.uint16]
    if METHODS[name].integers != "all":
        refused_dtypes += [torch.bool, torch.int32]
    if METHODS[name].integers == "none":
        refused_dtypes += [torch.int64]
    for dtype in refused_dtypes:
        x = torch.zeros((1, 2, *problem.size), dtype=dtype)
        with pytest.raises(NotImplementedError, match=str(dtype).removeprefix("torch.")):
            solve(name, problem, x, **params)


# ----------------------------------------------------------------------------------------- layouts


@every_form
@pytest.mark.parametrize("rank", [2, 3])
@every_method
def test_channels_last_stays(name: str, rank: int, form: str) -> None:
    """Result and gradient keep the arrangement, and the numbers are those of the contiguous call."""
    problem = awkward(form, rank)
    [params, *_] = settings(name, form)
    layout = {2: torch.channels_last, 3: torch.channels_last_3d}[rank]
    x = torch.tensor(values("normal", (2, 3, *problem.size))).float()
    last = x.contiguous(memory_format=layout).requires_grad_()
    first = x.clone().requires_grad_()
    y, expected = solve(name, problem, last, **params), solve(name, problem, first, **params)
    assert y.is_contiguous(memory_format=layout)
    assert expected.is_contiguous()
    torch.testing.assert_close(y, expected, rtol=1e-6, atol=1e-5)  # sums of a whole volume may cancel
    gradient = torch.randn_like(expected)
    for given_gradient in (gradient, gradient.contiguous(memory_format=layout)):
        last.grad = first.grad = None
        solve(name, problem, last, **params).backward(given_gradient)
        solve(name, problem, first, **params).backward(given_gradient)
        assert last.grad is not None
        assert last.grad.is_contiguous(memory_format=layout)
        assert first.grad is not None
        assert first.grad.is_contiguous()
        torch.testing.assert_close(last.grad, first.grad, rtol=1e-5, atol=1e-6)


@every_form
@every_rank
@every_method
def test_strided_views(name: str, rank: int, form: str) -> None:
    problem = awkward(form, rank)
    [params, *_] = settings(name, form)
    x = torch.tensor(values("normal", (2, 3, *problem.size)))
    for layout in LAYOUTS:
        view = in_layout(x, layout)
        before = view.clone()
        y = solve(name, problem, view, **params)
        assert_near(y, expect(name, problem, view, **params).values, 1e-11)
        assert torch.equal(view, before)
    flipped = x.flip(-1)
    assert_near(solve(name, problem, flipped, **params), expect(name, problem, flipped, **params).values, 1e-11)


@every_form
@every_rank
@every_method
def test_gradient_of_any_arrangement(name: str, rank: int, form: str) -> None:
    """Also of an expanded gradient, which is what y.sum() sends back."""
    problem = awkward(form, rank)
    [params, *_] = settings(name, form)
    x = torch.tensor(values("normal", (2, 3, *problem.size))).requires_grad_()
    expected = expect(name, problem, x, **params)
    y = solve(name, problem, x, **params)
    y.sum().backward(retain_graph=True)
    assert x.grad is not None
    assert_near(x.grad, expected.backward(np.ones(tuple(y.shape))), 1e-10)
    gradient = torch.tensor(values("normal", tuple(y.shape), seed=3))
    for layout in LAYOUTS:
        x.grad = None
        given_gradient = in_layout(gradient, layout)
        y.backward(given_gradient, retain_graph=True)
        assert x.grad is not None
        assert_near(x.grad, expected.backward(given_gradient.numpy()), 1e-10)


@every_form
@every_rank
@every_method
def test_unbatched(name: str, rank: int, form: str) -> None:
    problem = awkward(form, rank)
    for params in settings(name, form):
        x = torch.tensor(values("normal", (3, *problem.size))).requires_grad_()
        batched = x.detach()[None].clone().requires_grad_()
        y, expected = solve(name, problem, x, **params), solve(name, problem, batched, **params)
        assert torch.equal(y, expected[0])
        gradient = torch.randn_like(y)
        y.backward(gradient)
        expected.backward(gradient[None])
        assert x.grad is not None
        assert batched.grad is not None
        assert torch.equal(x.grad, batched.grad[0])


@every_form
@every_rank
@every_method
def test_empty_batch(name: str, rank: int, form: str) -> None:
    problem = awkward(form, rank)
    for params in settings(name, form):
        x = torch.zeros((0, 3, *problem.size), requires_grad=True)
        full = torch.zeros((1, 3, *problem.size))
        y = solve(name, problem, x, **params)
        assert y.shape == (0, *solve(name, problem, full, **params).shape[1:])
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.shape == x.shape


# --------------------------------------------------------------------------- NaN, infinities, ties


@every_form
@every_method
def test_nan_spreads_to_its_windows_only(name: str, form: str) -> None:
    problem = awkward(form, 2)
    for params in settings(name, form):
        x = torch.tensor(values("normal", (1, 1, *problem.size))).float()
        x[0, 0, 3, 3] = math.nan
        expected = expect(name, problem, x, **params)
        assert np.isnan(expected.values).any()
        for layout in ("contiguous", "channels_last"):
            y = solve(name, problem, in_layout(x.expand(1, 3, *problem.size), layout), **params)
            assert_near(y[:, :1], expected.values[:, :1], ROUNDING[torch.float32])
            np.testing.assert_array_equal(y[:, :3].isnan().numpy(), np.isnan(expected.values[:, [0, 0, 0]]))


@pytest.mark.parametrize("name", ["avg", "sum"])
def test_infinity_leaves_no_trace_in_later_windows(name: str) -> None:
    """A running sum would give inf - inf = NaN ever after."""
    x = torch.ones(1, 1, 40, 40)
    x[0, 0, 3, 3] = math.inf
    for kernel in (2, 3, 13):
        y = getattr(functional, f"{name}_pool2d")(x, kernel, 1)
        unaffected = y[0, 0, 4:, 4:]
        assert unaffected.isfinite().all()
        assert y.isinf().sum() == min(kernel, 4) ** 2


def test_a_large_cell_leaves_no_trace_in_later_windows() -> None:
    """A running sum would have lost the ones beside 1e20."""
    x = torch.ones(1, 1, 40, 40)
    x[0, 0, 3, 3] = 1e20
    for kernel in (3, 13):
        assert torch.equal(functional.sum_pool2d(x, kernel, 1)[0, 0, 4:, 4:].unique(), torch.tensor([kernel**2.0]))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize(("name", "sign"), [("max", 1.0), ("min", -1.0)])
def test_winner_of_nan_is_the_last_nan(name: str, sign: float, layout: str) -> None:
    nan = math.nan
    x = sign * torch.tensor([[1, nan, 3, 4, nan, 6, nan, nan]])[None, None].expand(1, 2, 2, 8)
    y, indices = getattr(functional, f"{name}_pool2d")(in_layout(x, layout), (1, 2), return_indices=True)
    np.testing.assert_array_equal(sign * y[0, 0, 0].numpy(), [nan, 4, nan, nan])
    assert indices[0, 0, 0].tolist() == [1, 3, 4, 7]
    _, indices = getattr(functional, f"{name}_pool2d")(in_layout(x, layout), 2, return_indices=True)
    assert indices[0, 1, 0].tolist() == [9, 3, 12, 15]


@pytest.mark.parametrize(("name", "sign"), [("max", 1.0), ("min", -1.0)])
@every_rank
def test_all_cells_at_the_identity(name: str, sign: float, rank: int) -> None:
    """A window of -inf alone (of +inf for the minimum) has a winner all the same: its first cell."""
    x = torch.full((1, 1, *(4,) * rank), -sign * math.inf)
    y, indices = getattr(functional, f"{name}_pool{rank}d")(x, 3, 2, 1, return_indices=True)
    assert (y == -sign * math.inf).all()
    expected = oracle.pool("max", x.double().numpy(), [oracle.slide(4, 3, 2, 1, 1, 1, False)] * rank)
    np.testing.assert_array_equal(indices.numpy(), expected.winners)


@pytest.mark.parametrize("name", ["max", "min", "avg_max"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_ties_go_to_the_first_cell(name: str, layout: str) -> None:
    x = in_layout(torch.zeros(1, 2, 6, 6), layout).requires_grad_()
    y = getattr(functional, f"{name}_pool2d")(x, 3)
    y.sum().backward()
    assert x.grad is not None
    share = x.grad - x.grad.min()
    expected = torch.zeros(6, 6)
    expected[::3, ::3] = share.max()
    assert share.max() > 0
    assert torch.equal(share, expected.expand(1, 2, 6, 6))


def test_zeros_of_either_sign_tie() -> None:
    x = torch.tensor([[[-0.0, 0.0, 0.0, -0.0]]])
    for pool in (functional.max_pool1d, functional.min_pool1d):
        y, indices = pool(x, 2, return_indices=True)
        assert indices.tolist() == [[[0, 2]]]
        assert torch.signbit(y).tolist() == [[[True, False]]]


# ---------------------------------------------------------------------- determinism and the engine


@every_form
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@every_method
def test_same_bits_again_and_with_any_number_of_threads(name: str, layout: str, form: str) -> None:
    arguments = {
        "windowed": {"kernel_size": 3, "stride": 2, "padding": 1},
        "adaptive": {"output_size": (13, 9)},
        "global": {},
    }[form]
    x = in_layout(torch.randn(3, 8, 97, 101), layout)
    function = Problem(form, (97, 101), {}, ()).function(name)
    [params, *_] = [row for row in settings(name, form) if row.get("training")] or settings(name, form)

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        leaf = x.clone().requires_grad_()
        y = function(leaf, **arguments, **params, **randomness(name, params))
        y.backward(torch.linspace(-1, 1, y.numel()).reshape(y.shape))
        assert leaf.grad is not None
        return y.detach(), leaf.grad

    expected = run()
    for threads in (2, 1):
        torch.set_num_threads(threads)
        for actual, other in zip(run(), expected, strict=True):
            assert torch.equal(actual, other)


class Calls(TorchDispatchMode):
    """Records the operators that run and the dtypes of what they give."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.dtypes: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.names.append(str(func))
        for item in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(item, torch.Tensor) and item.dim() > 0:
                self.dtypes.add(item.dtype)
        return result


@contextmanager
def saved_tensors() -> Iterator[list[torch.Tensor]]:
    """What autograd keeps for the way back."""
    saved: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield saved


@every_form
@every_rank
@pytest.mark.parametrize("name", WITH_INDICES)
def test_winners_are_saved_in_one_byte_and_only_when_needed(name: str, rank: int, form: str) -> None:
    problem = awkward(form, rank)
    [params, *_] = (row for row in settings(name, form) if picks(name, row))
    x = torch.randn(2, 3, *problem.size)
    with Calls() as calls:
        solve(name, problem, x, **params)
    assert calls.names
    assert not any("winner" in call for call in calls.names)

    x.requires_grad_()
    with Calls() as calls, torch.no_grad():
        solve(name, problem, x, **params)
    assert not any("winner" in call for call in calls.names)

    with Calls() as calls, saved_tensors() as saved:
        y = solve(name, problem, x, **params)
        y.sum().backward()
    assert torch.int64 not in calls.dtypes  # a seed is one number
    assert not any("winner_indices" in call for call in calls.names)
    [winners] = saved
    assert winners.dtype == torch.uint8
    assert winners.numel() == y.numel()


def test_winners_of_large_windows_take_two_or_four_bytes() -> None:
    for size, itemsize in ((16, 1), (17, 2), (256, 2), (257, 4)):
        x = torch.arange(float(size * size)).reshape(1, 1, size, size).requires_grad_()
        with saved_tensors() as saved:
            y = functional.max_pool2d(x, size)
        assert [tensor.element_size() for tensor in saved] == [itemsize]
        y.backward()
        assert x.grad is not None
        assert x.grad.flatten().nonzero().tolist() == [[size * size - 1]]
        _, indices = functional.max_pool2d(x, size, return_indices=True)
        assert indices.item() == size * size - 1


@pytest.mark.parametrize("name", ["avg", "sum"])
@every_form
def test_linear_methods_save_nothing(name: str, form: str) -> None:
    problem = awkward(form, 2)
    x = torch.randn(2, 3, *problem.size, requires_grad=True)
    with saved_tensors() as saved:
        solve(name, problem, x)
    assert saved == []


@pytest.mark.feature("compile")
@every_method
def test_compiles_whole(name: str) -> None:
    """One graph without a break, forward and backward, with the numbers of the eager call."""
    calls = [(awkward(form, 2), [row for row in settings(name, form) if not row.get("training")][-1]) for form in FORMS]

    def every_form_of(xs: list[torch.Tensor]) -> list[torch.Tensor]:
        return [solve(name, problem, x, **params) * 2 for x, (problem, params) in zip(xs, calls, strict=True)]

    backend = "inductor" if name == "max" else "aot_eager"
    compiled = torch.compile(every_form_of, fullgraph=True, backend=backend, dynamic=False)
    results = []
    for function in (compiled, every_form_of):
        xs = [torch.tensor(values("normal", (2, 3, *p.size))).float().requires_grad_() for p, _ in calls]
        ys = function(xs)
        torch.autograd.backward(ys, [torch.linspace(-1, 1, y.numel()).reshape(y.shape) for y in ys])
        results.append([*ys, *(x.grad for x in xs)])
    assert all(map(torch.equal, *results))
    torch.compiler.reset()


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.trains])
def test_draws_compile_whole(name: str) -> None:
    """The compiled call takes its random numbers from the generator as the eager one does."""
    function = getattr(functional, f"{name}_pool2d")
    compiled = torch.compile(lambda x: function(x, 3, 2, training=True), fullgraph=True, backend="aot_eager")
    results = []
    for call in (compiled, lambda x: function(x, 3, 2, training=True), compiled):
        torch.manual_seed(5)
        x = torch.tensor(values("normal", (2, 3, 9, 8))).float().requires_grad_()
        y = call(x)
        y.sum().backward()
        results.append((y.detach(), x.grad, call(x).detach()))
    for other in results[1:]:
        for actual, expected in zip(other, results[0], strict=True):
            assert torch.equal(actual, expected)
    assert not torch.equal(results[0][0], results[0][2])  # the next call draws anew
    torch.compiler.reset()


def test_compiles_with_indices() -> None:
    compiled = torch.compile(
        lambda x: functional.max_pool2d(x, 3, 2, 1, return_indices=True), fullgraph=True, backend="aot_eager"
    )
    x = torch.randn(2, 3, 9, 8)
    for actual, expected in zip(compiled(x), functional.max_pool2d(x, 3, 2, 1, return_indices=True), strict=True):
        assert torch.equal(actual, expected)
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own, for forward AD
@pytest.mark.parametrize("transform", ["vmap", "grad", "forward_ad"])
def test_function_transforms(transform: str) -> None:
    x = torch.randn(4, 2, 3, 8, 8, dtype=torch.float64)
    if transform == "vmap":
        expected = functional.max_pool2d(x.flatten(0, 1), 3, 2, 1).unflatten(0, (4, 2))
        assert torch.equal(torch.func.vmap(lambda t: functional.max_pool2d(t, 3, 2, 1))(x), expected)
    elif transform == "grad":
        (expected,) = torch.autograd.grad(functional.max_pool2d(leaf := x[0].requires_grad_(), 3).sum(), leaf)
        actual = torch.func.grad(lambda t: functional.max_pool2d(t, 3).sum())(x[0].detach())
        assert torch.equal(actual, expected)
    else:
        tangent = torch.randn_like(x[0])
        _, actual = torch.func.jvp(lambda t: functional.avg_pool2d(t, 3), (x[0],), (tangent,))
        torch.testing.assert_close(actual, functional.avg_pool2d(tangent, 3))


# -------------------------------------------------------------------------- laws of whole families


@every_rank
@hypothesis_settings(max_examples=20)
@given(data=st.data())
def test_sum_of_the_gradient_is_kept(rank: int, data: st.DataObject) -> None:
    problem = data.draw(problems("windowed", rank))
    x = torch.tensor(values("normal", (1, 2, *problem.size))).requires_grad_()
    for name, params in (("max", {}), ("min", {}), ("avg", {"count_include_pad": False})):
        if refused(name, problem, x, **params):
            continue
        y = solve(name, problem, x, **params)
        gradient = torch.rand_like(y)
        x.grad = None
        y.backward(gradient)
        assert x.grad is not None
        torch.testing.assert_close(x.grad.sum(), gradient.sum())


@every_rank
@hypothesis_settings(max_examples=20)
@given(data=st.data())
def test_a_constant_stays_constant(rank: int, data: st.DataObject) -> None:
    problem = data.draw(problems("windowed", rank))
    x = torch.full((1, 2, *problem.size), 1.25, dtype=torch.float64)
    for name, params in (
        ("max", {}),
        ("min", {}),
        ("avg", {"count_include_pad": False}),
        ("avg_max", {"count_include_pad": False}),
        ("power_avg", {"norm_type": 3.0, "count_include_pad": False}),
    ):
        if not refused(name, problem, x, **params):
            y = solve(name, problem, x, **params)
            torch.testing.assert_close(y, torch.full_like(y, 1.25), rtol=1e-12, atol=0)


@every_rank
def test_the_gradient_of_one_sum_or_average_is_a_view(rank: int) -> None:
    x = torch.randn(2, 3, *(4,) * rank, dtype=torch.float64, requires_grad=True)
    for name, share in (("sum", 1.0), ("avg", 0.25**rank)):
        y = getattr(functional, f"global_{name}_pool{rank}d")(x)
        g = torch.randn_like(y)
        (grad,) = torch.autograd.grad(y, x, g, retain_graph=True)
        assert grad.stride()[2:] == (0,) * rank
        torch.testing.assert_close(grad, (share * g).expand_as(x))
        x.grad = None
        y.backward(g)
        assert x.grad is not None
        torch.testing.assert_close(x.grad.mul_(2), 2 * grad)  # memory of its own


@every_method
@pytest.mark.parametrize("keepdim", [True, False])
@every_rank
def test_global_is_adaptive_to_one(name: str, rank: int, keepdim: bool) -> None:
    size = (7, 5, 6)[:rank]
    [params, *_] = settings(name, "global")
    x = torch.randn(2, 3, *size)
    y = getattr(functional, f"global_{name}_pool{rank}d")(x, **params, keepdim=keepdim)
    expected = getattr(functional, f"adaptive_{name}_pool{rank}d")(x, **params, output_size=1)
    assert torch.equal(y, expected if keepdim else expected.flatten(1))
    assert y.dim() == (rank + 2 if keepdim else 2)
