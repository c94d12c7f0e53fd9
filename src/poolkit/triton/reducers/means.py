"""Sum and average."""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.elementary import combination


@triton.jit
def lift(value, score, offset, valid, context):
    return (tl.where(valid, value, 0),)


@combination
def add(a, b):
    return (a + b,)


@triton.jit
def total(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    return FOLD(walk, lift, add, ())


@triton.jit
def average(FOLD: tl.constexpr, walk, window, KIND: tl.constexpr):
    (sum,) = FOLD(walk, lift, add, ())
    return (sum / window[0],)


@triton.jit
def pull_total(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    return (gradient,)


@triton.jit
def pull_average(value, score, offset, gradient, count, kept, p, q, KIND: tl.constexpr):
    return (gradient / count,)
