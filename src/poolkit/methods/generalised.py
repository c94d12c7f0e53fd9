"""Maximum and average mixed by learnt shares, and trees of learnt filters."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_MAPS = {1: (2, 3, 7), 2: (2, 3, 5, 7), 3: (2, 3, 3, 5, 4)}
_HALF = {1: (2, 3, 3), 2: (2, 3, 2, 3), 3: (2, 3, 1, 2, 2)}
_STRIDED = {1: (2, 3, 4), 2: (2, 3, 3, 4), 3: (2, 3, 2, 3, 2)}
_RANKS = (1, 2, 3)
_WINDOWS = {"kernel_size": 3, "stride": 2, "padding": 1}
_PAPERS = (
    Paper(
        authors="Lee, Chen-Yu and Gallagher, Patrick W. and Tu, Zhuowen",
        title="Generalizing pooling functions in convolutional neural networks: mixed, gated, and tree",
        venue="AISTATS",
        year=2016,
        arxiv="1509.08985",
    ),
)

LEARNT_MIXED = Layer(
    name="learnt_mixed",
    title="Mixed max-average pooling with a learnt share",
    formula="y = a max + (1 - a) average, a = sigmoid(t) learnt",
    summary="The maximum and the average of each window, mixed by a share that training finds, one for all channels or "
    "each.",
    file="generalised",
    native=True,
    functions=tuple(f"learnt_mixed_pool{rank}d" for rank in _RANKS),
    modules=tuple(f"LearntMixedPool{rank}d" for rank in _RANKS),
    papers=_PAPERS,
    samples=(
        *(Sample(f"LearntMixedPool{rank}d", {"kernel_size": 2}, (_MAPS[rank],), _HALF[rank]) for rank in _RANKS),
        *(
            Sample(
                f"LearntMixedPool{rank}d",
                {**_WINDOWS, "count_include_pad": False, "alpha": 0.75, "channels": 3},
                (_MAPS[rank],),
                _STRIDED[rank],
            )
            for rank in _RANKS
        ),
    ),
    invalid=(
        ("LearntMixedPool2d", {"kernel_size": 0}, "kernel_size"),
        ("LearntMixedPool2d", {"kernel_size": 2, "count_include_pad": "yes"}, "count_include_pad"),
        ("LearntMixedPool2d", {"kernel_size": 2, "alpha": 1.0}, "alpha"),
        ("LearntMixedPool2d", {"kernel_size": 2, "alpha": "half"}, "alpha"),
        ("LearntMixedPool2d", {"kernel_size": 2, "channels": 0}, "channels"),
    ),
    see=("gated", "tree", "mixed", "avg_max"),
)

GATED = Layer(
    name="gated",
    title="Gated max-average pooling",
    formula="y = g max + (1 - g) average, g = sigmoid(sum over the window of w x), w learnt",
    summary="The maximum and the average of each window, mixed by a share that a learnt filter reads off the window.",
    file="generalised",
    native=True,
    functions=tuple(f"gated_pool{rank}d" for rank in _RANKS),
    modules=tuple(f"GatedPool{rank}d" for rank in _RANKS),
    papers=_PAPERS,
    samples=(
        *(Sample(f"GatedPool{rank}d", {"kernel_size": 2}, (_MAPS[rank],), _HALF[rank]) for rank in _RANKS),
        *(
            Sample(
                f"GatedPool{rank}d",
                {**_WINDOWS, "count_include_pad": False, "channels": 3},
                (_MAPS[rank],),
                _STRIDED[rank],
            )
            for rank in _RANKS
        ),
    ),
    invalid=(
        ("GatedPool2d", {"kernel_size": 2, "stride": 0}, "stride"),
        ("GatedPool2d", {"kernel_size": 2, "count_include_pad": None}, "count_include_pad"),
        ("GatedPool2d", {"kernel_size": 2, "channels": -1}, "channels"),
    ),
    see=("learnt_mixed", "tree", "avg_max", "local_importance"),
)

TREE = Layer(
    name="tree",
    title="Tree pooling",
    formula="y = g f1 + (1 - g) f2, f1 and f2 leaves (sum of v x) or such nodes again, g = sigmoid(sum of w x)",
    summary="Learnt filters over each window are the leaves of a binary tree; learnt gates mix them in pairs, up to "
    "its root.",
    file="generalised",
    functions=tuple(f"tree_pool{rank}d" for rank in _RANKS),
    modules=tuple(f"TreePool{rank}d" for rank in _RANKS),
    papers=_PAPERS,
    samples=(
        *(Sample(f"TreePool{rank}d", {"kernel_size": 2}, (_MAPS[rank],), _HALF[rank]) for rank in _RANKS),
        Sample("TreePool2d", {"kernel_size": 2, "depth": 1}, (_MAPS[2],), _HALF[2]),
        *(
            Sample(f"TreePool{rank}d", {**_WINDOWS, "depth": 3, "channels": 3}, (_MAPS[rank],), _STRIDED[rank])
            for rank in _RANKS
        ),
    ),
    invalid=(
        ("TreePool2d", {"kernel_size": 2, "padding": 2}, "padding"),
        ("TreePool2d", {"kernel_size": 2, "depth": 0}, "depth"),
        ("TreePool2d", {"kernel_size": 2, "depth": 11}, "depth"),
        ("TreePool2d", {"kernel_size": 2, "channels": 1.5}, "channels"),
    ),
    see=("gated", "learnt_mixed"),
)
