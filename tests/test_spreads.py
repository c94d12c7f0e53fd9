"""Range, variance and standard-deviation pooling beside torch and the maxima."""

from __future__ import annotations

import math

import pytest
import torch
from problems import distinct

from poolkit import functional
from poolkit.functional import max_pool2d, min_pool2d, range_pool2d, std_pool2d, var_pool2d

X = distinct((2, 3, 6, 8))
CELLS = X.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)


@pytest.mark.parametrize("unbiased", [False, True])
def test_torchs_variance(unbiased: bool) -> None:
    torch.testing.assert_close(var_pool2d(X, 2, unbiased=unbiased), CELLS.var(-1, correction=int(unbiased)))
    expected = (CELLS.var(-1, correction=int(unbiased)) + 1e-5).sqrt()
    torch.testing.assert_close(std_pool2d(X, 2, unbiased=unbiased), expected)


def test_a_large_mean_costs_no_precision() -> None:
    """The mean of squares less the square of the mean has no digit left here."""
    x = (1000 + X).float()
    exact = x.double().unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2).var(-1, correction=0)
    torch.testing.assert_close(var_pool2d(x, 2).double(), exact, rtol=1e-5, atol=1e-7)
    shortcut = functional.avg_pool2d(x * x, 2) - functional.avg_pool2d(x, 2) ** 2
    assert (shortcut - exact).abs().max() > 0.01


def test_one_cell_and_equal_cells() -> None:
    one = torch.tensor([[[3.0]]], requires_grad=True)
    for unbiased in (False, True):
        assert functional.global_var_pool1d(one, unbiased=unbiased).item() == 0
        y = functional.global_std_pool1d(one, unbiased=unbiased, eps=4.0)
        assert y.item() == 2
        (gradient,) = torch.autograd.grad(y.sum(), one)
        assert gradient.item() == 0
    same = torch.full((1, 1, 4, 4), 0.1, requires_grad=True)
    std_pool2d(same, 4).sum().backward()
    assert same.grad is not None
    assert same.grad.abs().max() < 1e-3


def test_squares_beyond_the_range_of_the_type() -> None:
    x = torch.tensor([[[1e30, -1e30, 0.0, 2e30]]], requires_grad=True)
    y = functional.global_std_pool1d(x)
    assert y.item() == pytest.approx(x.double().std(correction=0).item(), rel=1e-6)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad.double(), (x.double() - 5e29) / (4 * y.double()), rtol=1e-5, atol=0)
    assert functional.global_var_pool1d(x).item() == math.inf


def test_range_is_maximum_less_minimum() -> None:
    assert torch.equal(range_pool2d(X, 3, 2, 1), max_pool2d(X, 3, 2, 1) - min_pool2d(X, 3, 2, 1))
    x = torch.tensor([[[2.0, 5.0, 5.0, 1.0, 1.0]]], requires_grad=True)
    functional.global_range_pool1d(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[[0, 1, 0, -1, 0]]]


def test_nan_moves_nothing_in_a_range() -> None:
    x = torch.tensor([[[2.0, math.nan, 1.0]]], requires_grad=True)
    y = functional.global_range_pool1d(x)
    assert y.isnan().all()
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[[0, 0, 0]]]
