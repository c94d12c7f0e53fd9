"""OpenVINO: a model of one operation, in the precision of its input."""

from __future__ import annotations

import importlib

import numpy as np
import torch
from layers import Case
from torch import Tensor

from peers.foreign import NotOffered, axes_of, counts_padding, library, only, pad_high, undilated
from peers.peer import Function


def build(case: Case) -> Function:
    only(case, "max", "avg")
    if case.dtype == "float64":
        raise NotOffered("float64 is computed in float32")
    openvino, ops = importlib.import_module("openvino"), importlib.import_module("openvino.opset8")
    axes = axes_of(case)
    output = (*case.layer.shape[:2], *(axis.out for axis in axes))
    x = ops.parameter(case.layer.shape, np.dtype(case.dtype))
    kernel, strides = [axis.kernel for axis in axes], [axis.stride for axis in axes]
    pads = [axis.pad_low for axis in axes], [pad_high(axis) for axis in axes]
    if case.layer.form == "global":
        reduce = ops.reduce_max if case.method == "max" else ops.reduce_mean
        pool = reduce(x, list(range(2, 2 + len(axes))), keep_dims=True)
    elif case.method == "max":
        pool = ops.max_pool(x, strides, [axis.dilation for axis in axes], *pads, kernel)
    else:
        undilated(axes)
        pool = ops.avg_pool(x, strides, *pads, kernel, exclude_pad=not counts_padding(case, axes))
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "EXECUTION_MODE_HINT": "ACCURACY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    model = openvino.compile_model(openvino.Model([pool.output(0)], [x]), "CPU", settings)
    request = model.create_infer_request()

    def function(x: Tensor) -> Tensor:
        y = torch.empty(output, dtype=x.dtype)
        request.set_input_tensor(openvino.Tensor(x.numpy(), shared_memory=True))
        request.set_output_tensor(openvino.Tensor(y.numpy(), shared_memory=True))
        request.infer()
        return y

    return function


OPENVINO = library("openvino", "openvino", build, layouts=("contiguous",))
