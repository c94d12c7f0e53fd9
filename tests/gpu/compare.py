"""How near an interpreted kernel must be to the operator of the C++ core in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from poolkit import ops

assert ops.HAS_KERNELS
CORE = torch.ops.poolkit
ROUNDING = {torch.float64: 1e-11, torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


def near(actual: Tensor, expected: Tensor, rounding: float) -> None:
    """NaN and infinities in the same places, the rest within `rounding` of the largest."""
    finite = expected.double()[expected.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    actual, expected = actual.double(), expected.to(actual.dtype).double()
    torch.testing.assert_close(actual, expected, rtol=rounding, atol=rounding * scale, equal_nan=True)


def surrounded(values: Tensor, dtype: torch.dtype) -> Tensor:
    """The same values, strides and all, inside memory full of NaN, so that a cell read beside them shows."""
    around = torch.full((values.numel() + 64,), math.nan).to(dtype)
    x = around.as_strided(values.shape, values.stride(), 32)
    x.copy_(values)
    return x
