"""Pooling at several scales."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_MAPS = {1: (2, 4, 7), 2: (2, 4, 5, 7), 3: (2, 4, 3, 5, 4)}

SPATIAL_PYRAMID = Layer(
    name="spatial_pyramid",
    title="Spatial pyramid pooling",
    formula="y = [pool of every bin of an n x n grid, for every level n]",
    summary="A vector of a fixed length for maps of any size: every level divides the map into a grid of bins and "
    "pools each, by any method of the table.",
    file="pyramid",
    native=True,
    functions=tuple(f"spatial_pyramid_pool{rank}d" for rank in _MAPS),
    modules=tuple(f"SpatialPyramidPool{rank}d" for rank in _MAPS),
    papers=(
        Paper(
            authors="He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian",
            title="Spatial pyramid pooling in deep convolutional networks for visual recognition",
            venue="ECCV",
            year=2014,
            arxiv="1406.4729",
        ),
    ),
    samples=(
        *(
            Sample(f"SpatialPyramidPool{rank}d", {}, (size,), (2, 4 * sum(n**rank for n in (1, 2, 4))))
            for rank, size in _MAPS.items()
        ),
        Sample("SpatialPyramidPool2d", {"levels": (1, (3, 2)), "method": "avg"}, (_MAPS[2],), (2, 28)),
        Sample("SpatialPyramidPool1d", {"levels": (3,), "method": "lp", "norm_type": 2.0}, (_MAPS[1],), (2, 12)),
        Sample("SpatialPyramidPool2d", {"levels": (2,), "method": "avg_max", "mode": "cat"}, (_MAPS[2],), (2, 32)),
    ),
    invalid=(
        ("SpatialPyramidPool2d", {"levels": ()}, "levels"),
        ("SpatialPyramidPool2d", {"levels": 4}, "levels"),
        ("SpatialPyramidPool2d", {"levels": (1, 0)}, "levels"),
        ("SpatialPyramidPool2d", {"levels": ((1, 2, 3),)}, "levels"),
        ("SpatialPyramidPool2d", {"method": "mean"}, "method"),
        ("SpatialPyramidPool2d", {"method": "lp"}, "norm_type"),
        ("SpatialPyramidPool2d", {"method": "lp", "norm_type": -1}, "norm_type"),
        ("SpatialPyramidPool2d", {"mode": "cat"}, "mode"),
        ("SpatialPyramidPool2d", {"return_indices": True}, "return_indices"),
    ),
    see=("sppf", "max", "avg"),
)

SPPF = Layer(
    name="sppf",
    title="SPPF",
    formula="y = [x, max5(x), max5(max5(x)), max5(max5(max5(x)))]",
    summary="A chain of max poolings at stride 1, all of whose results are kept along the channels: the values of "
    "windows of 5, 9 and 13 cells for the price of three small ones. The module is YOLO's block around it.",
    file="sppf",
    native=True,
    trains=True,
    functions=tuple(f"sppf_pool{rank}d" for rank in _MAPS),
    modules=tuple(f"SPPF{rank}d" for rank in _MAPS),
    papers=(
        Paper(
            kind="misc",
            authors="Jocher, Glenn",
            title="YOLOv5 by Ultralytics",
            venue="Zenodo",
            year=2020,
            doi="10.5281/zenodo.3908559",
        ),
    ),
    remark="the parallel form is that of YOLOv3-SPP",
    samples=(
        *(
            Sample(f"SPPF{rank}d", {"in_channels": 4, "out_channels": 3}, (size,), (2, 3, *size[2:]))
            for rank, size in _MAPS.items()
        ),
        Sample(
            "SPPF2d",
            {"in_channels": 4, "out_channels": 2, "kernel_size": (3, 5), "repeats": 2},
            (_MAPS[2],),
            (2, 2, 5, 7),
        ),
    ),
    invalid=(
        ("SPPF2d", {"in_channels": 4, "out_channels": 0}, "out_channels"),
        ("SPPF2d", {"in_channels": 4, "out_channels": 4, "kernel_size": 4}, "kernel_size"),
        ("SPPF2d", {"in_channels": 4, "out_channels": 4, "repeats": 0}, "repeats"),
    ),
    see=("spatial_pyramid", "max"),
)
