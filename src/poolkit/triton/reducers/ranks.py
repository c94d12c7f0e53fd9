"""Quantiles (the median is one) and the mean of the largest, by the bits of the cells' keys: the cell of a rank is
found from the highest bit to the lowest, by counting the cells that have at least so large a key. NaN wins over every
number; of equals the first."""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.elementary import combination, key_bits, key_of, number
from poolkit.triton.reducers import extrema, means


@triton.jit
def lift_count(value, score, offset, valid, context):
    least, BITS = context
    return ((valid & (key_of(value, BITS) >= least)).to(tl.int32),)


@triton.jit
def ranked(FOLD: tl.constexpr, walk, k, BITS: tl.constexpr):
    """The key of the k-th largest cell."""
    edge = (k * 0).to(tl.uint64 if BITS == 64 else tl.uint32)
    bit = edge + 1
    for i in range(BITS):
        candidate = edge | (bit << (BITS - 1 - i))
        (count,) = FOLD(walk, lift_count, means.add, (candidate, BITS))
        edge = tl.where(count >= k, candidate, edge)
    return edge


@triton.jit
def lift_chosen(value, score, offset, valid, context):
    """The first cell with this key, and the last NaN."""
    edge, BITS = context
    chosen = valid & (key_of(value, BITS) == edge)
    lost = valid & (value != value)
    return tl.where(chosen, value, 0), tl.where(chosen, offset, extrema.NONE), tl.where(lost, offset, -1)


@combination
def first_chosen(value, at, lost, other, other_at, other_lost):
    takes = other_at < at
    return tl.where(takes, other, value), tl.where(takes, other_at, at), tl.maximum(lost, other_lost)


@triton.jit
def place(q, cells):
    """How far from the smallest to the largest, as a rank and the rest."""
    position = number(q, tl.float64) * (cells - 1).to(tl.float64)
    rank = position.to(tl.int32)
    return rank, position - rank.to(tl.float64)


@triton.jit
def without_sign(value):
    """Zeros of either sign are equal, and come out as the positive one."""
    return tl.where(value == 0, 0, value)


@triton.jit
def quantile(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    """The cell at p of the way from the smallest to the largest, and its offset; KIND says which of two: the lower, the
    higher or the nearest, of two as near that of even rank."""
    BITS: tl.constexpr = key_bits(walk[0].dtype.element_ty)
    rank, rest = place(window[2], window[1])
    if KIND == 1:
        rank += (rest > 0).to(tl.int32)
    elif KIND == 2:
        rank += ((rest > 0.5) | ((rest == 0.5) & (rank % 2 == 1))).to(tl.int32)
    edge = ranked(FOLD, walk, window[1] - rank, BITS)
    value, at, lost = FOLD(walk, lift_chosen, first_chosen, (edge, BITS))
    return tl.where(lost >= 0, float("nan"), without_sign(value)), tl.where(lost >= 0, lost, at)


@triton.jit
def lift_next(value, score, offset, valid, context):
    """How many cells are not above this key, the smallest that are, and the largest that are not."""
    edge, BITS = context
    above = valid & (key_of(value, BITS) > edge)
    below = valid & ~above
    return below.to(tl.int32), tl.where(above, value, float("inf")), tl.where(below, value, float("-inf"))


@combination
def combine_next(count, above, below, other_count, other_above, other_below):
    (least,) = extrema.smaller(above, other_above)
    (most,) = extrema.larger(below, other_below)
    return count + other_count, least, most


@triton.jit
def quantile_linear(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    """The same, interpolated between the two cells."""
    BITS: tl.constexpr = key_bits(walk[0].dtype.element_ty)
    rank, rest = place(window[2], window[1])
    edge = ranked(FOLD, walk, window[1] - rank, BITS)
    count, above, low = FOLD(walk, lift_next, combine_next, (edge, BITS))
    share = rest.to(low.dtype)
    high = tl.where(count > rank + 1, low, above)
    mixed = tl.where(rest == 0, low, low * (1 - rest).to(low.dtype) + high * share)
    return (tl.where(above != above, above, without_sign(mixed)),)


@triton.jit
def most(p, cells):
    """The k of top-k, at most all cells."""
    k = tl.minimum(number(p, tl.float64), cells.to(tl.float64)).to(tl.int32)
    return tl.maximum(k, 1)


@triton.jit
def lift_above(value, score, offset, valid, context):
    """How many cells have a larger key than the k-th largest, their sum, and that one."""
    edge, BITS = context
    key = key_of(value, BITS)
    above, equal = valid & (key > edge), valid & (key == edge)
    return above.to(tl.int32), tl.where(above, value, 0), tl.where(equal, value, float("-inf"))


@combination
def combine_above(count, sum, edge, other_count, other_sum, other_edge):
    (equal,) = extrema.larger(edge, other_edge)
    return count + other_count, sum + other_sum, equal


@triton.jit
def top_k_mean(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    """The mean of the p largest, or of all where a window has fewer: those above the k-th, and as many times that one
    as are left."""
    BITS: tl.constexpr = key_bits(walk[0].dtype.element_ty)
    k = most(window[2], window[1])
    edge = ranked(FOLD, walk, k, BITS)
    above, sum, value = FOLD(walk, lift_above, combine_above, (edge, BITS))
    return ((sum + (k - above).to(sum.dtype) * value) / k.to(sum.dtype),)


@triton.jit
def lift_equal(value, score, offset, valid, context):
    edge, left, BITS = context
    equal = valid & (key_of(value, BITS) == edge)
    return equal.to(tl.int32), tl.where(equal, offset, -1), left + tl.zeros_like(offset)


@combination
def last_of_those_left(count, at, left, other_count, other_at, other_left):
    """For walks in order alone: the offset of the last cell that is still taken."""
    takes = (other_count > 0) & (count < other_left)
    return count + other_count, tl.where(takes, other_at, at), other_left


@triton.jit
def edge_of_the_largest(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    """The key of the k-th largest cell, the last cell of that key that counts, and k."""
    BITS: tl.constexpr = key_bits(walk[0].dtype.element_ty)
    k = most(window[2], window[1])
    edge = ranked(FOLD, walk, k, BITS)
    above, _, _ = FOLD(walk, lift_above, combine_above, (edge, BITS))
    _, at, _ = FOLD(walk, lift_equal, last_of_those_left, (edge, k - above, BITS))
    return edge, at, k


@triton.jit
def pull_top_k_mean(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    """KIND says how many bits the keys have."""
    key, edge = key_of(value, KIND), kept[0].to(key_of(value, KIND).dtype, bitcast=True)
    takes = (key > edge) | ((key == edge) & (offset <= kept[1]))
    return (tl.where(takes, gradient / kept[2].to(value.dtype), 0),)
