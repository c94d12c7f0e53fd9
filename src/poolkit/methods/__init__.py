"""The table of pooling methods: one row declares a method, everything else follows from it."""

from __future__ import annotations

from poolkit.errors import ArgumentError
from poolkit.methods.draws import STOCHASTIC
from poolkit.methods.extrema import MAX, MIN
from poolkit.methods.means import AVG, SUM
from poolkit.methods.method import (
    COUNT_FIXED,
    COUNT_PADDED,
    COUNT_VALID,
    REQUIRED,
    Cells,
    Kernel,
    Method,
    Param,
    Step,
)
from poolkit.methods.mixes import AVG_MAX, MIXED
from poolkit.methods.norms import LP, POWER_AVG
from poolkit.methods.ranks import MEDIAN, QUANTILE, TOP_K_MEAN
from poolkit.methods.softmax import SOFT

METHODS: dict[str, Method] = {
    m.name: m
    for m in (MAX, MIN, AVG, SUM, LP, POWER_AVG, AVG_MAX, SOFT, MIXED, STOCHASTIC, MEDIAN, QUANTILE, TOP_K_MEAN)
}

#: What the methods run, by the names that steps use.
KERNELS: dict[str, Kernel] = {kernel.name: kernel for m in METHODS.values() for kernel in m.own_kernels}


def get(name: str) -> Method:
    """The method of this name."""
    try:
        return METHODS[name]
    except (KeyError, TypeError):
        raise ArgumentError(f"method must be one of {', '.join(map(repr, METHODS))}, but got {name!r}") from None


__all__ = [
    "COUNT_FIXED",
    "COUNT_PADDED",
    "COUNT_VALID",
    "KERNELS",
    "METHODS",
    "REQUIRED",
    "Cells",
    "Kernel",
    "Method",
    "Param",
    "Step",
    "get",
]
