"""Corner pooling and centre pooling: maxima from each cell to an edge of the map, and of its whole row and column."""

from __future__ import annotations

import torch
from torch import Tensor

from poolkit import functional, ops
from poolkit.errors import ArgumentError
from poolkit.layers.base import Layer, check_map
from poolkit.layers.strips import strips

#: The axis of each side, and whether windows begin at their cell or end there.
_SIDES = {"left": (-1, True), "right": (-1, False), "top": (-2, True), "bottom": (-2, False)}


def _check_side(side: str) -> None:
    if side not in tuple(_SIDES):
        raise ArgumentError(f"side must be one of {', '.join(map(repr, _SIDES))}, but got {side!r}")


def _windowed(input: Tensor, axis: int, begins: bool) -> Tensor:
    """As max pooling, whose windows are as long as the map and mostly in the padding."""
    size = input.shape[axis]
    kernel, padding = [1, 1], [(0, 0), (0, 0)]
    kernel[axis], padding[axis] = size, (0, size - 1) if begins else (size - 1, 0)
    y = functional.max_pool2d(input, tuple(kernel), 1, tuple(padding))
    assert isinstance(y, Tensor)
    return y


def _running(input: Tensor, axis: int, begins: bool) -> Tensor:
    """The same, of equal cells the first and of several NaN the last picked, too, without gathering windows."""
    cells = input.flip(axis) if begins else input
    values = cells.detach()
    before = values.cummax(axis).values.roll(1, axis)
    # Seen from the end, the later cell stands first: it wins if it is equal, but not if both are NaN.
    wins = ~((values < before) | before.isnan()) if begins else (values > before) | values.isnan()
    places = torch.arange(cells.shape[axis], device=input.device).view(-1, *(1,) * (-axis - 1))
    y = cells.gather(axis, torch.where(wins, places, 0).cummax(axis).values)
    return y.flip(axis) if begins else y


def corner_pool2d(input: Tensor, side: str = "left") -> Tensor:
    """The largest value from each cell on to the edge opposite of a side, where a box's outermost points would be.

    Args:
        input: (N, C, H, W) or (C, H, W).
        side: which side of a box is looked for. 'left': y[i, j] is the maximum of x[i, j:]; 'right': of x[i, :j + 1];
            'top': of x[i:, j]; 'bottom': of x[:i + 1, j].

    Returns:
        The input's shape. Of equal cells the first in row-major order has the gradient; NaN wins, of several the
        last, as in max pooling.

    A corner is two sides added: ``corner_pool2d(a, "top") + corner_pool2d(b, "left")`` of two maps, or of one.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.

    >>> corner_pool2d(torch.tensor([[[1.0, 3.0, 2.0, 0.0]]]), "left")
    tensor([[[3., 3., 2., 0.]]])
    """
    _check_side(side)
    check_map("corner_pool2d", input, 2)
    # On other devices every window would be gone through cell by cell.
    pool = _windowed if input.is_cpu and ops.why_no_kernel(input, "max") is None else _running
    return pool(input, *_SIDES[side])


def center_pool2d(input: Tensor) -> Tensor:
    """The largest value of each cell's row plus the largest of its column.

    Args:
        input: (N, C, H, W) or (C, H, W).

    Returns:
        The input's shape. Of equal cells the first in row-major order has the gradient, which is the sum over the
        row's or the column's results; a NaN reaches its whole row and column.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.

    >>> center_pool2d(torch.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
    tensor([[[5., 6.],
             [4., 5.]]])
    """
    check_map("center_pool2d", input, 2)
    rows, columns = strips(2, input, "max")
    return rows + columns


class CornerPool2d(Layer):
    """Maxima from each cell to an edge, :func:`poolkit.functional.corner_pool2d` as a layer.

    Args:
        side: 'left', 'right', 'top' or 'bottom': which side of a box is looked for.

    forward takes (N, C, H, W) or (C, H, W) and gives the same shape.
    """

    _shown = ("side",)

    def __init__(self, side: str = "left") -> None:
        super().__init__()
        _check_side(side)
        self.side = side

    def forward(self, input: Tensor) -> Tensor:
        return corner_pool2d(input, self.side)


class CenterPool2d(Layer):
    """Maxima of each cell's row and column, added: :func:`poolkit.functional.center_pool2d` as a layer.

    forward takes (N, C, H, W) or (C, H, W) and gives the same shape.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return center_pool2d(input)
