"""JAX: compiled by XLA, which takes as many threads as the process may use."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from layers import Case
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from peers.foreign import Pull, axes_of, counts_padding, library, lowest, only, pad_high, through
from peers.peer import Function


def build(case: Case) -> Function:
    only(case, "max", "avg")
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    pool = pooling(case)
    forward = jax.jit(pool)
    # What it computes of the values but does not need for the gradient, the compiler leaves out.
    backward = jax.jit(lambda x, grad: jax.vjp(pool, x)[1](grad)[0])

    def tensor(array: Any) -> Tensor:
        return from_dlpack(jax.block_until_ready(array))

    def record(x: Tensor) -> tuple[Tensor, Pull]:
        array = jax.dlpack.from_dlpack(x)
        return tensor(forward(array)), lambda grad: tensor(backward(array, jax.dlpack.from_dlpack(grad)))

    return through(lambda x: tensor(forward(jax.dlpack.from_dlpack(x))), record)


def pooling(case: Case) -> Callable[[Any], Any]:
    """The pooling of an array (outer, *spatial, channels)."""
    jax = importlib.import_module("jax")
    axes = axes_of(case)
    if case.layer.form == "global":
        spatial = tuple(range(1, 1 + len(axes)))
        reduce = jax.numpy.max if case.method == "max" else jax.numpy.mean
        return lambda x: reduce(x, spatial, keepdims=True)

    kernel = (1, *(axis.kernel for axis in axes), 1)
    strides = (1, *(axis.stride for axis in axes), 1)
    dilation = (1, *(axis.dilation for axis in axes), 1)
    pads = ((0, 0), *((axis.pad_low, pad_high(axis)) for axis in axes), (0, 0))

    def windows(x: Any, start: float, combine: Any) -> Any:
        # An array of NumPy, because the gradient is known only of a start that is no traced value.
        return jax.lax.reduce_window(
            x, np.asarray(start, x.dtype), combine, kernel, strides, pads, window_dilation=dilation
        )

    if case.method == "max":
        return lambda x: windows(x, lowest(case), jax.lax.max)
    all_cells = counts_padding(case, axes)

    def mean(x: Any) -> Any:
        wide = x.astype(jax.numpy.promote_types(x.dtype, np.float32))
        count = math.prod(kernel) if all_cells else windows(jax.numpy.ones_like(wide[:1, ..., :1]), 0, jax.lax.add)
        return (windows(wide, 0, jax.lax.add) / count).astype(x.dtype)

    return mean


JAX = library("jax", "jax", build, trains=True)
