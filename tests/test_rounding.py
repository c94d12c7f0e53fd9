"""The rounding error of sums, against exact ones, within the bound that docs/how-it-works.md states."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import poolkit.functional as pf

UNIT = 2.0**-24  # relative error of one float32 operation


def additions(cells: int) -> int:
    """At most so many one after the other: in chunks of 128, whose sums are added."""
    return min(cells, 128) + math.ceil(cells / 128)


def far_apart(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Numbers of both signs and very different size, so that much cancels."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(-12, 12, shape, generator=generator)
    return torch.ldexp(torch.randn(shape, generator=generator), sizes)


def windows_of(x: torch.Tensor, kernel: int, stride: int, padding: int) -> torch.Tensor:
    """(N, C, out, out, cells) in float64, zeros in the padding."""
    padded = torch.nn.functional.pad(x.double(), (padding,) * 4)
    return padded.unfold(2, kernel, stride).unfold(3, kernel, stride).flatten(-2)


def exact(cells: torch.Tensor) -> torch.Tensor:
    sums = [math.fsum(row) for row in cells.reshape(-1, cells.shape[-1]).tolist()]
    return torch.tensor(sums, dtype=torch.float64).reshape(cells.shape[:-1])


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        (2, 2, 0),
        (3, 1, 1),
        (3, 2, 1),
        (5, 1, 2),
        (9, 1, 4),
        (13, 1, 6),
        (16, 1, 8),
        (31, 1, 15),
        (31, 2, 15),
        (31, 7, 0),
    ],
)
def test_sums_of_windows(kernel: int, stride: int, padding: int, channels_last: bool) -> None:
    x = far_apart((2, 3, 40, 40), kernel)
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    cells = windows_of(x, kernel, stride, padding)
    bound = 2 * additions(kernel) * UNIT * cells.abs().sum(-1)
    error = (pf.sum_pool2d(x, kernel, stride, padding).double() - exact(cells)).abs()
    assert (error <= bound).all()
    average = pf.avg_pool2d(x, kernel, stride, padding).double() * kernel**2
    assert ((average - exact(cells)).abs() <= bound + 2 * UNIT * average.abs()).all()


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("size", [7, 14, 61, 300])
def test_sums_of_planes(size: int, channels_last: bool) -> None:
    x = far_apart((1, 5, size, size), size)
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    cells = x.double().flatten(2)
    error = (pf.global_sum_pool2d(x).double().flatten(1) - exact(cells)).abs()
    assert (error <= additions(size * size) * UNIT * cells.abs().sum(-1)).all()


def test_the_bound_is_that_of_no_running_sum() -> None:
    """A large value leaves nothing behind once it has left the window: sums are never taken back."""
    x = torch.ones(1, 1, 64, 64)
    x[..., 20, 20] = 1e30
    y = pf.sum_pool2d(x, 13, 1)
    seen = windows_of(x, 13, 1, 0).amax(-1) > 1
    torch.testing.assert_close(y[~seen], torch.full_like(y[~seen], 169.0), rtol=0, atol=0)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (13, 1), (3, 2)])
@pytest.mark.parametrize("include", [True, False])
def test_gradients_of_averages(kernel: int, stride: int, include: bool) -> None:
    """Each input's gradient is such a sum again, of quotients that are rounded once or twice."""
    x = far_apart((2, 3, 30, 30), 1).requires_grad_()
    arguments: dict[str, Any] = {"padding": kernel // 2, "count_include_pad": include}
    y = pf.avg_pool2d(x, kernel, stride, **arguments)
    grad = far_apart(tuple(y.shape), 2)
    (mine,) = torch.autograd.grad(y, x, grad)
    wide = x.detach().double().requires_grad_()
    z = torch.nn.functional.avg_pool2d(wide, kernel, stride, **arguments)
    (exactly,) = torch.autograd.grad(z, wide, grad.double(), retain_graph=True)
    (magnitude,) = torch.autograd.grad(z, wide, grad.double().abs())
    assert ((mine.double() - exactly).abs() <= (2 * additions(kernel) + 3) * UNIT * magnitude).all()


@pytest.mark.parametrize("infinite", [False, True])
def test_zeros_of_a_median_have_no_sign(infinite: bool) -> None:
    """Which of equal zeros is found depends on the way, and that on what stands in the lanes beside."""
    for order in ([-0.0, 0.0], [0.0, -0.0], [-0.0, -0.0]):
        cells = torch.tensor([-4.0, -3, -2, -1, *order, 1, 2, 3])
        x = cells.expand(1, 17, 9).clone().reshape(1, 17, 3, 3)
        if infinite:
            x[0, 3, 0, 0] = -torch.inf
        for layout in (torch.contiguous_format, torch.channels_last):
            y = pf.median_pool2d(x.contiguous(memory_format=layout), 3)
            assert torch.equal(y, torch.zeros_like(y))
            assert not y.signbit().any()
