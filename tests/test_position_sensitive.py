"""Position-sensitive RoI pool and align against plain loops over fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from problems import FLOATS, ROUNDING, assert_near, in_layout, values

from poolkit import functional, nn
from poolkit.errors import ArgumentError

pytestmark = pytest.mark.usefixtures("poisoned_memory")

ps_roi_align, ps_roi_pool = functional.ps_roi_align, functional.ps_roi_pool
Weights = list[dict[int, float]]


def touched(begin: float, end: float, bins: int, cells: int, scale: float) -> Weights:
    """What each cell of an axis gives to each bin of ps_roi_pool."""

    def whole(at: float) -> int:
        return int(math.copysign(math.floor(abs(at) + 0.5), at))

    first, last = whole(begin) * Fraction(scale), (whole(end) + 1) * Fraction(scale)
    size = max(last - first, Fraction(0.1))
    spans = (
        range(max(math.floor(first + i * size / bins), 0), min(math.ceil(first + (i + 1) * size / bins), cells))
        for i in range(bins)
    )
    return [{cell: 1 / len(span) for cell in span} for span in spans]


def sampled(begin: float, end: float, bins: int, cells: int, scale: float, ratio: int) -> Weights:
    """The same for ps_roi_align."""
    first, size = Fraction(begin) * Fraction(scale) - Fraction(1, 2), Fraction(end - begin) * Fraction(scale)
    samples = ratio or math.ceil(size / bins)
    weights: Weights = []
    for number in range(bins):
        weights.append({})
        for i in range(samples):
            at = first + (number + Fraction(2 * i + 1, 2 * samples)) * size / bins
            if -1 <= at <= cells:
                inside = min(max(at, Fraction(0)), Fraction(cells - 1))
                low = math.floor(inside)
                for cell, weight in ((low, 1 - (inside - low)), (low + 1, inside - low)):
                    if weight:
                        weights[-1][cell] = weights[-1].get(cell, 0.0) + float(weight) / samples
    return weights


def looped(
    x: np.ndarray, boxes: np.ndarray, size: tuple[int, int], scale: float, ratio: int | None, gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The values (ratio None: of the pool), and the gradient of x for that of the values."""
    _, channels, height, width = x.shape
    y, grad = np.zeros((len(boxes), channels // (size[0] * size[1]), *size)), np.zeros_like(x)
    for k, (sample, x1, y1, x2, y2) in enumerate(boxes.tolist()):
        if ratio is None:
            rows, columns = touched(y1, y2, size[0], height, scale), touched(x1, x2, size[1], width, scale)
        else:
            rows = sampled(y1, y2, size[0], height, scale, ratio)
            columns = sampled(x1, x2, size[1], width, scale, ratio)
        for c, p, q in np.ndindex(*y.shape[1:]):
            channel = (c * size[0] + p) * size[1] + q
            for row, of_row in rows[p].items():
                for column, of_column in columns[q].items():
                    y[k, c, p, q] += x[int(sample), channel, row, column] * of_row * of_column
                    grad[int(sample), channel, row, column] += gradient[k, c, p, q] * of_row * of_column
    return y, grad


def boxes_of(draw: st.DrawFn, samples: int, height: int, width: int, scale: float) -> np.ndarray:
    rows = []
    for _ in range(draw(st.integers(0, 4))):
        corners = [draw(st.integers(-int(8 * n / scale), int(16 * n / scale))) / 8 for n in (width, height) * 2]
        if draw(st.integers(0, 4)):
            corners = [*np.minimum(corners[:2], corners[2:]), *np.maximum(corners[:2], corners[2:])]
        rows.append([draw(st.integers(0, samples - 1)), *map(float, corners)])
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


@st.composite
def problems(draw: st.DrawFn) -> tuple[torch.Tensor, np.ndarray, tuple[int, int], float]:
    size = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)) * size[0] * size[1])
    height, width, scale = draw(st.integers(1, 7)), draw(st.integers(1, 9)), draw(st.sampled_from((1.0, 0.5, 0.25)))
    x = torch.tensor(values("normal", (*shape, height, width))).to(draw(st.sampled_from(FLOATS)))
    layout = draw(st.sampled_from(("contiguous", "channels_last", "transposed", "strided")))
    return in_layout(x, layout), boxes_of(draw, shape[0], height, width, scale), size, scale


@given(problem=problems(), ratio=st.sampled_from((None, 0, 1, 2, 3)))
def test_values_and_gradients(problem: Any, ratio: int | None) -> None:
    x, boxes, size, scale = problem
    leaf = x.detach().requires_grad_()
    if ratio is None:
        y = ps_roi_pool(leaf, torch.tensor(boxes), size, scale)
    else:
        y = ps_roi_align(leaf, torch.tensor(boxes), size, scale, ratio)
    gradient = torch.tensor(values("normal", tuple(y.shape), seed=1)).to(x.dtype)
    expected, of_x = looped(x.double().numpy(), boxes, size, scale, ratio, gradient.double().numpy())
    assert_near(y, expected, ROUNDING[x.dtype])
    y.backward(gradient)
    assert leaf.grad is not None
    assert_near(leaf.grad, of_x, 3 * ROUNDING[x.dtype])


def test_align_is_a_choice_of_what_roi_align_gives() -> None:
    """The samples of a bin alone are those of the bin among others, however its edges are rounded."""
    random = np.random.default_rng(0)
    corners = random.uniform(-3, 20, (200, 2))
    sides = random.choice([0.0, 1.0, 3.0, 6.0, 7.5, 12.0, 2.0**-40], (200, 2))  # bins of whole cells, and almost none
    boxes = torch.tensor(np.hstack([np.zeros((200, 1)), corners, corners + sides]))
    x = torch.randn(1, 2 * 9, 13, 17, dtype=torch.float64)
    every = functional.roi_align(x, boxes, 3).unflatten(1, (2, 9)).flatten(3)
    expected = every.diagonal(dim1=2, dim2=3).unflatten(2, (3, 3))
    torch.testing.assert_close(ps_roi_align(x, boxes, 3), expected, rtol=1e-9, atol=1e-9)


