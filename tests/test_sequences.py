"""Pooling over time against plain loops: layouts, lengths, masks, packed sequences, and padding full of NaN."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from numpy.typing import NDArray
from problems import FLOATS, ROUNDING, assert_near, values
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

from poolkit import functional, nn
from poolkit.errors import ArgumentError
from poolkit.layers import sequence_ops
from poolkit.layers.temporal import KINDS

Array = NDArray[np.float64]
LAYOUTS = {"channels_first": (0, 1, 2), "batch_first": (0, 2, 1), "time_first": (2, 0, 1)}  # of (N, C, L)
nan, inf = math.nan, math.inf


# ----------------------------------------------------------------------- the oracle: one channel at a time


def shares(kind: str, steps: list[float], weights: list[float]) -> tuple[float, list[float]]:
    """The result of one channel's valid steps, and its derivative by each of them."""
    count = len(steps)
    if count == 0:
        return 0.0, []
    if kind in ("max", "min"):
        sign = 1 if kind == "max" else -1
        best = 0
        for place, value in enumerate(steps):
            if math.isnan(value) or (sign * value > sign * steps[best]):
                best = place
        chosen = best
    elif kind == "first":
        chosen = 0
    elif kind == "last":
        chosen = count - 1
    else:
        if kind == "weighted":
            total = sum(weights)
            slopes = [weight / total for weight in weights]
        else:
            slopes = [{"mean": 1 / count, "sum": 1.0, "mean_sqrt_len": 1 / math.sqrt(count)}[kind]] * count
        return sum(slope * step for slope, step in zip(slopes, steps, strict=True)), slopes
    return steps[chosen], [float(place == chosen) for place in range(count)]


def pooled(kind: str, x: Array, valid: NDArray[np.bool_], weights: Array, gradient: Array) -> tuple[Array, Array]:
    """Result (N, C) and input gradient (N, C, L)."""
    batch, channels, length = x.shape
    result, back = np.zeros((batch, channels)), np.zeros(x.shape)
    for n in range(batch):
        steps = [t for t in range(length) if valid[n, t]]
        for c in range(channels):
            value, slopes = shares(kind, [x[n, c, t] for t in steps], [weights[n, t] for t in steps])
            result[n, c] = value
            for t, slope in zip(steps, slopes, strict=True):
                back[n, c, t] = gradient[n, c] * slope
    return result, back


@st.composite
def batches(draw: st.DrawFn) -> tuple[Array, NDArray[np.bool_], dict[str, Any]]:
    """Values (N, C, L), valid steps (N, L), and how they are said."""
    batch, channels, length = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 8))
    seed = draw(st.integers(0, 99))
    x = values(draw(st.sampled_from(("normal", "ties"))), (batch, channels, length), seed)
    how = draw(st.sampled_from(("all", "lengths", "list", "mask")))
    if how == "all":
        return x, np.ones((batch, length), dtype=bool), {}
    if how == "mask":
        mask = np.random.default_rng(seed).random((batch, length)) < draw(st.sampled_from((0.2, 0.6)))
        return x, mask, {"mask": torch.tensor(mask)}
    lengths = [draw(st.integers(0, length)) for _ in range(batch)]
    valid = np.arange(length) < np.array(lengths)[:, None]
    dtype = draw(st.sampled_from((torch.int64, torch.int32, torch.uint8)))
    return x, valid, {"lengths": lengths if how == "list" else torch.tensor(lengths, dtype=dtype)}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_temporal_value_and_gradient(kind: str, data: st.DataObject) -> None:
    x, valid, said = data.draw(batches())
    dtype = data.draw(st.sampled_from(FLOATS))
    layout = data.draw(st.sampled_from(list(LAYOUTS)))
    poison = data.draw(st.sampled_from((nan, inf, -inf, 1e30)))
    exact = torch.tensor(x).to(dtype).double().numpy()
    dirty = torch.tensor(np.where(valid[:, None], x, poison)).to(dtype)
    leaf = dirty.permute(LAYOUTS[layout]).contiguous().requires_grad_()
    weights = np.broadcast_to(valid.cumsum(1), valid.shape).astype(float)
    if kind == "weighted" and data.draw(st.booleans()):
        weights = np.random.default_rng(0).integers(1, 9, valid.shape).astype(float)
        said["weights"] = torch.tensor(np.where(valid, weights, poison)).to(dtype)
    y = functional.temporal_pool(leaf, kind, **said, layout=layout)
    gradient = torch.tensor(values("normal", tuple(y.shape), 5)).to(dtype)
    expected, back = pooled(kind, exact, valid, weights, gradient.double().numpy())
    assert y.dtype == dtype
    assert_near(y, expected, ROUNDING[dtype])
    y.backward(gradient)
    assert leaf.grad is not None
    grad = leaf.grad.permute([LAYOUTS[layout].index(axis) for axis in range(3)])
    assert_near(grad, back, 2 * ROUNDING[dtype])
    assert (grad[torch.tensor(~valid[:, None]).expand(grad.shape)] == 0).all()


