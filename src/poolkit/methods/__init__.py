"""The tables of pooling methods and layers: one row declares one, everything else follows from it."""

from __future__ import annotations

from poolkit.errors import ArgumentError, nearest
from poolkit.methods import draws, extrema, means, mixes, norms, ranks, softmax, spreads
from poolkit.methods.antialiasing import BLUR, MAX_BLUR
from poolkit.methods.attention import ADDITIVE_ATTENTION, ATTENTION, GATED_ATTENTION, LATENT_ATTENTION
from poolkit.methods.channels import CBAM, CHANNEL, CHANNEL_GROUP, SQUEEZE_EXCITATION
from poolkit.methods.contents import DETAIL_PRESERVING, LEARNT_LOG_SUM_EXP, LEARNT_POWER, LOCAL_IMPORTANCE
from poolkit.methods.corners import CENTER, CORNER
from poolkit.methods.descriptors import NETVLAD, RMAC, SPOC
from poolkit.methods.fractional import FRACTIONAL_MAX
from poolkit.methods.generalised import GATED, LEARNT_MIXED, TREE
from poolkit.methods.instances import AUTO, ISR, LINEAR_SOFTMAX, NOISY_AND, NOISY_OR
from poolkit.methods.labels import MODE
from poolkit.methods.layer import Layer, Sample
from poolkit.methods.lossless import HAAR, SPACE_TO_DEPTH
from poolkit.methods.masked import MASKED_AVG, MASKED_MAX
from poolkit.methods.method import (
    COUNT_FIXED,
    COUNT_PADDED,
    COUNT_VALID,
    REQUIRED,
    Kernel,
    Method,
    Param,
    Step,
)
from poolkit.methods.mixers import POOL_MIXER
from poolkit.methods.pyramids import IMAGE_POOLING, PYRAMID_POOLING, SPATIAL_PYRAMID, SPPF
from poolkit.methods.regions import PRROI_POOL, PS_ROI_ALIGN, PS_ROI_POOL, ROI_ALIGN, ROI_POOL
from poolkit.methods.row import Paper, Row
from poolkit.methods.second_order import BILINEAR, COVARIANCE, ISQRT_COVARIANCE
from poolkit.methods.segments import SEGMENT
from poolkit.methods.sequences import ATTENTIVE_STATISTICS, K_MAX, SPLADE, STATISTICS, TEMPORAL
from poolkit.methods.strips import COORDINATE_ATTENTION, SPM, STRIP

_FAMILIES = (extrema, means, norms, mixes, softmax, draws, ranks, spreads)

METHODS: dict[str, Method] = {
    row.name: row for family in _FAMILIES for row in vars(family).values() if isinstance(row, Method)
}

#: What the methods run, by the names that steps use.
KERNELS: dict[str, Kernel] = {kernel.name: kernel for m in METHODS.values() for kernel in m.own_kernels}

#: What takes more than the cells of its windows (logits, lengths, boxes, learnt parameters), or has none.
LAYERS: dict[str, Layer] = {
    layer.name: layer
    for layer in (
        TEMPORAL,
        STATISTICS,
        ATTENTIVE_STATISTICS,
        SPLADE,
        K_MAX,
        MASKED_AVG,
        MASKED_MAX,
        SEGMENT,
        AUTO,
        LINEAR_SOFTMAX,
        NOISY_OR,
        NOISY_AND,
        ISR,
        ATTENTION,
        LATENT_ATTENTION,
        ADDITIVE_ATTENTION,
        GATED_ATTENTION,
        LOCAL_IMPORTANCE,
        DETAIL_PRESERVING,
        LEARNT_POWER,
        LEARNT_LOG_SUM_EXP,
        LEARNT_MIXED,
        GATED,
        TREE,
        CHANNEL,
        CHANNEL_GROUP,
        SQUEEZE_EXCITATION,
        CBAM,
        BLUR,
        MAX_BLUR,
        FRACTIONAL_MAX,
        MODE,
        STRIP,
        SPM,
        COORDINATE_ATTENTION,
        POOL_MIXER,
        CORNER,
        CENTER,
        SPACE_TO_DEPTH,
        HAAR,
        SPATIAL_PYRAMID,
        SPPF,
        PYRAMID_POOLING,
        IMAGE_POOLING,
        ROI_ALIGN,
        ROI_POOL,
        PS_ROI_POOL,
        PS_ROI_ALIGN,
        PRROI_POOL,
        NETVLAD,
        SPOC,
        RMAC,
        BILINEAR,
        COVARIANCE,
        ISQRT_COVARIANCE,
    )
}

#: Both tables.
ROWS: dict[str, Row] = {**METHODS, **LAYERS}


def get(name: str) -> Method:
    """The method of this name."""
    try:
        return METHODS[name]
    except (KeyError, TypeError):
        known = ", ".join(map(repr, METHODS))
        raise ArgumentError(f"method must be one of {known}, but got {name!r}{nearest(name, METHODS)}") from None


__all__ = [
    "COUNT_FIXED",
    "COUNT_PADDED",
    "COUNT_VALID",
    "KERNELS",
    "LAYERS",
    "METHODS",
    "REQUIRED",
    "ROWS",
    "Kernel",
    "Layer",
    "Method",
    "Paper",
    "Param",
    "Row",
    "Sample",
    "Step",
    "get",
]
