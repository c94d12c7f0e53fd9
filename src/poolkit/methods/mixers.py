"""Pooling that stands where attention would."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_MAPS = {1: (2, 3, 7), 2: (2, 3, 4, 5), 3: (2, 3, 3, 2, 4)}

POOL_MIXER = Layer(
    name="pool_mixer",
    title="Pooling as token mixer",
    formula="y = mean of the cells around x - x",
    summary="What PoolFormer has instead of attention: every token takes the mean of its neighbours, less itself.",
    file="mixer",
    native=True,
    functions=tuple(f"pool_mixer{rank}d" for rank in _MAPS),
    modules=tuple(f"PoolMixer{rank}d" for rank in _MAPS),
    papers=(
        Paper(
            authors="Yu, Weihao and Luo, Mi and Zhou, Pan and Si, Chenyang and Zhou, Yichen and Wang, Xinchao and "
            "Feng, Jiashi and Yan, Shuicheng",
            title="MetaFormer is actually what you need for vision",
            venue="CVPR",
            year=2022,
            arxiv="2111.11418",
        ),
    ),
    samples=(
        *(Sample(f"PoolMixer{rank}d", {}, (size,), size) for rank, size in _MAPS.items()),
        Sample("PoolMixer2d", {"kernel_size": (5, 3)}, (_MAPS[2],), _MAPS[2]),
    ),
    invalid=(
        ("PoolMixer2d", {"kernel_size": 2}, "kernel_size"),
        ("PoolMixer2d", {"kernel_size": 0}, "kernel_size"),
        ("PoolMixer3d", {"kernel_size": (3, 3)}, "kernel_size"),
        ("PoolMixer1d", {"kernel_size": 3.0}, "kernel_size"),
    ),
    see=("avg", "attention"),
)
