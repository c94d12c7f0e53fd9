"""Pooling along the rows and columns of a map, and the blocks built on it."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_MAPS = {2: (2, 3, 4, 5), 3: (2, 3, 3, 2, 4)}

STRIP_PAPER = Paper(
    authors="Hou, Qibin and Zhang, Li and Cheng, Ming-Ming and Feng, Jiashi",
    title="Strip pooling: rethinking spatial pooling for scene parsing",
    venue="CVPR",
    year=2020,
    arxiv="2003.13328",
)

STRIP = Layer(
    name="strip",
    title="Strip pooling",
    formula="y = [mean, max or min of every row; of every column]",
    summary="One number for each row of a map and one for each column: windows as long as the map and one cell wide.",
    file="strips",
    native=True,
    functions=tuple(f"strip_pool{rank}d" for rank in _MAPS),
    modules=tuple(f"StripPool{rank}d" for rank in _MAPS),
    papers=(STRIP_PAPER,),
    samples=(
        *(Sample(f"StripPool{rank}d", {}, (size,), (2, 3, sum(size[2:]))) for rank, size in _MAPS.items()),
        Sample("StripPool3d", {"kind": "min"}, (_MAPS[3],), (2, 3, 9)),
        Sample("StripPool2d", {"kind": "max"}, (_MAPS[2],), (2, 3, 9)),
    ),
    invalid=(
        ("StripPool2d", {"kind": "avg"}, "kind"),
        ("StripPool2d", {"kind": ["max"]}, "kind"),
        ("StripPool3d", {"kind": None}, "kind"),
    ),
    see=("spm", "coordinate_attention", "center", "avg"),
)

SPM = Layer(
    name="spm",
    title="Strip pooling module",
    formula="y = x * sigmoid(W relu(conv(means of rows) + conv(means of columns)))",
    summary="Weighs every cell by what its row and its column say, each after a convolution along the strip.",
    file="strips",
    native=True,
    trains=True,
    functions=(),
    modules=tuple(f"SPM{rank}d" for rank in _MAPS),
    papers=(STRIP_PAPER,),
    samples=(
        *(Sample(f"SPM{rank}d", {"in_channels": 3}, (size,), size) for rank, size in _MAPS.items()),
        Sample("SPM2d", {"in_channels": 3, "kernel_size": (1, 5)}, (_MAPS[2],), _MAPS[2]),
    ),
    invalid=(
        ("SPM2d", {"in_channels": 0}, "in_channels"),
        ("SPM2d", {"in_channels": 3, "kernel_size": 2}, "kernel_size"),
        ("SPM3d", {"in_channels": 3, "kernel_size": (3, 3)}, "kernel_size"),
    ),
    see=("strip", "coordinate_attention", "cbam"),
)

COORDINATE_ATTENTION = Layer(
    name="coordinate_attention",
    title="Coordinate attention",
    formula="y[i, j] = x[i, j] * sigmoid(W_h t[i]) * sigmoid(W_w t[j]), t = hardswish(norm(W [row and column means]))",
    summary="Squeeze-and-excitation that knows where: a weight for every row of every channel, and one for every "
    "column.",
    file="strips",
    native=True,
    trains=True,
    functions=(),
    modules=tuple(f"CoordinateAttention{rank}d" for rank in _MAPS),
    papers=(
        Paper(
            authors="Hou, Qibin and Zhou, Daquan and Feng, Jiashi",
            title="Coordinate attention for efficient mobile network design",
            venue="CVPR",
            year=2021,
            arxiv="2103.02907",
        ),
    ),
    samples=tuple(
        Sample(f"CoordinateAttention{rank}d", {"in_channels": 3, "reduction": 2}, (size,), size)
        for rank, size in _MAPS.items()
    ),
    invalid=(
        ("CoordinateAttention2d", {"in_channels": 0}, "in_channels"),
        ("CoordinateAttention2d", {"in_channels": 3, "reduction": 0}, "reduction"),
        ("CoordinateAttention3d", {"in_channels": 3, "reduction": 1.5}, "reduction"),
    ),
    see=("squeeze_excitation", "strip", "spm"),
)
