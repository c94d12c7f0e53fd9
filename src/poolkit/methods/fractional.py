"""Fractional max pooling."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_MAPS = {1: (2, 3, 7), 2: (2, 3, 5, 7), 3: (2, 3, 3, 5, 4)}
_SHRUNK = {1: (2, 3, 4), 2: (2, 3, 3, 4), 3: (2, 3, 2, 3, 3)}
_RANKS = (1, 2, 3)

FRACTIONAL_MAX = Layer(
    name="fractional_max",
    title="Fractional max pooling",
    formula="y_i = max of the cells a_i to a_(i+1), a_i = ceil((i + u) r) - ceil(u r), r = cells / outputs, u drawn",
    summary="Max pooling that shrinks a map by any factor, 1.4 say: regions of two neighbouring sizes alternate in an "
    "order that training draws anew at each call.",
    file="fractional",
    functions=tuple(f"fractional_max_pool{rank}d" for rank in _RANKS),
    modules=tuple(f"FractionalMaxPool{rank}d" for rank in _RANKS),
    native=True,
    trains=True,
    draws=True,
    papers=(
        Paper(kind="misc", authors="Graham, Benjamin", title="Fractional max-pooling", year=2014, arxiv="1412.6071"),
    ),
    samples=(
        *(
            Sample(
                f"FractionalMaxPool{rank}d",
                {"kernel_size": None, "output_size": _SHRUNK[rank][2:]},
                (_MAPS[rank],),
                _SHRUNK[rank],
            )
            for rank in _RANKS
        ),
        *(
            Sample(
                f"FractionalMaxPool{rank}d",
                {"kernel_size": 2, "output_size": _SHRUNK[rank][2:]},
                (_MAPS[rank],),
                _SHRUNK[rank],
            )
            for rank in _RANKS
        ),
        Sample(
            "FractionalMaxPool1d",
            {"kernel_size": None, "output_ratio": 0.6, "overlapping": False},
            (_MAPS[1],),
            _SHRUNK[1],
        ),
        Sample(
            "FractionalMaxPool3d",
            {"kernel_size": None, "output_ratio": (0.7, 0.7, 0.8), "sequence": "random", "granularity": "sample"},
            (_MAPS[3],),
            _SHRUNK[3],
        ),
        Sample(
            "FractionalMaxPool2d",
            {
                "kernel_size": None,
                "output_ratio": 0.6,
                "sequence": "random",
                "granularity": "batch",
                "overlapping": False,
            },
            (_MAPS[2],),
            _SHRUNK[2],
        ),
    ),
    invalid=(
        ("FractionalMaxPool2d", {"kernel_size": 2}, "output_size"),
        ("FractionalMaxPool2d", {"kernel_size": None, "output_size": 2, "output_ratio": 0.5}, "output_ratio"),
        ("FractionalMaxPool2d", {"kernel_size": None, "output_size": 0}, "output_size"),
        ("FractionalMaxPool1d", {"kernel_size": None, "output_ratio": 1.0}, "output_ratio"),
        ("FractionalMaxPool1d", {"kernel_size": None, "output_ratio": "half"}, "output_ratio"),
        ("FractionalMaxPool3d", {"kernel_size": None, "output_ratio": (0.5, 0.5)}, "output_ratio"),
        ("FractionalMaxPool2d", {"kernel_size": 0, "output_size": 2}, "kernel_size"),
        ("FractionalMaxPool2d", {"kernel_size": 2, "output_size": 2, "sequence": "random"}, "sequence"),
        ("FractionalMaxPool2d", {"kernel_size": None, "output_size": 2, "sequence": "even"}, "sequence"),
        ("FractionalMaxPool2d", {"kernel_size": None, "output_size": 2, "granularity": "cell"}, "granularity"),
        ("FractionalMaxPool2d", {"kernel_size": None, "output_size": 2, "overlapping": 1}, "overlapping"),
        ("FractionalMaxPool2d", {"kernel_size": None, "output_size": 2, "random_in_eval": "yes"}, "random_in_eval"),
    ),
    see=("max", "stochastic"),
)
