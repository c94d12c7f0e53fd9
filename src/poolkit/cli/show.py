"""poolkit show: pool a file, print what was reduced, and draw it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from poolkit.cli import arguments, options

METHODS = Option(
    "--method",
    metavar="NAME[:PARAMETERS]",
    show_default="max and avg",
    help="max, soft:temperature=2. May be repeated.",
)
START = Option(metavar="SECONDS", show_default="the beginning", help="Sounds: from here.")
END = Option(metavar="SECONDS", show_default="the end", help="Sounds: to here.")
SAMPLE_RATE = Option(metavar="HZ", show_default="16000", help="Sounds: resampled to this.")
N_FFT = Option(metavar="SAMPLES", show_default="512", help="Sounds: length of a Fourier transform.")
HOP_LENGTH = Option(metavar="SAMPLES", show_default="256", help="Sounds: from one transform to the next.")
KEY = Option(metavar="NAME", help="Archives (.npz): which array.")
RANK = Option(metavar="1|2|3", show_default="1 for 1-D arrays, else 2", help="Arrays: how many axes to pool.")
CHANNEL = Option(metavar="INDEX", show_default="0", help="Arrays: the channel to draw.")
SEED = Option(metavar="INTEGER", help="Of what methods draw, with training=true.")
OUTPUT = Option("--output", "-o", metavar="PICTURE", show_default="FILE-pooled.png", help="What to draw to.")


def show(
    file: Annotated[str, Argument(metavar="FILE", help="A sound, an image, an array, or a sample's name.")],
    methods: Annotated[list[str] | None, METHODS] = None,
    param: options.Parameters = None,
    kernel_size: options.KernelSize = "2",
    stride: options.Stride = None,
    padding: options.PaddingOption = None,
    dilation: options.Dilation = None,
    ceil_mode: options.CeilMode = False,
    start: Annotated[str | None, START] = None,
    end: Annotated[str | None, END] = None,
    sample_rate: Annotated[str | None, SAMPLE_RATE] = None,
    n_fft: Annotated[str | None, N_FFT] = None,
    hop_length: Annotated[str | None, HOP_LENGTH] = None,
    key: Annotated[str | None, KEY] = None,
    rank: Annotated[str | None, RANK] = None,
    channel: Annotated[str | None, CHANNEL] = None,
    seed: Annotated[str, SEED] = "0",
    output: Annotated[Path | None, OUTPUT] = None,
) -> None:
    """Pool a sound, an image or an array by each method, and show what is left of it.

    Prints the shape and the size of every map, and draws the original and every map side by side.
    """
    from poolkit.cli.output import progress, show_table
    from poolkit.show.loading import Selection, load, locate
    from poolkit.show.picture import FORMATS, draw, save
    from poolkit.show.pooling import WindowArguments, pool
    from poolkit.show.table import table
    from poolkit.show.writing import check_target

    calls = arguments.calls(methods or ("max", "avg"), param)
    windows = WindowArguments(**arguments.windows(kernel_size, stride, padding, dilation, ceil_mode))
    selection = Selection(
        start=arguments.number("--start", start),
        end=arguments.number("--end", end),
        sample_rate=arguments.integer("--sample-rate", sample_rate),
        n_fft=arguments.integer("--n-fft", n_fft),
        hop_length=arguments.integer("--hop-length", hop_length),
        key=key,
        rank=arguments.integer("--rank", rank),
    )
    drawn = arguments.integer("--channel", channel)
    seeded = arguments.seed(seed)
    path, _ = locate(file)
    picture = output or Path(f"{path.stem}-pooled.png")
    check_target(picture, FORMATS, path)

    with progress() as bar:
        task = bar.add_task(f"reading {path.name}", total=len(calls) + 2)
        subject = load(file, selection)
        pooled = []
        for name, parameters in calls:
            bar.update(task, advance=1, description=f"pooling by {name}")
            pooled.append(pool(subject.field, name, windows, parameters, seeded))
        bar.update(task, advance=1, description=f"drawing {picture.name}")
        numbers = table(subject, pooled, str(windows))
        save(draw(subject, pooled, str(windows), drawn), picture)
    show_table(numbers)
    typer.echo(f"picture: {picture}")
