"""poolkit show: pool a file, print what was reduced, and draw it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from poolkit.cli import arguments


def show(
    file: Annotated[str, typer.Argument(help="A sound, an image, a .npy or .npz array, or a sample's name.")],
    method: Annotated[list[str] | None, typer.Option(help="A pooling method; repeat it.  [default: max, avg]")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of a method.")] = None,
    kernel_size: Annotated[str, typer.Option(help="Of the windows: one integer, or one an axis: 2,3.")] = "2",
    stride: Annotated[str | None, typer.Option(help="Between windows.  [default: the kernel size]")] = None,
    padding: Annotated[str, typer.Option(help="An integer, one an axis, pairs 0:1,2:3, or same.")] = "0",
    dilation: Annotated[str, typer.Option(help="Between the cells of a window.")] = "1",
    ceil_mode: Annotated[bool, typer.Option("--ceil-mode", help="Keep the window that overhangs the end.")] = False,
    start: Annotated[float | None, typer.Option(help="Sounds: the first second.")] = None,
    end: Annotated[float | None, typer.Option(help="Sounds: the last second.")] = None,
    sample_rate: Annotated[int | None, typer.Option(help="Sounds: in Hz.  [default: 16000]")] = None,
    n_fft: Annotated[int | None, typer.Option(help="Sounds: samples a spectrum.  [default: 512]")] = None,
    hop_length: Annotated[int | None, typer.Option(help="Sounds: samples between spectra.  [default: 256]")] = None,
    key: Annotated[str | None, typer.Option(help="Archives (.npz): the name of the array.")] = None,
    rank: Annotated[int | None, typer.Option(help="Arrays: how many last axes are pooled.  [default: 1 or 2]")] = None,
    channel: Annotated[int, typer.Option(help="Arrays: the channel to draw.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The picture.  [default: FILE's name and -pooled.png]")
    ] = None,
) -> None:
    """Pool a sound, an image or an array by each method, and show what is left of it.

    Prints the shape and the size of every map, and saves one picture with the original and every map side by side.
    """
    from poolkit.cli.output import progress, show_table
    from poolkit.show.loading import Selection, load, locate
    from poolkit.show.picture import FORMATS, draw, save
    from poolkit.show.pooling import WindowArguments, check, pool
    from poolkit.show.table import table
    from poolkit.show.writing import check_target

    chosen = list(dict.fromkeys(method or ("max", "avg")))
    parameters = arguments.parameters("--param", param or ())
    check(chosen, parameters)
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
            pooled.append(pool(subject.field, name, windows, parameters))
        bar.update(task, advance=1, description=f"drawing {picture.name}")
        numbers = table(subject, pooled, str(windows))
        save(draw(subject, pooled, str(windows), channel), picture)
    show_table(numbers)
    typer.echo(f"picture: {picture}")
