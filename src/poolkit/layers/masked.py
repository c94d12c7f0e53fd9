"""Average and maximum of the cells that a mask lets count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from poolkit import functional, geometry, layout, ops, reference
from poolkit.errors import ArgumentError
from poolkit.geometry import Padding, Size, Windows
from poolkit.layers import pieces
from poolkit.layers.base import SPATIAL, Layer, check_flag, check_map, wide, wide_dtype
from poolkit.methods import Step

OutputSize = int | None | Sequence[int | None]
Result = Tensor | tuple[Tensor, Tensor]

_MAXIMUM, _SUM = Step("max"), Step("sum")


class _Windows(NamedTuple):
    """The windows of a call: what a kind of pooling gives for a tensor, and where they lie in a map of some size."""

    pooled: Callable[[str, Tensor], Tensor]
    found: Callable[[tuple[int, ...]], Windows]


def _slid(
    rank: int, kernel_size: Size, stride: Size | None, padding: Padding, dilation: Size, ceil_mode: bool
) -> _Windows:
    def pooled(kind: str, x: Tensor) -> Tensor:
        pool = getattr(functional, f"{kind}_pool{rank}d")
        result: Tensor = pool(x, kernel_size, stride, padding, dilation, ceil_mode)
        return result

    return _Windows(pooled, lambda size: ops.sliding(rank, size, kernel_size, stride, padding, dilation, ceil_mode))


def _adapted(rank: int, output_size: OutputSize) -> _Windows:
    def pooled(kind: str, x: Tensor) -> Tensor:
        result: Tensor = getattr(functional, f"adaptive_{kind}_pool{rank}d")(x, output_size)
        return result

    return _Windows(pooled, lambda size: geometry.adaptive(rank, size, output_size))


def _check_mask(name: str, mask: Tensor, input: Tensor, rank: int) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"{name}(): mask must be a bool tensor, True at the cells that count, but got {got}")
    one = [*input.shape[: -rank - 1], 1, *input.shape[-rank:]]
    if list(mask.shape) not in (one, list(input.shape)):
        raise ArgumentError(
            f"{name}(): mask must have the shape {one} or {list(input.shape)}, but got {list(mask.shape)}"
        )


def _call(x: Tensor, windows: Windows, step: Step) -> ops.Call:
    ready = ops.ready(x, windows, (step,))
    return ready or ops.Call(windows, step, geometry.pack(windows, step.counting, step.divisor))


def _backward(grad: Tensor, winners: Tensor | None, windows: Windows, step: Step, channels_last: bool) -> Tensor:
    """The gradient of the filled map, by operations that autograd can differentiate again if it is to."""
    packed = geometry.pack(windows, step.counting, step.divisor)
    if not torch.is_grad_enabled():
        return ops.Call(windows, step, packed).backward(grad, None, None, winners, channels_last)
    if winners is not None:
        return reference.scatter(grad, torch.ops.poolkit.winner_indices(winners, packed), windows)
    zeros = grad.new_zeros((*grad.shape[: -windows.rank], *windows.input_size))
    return reference.adjoint(grad, zeros, windows, step)


#: An integer type as wide: cells are chosen by their bits as vectors, which torch.where takes one by one.
_BITS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
}


def _kept(mask: Tensor, x: Tensor) -> Tensor:
    """All bits at the cells of x that count, none at others."""
    return mask.to(_BITS[x.dtype]).neg_()


def _filled(x: Tensor, mask: Tensor, rest: float, call: Callable[[Tensor], Any], windows: Windows) -> Any:
    """What a kernel makes of the map with `rest` where the mask lets nothing count, which is filled piece by piece."""
    value, kept = x.new_tensor(rest).view(_BITS[x.dtype]), _kept(mask, x)

    def formula(x: Tensor, kept: Tensor, others: Tensor) -> Any:
        return call(x.view(kept.dtype).bitwise_and(kept).bitwise_or_(others).view(x.dtype))

    def of_zeros(x: Tensor, kept: Tensor) -> Any:
        return call(x.view(kept.dtype).bitwise_and(kept).view(x.dtype))

    if rest == 0:
        return pieces.worked(of_zeros, windows.rank, [x, kept], weight=2)
    return pieces.worked(formula, windows.rank, [x, kept, value & ~kept], weight=2)


class _Mean(torch.autograd.Function):
    """Keeps mask and count."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, count: Tensor, windows: Windows) -> Tensor:
        ctx.save_for_backward(mask, count)
        ctx.windows, ctx.channels_last = windows, layout.is_channels_last(x, windows.rank)
        call = _call(x, windows, _SUM)
        y: Tensor = _filled(x, mask, 0, lambda filled: call.forward(wide(filled)), windows)
        return y.div_(count).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        mask, count = ctx.saved_tensors
        grad_x = _backward(grads[0] / count, None, ctx.windows, _SUM, ctx.channels_last)
        if torch.is_grad_enabled():
            grad_x = grad_x.masked_fill(~mask, 0)
        else:
            kept = _kept(mask, grad_x)
            grad_x.view(kept.dtype).bitwise_and_(kept)
        return grad_x.to(grads[0].dtype), None, None, None


