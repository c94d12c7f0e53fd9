"""PoolFormer's token mixer: the mean around each cell, less the cell."""

from __future__ import annotations

from torch import Tensor

from poolkit import functional
from poolkit.layers.base import Layer, check_map, wide
from poolkit.layers.convolution import odd_sizes


def _mix(rank: int, input: Tensor, kernel_size: int | tuple[int, ...]) -> Tensor:
    sizes = odd_sizes("kernel_size", kernel_size, rank)
    check_map(f"pool_mixer{rank}d", input, rank)
    x = wide(input)
    pool = getattr(functional, f"avg_pool{rank}d")
    mean: Tensor = pool(x, sizes, 1, tuple(size // 2 for size in sizes), count_include_pad=False)
    return (mean - x).to(input.dtype)


_DOC = """The mean of the cells around each cell, itself among them, less the cell.

Args:
    input: (N, C, *spatial) or (C, *spatial).
    kernel_size: of the mean, an odd number, one int or one an axis.

Returns:
    The input's shape. The border's means are those of the cells that exist, so that a constant map gives zeros
    everywhere (within a rounding). Half precision is computed in float32, the difference too. A NaN reaches the cells
    around it.

dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for one
of a wrong type, NotImplementedError for another dtype.
"""


def pool_mixer1d(input: Tensor, kernel_size: int | tuple[int, ...] = 3) -> Tensor:
    return _mix(1, input, kernel_size)


def pool_mixer2d(input: Tensor, kernel_size: int | tuple[int, ...] = 3) -> Tensor:
    return _mix(2, input, kernel_size)


def pool_mixer3d(input: Tensor, kernel_size: int | tuple[int, ...] = 3) -> Tensor:
    return _mix(3, input, kernel_size)


for _function in (pool_mixer1d, pool_mixer2d, pool_mixer3d):
    _function.__doc__ = _DOC


class _PoolMixer(Layer):
    """The mean around each cell, less the cell: :func:`poolkit.functional.pool_mixer2d` as a layer.

    Args:
        kernel_size: of the mean, an odd number, one int or one an axis.

    forward takes (N, C, *spatial) or (C, *spatial) and gives the same shape.
    """

    _shown = ("kernel_size",)
    _rank: int

    def __init__(self, kernel_size: int | tuple[int, ...] = 3) -> None:
        super().__init__()
        odd_sizes("kernel_size", kernel_size, self._rank)
        self.kernel_size = kernel_size

    def forward(self, input: Tensor) -> Tensor:
        return _mix(self._rank, input, self.kernel_size)


class PoolMixer1d(_PoolMixer):
    __doc__ = _PoolMixer.__doc__
    _rank = 1


class PoolMixer2d(_PoolMixer):
    __doc__ = _PoolMixer.__doc__
    _rank = 2


class PoolMixer3d(_PoolMixer):
    __doc__ = _PoolMixer.__doc__
    _rank = 3
