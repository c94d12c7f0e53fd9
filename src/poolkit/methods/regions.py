"""Pooling of regions of interest."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_MAP = (2, 3, 7, 9)
_BOXES = {"boxes": [[0, 1, 1, 6, 4], [1, -2, -3, 4, 2], [0, 2, 1, 8, 6]]}
_BINS = (2, 12, 7, 9)  # channels for two of each of 3 x 2 bins, or three of each of 2 x 2
_INVALID = (
    ({"output_size": 0}, "output_size"),
    ({"output_size": (2, 2, 2)}, "output_size"),
    ({"output_size": 2, "spatial_scale": 0.0}, "spatial_scale"),
    ({"output_size": 2, "spatial_scale": "1/16"}, "spatial_scale"),
)

ROI_ALIGN = Layer(
    name="roi_align",
    title="RoI align",
    formula="y = mean over the samples of a bin of x, interpolated between cells",
    summary="Makes boxes of any size maps of one size. Samples lie evenly in each bin of a box and are interpolated "
    "bilinearly; no position is rounded. Boxes get no gradient.",
    file="regions",
    native=True,
    functions=("roi_align",),
    modules=("RoIAlign",),
    papers=(
        Paper(
            authors="He, Kaiming and Gkioxari, Georgia and Dollár, Piotr and Girshick, Ross",
            title="Mask R-CNN",
            venue="ICCV",
            year=2017,
            arxiv="1703.06870",
        ),
    ),
    samples=(
        Sample("RoIAlign", {"output_size": (3, 2), "sampling_ratio": 2}, (_MAP,), (3, 3, 3, 2), _BOXES),
        Sample("RoIAlign", {"output_size": 2, "spatial_scale": 0.75}, (_MAP,), (3, 3, 2, 2), _BOXES),
        Sample("RoIAlign", {"output_size": 2, "aligned": False}, (_MAP,), (3, 3, 2, 2), _BOXES),
    ),
    invalid=(
        *(("RoIAlign", arguments, word) for arguments, word in _INVALID),
        ("RoIAlign", {"output_size": 2, "sampling_ratio": -2}, "sampling_ratio"),
        ("RoIAlign", {"output_size": 2, "aligned": 1}, "aligned"),
    ),
    unbatched=False,  # with boxes of four columns
    see=("roi_pool", "spatial_pyramid", "avg"),
)

ROI_POOL = Layer(
    name="roi_pool",
    title="RoI pool",
    formula="y = max over the cells of a bin of x",
    summary="Makes boxes of any size maps of one size: adaptive max pooling of a box, its corners rounded to whole "
    "cells. A bin outside the map is 0. Boxes get no gradient.",
    file="regions",
    native=True,
    functions=("roi_pool",),
    modules=("RoIPool",),
    papers=(
        Paper(
            authors="Girshick, Ross",
            title="Fast R-CNN",
            venue="ICCV",
            year=2015,
            arxiv="1504.08083",
        ),
    ),
    samples=(
        Sample("RoIPool", {"output_size": (3, 2)}, (_MAP,), (3, 3, 3, 2), _BOXES),
        Sample("RoIPool", {"output_size": 2, "spatial_scale": 0.75}, (_MAP,), (3, 3, 2, 2), _BOXES),
    ),
    invalid=(
        *(("RoIPool", arguments, word) for arguments, word in _INVALID),
        ("RoIPool", {"output_size": 2, "return_indices": 1}, "return_indices"),
    ),
    unbatched=False,  # with boxes of four columns
    see=("roi_align", "spatial_pyramid", "max"),
)

_FULLY_CONVOLUTIONAL = Paper(
    authors="Dai, Jifeng and Li, Yi and He, Kaiming and Sun, Jian",
    title="R-FCN: object detection via region-based fully convolutional networks",
    venue="NIPS",
    year=2016,
    arxiv="1605.06409",
)

PS_ROI_POOL = Layer(
    name="ps_roi_pool",
    title="Position-sensitive RoI pool",
    formula="y = mean over the cells that a bin touches of x, in channels of that bin",
    summary="Makes boxes of any size maps of one size, and each bin reads channels of its own: whole-box decisions "
    "without a network on each box. Boxes get no gradient.",
    file="position_sensitive",
    native=True,
    functions=("ps_roi_pool",),
    modules=("PSRoIPool",),
    papers=(_FULLY_CONVOLUTIONAL,),
    samples=(
        Sample("PSRoIPool", {"output_size": (3, 2)}, (_BINS,), (3, 2, 3, 2), _BOXES),
        Sample("PSRoIPool", {"output_size": 2, "spatial_scale": 0.75}, (_BINS,), (3, 3, 2, 2), _BOXES),
    ),
    invalid=tuple(("PSRoIPool", arguments, word) for arguments, word in _INVALID),
    unbatched=False,  # with boxes of four columns
    see=("ps_roi_align", "roi_pool", "avg"),
)

PS_ROI_ALIGN = Layer(
    name="ps_roi_align",
    title="Position-sensitive RoI align",
    formula="y = mean over the samples of a bin of x, interpolated between cells, in channels of that bin",
    summary="RoI align in which each bin reads channels of its own. No position is rounded. Boxes get no gradient.",
    file="position_sensitive",
    native=True,
    functions=("ps_roi_align",),
    modules=("PSRoIAlign",),
    papers=(_FULLY_CONVOLUTIONAL,),
    remark="its pooling with the samples of RoI align, as torchvision has it",
    samples=(
        Sample("PSRoIAlign", {"output_size": (3, 2), "sampling_ratio": 2}, (_BINS,), (3, 2, 3, 2), _BOXES),
        Sample("PSRoIAlign", {"output_size": 2, "spatial_scale": 0.75}, (_BINS,), (3, 3, 2, 2), _BOXES),
    ),
    invalid=(
        *(("PSRoIAlign", arguments, word) for arguments, word in _INVALID),
        ("PSRoIAlign", {"output_size": 2, "sampling_ratio": 2.5}, "sampling_ratio"),
    ),
    unbatched=False,  # with boxes of four columns
    see=("ps_roi_pool", "roi_align"),
)

PRROI_POOL = Layer(
    name="prroi_pool",
    title="Precise RoI pool",
    formula="y = (integral over the bin of x, interpolated between cells) / (area of the bin)",
    summary="Makes boxes of any size maps of one size: the exact mean of the interpolated map over each bin, without "
    "samples. Boxes get a gradient, so that they can be moved to where they fit best.",
    file="precise",
    functions=("prroi_pool",),
    modules=("PrRoIPool",),
    papers=(
        Paper(
            authors="Jiang, Borui and Luo, Ruixuan and Mao, Jiayuan and Xiao, Tete and Jiang, Yuning",
            title="Acquisition of localization confidence for accurate object detection",
            venue="ECCV",
            year=2018,
            arxiv="1807.11590",
        ),
    ),
    samples=(
        Sample("PrRoIPool", {"output_size": (3, 2)}, (_MAP,), (3, 3, 3, 2), _BOXES),
        Sample("PrRoIPool", {"output_size": 2, "spatial_scale": 0.75, "aligned": True}, (_MAP,), (3, 3, 2, 2), _BOXES),
    ),
    invalid=(
        *(("PrRoIPool", arguments, word) for arguments, word in _INVALID),
        ("PrRoIPool", {"output_size": 2, "aligned": 1}, "aligned"),
    ),
    unbatched=False,  # with boxes of four columns
    see=("roi_align", "roi_pool"),
)
