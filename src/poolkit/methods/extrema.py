"""Maximum and minimum."""

from __future__ import annotations

from poolkit.methods.method import Method, Step

MAX = Method(
    name="max",
    class_name="Max",
    title="Max pooling",
    formula="y = max over the window of x",
    summary="Keeps the largest value of each window. NaN wins; of equals the first in row-major order.",
    winner=lambda cells: cells.winner(largest=True),
    gradient="winner",
    steps=lambda params, named: (Step("max"),),
    returns_indices=True,
    integers="all",
    order=("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    module_order=("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"),
    shown=("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    cite="Riesenhuber and Poggio, Hierarchical models of object recognition in cortex, 1999; "
    "Ranzato, Huang, Boureau and LeCun, CVPR 2007",
    see=("min", "avg_max"),
)

MIN = Method(
    name="min",
    class_name="Min",
    title="Min pooling",
    formula="y = min over the window of x",
    summary="Keeps the smallest value of each window. NaN wins; of equals the first in row-major order.",
    winner=lambda cells: cells.winner(largest=False),
    gradient="winner",
    steps=lambda params, named: (Step("min"),),
    returns_indices=True,
    integers="all",
    order=MAX.order,
    module_order=MAX.module_order,
    shown=MAX.shown,
    cite="Erosion by a flat element: Serra, Image Analysis and Mathematical Morphology, 1982",
    see=("max",),
)
