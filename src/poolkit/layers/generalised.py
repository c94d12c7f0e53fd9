"""Maximum and average mixed by learnt shares, and trees of learnt filters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from poolkit import functional, geometry, layout, ops, reference
from poolkit.errors import ArgumentError
from poolkit.geometry import Padding, Size, Windows
from poolkit.layers import pieces
from poolkit.layers.base import Layer, check_flag, check_floating, check_map, wide, wide_dtype
from poolkit.layers.convolution import filtered
from poolkit.methods import METHODS, Step

#: A tree of this depth has 1023 filters.
DEEPEST = 10
#: A mix by one share takes one pass over maps larger than a piece over this; for smaller ones, making it ready is more.
_IN_ONE_PASS = 32


class _Windows(NamedTuple):
    """The arguments of a call that say where the windows are, and what an average counts."""

    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    count_include_pad: bool

    def found(self, x: Tensor, rank: int) -> Windows:
        return ops.sliding(rank, tuple(x.shape[-rank:]), *self[:-1])

    def largest(self, x: Tensor, rank: int) -> Tensor:
        result: Tensor = getattr(functional, f"max_pool{rank}d")(x, *self[:-1])
        return result

    def average(self, x: Tensor, rank: int) -> Tensor:
        kernel_size, stride, padding, dilation, *modes = self
        pool = getattr(functional, f"avg_pool{rank}d")
        result: Tensor = pool(x, kernel_size, stride, padding, *modes, dilation=dilation)
        return result

    def counting(self) -> int:
        """What the divisor counts, as the kernels number it."""
        [step] = METHODS["avg"].plan(isinstance(self.padding, str), self.count_include_pad, None, None)
        return step.counting


#: Of a map and a parameter, the logits of its windows.
_Logits = Callable[[Tensor, Tensor], Tensor]


def _mix(rank: int, input: Tensor, parameter: Tensor, logits_of: _Logits, windows: _Windows) -> Tensor:
    """The maximum by the share sigmoid(logit), the average by the rest."""

    def formula(x: Tensor, parameter: Tensor) -> Tensor:
        largest, average = windows.largest(x, rank), windows.average(x, rank)
        return _mixed(wide(largest), wide(average), logits_of(x, parameter)).to(x.dtype)

    if parameter.numel() == 1 and logits_of is _given and pieces.is_large(input, _IN_ONE_PASS):
        return _mix_by_one(input, parameter, windows.found(input, rank), windows.counting(), formula)
    return pieces.run(formula, rank, [input], [parameter])


def _given(x: Tensor, logits: Tensor) -> Tensor:
    return logits


class _MixByOne(torch.autograd.Function):
    """The mix by one share for all windows, in one pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, logit: Tensor, call: ops.Call, formula: Callable[..., Tensor]) -> Tensor:
        y, winners = call.forward_with_winners(x)
        ctx.save_for_backward(x, logit, winners)
        ctx.call, ctx.formula, ctx.channels_last = call, formula, layout.is_channels_last(x, call.windows.rank)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        [grad], (x, logit, winners), call = grads, ctx.saved_tensors, ctx.call
        if torch.is_grad_enabled():
            return *reference.differentiated(ctx.formula, (x, logit), grad), None, None
        rest, share = call.step.floats
        # The maximum less the average.
        difference = call._replace(step=call.step._replace(floats=(-1.0, 1.0))).forward(x)
        of_logit = wide(grad).mul(difference).sum() * (rest * share)
        grad_x = call.backward(grad, None, None, winners, ctx.channels_last)
        return grad_x, of_logit.to(logit.dtype).view_as(logit), None, None


def _mix_by_one(
    input: Tensor, logit: Tensor, windows: Windows, counting: int, formula: Callable[..., Tensor]
) -> Tensor:
    value = logit.detach().double().flatten()
    shares = torch.cat((-value, value)).sigmoid().tolist()
    call = ops.Call(windows, Step("avg_max", tuple(shares), counting), geometry.pack(windows, counting, 0))
    if torch.is_grad_enabled() and (input.requires_grad or logit.requires_grad):
        return cast(Tensor, _MixByOne.apply(input, logit, call, formula))
    return call.forward(input)


