"""How far the cells of a window lie apart: range, variance, standard deviation."""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.elementary import combination, is_finite, number
from poolkit.triton.reducers import extrema


@triton.jit
def lift_places(value, score, offset, valid, context):
    high, high_at = extrema.lift_first_largest(value, score, offset, valid, context)
    low, low_at = extrema.lift_first_smallest(value, score, offset, valid, context)
    return high, high_at, low, low_at


@combination
def combine_places(high, high_at, low, low_at, other_high, other_high_at, other_low, other_low_at):
    most, most_at = extrema.first_larger(high, high_at, other_high, other_high_at)
    least, least_at = extrema.first_smaller(low, low_at, other_low, other_low_at)
    return most, most_at, least, least_at


@triton.jit
def range_of(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    low, high = extrema.ends(FOLD, walk)
    return (high - low,)


@triton.jit
def places(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    """Where the largest and the smallest cells are."""
    _, high_at, _, low_at = FOLD(walk, lift_places, combine_places, ())
    return high_at, low_at


@triton.jit
def pull_range(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    """The largest gains what the smallest loses; one cell that is both gains nothing."""
    gained = tl.where(kept[0] == offset, gradient, 0)
    lost = tl.where(kept[1] == offset, gradient, 0)
    return (tl.where(kept[0] == kept[1], 0, gained - lost),)


@triton.jit
def lift_moments(value, score, offset, valid, context):
    cell = tl.where(valid, value / context[0], 0)
    return tl.where(valid, cell * 0 + 1, 0), cell, cell * 0


@combination
def combine_moments(count, mean, squares, other_count, other_mean, other_squares):
    """Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979."""
    both = count + other_count
    share = other_count / tl.where(both == 0, 1, both)
    apart = other_mean - mean
    return both, mean + apart * share, squares + other_squares + apart * apart * (count * share)


@triton.jit
def deviation(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    """The mean, and the variance in units that keep squares in range; KIND is 1 where the divisor is one less."""
    low, high = extrema.ends(FOLD, walk)
    largest = extrema.largest_magnitude(low, high)
    unit = tl.where((largest > 1e9) & is_finite(largest), largest, 1)
    count, mean, squares = FOLD(walk, lift_moments, combine_moments, (unit,))
    return mean, squares / freedom(count, KIND), unit


@triton.jit
def freedom(count, KIND: tl.constexpr):
    """What squares are divided by: one cell has no deviation."""
    if KIND == 1:
        return tl.where(count > 1, count - 1, count)
    else:
        return count


@triton.jit
def mean_and_variance(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    mean, part, unit = deviation(FOLD, walk, window, KIND)
    return mean * unit, part * unit * unit


@triton.jit
def mean_and_standard_deviation(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    mean, part, unit = deviation(FOLD, walk, window, KIND)
    return mean * unit, tl.sqrt(part + number(window[3], part.dtype) / unit / unit) * unit


@triton.jit
def variance(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    _, y = mean_and_variance(FOLD, walk, window, KIND)
    return (y,)


@triton.jit
def standard_deviation(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    _, y = mean_and_standard_deviation(FOLD, walk, window, KIND)
    return (y,)


@triton.jit
def pull_variance(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    return (gradient / freedom(count, KIND) * (2 * (value - kept[0])),)


@triton.jit
def pull_standard_deviation(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    return (gradient / freedom(count, KIND) * ((value - kept[0]) / kept[1]),)
