"""Detail-preserving pooling: means of windows that favour cells far from the window's mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from poolkit import geometry, ops, reference
from poolkit.errors import ArgumentError
from poolkit.geometry import Padding, Size, Windows
from poolkit.layers import blocks
from poolkit.layers.base import Layer, check_eps, check_floating, check_map, wide, wide_dtype
from poolkit.layers.blocks import Block, Part
from poolkit.layers.convolution import CONVOLUTIONS, filtered
from poolkit.reference import Cells

NORMS = ("mean", "sum", "none")


def _check_norm(norm: str) -> None:
    if norm not in NORMS:
        raise ArgumentError(f"norm must be 'mean', 'sum' or 'none', but got {norm!r}")


def _windows(
    rank: int, input: Tensor, kernel_size: Size, stride: Size | None, padding: Padding, ceil_mode: bool
) -> Windows:
    return ops.sliding(rank, tuple(input.shape[-rank:]), kernel_size, stride, padding, 1, ceil_mode)


class _Settings(NamedTuple):
    symmetric: bool
    eps: float
    norm: str


class _Weighed(NamedTuple):
    """A number for each cell, and, of the squares, for each window."""

    distance: Tensor
    squares: Tensor
    total: Tensor
    logarithm: Tensor
    powers: Tensor
    weights: Tensor


def _weigh(cells: Cells, floor: Tensor, exponent: Tensor, guide: Tensor | None, settings: _Settings) -> _Weighed:
    """How much each cell counts, by how far it lies from the guide or the window's mean."""
    centre = cells.average() if guide is None else guide.to(cells.values.dtype)
    distance = cells.values - centre.unsqueeze(-1)
    if not settings.symmetric:
        distance = distance.relu()
    squares = ratio = cells.inside(torch.addcmul(distance.new_full((), settings.eps), distance, distance))
    total = squares.sum(-1, keepdim=True)
    if settings.norm != "none":
        ratio = squares / (total / cells.count.unsqueeze(-1) if settings.norm == "mean" else total)
    # Where the divisor is so large that nothing is left of a ratio, its logarithm stays finite.
    logarithm = cells.inside(ratio, 1).clamp(min=torch.finfo(ratio.dtype).tiny).log()
    powers = (logarithm * exponent).exp()
    return _Weighed(distance, squares, total, logarithm, powers, cells.inside(floor + powers))


def _scales(values: Tensor, alpha: Tensor, lam: Tensor) -> tuple[Tensor, Tensor]:
    """The least weight and the exponent, beside the cells of (N, C, *spatial) windows."""
    shape = (-1, *(1,) * (values.dim() - 2))
    return alpha.to(values.dtype).exp().view(shape), lam.to(values.dtype).exp().view(shape) / 2


def _mean(cells: Cells, alpha: Tensor, lam: Tensor, guide: Tensor | None, settings: _Settings) -> Tensor:
    weights = _weigh(cells, *_scales(cells.values, alpha, lam), guide, settings).weights
    return (weights * cells.values).sum(-1) / weights.sum(-1)


def _forward(
    x: Tensor,
    alpha: Tensor,
    lam: Tensor,
    guide: Tensor | None,
    packed: Sequence[int],
    symmetric: bool,
    eps: float,
    norm: str,
) -> Tensor:
    settings = _Settings(symmetric, eps, norm)

    def formula(block: Block, part: Part) -> Tensor:
        return _mean(block, alpha[part[1]], lam[part[1]], None if guide is None else guide[part], settings)

    return blocks.pool(x, geometry.unpack(packed), formula)


def _backward(
    grad: Tensor,
    x: Tensor,
    alpha: Tensor,
    lam: Tensor,
    guide: Tensor | None,
    packed: Sequence[int],
    symmetric: bool,
    eps: float,
    norm: str,
) -> list[Tensor]:
    """The gradients of x, alpha, lam, and, where there is one, the guide."""
    settings = _Settings(symmetric, eps, norm)
    grad_alpha, grad_lam = (
        torch.zeros_like(alpha, dtype=wide_dtype(x.dtype)),
        torch.zeros_like(lam, dtype=wide_dtype(x.dtype)),
    )
    grad_guide = None if guide is None else torch.empty_like(guide)

    def gradient(block: Block, part: Part) -> Tensor:
        channels, values = part[1], block.values
        floor, exponent = _scales(values, alpha[channels], lam[channels])
        w = _weigh(block, floor, exponent, None if guide is None else guide[part], settings)
        total = w.weights.sum(-1, keepdim=True)
        share = grad[part].unsqueeze(-1) / total
        y = (w.weights * values).sum(-1, keepdim=True) / total
        of_weights = block.inside((values - y) * share)
        of_powers = of_weights * w.powers
        others = tuple(i for i in range(values.dim()) if i != 1)
        grad_alpha[channels] += of_weights.sum(others) * floor.flatten()
        grad_lam[channels] += (of_powers * w.logarithm).sum(others) * exponent.flatten()
        of_squares = of_powers / w.squares
        if settings.norm != "none":
            of_squares -= of_powers.sum(-1, keepdim=True) / w.total
        of_distance = block.inside(w.distance * of_squares * (2 * exponent))
        of_centre = of_distance.sum(-1)
        result = torch.addcmul(of_distance, w.weights, share)
        if grad_guide is None:
            return result - (of_centre / block.count).unsqueeze(-1)
        grad_guide[part] = -of_centre
        return result

    grad_x = blocks.pull(x, geometry.unpack(packed), gradient)
    grads = [grad_x, grad_alpha.to(alpha.dtype), grad_lam.to(lam.dtype)]
    return grads if grad_guide is None else [*grads, grad_guide]


