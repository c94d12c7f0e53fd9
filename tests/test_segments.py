"""Pooling of segments against loops over segments, however the segments are said."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.typing import NDArray
from problems import FLOATS, ROUNDING, assert_near, values

from poolkit import functional, nn, ops
from poolkit.errors import ArgumentError
from poolkit.layers import segment_ops
from poolkit.layers.segments import REDUCTIONS

Array = NDArray[np.float64]
nan, inf = math.nan, math.inf
pool = functional.segment_pool
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


def arguments_of(reduction: str, weights: torch.Tensor | None = None) -> dict[str, Any]:
    return {"reduction": reduction, **({"weights": weights} if reduction == "weighted" else {})}


# ---------------------------------------------------------------- the oracle: one channel of one segment at a time


def reduced(
    reduction: str, rows: list[float], weights: list[float], temperature: float, unbiased: bool, eps: float
) -> tuple[float, list[float]]:
    """The result, and its derivative by each row."""
    count = len(rows)
    if count == 0:
        return 0.0, []
    if reduction in ("max", "min", "median", "first", "last"):
        order = sorted(range(count), key=lambda place: rows[place])
        chosen = {"max": order[-1], "min": order[0], "median": order[(count - 1) // 2], "first": 0, "last": count - 1}
        place = chosen[reduction]
        if reduction not in ("first", "last"):
            place = rows.index(rows[place])
        return rows[place], [float(place == each) for each in range(count)]
    mean = sum(rows) / count
    if reduction in ("var", "std"):
        divisor = max(count - 1, 1) if unbiased else count
        variance = sum((row - mean) ** 2 for row in rows) / divisor
        slopes = [2 * (row - mean) / divisor for row in rows]
        if reduction == "var":
            return variance, slopes
        deviation = math.sqrt(variance + eps)
        return deviation, [slope / (2 * deviation) for slope in slopes]
    if reduction in ("softmax", "logsumexp"):
        powers = [math.exp((row - max(rows)) / temperature) for row in rows]
        shares = [power / sum(powers) for power in powers]
        if reduction == "logsumexp":
            return max(rows) + temperature * math.log(sum(powers)), shares
        y = sum(share * row for share, row in zip(shares, rows, strict=True))
        return y, [share * (1 + (row - y) / temperature) for share, row in zip(shares, rows, strict=True)]
    total = {"sum": 1.0, "mean": float(count), "weighted": sum(weights)}[reduction]
    slopes = [weight / total if total else 0.0 for weight in (weights if reduction == "weighted" else [1.0] * count)]
    return sum(slope * row for slope, row in zip(slopes, rows, strict=True)), slopes


def pooled(
    reduction: str, x: Array, index: list[int], number: int, weights: Array, gradient: Array, *options: Any
) -> tuple[Array, Array]:
    """Result (segments, C) and input gradient (total, C)."""
    result, back = np.zeros((number, x.shape[1])), np.zeros(x.shape)
    for segment in range(number):
        rows = [row for row, owner in enumerate(index) if owner == segment]
        for c in range(x.shape[1]):
            value, slopes = reduced(reduction, [x[row, c] for row in rows], [weights[row, c] for row in rows], *options)
            result[segment, c] = value
            for row, slope in zip(rows, slopes, strict=True):
                back[row, c] = gradient[segment, c] * slope
    return result, back


@st.composite
def segmented(draw: st.DrawFn) -> tuple[list[int], int, dict[str, Any]]:
    """The segment of each row, how many there are, and how that is said."""
    lengths = draw(st.lists(st.sampled_from((0, 1, 2, 3, 7, 140)), min_size=1, max_size=5))
    index = [segment for segment, length in enumerate(lengths) for _ in range(length)]
    how = draw(st.sampled_from(("lengths", "list", "offsets", "index", "shuffled")))
    dtype = draw(st.sampled_from((torch.int64, torch.int32)))
    if how in ("lengths", "list"):
        return index, len(lengths), {"lengths": lengths if how == "list" else torch.tensor(lengths, dtype=dtype)}
    if how == "offsets":
        return index, len(lengths), {"offsets": torch.tensor([0, *np.cumsum(lengths).tolist()], dtype=dtype)}
    if how == "shuffled":
        index = np.random.default_rng(draw(st.integers(0, 99))).permutation(index).astype(int).tolist()
    return index, len(lengths), {"index": torch.tensor(index, dtype=dtype), "num_segments": len(lengths)}


@every_reduction
@settings(max_examples=12)
@given(data=st.data())
def test_value_and_gradient(reduction: str, data: st.DataObject) -> None:
    index, number, said = data.draw(segmented())
    dtype = data.draw(st.sampled_from(FLOATS))
    channels = data.draw(st.integers(1, 3))
    x = torch.tensor(values(data.draw(st.sampled_from(("normal", "ties"))), (len(index), channels), 3)).to(dtype)
    shape = (len(index), channels) if data.draw(st.booleans()) else (len(index),)
    weights = torch.tensor(np.random.default_rng(0).integers(1, 9, shape).astype(float)).to(dtype)
    temperature, unbiased, eps = data.draw(st.sampled_from(((1.0, False, 1e-5), (0.3, True, 0.1))))
    leaf = x.clone().requires_grad_()
    options = {"temperature": temperature, "unbiased": unbiased, "eps": eps}
    y = pool(leaf, **arguments_of(reduction, weights), **said, **options)
    gradient = torch.tensor(values("normal", (number, channels), 5)).to(dtype)
    each = np.broadcast_to(weights.double().numpy().reshape(*shape, *(1,) * (2 - len(shape))), x.shape)
    expected, back = pooled(
        reduction, x.double().numpy(), index, number, each, gradient.double().numpy(), *options.values()
    )
    assert y.dtype == dtype
    assert_near(y, expected, 2 * ROUNDING[dtype])
    y.backward(gradient)
    assert leaf.grad is not None
    assert_near(leaf.grad, back, 8 * ROUNDING[dtype])


@every_reduction
def test_derivatives_with_an_index_in_any_order(reduction: str) -> None:
    """Of the weights too."""
    x = torch.tensor(values("normal", (7, 2), 0), requires_grad=True)
    weights = torch.tensor(values("normal", (7,), 1) ** 2 + 0.5, requires_grad=True)
    index = torch.tensor([4, 0, 1, 4, 0, 0, 4])

    def function(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return pool(x, **arguments_of(reduction, weights), index=index, num_segments=6)

    assert torch.autograd.gradcheck(function, (x, weights))
    assert torch.autograd.gradgradcheck(function, (x, weights))


# ------------------------------------------------------------------------------------- empty, NaN, ties, infinities


@every_reduction
def test_segments_without_rows_give_zero_and_no_gradient(reduction: str) -> None:
    for rows, lengths in ((3, [0, 2, 0, 1, 0]), (0, [0, 0]), (0, [])):
        x = torch.ones(rows, 2, requires_grad=True)
        y = pool(x, **arguments_of(reduction, torch.ones(rows)), lengths=lengths)
        assert tuple(y.shape) == (len(lengths), 2)
        for segment, length in enumerate(lengths):
            assert length or (y[segment] == 0).all()
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.shape == x.shape
        assert x.grad.isfinite().all()


@every_reduction
@pytest.mark.parametrize("poison", [nan, inf, -inf])
def test_what_is_no_number_stays_in_its_segment(reduction: str, poison: float) -> None:
    index = torch.arange(300) % 3
    clean = torch.tensor(values("normal", (300, 2), 0))
    results = []
    for spoilt in (clean, torch.where((index == 1)[:, None], poison, clean)):
        x = spoilt.clone().requires_grad_()
        y = pool(x, **arguments_of(reduction, torch.ones(300)), index=index)
        y[[0, 2]].square().sum().backward()
        assert x.grad is not None
        results.append((y[[0, 2]], x.grad[index != 1]))
        if spoilt is not clean:
            assert y[1].isnan().all() or not math.isnan(poison)
    for actual, expected in zip(*results, strict=True):
        assert torch.equal(actual, expected)


@pytest.mark.parametrize("reduction", ["max", "min", "median"])
def test_the_first_of_equals_and_the_last_nan_take_the_gradient(reduction: str) -> None:
    def gradient(rows: list[float], index: list[int]) -> list[float]:
        x = torch.tensor(rows)[:, None].requires_grad_()
        pool(x, reduction, index=index).sum().backward()
        assert x.grad is not None
        return x.grad[:, 0].tolist()

    assert gradient([5.0, 2.0, 2.0, 5.0, 2.0, 5.0, 2.0], [0, 1, 1, 0, 1, 0, 1]) == [1, 1, 0, 0, 0, 0, 0]
    assert gradient([1.0, nan, 3.0, nan, 2.0], [0] * 5) == [0, 0, 0, 1, 0]
    assert gradient([inf] * 3, [0] * 3) == [1, 0, 0]


def test_infinities() -> None:
    x = torch.tensor([[1.0, -inf, -inf, inf], [inf, -inf, 2.0, inf], [2.0, -inf, -inf, 1.0]]).requires_grad_()
    for reduction, expected in {
        "softmax": [inf, -inf, 2, inf],
        "logsumexp": [inf, -inf, 2, inf],
        "max": [inf, -inf, 2, inf],
        "median": [2, -inf, -inf, inf],
    }.items():
        y = pool(x, reduction, lengths=[3])
        assert y[0].tolist() == expected
        (grad,) = torch.autograd.grad(y[0, 2], x)
        assert grad[:, 2].tolist() == ([1, 0, 0] if reduction == "median" else [0, 1, 0])


def test_weights_whose_sum_is_zero() -> None:
    x, weights = torch.ones(3, 1, requires_grad=True), torch.tensor([1.0, -1.0, 2.0], requires_grad=True)
    y = pool(x, "weighted", lengths=[2, 1], weights=weights)
    assert y.tolist() == [[0.0], [1.0]]
    y.sum().backward()
    assert x.grad is not None
    assert weights.grad is not None
    assert x.grad.tolist() == [[0.0], [0.0], [1.0]]
    assert weights.grad.tolist() == [0.0, 0.0, 0.0]


# --------------------------------------------------------------------------------------------------------- precision


def test_variance_of_a_large_mean() -> None:
    """The mean of the squares less the square of the mean would give 0, or less."""
    x = 10_000 + torch.tensor(values("normal", (5000, 3), 0))
    for reduction in ("var", "std", "mean"):
        exact = pool(x.float().double(), reduction, index=torch.arange(5000) % 2)
        got = pool(x.float(), reduction, index=torch.arange(5000) % 2)
        torch.testing.assert_close(got.double(), exact, rtol=2e-6, atol=0)
    squares = pool(x.float().square(), "mean", lengths=[5000]) - pool(x.float(), "mean", lengths=[5000]).square()
    assert (squares - x.var(0, correction=0)).abs().max() > 1


def test_long_sums_keep_their_digits() -> None:
    """One row after the other, 0.1 two hundred thousand times is off by 40."""
    x = torch.full((200_000, 1), 0.1)
    for said in ({"lengths": [200_000]}, {"index": torch.zeros(200_000, dtype=torch.int64)}):
        torch.testing.assert_close(pool(x, "sum", **said), torch.tensor([[20_000.0]]), rtol=5e-6, atol=0)


@pytest.mark.parametrize("reduction", ["sum", "softmax", "max"])
def test_the_number_of_threads_changes_nothing(reduction: str) -> None:
    """One segment has most rows."""
    x, index = torch.tensor(values("normal", (5000, 40), 0)).float(), torch.arange(5000) ** 2 % 7
    index[1000:4500] = 3
    results = []
    for threads in (2, 1, 2):
        torch.set_num_threads(threads)
        leaf = x.clone().requires_grad_()
        y = pool(leaf, reduction, index=index)
        y.square().sum().backward()
        assert leaf.grad is not None
        results.append((y.detach(), leaf.grad))
    for y, grad in results[1:]:
        assert torch.equal(y, results[0][0])
        assert torch.equal(grad, results[0][1])


@pytest.mark.parametrize("reduction", ["mean", "softmax", "max", "median", "weighted", "logsumexp"])
def test_half_precision_does_not_overflow(reduction: str) -> None:
    x = torch.full((5000, 2), -1e4, dtype=torch.float16)
    y = pool(x, **arguments_of(reduction, torch.ones(5000, dtype=torch.float16)), lengths=[4000, 1000])
    assert (y - (-1e4)).abs().max() <= 16


@every_reduction
def test_constants_stay_constant(reduction: str) -> None:
    y = pool(torch.full((9, 2), 3.0), **arguments_of(reduction, torch.ones(9)), lengths=[4, 5], eps=1e-4)
    four, five = {"sum": (12.0, 15.0), "var": (0.0, 0.0), "std": (0.01, 0.01)}.get(
        reduction, (3 + math.log(4), 3 + math.log(5)) if reduction == "logsumexp" else (3.0, 3.0)
    )
    torch.testing.assert_close(y, torch.tensor([[four] * 2, [five] * 2]))


@pytest.mark.skipif(not ops.HAS_KERNELS, reason="the compiled kernels are not installed")
@pytest.mark.parametrize("reduction", [name for name in REDUCTIONS if name != "median"])
def test_kernels_and_formulas_agree(reduction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In strided rows, too."""
    x = torch.tensor(values("ties", (3000, 5), 0))[:, ::2].requires_grad_()
    index = torch.arange(3000) ** 2 % 11
    index[:2500] = 4
    results = []
    for formula in (False, True):
        if formula:
            monkeypatch.setattr(segment_ops, "run_kernels", lambda x, weights: False)
        y = pool(x, **arguments_of(reduction, torch.linspace(0, 1, 3000)), index=index, num_segments=13)
        (grad,) = torch.autograd.grad(y.square().sum(), x)
        results.append((y.detach(), grad))
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected)


