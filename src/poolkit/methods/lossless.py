"""Smaller maps that lose nothing: what leaves the plane goes into channels."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_MAPS = {1: (2, 3, 6), 2: (2, 3, 4, 6), 3: (2, 2, 2, 4, 2)}
_BANDS = {1: (2, 6, 3), 2: (2, 12, 2, 3), 3: (2, 16, 1, 2, 1)}

SPACE_TO_DEPTH = Layer(
    name="space_to_depth",
    title="Space to depth",
    formula="y[c, i, p] = x[c, i * block + p]: the cells of each block become channels; depth to space undoes it",
    summary="Halves a map without losing a number: the cells of every block become the channels of one cell. What "
    "follows decides what to keep.",
    file="depth",
    functions=tuple(f"{name}{rank}d" for name in ("space_to_depth", "depth_to_space") for rank in _MAPS),
    modules=tuple(f"{name}{rank}d" for name in ("SpaceToDepth", "DepthToSpace") for rank in _MAPS),
    papers=(
        Paper(
            authors="Sunkara, Raja and Luo, Tie",
            title="No more strided convolutions or pooling: a new CNN building block for low-resolution images and "
            "small objects",
            venue="ECML PKDD",
            year=2022,
            arxiv="2208.03641",
        ),
        Paper(
            authors="Shi, Wenzhe and Caballero, Jose and Huszár, Ferenc and Totz, Johannes and Aitken, Andrew P. and "
            "Bishop, Rob and Rueckert, Daniel and Wang, Zehan",
            title="Real-time single image and video super-resolution using an efficient sub-pixel convolutional "
            "neural network",
            venue="CVPR",
            year=2016,
            arxiv="1609.05158",
        ),
    ),
    remark="the first for space to depth in the place of pooling, the second for depth to space",
    samples=(
        *(Sample(f"SpaceToDepth{rank}d", {}, (_MAPS[rank],), _BANDS[rank]) for rank in _MAPS),
        Sample("SpaceToDepth2d", {"block_size": (1, 3), "order": "cells"}, (_MAPS[2],), (2, 9, 4, 2)),
        *(Sample(f"DepthToSpace{rank}d", {"order": "cells"}, (_BANDS[rank],), _MAPS[rank]) for rank in _MAPS),
        Sample("DepthToSpace2d", {"block_size": (3, 2)}, (_BANDS[2],), (2, 2, 6, 6)),
    ),
    invalid=(
        ("SpaceToDepth2d", {"block_size": 0}, "block_size"),
        ("SpaceToDepth2d", {"block_size": (2, 2, 2)}, "block_size"),
        ("SpaceToDepth1d", {"block_size": 2.0}, "block_size"),
        ("SpaceToDepth3d", {"order": "bands"}, "order"),
        ("DepthToSpace2d", {"block_size": -1}, "block_size"),
        ("DepthToSpace1d", {"order": 1}, "order"),
    ),
    integers=True,
    see=("haar", "max", "avg"),
)

HAAR = Layer(
    name="haar",
    title="Haar downsampling",
    formula="along each axis two neighbours a, b become (a + b) / sqrt 2 and (a - b) / sqrt 2; every band is kept",
    summary="One level of the orthonormal Haar transform: average pooling times a constant, beside the details that "
    "average pooling throws away, and the exact way back.",
    file="haar",
    functions=tuple(f"{name}{rank}d" for name in ("haar_pool", "haar_unpool") for rank in _MAPS),
    modules=tuple(f"{name}{rank}d" for name in ("HaarPool", "HaarUnpool") for rank in _MAPS),
    papers=(
        Paper(
            kind="article",
            authors="Xu, Guoping and Liao, Wentao and Zhang, Xuan and Li, Chang and He, Xinwei and Wu, Xinglong",
            title="Haar wavelet downsampling: a simple but effective downsampling module for semantic segmentation",
            venue="Pattern Recognition",
            year=2023,
            doi="10.1016/j.patcog.2023.109819",
        ),
    ),
    remark="without the 1x1 convolution that follows there",
    samples=(
        *(Sample(f"HaarPool{rank}d", {}, (_MAPS[rank],), _BANDS[rank]) for rank in _MAPS),
        Sample("HaarPool2d", {"order": "channels"}, (_MAPS[2],), _BANDS[2]),
        *(Sample(f"HaarUnpool{rank}d", {}, (_BANDS[rank],), _MAPS[rank]) for rank in _MAPS),
        Sample("HaarUnpool2d", {"order": "channels"}, (_BANDS[2],), _MAPS[2]),
    ),
    invalid=(
        ("HaarPool2d", {"order": "cells"}, "order"),
        ("HaarPool3d", {"order": None}, "order"),
        ("HaarUnpool1d", {"order": ["bands"]}, "order"),
    ),
    see=("space_to_depth", "avg"),
)
