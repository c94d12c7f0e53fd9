"""Blur pooling: maps are smoothed before they are sampled, so that a shifted input gives nearly the same output."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from poolkit import functional, geometry, layout, ops
from poolkit.errors import ArgumentError
from poolkit.geometry import Axis, Padding, Size, Windows
from poolkit.layers.base import Layer, check_map, wide

if ops.HAS_KERNELS:
    _filter = torch.ops.poolkit.filter.default
    _max_filter = torch.ops.poolkit.max_filter.default
    _max_filter_backward = torch.ops.poolkit.max_filter_backward.default

#: Which cell of an axis stands at a position beyond its ends, None for none; the kernel knows them by their places.
_BEYOND: dict[str, Callable[[int, int], int | None]] = {
    "zeros": lambda position, size: None,
    "reflect": lambda position, size: -position if position < 0 else 2 * (size - 1) - position,
    "replicate": lambda position, size: 0 if position < 0 else size - 1,
    "circular": lambda position, size: position % size,
}
PADDING_MODES = tuple(_BEYOND)

#: How many cells are put before and behind an axis, for a filter size and a stride.
_SIZES: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "adobe": lambda filter_size, stride: ((filter_size - 1) // 2, filter_size // 2),
    "timm": lambda filter_size, stride: ((stride + filter_size - 2) // 2,) * 2,
    "kornia": lambda filter_size, stride: ((filter_size - 1) // 2,) * 2,
}
SIZES = tuple(_SIZES)


class _Sampled(NamedTuple):
    """Along one axis, tap t of output o is at o * stride - low + t."""

    size: int
    out: int
    filter_size: int
    stride: int
    low: int
    high: int
    beyond: str

    @property
    def weights(self) -> list[float]:
        taps = self.filter_size - 1
        return [math.comb(taps, tap) / 2**taps for tap in range(self.filter_size)]


def _sampled(size: int, filter_size: int, stride: int, padding_mode: str, sizes: str) -> _Sampled:
    low, high = _SIZES[sizes](filter_size, stride)
    out = (size + low + high - filter_size) // stride + 1
    if out < 1:
        raise ArgumentError(
            f"input must have at least {filter_size - low - high} cells on every axis for filter_size={filter_size} "
            f"and sizes={sizes!r}, but has {size}"
        )
    if padding_mode == "reflect" and size <= max(low, high):
        padding_mode = "replicate"
    return _Sampled(size, out, filter_size, stride, low, high, padding_mode)


_Formula = Callable[[Tensor], Tensor]


class _Filter(torch.autograd.Function):
    """Keeps nothing: the gradient of a linear map is its adjoint, and that of the adjoint the map."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, axes: list[int], weights: list[float], adjoint: bool, channels_last: bool
    ) -> Tensor:
        ctx.settings = axes, weights, not adjoint, channels_last
        return cast(Tensor, _filter(x, axes, weights, adjoint, channels_last))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        run = _Filter.apply if torch.is_grad_enabled() else _filter
        return run(grads[0], *ctx.settings), None, None, None, None