@pytest.mark.skipif(not ops.HAS_KERNELS, reason="the compiled kernels are not installed")
def test_malformed_calls_of_the_operators_are_refused() -> None:
    kernels, x, offsets = torch.ops.poolkit, torch.ones(3, 2), torch.tensor([0, 1, 3])
    for wrong in ([0, 2], [1, 3], [0, 3, 1, 3], []):
        with pytest.raises(RuntimeError, match="poolkit: offsets must"):
            kernels.segment_sum(x, torch.tensor(wrong, dtype=torch.int64), None)
    for order in ([0, 1], [0, 1, 3], [0, -1, 2]):
        with pytest.raises(RuntimeError, match="poolkit: order must have each of the 3 rows once"):
            kernels.segment_extreme(x, offsets, torch.tensor(order), True)
    with pytest.raises(RuntimeError, match="int64 CPU tensor"):
        kernels.segment_sum(x, offsets.int(), None)
    with pytest.raises(RuntimeError, match="a row for each of the 2 segments, but there are 3"):
        kernels.segment_spread(x, offsets, None, 3)
    with pytest.raises(RuntimeError, match="winners must be an int32 CPU tensor"):
        kernels.segment_extreme_backward(x[:2], torch.zeros(2, 2), offsets, None, 3)
    with pytest.raises(RuntimeError, match="at least one channel"):
        kernels.segment_sum(x[:, :0], offsets, None)
    with pytest.raises(RuntimeError, match="index must be from 0 to 1"):
        kernels.segment_order(torch.tensor([0, 2]), 2)