_pool = torch.library.custom_op("poolkit::detail_preserving_pool", _forward, mutates_args=())
_pool_backward = torch.library.custom_op("poolkit::detail_preserving_pool_backward", _backward, mutates_args=())


@_pool.register_fake
def _(x: Tensor, alpha: Tensor, lam: Tensor, guide: Tensor | None, packed: Sequence[int], *settings: Any) -> Tensor:
    return blocks.like_output(x, packed)


@_pool_backward.register_fake
def _(grad: Tensor, *tensors: Any) -> list[Tensor]:
    return [torch.empty_like(tensor) for tensor in tensors[:4] if tensor is not None]


class _Pool(torch.autograd.Function):
    """Keeps its inputs, which backward reads again."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, alpha: Tensor, lam: Tensor, guide: Tensor | None, windows: Windows, settings: _Settings
    ) -> Tensor:
        ctx.save_for_backward(x, alpha, lam, guide)
        ctx.windows, ctx.settings = windows, settings
        return _pool(x, alpha, lam, guide, geometry.pack(windows, 0, 0), *settings)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        [grad] = grads
        tensors, windows, settings = ctx.saved_tensors, ctx.windows, ctx.settings
        if torch.is_grad_enabled():
            results = reference.differentiated(_gathered, tensors, grad, windows, settings)
        else:
            results = _pool_backward(grad, *tensors, geometry.pack(windows, 0, 0), *settings)
            results = [*results, None][:4]
        return *results, None, None


def _gathered(
    x: Tensor, alpha: Tensor, lam: Tensor, guide: Tensor | None, windows: Windows, settings: _Settings
) -> Tensor:
    """The same by operations that torch can take apart."""
    return _mean(Cells(wide(x), windows), alpha, lam, guide, settings).to(x.dtype)


def _preserve(
    input: Tensor,
    alpha: Tensor,
    lam: Tensor,
    guide: Tensor | None,
    windows: Windows,
    settings: _Settings,
) -> Tensor:
    """The mean of each window's cells, weighted by how far they lie from the guide."""
    batched = input.dim() == windows.rank + 2
    if not batched:
        guide = None if guide is None else guide.unsqueeze(0)
    call = _gathered if ops.why_formula(input) else _Pool.apply
    y = call(input if batched else input.unsqueeze(0), alpha, lam, guide, windows, settings)
    return y if batched else y.squeeze(0)


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
    return _preserve(input, alpha, lam, None, windows, _Settings(symmetric, eps, norm))


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
        guide = None if self.guide is None else _guided(self.guide, input, windows)
        settings = _Settings(self.symmetric, self.eps, self.norm)
        return _preserve(input, self.alpha, self.lam, guide, windows, settings)


def _guided(guide: torch.nn.Module, input: Tensor, windows: Windows) -> Tensor:
    """The filter of 3 cells an axis around the centre of each window; zeros beyond the input."""
    lows = (axis.pad_low + 1 - (axis.kernel - 1) // 2 for axis in windows.axes)
    around = [axis._replace(kernel=3, pad_low=low) for axis, low in zip(windows.axes, lows, strict=True)]
    weight, bias = guide.weight, guide.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    return filtered(input, weight.squeeze(1), bias, Windows(tuple(around)))


class DetailPreservingPool1d(_DetailPreservingPool):
    __doc__ = _DetailPreservingPool.__doc__
    _rank = 1


class DetailPreservingPool2d(_DetailPreservingPool):
    __doc__ = _DetailPreservingPool.__doc__
    _rank = 2


class DetailPreservingPool3d(_DetailPreservingPool):
    __doc__ = _DetailPreservingPool.__doc__
    _rank = 3
