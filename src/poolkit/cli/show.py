"""poolkit show: pool a file, print what was reduced, and draw it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from poolkit.cli import arguments


def show(
    file: Annotated[
        str,
        Argument(metavar="FILE", help="A sound, an image, a .npy or .npz array, or the name of a sample."),
    ],
    method: Annotated[
        list[str] | None,
        Option(metavar="NAME", show_default="max and avg", help="A pooling method; may be repeated."),
    ] = None,
    param: Annotated[
        list[str] | None,
        Option(metavar="NAME=VALUE", help="A parameter of the methods: norm_type=3; may be repeated."),
    ] = None,
    kernel_size: Annotated[str, Option(metavar="SIZE", help="Of the windows: 2, or one an axis: 2,3.")] = "2",
    stride: Annotated[
        str | None, Option(metavar="SIZE", show_default="the kernel size", help="Between windows.")
    ] = None,
    padding: Annotated[
        str, Option(metavar="PADDING", help="1, one an axis: 1,2, before and after: 0:1,2:3, or same.")
    ] = "0",
    dilation: Annotated[str, Option(metavar="SIZE", help="Between the cells of a window.")] = "1",
    ceil_mode: Annotated[bool, Option("--ceil-mode", help="Keep windows that reach beyond the end.")] = False,
    start: Annotated[
        float | None, Option(metavar="SECONDS", show_default="the beginning", help="Sounds: from here.")
    ] = None,
    end: Annotated[
        float | None, Option(metavar="SECONDS", show_default="the end", help="Sounds: to here.")
    ] = None,
    sample_rate: Annotated[
        int | None, Option(metavar="HZ", show_default="16000", help="Sounds: resampled to this rate.")
    ] = None,
    n_fft: Annotated[
        int | None,
        Option(metavar="SAMPLES", show_default="512", help="Sounds: length of a Fourier transform."),
    ] = None,
    hop_length: Annotated[
        int | None,
        Option(metavar="SAMPLES", show_default="256", help="Sounds: from one transform to the next."),
    ] = None,
    key: Annotated[str | None, Option(metavar="NAME", help="Archives (.npz): which array.")] = None,
    rank: Annotated[
        int | None,
        Option(metavar="1|2|3", show_default="1 for 1-D arrays, else 2", help="Arrays: axes to pool."),
    ] = None,
    channel: Annotated[
        int | None, Option(metavar="INDEX", show_default="0", help="Arrays: the one to draw.")
    ] = None,
    output: Annotated[
        Path | None,
        Option("--output", "-o", metavar="PICTURE", show_default="FILE-pooled.png", help="What to draw to."),
    ] = None,
) -> None:
    """Pool a sound, an image or an array by each method, and show what is left of it.

    Prints the shape and the size of every map, and saves one picture with the original and every map side by side.
    """
    from poolkit.cli.output import progress, show_table
    from poolkit.show.loading import Selection, load, locate
    from poolkit.show.picture import FORMATS, draw, save
    from poolkit.show.pooling import WindowArguments, pool
    from poolkit.show.table import table
    from poolkit.show.writing import check_target

    chosen = list(dict.fromkeys(method or ("max", "avg")))
    parameters = arguments.parameters("--param", param or ())
    arguments.check(chosen, parameters)
    windows = WindowArguments(
        kernel_size=arguments.sizes("--kernel-size", kernel_size),
        stride=None if stride is None else arguments.sizes("--stride", stride),
        padding=arguments.padding("--padding", padding),
        dilation=arguments.sizes("--dilation", dilation),
        ceil_mode=ceil_mode,
    )
    path, _ = locate(file)
    picture = output or Path(f"{path.stem}-pooled.png")
    check_target(picture, FORMATS, path)

    with progress() as bar:
        task = bar.add_task(f"reading {path.name}", total=len(chosen) + 2)
        subject = load(file, Selection(start, end, sample_rate, n_fft, hop_length, key, rank))
        pooled = []
        for name in chosen:
            bar.update(task, advance=1, description=f"pooling by {name}")
            pooled.append(pool(subject.field, name, windows, arguments.of_method(name, parameters)))
        bar.update(task, advance=1, description=f"drawing {picture.name}")
        numbers = table(subject, pooled, str(windows))
        save(draw(subject, pooled, str(windows), channel), picture)
    show_table(numbers)
    typer.echo(f"picture: {picture}")