@given(data=st.data())
def test_statistics_value_and_gradient(data: st.DataObject) -> None:
    x, valid, said = data.draw(batches())
    dtype = data.draw(st.sampled_from(FLOATS))
    layout = data.draw(st.sampled_from(list(LAYOUTS)))
    unbiased, eps = data.draw(st.booleans()), data.draw(st.sampled_from((1e-5, 0.1)))
    exact = torch.tensor(x).to(dtype).double().numpy()
    dirty = torch.tensor(np.where(valid[:, None], x, data.draw(st.sampled_from((nan, inf, 1e30))))).to(dtype)
    leaf = dirty.permute(LAYOUTS[layout]).contiguous().requires_grad_()
    y = functional.statistics_pool(leaf, **said, unbiased=unbiased, eps=eps, layout=layout)
    gradient = torch.tensor(values("normal", tuple(y.shape), 5)).to(dtype)
    batch, channels, length = x.shape
    expected, back = np.zeros((batch, 2 * channels)), np.zeros(x.shape)
    for n in range(batch):
        steps = [t for t in range(length) if valid[n, t]]
        if not steps:
            continue
        divisor = max(len(steps) - 1, 1) if unbiased else len(steps)
        for c in range(channels):
            mean = sum(exact[n, c, t] for t in steps) / len(steps)
            deviation = math.sqrt(sum((exact[n, c, t] - mean) ** 2 for t in steps) / divisor + eps)
            expected[n, c], expected[n, channels + c] = mean, deviation
            for t in steps:
                back[n, c, t] = float(gradient[n, c]) / len(steps)
                back[n, c, t] += float(gradient[n, channels + c]) * (exact[n, c, t] - mean) / (divisor * deviation)
    assert_near(y, expected, ROUNDING[dtype])
    y.backward(gradient)
    assert leaf.grad is not None
    grad = leaf.grad.permute([LAYOUTS[layout].index(axis) for axis in range(3)])
    assert_near(grad, back, 4 * ROUNDING[dtype])
    assert (grad[torch.tensor(~valid[:, None]).expand(grad.shape)] == 0).all()


# ------------------------------------------------------------------------------------ kernels and formulas

POOLINGS = {
    "sum": lambda x, **said: functional.temporal_pool(x, "sum", **said),
    "mean": lambda x, **said: functional.temporal_pool(x, "mean", **said),
    "max": lambda x, **said: functional.temporal_pool(x, "max", **said),
    "min": lambda x, **said: functional.temporal_pool(x, "min", **said),
    "statistics": functional.statistics_pool,
    "unbiased": lambda x, **said: functional.statistics_pool(x, unbiased=True, **said),
}
# Fewer channels and steps than a vector has lanes, and more; chunks of long sums; blocks of channels.
SIZES = [(3, 2, 9), (2, 37, 300), (4, 70, 21), (2, 530, 5), (1, 1, 700)]
every_pooling = pytest.mark.parametrize("pooling", POOLINGS.values(), ids=POOLINGS.keys())


