"""Looks at the poolings of a model and changes them: summary, swap, drift, accelerate."""

from __future__ import annotations

from poolkit.surgery.accelerate import accelerate
from poolkit.surgery.drift import drift
from poolkit.surgery.summary import summary
from poolkit.surgery.swap import swap

__all__ = ["accelerate", "drift", "summary", "swap"]
