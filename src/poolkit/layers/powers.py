"""Lp, power-average and generalised-mean pooling with a learnt exponent.

With a fixed one :class:`poolkit.nn.LPPool2d`, :class:`poolkit.nn.PowerAvgPool2d` and :class:`poolkit.nn.GeMPool2d` do
the same in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from poolkit import geometry, ops, reference
from poolkit.errors import ArgumentError
from poolkit.geometry import Padding, Size, Windows
from poolkit.layers import blocks
from poolkit.layers.base import Layer, check_eps, check_map, check_windows, wide, wide_dtype
from poolkit.layers.blocks import Block, Part
from poolkit.methods.method import is_finite
from poolkit.reference import Cells


def _exponents(p: Tensor, part: Part, values: Tensor) -> Tensor:
    """The exponents of these channels, which may share one, beside the cells of (N, C, *spatial) windows."""
    channels = p if p.numel() == 1 else p[part[1]]
    return channels.to(values.dtype).view(-1, *(1,) * (values.dim() - 2))


class _Powers(NamedTuple):
    """A number for each cell, and, from `largest` on, for each window."""

    relative: Tensor
    logarithm: Tensor
    powers: Tensor
    largest: Tensor
    settled: Tensor
    total: Tensor
    spread: Tensor
    root: Tensor


def _powers(block: Block, exponent: Tensor, mean: bool) -> _Powers:
    """The powers of the magnitudes relative to the window's largest, their sum or mean, and its root."""
    values = block.values
    largest = torch.maximum(values.amax(-1, keepdim=True), -values.amin(-1, keepdim=True))
    # Windows of zeros, or with an infinity or NaN, are their largest magnitude, whatever the exponent.
    settled = (largest == 0) | ~largest.isfinite()
    relative = values / torch.where(settled, 1, largest)
    logarithm = relative.abs().log_()
    powers = (logarithm * exponent).exp_()
    total = powers.sum(-1, keepdim=True).masked_fill_(settled, 1)
    spread = total / block.count.unsqueeze(-1) if mean else total
    return _Powers(relative, logarithm, powers, largest, settled, total, spread, spread.pow(1 / exponent))


def _forward(x: Tensor, p: Tensor, packed: Sequence[int], mean: bool) -> Tensor:
    def formula(block: Block, part: Part) -> Tensor:
        w = _powers(block, _exponents(p, part, block.values), mean)
        return torch.where(w.settled, w.largest, w.root * w.largest).squeeze(-1)

    return blocks.pool(x, geometry.unpack(packed), formula)


def _backward(grad: Tensor, x: Tensor, p: Tensor, packed: Sequence[int], mean: bool) -> list[Tensor]:
    """The gradients of x and p."""
    grad_p = torch.zeros(x.shape[1], dtype=wide_dtype(x.dtype), device=x.device)

    def gradient(block: Block, part: Part) -> Tensor:
        exponent = _exponents(p, part, block.values)
        w = _powers(block, exponent, mean)
        g = grad[part].unsqueeze(-1)
        share = g * w.root / w.total
        # The logarithm of 0 meets the power 0.
        entropy = w.logarithm.clamp_(min=torch.finfo(g.dtype).min).mul_(w.powers).sum(-1, keepdim=True)
        of_exponent = share * w.largest * (entropy - w.total * w.spread.log() / exponent) / exponent
        grad_p[part[1]] += of_exponent.masked_fill_(w.settled, 0).sum((0, *range(2, g.dim())))
        result = (w.powers / w.relative).mul_(share).masked_fill_(block.values == 0, 0)
        if w.settled.any():
            top = (block.values.abs() == w.largest).to(g.dtype)
            limit = g * block.values.sign() * (top / top.sum(-1, keepdim=True))
            result = torch.where(w.settled, limit, result)
        return result

    grad_x = blocks.pull(x, geometry.unpack(packed), gradient)
    return [grad_x, grad_p.sum_to_size(p.shape).to(p.dtype)]


_pool = torch.library.custom_op("poolkit::learnt_power_pool", _forward, mutates_args=())
_pool_backward = torch.library.custom_op("poolkit::learnt_power_pool_backward", _backward, mutates_args=())


@_pool.register_fake
def _(x: Tensor, p: Tensor, packed: Sequence[int], mean: bool) -> Tensor:
    return blocks.like_output(x, packed)


@_pool_backward.register_fake
def _(grad: Tensor, x: Tensor, p: Tensor, packed: Sequence[int], mean: bool) -> list[Tensor]:
    return [torch.empty_like(x), torch.empty_like(p)]


