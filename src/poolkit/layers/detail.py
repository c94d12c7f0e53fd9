"""Detail-preserving pooling: means of windows that favour cells far from the window's mean.

Windows are gathered: a call needs as much memory as all windows have cells, several times where they overlap.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from poolkit import geometry
from poolkit.errors import ArgumentError
from poolkit.geometry import Padding, Size, Windows
from poolkit.layers.base import Layer, check_eps, check_floating, check_map, wide
from poolkit.layers.convolution import CONVOLUTIONS
from poolkit.reference import Cells

NORMS = ("mean", "sum", "none")


def _check_norm(norm: str) -> None:
    if norm not in NORMS:
        raise ArgumentError(f"norm must be 'mean', 'sum' or 'none', but got {norm!r}")


def _windows(
    rank: int, input: Tensor, kernel_size: Size, stride: Size | None, padding: Padding, ceil_mode: bool
) -> Windows:
    return geometry.sliding(rank, tuple(input.shape[-rank:]), kernel_size, stride, padding, 1, ceil_mode)


def _preserve(
    rank: int,
    input: Tensor,
    alpha: Tensor,
    lam: Tensor,
    guide: Tensor | None,
    windows: Windows,
    symmetric: bool,
    eps: float,
    norm: str,
) -> Tensor:
    """The mean of each window's cells, weighted by how far they lie from the guide."""
    cells = Cells(wide(input), windows)
    values, mask = cells.values, cells.mask
    centre = cells.average() if guide is None else guide.to(values.dtype)
    distance = values - centre.unsqueeze(-1)
    if not symmetric:
        distance = distance.relu()
    squares = (distance * distance + eps).masked_fill(~mask, 0)
    if norm != "none":
        total = squares.sum(-1, keepdim=True)
        squares = squares / (total / cells.count.unsqueeze(-1) if norm == "mean" else total)
    shape = (-1, *(1,) * (rank + 1))
    exponent = lam.to(values.dtype).exp().view(shape) / 2
    weights = alpha.to(values.dtype).exp().view(shape) + torch.where(mask, squares, 1).pow(exponent)
    weights = weights * mask
    return ((weights * values).sum(-1) / weights.sum(-1)).to(input.dtype)


_PRESERVING_DOC = """Means of windows that favour cells far from the window's own mean: details survive.

With I the window's mean, q = (x - I)^2 + eps and r = q / mean(q) over the window,
y = sum w x / sum w, where w = exp(alpha) + r^(exp(lam) / 2).

Args:
    input: (N, C, *spatial) or (C, *spatial).
    alpha, lam: (C,), one for each channel. Large alpha, or lam towards -inf, gives the average; large lam the cell that
        deviates most.
    kernel_size, stride, padding, ceil_mode: as for :func:`poolkit.functional.avg_pool{rank}d`; padding has no weight.
    symmetric: whether cells below the mean count as those above it; if not, their distance is 0.
    eps: keeps constant windows apart from 0 / 0.
    norm: what q is divided by: its 'mean' or 'sum' over the window, or 'none'.

Returns:
    (N, C, *output) or (C, *output).

dtypes: float32, float64, float16, bfloat16; half precision is computed in float32. Raises ArgumentError (a ValueError)
for a bad argument, TypeError for one of a wrong type, NotImplementedError for another dtype.
"""


def _lite(
    rank: int,
    input: Tensor,
    alpha: Tensor,
    lam: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    ceil_mode: bool,
    symmetric: bool,
    eps: float,
    norm: str,
) -> Tensor:
    name = f"detail_preserving_pool{rank}d"
    check_map(name, input, rank)
    check_floating(name, alpha=alpha, lam=lam)
    channels = input.shape[-rank - 1]
    for argument, parameter in (("alpha", alpha), ("lam", lam)):
        if parameter.shape != (channels,):
            raise ArgumentError(
                f"{name}(): {argument} must have the shape {[channels]}, but got {list(parameter.shape)}"
            )
    check_eps(eps)
    _check_norm(norm)
    windows = _windows(rank, input, kernel_size, stride, padding, ceil_mode)
    return _preserve(rank, input, alpha, lam, None, windows, symmetric, eps, norm)


def detail_preserving_pool1d(
    input: Tensor,
    alpha: Tensor,
    lam: Tensor,
    kernel_size: Size = 2,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    symmetric: bool = True,
    eps: float = 1e-3,
    norm: str = "mean",
) -> Tensor:
    return _lite(1, input, alpha, lam, kernel_size, stride, padding, ceil_mode, symmetric, eps, norm)