# ----------------------------------------------------------------------------------- beside torch, compiler, refusals


@pytest.mark.parametrize("reduction", ["sum", "mean", "max", "min"])
def test_the_same_as_segment_reduce(reduction: str) -> None:
    x, lengths = torch.tensor(values("normal", (500, 4), 0)), torch.tensor([100, 0, 399, 1])
    expected = torch.segment_reduce(x, reduction, lengths=lengths, initial=0 if reduction == "sum" else None)
    kept = lengths > 0
    torch.testing.assert_close(pool(x, reduction, lengths=lengths)[kept], expected[kept])


@pytest.mark.parametrize("reduction", ["sum", "mean", "max"])
def test_the_same_as_an_embedding_bag(reduction: str) -> None:
    table, words = torch.tensor(values("normal", (9, 4), 0)), torch.tensor([3, 1, 4, 1, 5, 8])
    bag = torch.nn.functional.embedding_bag(
        words, table, torch.tensor([0, 2, 2, 6]), mode=reduction, include_last_offset=True
    )
    torch.testing.assert_close(pool(table[words], reduction, offsets=[0, 2, 2, 6]), bag)


SAID: dict[str, dict[str, Any]] = {
    "lengths": {"lengths": torch.tensor([100, 0, 200])},
    "offsets": {"offsets": torch.tensor([0, 100, 100, 300])},
    "index": {"index": torch.arange(300) % 3, "num_segments": 4},
}


