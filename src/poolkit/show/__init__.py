"""Look at pooling: load a file, pool it by any method, and see what is left, what it came from and what is lost.

:func:`report` does all of it in one call; the parts are there for more:

>>> from poolkit.show import report
>>> report("terrain", ["max", ("lp", {"norm_type": 3})], shift=4).save("terrain.html")  # doctest: +SKIP
"""

from __future__ import annotations

from poolkit.show.field import Axis, Field, Subject
from poolkit.show.kept import Kept, kept
from poolkit.show.layers import pool_layer
from poolkit.show.loading import Selection, load
from poolkit.show.numbers import Numbers
from poolkit.show.picture import draw, draw_kept, draw_shifts, save
from poolkit.show.pooling import AdaptiveArguments, WindowArguments, pool
from poolkit.show.report import Report, report
from poolkit.show.shift import Shift, changes, shift
from poolkit.show.table import losses, shifts, sizes

__all__ = [
    "AdaptiveArguments",
    "Axis",
    "Field",
    "Kept",
    "Numbers",
    "Report",
    "Selection",
    "Shift",
    "Subject",
    "WindowArguments",
    "changes",
    "draw",
    "draw_kept",
    "draw_shifts",
    "kept",
    "load",
    "losses",
    "pool",
    "pool_layer",
    "report",
    "save",
    "shift",
    "shifts",
    "sizes",
]
