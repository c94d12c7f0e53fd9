"""Maximum and minimum."""

from __future__ import annotations

from poolkit.methods.method import Method, Step
from poolkit.methods.row import Paper

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
    papers=(
        Paper(
            kind="article",
            authors="Riesenhuber, Maximilian and Poggio, Tomaso",
            title="Hierarchical models of object recognition in cortex",
            venue="Nature Neuroscience",
            year=1999,
            doi="10.1038/14819",
        ),
        Paper(
            authors="Ranzato, Marc'Aurelio and Huang, Fu Jie and Boureau, Y-Lan and LeCun, Yann",
            title="Unsupervised learning of invariant feature hierarchies with applications to object recognition",
            venue="CVPR",
            year=2007,
            doi="10.1109/CVPR.2007.383157",
        ),
    ),
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
    papers=(
        Paper(
            kind="book",
            authors="Serra, Jean",
            title="Image Analysis and Mathematical Morphology",
            venue="Academic Press",
            year=1982,
        ),
    ),
    remark="as erosion by a flat element",
    see=("max",),
)