class _Pool(torch.autograd.Function):
    """Keeps its inputs, which backward reads again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: Tensor, windows: Windows, mean: bool) -> Tensor:
        ctx.save_for_backward(x, p)
        ctx.windows, ctx.mean = windows, mean
        return _pool(x, p, geometry.pack(windows, 0, 0), mean)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        [grad] = grads
        tensors, windows, mean = ctx.saved_tensors, ctx.windows, ctx.mean
        if torch.is_grad_enabled():
            results = reference.differentiated(_gathered, tensors, grad, windows, mean)
        else:
            results = _pool_backward(grad, *tensors, geometry.pack(windows, 0, 0), mean)
        return *results, None, None


def _gathered(x: Tensor, p: Tensor, windows: Windows, mean: bool) -> Tensor:
    """The same by operations that torch can take apart."""
    cells = Cells(wide(x), windows)
    return cells.norm(_exponents(p, (slice(None),) * 2, cells.values), mean).to(x.dtype)


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

    _shown: tuple[str, ...] = ("kernel_size", "stride", "padding", "ceil_mode", "initial_norm_type", "channels")
    _rank: int
    _mean: bool
    _exponent = "norm_type"  # as the constructor calls it

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
        self._set_up(kernel_size, stride, padding, ceil_mode, norm_type, channels, device, dtype)

    def _set_up(
        self,
        kernel_size: Size | None,
        stride: Size | None,
        padding: Padding,
        ceil_mode: bool,
        norm_type: float,
        channels: int | None,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        if isinstance(norm_type, bool) or not isinstance(norm_type, int | float):
            raise TypeError(f"{self._exponent} must be a number, but got {norm_type!r} ({type(norm_type).__name__})")
        if not (norm_type > 0 and is_finite(norm_type)):
            raise ArgumentError(f"{self._exponent} must be a finite number > 0, but got {norm_type!r}")
        self.kernel_size, self.stride, self.padding, self.ceil_mode = kernel_size, stride, padding, ceil_mode
        self.channels = None if channels is None else geometry.integer("channels", channels, positive=True)
        self.initial_norm_type = norm_type
        start = torch.full((self.channels or 1,), math.log(norm_type), device=device, dtype=dtype)
        self.log_norm_type = torch.nn.Parameter(start)

    @property
    def norm_type(self) -> Tensor:
        return self.log_norm_type.exp()

    def _windows(self, size: tuple[int, ...]) -> Windows:
        assert self.kernel_size is not None
        return ops.sliding(self._rank, size, self.kernel_size, self.stride, self.padding, 1, self.ceil_mode)

    def forward(self, input: Tensor) -> Tensor:
        rank = self._rank
        check_map(type(self).__name__, input, rank, self.channels)
        windows = self._windows(tuple(input.shape[-rank:]))
        batched = input.dim() == rank + 2
        x = input if batched else input.unsqueeze(0)
        call = _gathered if ops.why_formula(input) else _Pool.apply
        y = call(x, self.norm_type, windows, self._mean)
        return y if batched else y.squeeze(0)


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


class _LearntGeM(_LearntPower):
    """Generalised-mean pooling (GeM) whose exponent is learnt: y = (mean over windows of max(x, eps)^p)^(1/p).

    Args:
        kernel_size, stride, padding, ceil_mode: of the windows; padding takes no part. Without a kernel_size the whole
            map is one window, and the output has one cell.
        p: the exponent to start from, > 0.
        eps: what smaller cells count as, > 0; they have no gradient.
        channels: how many exponents there are, one for each channel; None shares one.

    The parameter is log_norm_type, the logarithm of the exponent, which so stays positive; norm_type gives the
    exponent. forward takes (N, C, *spatial) or (C, *spatial) and gives the same with the output's size.

    dtypes: float32, float64, float16, bfloat16; half precision is computed in float32. Raises ArgumentError (a
    ValueError) for a bad argument, TypeError for one of a wrong type, NotImplementedError for another dtype.
    """

    _shown = ("kernel_size", "stride", "padding", "ceil_mode", "initial_norm_type", "eps", "channels")
    _mean = True
    _exponent = "p"

    def __init__(
        self,
        kernel_size: Size | None = None,
        stride: Size | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        p: float = 3.0,
        eps: float = 1e-6,
        channels: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        torch.nn.Module.__init__(self)
        check_eps(eps)
        check_windows(self._rank, kernel_size, stride, padding, ceil_mode)
        self._set_up(kernel_size, stride, padding, ceil_mode, p, channels, device, dtype)
        self.eps = eps

    def _windows(self, size: tuple[int, ...]) -> Windows:
        if self.kernel_size is None:
            return geometry.adaptive(self._rank, size, 1)
        return super()._windows(size)

    def forward(self, input: Tensor) -> Tensor:
        check_map(type(self).__name__, input, self._rank, self.channels)
        return super().forward(input.clamp(min=self.eps))


class LearntGeMPool1d(_LearntGeM):
    _rank = 1


class LearntGeMPool2d(_LearntGeM):
    _rank = 2


class LearntGeMPool3d(_LearntGeM):
    _rank = 3


for _layer in (LearntLPPool1d, LearntLPPool2d, LearntLPPool3d):
    _layer.__doc__ = (_LearntPower.__doc__ or "").format(title="Lp", formula="(sum over windows of |x|^p)^(1/p)")
for _other in (LearntPowerAvgPool1d, LearntPowerAvgPool2d, LearntPowerAvgPool3d):
    _other.__doc__ = (_LearntPower.__doc__ or "").format(
        title="Power-average", formula="(mean over windows of |x|^p)^(1/p)"
    )
for _last in (LearntGeMPool1d, LearntGeMPool2d, LearntGeMPool3d):
    _last.__doc__ = _LearntGeM.__doc__
