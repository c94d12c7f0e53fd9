"""Log-sum-exp and generalised-mean pooling: their limits, their precision, and what their layers learn."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from problems import FLOATS, ROUNDING, distinct

from poolkit import functional, nn
from poolkit.functional import (
    avg_pool2d,
    gem_pool2d,
    log_sum_exp_pool2d,
    max_pool2d,
    min_pool2d,
    soft_pool2d,
    var_pool2d,
)

X = distinct((2, 3, 6, 7))


# -------------------------------------------------------------------------------------- log-sum-exp


def test_sharpness_leads_from_minimum_over_average_to_maximum() -> None:
    results = [log_sum_exp_pool2d(X, 3, 2, r=r) for r in (-1e6, -3.0, -1e-9, 0.0, 1e-9, 3.0, 1e6)]
    for lower, higher in itertools.pairwise(results):
        assert (higher >= lower - 1e-9).all()
    average = results[3]
    assert torch.equal(average, avg_pool2d(X, 3, 2))
    for near in (results[2], results[4]):
        torch.testing.assert_close(near, average, rtol=0, atol=1e-7)
    torch.testing.assert_close(results[0], min_pool2d(X, 3, 2), rtol=0, atol=1e-5)
    torch.testing.assert_close(results[-1], max_pool2d(X, 3, 2), rtol=0, atol=1e-5)


def test_sum_is_torchs() -> None:
    cells = X.unfold(2, 3, 3).unfold(3, 3, 3).flatten(-2)
    torch.testing.assert_close(log_sum_exp_pool2d(X, 3, r=1.0, mean=False), cells.logsumexp(-1))
    torch.testing.assert_close(log_sum_exp_pool2d(X, 3, r=2.0, mean=False), (2 * cells).logsumexp(-1) / 2)


@pytest.mark.parametrize("r", [1e-6, 1e-3, 0.1, 1.0, 30.0])
def test_precision_does_not_depend_on_sharpness(r: float) -> None:
    """The usual formula, the logarithm of the mean of exponentials over r, loses 1 / r roundings."""
    x = X.float() + 3
    expected = log_sum_exp_pool2d(x.double(), 2, r=r)
    y = log_sum_exp_pool2d(x, 2, r=r)
    torch.testing.assert_close(y.double(), expected, rtol=3e-7, atol=0)
    if r == 1e-3:
        cells = x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)
        usual = ((r * cells).logsumexp(-1) - math.log(4)) / r
        assert (usual.double() - expected).abs().max() > 1e-4


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_nothing_overflows(dtype: torch.dtype) -> None:
    x = torch.tensor([[[-1e4, 1e4, 9000.0, -1e4]]]).to(dtype).requires_grad_()
    y = functional.global_log_sum_exp_pool1d(x, r=10.0)
    y.sum().backward()
    assert y.item() == pytest.approx(1e4 - math.log(4) / 10, rel=ROUNDING[dtype])
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.tensor([[[0.0, 1, 0, 0]]]).to(dtype), rtol=0, atol=1e-30)


def test_infinite_cells() -> None:
    inf = math.inf
    for cells, value, gradient in (
        ([inf, 1.0, inf], inf, [0.5, 0.0, 0.5]),
        ([-inf, 1.0, -inf], 1 - math.log(3), [0.0, 1.0, 0.0]),
        ([-inf, -inf], -inf, [0.5, 0.5]),
    ):
        x = torch.tensor([cells]).requires_grad_()
        y = functional.global_log_sum_exp_pool1d(x, r=1.0)
        y.sum().backward()
        torch.testing.assert_close(y, torch.tensor([[value]]))
        assert x.grad is not None
        assert x.grad.tolist() == [gradient]


def test_learnt_sharpness_passes_through_zero() -> None:
    """Value and derivative on both sides of the series' border, and in the middle."""
    x, variance = X.clone(), var_pool2d(X, 2)
    for r in (-0.00101, -0.00099, -1e-5, 0.0, 1e-5, 0.00099, 0.00101):
        layer = nn.LearntLogSumExpPool2d(2, r=r).double()
        y = layer(x)
        torch.testing.assert_close(y, log_sum_exp_pool2d(x, 2, r=r), rtol=0, atol=1e-6)
        y.sum().backward()
        assert layer.r.grad is not None
        torch.testing.assert_close(layer.r.grad, variance.sum().reshape(1) / 2, rtol=5e-3, atol=0)


def test_derivative_by_sharpness_is_softpools_distance() -> None:
    layer = nn.LearntLogSumExpPool2d(3, stride=2, padding=1, r=2.0, channels=3).double()
    y = layer(X)
    y.sum().backward()
    expected = (soft_pool2d(X, 3, 2, 1, temperature=0.5) - y.detach()) / 2
    assert layer.r.grad is not None
    torch.testing.assert_close(layer.r.grad, expected.sum((0, 2, 3)))


def test_infinite_cells_do_not_poison_the_learnt_one() -> None:
    x = torch.tensor([[[1.0, math.inf, 3e38, 2.0]]], requires_grad=True)
    layer = nn.LearntLogSumExpPool1d(2, r=4.0)
    y = layer(x)
    assert y[0, 0, 0] == math.inf
    y[0, 0, 1].backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[[0, 0, 1, 0]]]


# --------------------------------------------------------------------------------- generalised means


def test_exponent_leads_from_average_to_maximum() -> None:
    x = X.abs() + 0.5
    torch.testing.assert_close(gem_pool2d(x, 2, p=1.0), avg_pool2d(x, 2))
    torch.testing.assert_close(gem_pool2d(x, 2, p=2000.0), max_pool2d(x, 2), rtol=1e-3, atol=0)


def test_small_cells_count_as_eps_and_have_no_gradient() -> None:
    x = torch.tensor([[[-3.0, 0.5, 2.0, 0.0]]], dtype=torch.float64, requires_grad=True)
    y = functional.global_gem_pool1d(x, p=2.0, eps=0.5)
    torch.testing.assert_close(y, torch.tensor([[[((3 * 0.25 + 4) / 4) ** 0.5]]], dtype=torch.float64))
    y.sum().backward()
    assert x.grad is not None
    assert x.grad[0, 0, [0, 1, 3]].tolist() == [0, 0, 0]
    assert x.grad[0, 0, 2] == pytest.approx(2 / y.item() / 4)


def test_float16_loses_nothing() -> None:
    """eps ** 3 is 0 in float16, and 1000 ** 3 infinite."""
    x = torch.tensor([[[0.0, 1e-3, 1000.0, 500.0]]])
    expected = functional.global_gem_pool1d(x.double())
    torch.testing.assert_close(functional.global_gem_pool1d(x.half()).double(), expected, rtol=1e-3, atol=0)
    assert functional.global_gem_pool1d(torch.zeros(1, 1, 4, dtype=torch.float16)).item() == pytest.approx(
        1e-6, rel=0.1
    )


@pytest.mark.parametrize("arguments", [{}, {"kernel_size": 3, "stride": 2, "padding": 1}], ids=["global", "windows"])
def test_learnt_exponent_is_the_fixed_one(arguments: dict[str, int]) -> None:
    layer = nn.LearntGeMPool2d(**arguments, p=2.5, channels=3).double()
    y = layer(X)
    fixed = gem_pool2d(X, 3, 2, 1, p=2.5) if arguments else functional.global_gem_pool2d(X, p=2.5)
    torch.testing.assert_close(y, fixed)
    assert torch.autograd.gradcheck(layer, (X[:, :, :3, :4].clone().requires_grad_(),))
