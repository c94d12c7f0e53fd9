"""ONNX Runtime: a model of one node."""

from __future__ import annotations

import importlib

import numpy as np
import torch
from layers import Case
from torch import Tensor

from peers.foreign import axes_of, counts_padding, library, only, pad_high
from peers.peer import Function

OPSET = 19  # the first whose mean takes a dilation
IR_VERSION = 9  # of the same time


def build(case: Case) -> Function:
    only(case, "max", "avg")
    runtime, helper = importlib.import_module("onnxruntime"), importlib.import_module("onnx.helper")
    axes = axes_of(case)
    dtype = np.dtype(case.dtype)
    shape = case.layer.shape
    output = (*shape[:2], *(axis.out for axis in axes))
    if case.layer.form == "global":
        node = helper.make_node("GlobalMaxPool" if case.method == "max" else "GlobalAveragePool", ["x"], ["y"])
    else:
        node = helper.make_node(
            "MaxPool" if case.method == "max" else "AveragePool",
            ["x"],
            ["y"],
            kernel_shape=[axis.kernel for axis in axes],
            strides=[axis.stride for axis in axes],
            dilations=[axis.dilation for axis in axes],
            pads=[axis.pad_low for axis in axes] + [pad_high(axis) for axis in axes],
            **({"count_include_pad": int(counts_padding(case, axes))} if case.method == "avg" else {}),
        )
    element = helper.np_dtype_to_tensor_dtype(dtype)
    ends = [helper.make_tensor_value_info(name, element, sizes) for name, sizes in (("x", shape), ("y", output))]
    graph = helper.make_graph([node], "pooling", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()

    def function(x: Tensor) -> Tensor:
        y = torch.empty(output, dtype=x.dtype)
        binding.bind_input("x", "cpu", 0, dtype, shape, x.data_ptr())
        binding.bind_output("y", "cpu", 0, dtype, output, y.data_ptr())
        session.run_with_iobinding(binding)
        return y

    return function


ONNX_RUNTIME = library("onnxruntime", "onnxruntime", build, layouts=("contiguous",))
