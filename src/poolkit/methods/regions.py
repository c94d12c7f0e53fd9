"""Pooling of regions of interest."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample

_BOXES = {"boxes": [[0.0, 0.5, 1.0, 6.5, 4.0], [1.0, -2.0, 0.0, 3.0, 9.0], [0.0, 2.0, 2.0, 2.5, 2.5]]}
_MAP = (2, 3, 5, 7)

ROI_ALIGN = Layer(
    name="roi_align",
    title="RoI align",
    formula="y = mean over the bin's samples of x, interpolated between its four cells",
    summary="Cuts boxes of any size out of a feature map and brings them to one size, without rounding their corners: "
    "each bin is the mean of samples interpolated between cells.",
    file="regions",
    functions=("roi_align",),
    modules=("RoIAlign",),
    cite="He, Gkioxari, Dollár and Girshick, Mask R-CNN, ICCV 2017, https://arxiv.org/abs/1703.06870",
    samples=(
        Sample("RoIAlign", {"output_size": 2}, (_MAP,), (3, 3, 2, 2), _BOXES),
        Sample("RoIAlign", {"output_size": (3, 2), "sampling_ratio": 2}, (_MAP,), (3, 3, 3, 2), _BOXES),
        Sample(
            "RoIAlign", {"output_size": 2, "spatial_scale": 0.5, "aligned": False}, (_MAP,), (3, 3, 2, 2), _BOXES
        ),
    ),
    invalid=(
        ("RoIAlign", {"output_size": 0}, "output_size"),
        ("RoIAlign", {"output_size": 2, "spatial_scale": 0}, "spatial_scale"),
        ("RoIAlign", {"output_size": 2, "sampling_ratio": -2}, "sampling_ratio"),
        ("RoIAlign", {"output_size": 2, "aligned": 1}, "aligned"),
    ),
    unbatched=False,
    see=("roi_pool", "spatial_pyramid", "avg"),
)

ROI_POOL = Layer(
    name="roi_pool",
    title="RoI pool",
    formula="y = max over the bin's cells of x",
    summary="Cuts boxes of any size, rounded to whole cells, out of a feature map and keeps the maximum of each bin.",
    file="regions",
    functions=("roi_pool",),
    modules=("RoIPool",),
    cite="Girshick, Fast R-CNN, ICCV 2015, https://arxiv.org/abs/1504.08083",
    samples=(
        Sample("RoIPool", {"output_size": 2}, (_MAP,), (3, 3, 2, 2), _BOXES),
        Sample("RoIPool", {"output_size": (1, 3), "spatial_scale": 0.5}, (_MAP,), (3, 3, 1, 3), _BOXES),
    ),
    invalid=(
        ("RoIPool", {"output_size": (2, 0)}, "output_size"),
        ("RoIPool", {"output_size": 2, "spatial_scale": -1.0}, "spatial_scale"),
        ("RoIPool", {"output_size": 2, "return_indices": "no"}, "return_indices"),
    ),
    unbatched=False,
    see=("roi_align", "max"),
)
