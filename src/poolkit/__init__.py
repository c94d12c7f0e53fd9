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

__version__ = "0.1.0"

#: Imported when first used: torch, NumPy and the rest are not needed for the geometry.
_LAZY_MODULES = ("functional", "nn", "numpy", "onnx", "samples")

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
    "onnx",
    "output_size",
    "receptive_field",
    "samples",
    "window_table",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return importlib.import_module(f"poolkit.{name}")
    if name == "explain":
        return importlib.import_module("poolkit._explain").explain
    raise AttributeError(f"module 'poolkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
