"""Which code serves a call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from poolkit import geometry, methods, ops
from poolkit import triton as gpu


def explain(input: Tensor, method: str, *, backward: bool | None = None, **arguments: Any) -> str:
    """One line for each kernel run of a call: the instruction set and walkers that serve it, or why the reference does.

    Args:
        input: the tensor that would be pooled, (N, C, *spatial); its rank decides between 1-D, 2-D and 3-D.
        method: the method's name in the table.
        backward: whether a gradient will be asked for; by default whether the input requires one.
        **arguments: geometry and parameters as the function takes them; `output_size` for adaptive windows.

    >>> explain(torch.zeros(1, 2, 8, 8), "max", kernel_size=2).split(";")[0]
    'max: kernel; isa x86-64-v3'
    """
    row = methods.get(method)
    if not isinstance(input, Tensor):
        raise TypeError(f"input must be a torch.Tensor, but got {type(input).__name__}")
    rank = input.dim() - 2
    size = tuple(input.shape[2:])
    values = [arguments.pop(p.name, p.default) for p in row.params]
    if "output_size" in arguments:
        windows = geometry.adaptive(rank, size, arguments.pop("output_size"))
        named = False
        if arguments:
            raise TypeError(f"unexpected arguments {sorted(arguments)}")
    else:
        named = isinstance(arguments.get("padding"), str)
        windows = geometry.sliding(rank, size, **arguments)
    backward = input.requires_grad if backward is None else backward
    lines = []
    steps = (run for step in row.plan(named, *values) for run in ops.runs(step, backward))
    for step in steps:
        why = ops.why_no_kernel(input, step.kernel, backward)
        if why is not None:
            lines.append(f"{step.kernel}: reference; {why}")
            continue
        if input.device.type == "meta":
            lines.append(f"{step.kernel}: shapes only; the input is on the meta device")
            continue
        if input.device.type in gpu.DEVICES:
            lines.append(f"{step.kernel}: kernel; Triton, device {input.device.type}")
            continue
        winners = backward and "winner" in methods.KERNELS[step.kernel].gradient
        packed = geometry.pack(windows, step.counting, step.divisor)
        told = torch.ops.poolkit.explain(input, step.kernel, packed, step.floats, winners)
        if ops.gradient_is_view(windows, step):
            told = told.rpartition("; backward ")[0] + "; backward a view"
        lines.append(f"{step.kernel}: kernel; {told}")
    return "\n".join(lines)
