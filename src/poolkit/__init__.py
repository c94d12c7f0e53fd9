"""poolkit: every pooling method of deep learning, one API, at memory speed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from poolkit._cite import cite
from poolkit.errors import ArgumentError
from poolkit.geometry import ReceptiveField, output_size, receptive_field, window_table
from poolkit.methods import LAYERS, METHODS

if TYPE_CHECKING:
    from poolkit import functional, nn, numpy, onnx, samples
    from poolkit._explain import explain
    from poolkit._use import use, use_everywhere
    from poolkit.surgery.accelerate import accelerate
    from poolkit.surgery.drift import drift
    from poolkit.surgery.summary import summary
    from poolkit.surgery.swap import swap

__version__ = "0.1.0"

#: Imported when first used: torch, NumPy and the rest are not needed for the geometry.
_LAZY_MODULES = ("functional", "nn", "numpy", "onnx", "samples")
_LAZY_FUNCTIONS = {"explain": "_explain", "use": "_use", "use_everywhere": "_use"}
_LAZY_FUNCTIONS |= dict.fromkeys(("accelerate", "drift", "summary", "swap"), "surgery")

__all__ = [
    "LAYERS",
    "METHODS",
    "ArgumentError",
    "ReceptiveField",
    "accelerate",
    "cite",
    "drift",
    "explain",
    "functional",
    "nn",
    "numpy",
    "onnx",
    "output_size",
    "receptive_field",
    "samples",
    "summary",
    "swap",
    "use",
    "use_everywhere",
    "window_table",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return importlib.import_module(f"poolkit.{name}")
    if name in _LAZY_FUNCTIONS:
        return getattr(importlib.import_module(f"poolkit.{_LAZY_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module 'poolkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