@pytest.mark.parametrize(("reduction", "how"), [("mean", "lengths"), ("sum", "offsets"), ("median", "index")])
def test_compiles_exports_and_maps(reduction: str, how: str) -> None:
    module, said, x = nn.SegmentPool(reduction), SAID[how], torch.tensor(values("normal", (300, 2), 0))
    expected = module(x, **said)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, **said), expected)
    program = torch.export.export(module, (x,), said)
    assert torch.equal(program.module()(x, **said), expected)
    mapped = torch.func.vmap(lambda x: module(x, **said))(torch.stack([x, -x]))
    torch.testing.assert_close(mapped, torch.stack([expected, module(-x, **said)]))  # which no kernel made
    meta = {key: value.to("meta") if isinstance(value, torch.Tensor) else value for key, value in said.items()}
    assert module(x.to("meta"), **meta).shape == expected.shape
    with pytest.raises(RuntimeError, match="must"):
        compiled(x, **{key: value * 2 if isinstance(value, torch.Tensor) else value for key, value in said.items()})
    torch.compiler.reset()


def test_a_compiled_graph_needs_the_number_of_segments() -> None:
    with pytest.raises(Exception, match="num_segments must be given where values are unknown"):
        torch.compile(pool, fullgraph=True, backend="aot_eager")(torch.ones(3, 1), index=torch.tensor([0, 1, 1]))
    with pytest.raises(ArgumentError, match="num_segments must be given where values are unknown"):
        pool(torch.ones(3, 1, device="meta"), index=torch.tensor([0, 1, 1]))


