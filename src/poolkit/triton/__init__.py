"""The kernels for GPUs, written in Triton. See docs/gpu.md.

This module says what they can do, and imports triton only when they run.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import torch

#: The devices that have them; AMD's are "cuda" to torch.
DEVICES = frozenset(("cuda", "xpu"))

_FLOATS = frozenset((torch.float32, torch.float64, torch.float16, torch.bfloat16))
_INTEGERS = frozenset((torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64))

#: The dtypes that each kernel takes here.
DTYPES: dict[str, frozenset[torch.dtype]] = {
    "max": _FLOATS | _INTEGERS,
    "min": _FLOATS | _INTEGERS,
    "max_unpool": _FLOATS | _INTEGERS,
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
            "roi_align",
            "roi_pool",
            "sequences",
            "segments",
            "filter",
        ),
        _FLOATS,
    ),
}

#: The operators of torch.ops.poolkit that GPUs have, and the modules here that launch them.
OPERATORS = {
    **dict.fromkeys(
        (
            "pool",
            "pool_winners",
            "pool_backward",
            "pool_by_logits",
            "pool_by_logits_backward",
            "winner_indices",
        ),
        "launch",
    ),
    **dict.fromkeys(
        ("roi_align", "roi_align_backward", "roi_pool", "roi_pool_winners", "roi_pool_backward"), "launch_regions"
    ),
    **dict.fromkeys(
        (
            "sequence_sum",
            "sequence_sum_backward",
            "sequence_extreme",
            "sequence_extreme_winners",
            "sequence_extreme_backward",
            "sequence_statistics",
            "sequence_statistics_backward",
        ),
        "launch_sequences",
    ),
    **dict.fromkeys(
        (
            "segment_sum",
            "segment_spread",
            "segment_extreme",
            "segment_extreme_winners",
            "segment_extreme_backward",
            "segment_order",
        ),
        "launch_segments",
    ),
    "filter": "launch_filters",
    "max_unpool": "launch_unpool",
    "max_unpool_backward": "launch_unpool",
}


@functools.cache
def is_installed() -> bool:
    return importlib.util.find_spec("triton") is not None


@functools.cache
def operator(name: str) -> Callable[..., Any]:
    """What runs an operator."""
    function: Callable[..., Any] = getattr(importlib.import_module(f"poolkit.triton.{OPERATORS[name]}"), name)
    return function
