"""Stochastic pooling: cells are drawn with a probability in proportion to their positive part, or averaged with these
probabilities as weights."""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.elementary import combination, is_finite
from poolkit.triton.reducers import extrema, softmax


@triton.jit
def uniform(seed, number, DTYPE: tl.constexpr):
    """A number in [0, 1) for each window: the upper 24 bits of its word of Philox4x32-10."""
    block = number >> 2
    zero = (block * 0).to(tl.uint32)
    a, b, c, d = tl.philox(seed, block.to(tl.uint32), (block >> 32).to(tl.uint32), zero, zero)
    even, odd = tl.where(number & 2 == 0, a, c), tl.where(number & 2 == 0, b, d)
    return (tl.where(number & 1 == 0, even, odd) >> 8).to(DTYPE) * 2.0**-24


@triton.jit
def lift_survey(value, score, offset, valid, context):
    """The sum of the positive parts, the largest, the last NaN."""
    part = tl.where(valid & (value > 0), value, 0)
    return part, part, tl.where(valid & (value != value), offset, -1)


@combination
def combine_survey(sum, largest, lost, other_sum, other_largest, other_lost):
    return sum + other_sum, tl.maximum(largest, other_largest), tl.maximum(lost, other_lost)


@triton.jit
def weight(value, valid, sum, largest):
    """The positive part; its share of the largest where the sum is infinite; the same for all where it is 0."""
    part = tl.where(value > 0, value, 0)
    share = tl.where(value == largest, 1, part / largest)
    part = tl.where(is_finite(sum), part, share)
    return tl.where(valid, tl.where(sum == 0, 1, part), 0)


@triton.jit
def lift_weight(value, score, offset, valid, context):
    return (weight(value, valid, context[0], context[1]),)


@combination
def add(a, b):
    return (a + b,)


@triton.jit
def lift_drawn(value, score, offset, valid, context):
    sum, largest, target = context
    part = weight(value, valid, sum, largest)
    return part, tl.where(valid, value, 0), offset + tl.zeros_like(offset), target + part * 0


@combination
def draw(before, value, at, target, part, other, other_at, its_target):
    """For walks in order alone: the last cell before which the weights do not exceed the target."""
    takes = (part > 0) & (before <= its_target)
    return before + part, tl.where(takes, other, value), tl.where(takes, other_at, at), its_target


@triton.jit
def stochastic(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    """The cell drawn, or 0 where none is positive, and its offset. NaN wins, the last one."""
    sum, largest, lost = FOLD(walk, lift_survey, combine_survey, ())
    (total,) = FOLD(walk, lift_weight, add, (sum, largest))
    target = uniform(window[4], window[5], total.dtype) * total
    _, value, at, _ = FOLD(walk, lift_drawn, draw, (sum, largest, target))
    value = tl.where(sum == 0, 0, value)
    return tl.where(lost >= 0, float("nan"), value), tl.where(lost >= 0, lost, at)


@triton.jit
def lift_squares(value, score, offset, valid, context):
    share = tl.where(valid & (value > 0), value / context[0], 0)
    return share, share * share


@triton.jit
def stochastic_mean(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    """The expectation: sum of r * r over sum of r, where r = max(x, 0), and 0 where no cell is positive."""
    _, high = extrema.ends(FOLD, walk)
    largest = tl.where(high < 0, 0, high)
    settled = (largest == 0) | ~is_finite(largest)
    shares, squares = FOLD(walk, lift_squares, softmax.add_both, (tl.where(settled, 1, largest),))
    return (tl.where(settled, largest, largest * (squares / shares)),)


@triton.jit
def pull_stochastic_mean(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    """The gradient comes divided by the sum of the window's positive cells."""
    return (tl.where((value > 0) & (kept[0] != 0), gradient * (value + value - kept[0]), 0),)
