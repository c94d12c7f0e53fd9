"""How far apart two maps are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def distance(before: NDArray[Any], after: NDArray[Any]) -> float:
    """The root of the mean square of the difference, in standard deviations of what was before; NaN if it has
    none. Cells where either is not finite are left out."""
    finite = np.isfinite(before) & np.isfinite(after)
    if not finite.any():
        return math.nan
    spread = float(before[finite].std())
    return float(np.sqrt(np.mean((after[finite] - before[finite]) ** 2))) / spread if spread > 0 else math.nan
