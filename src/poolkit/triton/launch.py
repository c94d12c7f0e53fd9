"""Runs the kernels: the operators of torch.ops.poolkit, with the same arguments, for tensors of a GPU."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from poolkit.geometry import Axis
from poolkit.layout import format_of, is_channels_last, position_dtype
from poolkit.triton import DTYPES, device, gather
from poolkit.triton import planes as _planes
from poolkit.triton import windows as _windows
from poolkit.triton.methods import REDUCERS, Program, Reducer

_TYPES = {tl.float64: torch.float64, tl.float32: torch.float32}


class Plan(NamedTuple):
    """The windows as the kernels read them: what changes with the input's size, and what is compiled in."""

    rank: int
    sizes: tuple[int, ...]
    outs: tuple[int, ...]
    lows: tuple[int, ...]
    highs: tuple[int, ...]
    extents: tuple[int, ...]
    covers: tuple[int, ...]
    divisor: float
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    counting: int
    #: Whether each window is a whole plane.
    whole: bool
    winner_dtype: torch.dtype


def plan_of(packed: Sequence[int]) -> Plan:
    return _planned(tuple(packed))


@functools.lru_cache(maxsize=4096)
def _planned(packed: tuple[int, ...]) -> Plan:
    if len(packed) != 24 or packed[0] not in (1, 2, 3) or packed[1] not in (0, 1, 2):
        raise ValueError("poolkit: malformed windows")
    rank, counting, divisor = packed[:3]
    axes = [Axis(*packed[i : i + 7]) for i in range(3, 24, 7)]
    size, out, kernel, stride, dilation, low, high = zip(*axes, strict=True)
    # Windows along an axis that has only one are as wide as they need be.
    extents = tuple(axis.extent for axis in axes)
    whole = all(axis.out == 1 and axis.tap(0).cells == axis.size and not axis.pad_low for axis in axes)
    whole = whole and (counting != 1 or all(axis.tap(0).padded == axis.size for axis in axes))
    cells = math.prod(extents)
    winner_dtype = position_dtype(cells)
    covers = tuple(1 if axis.out == 0 else Axis(axis.out, axis.size, 0, 1, 1, 0, 0).extent for axis in axes)
    return Plan(
        rank,
        size,
        out,
        low,
        high,
        extents,
        covers,
        float(divisor),
        kernel,
        stride,
        dilation,
        counting,
        whole,
        winner_dtype,
    )


class Layout(NamedTuple):
    """How an array lies: its parts outside the spatial axes, and inside them."""

    leading: tuple[int, ...]
    outer: int
    inner: int
    channels_last: bool


def _layout(x: Tensor, plan: Plan, outputs: bool, channels_last: bool) -> Layout:
    leading = tuple(x.shape[: -plan.rank])
    sizes = (plan.outs if outputs else plan.sizes)[3 - plan.rank :]
    if len(leading) not in (1, 2) or tuple(x.shape[-plan.rank :]) != sizes:
        raise RuntimeError("poolkit: the windows do not fit the tensor")
    if channels_last:
        return Layout(leading, leading[0], leading[1], True)
    return Layout(leading, math.prod(leading), 1, False)


def _dense(x: Tensor, plan: Plan, channels_last: bool) -> Tensor:
    dense = x.contiguous(memory_format=format_of(channels_last, plan.rank))
    return dense.view(torch.uint8) if dense.dtype == torch.bool else dense


def _like(x: Tensor, layout: Layout, plan: Plan, outputs: bool, dtype: torch.dtype) -> Tensor:
    sizes = (plan.outs if outputs else plan.sizes)[3 - plan.rank :]
    memory_format = format_of(layout.channels_last, plan.rank)
    return torch.empty((*layout.leading, *sizes), dtype=dtype, device=x.device, memory_format=memory_format)


def _two(floats: Sequence[float]) -> tuple[float, float]:
    p, q, *_ = (*floats, 0.0, 0.0)
    return p, q


