"""poolkit: every pooling method of deep learning, one API, at memory speed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from poolkit._cite import cite
from poolkit.errors import ArgumentError
from poolkit.geometry import ReceptiveField, output_size, receptive_field, window_table
from poolkit.methods import LAYERS, METHODS

if TYPE_CHECKING:
    from poolkit import functional, nn, numpy, samples
    from poolkit._explain import explain
    from poolkit._use import use, use_everywhere

__version__ = "0.1.0"

#: Imported when first used: torch, NumPy and the rest are not needed for the geometry.
_LAZY_MODULES = ("functional", "nn", "numpy", "samples")
_LAZY = {"explain": "poolkit._explain", "use": "poolkit._use", "use_everywhere": "poolkit._use"}

__all__ = [
    "LAYERS",
    "METHODS",
    "ArgumentError",
    "ReceptiveField",
    "cite",
    "explain",
    "functional",
    "nn",
    "numpy",
    "output_size",
    "receptive_field",
    "samples",
    "use",
    "use_everywhere",
    "window_table",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return importlib.import_module(f"poolkit.{name}")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'poolkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