def test_which_cells_torchvision_leaves_out() -> None:
    """Its forward leaves out the last row and column, and its backward does not; see the story."""
    x = torch.ones(1, 1, 4, 4, requires_grad=True)
    for corner, cells in (((0, 0, 3, 3), 16), ((2, 2, 4, 4), 4), ((3, 3, 4, 4), 1)):
        y = ps_roi_pool(x, torch.tensor([[0.0, *corner]]), 1)
        (gradient,) = torch.autograd.grad(y, x)
        assert y.item() == 1
        assert int(gradient.count_nonzero()) == cells
    assert ps_roi_align(x, torch.tensor([[0, 1.0, 1, 1, 3]]), 1).item() == 0


def test_each_bin_reads_its_channel() -> None:
    x = torch.arange(24.0).view(1, 24, 1, 1).expand(1, 24, 6, 6)
    for pooling in (ps_roi_pool, ps_roi_align):
        y = pooling(x, torch.tensor([[0, 1.0, 1, 5, 5]]), (3, 2))
        torch.testing.assert_close(y, torch.arange(24.0).view(1, 4, 3, 2))


def test_cells_that_no_bin_reads_may_be_anything() -> None:
    x = torch.randn(1, 8, 6, 6)
    spoilt = torch.full_like(x, math.nan)
    spoilt[..., 1:5, 1:5] = x[..., 1:5, 1:5]
    spoilt[:, 1, :, :3] = math.inf  # the left half in channels of the right bins
    box = torch.tensor([[0, 1.0, 1, 4, 4]])
    assert torch.equal(ps_roi_pool(spoilt, box, 2), ps_roi_pool(x, box, 2))
    aligned = torch.tensor([[0, 1.0, 1, 5, 5]])
    assert torch.equal(ps_roi_align(spoilt, aligned, 2), ps_roi_align(x, aligned, 2))


@pytest.mark.parametrize(
    "box", [(1e30, 1e30, 2e30, 2e30), (-1e300, -5, 1e300, 9), (7, 7, -7, -7), (0, 0, 1e-300, 1e-320)]
)
def test_far_thin_and_reversed_boxes(box: tuple[float, ...]) -> None:
    x = torch.randn(1, 8, 6, 6, requires_grad=True)
    boxes = torch.tensor([[0, *box]], dtype=torch.float64)
    for y in (ps_roi_pool(x, boxes, 2), ps_roi_align(x, boxes, 2), ps_roi_align(x, boxes, 2, 0.5, 2)):
        assert y.isfinite().all()
        assert torch.autograd.grad(y.sum(), x)[0].isfinite().all()
        if box[0] == 1e30:
            assert y.eq(0).all()


def test_boxes_as_tensor_as_list_and_of_a_single_sample() -> None:
    x = torch.randn(2, 12, 7, 9)
    boxes = torch.tensor([[0, 1, 2, 6, 5], [0, -3, 0, 4, 9], [1, 2, 1, 8, 6]])
    lists = [boxes[:2, 1:], boxes[2:, 1:].half()]
    for pooling in (ps_roi_pool, ps_roi_align):
        expected = pooling(x, boxes, (3, 2))
        assert torch.equal(pooling(x, lists, (3, 2)), expected)
        assert torch.equal(pooling(x[0], lists[0], (3, 2)), expected[:2])
        assert pooling(x, boxes[:0], (3, 2)).shape == (0, 2, 3, 2)
        assert pooling(x[:0], boxes[:0], (3, 2)).shape == (0, 2, 3, 2)


@pytest.mark.parametrize("module", [nn.PSRoIPool(2, 0.5), nn.PSRoIAlign(2, 0.5, sampling_ratio=2)], ids=type)
def test_modules_and_the_memory_format(module: torch.nn.Module) -> None:
    x, boxes = torch.randn(2, 12, 7, 9), torch.tensor([[0, 1.0, 2, 6, 5], [1, -3, 0, 4, 9]])
    name = "ps_roi_pool" if isinstance(module, nn.PSRoIPool) else "ps_roi_align"
    further = () if name == "ps_roi_pool" else (2,)
    assert torch.equal(module(x, boxes), getattr(functional, name)(x, boxes, 2, 0.5, *further))
    last = module(x.contiguous(memory_format=torch.channels_last), boxes)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, module(x, boxes))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"output_size": 5}, ArgumentError, "input must have a multiple of 25 channels, .* but got 12"),
        ({"output_size": 0}, ArgumentError, "output_size must be greater than zero"),
        ({"spatial_scale": -1}, ArgumentError, "spatial_scale must be finite and > 0"),
        ({"boxes": torch.full((1, 5), math.nan)}, ArgumentError, "coordinates of boxes must be finite"),
        ({"boxes": torch.tensor([[2.0, 0, 0, 1, 1]])}, ArgumentError, r"batch index an integer in \[0, 2\)"),
        ({"input": torch.zeros(12, 7)}, ArgumentError, r"input must be \(N, C, H, W\)"),
        ({"input": torch.zeros(2, 12, 7, 9).int()}, NotImplementedError, "input must be float32"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    good = {"input": torch.zeros(2, 12, 7, 9), "boxes": torch.zeros(1, 5), "output_size": 2}
    for pooling in (ps_roi_pool, ps_roi_align):
        with pytest.raises(error, match=message):
            pooling(**{**good, **arguments})
