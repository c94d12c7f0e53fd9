"""Lp and power-average pooling with a learnt exponent.

Windows are gathered: a call needs as much memory as all windows have cells, several times where they overlap. With a
fixed exponent :class:`poolkit.nn.LPPool2d` and :class:`poolkit.nn.PowerAvgPool2d` do the same in one pass.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from poolkit import geometry
from poolkit.errors import ArgumentError
from poolkit.geometry import Padding, Size
from poolkit.layers.base import Layer, check_map, wide
from poolkit.reference import Cells


class _LearntPower(Layer):
    """{title} pooling whose exponent is learnt: y = {formula}.

    Args:
        kernel_size, stride, padding, ceil_mode: of the windows; padding takes no part.
        norm_type: the exponent to start from, > 0.
        channels: how many exponents there are, one for each channel; None shares one.

    The parameter is log_norm_type, the logarithm of the exponent, which so stays positive; norm_type gives the
    exponent. forward takes (N, C, *spatial) or (C, *spatial) and gives the same with the output's size. Magnitudes are
    taken relative to the window's largest: nothing overflows. The gradient at 0 is 0.

    dtypes: float32, float64, float16, bfloat16; half precision is computed in float32. Raises ArgumentError (a
    ValueError) for a bad argument, TypeError for one of a wrong type, NotImplementedError for another dtype.
    """

    _shown = ("kernel_size", "stride", "padding", "ceil_mode", "initial_norm_type", "channels")
    _rank: int
    _mean: bool

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        norm_type: float = 2.0,
        channels: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        geometry.check_sliding(self._rank, kernel_size, stride, padding, 1, ceil_mode)
        if isinstance(norm_type, bool) or not isinstance(norm_type, int | float):
            raise TypeError(f"norm_type must be a number, but got {norm_type!r} ({type(norm_type).__name__})")
        if not (norm_type > 0 and math.isfinite(norm_type)):
            raise ArgumentError(f"norm_type must be a finite number > 0, but got {norm_type!r}")
        self.kernel_size, self.stride, self.padding, self.ceil_mode = kernel_size, stride, padding, ceil_mode
        self.channels = None if channels is None else geometry.integer("channels", channels, positive=True)
        self.initial_norm_type = norm_type
        start = torch.full((self.channels or 1,), math.log(norm_type), device=device, dtype=dtype)
        self.log_norm_type = torch.nn.Parameter(start)

    @property
    def norm_type(self) -> Tensor:
        return self.log_norm_type.exp()

    def forward(self, input: Tensor) -> Tensor:
        rank = self._rank
        check_map(type(self).__name__, input, rank, self.channels)
        size = tuple(input.shape[-rank:])
        windows = geometry.sliding(rank, size, self.kernel_size, self.stride, self.padding, 1, self.ceil_mode)
        cells = Cells(wide(input), windows)
        exponents = self.norm_type.to(cells.values.dtype).view(-1, *(1,) * (rank + 1))
        return cells.norm(exponents, self._mean).to(input.dtype)


class _LearntLP(_LearntPower):
    _mean = False


class _LearntPowerAvg(_LearntPower):
    _mean = True


class LearntLPPool1d(_LearntLP):
    _rank = 1


class LearntLPPool2d(_LearntLP):
    _rank = 2


class LearntLPPool3d(_LearntLP):
    _rank = 3


class LearntPowerAvgPool1d(_LearntPowerAvg):
    _rank = 1


class LearntPowerAvgPool2d(_LearntPowerAvg):
    _rank = 2


class LearntPowerAvgPool3d(_LearntPowerAvg):
    _rank = 3


for _layer in (LearntLPPool1d, LearntLPPool2d, LearntLPPool3d):
    _layer.__doc__ = (_LearntPower.__doc__ or "").format(title="Lp", formula="(sum over windows of |x|^p)^(1/p)")
for _other in (LearntPowerAvgPool1d, LearntPowerAvgPool2d, LearntPowerAvgPool3d):
    _other.__doc__ = (_LearntPower.__doc__ or "").format(
        title="Power-average", formula="(mean over windows of |x|^p)^(1/p)"
    )
