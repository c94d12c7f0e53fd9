"""Numbers: powers, logarithms and exponentials near 1, the order of floats as integers."""

from __future__ import annotations

import triton
import triton.language as tl


def combination(function):
    """A function that combines two partial results, also for tl.reduce.

    That one takes the function itself, and not what wraps it when it came as an argument: COMBINE.itself.
    """
    jitted = triton.jit(function)
    jitted.itself = jitted
    return jitted


@triton.jit
def number(p, DTYPE: tl.constexpr):
    """A parameter, a double, in this type."""
    return tl.full((1,), p, DTYPE)


@triton.jit
def is_finite(x):
    return x - x == 0


@triton.jit
def power(x, p, KIND: tl.constexpr):
    """x to the power p for x >= 0; KIND says that p is 1, 2 or 3."""
    if KIND == 1:
        return x
    elif KIND == 2:
        return x * x
    elif KIND == 3:
        return x * x * x
    else:
        return tl.exp2(p * tl.log2(x))


@triton.jit
def exponential_less_one(x):
    """exp(x) - 1 for x up to 0, which near 0 the difference leaves few digits of: there by Taylor's series."""
    TERMS: tl.constexpr = 16 if x.dtype == tl.float64 else 9
    near = tl.where(x > -0.5, x, 0.0)
    series = near * 0 + 1.0
    for i in tl.static_range(TERMS, 1, -1):
        series = 1 + series * near / i
    return tl.where(x > -0.5, series * near, tl.exp(x) - 1)


@triton.jit
def logarithm_of_one_and(x):
    """log(1 + x) for x from -0.15 to 0, where the sum leaves few digits: the series of the inverse tangent."""
    TERMS: tl.constexpr = 8 if x.dtype == tl.float64 else 4
    s = x / (2 + x)
    square = s * s
    series = square * 0
    for i in tl.static_range(TERMS, -1, -1):
        series = series * square + 1 / (2 * i + 1)
    return 2 * s * series


@triton.constexpr_function
def key_bits(dtype):
    """How many of the leading bits of an accumulator tell the values of a storage type apart."""
    return {"fp64": 64, "fp32": 32, "fp16": 19, "bf16": 16}[str(dtype)]


@triton.jit
def key_of(x, BITS: tl.constexpr):
    """Integers in the order of the floats, NaN above all, both zeros alike: their leading bits."""
    x = tl.where(x == 0, 0.0, x)
    if x.dtype == tl.float64:
        bits = x.to(tl.int64, bitcast=True)
        flipped = bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)
        key = flipped.to(tl.uint64, bitcast=True) ^ tl.full((1,), 2**63, tl.uint64)
        return tl.where(x != x, tl.full((1,), 2**64 - 1, tl.uint64), key)
    else:
        bits = x.to(tl.int32, bitcast=True)
        flipped = bits ^ ((bits >> 31) & 0x7FFFFFFF)
        key = flipped.to(tl.uint32, bitcast=True) ^ tl.full((1,), 2**31, tl.uint32)
        return tl.where(x != x, tl.full((1,), 2**32 - 1, tl.uint32), key) >> (32 - BITS)
