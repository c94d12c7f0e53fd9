"""Lp pooling (sum |x|^p)^(1/p), power-average pooling (sum |x|^p / count)^(1/p), and GeM, which has max(x, q) for
|x|. The largest magnitude is divided out first, so that no power leaves its range. KIND is p where it is 1, 2 or 3."""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.elementary import is_finite, number, power
from poolkit.triton.reducers import extrema, means


@triton.jit
def lift_power(value, score, offset, valid, context):
    unit, p, KIND = context
    return (tl.where(valid, power(tl.abs(value) / unit, p, KIND), 0),)


@triton.jit
def lift_power_of_clamped(value, score, offset, valid, context):
    unit, p, least, KIND = context
    return (tl.where(valid, power(tl.where(value < least, least, value) / unit, p, KIND), 0),)


@triton.jit
def root(sum, p, KIND: tl.constexpr):
    if KIND == 1:
        return sum
    elif KIND == 2:
        return tl.sqrt(sum)
    else:
        return power(sum, 1 / p, 0)


@triton.jit
def is_settled(largest):
    """Whether the largest magnitude is the result: 0, infinity or NaN."""
    return (largest == 0) | ~is_finite(largest)


@triton.jit
def norm(FOLD: tl.constexpr, walk, divisor, p, KIND: tl.constexpr):
    low, high = extrema.ends(FOLD, walk)
    largest = extrema.largest_magnitude(low, high)
    unit = tl.where(is_settled(largest), 1, largest)
    (sum,) = FOLD(walk, lift_power, means.add, (unit, p, KIND))
    return (tl.where(is_settled(largest), largest, unit * root(sum / divisor, p, KIND)),)


@triton.jit
def lp(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    return norm(FOLD, walk, 1.0, number(window[2], window[0].dtype), KIND)


@triton.jit
def power_average(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    return norm(FOLD, walk, window[0], number(window[2], window[0].dtype), KIND)


@triton.jit
def generalised_mean(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    p, least = number(window[2], window[0].dtype), number(window[3], window[0].dtype)
    _, high = extrema.ends(FOLD, walk)
    largest = tl.where(high < least, least, high)
    unit = tl.where(is_settled(largest), 1, largest)
    (sum,) = FOLD(walk, lift_power_of_clamped, means.add, (unit, p, least, KIND))
    return (tl.where(is_settled(largest), largest, unit * root(sum / window[0], p, KIND)),)


@triton.jit
def slope(magnitude, y, gradient, p, KIND: tl.constexpr):
    """(|x| / y)^(p - 1): as a ratio it cannot overflow for p >= 1."""
    ratio = magnitude / y
    if KIND == 1:
        return gradient
    elif KIND == 0:
        return gradient * power(ratio, p - 1, 0)
    else:
        return gradient * power(ratio, p, KIND - 1)


@triton.jit
def pull_lp(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    """Nothing at 0, where the slope has no direction."""
    part = slope(tl.abs(value), kept[0], gradient, number(p, value.dtype), KIND)
    return (tl.where((value == 0) | (kept[0] == 0), 0, tl.where(value < 0, -part, part)),)


@triton.jit
def pull_power_average(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    return pull_lp(value, score, offset, gradient / count, count, kept, p, q, KIND)


@triton.jit
def pull_generalised_mean(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    least = number(q, value.dtype)
    part = slope(tl.where(value < least, least, value), kept[0], gradient / count, number(p, value.dtype), KIND)
    return (tl.where((value <= least) | (kept[0] == 0), 0, part),)
