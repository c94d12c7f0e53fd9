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

PYRAMID_POOLING = Layer(
    name="pyramid_pooling",
    title="Pyramid pooling module",
    formula="y = [x, upsampled relu(norm(W_n means of an n x n grid)), for every n]",
    summary="Gives every cell of a map the means around it at several scales, from the whole map to its sixths: what a "
    "scene looks like where a small window sees only grey.",
    file="scene",
    native=True,
    trains=True,
    functions=(),
    modules=tuple(f"PyramidPooling{rank}d" for rank in _MAPS),
    papers=(
        Paper(
            authors="Zhao, Hengshuang and Shi, Jianping and Qi, Xiaojuan and Wang, Xiaogang and Jia, Jiaya",
            title="Pyramid scene parsing network",
            venue="CVPR",
            year=2017,
            arxiv="1612.01105",
        ),
    ),
    samples=(
        *(
            Sample(f"PyramidPooling{rank}d", {"in_channels": 4, "bins": (1, 3)}, (size,), (2, 8, *size[2:]))
            for rank, size in _MAPS.items()
        ),
        Sample(
            "PyramidPooling2d",
            {"in_channels": 4, "bins": (2, (3, 4)), "out_channels": 3, "align_corners": False},
            (_MAPS[2],),
            (2, 10, 5, 7),
        ),
    ),
    invalid=(
        ("PyramidPooling2d", {"in_channels": 0}, "in_channels"),
        ("PyramidPooling2d", {"in_channels": 4, "bins": ()}, "bins"),
        ("PyramidPooling2d", {"in_channels": 4, "bins": 6}, "bins"),
        ("PyramidPooling2d", {"in_channels": 4, "bins": (1, 0)}, "bins"),
        ("PyramidPooling3d", {"in_channels": 4, "bins": ((1, 2),)}, "bins"),
        ("PyramidPooling1d", {"in_channels": 4, "out_channels": 0}, "out_channels"),
        ("PyramidPooling2d", {"in_channels": 4, "align_corners": "yes"}, "align_corners"),
    ),
    see=("spatial_pyramid", "image_pooling", "strip", "avg"),
)

IMAGE_POOLING = Layer(
    name="image_pooling",
    title="Image pooling",
    formula="y = relu(norm(W mean of the map)), in every cell",
    summary="The mean of the whole map, mixed and given to every cell: the branch of atrous spatial pyramid pooling "
    "that sees everything.",
    file="scene",
    native=True,
    trains=True,
    functions=(),
    modules=tuple(f"ImagePooling{rank}d" for rank in _MAPS),
    papers=(
        Paper(
            kind="misc",
            authors="Liu, Wei and Rabinovich, Andrew and Berg, Alexander C.",
            title="ParseNet: looking wider to see better",
            year=2015,
            arxiv="1506.04579",
        ),
        Paper(
            kind="misc",
            authors="Chen, Liang-Chieh and Papandreou, George and Schroff, Florian and Adam, Hartwig",
            title="Rethinking atrous convolution for semantic image segmentation",
            year=2017,
            arxiv="1706.05587",
        ),
    ),
    remark="the first for a global feature beside every cell, the second for the branch with convolution and "
    "normalisation",
    samples=tuple(
        Sample(f"ImagePooling{rank}d", {"in_channels": 4, "out_channels": 3}, (size,), (2, 3, *size[2:]))
        for rank, size in _MAPS.items()
    ),
    invalid=(
        ("ImagePooling2d", {"in_channels": 0, "out_channels": 4}, "in_channels"),
        ("ImagePooling2d", {"in_channels": 4, "out_channels": -1}, "out_channels"),
        ("ImagePooling3d", {"in_channels": 4, "out_channels": 2.5}, "out_channels"),
    ),
    see=("pyramid_pooling", "squeeze_excitation", "avg"),
)
