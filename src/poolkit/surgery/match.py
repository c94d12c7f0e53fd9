"""How a new pooling starts where it replaces an old one: as near to it as its parameters allow."""

from __future__ import annotations

import math
from typing import Any

from poolkit.surgery.pooling import Pooling

#: For a new method and the one that it replaces, what it starts from; docs/swap.md says how near that is.
STARTS: dict[str, dict[str, dict[str, Any]]] = {
    "soft": {"max": {"temperature": 1e-3}, "avg": {"temperature": 1e3}},
    "log_sum_exp": {"max": {"r": 1e3}, "avg": {"r": 0.0}, "min": {"r": -1e3}},
    "lp": {"max": {"norm_type": math.inf}, "sum": {"norm_type": 1.0}},
    "power_avg": {"max": {"norm_type": math.inf}, "avg": {"norm_type": 1.0}},
    "gem": {"max": {"p": 100.0}, "avg": {"p": 1.0}},
    "mixed": {"max": {"p": 1.0}, "avg": {"p": 0.0}},
    "quantile": {"max": {"q": 1.0}, "min": {"q": 0.0}, "median": {"q": 0.5}},
    "top_k_mean": {"max": {"k": 1}},
    "trimmed_mean": {"avg": {"trim": 0.0}, "median": {"trim": 0.5}},
    "learnt_mixed": {"max": {"alpha": 0.999}, "avg": {"alpha": 0.001}},
    "learnt_log_sum_exp": {"max": {"r": 100.0}, "avg": {"r": 1e-3}},
    "LearntLPPool": {"sum": {"norm_type": 1.0}, "max": {"norm_type": 100.0}},
    "LearntPowerAvgPool": {"avg": {"norm_type": 1.0}, "max": {"norm_type": 100.0}},
    "LearntGeMPool": {"avg": {"p": 1.0}, "max": {"p": 100.0}},
}


def start(name: str, old: Pooling) -> dict[str, Any]:
    """The parameters that the new pooling starts from."""
    return STARTS.get(name, {}).get(old.method, {})