class _Largest(torch.autograd.Function):
    """Keeps the winners, and where there are none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, valid: Tensor, windows: Windows) -> Tensor:
        call = _call(x, windows, _MAXIMUM)
        if not ctx.needs_input_grad[0]:
            y: Tensor = _filled(x, mask, -torch.inf, call.forward, windows)
            return y.masked_fill_(~valid, 0)
        y, winners = _filled(x, mask, -torch.inf, call.forward_with_winners, windows)
        ctx.save_for_backward(winners, y.isneginf())
        ctx.windows, ctx.channels_last = windows, layout.is_channels_last(x, windows.rank)
        return y.masked_fill_(~valid, 0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        winners, nothing = ctx.saved_tensors
        grad = grads[0].masked_fill(nothing, 0)
        return _backward(grad, winners, ctx.windows, _MAXIMUM, ctx.channels_last), None, None, None


def _of_pieces(function: type[torch.autograd.Function], rank: int, windows: _Windows, *maps: Tensor) -> Tensor:
    batched, found = maps[0].dim() == rank + 2, windows.found(tuple(maps[0].shape[-rank:]))
    y = cast(Tensor, function.apply(*(maps if batched else [map[None] for map in maps]), found))
    return y if batched else y[0]


def _average(input: Tensor, mask: Tensor, rank: int, windows: _Windows) -> tuple[Tensor, Tensor]:
    """The average of the valid cells of each window, and which windows have any."""
    count = windows.pooled("sum", mask.to(wide_dtype(input.dtype)))
    valid, divisor = count > 0, count.clamp(min=1)
    if pieces.is_large(input):
        return _of_pieces(_Mean, rank, windows, input, mask, divisor), valid
    total = windows.pooled("sum", wide(torch.where(mask, input, 0)))
    return (total / divisor).to(input.dtype), valid


def _maximum(input: Tensor, mask: Tensor, rank: int, windows: _Windows) -> tuple[Tensor, Tensor]:
    """The largest of the valid cells of each window, and which windows have any."""
    valid = windows.pooled("max", mask)
    if pieces.is_large(input):
        return _of_pieces(_Largest, rank, windows, input, mask, valid), valid
    largest = windows.pooled("max", torch.where(mask, input, -torch.inf))
    # Minus infinity may stand for cells that do not count: no gradient goes there.
    return torch.where(valid & (largest != -torch.inf), largest, torch.where(valid, largest.detach(), 0)), valid


_KINDS = {"avg": _average, "max": _maximum}


def _pool(
    kind: str,
    form: str,
    rank: int,
    input: Tensor,
    mask: Tensor,
    windows: _Windows,
    return_mask: bool,
    keepdim: bool = True,
) -> Result:
    name = f"{form}masked_{kind}_pool{rank}d"
    check_map(name, input, rank)
    _check_mask(name, mask, input, rank)
    check_flag("return_mask", return_mask)
    result, valid = _KINDS[kind](input, mask, rank, windows)
    if not keepdim:
        result, valid = result.flatten(-rank - 1), valid.flatten(-rank - 1)
    return (result, valid) if return_mask else result


_DOC = """{value} of the cells of each window that a mask lets count; the others are ignored.

Args:
    input: (N, C, {spatial}) or (C, {spatial}).
    mask: bool, True at the cells that count: (N, C, {spatial}), or (N, 1, {spatial}) for all channels; without N if
        the input has none.
    {windows}
    return_mask: return which windows have a cell that counts too, bool, of the mask's channels and the output's size:
        the mask for the next layer.