def test_index_names_as_many_segments_as_there_are() -> None:
    assert pool(torch.ones(3, 1), "sum", index=[4, 0, 4]).tolist() == [[1.0], [0.0], [0.0], [0.0], [2.0]]
    assert pool(torch.ones(0, 1), "sum", index=[]).shape == (0, 1)


def test_nothing_is_changed() -> None:
    x, said = torch.ones(3, 2), torch.tensor([2, 0, 1])
    for key in ("lengths", "index"):
        before = said.clone()
        pool(x, "softmax", **{key: said})
        assert torch.equal(said, before)
        assert torch.equal(x, torch.ones(3, 2))


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({}, ArgumentError, r"exactly one of lengths, offsets and index must be given, but got \[\]"),
        ({"lengths": [3], "index": [0, 0, 0]}, ArgumentError, r"exactly one of.*\['lengths', 'index'\]"),
        ({"lengths": [1, 1]}, ArgumentError, r"lengths must be 0 or more and sum up to the 3 rows.*\[1, 1\]"),
        ({"lengths": [4, -1]}, ArgumentError, r"lengths must be 0 or more.*\[4, -1\]"),
        ({"lengths": torch.tensor([1] * 99)}, ArgumentError, r"lengths must be.*1, \.\.\.\]"),
        ({"lengths": [3.0]}, TypeError, "lengths must be an int, but got 3.0"),
        ({"lengths": torch.ones(3)}, TypeError, "lengths must have an integer dtype, but got torch.float32"),
        ({"lengths": torch.tensor(3)}, ArgumentError, r"lengths must have one dimension, but got the shape \[\]"),
        ({"lengths": 3}, TypeError, "lengths must be a tensor or a list of ints, but got 3"),
        ({"lengths": [3], "num_segments": 1}, ArgumentError, "num_segments must be None without index, but got 1"),
        ({"offsets": [0, 2]}, ArgumentError, r"offsets must begin with 0, never fall, and end with 3.*\[0, 2\]"),
        ({"offsets": [1, 3]}, ArgumentError, r"offsets must begin with 0.*\[1, 3\]"),
        ({"offsets": [0, 3, 2, 3]}, ArgumentError, r"offsets must begin with 0.*\[0, 3, 2, 3\]"),
        ({"offsets": []}, ArgumentError, r"offsets must begin with 0.*\[\]"),
        ({"index": [0, 1]}, ArgumentError, r"index must have the shape \[3\], but got \[2\]"),
        ({"index": [0, 1, -1]}, ArgumentError, r"index must be from 0 to num_segments - 1 = 1, but got \[0, 1, -1\]"),
        ({"index": [0, 1, 2], "num_segments": 2}, ArgumentError, r"index must be from 0 to num_segments - 1 = 1"),
        ({"index": [0, 1, 2], "num_segments": -2}, ArgumentError, "num_segments must be 0 or more, but got -2"),
        ({"index": torch.tensor([True] * 3)}, TypeError, "index must have an integer dtype, but got torch.bool"),
        ({"lengths": [3], "weights": torch.ones(3)}, ArgumentError, "weights must be None unless.*'mean'"),
        ({"lengths": [3], "reduction": "weighted"}, ArgumentError, "weights must be given for reduction 'weighted'"),
        (
            {"lengths": [3], "reduction": "weighted", "weights": torch.ones(2)},
            ArgumentError,
            r"weights must have the shape \[3\] or \[3, 2\], but got \[2\]",
        ),
    ],
)
def test_refusals(said: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pool(torch.ones(3, 2), **said)
