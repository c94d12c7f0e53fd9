"""Pooling that smooths before it samples."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_MAPS = {1: (2, 3, 7), 2: (2, 3, 5, 7), 3: (2, 3, 3, 5, 4)}
_STRIDED = {1: (2, 3, 4), 2: (2, 3, 3, 4), 3: (2, 3, 2, 3, 2)}
_RANKS = (1, 2, 3)
_SHIFT_INVARIANT = Paper(
    authors="Zhang, Richard",
    title="Making convolutional networks shift-invariant again",
    venue="ICML",
    year=2019,
    arxiv="1904.11486",
)

BLUR = Layer(
    name="blur",
    title="Blur pooling",
    formula="y_o = sum over i of b_i x_(o s + i), b = binomial coefficients / their sum",
    summary="A binomial filter smooths the map before it is sampled, so that details finer than the stride do not turn "
    "into patterns that change when the input is shifted by a cell.",
    file="blur",
    native=True,
    functions=tuple(f"blur_pool{rank}d" for rank in _RANKS),
    modules=tuple(f"BlurPool{rank}d" for rank in _RANKS),
    papers=(_SHIFT_INVARIANT,),
    samples=(
        *(Sample(f"BlurPool{rank}d", {}, (_MAPS[rank],), _STRIDED[rank]) for rank in _RANKS),
        Sample("BlurPool1d", {"filter_size": 7, "padding_mode": "circular"}, (_MAPS[1],), _STRIDED[1]),
        Sample("BlurPool2d", {"filter_size": (5, 2), "stride": (3, 1), "sizes": "kornia"}, (_MAPS[2],), (2, 3, 2, 6)),
        Sample("BlurPool3d", {"filter_size": 7, "padding_mode": "zeros"}, (_MAPS[3],), _STRIDED[3]),
        Sample("BlurPool2d", {"padding_mode": "replicate", "sizes": "timm"}, (_MAPS[2],), (2, 3, 3, 4)),
    ),
    invalid=(
        ("BlurPool2d", {"filter_size": 0}, "filter_size"),
        ("BlurPool2d", {"filter_size": (3, 3, 3)}, "filter_size"),
        ("BlurPool1d", {"stride": 2.0}, "stride"),
        ("BlurPool2d", {"padding_mode": "constant"}, "padding_mode"),
        ("BlurPool3d", {"sizes": "same"}, "sizes"),
    ),
    see=("max_blur", "avg"),
)

MAX_BLUR = Layer(
    name="max_blur",
    title="Max-blur pooling",
    formula="y_o = sum over i of b_i m_(o s + i), m_j = max of the window at j, b = binomial coefficients / their sum",
    summary="Max pooling taken apart: maxima at stride 1, which move with the input, then blur pooling, which samples "
    "without aliasing.",
    file="blur",
    native=True,
    functions=tuple(f"max_blur_pool{rank}d" for rank in _RANKS),
    modules=tuple(f"MaxBlurPool{rank}d" for rank in _RANKS),
    papers=(_SHIFT_INVARIANT,),
    samples=(
        Sample("MaxBlurPool1d", {}, (_MAPS[1],), (2, 3, 3)),
        Sample("MaxBlurPool2d", {"kernel_size": 3, "filter_size": 3, "padding": 1}, (_MAPS[2],), _STRIDED[2]),
        Sample("MaxBlurPool3d", {"padding": "same", "sizes": "timm", "filter_size": 3}, (_MAPS[3],), _STRIDED[3]),
        Sample("MaxBlurPool2d", {}, (_MAPS[2],), (2, 3, 2, 3)),
    ),
    invalid=(
        ("MaxBlurPool2d", {"kernel_size": 0}, "kernel_size"),
        ("MaxBlurPool2d", {"padding": 2}, "padding"),
        ("MaxBlurPool1d", {"filter_size": True}, "filter_size"),
        ("MaxBlurPool3d", {"padding_mode": 0}, "padding_mode"),
    ),
    see=("blur", "max"),
)
