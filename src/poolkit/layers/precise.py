"""Precise RoI pooling: the mean of the interpolated map over each bin of a box, with gradients for the box too.

The map between the cells is a sum of hats, products of one along each axis, so its integral over a bin is a product
too: weights of rows times the cells times weights of columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from poolkit import ops, reference
from poolkit.layers import region_reference
from poolkit.layers.base import Layer, check_flag, wide, wide_dtype
from poolkit.layers.regions import Boxes, _checked, _good, _regions

#: Bins no longer than this many cells are empty: derivatives of what is divided by less would overflow.
_SHORTEST = 1e-100


def prroi_pool(
    input: Tensor,
    boxes: Boxes,
    output_size: int | Sequence[int],
    spatial_scale: float = 1.0,
    aligned: bool = False,
) -> Tensor:
    """Precise RoI pool: the mean of the interpolated map over each bin of a box, differentiable in the box too.

    A box is cut into output_size bins of equal size, without rounding. The map is interpolated bilinearly between its
    cells, and beyond the outer ones falls to 0 within one cell. The value of a bin is the integral of this surface over
    the bin, divided by the bin's area: exact, without samples.

    Args:
        input: (N, C, H, W), or (C, H, W) for a single sample.
        boxes: (K, 5) with rows (index of the sample in the batch, x1, y1, x2, y2), or a sequence of N tensors (L, 4)
            with rows (x1, y1, x2, y2), one tensor a sample; for a single sample (K, 4). Of any dtype but bool and
            complex; everything about boxes is computed in float64. Floating ones get a gradient.
        output_size: bins along height and width, one int or two.
        spatial_scale: cells of the map to a unit of the boxes: 1/16 for boxes in pixels and a map of stride 16.
        aligned: cells lie at index + 1/2 in the coordinates of the boxes, as for
            :func:`poolkit.functional.roi_align`. By default they lie at their index, as in the paper.

    Returns:
        (K, C, *output_size), with the input's dtype, device and memory format; the boxes of a sequence follow one
        another. A bin without area is 0 and gives no gradient; so is a box with x2 <= x1 or y2 <= y1.

    Boxes may lie anywhere; coordinates beyond 2^31 cells count as 2^31. What lies outside the map counts as 0 in the
    mean. A cell counts, NaN or not, if its weight is not 0; boxes get no gradient through cells that are not finite.

    dtypes: float32, float64, float16, bfloat16 (half precision is computed in float32). Raises ArgumentError (a
    ValueError) for a bad argument, among them a box that is not finite or on no sample (compiled code: RuntimeError),
    TypeError for one of a wrong type, NotImplementedError for a dtype that is not taken.
    """
    size, scale = _checked(output_size, spatial_scale)
    check_flag("aligned", aligned)
    name = "prroi_pool"
    x, packed = _regions(name, input, boxes, differentiable=True)
    if torch.compiler.is_compiling():  # a compiled graph cannot branch on values, but it can stop
        good = _good(packed.detach(), len(x)).all()
        torch._assert_async(good, f"{name}(): coordinates of boxes must be finite and their batch index of a sample")
    rows, columns = (
        _weights(packed, axis, scale, size[1 - axis], x.shape[3 - axis], aligned).to(x.device, wide_dtype(x.dtype))
        for axis in (1, 0)
    )
    call = _formula if ops.why_formula(x) else _Pool.apply
    result: Tensor = call(x, rows, columns, packed.detach()[:, 0].to(x.device, torch.int64))
    return result


def _weights(boxes: Tensor, axis: int, scale: float, bins: int, cells: int, aligned: bool) -> Tensor:
    """The mean of the hat of each cell over each bin, along an axis (0 for x, 1 for y): (K, bins, cells)."""
    begin, end = (at[:, None] - (0.5 if aligned else 0) for at in region_reference.corners(boxes, axis, scale))
    edges = begin + torch.arange(bins + 1, dtype=boxes.dtype, device=boxes.device) / bins * (end - begin)
    places = torch.arange(cells, dtype=boxes.dtype, device=boxes.device)
    # A hat falls from 1 at its cell to 0 at the next ones: from low to high its integral is
    # (high - low) - (high |high| - low |low|) / 2.
    low, high = ((at[..., None] - places).clamp(-1, 1) for at in (edges[:, :-1], edges[:, 1:]))
    across = high - low
    # On one side of the cell the difference of the squares is a product, and loses no digits.
    squares = torch.where(low * high > 0, across * (low.abs() + high.abs()), low.square() + high.square())
    length = edges.diff()[..., None]
    some = length > _SHORTEST
    return torch.where(some, (across - squares / 2) / torch.where(some, length, 1), 0)


class _Box(NamedTuple):
    number: int
    sample: int
    rows: slice
    columns: slice


def _boxes(rows: Tensor, columns: Tensor, sample: Tensor) -> Iterator[_Box]:
    """The cells of each box that have a weight; none for a box off the map."""

    def spans(weights: Tensor) -> Iterator[slice]:
        touched = weights.ne(0).any(1)
        some, order = touched.any(1), touched.to(torch.uint8)
        last = torch.where(some, touched.shape[1] - order.flip(1).argmax(1), 0)
        return map(slice, order.argmax(1).tolist(), last.tolist())

    for number, (n, down, across) in enumerate(zip(sample.tolist(), spans(rows), spans(columns), strict=True)):
        if down.start < down.stop and across.start < across.stop:
            yield _Box(number, n, down, across)


def _contracted(rows: Tensor, cells: Tensor, columns: Tensor) -> Tensor:
    """Weighted sums (..., C, P, Q) of cells (C, H, W), by rows (..., P, H) and columns (..., Q, W)."""
    return (rows.unsqueeze(-3) @ cells) @ columns.unsqueeze(-3).transpose(-1, -2)


def _unbounded(rows: Tensor, cells: Tensor, columns: Tensor) -> Tensor:
    """What NaN and infinities add to the sums: all that have a weight, and no others."""
    down, across = rows.ne(0).to(cells.dtype), columns.ne(0).to(cells.dtype)

    def where(some: Tensor, value: float) -> Tensor:
        return torch.where(_contracted(down, some.to(cells.dtype), across) > 0, value, 0.0)

    return (
        where(cells == torch.inf, torch.inf) + where(cells == -torch.inf, -torch.inf) + where(cells.isnan(), torch.nan)
    )


def _finite(cells: Tensor) -> Tensor:
    return torch.where(cells.isfinite(), cells, 0)


def _formula(x: Tensor, rows: Tensor, columns: Tensor, sample: Tensor) -> Tensor:
    """The same by operations that torch can take apart; each sample of the batch is seen by the boxes of all."""
    y = rows.new_zeros(len(rows), x.shape[1], rows.shape[1], columns.shape[1])
    for n, cells in enumerate(wide(x)):
        own = torch.where((sample == n)[:, None, None], rows, 0)
        y = y + _contracted(own, _finite(cells), columns) + _unbounded(own, cells.detach(), columns).to(y.dtype)
    return y.to(x.dtype)


def _forward(x: Tensor, rows: Tensor, columns: Tensor, sample: Tensor) -> Tensor:
    y = _like_output(x, rows, columns).zero_()
    for box in _boxes(rows, columns, sample):
        cells = wide(x[box.sample, :, box.rows, box.columns])
        down, across = rows[box.number, :, box.rows], columns[box.number, :, box.columns]
        finite = _finite(cells)
        total = _contracted(down, finite, across)
        if not torch.equal(finite, cells):
            total += _unbounded(down, cells, across)
        y[box.number] = total
    return y


def _backward(grad: Tensor, x: Tensor, rows: Tensor, columns: Tensor, sample: Tensor, of_boxes: bool) -> list[Tensor]:
    """The gradients of x, and, if boxes want one, of rows and columns."""
    grad_x = torch.zeros_like(x, dtype=wide_dtype(x.dtype))
    grads = [torch.zeros_like(rows), torch.zeros_like(columns)] if of_boxes else []
    for box in _boxes(rows, columns, sample):
        place = (box.sample, slice(None), box.rows, box.columns)
        down, across = rows[box.number, :, box.rows], columns[box.number, :, box.columns]
        of_bins = wide(grad[box.number])
        grad_x[place] += down.T @ of_bins @ across
        if of_boxes:
            cells = _finite(wide(x[place]))
            grads[0][box.number, :, box.rows] = torch.einsum("cpq,chq->ph", of_bins, cells @ across.T)
            grads[1][box.number, :, box.columns] = torch.einsum("cpq,cpw->qw", of_bins, down @ cells)
    return [grad_x.to(x.dtype), *grads]


def _like_output(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    size = [rows.shape[0], x.shape[1], rows.shape[1], columns.shape[1]]
    return ops._like(x, size, x.dtype, ops._channels_last(x, 2), 2)


_pool = torch.library.custom_op("poolkit::prroi_pool", _forward, mutates_args=())
_pool_backward = torch.library.custom_op("poolkit::prroi_pool_backward", _backward, mutates_args=())


@_pool.register_fake
def _(x: Tensor, rows: Tensor, columns: Tensor, sample: Tensor) -> Tensor:
    return _like_output(x, rows, columns)


@_pool_backward.register_fake
def _(grad: Tensor, x: Tensor, rows: Tensor, columns: Tensor, sample: Tensor, of_boxes: bool) -> list[Tensor]:
    return [torch.empty_like(x), *([torch.empty_like(rows), torch.empty_like(columns)] if of_boxes else [])]


class _Pool(torch.autograd.Function):
    """Keeps its inputs, which backward reads again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor, columns: Tensor, sample: Tensor) -> Tensor:
        ctx.save_for_backward(x, rows, columns, sample)
        return _pool(x, rows, columns, sample)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, sample = ctx.saved_tensors
        if torch.is_grad_enabled():
            results = reference.differentiated(_formula, tensors, grads[0], sample)
        else:
            results = [*_pool_backward(grads[0], *tensors, sample, ctx.needs_input_grad[1]), None, None][:3]
        return *results, None


class PrRoIPool(Layer):
    """Precise RoI pool as a layer: :func:`poolkit.functional.prroi_pool` says what its arguments mean.

    Args:
        output_size: bins along height and width, one int or two.
        spatial_scale: cells of the map to a unit of the boxes.
        aligned: cells lie at index + 1/2 in the coordinates of the boxes; by default at their index, as in the paper.
    """

    _shown = ("output_size", "spatial_scale", "aligned")

    def __init__(self, output_size: int | Sequence[int], spatial_scale: float = 1.0, aligned: bool = False) -> None:
        super().__init__()
        _checked(output_size, spatial_scale)
        check_flag("aligned", aligned)
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.aligned = aligned

    def forward(self, input: Tensor, boxes: Boxes) -> Tensor:
        return prroi_pool(input, boxes, self.output_size, self.spatial_scale, self.aligned)
