"""Log-sum-exp pooling with a learnt sharpness.

With a fixed one :class:`poolkit.nn.LogSumExpPool2d` does the same in one pass.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from poolkit import functional, geometry
from poolkit.geometry import Padding, Size
from poolkit.layers.base import Layer, check_map, check_number, check_windows, wide

#: Nearer to 0 the series around it has the smaller error: r^2 of a third moment, where the formula's derivative has
#: a rounding over r.
_SERIES = 1e-3


class _LearntLogSumExp(Layer):
    """Log-sum-exp pooling whose sharpness is learnt: y = ln(mean over windows of exp(r x)) / r.

    Args:
        kernel_size, stride, padding, ceil_mode: of the windows; padding takes no part. Without a kernel_size the whole
            map is one window, and the output has one cell.
        r: the sharpness to start from; 0, the average, and negative ones, towards the minimum, too.
        channels: how many there are, one for each channel; None shares one.

    The parameter is r. It may pass through 0, where the result is the average and the derivative by r is half the
    variance of the window. forward takes (N, C, *spatial) or (C, *spatial) and gives the same with the output's size.

    dtypes: float32, float64, float16, bfloat16; half precision is computed in float32. Raises ArgumentError (a
    ValueError) for a bad argument, TypeError for one of a wrong type, NotImplementedError for another dtype.
    """

    _shown = ("kernel_size", "stride", "padding", "ceil_mode", "initial_r", "channels")
    _rank: int

    def __init__(
        self,
        kernel_size: Size | None = None,
        stride: Size | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        r: float = 10.0,
        channels: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_windows(self._rank, kernel_size, stride, padding, ceil_mode)
        check_number("r", r)
        self.kernel_size, self.stride, self.padding, self.ceil_mode = kernel_size, stride, padding, ceil_mode
        self.channels = None if channels is None else geometry.integer("channels", channels, positive=True)
        self.initial_r = r
        self.r = torch.nn.Parameter(torch.full((self.channels or 1,), float(r), device=device, dtype=dtype))

    def _pool(self, method: str, x: Tensor, **parameters: Any) -> Tensor:
        if self.kernel_size is None:
            pool = getattr(functional, f"global_{method}_pool{self._rank}d")
            return cast(Tensor, pool(x, **parameters))
        pool = getattr(functional, f"{method}_pool{self._rank}d")
        geometry_ = {"stride": self.stride, "padding": self.padding, "ceil_mode": self.ceil_mode}
        return cast(Tensor, pool(x, self.kernel_size, **geometry_, **parameters))

    def forward(self, input: Tensor) -> Tensor:
        check_map(type(self).__name__, input, self._rank, self.channels)
        x = wide(input)
        r = self.r.to(x.dtype).view(-1, *(1,) * self._rank)
        near = r.abs() < _SERIES
        steep = torch.where(near, 1, r)
        formula = self._pool("log_sum_exp", x * steep, r=1.0) / steep
        kept = torch.where(near, x, 0)  # what does not count must not be infinite
        average = {} if self.kernel_size is None else {"count_include_pad": False}
        series = self._pool("avg", kept, **average) + torch.where(near, r / 2, 0) * self._pool("var", kept)
        return torch.where(near, series, formula).to(input.dtype)


class LearntLogSumExpPool1d(_LearntLogSumExp):
    _rank = 1


class LearntLogSumExpPool2d(_LearntLogSumExp):
    _rank = 2


class LearntLogSumExpPool3d(_LearntLogSumExp):
    _rank = 3


for _layer in (LearntLogSumExpPool1d, LearntLogSumExpPool2d, LearntLogSumExpPool3d):
    _layer.__doc__ = _LearntLogSumExp.__doc__
