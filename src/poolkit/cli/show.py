"""poolkit show: pool a file, print what is left of it or what was lost, and draw it."""

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
    help="max, soft:temperature=2, blur. May be repeated.",
)
KERNEL_SIZE = Option(metavar="SIZE", show_default="2", help="Of the windows: 2, or one an axis: 2,3.")
WHAT = Option(metavar="pooled|kept", help="What is left; or where it came from, and what was thrown away.")
SHIFT = Option(metavar="CELLS", help="Instead: how much the maps change when the input moves by up to so many cells.")
RESTORE = Option(metavar="repeat|unpool", help="Of what was thrown away: how maps are made large again.")
START = Option(metavar="SECONDS", show_default="the beginning", help="Sounds and videos: from here.")
END = Option(metavar="SECONDS", show_default="the end", help="Sounds and videos: to here.")
SAMPLE_RATE = Option(metavar="HZ", show_default="16000", help="Sounds: resampled to this.")
N_FFT = Option(metavar="SAMPLES", show_default="512", help="Sounds: length of a Fourier transform.")
HOP_LENGTH = Option(metavar="SAMPLES", show_default="256", help="Sounds: from one transform to the next.")
WAVEFORM = Option("--waveform", help="Sounds: pool the samples themselves, not a spectrogram.")
KEY = Option(metavar="NAME", help="Archives (.npz): which array.")
RANK = Option(metavar="1|2|3", show_default="1 for 1-D arrays, else 2", help="Arrays: how many axes to pool.")
CHANNEL = Option(metavar="INDEX", show_default="0", help="Arrays and volumes: the channel to draw.")
SLICE = Option(metavar="INDEX", show_default="the middle", help="Volumes and videos: the slice or frame to draw.")
SEED = Option(metavar="INTEGER", help="Of what methods draw, with training=true.")
OUTPUTS = Option(
    "--output",
    "-o",
    metavar="FILE",
    show_default="FILE-pooled.png",
    help="A picture (.png .jpg .pdf .svg), its numbers (.json), or both as a page (.html). May be repeated.",
)


def show(
    file: Annotated[
        str,
        Argument(
            metavar="FILE", help="A sound, image, array, volume or video, a folder of DICOM slices, or a sample's name."
        ),
    ],
    methods: Annotated[list[str] | None, METHODS] = None,
    param: options.Parameters = None,
    kernel_size: Annotated[str | None, KERNEL_SIZE] = None,
    stride: options.Stride = None,
    padding: options.PaddingOption = None,
    dilation: options.Dilation = None,
    ceil_mode: options.CeilMode = False,
    output_size: options.OutputSize = None,
    what: Annotated[str, WHAT] = "pooled",
    shift: Annotated[str | None, SHIFT] = None,
    restore: Annotated[str, RESTORE] = "repeat",
    start: Annotated[str | None, START] = None,
    end: Annotated[str | None, END] = None,
    sample_rate: Annotated[str | None, SAMPLE_RATE] = None,
    n_fft: Annotated[str | None, N_FFT] = None,
    hop_length: Annotated[str | None, HOP_LENGTH] = None,
    waveform: Annotated[bool, WAVEFORM] = False,
    key: Annotated[str | None, KEY] = None,
    rank: Annotated[str | None, RANK] = None,
    channel: Annotated[str | None, CHANNEL] = None,
    slice: Annotated[str | None, SLICE] = None,
    seed: Annotated[str, SEED] = "0",
    outputs: Annotated[list[Path] | None, OUTPUTS] = None,
) -> None:
    """Pool a file by each method, and show what is left of it, where that came from, or how it takes shifts.

    Prints the numbers, and draws the original and every map side by side.
    """
    from poolkit.cli.output import show_tables, watched
    from poolkit.show.loading import Selection, load, locate, stem
    from poolkit.show.pooling import AdaptiveArguments, WindowArguments
    from poolkit.show.report import FORMATS, report
    from poolkit.show.writing import check_target

    calls = arguments.calls(methods or ("max", "avg"), param, known)
    given = arguments.windows(kernel_size, stride, padding, dilation, ceil_mode)
    chosen: AdaptiveArguments | WindowArguments = WindowArguments(**given)
    if output_size is not None:
        chosen = AdaptiveArguments(arguments.adaptive(output_size, given))
    selection = Selection(
        start=arguments.number("--start", start),
        end=arguments.number("--end", end),
        sample_rate=arguments.integer("--sample-rate", sample_rate),
        n_fft=arguments.integer("--n-fft", n_fft),
        hop_length=arguments.integer("--hop-length", hop_length),
        waveform=waveform or None,
        key=key,
        rank=arguments.integer("--rank", rank),
    )
    path, _ = locate(file)
    wanted = outputs or [Path(f"{stem(path)}-pooled.png")]
    for target in wanted:
        check_target(target, FORMATS, path)

    with watched() as (watch, track):
        subject = watch(f"reading {path.name}", load, file, selection)
        result = report(
            subject,
            calls,
            chosen,
            what=what,
            shift=arguments.integer("--shift", shift),
            channel=arguments.integer("--channel", channel),
            slice=arguments.integer("--slice", slice),
            restore=restore,
            seed=arguments.seed(seed),
            track=track,
        )
        for target in wanted:
            watch(f"writing {target.name}", result.save, target)
    show_tables(result.tables)
    for target in wanted:
        typer.echo(f"{NAMES.get(target.suffix.lower(), 'picture')}: {target}")


def known(name: str) -> arguments.Known:
    """The parameters of a method, or of a layer that can be drawn."""
    from poolkit.show import layers

    layers.check(name)
    return dict.fromkeys(layers.options(name)) if name in layers.SHOWN else arguments.own(name)


NAMES = {".json": "numbers", ".html": "page"}
