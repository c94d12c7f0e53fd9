"""poolkit explain: which code serves a call."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer import Argument, Option

from poolkit.cli import arguments, options
from poolkit.errors import ArgumentError

TYPES = ("float32", "float64", "float16", "bfloat16", "bool", "uint8", "int8", "int16", "int32", "int64")

INPUT_SHAPE = Option(metavar="SHAPE", help="Batch, channels, then 1 to 3 spatial sizes: 32,64,112,112.")


def explain(
    method: Annotated[str, Argument(metavar="METHOD", help="A method: max, lp:norm_type=2 and so on.")],
    input_shape: Annotated[str, INPUT_SHAPE],
    kernel_size: options.KernelSize = None,
    stride: options.Stride = None,
    padding: options.PaddingOption = None,
    dilation: options.Dilation = None,
    ceil_mode: options.CeilMode = False,
    output_size: options.OutputSize = None,
    param: options.Parameters = None,
    dtype: Annotated[str, Option(metavar="TYPE", help=", ".join(TYPES))] = "float32",
    channels_last: Annotated[bool, Option("--channels-last", help="The layout of the input.")] = False,
    backward: Annotated[bool, Option("--backward", help="A gradient will be asked for.")] = False,
) -> None:
    """Say which instruction set and which loops serve a call on CPU tensors, or why the reference does."""
    shape = arguments.integers("--input-shape", input_shape)
    if not 3 <= len(shape) <= 5 or min(shape) < 0:
        allowed = "batch, channels and 1 to 3 spatial sizes"
        raise ArgumentError(f"--input-shape should be {allowed}, but got {input_shape!r}")
    if dtype not in TYPES:
        raise ArgumentError(f"--dtype should be one of {', '.join(TYPES)}, but got {dtype!r}")
    [(name, parameters)] = arguments.calls([method], param)
    windows = arguments.windows(kernel_size, stride, padding, dilation, ceil_mode)
    if output_size is not None:
        windows["output_size"] = arguments.adaptive(output_size, windows)
    elif kernel_size is None:
        raise ArgumentError("--kernel-size is missing, or --output-size for adaptive pooling")
    typer.echo(answer(name, shape, dtype, channels_last, backward, windows | parameters))


def answer(
    method: str,
    shape: tuple[int, ...],
    dtype: str,
    channels_last: bool,
    backward: bool,
    call: dict[str, Any],
) -> str:
    """What poolkit.explain says about a tensor of this shape, type and layout."""
    import torch

    import poolkit

    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    if channels_last and len(shape) not in layouts:
        raise ArgumentError(f"--channels-last is for 2 or 3 spatial sizes, but got {len(shape) - 2}")
    layout = layouts[len(shape)] if channels_last else torch.contiguous_format
    try:  # the cells are never touched, so that they cost no memory
        tensor = torch.empty(shape, dtype=getattr(torch, dtype), memory_format=layout)
    except RuntimeError:
        raise ArgumentError(f"--input-shape {','.join(map(str, shape))} does not fit into memory") from None
    return poolkit.explain(tensor, method, backward=backward, **call)