class _MaxFilter(torch.autograd.Function):
    """Keeps the map: the gradient finds the cells that won again."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, windows: list[int], axes: list[int], weights: list[float], last: bool, again: _Formula
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.settings, ctx.again = (windows, axes, weights, last), again
        return cast(Tensor, _max_filter(x, windows, axes, weights, last))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            (grad,) = torch.autograd.grad(ctx.again(x), x, grads[0], create_graph=True)
        else:
            grad = _max_filter_backward(grads[0], x, *ctx.settings)
        return grad, None, None, None, None, None


def _packed(axes: list[_Sampled]) -> tuple[list[int], list[float]]:
    """As the operators take them: the numbers of all axes in one row, and the weights."""
    places = {mode: place for place, mode in enumerate(PADDING_MODES)}
    numbers = [number for a in axes for number in (a.size, a.out, a.filter_size, a.stride, a.low, places[a.beyond])]
    return numbers, [weight for axis in axes for weight in axis.weights]


def _filtered(x: Tensor, axes: list[_Sampled]) -> Tensor:
    """By the kernel."""
    run = _Filter.apply if x.requires_grad and torch.is_grad_enabled() else _filter
    return cast(Tensor, run(x, *_packed(axes), False, layout.is_channels_last(x, len(axes))))


def _max_filtered(x: Tensor, windows: Windows, axes: list[_Sampled], again: _Formula) -> Tensor:
    """By the kernel, which never holds the map of the maxima; `again` does the same by operators of their own."""
    numbers = [number for axis in windows.axes for number in (axis.kernel, axis.pad_low)]
    settings = (numbers, *_packed(axes), layout.is_channels_last(x, len(axes)))
    if x.requires_grad and torch.is_grad_enabled():
        return cast(Tensor, _MaxFilter.apply(x, *settings, again))
    return cast(Tensor, _max_filter(x, *settings))


# --- Where no kernel runs.


class _Term(NamedTuple):
    """These outputs get a share of these cells."""

    outputs: slice | int
    cells: slice | int
    weight: float


def _terms(axis: _Sampled) -> list[_Term]:
    size, out, filter_size, stride, low, high, _ = axis
    weights = axis.weights
    terms = [
        _Term(reach.outputs, reach.cells, weights[reach.tap])
        for reach in Axis(size, out, filter_size, stride, 1, low, high).reaches(0, out)
    ]
    first_cut = (size - filter_size + low) // stride + 1  # the first output whose filter ends behind the axis
    for output in sorted({*range(min(out, -(-low // stride))), *range(max(0, first_cut), out)}):
        for tap, weight in enumerate(weights):
            position = output * stride - low + tap
            if 0 <= position < size:
                continue
            cell = _BEYOND[axis.beyond](position, size)
            if cell is not None:
                terms.append(_Term(output, cell, weight))
    return terms


def cut(x: Tensor, dim: int, places: slice | int) -> Tensor:
    """These places of a dimension counted from the last."""
    return x[(..., places, *(slice(None),) * (-dim - 1))]


def _formula(x: Tensor, axes: list[_Sampled]) -> Tensor:
    """One axis after the other, each at the size of its output."""
    for dim, axis in enumerate(axes, -len(axes)):
        sizes = [*x.shape]
        sizes[dim] = axis.out
        y = torch.zeros_like(x.narrow(dim, 0, 1).expand(sizes))
        for outputs, cells, weight in _terms(axis):
            cut(y, dim, outputs).add_(cut(x, dim, cells), alpha=weight)
        x = y
    return x


def extended(x: Tensor, dim: int, low: int, high: int, padding_mode: str) -> Tensor:
    """The map with so many cells before and behind a dimension counted from the last, a negative number of them cut."""
    size = x.shape[dim]
    if padding_mode == "zeros":
        return torch.nn.functional.pad(x, (*(0, 0) * (-dim - 1), low, high))
    position = torch.arange(-low, size + high, device=x.device)
    if padding_mode == "reflect":
        position = size - 1 - (size - 1 - position.abs()).abs()
    else:
        position = position % size if padding_mode == "circular" else position.clamp(0, size - 1)
    return x.index_select(dim, position)


class _Settings(NamedTuple):
    """The filter's size and the stride, one an axis; what stands beyond the map, and how much of it."""

    filter_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding_mode: str
    sizes: str


def _checked(rank: int, filter_size: Size, stride: Size, padding_mode: str, sizes: str) -> _Settings:
    filters, strides = geometry.per_axis("filter_size", filter_size, rank), geometry.per_axis("stride", stride, rank)
    for name, value, allowed in (("padding_mode", padding_mode, PADDING_MODES), ("sizes", sizes, SIZES)):
        if value not in allowed:
            raise ArgumentError(f"{name} must be one of {', '.join(map(repr, allowed))}, but got {value!r}")
    return _Settings(filters, strides, padding_mode, sizes)


def _axes(size: Sequence[int], settings: _Settings) -> list[_Sampled]:
    filters, strides, padding_mode, sizes = settings
    return [_sampled(*axis, padding_mode, sizes) for axis in zip(size, filters, strides, strict=True)]


def _blurred(x: Tensor, settings: _Settings) -> Tensor:
    """The map in its own type; half precision is computed in float32."""
    axes = _axes(x.shape[-len(settings.stride) :], settings)
    if ops.why_no_kernel(x, "filter") is None:
        return _filtered(x, axes)
    return _formula(wide(x), axes).to(x.dtype)


def _max_blurred(x: Tensor, kernel_size: Size, padding: Padding, settings: _Settings) -> Tensor:
    """The maxima at stride 1, blurred."""
    rank = len(settings.stride)

    def formula(x: Tensor) -> Tensor:
        return _blurred(getattr(functional, f"max_pool{rank}d")(x, kernel_size, 1, padding), settings)

    if ops.why_no_kernel(x, "max_filter") is not None:
        return formula(x)
    windows = geometry.sliding(rank, tuple(x.shape[-rank:]), kernel_size, 1, padding)
    return _max_filtered(x, windows, _axes(windows.output_size, settings), formula)