def _run(
    program: Program,
    kind: int,
    x: Tensor,
    scores: Tensor | None,
    results: Sequence[Tensor],
    plan: Plan,
    layout: Layout,
    floats: Sequence[float],
    in_order: bool,
    seed: int = 0,
) -> None:
    """Fill the results of a program over all windows."""
    if results[0].numel() == 0:
        return
    first, second, third = (*results, None, None)[:3]
    p, q = _two(floats)
    volume = math.prod(plan.sizes)
    wide = max(x.numel(), results[0].numel()) > device.LARGEST
    accumulator = device.accumulator(x.dtype)
    with device.on(x):
        if plan.whole and not in_order:
            neighbours = layout.inner if layout.inner > 1 else layout.outer
            together, cells = device.tile_of(neighbours, volume, layout.inner > 1)
            blocks = triton.cdiv(neighbours, together) * (layout.outer if layout.inner > 1 else 1)
            _planes.pool[(blocks,)](
                x,
                scores,
                first,
                second,
                third,
                layout.outer * layout.inner,
                volume,
                layout.inner,
                plan.divisor,
                p,
                q,
                METHOD=program,
                KIND=kind,
                ACC=accumulator,
                COUNTING=plan.counting,
                CHANNELS_LAST=layout.inner > 1,
                WIDE=wide,
                PLANES=together,
                CELLS=cells,
                num_warps=device.WARPS,
            )
            return
        total = results[0].numel()
        block = device.block_of(results[0], total)
        _windows.pool[(triton.cdiv(total, block),)](
            x,
            scores,
            first,
            second,
            third,
            total,
            layout.inner,
            plan.sizes,
            plan.outs,
            plan.lows,
            plan.highs,
            plan.extents,
            (*(math.prod(plan.sizes[i:]) * layout.inner for i in (1, 2, 3)), volume * layout.inner),
            plan.divisor,
            p,
            q,
            seed,
            METHOD=program,
            KIND=kind,
            ACC=accumulator,
            KERNEL=plan.kernel,
            STRIDE=plan.stride,
            DILATION=plan.dilation,
            COUNTING=plan.counting,
            WIDE=wide,
            BLOCK=block,
            num_warps=device.WARPS,
        )


def _reducer(method: str, dtype: torch.dtype) -> Reducer:
    if method not in REDUCERS or dtype not in DTYPES[method]:
        raise RuntimeError(f"poolkit has no GPU kernel for method {method!r} and {dtype}")
    return REDUCERS[method]


def _forward(
    x: Tensor, method: str, packed: Sequence[int], floats: Sequence[float], seed: Tensor | None, with_winners: bool
) -> tuple[Tensor, Tensor | None]:
    plan, reducer = plan_of(packed), _reducer(method, x.dtype)
    channels_last = is_channels_last(x, plan.rank)
    layout = _layout(x, plan, False, channels_last)
    y = _like(x, layout, plan, True, x.dtype)
    results = [y.view(torch.uint8) if y.dtype == torch.bool else y]
    winners = None
    if with_winners:
        if reducer.winner is None:
            raise RuntimeError("poolkit: this method has no winners")
        winners = _like(x, layout, plan, True, plan.winner_dtype)
        results.append(winners)
    if reducer.in_order and seed is None:
        raise RuntimeError("poolkit: this method draws: its seed is an int64 tensor of one number")
    number = 0 if seed is None else int(seed)
    program = reducer.winner if with_winners else reducer.value
    dense = _dense(x, plan, channels_last)
    _run(program, reducer.kind(floats, x.dtype), dense, None, results, plan, layout, floats, reducer.in_order, number)
    return y, winners


def pool(x: Tensor, method: str, windows: Sequence[int], params: Sequence[float], seed: Tensor | None = None) -> Tensor:
    return _forward(x, method, windows, params, seed, False)[0]


