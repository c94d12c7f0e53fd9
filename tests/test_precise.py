"""Precise RoI pooling against integrals in fractions, and its gradients of boxes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from problems import FLOATS, ROUNDING, assert_near, distinct, in_layout, values

from poolkit import nn
from poolkit.errors import ArgumentError
from poolkit.functional import prroi_pool, roi_align

pytestmark = pytest.mark.usefixtures("poisoned_memory")

#: Inside, across a corner, of another sample, thin, within one cell, on whole cells, across the whole map.
BOXES = torch.tensor(
    [
        [0, 1.0, 1.5, 6.25, 4.0],
        [0, -2.0, -3.0, 3.5, 2.0],
        [1, 2.0, 0.5, 8.5, 6.0],
        [0, 3.25, 1.0, 3.375, 5.0],
        [1, 4.25, 3.25, 4.75, 3.5],
        [1, 2.0, 1.0, 5.0, 4.0],
        [0, -3.0, -3.0, 12.0, 10.0],
    ],
    dtype=torch.float64,
)


def hat(begin: Fraction, end: Fraction, cell: int) -> Fraction:
    """The integral of the hat of a cell, slope by slope: length times the value in the middle."""
    total = Fraction(0)
    for low, high, rises in ((cell - 1, cell, True), (cell, cell + 1, False)):
        first, last = max(begin, Fraction(low)), min(end, Fraction(high))
        if first < last:
            middle = (first + last) / 2
            total += (last - first) * (middle - low if rises else high - middle)
    return total


def weights(begin: float, end: float, bins: int, cells: int, scale: float, aligned: bool) -> np.ndarray:
    first, last = (Fraction(at) * Fraction(scale) - (Fraction(1, 2) if aligned else 0) for at in (begin, end))
    length = (last - first) / bins
    result = np.zeros((bins, cells))
    for number, cell in np.ndindex(bins, cells) if length > 0 else ():
        integral = hat(first + number * length, first + (number + 1) * length, cell)
        result[number, cell] = float(integral / length)
    return result


def looped(
    x: np.ndarray, boxes: np.ndarray, size: tuple[int, int], scale: float, aligned: bool, gradient: np.ndarray
) -> Any:
    """The values, and the gradient of x for that of the values."""
    y, grad = np.zeros((len(boxes), x.shape[1], *size)), np.zeros_like(x)
    for k, (sample, x1, y1, x2, y2) in enumerate(boxes.tolist()):
        rows = weights(y1, y2, size[0], x.shape[2], scale, aligned)
        columns = weights(x1, x2, size[1], x.shape[3], scale, aligned)
        for c, p, q in np.ndindex(*y.shape[1:]):
            for row, column in np.argwhere(np.outer(rows[p], columns[q])):
                weight = rows[p, row] * columns[q, column]
                y[k, c, p, q] += x[int(sample), c, row, column] * weight
                grad[int(sample), c, row, column] += gradient[k, c, p, q] * weight
    return y, grad


@st.composite
def problems(draw: st.DrawFn) -> tuple[torch.Tensor, np.ndarray, tuple[int, int], float]:
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 9)))
    scale, rows = draw(st.sampled_from((1.0, 0.5, 0.25))), []
    for _ in range(draw(st.integers(0, 4))):
        corners = [draw(st.integers(-int(8 * n / scale), int(16 * n / scale))) / 8 for n in (shape[3], shape[2]) * 2]
        if draw(st.integers(0, 4)):
            corners = [*np.minimum(corners[:2], corners[2:]), *np.maximum(corners[:2], corners[2:])]
        rows.append([draw(st.integers(0, shape[0] - 1)), *map(float, corners)])
    x = torch.tensor(values(draw(st.sampled_from(("normal", "ties"))), shape)).to(draw(st.sampled_from(FLOATS)))
    layout = draw(st.sampled_from(("contiguous", "channels_last", "transposed", "strided", "expanded")))
    boxes = np.array(rows, dtype=np.float64).reshape(-1, 5)
    return in_layout(x, layout), boxes, draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), scale


@given(problem=problems(), aligned=st.booleans())
def test_values_and_gradients(problem: Any, aligned: bool) -> None:
    x, boxes, size, scale = problem
    leaf = x.detach().requires_grad_()
    y = prroi_pool(leaf, torch.tensor(boxes), size, scale, aligned)
    gradient = torch.tensor(values("normal", tuple(y.shape), seed=1)).to(x.dtype)
    expected, of_x = looped(x.double().numpy(), boxes, size, scale, aligned, gradient.double().numpy())
    assert_near(y, expected, 2 * ROUNDING[x.dtype])
    y.backward(gradient)
    assert leaf.grad is not None
    assert_near(leaf.grad, of_x, 3 * ROUNDING[x.dtype])


def at_corners(x: torch.Tensor, corners: torch.Tensor) -> torch.Tensor:
    """The map pooled at these corners, as a function of them too."""
    return prroi_pool(x, torch.cat((BOXES[:, :1], corners), 1), 2)


def test_derivatives_of_map_and_boxes() -> None:
    """Slopes of hats meet where an edge lies on a cell, and the gradient is exact there too."""
    x, corners = distinct((2, 2, 7, 9)).requires_grad_(), BOXES[:, 1:].clone().requires_grad_()
    assert torch.autograd.gradcheck(at_corners, (x, corners), fast_mode=True)
    apart = (BOXES[:, 1:] + torch.tensor([0.03, 0.07, 0.11, 0.13])).requires_grad_()
    assert torch.autograd.gradgradcheck(at_corners, (x, apart), fast_mode=True)


def test_gradient_of_an_edge_is_its_mean_less_that_of_the_box() -> None:
    x = torch.randn(1, 1, 7, 9, dtype=torch.float64)
    x1, y1, x2, y2 = 1.3, 2.0, 5.6, 4.5
    box = torch.tensor([[0, x1, y1, x2, y2]], dtype=torch.float64, requires_grad=True)
    y = prroi_pool(x, box, 1)
    (gradient,) = torch.autograd.grad(y, box)
    rows = [float(hat(Fraction(y1), Fraction(y2), row)) / (y2 - y1) for row in range(7)]

    def mean_along(column: float) -> float:
        low, beyond = int(column), column - int(column)
        return sum(w * float(x[0, 0, i, low] * (1 - beyond) + x[0, 0, i, low + 1] * beyond) for i, w in enumerate(rows))

    right, left = (mean_along(x2) - y.item()) / (x2 - x1), (y.item() - mean_along(x1)) / (x2 - x1)
    np.testing.assert_allclose(gradient[0, [1, 3]], [left, right], rtol=1e-10)
    assert gradient[0, 0] == 0


def test_boxes_of_any_dtype_and_their_gradient() -> None:
    x = torch.randn(2, 3, 7, 9)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        boxes = BOXES.to(dtype).requires_grad_()
        prroi_pool(x, boxes, 2).square().sum().backward()
        exact = BOXES.to(dtype).double().requires_grad_()
        prroi_pool(x.double(), exact, 2).square().sum().backward()
        assert boxes.grad is not None
        assert boxes.grad.dtype == dtype
        assert_near(boxes.grad, exact.grad.numpy(), 4 * ROUNDING[dtype])  # type: ignore[union-attr]
    assert torch.equal(prroi_pool(x, BOXES.long(), 2), prroi_pool(x, BOXES.long().double(), 2))
    lists = [BOXES[BOXES[:, 0] == i, 1:].requires_grad_() for i in range(2)]
    rows = torch.cat([torch.nn.functional.pad(boxes, (1, 0), value=float(i)) for i, boxes in enumerate(lists)])
    assert torch.equal(prroi_pool(x, lists, 2), prroi_pool(x, rows, 2))
    assert torch.autograd.grad(prroi_pool(x, lists, 2).sum(), lists)[1].abs().sum() > 0
    assert torch.equal(prroi_pool(x[0], lists[0], 2), prroi_pool(x, lists, 2)[: len(lists[0])])


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own, for forward AD
def test_transforms_of_boxes() -> None:
    x, corners = distinct((2, 2, 7, 9)), BOXES[:, 1:].clone()
    x[1, 1, 0, 0] = math.nan  # the formula leaves it out where it has no weight, too
    tangent = torch.randn_like(corners)
    y, pushed = torch.func.jvp(lambda c: at_corners(x, c), (corners,), (tangent,))
    torch.testing.assert_close(y, at_corners(x, corners), equal_nan=True)
    leaf = corners.clone().requires_grad_()
    cotangent = torch.randn_like(y)
    (pulled,) = torch.autograd.grad(at_corners(x, leaf), leaf, cotangent)
    torch.testing.assert_close((pushed * cotangent).sum(), (pulled * tangent).sum())
    torch.testing.assert_close(torch.func.grad(lambda c: (at_corners(x, c) * cotangent).nansum())(corners), pulled)


def test_compiles_with_the_gradient_of_boxes() -> None:
    compiled = torch.compile(prroi_pool, fullgraph=True, backend="aot_eager")
    x, results = torch.randn(2, 3, 7, 9), []
    for function in (compiled, prroi_pool):
        leaves = x.clone().requires_grad_(), BOXES.clone().requires_grad_()
        y = function(*leaves, 2)
        y.backward(torch.linspace(-1, 1, y.numel()).reshape(y.shape))
        results.append((y.detach(), *(leaf.grad for leaf in leaves)))
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected)
    for wrong in (math.nan, 2.0, -1.0):
        boxes = BOXES.clone()
        boxes[3, 0] = wrong
        with pytest.raises(RuntimeError, match="coordinates of boxes must be finite"):
            compiled(x.clone().requires_grad_(), boxes.requires_grad_(), 2)
    torch.compiler.reset()


def test_a_plane_and_a_constant() -> None:
    """The mean of a linear function is its value in the middle."""
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    x = torch.stack((2 * rows - 3 * columns + 1, torch.full_like(rows, 5.0)))[None].double()
    x1, y1, x2, y2 = 3.3, 2.2, 26.7, 17.9
    y = prroi_pool(x, torch.tensor([[0, x1, y1, x2, y2]], dtype=torch.float64), (4, 5))
    down = y1 + (torch.arange(4, dtype=torch.float64) + 0.5) * (y2 - y1) / 4
    across = x1 + (torch.arange(5, dtype=torch.float64) + 0.5) * (x2 - x1) / 5
    torch.testing.assert_close(y[0, 0], 2 * down[:, None] - 3 * across + 1)
    torch.testing.assert_close(y[0, 1], torch.full((4, 5), 5.0, dtype=torch.float64))


def test_many_samples_come_near() -> None:
    x = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    inside = BOXES[[0, 2, 4]].clamp(max=6)
    sampled = roi_align(x, inside, 3, 1.0, 400)
    torch.testing.assert_close(prroi_pool(x, inside, 3, aligned=True), sampled, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        prroi_pool(x, inside, 3, 0.5), prroi_pool(x, inside + torch.tensor([0, 1, 1, 1, 1]), 3, 0.5, True)
    )


@pytest.mark.parametrize("side", [1e-3, 1e-9, 1e-14])
def test_small_boxes_give_the_value_at_their_place(side: float) -> None:
    x = torch.randn(1, 1, 7, 9, dtype=torch.float64)
    for left, top in ((0.0, 0.0), (0.25, 0.5), (0.0, 0.75)):
        y = prroi_pool(x, torch.tensor([[0, left, top, left + side, top + side]], dtype=torch.float64), 1)
        mixed = [float(x[0, 0, i, 0] * (1 - left) + x[0, 0, i, 1] * left) for i in range(2)]
        np.testing.assert_allclose(y.item(), mixed[0] * (1 - top) + mixed[1] * top, rtol=0, atol=max(4 * side, 1e-12))
    tiny = prroi_pool(x, torch.tensor([[0, 0.0, 0, 1e-60, 1e-60]], dtype=torch.float64), 1)
    np.testing.assert_allclose(tiny.item(), float(x[0, 0, 0, 0]))


@pytest.mark.parametrize(
    "box",
    [
        (3, 2, 3, 5),  # no width
        (3, 2, 1, 5),
        (3, 5, 6, 2),
        (0, 0, 1e-200, 1e-310),
        (40, 4, 60, 8),
        (-60, 0, -40, 8),
        (4, -60, 8, -30),
        (1e30, 1e30, 2e30, 2e30),
        (4e9, 0, 5e9, 7),
    ],
)
def test_boxes_without_area_or_off_the_map_are_zero(box: tuple[float, ...]) -> None:
    x = torch.randn(1, 3, 7, 9, requires_grad=True)
    boxes = torch.tensor([[0, *box]], dtype=torch.float64, requires_grad=True)
    y = prroi_pool(x, boxes, 2)
    assert y.eq(0).all()
    for gradient in torch.autograd.grad(y.sum(), (x, boxes)):
        assert gradient.eq(0).all()


def test_what_lies_outside_the_map_counts_as_zero() -> None:
    x = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    box = torch.tensor([[0, 1.0, 1, 9, 9]])
    assert prroi_pool(x, box, 1).item() == pytest.approx((2.5 / 8) ** 2)  # from 1 to 3, and the slope to 4
    far = torch.tensor([[0, -1e300, -1e30, 1e300, 1e30]], dtype=torch.float64)
    assert prroi_pool(x, far, 1).item() == pytest.approx(16 / 2.0**64)
    square = torch.tensor([[[[0.0, 1], [2, 3]]]])
    assert prroi_pool(square, torch.tensor([[0, 0, 0, 1, 1]]), 1).item() == 1.5
    assert prroi_pool(square, torch.tensor([[0, 0, 0, 1, 1]]), 1, aligned=True).item() == 0.328125


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_cells_count_where_they_have_a_weight(value: float) -> None:
    x = torch.randn(1, 2, 7, 9, dtype=torch.float64)
    spoilt = x.clone()
    spoilt[0, 1, 2, 3] = value
    # Bins of 1.5 x 2 cells: columns 1 to 2.5 and 2.5 to 4 meet the hat of cell 3, from 2 to 4.
    box = torch.tensor([[0, 1.0, 1, 7, 5]], dtype=torch.float64)
    leaves = spoilt.clone().requires_grad_(), box.clone().requires_grad_()
    y, clean = prroi_pool(leaves[0], leaves[1], (2, 4)), prroi_pool(x, box, (2, 4))
    touched = torch.zeros_like(clean, dtype=torch.bool)
    touched[0, 1, 0, :2] = True
    torch.testing.assert_close(y[~touched], clean[~touched])
    assert torch.equal(y[touched].nan_to_num(7), torch.tensor([value] * 2, dtype=y.dtype).nan_to_num(7))
    of_x, of_box = torch.autograd.grad(y[~touched].sum() + y[touched].sum(), leaves)
    whole = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(prroi_pool(whole, box, (2, 4)).sum(), whole)
    torch.testing.assert_close(of_x, expected)
    assert of_box.isfinite().all()


def test_half_precision_is_summed_in_float32() -> None:
    x = torch.full((1, 1, 40, 40), 6e4, dtype=torch.float16)
    assert prroi_pool(x, torch.tensor([[0, 1.0, 1, 38, 38]]), 1).item() == torch.tensor(6e4).half().item()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_keeps_the_precision(dtype: torch.dtype) -> None:
    x = 1e5 * torch.randn(2, 3, 7, 9)
    with torch.autocast("cpu", dtype=dtype):
        y, exact = prroi_pool(x, BOXES, 2), prroi_pool(x.double(), BOXES, 2)
    assert_near(y, exact.numpy(), ROUNDING[torch.float32])


def test_memory_format_and_emptiness() -> None:
    x = torch.randn(2, 3, 7, 9)
    last = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    y = prroi_pool(last, BOXES, (3, 2))
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, prroi_pool(x, BOXES, (3, 2)))
    (gradient,) = torch.autograd.grad(y.sum(), last)
    assert gradient.is_contiguous(memory_format=torch.channels_last)
    for samples in (x, x[:0]):
        assert prroi_pool(samples, BOXES[:0], (3, 2)).shape == (0, 3, 3, 2)


def test_module() -> None:
    x, module = torch.randn(2, 3, 7, 9), nn.PrRoIPool((3, 2), 0.5, aligned=True)
    assert repr(module) == "PrRoIPool(output_size=(3, 2), spatial_scale=0.5, aligned=True)"
    assert torch.equal(module(x, BOXES), prroi_pool(x, BOXES, (3, 2), 0.5, True))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"output_size": 0}, ArgumentError, "output_size must be greater than zero"),
        ({"spatial_scale": math.inf}, ArgumentError, "spatial_scale must be finite and > 0"),
        ({"aligned": "yes"}, TypeError, "aligned must be a bool, but got 'yes'"),
        (
            {"boxes": torch.full((1, 5), math.nan)},
            ArgumentError,
            r"prroi_pool\(\): coordinates of boxes must be finite",
        ),
        ({"boxes": torch.tensor([[0.5, 0, 0, 1, 1]])}, ArgumentError, r"batch index an integer in \[0, 2\)"),
        ({"boxes": torch.zeros(1, 4)}, ArgumentError, r"boxes must have shape \(K, 5\)"),
        ({"input": torch.zeros(2, 3, 7, 0)}, ArgumentError, "at least one channel and cell"),
        ({"input": torch.zeros(2, 3, 7, 9).int()}, NotImplementedError, "input must be float32"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        prroi_pool(**{"input": torch.zeros(2, 3, 7, 9), "boxes": BOXES, "output_size": 2, **arguments})
