"""Local importance pooling: means of windows, weighted by learnt logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from poolkit import geometry, ops
from poolkit.errors import ArgumentError
from poolkit.geometry import Padding, Size
from poolkit.layers.base import Layer, check_floating, check_map
from poolkit.layers.convolution import CONVOLUTIONS
from poolkit.methods.method import is_finite

_NORMALISATIONS = {1: torch.nn.InstanceNorm1d, 2: torch.nn.InstanceNorm2d, 3: torch.nn.InstanceNorm3d}


def _importance(
    rank: int,
    input: Tensor,
    logits: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    dilation: Size,
    ceil_mode: bool,
) -> Tensor:
    name = f"local_importance_pool{rank}d"
    check_map(name, input, rank)
    check_floating(name, logits=logits)
    if logits.shape != input.shape:
        raise ArgumentError(
            f"{name}(): logits must have the input's shape {list(input.shape)}, but got {list(logits.shape)}"
        )
    size = tuple(input.shape[-rank:])
    windows = ops.sliding(rank, size, kernel_size, stride, padding, dilation, ceil_mode)
    return ops.pool_by_logits(input, logits, windows)


_IMPORTANCE_DOC = """The mean of each window, weighted by the exponentials of logits: y = sum exp(t) x / sum exp(t).

Args:
    input: (N, C, *spatial) or (C, *spatial).
    logits: of the input's shape, one for each cell and channel; learnt, as by :class:`poolkit.nn.SimplifiedLogit2d`.
    kernel_size, stride, padding, dilation, ceil_mode: as for :func:`poolkit.functional.avg_pool{rank}d`; padding has no
        weight.

Returns:
    (N, C, *output) or (C, *output). Logits are taken relative to the window's largest: none overflows. Where the
    largest is infinite, only cells whose logit equals it weigh.

dtypes: float32, float64, float16, bfloat16; half precision is computed in float32. Raises ArgumentError (a ValueError)
for a bad argument, TypeError for one of a wrong type, NotImplementedError for another dtype.
"""


def local_importance_pool1d(
    input: Tensor,
    logits: Tensor,
    kernel_size: Size = 3,
    stride: Size | None = 2,
    padding: Padding = 1,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    return _importance(1, input, logits, kernel_size, stride, padding, dilation, ceil_mode)


def local_importance_pool2d(
    input: Tensor,
    logits: Tensor,
    kernel_size: Size = 3,
    stride: Size | None = 2,
    padding: Padding = 1,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    return _importance(2, input, logits, kernel_size, stride, padding, dilation, ceil_mode)


def local_importance_pool3d(
    input: Tensor,
    logits: Tensor,
    kernel_size: Size = 3,
    stride: Size | None = 2,
    padding: Padding = 1,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    return _importance(3, input, logits, kernel_size, stride, padding, dilation, ceil_mode)


for _rank, _function in enumerate((local_importance_pool1d, local_importance_pool2d, local_importance_pool3d), 1):
    _function.__doc__ = _IMPORTANCE_DOC.format(rank=_rank)


def _normalisation(rank: int, channels: int, **factory: Any) -> torch.nn.Module:
    return _NORMALISATIONS[rank](channels, affine=True, **factory)


def _bounded(module: torch.nn.Module, x: Tensor, rank: int, scale: float) -> Tensor:
    """The module's map, squeezed into (0, scale); instance normalisation needs a batch that is not empty."""
    if x.numel() == 0:
        return x
    batched = x.dim() == rank + 2
    logits: Tensor = scale * torch.sigmoid(module(x if batched else x[None]))
    return logits if batched else logits[0]


