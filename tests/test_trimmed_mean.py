"""The trimmed mean between the average and the median, and what it does with outliers, equals and NaN."""

from __future__ import annotations

import math

import pytest
import torch
from problems import distinct
from torch import Tensor

from poolkit.functional import avg_pool2d, global_trimmed_mean_pool1d, median_pool2d, trimmed_mean_pool2d

X = distinct((2, 3, 12, 13))
#: Small windows are sorted, large ones are not.
either_size = pytest.mark.parametrize("kernel", [3, 4, 9, 10])


def windows(x: Tensor, kernel: int) -> Tensor:
    return x.unfold(2, kernel, 1).unfold(3, kernel, 1).flatten(-2)


@either_size
def test_ends(kernel: int) -> None:
    geometry = {"kernel_size": kernel, "stride": 1, "padding": kernel // 2}
    average = avg_pool2d(X, kernel, 1, kernel // 2, count_include_pad=False)
    torch.testing.assert_close(trimmed_mean_pool2d(X, **geometry, trim=0), average)
    middle = median_pool2d(X, **geometry, even="mean")
    for trim in (0.5, 0.5 - 1e-9):
        torch.testing.assert_close(trimmed_mean_pool2d(X, **geometry, trim=trim), middle)


@either_size
def test_whole_numbers_of_cells_are_dropped(kernel: int) -> None:
    n = kernel * kernel
    ordered = windows(X, kernel).sort(-1).values
    for dropped in {0, 1, n // 4, (n - 1) // 2}:
        expected = ordered[..., dropped : n - dropped].mean(-1)
        torch.testing.assert_close(trimmed_mean_pool2d(X, kernel, 1, trim=dropped / n), expected)


@either_size
def test_continuous_in_the_share(kernel: int) -> None:
    """Cells of a range of 1 move the result by no more than 2 / (1 - 2 trim) times the step."""
    x = (X - X.min()) / (X.max() - X.min())
    before = trimmed_mean_pool2d(x, kernel, 1, trim=0.0)
    for step in range(1, 401):
        trim = step / 1000
        after = trimmed_mean_pool2d(x, kernel, 1, trim=trim)
        assert (after - before).abs().max() <= 2e-3 / (1 - 2 * trim)
        before = after


@either_size
def test_what_is_dropped_may_be_infinite(kernel: int) -> None:
    n = kernel * kernel
    cells = torch.linspace(-1, 1, n)
    for dropped in (1, n // 4):
        wrong = cells.clone()
        wrong[:dropped], wrong[n - dropped :] = -math.inf, math.inf
        x = wrong[torch.randperm(n)].reshape(1, 1, kernel, kernel).requires_grad_()
        y = trimmed_mean_pool2d(x, kernel, trim=dropped / n)
        assert y.item() == pytest.approx(0, abs=1e-6)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(gradient, x.isfinite() / (n - 2 * dropped))
        assert trimmed_mean_pool2d(x, kernel, trim=(dropped - 0.5) / n).isnan()


def test_a_product_a_little_below_a_whole_number_is_that_number() -> None:
    assert 0.29 * 100 < 29
    x = torch.arange(100.0, dtype=torch.float64)
    x[:29], x[71:] = -math.inf, math.inf
    assert global_trimmed_mean_pool1d(x[None], trim=0.29).item() == pytest.approx(49.5)


def test_of_equals_the_first_is_the_smallest() -> None:
    x = torch.tensor([[3.0, 1, 3, 1, 3, 1, 3, 1]], requires_grad=True)
    for trim, shares in (
        (0.25, [1, 0, 1, 0, 0, 1, 0, 1]),
        (0.1875, [1, 0, 1, 0.5, 0.5, 1, 0, 1]),
        (0.5, [1, 0, 0, 0, 0, 0, 0, 1]),
    ):
        y = global_trimmed_mean_pool1d(x, trim=trim)
        assert y.item() == 2
        (gradient,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(gradient[0], torch.tensor(shares) / sum(shares))


@either_size
def test_nan_takes_the_place_of_the_mean(kernel: int) -> None:
    n = kernel * kernel
    x = torch.rand(1, 2, kernel, kernel)
    x[0, 0, 1, 2] = math.nan
    x.requires_grad_()
    y = trimmed_mean_pool2d(x, kernel, trim=1 / n)
    assert y.isnan().flatten().tolist() == [True, False]
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient[0, 0], torch.full((kernel, kernel), 1 / n))
    assert (gradient[0, 1] == 0).sum() == 2