def detail_preserving_pool2d(
    input: Tensor,
    alpha: Tensor,
    lam: Tensor,
    kernel_size: Size = 2,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    symmetric: bool = True,
    eps: float = 1e-3,
    norm: str = "mean",
) -> Tensor:
    return _lite(2, input, alpha, lam, kernel_size, stride, padding, ceil_mode, symmetric, eps, norm)


def detail_preserving_pool3d(
    input: Tensor,
    alpha: Tensor,
    lam: Tensor,
    kernel_size: Size = 2,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    symmetric: bool = True,
    eps: float = 1e-3,
    norm: str = "mean",
) -> Tensor:
    return _lite(3, input, alpha, lam, kernel_size, stride, padding, ceil_mode, symmetric, eps, norm)


for _rank, _function in enumerate((detail_preserving_pool1d, detail_preserving_pool2d, detail_preserving_pool3d), 1):
    _function.__doc__ = _PRESERVING_DOC.format(rank=_rank)


class _DetailPreservingPool(Layer):
    """Detail-preserving pooling with learnt alpha and lambda for each channel.

    Args:
        channels: of the input.
        kernel_size, stride, padding: of the windows.
        mode: 'lite' compares cells with their window's mean; 'full' with a learnt 3x3 filter of each channel around
            the window's centre, which starts as a mean.
        symmetric: whether cells below count as those above; if not, their distance is 0.
        eps: keeps constant windows apart from 0 / 0.
        norm: what squared distances are divided by: their 'mean' or 'sum' over the window, or 'none'.

    forward takes (N, channels, *spatial), or without N, and gives (N, channels, *output). alpha and lam start at 0.
    """

    _shown = ("channels", "kernel_size", "stride", "padding", "mode", "symmetric", "eps", "norm")
    _rank: int

    def __init__(
        self,
        channels: int,
        kernel_size: Size = 2,
        stride: Size | None = None,
        padding: Padding = 0,
        mode: str = "lite",
        symmetric: bool = True,
        eps: float = 1e-3,
        norm: str = "mean",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        geometry.check_sliding(self._rank, kernel_size, stride, padding)
        check_eps(eps)
        _check_norm(norm)
        if mode not in ("lite", "full"):
            raise ArgumentError(f"mode must be 'lite' or 'full', but got {mode!r}")
        if not isinstance(symmetric, bool):
            raise TypeError(f"symmetric must be a bool, but got {symmetric!r}")
        self.channels = geometry.integer("channels", channels, positive=True)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.mode, self.symmetric, self.eps, self.norm = mode, symmetric, eps, norm
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.alpha = torch.nn.Parameter(torch.zeros(channels, **factory))
        self.lam = torch.nn.Parameter(torch.zeros(channels, **factory))
        self.guide: torch.nn.Module | None = None
        if mode == "full":
            self.guide = CONVOLUTIONS[self._rank](channels, channels, 3, groups=channels, **factory)
            torch.nn.init.constant_(self.guide.weight, 3.0**-self._rank)
            torch.nn.init.zeros_(self.guide.bias)  # type: ignore[arg-type]  # there is one

    def forward(self, input: Tensor) -> Tensor:
        rank = self._rank
        check_map(type(self).__name__, input, rank, self.channels)
        windows = _windows(rank, input, self.kernel_size, self.stride, self.padding, False)
        guide = None if self.guide is None else _filtered(rank, self.guide, input, windows)
        return _preserve(rank, input, self.alpha, self.lam, guide, windows, self.symmetric, self.eps, self.norm)


def _filtered(rank: int, guide: torch.nn.Module, input: Tensor, windows: Windows) -> Tensor:
    """The filter of 3 cells an axis around the centre of each window; zeros beyond the input."""
    pads: list[int] = []
    for axis in windows.axes:
        low = axis.pad_low + 1 - (axis.kernel - 1) // 2
        pads = [low, (axis.out - 1) * axis.stride + 3 - axis.size - low, *pads]
    padded = torch.nn.functional.pad(input, pads)
    batched = input.dim() == rank + 2
    strides = tuple(axis.stride for axis in windows.axes)
    convolve = (torch.nn.functional.conv1d, torch.nn.functional.conv2d, torch.nn.functional.conv3d)[rank - 1]
    weight, bias = guide.weight, guide.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    result = convolve(padded if batched else padded[None], weight, bias, strides, groups=weight.shape[0])
    return result if batched else result[0]


class DetailPreservingPool1d(_DetailPreservingPool):
    __doc__ = _DetailPreservingPool.__doc__
    _rank = 1


class DetailPreservingPool2d(_DetailPreservingPool):
    __doc__ = _DetailPreservingPool.__doc__
    _rank = 2


class DetailPreservingPool3d(_DetailPreservingPool):
    __doc__ = _DetailPreservingPool.__doc__
    _rank = 3
