"""Learnt mixes of maximum and average, and trees of learnt filters, against plain loops."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from problems import ROUNDING, assert_near

import poolkit.functional as pf
from poolkit import ArgumentError, nn

RANKS = (1, 2, 3)
SIZES = {1: (11,), 2: (6, 9), 3: (5, 5, 6)}
every_rank = pytest.mark.parametrize("rank", RANKS)

Window = tuple[tuple[int, ...], list[tuple[tuple[int, ...], tuple[int, ...]]], int]


def windows_of(size: Sequence[int], arguments: dict[str, Any]) -> Iterator[Window]:
    """Each output's place, its cells that exist with their places in the window, and how many the padded input has."""
    k, s, p, d = (arguments[name] for name in ("kernel_size", "stride", "padding", "dilation"))
    outputs = []
    for n in size:
        room = n + 2 * p - d * (k - 1) - 1
        out = (-(-room // s) if arguments["ceil_mode"] else room // s) + 1
        outputs.append(out - 1 if arguments["ceil_mode"] and (out - 1) * s >= n + p else out)
    for place in itertools.product(*map(range, outputs)):
        cells, padded = [], 0
        for tap in itertools.product(range(k), repeat=len(size)):
            at = tuple(o * s - p + t * d for o, t in zip(place, tap, strict=True))
            padded += all(a < n + p for a, n in zip(at, size, strict=True))
            if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                cells.append((at, tap))
        yield place, cells, padded


def sigmoid(t: float) -> float:
    return 1 / (1 + math.exp(-t)) if t > -700 else 0.0


def looped(x: torch.Tensor, arguments: dict[str, Any], formula: Any) -> np.ndarray:
    """The formula of (channel, {tap: value}, cells counted) at every window."""
    windows = list(windows_of(x.shape[2:], arguments))
    y = np.zeros((*x.shape[:2], *(np.array([place for place, _, _ in windows]).max(0) + 1)))
    for n, c in np.ndindex(*x.shape[:2]):
        for place, cells, padded in windows:
            y[n, c][place] = formula(c, {tap: float(x[n, c][at]) for at, tap in cells}, padded)
    return y


def maps(rank: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, *SIZES[rank], dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def filters(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def product(weights: torch.Tensor, values: dict[tuple[int, ...], float]) -> float:
    return sum(float(weights[tap]) * value for tap, value in values.items())


def mixed(share: float, values: dict[tuple[int, ...], float], padded: int, include: bool) -> float:
    average = sum(values.values()) / (padded if include else len(values))
    return share * max(values.values()) + (1 - share) * average


geometries = st.fixed_dictionaries(
    {
        "kernel_size": st.integers(1, 3),
        "stride": st.integers(1, 4),
        "padding": st.integers(0, 1),
        "dilation": st.integers(1, 2),
        "ceil_mode": st.booleans(),
    }
).map(lambda g: {**g, "padding": min(g["padding"], (g["dilation"] * (g["kernel_size"] - 1) + 1) // 2)})
of_windows = ("stride", "padding", "dilation", "ceil_mode")


@every_rank
@settings(max_examples=8)
@given(arguments=geometries, include=st.booleans(), each=st.booleans())
def test_learnt_mixed(rank: int, arguments: dict[str, Any], include: bool, each: bool) -> None:
    x, logit = maps(rank), torch.tensor([0.3, -1.2, 2.5] if each else [0.7], dtype=torch.float64)
    y = getattr(pf, f"learnt_mixed_pool{rank}d")(x, logit, **arguments, count_include_pad=include)

    def formula(c: int, values: dict[tuple[int, ...], float], padded: int) -> float:
        return mixed(sigmoid(float(logit[c if each else 0])), values, padded, include)

    np.testing.assert_allclose(y, looped(x, arguments, formula), rtol=1e-10, atol=1e-12)


@every_rank
@settings(max_examples=8)
@given(arguments=geometries, include=st.booleans(), each=st.booleans())
def test_gated(rank: int, arguments: dict[str, Any], include: bool, each: bool) -> None:
    x, gate = maps(rank), filters(3 if each else 1, *(arguments["kernel_size"],) * rank)
    further = {name: arguments[name] for name in of_windows}
    y = getattr(pf, f"gated_pool{rank}d")(x, gate, **further, count_include_pad=include)

    def formula(c: int, values: dict[tuple[int, ...], float], padded: int) -> float:
        return mixed(sigmoid(product(gate[c if each else 0], values)), values, padded, include)

    np.testing.assert_allclose(y, looped(x, arguments, formula), rtol=1e-10, atol=1e-12)


@every_rank
@settings(max_examples=8)
@given(arguments=geometries, depth=st.integers(1, 4), each=st.booleans())
def test_tree(rank: int, arguments: dict[str, Any], depth: int, each: bool) -> None:
    shape = (3 if each else 1, *(arguments["kernel_size"],) * rank)
    x, count = maps(rank), 2 ** (depth - 1)
    leaves, gates = filters(count, *shape), filters(count - 1, *shape, seed=2)
    further = {name: arguments[name] for name in of_windows}
    y = getattr(pf, f"tree_pool{rank}d")(x, leaves, gates, **further)

    def formula(c: int, values: dict[tuple[int, ...], float], padded: int) -> float:
        def node(number: int) -> float:  # the root is 0, the children of a node follow at twice its number
            if number >= count - 1:
                return product(leaves[number - count + 1, c if each else 0], values)
            share = sigmoid(product(gates[number, c if each else 0], values))
            return share * node(2 * number + 1) + (1 - share) * node(2 * number + 2)

        return node(0)

    np.testing.assert_allclose(y, looped(x, arguments, formula), rtol=1e-9, atol=1e-11)


@every_rank
def test_named_and_sided_padding(rank: int) -> None:
    """The filters see the windows that maximum and average see."""
    x, kernel = maps(rank), (3,) * rank
    for padding in ("same", "same_lower", "valid", ((2, 0),) * rank):
        gate = torch.zeros(1, *kernel, dtype=torch.float64)
        y = getattr(pf, f"gated_pool{rank}d")(x, gate, 2, padding)
        expected = getattr(pf, f"avg_max_pool{rank}d")(x, 3, 2, padding)
        torch.testing.assert_close(y, expected)
        ones = torch.ones(1, 1, *kernel, dtype=torch.float64)
        total = getattr(pf, f"tree_pool{rank}d")(x, ones, ones[:0], 2, padding)
        torch.testing.assert_close(total, getattr(pf, f"sum_pool{rank}d")(x, 3, 2, padding))


@every_rank
def test_layers_start_between_maximum_and_average(rank: int) -> None:
    x = maps(rank).float()
    half = getattr(pf, f"avg_max_pool{rank}d")(x, 2)
    torch.testing.assert_close(getattr(nn, f"LearntMixedPool{rank}d")(2)(x), half)
    torch.testing.assert_close(getattr(nn, f"GatedPool{rank}d")(2, channels=3)(x), half)
    quarter = getattr(nn, f"LearntMixedPool{rank}d")(2, alpha=0.25)
    torch.testing.assert_close(quarter.alpha, torch.tensor([0.25]))
    torch.testing.assert_close(quarter(x), getattr(pf, f"mixed_pool{rank}d")(x, 2, p=0.25))


def test_leaves_start_apart_so_that_gates_learn() -> None:
    layer = nn.TreePool2d(2, depth=3)
    layer(maps(2).float()).square().sum().backward()
    assert layer.gates.grad is not None
    assert float(layer.gates.grad.abs().amin((1, 2, 3)).min()) > 0
    assert layer.gates.eq(0).all()
    assert layer.leaves.flatten(1).unique(dim=0).shape[0] == 4


def test_limits_and_constants() -> None:
    x, window = maps(2), (2, 2)
    largest, average = pf.max_pool2d(x, 2), pf.avg_pool2d(x, 2)
    for logit, expected in ((800.0, largest), (-800.0, average)):
        torch.testing.assert_close(pf.learnt_mixed_pool2d(x, torch.tensor(logit), 2), expected)
    torch.testing.assert_close(pf.gated_pool2d(x.abs(), torch.full((1, *window), 1e6)), pf.max_pool2d(x.abs(), 2))
    constant = torch.full_like(x, 5.0)
    expected = torch.full_like(average, 5.0)
    torch.testing.assert_close(pf.learnt_mixed_pool2d(constant, filters(3), 2), expected)
    torch.testing.assert_close(pf.gated_pool2d(constant, filters(3, *window)), expected)


def test_ties_go_to_the_first_of_equals() -> None:
    x = torch.tensor([[[[2.0, 2.0], [1.0, 2.0]]]], requires_grad=True)
    pf.learnt_mixed_pool2d(x, torch.tensor(0.0), 2).backward()
    torch.testing.assert_close(x.grad, torch.tensor([[[[0.625, 0.125], [0.125, 0.125]]]]))


def test_a_share_close_to_one_keeps_the_digits_of_the_rest() -> None:
    """sigmoid(20) is 1 in float32 less one unit in the last place; the rest, 2e-9, is not what 1 - share gives."""
    x = torch.tensor([[[-1e9, 0.0]]])
    y = pf.learnt_mixed_pool1d(x, torch.tensor(20.0), 2)
    torch.testing.assert_close(y.item(), -5e8 / (1 + math.exp(20)), rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype: torch.dtype) -> None:
    """Sums of nine ten thousands are beyond float16."""
    x = (maps(2) * 1e4).to(dtype).requires_grad_()
    gate = torch.full((1, 3, 3), -1.0, dtype=dtype, requires_grad=True)
    y = pf.gated_pool2d(x, gate)
    exact = pf.gated_pool2d(x.detach().double(), gate.detach().double())
    assert_near(y, exact.numpy(), 2 * ROUNDING[dtype])
    y.sum().backward()
    assert x.grad is not None
    assert gate.grad is not None
    assert x.grad.isfinite().all()
    assert gate.grad.isfinite().all()
    leaves = torch.tensor([[[[1.0] * 3] * 3], [[[0.1] * 3] * 3]], dtype=dtype)
    tree = pf.tree_pool2d(x.detach().abs(), leaves, -torch.ones(1, 1, 3, 3, dtype=dtype))  # the second leaf is taken
    assert tree.isfinite().all()


@every_rank
def test_nan_stays_in_its_windows(rank: int) -> None:
    x, kernel = maps(rank), (2,) * rank
    x[0, 1][(0,) * rank] = math.nan
    for y in (
        getattr(pf, f"learnt_mixed_pool{rank}d")(x, filters(3), 2),
        getattr(pf, f"gated_pool{rank}d")(x, filters(3, *kernel)),
        getattr(pf, f"tree_pool{rank}d")(x, filters(2, 1, *kernel), filters(1, 1, *kernel)),
    ):
        assert y[0, 1][(0,) * rank].isnan()
        assert int(y.isnan().sum()) == 1


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: pf.learnt_mixed_pool2d(x, x.new_zeros(2), 2), r"logit must have the shape \[1\] or \[3\]"),
        (lambda x: pf.learnt_mixed_pool2d(x, torch.zeros(3, dtype=torch.int64), 2), "logit must be float32"),
        (
            lambda x: pf.gated_pool2d(x, x.new_zeros(2, 2, 2)),
            r"gate must have the shape \(1, \*kernel\) or \(3, \*kern",
        ),
        (lambda x: pf.gated_pool2d(x, x.new_zeros(2, 2)), r"gate must have the shape .* but got \[2, 2\]"),
        (lambda x: pf.gated_pool2d(x, x.new_zeros(1, 9, 2)), "Output size is too small"),
        (lambda x: pf.tree_pool2d(x, x.new_zeros(3, 1, 2, 2), x.new_zeros(2, 1, 2, 2)), "leaves must be 1, 2, 4, "),
        (lambda x: pf.tree_pool2d(x, x.new_zeros(()), x.new_zeros(())), "leaves must be 1, 2, 4, "),
        (lambda x: pf.tree_pool2d(x, x.new_zeros(2, 1, 2, 2), x.new_zeros(1, 1, 2, 3)), "gates must have the kernel"),
        (lambda x: pf.tree_pool2d(x, x.new_zeros(2, 1, 2, 2), x.new_zeros(2, 1, 2, 2)), r"gates must have .* \(1, 1, "),
        (
            lambda x: pf.tree_pool2d(x, x.new_zeros(2, 2, 2, 2), x.new_zeros(1, 1, 2, 2)),
            r"leaves must have .* \(2, 3, ",
        ),
        (lambda x: nn.TreePool2d(2, channels=2)(x), r"input must be \(N, 2, H, W\)"),
    ],
)
def test_refusals(call: Any, text: str) -> None:
    with pytest.raises((ArgumentError, NotImplementedError), match=text):
        call(maps(2))
