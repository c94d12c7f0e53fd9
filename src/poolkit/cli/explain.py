"""poolkit explain: which code serves a call."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer import Argument, Option

from poolkit.cli import arguments
from poolkit.errors import ArgumentError

TYPES = ("float32", "float64", "float16", "bfloat16", "bool", "uint8", "int8", "int16", "int32", "int64")


def explain(
    method: Annotated[str, Argument(metavar="METHOD", help="A pooling method: max, avg, lp ...")],
    input_shape: Annotated[
        str, Option(metavar="SHAPE", help="Batch, channels and 1 to 3 spatial sizes: 32,64,112,112.")
    ],
    kernel_size: Annotated[
        str | None, Option(metavar="SIZE", help="Of the windows: 3, or one an axis: 3,5.")
    ] = None,
    stride: Annotated[
        str | None, Option(metavar="SIZE", show_default="the kernel size", help="Between windows.")
    ] = None,
    padding: Annotated[
        str | None,
        Option(
            metavar="PADDING",
            show_default="0",
            help="1, one an axis: 1,2, before and after: 0:1,2:3, or same.",
        ),
    ] = None,
    dilation: Annotated[
        str | None, Option(metavar="SIZE", show_default="1", help="Between the cells of a window.")
    ] = None,
    ceil_mode: Annotated[bool, Option("--ceil-mode", help="Keep windows that reach beyond the end.")] = False,
    output_size: Annotated[
        str | None, Option(metavar="SIZE", help="Adaptive pooling to this size, instead of a kernel size.")
    ] = None,
    param: Annotated[
        list[str] | None,
        Option(metavar="NAME=VALUE", help="A parameter of the method: norm_type=3; may be repeated."),
    ] = None,
    dtype: Annotated[str, Option(metavar="TYPE", help=f"One of {', '.join(TYPES)}.")] = "float32",
    channels_last: Annotated[bool, Option("--channels-last", help="The layout of the input.")] = False,
    backward: Annotated[bool, Option("--backward", help="A gradient will be asked for.")] = False,
) -> None:
    """Say which instruction set and which loops serve a call on CPU tensors, or why the reference does."""
    shape = arguments.integers("--input-shape", input_shape)
    if not 3 <= len(shape) <= 5 or min(shape) < 0:
        raise ArgumentError(
            f"--input-shape should be batch, channels and 1 to 3 spatial sizes, but got {input_shape!r}"
        )
    if dtype not in TYPES:
        raise ArgumentError(f"--dtype should be one of {', '.join(TYPES)}, but got {dtype!r}")
    parameters = arguments.parameters("--param", param or ())
    arguments.check([method], parameters)

    windows: dict[str, Any] = {}
    for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation)):
        if value is not None:
            windows[name] = arguments.sizes("--" + name.replace("_", "-"), value)
    if padding is not None:
        windows["padding"] = arguments.padding("--padding", padding)
    if ceil_mode:
        windows["ceil_mode"] = True
    if output_size is not None and windows:
        raise ArgumentError(f"--output-size {output_size} allows no {', '.join(windows)} beside it")
    if output_size is not None:
        windows["output_size"] = arguments.sizes("--output-size", output_size)
    elif kernel_size is None:
        raise ArgumentError("--kernel-size is missing, or --output-size for adaptive pooling")

    typer.echo(poolkit_explain(method, shape, dtype, channels_last, backward, windows | parameters))


def poolkit_explain(
    method: str, shape: tuple[int, ...], dtype: str, channels_last: bool, backward: bool, call: dict[str, Any]
) -> str:
    """Ask about a tensor of this shape, type and layout."""
    import torch

    import poolkit

    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    if channels_last and len(shape) not in layouts:
        raise ArgumentError(f"--channels-last is for 2 and 3 spatial sizes, but got {len(shape) - 2}")
    layout = layouts[len(shape)] if channels_last else torch.contiguous_format
    try:
        tensor = torch.empty(
            shape, dtype=getattr(torch, dtype), memory_format=layout
        )  # never touched: costs no memory
    except RuntimeError as error:
        raise ArgumentError(f"--input-shape {','.join(map(str, shape))} is too large: {error}") from None
    return poolkit.explain(tensor, method, backward=backward, **call)
