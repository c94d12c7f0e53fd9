"""SoftPool beyond what all methods share: the paper's gradient, its limits, and the defects of its code."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
import torch

import poolkit.functional as pf


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_gradient_of_the_paper(kernel: int, stride: int, padding: int, dtype: torch.dtype, channels_last: bool) -> None:
    """grad="weights" leaves the values alone and takes the weights as constants."""
    x = numbers(2, 9, 7, 8).to(dtype)
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    x.requires_grad_()
    y = pf.soft_pool2d(x, kernel, stride, padding, temperature=0.5, grad="weights")
    assert torch.equal(y, pf.soft_pool2d(x, kernel, stride, padding, temperature=0.5))
    g = numbers(*y.shape, seed=1).to(dtype)
    (mine,) = torch.autograd.grad(y, x, g)
    axes = [oracle.slide(n, kernel, stride, padding, padding, 1, False) for n in (7, 8)]
    pooled = oracle.pool("soft", x.detach().double().numpy(), axes, temperature=0.5, grad="weights")
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype]
    np.testing.assert_allclose(mine.double(), pooled.backward(g.double().numpy()), rtol=tolerance, atol=tolerance)


def test_the_gradient_may_be_negative() -> None:
    """Raising a weak cell gives it weight that it takes from the strong one."""
    x = torch.tensor([[-3.0, 2.0]], dtype=torch.float64, requires_grad=True)
    pf.soft_pool1d(x, 2).backward()
    assert x.grad is not None
    weight = 1 / (1 + np.exp(5.0))
    expected = [weight * (1 - 5 * (1 - weight)), (1 - weight) * (1 + 5 * weight)]
    np.testing.assert_allclose(x.grad[0], expected)
    assert x.grad[0, 0] < 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_large_values(dtype: torch.dtype, scale: float) -> None:
    """The published code overflows beyond 88; here the largest cell is taken out of every exponent."""
    x = (scale + torch.arange(16.0).reshape(1, 1, 4, 4) * 100).to(dtype)
    y = pf.soft_pool2d(x, 2)
    torch.testing.assert_close(y, pf.max_pool2d(x, 2))
    assert torch.isfinite(torch.autograd.grad(pf.soft_pool2d(x.requires_grad_(), 2).sum(), x)[0]).all()


def test_temperature_leads_from_the_maximum_to_the_average() -> None:
    x = numbers(1, 2, 6, 6)
    torch.testing.assert_close(pf.soft_pool2d(x, 3, temperature=1e-4), pf.max_pool2d(x, 3))
    torch.testing.assert_close(pf.soft_pool2d(x, 3, temperature=1e9), pf.avg_pool2d(x, 3), rtol=1e-7, atol=1e-7)


def test_odd_windows_on_even_maps() -> None:
    """The published kernels scramble the rows of kernel 3, stride 2 on even sizes."""
    x = numbers(1, 1, 8, 8)
    y = pf.soft_pool2d(x, 3, 2)
    for row in range(3):
        for column in range(3):
            cells = x[0, 0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].flatten()
            torch.testing.assert_close(y[0, 0, row, column], (cells.softmax(0) * cells).sum())


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("windows", [(2, 2, 0), (3, 2, 1), (5, 1, 2)], ids=str)
@pytest.mark.parametrize("method", ["soft", "log_sum_exp"])
@pytest.mark.parametrize("parameter", [1.0, 0.7])
def test_sums_of_exponentials_give_way_to_whole_windows(
    method: str, parameter: float, windows: tuple[int, int, int], dtype: torch.dtype, channels_last: bool
) -> None:
    """Planes and rows on either side of every limit up to which exponentials are summed as they are, and some that
    cross it, with single cells of any size: all of them are right."""
    kernel, stride, padding = windows
    levels = [0, 15, 21, -21, 31, 33, -33, 40, 63, 65, -65, 80, 87, -87, 89, -89, 104, 200, -200, 1e4]
    x = numbers(2, len(levels), 23, 37) * 2
    x += torch.tensor(levels, dtype=torch.float64).reshape(-1, 1, 1)
    x[1, :, 11:, :] -= x[1, :, 11:, :].mean((-2, -1), keepdim=True)  # half of these planes is small
    for place, number in enumerate([1e30, -1e30, 70.0, -70.0, 300.0, -300.0, -torch.inf]):
        x[0, place, 3 + place, 5 * place] = number
    x = x.to(dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    argument = {"temperature": parameter} if method == "soft" else {"r": parameter}
    y = getattr(pf, f"{method}_pool2d")(x, kernel, stride, padding, **argument)
    g = numbers(*y.shape, seed=1).to(dtype)
    (mine,) = torch.autograd.grad(y, x, g)

    exact = x.detach().double().requires_grad_()
    cells = torch.nn.functional.pad(exact, (padding,) * 4, value=-torch.inf)
    cells = cells.unfold(2, kernel, stride).unfold(3, kernel, stride).flatten(-2)
    if method == "soft":
        finite = torch.where(cells.isinf(), 0.0, cells)
        expected = ((cells / parameter).softmax(-1) * finite).sum(-1)
    else:
        expected = torch.logsumexp(cells * parameter, -1) / parameter
        inside = torch.nn.functional.pad(torch.ones_like(exact), (padding,) * 4)
        inside = inside.unfold(2, kernel, stride).unfold(3, kernel, stride).flatten(-2).sum(-1)
        expected = expected - inside.log() / parameter
    tolerance = 1e-11 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(y.double(), expected, rtol=tolerance, atol=tolerance)
    (by_autograd,) = torch.autograd.grad(expected, exact, g.double())
    # The gradient of a mean's weights has a factor as large as its cells are far apart, which their own size rounds.
    scale = 1 + by_autograd.abs()
    if method == "soft":
        scale = scale + 30 + torch.tensor(levels).abs().reshape(-1, 1, 1)
    assert ((mine.double() - by_autograd).abs() / scale).max() < tolerance