def with_gradient(pooling: Any, x: torch.Tensor, **said: Any) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = x.detach().requires_grad_()
    y = pooling(leaf, **said)
    y.backward(torch.linspace(-1, 1, y.numel()).to(y.dtype).reshape(y.shape))
    assert leaf.grad is not None
    return y.detach(), leaf.grad


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@every_pooling
def test_kernels_say_what_the_formula_says(
    pooling: Any, dtype: torch.dtype, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (batch, channels, length) in enumerate(SIZES):
        random = np.random.default_rng(number)
        x = torch.tensor(random.integers(-4, 5, (batch, channels, length)) / 4)  # sums are exact, extremes have ties
        lengths = torch.tensor(random.integers(0, length + 1, batch))
        lengths[0] = length
        holes = torch.tensor(random.random((batch, length)) < 0.5)
        for said in ({}, {"lengths": lengths}, {"mask": holes}):
            valid = said.get("mask", torch.arange(length) < lengths[:, None] if said else torch.ones_like(holes))
            dirty = torch.where(valid[:, None], x, nan).to(dtype).permute(LAYOUTS[layout]).contiguous()
            apart = torch.full((2 * dirty.shape[0], dirty.shape[1] + 1, 3 * dirty.shape[2]), nan, dtype=dtype)
            strided = apart[::2, 1:, ::3].copy_(dirty)
            for view in (dirty, strided):
                got = with_gradient(pooling, view, **said, layout=layout)
                with monkeypatch.context() as patch:
                    patch.setattr(sequence_ops, "HAS_KERNELS", False)
                    formula = with_gradient(pooling, view, **said, layout=layout)
                for actual, wanted in zip(got, formula, strict=True):
                    assert actual.dtype == wanted.dtype == dtype
                    torch.testing.assert_close(actual, wanted, rtol=4 * ROUNDING[dtype], atol=4 * ROUNDING[dtype])


@pytest.mark.parametrize("kind", ["max", "min"])
def test_the_last_nan_takes_the_gradient(kind: str) -> None:
    for layout, order in LAYOUTS.items():
        for length in (3, 40, 300):
            x = torch.randn(2, 9, length)
            x[:, ::2, 1], x[:, ::2, length // 2], x[:, 4, length - 1] = nan, nan, nan
            y, grad = with_gradient(
                lambda x, **said: functional.temporal_pool(x, kind, **said),
                x.permute(order).contiguous(),
                lengths=[length - 1, length - 1],
                layout=layout,
            )
            places = grad.permute([order.index(axis) for axis in range(3)]).abs().argmax(-1)
            assert y[:, ::2].isnan().all()
            assert (places[:, ::2] == max(1, length // 2)).all()


@every_pooling
def test_results_do_not_depend_on_threads(pooling: Any) -> None:
    x, before = torch.randn(7, 300, 200), torch.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append([with_gradient(pooling, v, lengths=[200, 0, 3, 77, 1, 150, 199]) for v in (x, x.mT.clone().mT)])
    torch.set_num_threads(before)
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
@every_pooling
def test_gradients_lie_as_the_input_does(pooling: Any, layout: str) -> None:
    x = torch.randn(3, 4, 5).permute(LAYOUTS[layout]).contiguous()
    _, grad = with_gradient(pooling, x, lengths=[1] * x.shape[1 if layout == "time_first" else 0], layout=layout)
    assert grad.stride() == x.stride()


@every_pooling
def test_compiles_whole_and_differentiates_twice(pooling: Any) -> None:
    lengths = torch.tensor([4, 0, 2])

    def pooled(x: torch.Tensor) -> torch.Tensor:
        return pooling(x, lengths=lengths)

    compiled = torch.compile(pooled, fullgraph=True, backend="aot_eager")
    x = torch.randn(3, 2, 4, dtype=torch.float64)
    for view in (x, x.mT.clone().mT):
        for actual, expected in zip(with_gradient(compiled, view), with_gradient(pooled, view), strict=True):
            torch.testing.assert_close(actual, expected)
        leaf = view.detach().requires_grad_()
        assert torch.autograd.gradcheck(pooled, leaf)
        assert torch.autograd.gradgradcheck(pooled, leaf)
    torch.compiler.reset()


@pytest.mark.skipif(not sequence_ops.HAS_KERNELS, reason="the compiled kernels are not installed")
def test_operators_refuse_what_does_not_fit() -> None:
    kernels, x, valid = torch.ops.poolkit, torch.randn(2, 3, 5), torch.ones(2, 5, dtype=torch.bool)
    y, winners = kernels.sequence_extreme_winners(x, valid, True)
    moments = kernels.sequence_statistics(x, valid, False, 1e-5)
    refused: list[tuple[Any, str]] = [
        (lambda: kernels.sequence_sum(x[0], None), r"\(N, C, L\)"),
        (lambda: kernels.sequence_sum(x[..., :0], None), "steps from 1"),
        (lambda: kernels.sequence_sum(x.long(), None), "floating point"),
        (lambda: kernels.sequence_sum(x, valid[:1]), "valid must be"),
        (lambda: kernels.sequence_sum(x, valid.byte()), "valid must be"),
        (lambda: kernels.sequence_sum_backward(y[0], valid, 5, [0, 1, 2]), r"\(N, C\)"),
        (lambda: kernels.sequence_sum_backward(y, valid, 5, [1, 0, 2]), "order must be"),
        (lambda: kernels.sequence_sum_backward(y, valid, 4, [0, 1, 2]), "valid must be"),
        (lambda: kernels.sequence_extreme_backward(y, winners + 5, valid, 5, [0, 1, 2]), "winners must be"),
        (lambda: kernels.sequence_extreme_backward(y, winners[:1], valid, 5, [0, 1, 2]), "wrong shape"),
        (lambda: kernels.sequence_statistics(x, valid, False, 0.0), "eps must be"),
        (lambda: kernels.sequence_statistics_backward(y, x, moments, valid, False, [0, 1, 2]), "wrong shape"),
        (lambda: kernels.sequence_statistics_backward(moments, x, moments, valid, False, [0, 2, 1]), "not that of"),
    ]
    for call, words in refused:
        with pytest.raises(RuntimeError, match=words):
            call()


# ------------------------------------------------------------------------------------------ special values


@pytest.mark.parametrize("kind", [*KINDS, "statistics"])
def test_nothing_valid_gives_zero_and_no_gradient(kind: str) -> None:
    for said in ({"lengths": [0, 2]}, {"mask": torch.tensor([[False, False], [True, True]])}):
        x = torch.tensor([[[nan, inf]], [[1.0, 2.0]]], requires_grad=True)
        y = functional.statistics_pool(x, **said) if kind == "statistics" else functional.temporal_pool(x, kind, **said)
        assert (y[0] == 0).all()
        assert (y[1] > 0).all()
        y.sum().backward()
        assert x.grad is not None
        assert (x.grad[0] == 0).all()
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("first", "last")])
def test_nan_among_the_valid_steps_is_seen(kind: str) -> None:
    x = torch.tensor([[[1.0, nan, 3.0, 9.0], [1.0, 2.0, 3.0, nan]]])
    y = functional.temporal_pool(x, kind, [3])
    assert y.isnan().tolist() == [[True, False]]


@pytest.mark.parametrize(("kind", "worst"), [("max", -inf), ("min", inf)])
def test_the_worst_value_does_not_lose_to_its_padding(kind: str, worst: float) -> None:
    """Where all valid steps are as bad as padding, the first of them is the winner."""
    x = torch.full((1, 2, 4), worst, requires_grad=True)
    y = functional.temporal_pool(x, kind, mask=torch.tensor([[False, True, True, False]]))
    assert (y == worst).all()
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[[0, 1, 0, 0]] * 2]


@pytest.mark.parametrize("kind", ["max", "min"])
def test_ties_go_to_the_first_valid_step(kind: str) -> None:
    x = torch.zeros(1, 1, 5, requires_grad=True)
    functional.temporal_pool(x, kind, mask=torch.tensor([[False, True, True, True, False]])).sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [0, 1, 0, 0, 0]


def test_last_and_first_with_padding_on_the_left() -> None:
    x = torch.arange(8.0).reshape(2, 1, 4)
    mask = torch.tensor([[False, False, True, True], [False, True, False, False]])
    assert functional.temporal_pool(x, "last", mask=mask).tolist() == [[3], [5]]
    assert functional.temporal_pool(x, "first", mask=mask).tolist() == [[2], [5]]


def test_position_weights_count_valid_steps() -> None:
    """The same sequence padded on either side has the same mean."""
    left = functional.temporal_pool(torch.tensor([[[9.0, 9, 1, 2]]]), "weighted", mask=torch.tensor([[0, 0, 1, 1]]) > 0)
    right = functional.temporal_pool(torch.tensor([[[1.0, 2, 9, 9]]]), "weighted", [2])
    assert left.item() == right.item() == pytest.approx(5 / 3)


def test_weights_without_a_sum_give_zero() -> None:
    x = torch.tensor([[[1.0, 2.0]]], requires_grad=True)
    weights = torch.zeros(2, requires_grad=True)
    y = functional.temporal_pool(x, "weighted", weights=weights)
    assert y.item() == 0
    y.sum().backward()
    assert x.grad is not None
    assert weights.grad is not None
    assert x.grad.isfinite().all()
    assert weights.grad.isfinite().all()


def test_the_caller_keeps_its_values() -> None:
    """Padding is not written into the input, so that poolings one after the other see the same sequence."""
    x = torch.randn(2, 3, 5)
    before = x.clone()
    for kind in KINDS:
        functional.temporal_pool(x, kind, [2, 5])
    functional.statistics_pool(x, [2, 5])
    assert torch.equal(x, before)


def test_half_precision_adds_in_single() -> None:
    x = torch.full((1, 1, 64), 60000.0, dtype=torch.float16)
    assert functional.temporal_pool(x, "mean", [60]).item() == 60000
    assert (
        functional.temporal_pool(torch.ones(1, 1, 4096, dtype=torch.float16), "sum", [4095]).item() == 4096
    )  # rounded


def test_a_large_mean_costs_the_deviation_no_digits() -> None:
    x = 1000 + torch.tensor([0.5, -1.5, 1.0, 0.0, 0.25], dtype=torch.float64)
    exact = x.std(correction=0)
    y = functional.statistics_pool(x.float()[None, None], eps=1e-12)
    assert y[0, 1].item() == pytest.approx(exact.item(), rel=1e-5)
    z = functional.statistics_pool(x.float()[None, None], unbiased=True, eps=1e-12)
    assert z[0, 1].item() == pytest.approx(x.std().item(), rel=1e-5)


@pytest.mark.parametrize("unbiased", [False, True])
def test_one_step_has_the_least_deviation(unbiased: bool) -> None:
    x = torch.tensor([[[3.0, nan]]], requires_grad=True)
    y = functional.statistics_pool(x, [1], unbiased=unbiased, eps=1e-4)
    assert y.tolist() == [[3.0, pytest.approx(0.01)]]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[[1.0, 0.0]]]