def _register_fakes() -> None:
    def filter(x: Tensor, axes: list[int], weights: list[float], adjoint: bool, channels_last: bool) -> Tensor:
        rank = len(axes) // 6
        return layout.empty(x, [*x.shape[:-rank], *axes[0 if adjoint else 1 :: 6]], x.dtype, channels_last, rank)

    def max_filter(x: Tensor, windows: list[int], axes: list[int], weights: list[float], channels_last: bool) -> Tensor:
        return filter(x, axes, weights, False, channels_last)

    def max_filter_backward(
        grad_y: Tensor, x: Tensor, windows: list[int], axes: list[int], weights: list[float], channels_last: bool
    ) -> Tensor:
        return layout.empty(x, [*x.shape], x.dtype, channels_last, len(axes) // 6)

    for fake in (filter, max_filter, max_filter_backward):
        torch.library.register_fake(f"poolkit::{fake.__name__}", fake)


if ops.HAS_KERNELS:
    _register_fakes()


_ARGUMENTS = """filter_size: how many cells the filter has, one int or one an axis. Its weights are binomial
        coefficients over their sum: (1, 1) / 2, (1, 2, 1) / 4, (1, 3, 3, 1) / 8, ...; a filter of 1 takes samples and
        blurs nothing.
    stride: between samples, one int or one an axis.
    padding_mode: what stands beyond the map: the cells next to the border in reverse ('reflect'), the border itself
        ('replicate'), zeros ('zeros') or the opposite side ('circular'). Where a map has too few cells to reflect,
        the border is repeated.
    sizes: how much is put around the map, as one of three libraries does it, for a filter of F cells and stride s:
        'adobe' (F - 1) // 2 before and F // 2 behind, so that the output has ceil(L / s) cells; 'timm'
        (s + F - 2) // 2 and 'kornia' (F - 1) // 2 on both sides, so that it has
        (L + 2 * padding - F) // s + 1 cells."""

_ERRORS = """dtypes: float32, float64, float16, bfloat16; half precision is computed in float32. Raises ArgumentError (a
ValueError) for a bad argument, TypeError for one of a wrong type, NotImplementedError for another dtype."""

_BLUR_DOC = f"""The map, smoothed by a binomial filter and sampled.

Args:
    input: (N, C, *spatial) or (C, *spatial).
    {_ARGUMENTS}

Returns:
    (N, C, *output) or (C, *output). A constant map stays constant, unless its border is zeros. NaN spreads to the
    samples whose filter meets it.

{_ERRORS}
"""

_MAX_BLUR_DOC = f"""The maxima of windows at stride 1, smoothed by a binomial filter and sampled.

Args:
    input: (N, C, *spatial) or (C, *spatial).
    kernel_size: of the windows whose maximum is taken, one int or one an axis.
    {_ARGUMENTS}
    padding: of the windows, as for :func:`poolkit.functional.max_pool2d` at stride 1; padding is never a maximum.

Returns:
    (N, C, *output) or (C, *output). The gradient of a maximum goes to one cell, the first of equals; NaN wins, and
    spreads to the samples whose filter meets it.

{_ERRORS}
"""


def _blur_pool(rank: int, input: Tensor, *arguments: Any) -> Tensor:
    settings = _checked(rank, *arguments)
    check_map(f"blur_pool{rank}d", input, rank)
    return _blurred(input, settings)


def _max_blur_pool(rank: int, input: Tensor, kernel_size: Size, padding: Padding, *arguments: Any) -> Tensor:
    settings = _checked(rank, *arguments)
    geometry.check_sliding(rank, kernel_size, 1, padding)
    check_map(f"max_blur_pool{rank}d", input, rank)
    return _max_blurred(input, kernel_size, padding, settings)


def blur_pool1d(
    input: Tensor, filter_size: Size = 4, stride: Size = 2, padding_mode: str = "reflect", sizes: str = "adobe"
) -> Tensor:
    return _blur_pool(1, input, filter_size, stride, padding_mode, sizes)


def blur_pool2d(
    input: Tensor, filter_size: Size = 4, stride: Size = 2, padding_mode: str = "reflect", sizes: str = "adobe"
) -> Tensor:
    return _blur_pool(2, input, filter_size, stride, padding_mode, sizes)


def blur_pool3d(
    input: Tensor, filter_size: Size = 4, stride: Size = 2, padding_mode: str = "reflect", sizes: str = "adobe"
) -> Tensor:
    return _blur_pool(3, input, filter_size, stride, padding_mode, sizes)


def max_blur_pool1d(
    input: Tensor,
    kernel_size: Size = 2,
    filter_size: Size = 4,
    stride: Size = 2,
    padding_mode: str = "reflect",
    sizes: str = "adobe",
    padding: Padding = 0,
) -> Tensor:
    return _max_blur_pool(1, input, kernel_size, padding, filter_size, stride, padding_mode, sizes)


def max_blur_pool2d(
    input: Tensor,
    kernel_size: Size = 2,
    filter_size: Size = 4,
    stride: Size = 2,
    padding_mode: str = "reflect",
    sizes: str = "adobe",
    padding: Padding = 0,
) -> Tensor:
    return _max_blur_pool(2, input, kernel_size, padding, filter_size, stride, padding_mode, sizes)


def max_blur_pool3d(
    input: Tensor,
    kernel_size: Size = 2,
    filter_size: Size = 4,
    stride: Size = 2,
    padding_mode: str = "reflect",
    sizes: str = "adobe",
    padding: Padding = 0,
) -> Tensor:
    return _max_blur_pool(3, input, kernel_size, padding, filter_size, stride, padding_mode, sizes)


for _function in (blur_pool1d, blur_pool2d, blur_pool3d):
    _function.__doc__ = _BLUR_DOC
for _other in (max_blur_pool1d, max_blur_pool2d, max_blur_pool3d):
    _other.__doc__ = _MAX_BLUR_DOC


class _BlurPool(Layer):
    """Smoothing and sampling, :func:`poolkit.functional.blur_pool2d` as a layer.

    Args:
        filter_size: how many cells the binomial filter has, one int or one an axis.
        stride: between samples, one int or one an axis.
        padding_mode: what stands beyond the map: 'reflect', 'replicate', 'zeros' or 'circular'.
        sizes: whose padding and output sizes: 'adobe', 'timm' or 'kornia'.

    forward takes (N, C, *spatial) or (C, *spatial), of any number of channels, and gives the same with the output's
    size. The filter is fixed: there are neither parameters nor buffers.
    """

    _shown = ("filter_size", "stride", "padding_mode", "sizes")
    _rank: int

    def __init__(
        self, filter_size: Size = 4, stride: Size = 2, padding_mode: str = "reflect", sizes: str = "adobe"
    ) -> None:
        super().__init__()
        _checked(self._rank, filter_size, stride, padding_mode, sizes)
        self.filter_size, self.stride, self.padding_mode, self.sizes = filter_size, stride, padding_mode, sizes

    def forward(self, input: Tensor) -> Tensor:
        return _blur_pool(self._rank, input, self.filter_size, self.stride, self.padding_mode, self.sizes)


class BlurPool1d(_BlurPool):
    __doc__ = _BlurPool.__doc__
    _rank = 1


class BlurPool2d(_BlurPool):
    __doc__ = _BlurPool.__doc__
    _rank = 2


class BlurPool3d(_BlurPool):
    __doc__ = _BlurPool.__doc__
    _rank = 3


class _MaxBlurPool(Layer):
    """Maxima, smoothed and sampled, :func:`poolkit.functional.max_blur_pool2d` as a layer.

    Args:
        kernel_size: of the windows whose maximum is taken, one int or one an axis.
        filter_size: how many cells the binomial filter has, one int or one an axis.
        stride: between samples, one int or one an axis.
        padding_mode: what stands beyond the map of maxima: 'reflect', 'replicate', 'zeros' or 'circular'.
        sizes: whose padding and output sizes: 'adobe', 'timm' or 'kornia'.
        padding: of the windows; it is never a maximum.

    forward takes (N, C, *spatial) or (C, *spatial), of any number of channels, and gives the same with the output's
    size. The filter is fixed: there are neither parameters nor buffers.
    """

    _shown = ("kernel_size", "filter_size", "stride", "padding_mode", "sizes", "padding")
    _rank: int

    def __init__(
        self,
        kernel_size: Size = 2,
        filter_size: Size = 4,
        stride: Size = 2,
        padding_mode: str = "reflect",
        sizes: str = "adobe",
        padding: Padding = 0,
    ) -> None:
        super().__init__()
        _checked(self._rank, filter_size, stride, padding_mode, sizes)
        geometry.check_sliding(self._rank, kernel_size, 1, padding)
        self.kernel_size, self.filter_size, self.stride = kernel_size, filter_size, stride
        self.padding_mode, self.sizes, self.padding = padding_mode, sizes, padding

    def forward(self, input: Tensor) -> Tensor:
        filtering = self.filter_size, self.stride, self.padding_mode, self.sizes
        return _max_blur_pool(self._rank, input, self.kernel_size, self.padding, *filtering)


class MaxBlurPool1d(_MaxBlurPool):
    __doc__ = _MaxBlurPool.__doc__
    _rank = 1


class MaxBlurPool2d(_MaxBlurPool):
    __doc__ = _MaxBlurPool.__doc__
    _rank = 2


class MaxBlurPool3d(_MaxBlurPool):
    __doc__ = _MaxBlurPool.__doc__
    _rank = 3
