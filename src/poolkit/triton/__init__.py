"""The kernels for GPUs, written in Triton. See docs/gpu.md.

This module says what they can do, and imports triton only when they run.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from types import ModuleType

import torch

#: The devices that have them; AMD's are "cuda" to torch.
DEVICES = frozenset(("cuda", "xpu"))

_FLOATS = frozenset((torch.float32, torch.float64, torch.float16, torch.bfloat16))
_INTEGERS = frozenset((torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64))

#: The dtypes that each kernel takes here.
DTYPES: dict[str, frozenset[torch.dtype]] = {
    "max": _FLOATS | _INTEGERS,
    "min": _FLOATS | _INTEGERS,
    **dict.fromkeys(
        (
            "avg",
            "sum",
            "lp",
            "power_avg",
            "avg_max",
            "quantile",
            "quantile_linear",
            "top_k_mean",
            "stochastic",
            "stochastic_mean",
            "soft",
            "log_sum_exp",
            "gem",
            "range",
            "std",
            "var",
        ),
        _FLOATS,
    ),
}

#: The operators of torch.ops.poolkit that the launcher has.
OPERATORS = (
    "pool",
    "pool_winners",
    "pool_backward",
    "pool_by_logits",
    "pool_by_logits_backward",
    "winner_indices",
)


@functools.cache
def is_installed() -> bool:
    return importlib.util.find_spec("triton") is not None


@functools.cache
def launcher() -> ModuleType:
    """The module that runs the kernels."""
    return importlib.import_module("poolkit.triton.launch")