def test_statistics_are_the_same_again() -> None:
    """No noise, neither in training nor in evaluation."""
    module, x = nn.StatisticsPool(), torch.randn(2, 3, 9)
    assert torch.equal(module.train()(x), module(x))
    assert torch.equal(module(x), module.eval()(x))


# -------------------------------------------------------------------------------------- packed sequences


@pytest.mark.parametrize("kind", [*KINDS, "statistics"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_packed_sequences(kind: str, batch_first: bool) -> None:
    """Also in the order in which they came, whatever the order in which they are packed."""

    def run(x: Any, **said: Any) -> torch.Tensor:
        return (
            functional.statistics_pool(x, **said) if kind == "statistics" else functional.temporal_pool(x, kind, **said)
        )

    lengths = [3, 5, 1]
    x = torch.randn(3, 5, 2, dtype=torch.float64, requires_grad=True)
    order = x if batch_first else x.transpose(0, 1)
    packed = pack_padded_sequence(order, torch.tensor(lengths), batch_first=batch_first, enforce_sorted=False)
    y, expected = run(packed), run(x, lengths=lengths, layout="batch_first")
    torch.testing.assert_close(y, expected)
    gradient = torch.randn_like(y)
    (actual,) = torch.autograd.grad(y, x, gradient)
    torch.testing.assert_close(actual, torch.autograd.grad(expected, x, gradient)[0])


def test_packed_sequences_of_a_recurrent_net() -> None:
    net, sequences = torch.nn.GRU(3, 4), [torch.randn(n, 3) for n in (5, 2)]
    packed, state = net(pack_sequence(sequences))
    torch.testing.assert_close(nn.TemporalPool("last")(packed), state[0])
    with pytest.raises(ArgumentError, match="PackedSequence"):
        functional.temporal_pool(packed, "last", [5, 2])


# ----------------------------------------------------------------------------------------------- refusals

X = torch.zeros(2, 3, 4)
REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"lengths": [4, 5]}, ArgumentError, "lengths must be from 0 to 4.*got 5"),
    ({"lengths": [4, -1]}, ArgumentError, "lengths must be from 0 to 4.*got -1"),
    ({"lengths": torch.tensor([4, 5])}, ArgumentError, "lengths must be from 0 to 4.*got 5"),
    ({"lengths": torch.tensor([-1, 4])}, ArgumentError, "lengths must be from 0 to 4.*got -1"),
    ({"lengths": [4]}, ArgumentError, r"lengths must have the shape \[2\].*\[1\]"),
    ({"lengths": torch.tensor([[4], [4]])}, ArgumentError, r"lengths must have the shape \[2\].*\[2, 1\]"),
    ({"lengths": torch.tensor([0.5, 1.0])}, TypeError, "lengths must have an integer dtype.*float32"),
    ({"lengths": torch.tensor([True, True])}, TypeError, "lengths must have an integer dtype.*bool"),
    ({"lengths": [1.0, 2.0]}, TypeError, "lengths must be an int.*1.0"),
    ({"lengths": [True, False]}, TypeError, "lengths must be an int.*True"),
    ({"lengths": 4}, TypeError, "lengths must be a tensor or a list.*4"),
    ({"lengths": "44"}, TypeError, "lengths must be a tensor or a list"),
    ({"mask": torch.ones(2, 4)}, TypeError, "mask must be a bool tensor.*float32"),
    ({"mask": torch.ones(2, 4, dtype=torch.int64)}, TypeError, "mask must be a bool tensor.*int64"),
    ({"mask": [[True] * 4] * 2}, TypeError, "mask must be a bool tensor.*list"),
    ({"mask": torch.ones(4, 2, dtype=torch.bool)}, ArgumentError, r"mask must have the shape \[2, 4\].*\[4, 2\]"),
    ({"mask": torch.ones(2, 4, dtype=torch.bool), "lengths": [4, 4]}, ArgumentError, "not both"),
    ({"layout": "NCL"}, ArgumentError, "layout must be one of 'channels_first'.*'NCL'"),
]