def _mixed(a: Tensor, b: Tensor, logits: Tensor) -> Tensor:
    """The first by the share sigmoid(logit), the second by the rest."""
    # Where the share is almost 1, 1 - share has lost its digits, and sigmoid(-logit) has not.
    return torch.addcmul(torch.sigmoid(-logits) * b, torch.sigmoid(logits), a)


def _learnt_mix(
    rank: int,
    input: Tensor,
    logit: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    dilation: Size,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Tensor:
    name = f"learnt_mixed_pool{rank}d"
    check_map(name, input, rank)
    check_floating(name, logit=logit)
    channels = input.shape[-rank - 1]
    if logit.dim() > 1 or (logit.numel() != 1 and logit.numel() != channels):
        raise ArgumentError(f"{name}(): logit must have the shape [1] or {[channels]}, but got {list(logit.shape)}")
    logits = wide(logit).view(-1, *(1,) * rank)
    windows = _Windows(kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    return _mix(rank, input, logits, _given, windows)


def _checked_filters(name: str, argument: str, filters: Tensor, rank: int, count: int | None, channels: int) -> Tensor:
    """The filters for every channel: (C, *kernel), or (count, C, *kernel)."""
    check_floating(name, **{argument: filters})
    shape = tuple(filters.shape)
    front = () if count is None else (count,)
    good = len(shape) == len(front) + 1 + rank and shape[: len(front)] == front and 0 not in shape
    # Not `in`: of open sizes the compiler would compare names instead of numbers.
    if not good or (shape[len(front)] != 1 and shape[len(front)] != channels):
        allowed = " or ".join(f"({', '.join(map(str, (*front, c)))}, *kernel)" for c in dict.fromkeys((1, channels)))
        raise ArgumentError(f"{name}(): {argument} must have the shape {allowed}, but got {list(shape)}")
    return filters.expand(*front, channels, *shape[-rank:])


def _gated(
    rank: int,
    input: Tensor,
    gate: Tensor,
    stride: Size | None,
    padding: Padding,
    dilation: Size,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Tensor:
    name = f"gated_pool{rank}d"
    check_map(name, input, rank)
    weights = _checked_filters(name, "gate", gate, rank, None, input.shape[-rank - 1])
    kernel = tuple(gate.shape[-rank:])
    # Calls with one size for all axes are found sooner.
    kernel_size = kernel[0] if all(size == kernel[0] for size in kernel) else kernel
    windows = _Windows(kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    found = windows.found(input, rank)

    def logits(x: Tensor, weights: Tensor) -> Tensor:
        [sums] = _sums(x, weights.unsqueeze(1), found)
        return sums

    return _mix(rank, input, weights.to(wide_dtype(input.dtype)), logits, windows)


def _sums(x: Tensor, filters: Tensor, windows: Windows) -> Sequence[Tensor]:
    """The sums of the windows' cells times the weights of each of the filters (C, filters, *kernel)."""
    # One convolution reads the input once for all filters; those of a channel stand side by side.
    sums = wide(filtered(wide(x), filters.flatten(0, 1), None, windows))
    return sums.unflatten(-windows.rank - 1, (-1, filters.shape[1])).unbind(-windows.rank - 1)


def _tree(
    rank: int,
    input: Tensor,
    leaves: Tensor,
    gates: Tensor,
    stride: Size | None,
    padding: Padding,
    dilation: Size,
    ceil_mode: bool,
) -> Tensor:
    name = f"tree_pool{rank}d"
    check_map(name, input, rank)
    check_floating(name, leaves=leaves, gates=gates)
    count, channels = len(leaves) if leaves.dim() else 0, input.shape[-rank - 1]
    if count not in [2**level for level in range(DEEPEST)]:
        raise ArgumentError(
            f"{name}(): leaves must be 1, 2, 4, ... or {2 ** (DEEPEST - 1)} filters, but got {list(leaves.shape)}"
        )
    filters = _checked_filters(name, "leaves", leaves, rank, count, channels)
    if count > 1:
        kernel = tuple(leaves.shape[-rank:])
        if tuple(gates.shape[-rank:]) != kernel:
            raise ArgumentError(
                f"{name}(): gates must have the kernel size of the leaves {list(kernel)}, but got {list(gates.shape)}"
            )
        filters = torch.cat((filters, _checked_filters(name, "gates", gates, rank, count - 1, channels)))
    size = tuple(input.shape[-rank:])
    windows = ops.sliding(rank, size, tuple(leaves.shape[-rank:]), stride, padding, dilation, ceil_mode)

    def formula(x: Tensor, filters: Tensor) -> Tensor:
        sums = _sums(x, filters, windows)
        values, logits = sums[:count], sums[count:]
        for level in reversed(range(count.bit_length() - 1)):
            gates = logits[2**level - 1 : 2 ** (level + 1) - 1]
            values = [_mixed(*node) for node in zip(values[::2], values[1::2], gates, strict=True)]
        return values[0].to(x.dtype)

    return pieces.run(formula, rank, [input], [filters.transpose(0, 1).to(wide_dtype(input.dtype))])


_MIX_DOC = """The maximum and the average of each window, mixed by a learnt share: y = a * max + (1 - a) * average.

Args:
    input: (N, C, *spatial) or (C, *spatial).
    logit: the share is a = sigmoid(logit); one number for all channels, () or (1,), or (C,).
    kernel_size, stride, padding, dilation, ceil_mode: as for :func:`poolkit.functional.max_pool{rank}d`.
    count_include_pad: whether the divisor of the average counts the padding, as in
        :func:`poolkit.functional.avg_pool{rank}d`.

Returns:
    (N, C, *output) or (C, *output), with gradients of input and logit. A window with a NaN is NaN; one with an infinity
    is infinite or NaN.

dtypes: float32, float64, float16, bfloat16; half precision is mixed in float32. Raises ArgumentError (a ValueError)
for a bad argument, TypeError for one of a wrong type, NotImplementedError for another dtype.
"""

_GATED_DOC = """The maximum and the average of each window, mixed by a share that a learnt filter reads off the window.

y = g * max + (1 - g) * average, where g = sigmoid(sum over the window of gate * x).

Args:
    input: (N, C, *spatial) or (C, *spatial).
    gate: the filter, which also gives the size of the windows: (1, *kernel) for all channels or (C, *kernel).
    stride, padding, dilation, ceil_mode: as for :func:`poolkit.functional.max_pool{rank}d`; in the sum of the filter,
        padding is zeros.
    count_include_pad: whether the divisor of the average counts the padding, as in
        :func:`poolkit.functional.avg_pool{rank}d`.

Returns:
    (N, C, *output) or (C, *output), with gradients of input and gate. A window with a NaN is NaN; one with an infinity
    is infinite or NaN.

dtypes: float32, float64, float16, bfloat16; half precision is filtered and mixed in float32. Raises ArgumentError (a
ValueError) for a bad argument, TypeError for one of a wrong type, NotImplementedError for another dtype.
"""

_TREE_DOC = """Learnt filters over each window, the leaves of a binary tree, mixed by learnt gates up to its root.

A leaf is f = sum over the window of leaf * x, a node above two others f = g * f_left + (1 - g) * f_right, where
g = sigmoid(sum over the window of gate * x).

Args:
    input: (N, C, *spatial) or (C, *spatial).
    leaves: the filters, 1, 2, 4, ... of them, which also give the size of the windows: (leaves, 1, *kernel) for all
        channels or (leaves, C, *kernel).
    gates: one less than leaves, (gates, 1, *kernel) or (gates, C, *kernel); the root's first, then level by level,
        from left to right.
    stride, padding, dilation, ceil_mode: as for :func:`poolkit.functional.max_pool{rank}d`; padding is zeros.

Returns:
    (N, C, *output) or (C, *output), with gradients of input, leaves and gates. A window with a NaN is NaN; one with an
    infinity is infinite or NaN.

dtypes: float32, float64, float16, bfloat16; half precision is computed in float32. Raises ArgumentError (a ValueError)
for a bad argument, TypeError for one of a wrong type, NotImplementedError for another dtype.
"""


def learnt_mixed_pool1d(
    input: Tensor,
    logit: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    return _learnt_mix(1, input, logit, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)


def learnt_mixed_pool2d(
    input: Tensor,
    logit: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    return _learnt_mix(2, input, logit, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)


def learnt_mixed_pool3d(
    input: Tensor,
    logit: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    return _learnt_mix(3, input, logit, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)


def gated_pool1d(
    input: Tensor,
    gate: Tensor,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    return _gated(1, input, gate, stride, padding, dilation, ceil_mode, count_include_pad)


def gated_pool2d(
    input: Tensor,
    gate: Tensor,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    return _gated(2, input, gate, stride, padding, dilation, ceil_mode, count_include_pad)


def gated_pool3d(
    input: Tensor,
    gate: Tensor,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    return _gated(3, input, gate, stride, padding, dilation, ceil_mode, count_include_pad)


def tree_pool1d(
    input: Tensor,
    leaves: Tensor,
    gates: Tensor,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    return _tree(1, input, leaves, gates, stride, padding, dilation, ceil_mode)


def tree_pool2d(
    input: Tensor,
    leaves: Tensor,
    gates: Tensor,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    return _tree(2, input, leaves, gates, stride, padding, dilation, ceil_mode)


def tree_pool3d(
    input: Tensor,
    leaves: Tensor,
    gates: Tensor,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    return _tree(3, input, leaves, gates, stride, padding, dilation, ceil_mode)


for _rank, _functions in enumerate(
    (
        (learnt_mixed_pool1d, gated_pool1d, tree_pool1d),
        (learnt_mixed_pool2d, gated_pool2d, tree_pool2d),
        (learnt_mixed_pool3d, gated_pool3d, tree_pool3d),
    ),
    1,
):
    for _function, _doc in zip(_functions, (_MIX_DOC, _GATED_DOC, _TREE_DOC), strict=True):
        _function.__doc__ = _doc.format(rank=_rank)


class _Generalised(Layer):
    """What the three layers share: their windows, and how many channels have parameters of their own."""

    _rank: int

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None,
        padding: Padding,
        dilation: Size,
        ceil_mode: bool,
        channels: int | None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode
        self._kernel = geometry.check_sliding(self._rank, kernel_size, stride, padding, dilation, ceil_mode).kernel
        self.channels = None if channels is None else geometry.integer("channels", channels, positive=True)


class _LearntMixedPool(_Generalised):
    """Mixed max-average pooling with a learnt share: y = a * max + (1 - a) * average.

    Args:
        kernel_size, stride, padding, dilation, ceil_mode: of the windows.
        count_include_pad: whether the divisor of the average counts the padding.
        alpha: the share of the maximum to start from, between 0 and 1.
        channels: how many shares there are, one for each channel; None shares one.

    The parameter is logit, whose sigmoid is the share, so that it stays between 0 and 1; alpha gives the share. forward
    takes (N, C, *spatial) or (C, *spatial) and gives the same with the output's size.
    """

    _shown = (
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "ceil_mode",
        "count_include_pad",
        "initial_alpha",
        "channels",
    )

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        alpha: float = 0.5,
        channels: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode, channels)
        check_flag("count_include_pad", count_include_pad)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float):
            raise TypeError(f"alpha must be a number, but got {alpha!r} ({type(alpha).__name__})")
        if not 0 < alpha < 1:
            raise ArgumentError(f"alpha must lie between 0 and 1, but got {alpha!r}")
        self.count_include_pad, self.initial_alpha = count_include_pad, alpha
        start = torch.full((self.channels or 1,), math.log(alpha / (1 - alpha)), device=device, dtype=dtype)
        self.logit = torch.nn.Parameter(start)

    @property
    def alpha(self) -> Tensor:
        return self.logit.sigmoid()

    def forward(self, input: Tensor) -> Tensor:
        check_map(type(self).__name__, input, self._rank, self.channels)
        return _learnt_mix(
            self._rank,
            input,
            self.logit,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.count_include_pad,
        )


class _GatedPool(_Generalised):
    """Gated max-average pooling: y = g * max + (1 - g) * average, where g = sigmoid(sum of gate * x over the window).

    Args:
        kernel_size, stride, padding, dilation, ceil_mode: of the windows; in the sum of the gate, padding is zeros.
        count_include_pad: whether the divisor of the average counts the padding.
        channels: how many gates there are, one for each channel; None shares one.

    The parameter is gate, (channels or 1, *kernel). It starts at 0: half maximum, half average. forward takes
    (N, C, *spatial) or (C, *spatial) and gives the same with the output's size.
    """

    _shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "count_include_pad", "channels")

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        channels: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode, channels)
        check_flag("count_include_pad", count_include_pad)
        self.count_include_pad = count_include_pad
        self.gate = torch.nn.Parameter(torch.zeros(self.channels or 1, *self._kernel, device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        check_map(type(self).__name__, input, self._rank, self.channels)
        return _gated(
            self._rank,
            input,
            self.gate,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.count_include_pad,
        )


class _TreePool(_Generalised):
    """Tree pooling: learnt filters over each window, mixed in pairs by learnt gates.

    Args:
        kernel_size, stride, padding, dilation, ceil_mode: of the windows; padding is zeros.
        depth: levels of the tree, from 1 (a single filter) to 10; 2, as in the paper, has two leaves and one gate.
        channels: how many trees there are, one for each channel; None shares one.

    The parameters are leaves, (2^(depth - 1), channels or 1, *kernel), and gates, one less. Leaves start near the
    average, each a little off in a way of its own, as equal leaves would stay equal; gates start at 0. forward takes
    (N, C, *spatial) or (C, *spatial) and gives the same with the output's size.
    """

    _shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "depth", "channels")

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
        depth: int = 2,
        channels: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode, channels)
        self.depth = geometry.integer("depth", depth, positive=True)
        if depth > DEEPEST:
            raise ArgumentError(f"depth must be from 1 to {DEEPEST}, but got {depth}")
        leaves, shape = 2 ** (depth - 1), (self.channels or 1, *self._kernel)
        self.leaves = torch.nn.Parameter(torch.empty(leaves, *shape, device=device, dtype=dtype))
        self.gates = torch.nn.Parameter(torch.empty(leaves - 1, *shape, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Leaves normal around 1 / cells, half of it wide; gates 0."""
        average = 1 / math.prod(self._kernel)
        torch.nn.init.normal_(self.leaves, average, average / 2)
        torch.nn.init.zeros_(self.gates)

    def forward(self, input: Tensor) -> Tensor:
        check_map(type(self).__name__, input, self._rank, self.channels)
        return _tree(
            self._rank,
            input,
            self.leaves,
            self.gates,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
        )


class LearntMixedPool1d(_LearntMixedPool):
    __doc__ = _LearntMixedPool.__doc__
    _rank = 1


class LearntMixedPool2d(_LearntMixedPool):
    __doc__ = _LearntMixedPool.__doc__
    _rank = 2


class LearntMixedPool3d(_LearntMixedPool):
    __doc__ = _LearntMixedPool.__doc__
    _rank = 3


class GatedPool1d(_GatedPool):
    __doc__ = _GatedPool.__doc__
    _rank = 1


class GatedPool2d(_GatedPool):
    __doc__ = _GatedPool.__doc__
    _rank = 2


class GatedPool3d(_GatedPool):
    __doc__ = _GatedPool.__doc__
    _rank = 3


class TreePool1d(_TreePool):
    __doc__ = _TreePool.__doc__
    _rank = 1


class TreePool2d(_TreePool):
    __doc__ = _TreePool.__doc__
    _rank = 2


class TreePool3d(_TreePool):
    __doc__ = _TreePool.__doc__
    _rank = 3
