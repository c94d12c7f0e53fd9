"""The options of a pooling, the same in every command that has them."""

from __future__ import annotations

from typing import Annotated

from typer import Option

KernelSize = Annotated[str | None, Option(metavar="SIZE", help="Of the windows: 2, or one an axis: 2,3.")]
Stride = Annotated[str | None, Option(metavar="SIZE", show_default="the kernel size", help="From window to window.")]
PaddingOption = Annotated[
    str | None,
    Option(metavar="PADDING", show_default="0", help="1, one an axis 1,2, before:after 0:1,2:3, or same."),
]
Dilation = Annotated[str | None, Option(metavar="SIZE", show_default="1", help="From cell to cell of a window.")]
CeilMode = Annotated[bool, Option("--ceil-mode", help="Keep windows that reach beyond the end.")]
OutputSize = Annotated[
    str | None,
    Option(metavar="SIZE", help="Adaptive pooling to this size, instead of windows; 1 is global pooling."),
]
Parameters = Annotated[
    list[str] | None,
    Option(
        "--param", metavar="NAME=VALUE", help="A parameter of every method that has it: norm_type=3. May be repeated."
    ),
]
