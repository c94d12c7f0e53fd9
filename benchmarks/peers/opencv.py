"""OpenCV: dilation or box filter of one image after the other, of which every stride-th pixel is kept."""

from __future__ import annotations

import importlib

import numpy as np
import torch
from layers import Case
from torch import Tensor

from peers.foreign import NotOffered, axes_of, counts_padding, every_position, library, only, through
from peers.peer import Function


def build(case: Case) -> Function:
    only(case, "max", "avg")
    cv2 = importlib.import_module("cv2")
    cv2.setNumThreads(torch.get_num_threads())
    axes = axes_of(case)
    if len(axes) != 2 or case.layer.form == "global":
        raise NotOffered("only sliding windows over images")
    kept = every_position(axes)
    kernel = tuple(axis.kernel for axis in axes)
    anchor = tuple(axis.pad_low for axis in reversed(axes))
    if case.method == "max":
        element = np.ones(kernel, np.uint8)

        def filtered(image: np.ndarray) -> np.ndarray:
            return cv2.dilate(image, element, anchor=anchor)
    else:
        if not counts_padding(case, axes):
            raise NotOffered("no mean that leaves out the padding")

        def filtered(image: np.ndarray) -> np.ndarray:
            return cv2.boxFilter(image, -1, kernel[::-1], anchor=anchor, borderType=cv2.BORDER_CONSTANT)

    def forward(x: Tensor) -> Tensor:
        images = x.numpy()
        y = torch.empty(x.shape[0], *(axis.out for axis in axes), x.shape[-1], dtype=x.dtype)
        for image, result in zip(images, y.numpy(), strict=True):
            result[...] = filtered(image).reshape(image.shape)[kept]
        return y

    return through(forward)


OPENCV = library("opencv", "opencv-python-headless", build)