Returns:
    {output}. A window without a cell that counts is 0 and gives no gradient.

{note}
Masked cells may hold anything, NaN and infinities too: they change neither the result nor a gradient, and theirs is 0.

dtypes: float32, float64, float16, bfloat16; half precision is summed in float32. Raises ArgumentError (a ValueError)
for a bad argument, TypeError for one of a wrong type, NotImplementedError for another dtype.
"""
_VALUES = {"avg": "The average", "max": "The maximum"}
_NOTES = {
    "avg": "Padding never counts. The divisor is the number of cells that do.",
    "max": "NaN wins; of equals the first in row-major order. A window whose largest cell is -inf gives no gradient.",
}
_WINDOWS = {
    "": "kernel_size, stride, padding, dilation, ceil_mode: as for :func:`poolkit.functional.max_pool{rank}d`.",
    "adaptive_": "output_size: of the result, one int or one an axis; None keeps the input's.",
    "global_": "keepdim: keep the spatial dimensions, as size 1.",
}
_OUTPUTS = {
    "": "(N, C, *output) or (C, *output)",
    "adaptive_": "(N, C, *output) or (C, *output)",
    "global_": "(N, C, 1, ..., 1) or (C, 1, ..., 1); (N, C) or (C,) without `keepdim`",
}


def _document(kind: str, form: str, rank: int) -> None:
    globals()[f"{form}masked_{kind}_pool{rank}d"].__doc__ = _DOC.format(
        value=_VALUES[kind],
        spatial=SPATIAL[rank],
        windows=_WINDOWS[form].format(rank=rank),
        output=_OUTPUTS[form],
        note=_NOTES[kind],
    )


def masked_avg_pool1d(
    input: Tensor,
    mask: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_mask: bool = False,
) -> Result:
    windows = _slid(1, kernel_size, stride, padding, dilation, ceil_mode)
    return _pool("avg", "", 1, input, mask, windows, return_mask)


def masked_avg_pool2d(
    input: Tensor,
    mask: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_mask: bool = False,
) -> Result:
    windows = _slid(2, kernel_size, stride, padding, dilation, ceil_mode)
    return _pool("avg", "", 2, input, mask, windows, return_mask)


def masked_avg_pool3d(
    input: Tensor,
    mask: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_mask: bool = False,
) -> Result:
    windows = _slid(3, kernel_size, stride, padding, dilation, ceil_mode)
    return _pool("avg", "", 3, input, mask, windows, return_mask)


def masked_max_pool1d(
    input: Tensor,
    mask: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_mask: bool = False,
) -> Result:
    windows = _slid(1, kernel_size, stride, padding, dilation, ceil_mode)
    return _pool("max", "", 1, input, mask, windows, return_mask)


def masked_max_pool2d(
    input: Tensor,
    mask: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_mask: bool = False,
) -> Result:
    windows = _slid(2, kernel_size, stride, padding, dilation, ceil_mode)
    return _pool("max", "", 2, input, mask, windows, return_mask)


def masked_max_pool3d(
    input: Tensor,
    mask: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_mask: bool = False,
) -> Result:
    windows = _slid(3, kernel_size, stride, padding, dilation, ceil_mode)
    return _pool("max", "", 3, input, mask, windows, return_mask)


def adaptive_masked_avg_pool1d(
    input: Tensor, mask: Tensor, output_size: OutputSize, return_mask: bool = False
) -> Result:
    return _pool("avg", "adaptive_", 1, input, mask, _adapted(1, output_size), return_mask)


def adaptive_masked_avg_pool2d(
    input: Tensor, mask: Tensor, output_size: OutputSize, return_mask: bool = False
) -> Result:
    return _pool("avg", "adaptive_", 2, input, mask, _adapted(2, output_size), return_mask)


def adaptive_masked_avg_pool3d(
    input: Tensor, mask: Tensor, output_size: OutputSize, return_mask: bool = False
) -> Result:
    return _pool("avg", "adaptive_", 3, input, mask, _adapted(3, output_size), return_mask)


def adaptive_masked_max_pool1d(
    input: Tensor, mask: Tensor, output_size: OutputSize, return_mask: bool = False
) -> Result:
    return _pool("max", "adaptive_", 1, input, mask, _adapted(1, output_size), return_mask)


def adaptive_masked_max_pool2d(
    input: Tensor, mask: Tensor, output_size: OutputSize, return_mask: bool = False
) -> Result:
    return _pool("max", "adaptive_", 2, input, mask, _adapted(2, output_size), return_mask)


def adaptive_masked_max_pool3d(
    input: Tensor, mask: Tensor, output_size: OutputSize, return_mask: bool = False
) -> Result:
    return _pool("max", "adaptive_", 3, input, mask, _adapted(3, output_size), return_mask)


def global_masked_avg_pool1d(input: Tensor, mask: Tensor, keepdim: bool = True, return_mask: bool = False) -> Result:
    return _pool("avg", "global_", 1, input, mask, _adapted(1, 1), return_mask, keepdim)


def global_masked_avg_pool2d(input: Tensor, mask: Tensor, keepdim: bool = True, return_mask: bool = False) -> Result:
    return _pool("avg", "global_", 2, input, mask, _adapted(2, 1), return_mask, keepdim)


def global_masked_avg_pool3d(input: Tensor, mask: Tensor, keepdim: bool = True, return_mask: bool = False) -> Result:
    return _pool("avg", "global_", 3, input, mask, _adapted(3, 1), return_mask, keepdim)


def global_masked_max_pool1d(input: Tensor, mask: Tensor, keepdim: bool = True, return_mask: bool = False) -> Result:
    return _pool("max", "global_", 1, input, mask, _adapted(1, 1), return_mask, keepdim)


def global_masked_max_pool2d(input: Tensor, mask: Tensor, keepdim: bool = True, return_mask: bool = False) -> Result:
    return _pool("max", "global_", 2, input, mask, _adapted(2, 1), return_mask, keepdim)


def global_masked_max_pool3d(input: Tensor, mask: Tensor, keepdim: bool = True, return_mask: bool = False) -> Result:
    return _pool("max", "global_", 3, input, mask, _adapted(3, 1), return_mask, keepdim)


for _kind in _KINDS:
    for _form in _WINDOWS:
        for _rank in SPATIAL:
            _document(_kind, _form, _rank)


class _Masked(Layer):
    """What the layers of all forms share."""

    _rank: int
    _kind: str

    def __init__(self, return_mask: bool) -> None:
        super().__init__()
        check_flag("return_mask", return_mask)
        self.return_mask = return_mask


class _MaskedPool(_Masked):
    """{value} pooling that ignores masked cells.

    Args:
        kernel_size, stride, padding, dilation, ceil_mode: of the windows.
        return_mask: return which windows have a cell that counts too: the mask for the next layer.

    forward takes (N, C, *spatial) or (C, *spatial) and a mask, bool, True at the cells that count, of the same shape or
    with one channel. A window without such a cell is 0 and gives no gradient.
    """

    _shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_mask")

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
        return_mask: bool = False,
    ) -> None:
        super().__init__(return_mask)
        geometry.check_sliding(self._rank, kernel_size, stride, padding, dilation, ceil_mode)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def forward(self, input: Tensor, mask: Tensor) -> Result:
        windows = _slid(self._rank, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
        return _pool(self._kind, "", self._rank, input, mask, windows, self.return_mask)


class _AdaptiveMaskedPool(_Masked):
    """Adaptive {value} pooling that ignores masked cells.

    Args:
        output_size: of the result, one int or one an axis; None keeps the input's.
        return_mask: return which windows have a cell that counts too: the mask for the next layer.

    forward takes (N, C, *spatial) or (C, *spatial) and a mask, bool, True at the cells that count, of the same shape or
    with one channel. A window without such a cell is 0 and gives no gradient.
    """

    _shown = ("output_size", "return_mask")

    def __init__(self, output_size: OutputSize, return_mask: bool = False) -> None:
        super().__init__(return_mask)
        geometry.check_output_size(self._rank, output_size)
        self.output_size = output_size

    def forward(self, input: Tensor, mask: Tensor) -> Result:
        windows = _adapted(self._rank, self.output_size)
        return _pool(self._kind, "adaptive_", self._rank, input, mask, windows, self.return_mask)


class _GlobalMaskedPool(_Masked):
    """Global {value} pooling that ignores masked cells.

    Args:
        keepdim: keep the spatial dimensions, as size 1.
        return_mask: return which planes have a cell that counts too.

    forward takes (N, C, *spatial) or (C, *spatial) and a mask, bool, True at the cells that count, of the same shape or
    with one channel. A plane without such a cell is 0 and gives no gradient.
    """

    _shown = ("keepdim", "return_mask")

    def __init__(self, keepdim: bool = True, return_mask: bool = False) -> None:
        super().__init__(return_mask)
        check_flag("keepdim", keepdim)
        self.keepdim = keepdim

    def forward(self, input: Tensor, mask: Tensor) -> Result:
        return _pool(
            self._kind, "global_", self._rank, input, mask, _adapted(self._rank, 1), self.return_mask, self.keepdim
        )


class MaskedAvgPool1d(_MaskedPool):
    __doc__ = (_MaskedPool.__doc__ or "").format(value="Average")
    _rank, _kind = 1, "avg"


class MaskedAvgPool2d(_MaskedPool):
    __doc__ = (_MaskedPool.__doc__ or "").format(value="Average")
    _rank, _kind = 2, "avg"


class MaskedAvgPool3d(_MaskedPool):
    __doc__ = (_MaskedPool.__doc__ or "").format(value="Average")
    _rank, _kind = 3, "avg"


class AdaptiveMaskedAvgPool1d(_AdaptiveMaskedPool):
    __doc__ = (_AdaptiveMaskedPool.__doc__ or "").format(value="average")
    _rank, _kind = 1, "avg"


class AdaptiveMaskedAvgPool2d(_AdaptiveMaskedPool):
    __doc__ = (_AdaptiveMaskedPool.__doc__ or "").format(value="average")
    _rank, _kind = 2, "avg"


class AdaptiveMaskedAvgPool3d(_AdaptiveMaskedPool):
    __doc__ = (_AdaptiveMaskedPool.__doc__ or "").format(value="average")
    _rank, _kind = 3, "avg"


class GlobalMaskedAvgPool1d(_GlobalMaskedPool):
    __doc__ = (_GlobalMaskedPool.__doc__ or "").format(value="average")
    _rank, _kind = 1, "avg"


class GlobalMaskedAvgPool2d(_GlobalMaskedPool):
    __doc__ = (_GlobalMaskedPool.__doc__ or "").format(value="average")
    _rank, _kind = 2, "avg"


class GlobalMaskedAvgPool3d(_GlobalMaskedPool):
    __doc__ = (_GlobalMaskedPool.__doc__ or "").format(value="average")
    _rank, _kind = 3, "avg"


class MaskedMaxPool1d(_MaskedPool):
    __doc__ = (_MaskedPool.__doc__ or "").format(value="Max")
    _rank, _kind = 1, "max"


class MaskedMaxPool2d(_MaskedPool):
    __doc__ = (_MaskedPool.__doc__ or "").format(value="Max")
    _rank, _kind = 2, "max"


class MaskedMaxPool3d(_MaskedPool):
    __doc__ = (_MaskedPool.__doc__ or "").format(value="Max")
    _rank, _kind = 3, "max"


class AdaptiveMaskedMaxPool1d(_AdaptiveMaskedPool):
    __doc__ = (_AdaptiveMaskedPool.__doc__ or "").format(value="max")
    _rank, _kind = 1, "max"


class AdaptiveMaskedMaxPool2d(_AdaptiveMaskedPool):
    __doc__ = (_AdaptiveMaskedPool.__doc__ or "").format(value="max")
    _rank, _kind = 2, "max"


class AdaptiveMaskedMaxPool3d(_AdaptiveMaskedPool):
    __doc__ = (_AdaptiveMaskedPool.__doc__ or "").format(value="max")
    _rank, _kind = 3, "max"


class GlobalMaskedMaxPool1d(_GlobalMaskedPool):
    __doc__ = (_GlobalMaskedPool.__doc__ or "").format(value="max")
    _rank, _kind = 1, "max"


class GlobalMaskedMaxPool2d(_GlobalMaskedPool):
    __doc__ = (_GlobalMaskedPool.__doc__ or "").format(value="max")
    _rank, _kind = 2, "max"


class GlobalMaskedMaxPool3d(_GlobalMaskedPool):
    __doc__ = (_GlobalMaskedPool.__doc__ or "").format(value="max")
    _rank, _kind = 3, "max"