class _SimplifiedLogit(Layer):
    """The paper's plain logit network: a 3x3 convolution, instance normalisation, `scale` times a sigmoid.

    Args:
        channels: of the input, and of the logits.
        scale: logits lie between 0 and this; 12 in the paper.

    forward takes (N, channels, *spatial), or without N, and gives logits of the same shape. The convolution starts at
    0, so that pooling starts as the average.
    """

    _shown = ("channels", "scale")
    _rank: int

    def __init__(
        self,
        channels: int,
        scale: float = 12.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channels = geometry.integer("channels", channels, positive=True)
        self.scale = _checked_scale(scale)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        convolution = CONVOLUTIONS[self._rank](channels, channels, 3, padding=1, bias=False, **factory)
        torch.nn.init.zeros_(convolution.weight)
        self.net = torch.nn.Sequential(convolution, _normalisation(self._rank, channels, **factory))

    def forward(self, input: Tensor) -> Tensor:
        check_map(type(self).__name__, input, self._rank, self.channels)
        return _bounded(self.net, input, self._rank, self.scale)


class _BottleneckLogit(Layer):
    """The paper's deeper logit network: 1x1, 3x3 and 1x1 convolutions, each normalised, `scale` times a sigmoid.

    Args:
        channels: of the input, and of the logits.
        hidden: channels in between; 128 in the paper.
        scale: logits lie between 0 and this; 12 in the paper.

    forward takes (N, channels, *spatial), or without N, and gives logits of the same shape. The last convolution starts
    at 0, so that pooling starts as the average.
    """

    _shown = ("channels", "hidden", "scale")
    _rank: int

    def __init__(
        self,
        channels: int,
        hidden: int = 128,
        scale: float = 12.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channels = geometry.integer("channels", channels, positive=True)
        self.hidden = geometry.integer("hidden", hidden, positive=True)
        self.scale = _checked_scale(scale)
        factory: dict[str, Any] = {"bias": False, "device": device, "dtype": dtype}
        rank, convolution = self._rank, CONVOLUTIONS[self._rank]
        last = convolution(hidden, channels, 1, **factory)
        torch.nn.init.zeros_(last.weight)
        self.net = torch.nn.Sequential(
            convolution(channels, hidden, 1, **factory),
            _normalisation(rank, hidden, device=device, dtype=dtype),
            torch.nn.ReLU(),
            convolution(hidden, hidden, 3, padding=1, **factory),
            _normalisation(rank, hidden, device=device, dtype=dtype),
            torch.nn.ReLU(),
            last,
            _normalisation(rank, channels, device=device, dtype=dtype),
        )

    def forward(self, input: Tensor) -> Tensor:
        check_map(type(self).__name__, input, self._rank, self.channels)
        return _bounded(self.net, input, self._rank, self.scale)


def _checked_scale(scale: float) -> float:
    if isinstance(scale, bool) or not isinstance(scale, int | float):
        raise TypeError(f"scale must be a number, but got {scale!r} ({type(scale).__name__})")
    if not (scale > 0 and is_finite(scale)):
        raise ArgumentError(f"scale must be a finite number > 0, but got {scale!r}")
    return float(scale)


class SimplifiedLogit1d(_SimplifiedLogit):
    __doc__ = _SimplifiedLogit.__doc__
    _rank = 1


class SimplifiedLogit2d(_SimplifiedLogit):
    __doc__ = _SimplifiedLogit.__doc__
    _rank = 2


class SimplifiedLogit3d(_SimplifiedLogit):
    __doc__ = _SimplifiedLogit.__doc__
    _rank = 3


class BottleneckLogit1d(_BottleneckLogit):
    __doc__ = _BottleneckLogit.__doc__
    _rank = 1


class BottleneckLogit2d(_BottleneckLogit):
    __doc__ = _BottleneckLogit.__doc__
    _rank = 2


class BottleneckLogit3d(_BottleneckLogit):
    __doc__ = _BottleneckLogit.__doc__
    _rank = 3


_SIMPLIFIED = {1: SimplifiedLogit1d, 2: SimplifiedLogit2d, 3: SimplifiedLogit3d}
_BOTTLENECK = {1: BottleneckLogit1d, 2: BottleneckLogit2d, 3: BottleneckLogit3d}


class _LocalImportancePool(Layer):
    """Local importance pooling with a learnt logit network.

    Args:
        channels: of the input.
        kernel_size, stride, padding: of the windows; 3, 2 and 1 in the paper.
        logit: 'simplified', 'bottleneck', or a module that maps the input to logits of its shape.

    forward takes (N, channels, *spatial), or without N, and gives (N, channels, *output).
    """

    _shown = ("channels", "kernel_size", "stride", "padding", "network")
    _rank: int

    def __init__(
        self,
        channels: int,
        kernel_size: Size = 3,
        stride: Size | None = 2,
        padding: Padding = 1,
        logit: str | torch.nn.Module = "simplified",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        geometry.check_sliding(self._rank, kernel_size, stride, padding)
        self.channels = geometry.integer("channels", channels, positive=True)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.network = logit if isinstance(logit, str) else type(logit).__name__
        if isinstance(logit, torch.nn.Module):
            self.logit = logit
        elif logit in ("simplified", "bottleneck"):
            simple = logit == "simplified"
            network = _SIMPLIFIED[self._rank] if simple else _BOTTLENECK[self._rank]
            self.logit = network(channels, device=device, dtype=dtype)
        else:
            raise ArgumentError(f"logit must be 'simplified', 'bottleneck' or a module, but got {logit!r}")

    def forward(self, input: Tensor) -> Tensor:
        check_map(type(self).__name__, input, self._rank, self.channels)
        return _importance(self._rank, input, self.logit(input), self.kernel_size, self.stride, self.padding, 1, False)


class LocalImportancePool1d(_LocalImportancePool):
    __doc__ = _LocalImportancePool.__doc__
    _rank = 1


class LocalImportancePool2d(_LocalImportancePool):
    __doc__ = _LocalImportancePool.__doc__
    _rank = 2


class LocalImportancePool3d(_LocalImportancePool):
    __doc__ = _LocalImportancePool.__doc__
    _rank = 3