def pool_winners(
    x: Tensor, method: str, windows: Sequence[int], params: Sequence[float], seed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    y, winners = _forward(x, method, windows, params, seed, True)
    assert winners is not None
    return y, winners


def _survey(
    reducer: Reducer, x: Tensor, scores: Tensor | None, plan: Plan, layout: Layout, floats: Sequence[float]
) -> list[Tensor]:
    """What a program finds out about each window of an input."""
    number = _TYPES[device.accumulator(x.dtype)]
    dtypes = {"number": number, "integer": torch.int32, "key": torch.int64 if x.dtype == torch.float64 else torch.int32}
    kept = [_like(x, layout, plan, True, dtypes[what]) for what in reducer.kept]
    kind = reducer.kind(floats, x.dtype)
    _run(reducer.survey, kind, x, scores, kept, plan, layout, floats, reducer.survey_in_order)
    return kept


def _gather(
    pull: Program,
    kind: int,
    grad: Tensor,
    x: Tensor | None,
    scores: Tensor | None,
    kept: Sequence[Tensor],
    results: Sequence[Tensor],
    plan: Plan,
    layout: Layout,
    floats: Sequence[float],
) -> None:
    """Fill the gradients of the input, and of the scores."""
    total = results[0].numel()
    if total == 0:
        return
    first, second, third = (*kept, None, None, None)[:3]
    p, q = _two(floats)
    block = device.block_of(results[0], total)
    with device.on(grad):
        gather.pull[(triton.cdiv(total, block),)](
            grad,
            x,
            scores,
            first,
            second,
            third,
            results[0],
            results[1] if len(results) > 1 else None,
            total,
            layout.inner,
            plan.sizes,
            plan.outs,
            plan.lows,
            plan.highs,
            plan.extents,
            plan.covers,
            plan.divisor,
            p,
            q,
            PULL=pull,
            KIND=kind,
            ACC=device.accumulator(grad.dtype),
            KERNEL=plan.kernel,
            STRIDE=plan.stride,
            DILATION=plan.dilation,
            COUNTING=plan.counting,
            WIDE=max(total, grad.numel()) > device.LARGEST,
            BLOCK=block,
            num_warps=device.WARPS,
        )


def _operand(tensor: Tensor | None, like: Tensor, dtype: torch.dtype, plan: Plan, layout: Layout) -> Tensor:
    if tensor is None or tensor.shape != like.shape or tensor.dtype != dtype or tensor.device != like.device:
        raise RuntimeError(
            "poolkit: pool_backward lacks a tensor that this method saves, or it has the wrong shape, dtype or device"
        )
    return _dense(tensor, plan, layout.channels_last)


def pool_backward(
    grad: Tensor,
    x: Tensor | None,
    y: Tensor | None,
    winners: Tensor | None,
    method: str,
    windows: Sequence[int],
    params: Sequence[float],
    channels_last: bool,
) -> Tensor:
    plan, reducer = plan_of(windows), _reducer(method, grad.dtype)
    if reducer.pull is None:
        raise RuntimeError("poolkit: no kernel for the gradient of this method")
    channels_last = channels_last and plan.rank > 1 and grad.dim() == plan.rank + 2
    layout = _layout(grad, plan, True, channels_last)
    grad_x = _like(grad, layout, plan, False, grad.dtype)
    cells = None
    kept: list[Tensor] = []
    if "x" in reducer.reads or reducer.survey is not None:
        cells = _operand(x, grad_x, grad.dtype, plan, layout)
    if "y" in reducer.reads:
        kept = [_operand(y, grad, grad.dtype, plan, layout)]
    if "winners" in reducer.reads:
        kept = [_operand(winners, grad, plan.winner_dtype, plan, layout)]
    if reducer.survey is not None:
        assert cells is not None
        kept = _survey(reducer, cells, None, plan, layout, params)
    kind = (reducer.pull_kind or reducer.kind)(params, grad.dtype)
    dense = _dense(grad, plan, channels_last)
    cells = cells if "x" in reducer.reads else None
    _gather(reducer.pull, kind, dense, cells, None, kept, [grad_x], plan, layout, params)
    return grad_x


# Means weighted by the exponentials of logits: the method "soft" with these as its scores.
_BY_LOGITS = (1.0, 0.0)
_OF_LOGITS = 2  # the variant of its gradient


def pool_by_logits(x: Tensor, logits: Tensor, windows: Sequence[int]) -> Tensor:
    plan, reducer = plan_of(windows), _reducer("soft", x.dtype)
    channels_last = is_channels_last(x, plan.rank)
    layout = _layout(x, plan, False, channels_last)
    scores = _operand(logits, x, x.dtype, plan, layout)
    y = _like(x, layout, plan, True, x.dtype)
    _run(reducer.value, 0, _dense(x, plan, channels_last), scores, [y], plan, layout, _BY_LOGITS, False)
    return y


def pool_by_logits_backward(
    grad: Tensor, x: Tensor, logits: Tensor, windows: Sequence[int], channels_last: bool
) -> tuple[Tensor, Tensor]:
    plan, reducer = plan_of(windows), _reducer("soft", grad.dtype)
    channels_last = channels_last and plan.rank > 1 and grad.dim() == plan.rank + 2
    layout = _layout(grad, plan, True, channels_last)
    grad_x, grad_logits = (_like(grad, layout, plan, False, grad.dtype) for _ in range(2))
    cells = _operand(x, grad_x, grad.dtype, plan, layout)
    scores = _operand(logits, grad_x, grad.dtype, plan, layout)
    kept = _survey(reducer, cells, scores, plan, layout, _BY_LOGITS)
    dense, results = _dense(grad, plan, channels_last), [grad_x, grad_logits]
    _gather(reducer.pull, _OF_LOGITS, dense, cells, scores, kept, results, plan, layout, _BY_LOGITS)
    return grad_x, grad_logits


def winner_indices(winners: Tensor, windows: Sequence[int]) -> Tensor:
    """Winners as positions in their planes."""
    plan = plan_of(windows)
    channels_last = is_channels_last(winners, plan.rank)
    layout = _layout(winners, plan, True, channels_last)
    if winners.dtype != plan.winner_dtype:
        raise RuntimeError("poolkit: these winners do not belong to these windows")
    indices = _like(winners, layout, plan, True, torch.int64)
    total = indices.numel()
    if total:
        block = device.block_of(indices, total)
        with device.on(winners):
            _windows.positions[(triton.cdiv(total, block),)](
                _dense(winners, plan, channels_last),
                indices,
                total,
                layout.inner,
                plan.sizes,
                plan.outs,
                plan.lows,
                plan.extents,
                KERNEL=plan.kernel,
                STRIDE=plan.stride,
                DILATION=plan.dilation,
                WIDE=total > device.LARGEST,
                BLOCK=block,
                num_warps=device.WARPS,
            )
    return indices
