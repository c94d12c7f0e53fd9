"""Corner and centre pooling against plain loops: each cell's window is written out."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import oracle
import pytest
import torch
from hypothesis import given
from numpy.typing import NDArray
from problems import FLAVOURS, FLOATS, LAYOUTS, ROUNDING, assert_near, in_layout, values

from poolkit import functional, nn
from poolkit.errors import ArgumentError
from poolkit.layers import corners

SIDES = ("left", "right", "top", "bottom")


def axes(side: str, height: int, width: int) -> list[oracle.Axis]:
    """The windows of a side: of each cell those from it on, or up to it, along one axis."""
    rows, columns = ([(i,) for i in range(length)] for length in (height, width))
    if side in ("left", "right"):
        columns = [tuple(range(j, width) if side == "left" else range(j + 1)) for j in range(width)]
    else:
        rows = [tuple(range(i, height) if side == "top" else range(i + 1)) for i in range(height)]
    return [[oracle.Window(cells, len(cells)) for cells in axis] for axis in (rows, columns)]


def expected_of(side: str, x: torch.Tensor, gradient: torch.Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    result = oracle.pool("max", x.detach().double().numpy(), axes(side, *x.shape[-2:]))
    return result.values, result.backward(gradient.double().numpy())


@pytest.mark.parametrize("side", SIDES)
@given(data=st.data())
def test_corner_pool(side: str, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    dtype, flavour = data.draw(st.sampled_from(FLOATS)), data.draw(st.sampled_from(FLAVOURS))
    x = torch.tensor(values(flavour, (2, 3, *size))).to(dtype)
    x = in_layout(x, data.draw(st.sampled_from(LAYOUTS))).requires_grad_()
    y = functional.corner_pool2d(x, side)
    gradient = torch.tensor(values("normal", (2, 3, *size), 1)).to(dtype)
    y.backward(gradient)
    value, back = expected_of(side, x, gradient)
    assert x.grad is not None
    assert_near(y, value, 0)
    assert_near(x.grad, back, 3 * ROUNDING[dtype])


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("side", SIDES)
def test_formula_without_a_kernel_picks_the_same_cells(side: str, flavour: str) -> None:
    """What runs where no kernel does: for forward mode and vmap, and on other devices."""
    x = torch.tensor(values(flavour, (2, 3, 7, 9))).requires_grad_()
    y = corners._running(x, *corners._SIDES[side])
    gradient = torch.tensor(values("normal", (2, 3, 7, 9), 1))
    y.backward(gradient)
    value, back = expected_of(side, x, gradient)
    assert x.grad is not None
    assert_near(y, value, 0)
    assert_near(x.grad, back, 1e-12)
    mapped = torch.func.vmap(lambda x: functional.corner_pool2d(x, side))(x.detach())
    torch.testing.assert_close(mapped, y.detach(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("side", SIDES)
def test_derivatives_of_corner_pool(side: str) -> None:
    """Finite differences, which a port of the authors' program fails."""
    x = torch.tensor(values("normal", (1, 2, 4, 5))).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: functional.corner_pool2d(x, side), x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda x: functional.corner_pool2d(x, side).square(), x)


def test_ties_and_nan() -> None:
    """The first of equals; the last NaN."""
    row = torch.tensor([[[2.0, 2.0, 1.0, 2.0]]])
    for side, expected in (("left", [1, 1, 0, 2]), ("right", [4, 0, 0, 0])):
        x = row.clone().requires_grad_()
        functional.corner_pool2d(x, side).sum().backward()
        assert x.grad is not None
        assert x.grad[0, 0].tolist() == expected
    row[0, 0, 1] = row[0, 0, 2] = math.nan
    for side, expected, nan in (("left", [0, 0, 3, 1], [1, 1, 1, 0]), ("right", [1, 1, 2, 0], [0, 1, 1, 1])):
        x = row.clone().requires_grad_()
        y = functional.corner_pool2d(x, side)
        y.sum().backward()
        assert x.grad is not None
        assert x.grad[0, 0].tolist() == expected
        assert y.isnan()[0, 0].tolist() == [bool(n) for n in nan]


def test_a_map_of_minus_infinity() -> None:
    x = torch.full((1, 2, 3), -math.inf)
    for side in SIDES:
        assert torch.equal(functional.corner_pool2d(x, side), x)
        assert torch.equal(corners._running(x, *corners._SIDES[side]), x)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_center_pool(flavour: str, dtype: torch.dtype) -> None:
    x = torch.tensor(values(flavour, (2, 3, 5, 6))).to(dtype).requires_grad_()
    y = functional.center_pool2d(x)
    gradient = torch.tensor(values("normal", tuple(y.shape), 1)).to(dtype)
    y.backward(gradient)
    array, given = x.detach().double().numpy(), gradient.double().numpy()
    rows = oracle.pool("max", array, [oracle.adapt(5, 5), oracle.adapt(6, 1)])
    columns = oracle.pool("max", array, [oracle.adapt(5, 1), oracle.adapt(6, 6)])
    with np.errstate(invalid="ignore"):
        expected = rows.values + columns.values
    back = rows.backward(given.sum(3, keepdims=True)) + columns.backward(given.sum(2, keepdims=True))
    assert_near(y, expected, ROUNDING[dtype])
    assert x.grad is not None
    assert_near(x.grad, back, 4 * ROUNDING[dtype])


def test_center_pool_is_corner_pool_both_ways() -> None:
    x = torch.tensor(values("normal", (2, 3, 5, 6)))

    def both(one: str, other: str) -> torch.Tensor:
        return functional.corner_pool2d(functional.corner_pool2d(x, one), other)

    assert torch.equal(functional.center_pool2d(x), both("left", "right") + both("top", "bottom"))


def test_memory_format_stays() -> None:
    x = torch.randn(2, 4, 5, 6).contiguous(memory_format=torch.channels_last)
    for module in (*map(nn.CornerPool2d, SIDES), nn.CenterPool2d()):
        assert module(x).is_contiguous(memory_format=torch.channels_last)


def test_refusals() -> None:
    x = torch.zeros(2, 3, 5, 5)
    with pytest.raises(ArgumentError, match=r"side must be one of 'left', 'right', 'top', 'bottom', but got 'up'"):
        functional.corner_pool2d(x, "up")
    with pytest.raises(ArgumentError, match=r"corner_pool2d\(\): input must be \(N, C, H, W\).*\[5, 5\]"):
        functional.corner_pool2d(x[0, 0])
    with pytest.raises(ArgumentError, match=r"center_pool2d\(\): input must be \(N, C, H, W\).*\[5, 5\]"):
        functional.center_pool2d(x[0, 0])
