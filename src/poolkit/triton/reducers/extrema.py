"""Maximum and minimum, and the maximum with the average. NaN wins over every number, the last NaN over the others; of
equals the first."""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.elementary import combination, number
from poolkit.triton.reducers import means

NONE = tl.constexpr(2**31 - 1)  # behind every offset


@triton.constexpr_function
def worst(dtype, largest):
    """What loses against every value."""
    if dtype.is_floating():
        return float("-inf") if largest else float("inf")
    low = -(2 ** (dtype.primitive_bitwidth - 1))
    return low if largest else -1 - low


@triton.jit
def lift_largest(value, score, offset, valid, context):
    return (tl.where(valid, value, tl.full((1,), worst(value.dtype, True), value.dtype)),)


@triton.jit
def lift_smallest(value, score, offset, valid, context):
    return (tl.where(valid, value, tl.full((1,), worst(value.dtype, False), value.dtype)),)


@combination
def larger(a, b):
    return (tl.where((b > a) | (b != b), b, a),)


@combination
def smaller(a, b):
    return (tl.where((b < a) | (b != b), b, a),)


@triton.jit
def lift_first_largest(value, score, offset, valid, context):
    (cell,) = lift_largest(value, score, offset, valid, context)
    return cell, tl.where(valid, offset, NONE)


@triton.jit
def lift_first_smallest(value, score, offset, valid, context):
    (cell,) = lift_smallest(value, score, offset, valid, context)
    return cell, tl.where(valid, offset, NONE)


@combination
def first_larger(a, at, b, b_at):
    nan = (b != b) & ((a == a) | (b_at > at))
    takes = (b > a) | ((b == a) & (b_at < at)) | nan
    return tl.where(takes, b, a), tl.where(takes, b_at, at)


@combination
def first_smaller(a, at, b, b_at):
    nan = (b != b) & ((a == a) | (b_at > at))
    takes = (b < a) | ((b == a) & (b_at < at)) | nan
    return tl.where(takes, b, a), tl.where(takes, b_at, at)


@triton.jit
def maximum(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    return FOLD(walk, lift_largest, larger, ())


@triton.jit
def minimum(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    return FOLD(walk, lift_smallest, smaller, ())


@triton.jit
def maximum_and_winner(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    return FOLD(walk, lift_first_largest, first_larger, ())


@triton.jit
def minimum_and_winner(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    return FOLD(walk, lift_first_smallest, first_smaller, ())


@triton.jit
def lift_mix(value, score, offset, valid, context):
    best, at = lift_first_largest(value, score, offset, valid, context)
    return best, at, tl.where(valid, value, 0)


@combination
def combine_mix(a, at, total, b, b_at, b_total):
    best, best_at = first_larger(a, at, b, b_at)
    return best, best_at, total + b_total


@triton.jit
def average_and_maximum(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    """p * average + q * maximum, and the winner."""
    best, at, total = FOLD(walk, lift_mix, combine_mix, ())
    a, b = number(window[2], best.dtype), number(window[3], best.dtype)
    return a * (total / window[0]) + b * best, at


@triton.jit
def pull(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    """The whole gradient for the winner."""
    return (tl.where(kept[0] == offset, gradient, 0),)


@triton.jit
def pull_mix(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    (shared,) = means.pull_average(value, score, offset, gradient, count, kept, p, q, KIND)
    (whole,) = pull(value, score, offset, gradient, count, kept, p, q, KIND)
    return (number(p, value.dtype) * shared + number(q, value.dtype) * whole,)


@triton.jit
def lift_ends(value, score, offset, valid, context):
    (high,) = lift_largest(score, score, offset, valid, context)
    (low,) = lift_smallest(score, score, offset, valid, context)
    return low, high


@combination
def combine_ends(low, high, other_low, other_high):
    (least,) = smaller(low, other_low)
    (most,) = larger(high, other_high)
    return least, most


@triton.jit
def ends(FOLD: tl.constexpr, walk):
    """The smallest and the largest score of a window; both NaN if one is."""
    return FOLD(walk, lift_ends, combine_ends, ())


@triton.jit
def largest_magnitude(low, high):
    return tl.where(low < -high, -low, high)