@pytest.mark.parametrize(("said", "error", "words"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_refusals(said: dict[str, Any], error: type[Exception], words: str) -> None:
    for call in (functional.temporal_pool, functional.statistics_pool):
        with pytest.raises(error, match=words):
            call(X, **said)


def test_refusals_of_temporal_pooling() -> None:
    with pytest.raises(ArgumentError, match=r"kind must be one of 'mean'.*'median'"):
        functional.temporal_pool(X, "median")
    with pytest.raises(ArgumentError, match="weights are for kind 'weighted'"):
        functional.temporal_pool(X, "mean", weights=torch.ones(4))
    with pytest.raises(ArgumentError, match=r"weights must have the shape \[4\] or \[2, 4\].*\[3\]"):
        functional.temporal_pool(X, "weighted", weights=torch.ones(3))
    with pytest.raises(NotImplementedError, match=r"weights.*int64"):
        functional.temporal_pool(X, "weighted", weights=torch.ones(4, dtype=torch.int64))
    with pytest.raises(ArgumentError, match=r"must be \(N, C, L\) or \(C, L\)"):
        functional.temporal_pool(X[..., :0])
    with pytest.raises(ArgumentError, match="lengths of an unbatched input must be one int"):
        functional.temporal_pool(X[0], lengths=torch.tensor([4]))
    assert functional.temporal_pool(X[0], lengths=4).shape == (3,)
    assert functional.temporal_pool(X[0], lengths=torch.tensor(4)).shape == (3,)


def test_a_compiled_graph_checks_the_lengths_too() -> None:
    compiled = torch.compile(lambda x, lengths: functional.temporal_pool(x, "max", lengths), backend="aot_eager")
    x = torch.randn(2, 3, 4)
    assert torch.equal(compiled(x, torch.tensor([4, 2])), functional.temporal_pool(x, "max", [4, 2]))
    with pytest.raises(RuntimeError, match="lengths must be from 0 to the number of steps"):
        compiled(x, torch.tensor([5, 2]))
    torch.compiler.reset()
