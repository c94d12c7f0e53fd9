"""scipy.ndimage: a filter at every position, of which every stride-th result is kept. It runs on one thread."""

from __future__ import annotations

import importlib

import numpy as np
import torch
from layers import Case
from torch import Tensor

from peers.foreign import NotOffered, axes_of, counts_padding, every_position, library, lowest, only, through
from peers.peer import Function


def build(case: Case) -> Function:
    only(case, "max", "avg")
    ndimage = importlib.import_module("scipy.ndimage")
    axes = axes_of(case)
    if case.layer.form == "global":
        raise NotOffered("only sliding windows")
    if case.method == "avg" and not counts_padding(case, axes):
        raise NotOffered("no mean that leaves out the padding")
    kept = (slice(None), *every_position(axes))
    size = (1, *(axis.kernel for axis in axes), 1)
    origin = (0, *(axis.pad_low - axis.kernel // 2 for axis in axes), 0)
    apply = ndimage.maximum_filter if case.method == "max" else ndimage.uniform_filter
    outside = lowest(case) if case.method == "max" else 0

    def forward(x: Tensor) -> Tensor:
        result = apply(x.numpy(), size, mode="constant", cval=outside, origin=origin)
        return torch.from_numpy(np.ascontiguousarray(result[kept]))

    return through(forward)


SCIPY = library("scipy", "scipy", build)
