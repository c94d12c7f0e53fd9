"""SoftPool: the mean of a window's cells, weighted by the softmax of the cells themselves, or of logits as in local
importance pooling. And the logarithm of a window's exponentials, whose gradient that softmax is."""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.elementary import (
    combination,
    exponential_less_one,
    is_finite,
    logarithm_of_one_and,
    number,
)
from poolkit.triton.reducers import extrema, means


@triton.jit
def weight(score, top, slope):
    """The largest weight is 1, so that none overflows; also where it is infinity that stands above."""
    return tl.where(score == top, 1, tl.exp((score - top) * slope))


@triton.jit
def lift_weights(value, score, offset, valid, context):
    top, slope, unit = context
    share = tl.where(valid, weight(score, top, slope), 0)
    part = tl.where((share == 0) & (value == value), 0, share * (value * unit))
    return share, tl.where(valid, part, 0)


@combination
def add_both(a, b, c, d):
    return a + c, b + d


@triton.jit
def soft_sums(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    """The largest score, the sum of the weights, the mean."""
    low, top = extrema.ends(FOLD, walk)
    # Large cells are halved until no sum of them leaves the range.
    unit = tl.where(extrema.largest_magnitude(low, top) > 1e30, 2.0**-32, 1.0).to(top.dtype)
    weights, sum = FOLD(walk, lift_weights, add_both, (top, 1 / number(window[2], top.dtype), unit))
    return top, weights, sum / weights / unit


@triton.jit
def soft(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    _, _, mean = soft_sums(FOLD, walk, window, KIND)
    return (mean,)


@triton.jit
def pull_soft(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    """dy / dx = w (1 + slope (x - y)), w being the cell's share of the weights; w alone where KIND is 1. Of logits t:
    dy / dx = w and dy / dt = w (x - y)."""
    top, weights, mean = kept
    slope = 1 / number(p, value.dtype)
    share = weight(score, top, slope)
    whole = gradient / weights * share
    by_weight = whole * (slope * (value - mean))
    nothing = share == 0
    if KIND == 0:
        return (tl.where(nothing, 0, whole + by_weight),)
    elif KIND == 1:
        return (tl.where(nothing, 0, whole),)
    else:
        return tl.where(nothing, 0, whole), tl.where(nothing, 0, by_weight)


@triton.jit
def lift_exponentials(value, score, offset, valid, context):
    top, slope = context
    below = tl.where(value == top, 0, (value - top) * slope)
    return tl.where(valid, tl.exp(below), 0), tl.where(valid, exponential_less_one(below), 0)


@triton.jit
def top_of(FOLD: tl.constexpr, walk, slope):
    low, high = extrema.ends(FOLD, walk)
    return tl.where(slope < 0, low, high)


@triton.jit
def log_sum_exp(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    """ln(sum of exp(p x)) / p, or, where KIND is 1, of their mean."""
    slope = number(window[2], window[0].dtype)
    top = top_of(FOLD, walk, slope)
    sum, less = FOLD(walk, lift_exponentials, add_both, (top, slope))
    if KIND == 1:
        # Where all cells are near the top, that is the logarithm of nearly 1.
        cells = window[1].to(sum.dtype)
        part = sum / cells
        near = part > 0.9
        part = tl.where(near, logarithm_of_one_and(tl.where(near, less / cells, 0)), tl.log(part))
    else:
        part = tl.log(sum)
    return (tl.where(is_finite(top), top + part / slope, top),)


@triton.jit
def lift_weight(value, score, offset, valid, context):
    top, slope = context
    return (tl.where(valid, weight(value, top, slope), 0),)


@triton.jit
def top_and_weights(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    slope = number(window[2], window[0].dtype)
    top = top_of(FOLD, walk, slope)
    (weights,) = FOLD(walk, lift_weight, means.add, (top, slope))
    return top, weights


@triton.jit
def pull_log_sum_exp(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    share = weight(value, kept[0], number(p, value.dtype))
    return (tl.where(share == 0, 0, gradient / kept[1] * share),)
