"""TensorFlow, eager. Where neither of its named paddings is meant and it takes no other, zeros or the lowest number are
put around the input."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from layers import Case
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from peers.foreign import NotOffered, Pull, axes_of, counts_padding, library, only, pad_high, through, undilated
from peers.peer import Function


def build(case: Case) -> Function:
    only(case, "max", "avg")
    tf = importlib.import_module("tensorflow")
    tf.config.threading.set_intra_op_parallelism_threads(torch.get_num_threads())
    pool = pooling(case)

    def array(x: Tensor) -> Any:
        return tf.experimental.dlpack.from_dlpack(x.__dlpack__())

    def tensor(array: Any) -> Tensor:
        return from_dlpack(tf.experimental.dlpack.to_dlpack(array))

    def record(x: Tensor) -> tuple[Tensor, Pull]:
        source = array(x)
        with tf.GradientTape() as tape:
            tape.watch(source)
            result = pool(source)
        return tensor(result), lambda grad: tensor(tape.gradient(result, source, array(grad)))

    return through(lambda x: tensor(pool(array(x))), record)


def pooling(case: Case) -> Callable[[Any], Any]:
    """The pooling of an array (outer, *spatial, channels)."""
    tf = importlib.import_module("tensorflow")
    axes = undilated(axes_of(case))
    if case.layer.form == "global":
        spatial = list(range(1, 1 + len(axes)))
        reduce = tf.reduce_max if case.method == "max" else tf.reduce_mean
        return lambda x: reduce(x, spatial, keepdims=True)

    pool = getattr(tf.nn, f"{case.method}_pool{len(axes)}d")
    kernel, strides = [axis.kernel for axis in axes], [axis.stride for axis in axes]
    pads = [[0, 0], *([axis.pad_low, pad_high(axis)] for axis in axes), [0, 0]]
    is_max = case.method == "max"
    padded = any(map(any, pads))
    same = all(axis.out == -(-axis.size // axis.stride) for axis in axes)
    same = same and all(pad_high(axis) - axis.pad_low in (0, 1) for axis in axes)
    if not padded:
        return lambda x: pool(x, kernel, strides, "VALID")
    if same and (is_max or not counts_padding(case, axes)):
        return lambda x: pool(x, kernel, strides, "SAME")
    if is_max and len(axes) == 2:
        return lambda x: pool(x, kernel, strides, pads)
    if not is_max and not counts_padding(case, axes):
        raise NotOffered("no such padding for a mean that leaves it out")
    return lambda x: pool(tf.pad(x, pads, constant_values=x.dtype.min if is_max else 0), kernel, strides, "VALID")


TENSORFLOW = library("tensorflow", "tensorflow-cpu", build, trains=True)
