"""Average and maximum of the cells that a mask lets count."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from poolkit import functional, geometry
from poolkit.errors import ArgumentError
from poolkit.geometry import Padding, Size
from poolkit.layers.base import SPATIAL, Layer, check_flag, check_map, wide

OutputSize = int | None | Sequence[int | None]
Result = Tensor | tuple[Tensor, Tensor]

#: The windows of a call: what a kind of pooling ('max', 'sum') gives for a tensor.
_Windows = Callable[[str, Tensor], Tensor]


def _slid(
    rank: int, kernel_size: Size, stride: Size | None, padding: Padding, dilation: Size, ceil_mode: bool
) -> _Windows:
    def pooled(kind: str, x: Tensor) -> Tensor:
        pool = getattr(functional, f"{kind}_pool{rank}d")
        result: Tensor = pool(x, kernel_size, stride, padding, dilation, ceil_mode)
        return result

    return pooled


def _adapted(rank: int, output_size: OutputSize) -> _Windows:
    def pooled(kind: str, x: Tensor) -> Tensor:
        result: Tensor = getattr(functional, f"adaptive_{kind}_pool{rank}d")(x, output_size)
        return result

    return pooled


def _whole(rank: int, keepdim: bool) -> _Windows:
    def pooled(kind: str, x: Tensor) -> Tensor:
        result: Tensor = getattr(functional, f"global_{kind}_pool{rank}d")(x, keepdim=keepdim)
        return result

    return pooled


def _check_mask(name: str, mask: Tensor, input: Tensor, rank: int) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"{name}(): mask must be a bool tensor, True at the cells that count, but got {got}")
    one = [*input.shape[: -rank - 1], 1, *input.shape[-rank:]]
    if list(mask.shape) not in (one, list(input.shape)):
        raise ArgumentError(
            f"{name}(): mask must have the shape {one} or {list(input.shape)}, but got {list(mask.shape)}"
        )


def _average(input: Tensor, mask: Tensor, pooled: _Windows) -> tuple[Tensor, Tensor]:
    """The average of the valid cells of each window, and which windows have any."""
    values = wide(torch.where(mask, input, 0))
    count = pooled("sum", mask.to(values.dtype))
    return (pooled("sum", values) / count.clamp(min=1)).to(input.dtype), count > 0


def _maximum(input: Tensor, mask: Tensor, pooled: _Windows) -> tuple[Tensor, Tensor]:
    """The largest of the valid cells of each window, and which windows have any."""
    largest, valid = pooled("max", torch.where(mask, input, -torch.inf)), pooled("max", mask)
    # Minus infinity may stand for cells that do not count: no gradient goes there.
    return torch.where(valid & (largest != -torch.inf), largest, torch.where(valid, largest.detach(), 0)), valid


_KINDS = {"avg": _average, "max": _maximum}


def _pool(kind: str, form: str, rank: int, input: Tensor, mask: Tensor, pooled: _Windows, return_mask: bool) -> Result:
    name = f"{form}masked_{kind}_pool{rank}d"
    check_map(name, input, rank)
    _check_mask(name, mask, input, rank)
    check_flag("return_mask", return_mask)
    result, valid = _KINDS[kind](input, mask, pooled)
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
    return _pool("avg", "global_", 1, input, mask, _whole(1, keepdim), return_mask)


def global_masked_avg_pool2d(input: Tensor, mask: Tensor, keepdim: bool = True, return_mask: bool = False) -> Result:
    return _pool("avg", "global_", 2, input, mask, _whole(2, keepdim), return_mask)


def global_masked_avg_pool3d(input: Tensor, mask: Tensor, keepdim: bool = True, return_mask: bool = False) -> Result:
    return _pool("avg", "global_", 3, input, mask, _whole(3, keepdim), return_mask)


def global_masked_max_pool1d(input: Tensor, mask: Tensor, keepdim: bool = True, return_mask: bool = False) -> Result:
    return _pool("max", "global_", 1, input, mask, _whole(1, keepdim), return_mask)


def global_masked_max_pool2d(input: Tensor, mask: Tensor, keepdim: bool = True, return_mask: bool = False) -> Result:
    return _pool("max", "global_", 2, input, mask, _whole(2, keepdim), return_mask)


def global_masked_max_pool3d(input: Tensor, mask: Tensor, keepdim: bool = True, return_mask: bool = False) -> Result:
    return _pool("max", "global_", 3, input, mask, _whole(3, keepdim), return_mask)


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
        windows = _whole(self._rank, self.keepdim)
        return _pool(self._kind, "global_", self._rank, input, mask, windows, self.return_mask)


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
