"""Pooling of regions of interest: boxes of any size become maps of one size.

Functions and modules check their arguments here and pack the boxes; :mod:`poolkit.layers.region_ops` runs them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from poolkit import geometry
from poolkit.errors import ArgumentError
from poolkit.layers import region_ops
from poolkit.layers.base import Layer, check_flag, check_floating, has_values
from poolkit.methods.method import is_finite

#: More samples along a bin than this only cost time.
MOST_SAMPLES = 2**16

Boxes = Tensor | Sequence[Tensor]


def roi_align(
    input: Tensor,
    boxes: Boxes,
    output_size: int | Sequence[int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Tensor:
    """RoI align: each bin of a box is the mean of samples of the map, interpolated between cells.

    A box is cut into output_size bins of equal size, without rounding. In each bin lie sampling_ratio x sampling_ratio
    samples at equal distances, and the value of a sample is interpolated bilinearly between the four cells around it.
    A sample further than one cell outside the map is 0; one nearer takes the values of the border.

    Args:
        input: (N, C, H, W), or (C, H, W) for a single sample.
        boxes: (K, 5) with rows (index of the sample in the batch, x1, y1, x2, y2), or a sequence of N tensors (L, 4)
            with rows (x1, y1, x2, y2), one tensor a sample; for a single sample (K, 4). Of any dtype but bool and
            complex; everything about boxes is computed in float64. They get no gradient.
        output_size: bins along height and width, one int or two.
        spatial_scale: cells of the map to a unit of the boxes: 1/16 for boxes in pixels and a map of stride 16.
        sampling_ratio: samples in a bin along each axis, at most 65536; 0 (or -1) takes as many as the bin is cells
            long, rounded up.
        aligned: cells lie around their centres, at index + 1/2 in the coordinates of the boxes. False is the older
            form, half a cell off, in which boxes are at least one cell large.

    Returns:
        (K, C, *output_size), with the input's dtype, device and memory format; the boxes of a sequence follow one
        another.

    A box with x2 < x1 is sampled from right to left if sampling_ratio is given, and gives 0 otherwise: it has no
    samples; so it is with y. Boxes may lie anywhere; coordinates beyond 2^31 cells count as 2^31. A cell counts, NaN or
    not, if its weight is not 0. The gradient of the input is exact, summed over the boxes in their order and so the
    same for any number of threads.

    dtypes: float32, float64, float16, bfloat16 (half precision is computed in float32). Raises ArgumentError (a
    ValueError) for a bad argument, among them a box that is not finite or on no sample (compiled code: RuntimeError),
    TypeError for one of a wrong type, NotImplementedError for a dtype that is not taken.
    """
    name = "roi_align"
    size, scale = _checked(output_size, spatial_scale)
    ratio = _checked_sampling(sampling_ratio, aligned)
    x, packed = _regions(name, input, boxes)
    return region_ops.align(x, packed, size, scale, ratio, bool(aligned))


def roi_pool(
    input: Tensor,
    boxes: Boxes,
    output_size: int | Sequence[int],
    spatial_scale: float = 1.0,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """RoI pool: the maximum of each bin of a box, whose corners are rounded to whole cells.

    The corners are rounded to the nearest cell, halves away from 0, and both of them belong to the box. Its bins are
    the windows of adaptive pooling: of n cells bin i takes floor(i * n / output_size) up to, and not including,
    ceil((i + 1) * n / output_size), as far as they lie on the map.

    Args:
        input: (N, C, H, W), or (C, H, W) for a single sample.
        boxes: (K, 5) with rows (index of the sample in the batch, x1, y1, x2, y2), or a sequence of N tensors (L, 4)
            with rows (x1, y1, x2, y2), one tensor a sample; for a single sample (K, 4). Of any dtype but bool and
            complex; everything about boxes is computed in float64. They get no gradient.
        output_size: bins along height and width, one int or two.
        spatial_scale: cells of the map to a unit of the boxes: 1/16 for boxes in pixels and a map of stride 16.
        return_indices: return the winners' positions in their plane too, int64, row * W + column.

    Returns:
        (K, C, *output_size), with the input's dtype, device and memory format; the boxes of a sequence follow one
        another. A bin that lies wholly outside the map is 0, has the index -1 and gives no gradient.

    NaN wins, the last of several; of equals the first in row-major order. A box with x2 < x1 is one cell wide; so it is
    with y. Coordinates beyond 2^31 cells count as 2^31. Each bin gives its gradient to its winner, summed over the
    boxes in their order and so the same for any number of threads.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, among them a
    box that is not finite or on no sample (compiled code: RuntimeError), TypeError for one of a wrong type,
    NotImplementedError for a dtype that is not taken.
    """
    name = "roi_pool"
    size, scale = _checked(output_size, spatial_scale)
    check_flag("return_indices", return_indices)
    x, packed = _regions(name, input, boxes)
    if math.prod(x.shape[2:]) >= 2**31:
        raise ArgumentError(f"{name}(): input must have fewer than 2^31 cells a plane, but got {list(input.shape)}")
    return region_ops.pool(x, packed, size, scale, bool(return_indices))


def _checked(output_size: object, spatial_scale: object) -> tuple[list[int], float]:
    size = list(geometry.per_axis("output_size", output_size, 2))
    if isinstance(spatial_scale, bool) or not isinstance(spatial_scale, int | float):
        raise TypeError(f"spatial_scale must be a float, but got {spatial_scale!r} ({type(spatial_scale).__name__})")
    if not (is_finite(spatial_scale) and spatial_scale > 0):
        raise ArgumentError(f"spatial_scale must be finite and > 0, but got {spatial_scale!r}")
    return size, float(spatial_scale)


def _checked_sampling(sampling_ratio: object, aligned: object) -> int:
    """The number of samples, 0 if it depends on the box."""
    check_flag("aligned", aligned)
    ratio = geometry.integer("sampling_ratio", sampling_ratio)
    if not -1 <= ratio <= MOST_SAMPLES:
        raise ArgumentError(f"sampling_ratio must lie between -1 and {MOST_SAMPLES}, but got {ratio}")
    return max(ratio, 0)


def _regions(name: str, input: Tensor, boxes: Any, differentiable: bool = False) -> tuple[Tensor, Tensor]:
    """The input as (N, C, H, W), and the boxes as float64 (K, 5) where tables are made of them: on the CPU."""
    check_floating(name, input=input)
    if input.dim() not in (3, 4) or 0 in input.shape[-3:]:
        raise ArgumentError(
            f"{name}(): input must be (N, C, H, W) or (C, H, W) with at least one channel and cell, "
            f"but got {list(input.shape)}"
        )
    if isinstance(boxes, Tensor):
        columns = input.dim() + 1
        _check_boxes(name, "boxes", boxes, columns)
        packed = _plain(boxes) if columns == 5 else _numbered(boxes, 0)
    elif isinstance(boxes, Sequence) and not isinstance(boxes, str | bytes) and input.dim() == 4:
        if len(boxes) != len(input):
            raise ArgumentError(
                f"{name}(): boxes must hold one tensor for each of the {len(input)} samples, but got {len(boxes)}"
            )
        for i, each in enumerate(boxes):
            _check_boxes(name, f"boxes[{i}]", each, 4)
        packed = torch.cat([torch.empty(0, 5, dtype=torch.float64), *(_numbered(b, i) for i, b in enumerate(boxes))])
    else:
        allowed = "a tensor (K, 5) or a sequence of tensors (L, 4)" if input.dim() == 4 else "a tensor (K, 4)"
        raise TypeError(f"{name}(): boxes must be {allowed}, but got {type(boxes).__name__}")
    x = input if input.dim() == 4 else input.unsqueeze(0)
    _check_values(name, packed.detach(), len(x))
    return x, packed if differentiable else packed.detach()


def _check_boxes(name: str, argument: str, boxes: object, columns: int) -> None:
    if not isinstance(boxes, Tensor):
        raise TypeError(f"{name}(): {argument} must be a torch.Tensor, but got {type(boxes).__name__}")
    if boxes.dtype == torch.bool or boxes.is_complex():
        raise NotImplementedError(f"{name}(): {argument} must be floating point or integers, but got {boxes.dtype}")
    if boxes.dim() != 2 or boxes.shape[1] != columns:
        rows = "(batch index, x1, y1, x2, y2)" if columns == 5 else "(x1, y1, x2, y2)"
        raise ArgumentError(
            f"{name}(): {argument} must have shape (K, {columns}) with rows {rows}, but got {list(boxes.shape)}"
        )


def _plain(boxes: Tensor) -> Tensor:
    device = boxes.device if boxes.is_meta else torch.device("cpu")
    return boxes.to(device, torch.float64).contiguous()


def _numbered(boxes: Tensor, sample: int) -> Tensor:
    """Boxes (L, 4) of a sample with its number before them, (L, 5)."""
    return torch.nn.functional.pad(_plain(boxes), (1, 0), value=float(sample))


def _good(boxes: Tensor, samples: int) -> Tensor:
    """Which boxes are finite and on a sample."""
    index = boxes[:, 0]
    return boxes.isfinite().all(1) & (index >= 0) & (index < samples) & (index == index.floor())


def _check_values(name: str, boxes: Tensor, samples: int) -> None:
    if torch.compiler.is_compiling() or not has_values(boxes):
        return  # no values yet: the operator checks them again
    good = _good(boxes, samples)
    if not bool(good.all()):
        bad = int((~good).nonzero()[0])
        raise ArgumentError(
            f"{name}(): coordinates of boxes must be finite and their batch index an integer in [0, {samples}), "
            f"but box {bad} is (index, x1, y1, x2, y2) = {tuple(boxes[bad].tolist())}"
        )


class RoIAlign(Layer):
    """RoI align as a layer: :func:`poolkit.functional.roi_align` says what its arguments mean.

    Args:
        output_size: bins along height and width, one int or two.
        spatial_scale: cells of the map to a unit of the boxes.
        sampling_ratio: samples in a bin along each axis; 0 (or -1) takes as many as the bin is cells long.
        aligned: cells lie around their centres; False is the older form, half a cell off.
    """

    _shown = ("output_size", "spatial_scale", "sampling_ratio", "aligned")

    def __init__(
        self,
        output_size: int | Sequence[int],
        spatial_scale: float = 1.0,
        sampling_ratio: int = 0,
        aligned: bool = True,
    ) -> None:
        super().__init__()
        _checked(output_size, spatial_scale)
        _checked_sampling(sampling_ratio, aligned)
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(self, input: Tensor, boxes: Boxes) -> Tensor:
        return roi_align(input, boxes, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned)


class RoIPool(Layer):
    """RoI pool as a layer: :func:`poolkit.functional.roi_pool` says what its arguments mean.

    Args:
        output_size: bins along height and width, one int or two.
        spatial_scale: cells of the map to a unit of the boxes.
        return_indices: return the winners' positions in their plane too.
    """

    _shown = ("output_size", "spatial_scale", "return_indices")

    def __init__(
        self, output_size: int | Sequence[int], spatial_scale: float = 1.0, return_indices: bool = False
    ) -> None:
        super().__init__()
        _checked(output_size, spatial_scale)
        check_flag("return_indices", return_indices)
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.return_indices = return_indices

    def forward(self, input: Tensor, boxes: Boxes) -> Tensor | tuple[Tensor, Tensor]:
        return roi_pool(input, boxes, self.output_size, self.spatial_scale, self.return_indices)
