"""Pooling for detectors that look for boxes by their corners and centres."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_MAP = (2, 3, 4, 5)

CORNER = Layer(
    name="corner",
    title="Corner pooling",
    formula="left: y[i, j] = max of x[i, j:]; right: of x[i, :j + 1]; top: of x[i:, j]; bottom: of x[:i + 1, j]",
    summary="The largest value from each cell to an edge of the map: a corner of a box sees the points on its sides, "
    "which may be far away.",
    file="corners",
    native=True,
    functions=("corner_pool2d",),
    modules=("CornerPool2d",),
    papers=(
        Paper(
            authors="Law, Hei and Deng, Jia",
            title="CornerNet: detecting objects as paired keypoints",
            venue="ECCV",
            year=2018,
            arxiv="1808.01244",
        ),
    ),
    samples=(
        Sample("CornerPool2d", {}, (_MAP,), _MAP),
        Sample("CornerPool2d", {"side": "right"}, (_MAP,), _MAP),
        Sample("CornerPool2d", {"side": "top"}, (_MAP,), _MAP),
        Sample("CornerPool2d", {"side": "bottom"}, (_MAP,), _MAP),
    ),
    invalid=(
        ("CornerPool2d", {"side": "top_left"}, "side"),
        ("CornerPool2d", {"side": 0}, "side"),
        ("CornerPool2d", {"side": ["left"]}, "side"),
    ),
    see=("center", "max"),
)

CENTER = Layer(
    name="center",
    title="Centre pooling",
    formula="y[i, j] = max of row i + max of column j",
    summary="What an object shows anywhere in a cell's row and column: the centre of a box sees all of it.",
    file="corners",
    native=True,
    functions=("center_pool2d",),
    modules=("CenterPool2d",),
    papers=(
        Paper(
            authors="Duan, Kaiwen and Bai, Song and Xie, Lingxi and Qi, Honggang and Huang, Qingming and Tian, Qi",
            title="CenterNet: keypoint triplets for object detection",
            venue="ICCV",
            year=2019,
            arxiv="1904.08189",
        ),
    ),
    samples=(Sample("CenterPool2d", {}, (_MAP,), _MAP),),
    invalid=(("CenterPool2d", {"side": "left"}, "side"),),
    see=("corner", "strip", "max"),
)
