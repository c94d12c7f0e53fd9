"""Pooling of label maps."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample

_MAPS = {1: (2, 3, 7), 2: (2, 3, 5, 7), 3: (2, 3, 3, 5, 4)}
_HALF = {1: (2, 3, 3), 2: (2, 3, 2, 3), 3: (2, 3, 1, 2, 2)}
_STRIDED = {1: (2, 3, 4), 2: (2, 3, 3, 4), 3: (2, 3, 2, 3, 2)}
_RANKS = (1, 2, 3)

MODE = Layer(
    name="mode",
    title="Mode pooling",
    formula="y = the label that most cells of the window have",
    summary="Label maps made smaller: every window becomes its most frequent label, so that no label appears that was "
    "not there. Integers and bool only, without a gradient.",
    file="mode",
    functions=tuple(f"mode_pool{rank}d" for rank in _RANKS),
    modules=tuple(f"ModePool{rank}d" for rank in _RANKS),
    remark="the majority filter of image processing, and practice where label maps and segmentations are downsampled",
    samples=(
        *(Sample(f"ModePool{rank}d", {"kernel_size": 2}, (_MAPS[rank],), _HALF[rank]) for rank in _RANKS),
        *(
            Sample(
                f"ModePool{rank}d",
                {"kernel_size": 3, "stride": 2, "padding": 1, "ignore_index": 0, "ties": ties},
                (_MAPS[rank],),
                _STRIDED[rank],
            )
            for rank, ties in zip(_RANKS, ("smallest", "first", "centre"), strict=True)
        ),
        Sample(
            "ModePool2d",
            {"kernel_size": (3, 2), "stride": 2, "dilation": (1, 3), "ceil_mode": True, "ties": "centre"},
            (_MAPS[2],),
            (2, 3, 2, 3),
        ),
    ),
    invalid=(
        ("ModePool2d", {"kernel_size": 0}, "kernel_size"),
        ("ModePool2d", {"kernel_size": 2, "padding": 2}, "padding"),
        ("ModePool1d", {"kernel_size": 2, "ties": "largest"}, "ties"),
        ("ModePool3d", {"kernel_size": 2, "ignore_index": 255.0}, "ignore_index"),
    ),
    integers=True,
    floats=False,
    see=("median", "max"),
)
