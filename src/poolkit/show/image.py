"""Images: grey, or red, green and blue, which are pooled apart."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from poolkit.errors import ArgumentError
from poolkit.show.field import Axis, Field, Subject

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
GREY = ("1", "L", "LA", "La", "I", "F")  # and "I;16" with its byte orders


def read(path: Path) -> Subject:
    """The first frame of an image as a viewer shows it: upright, transparent parts over white."""
    import PIL.Image
    import PIL.ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of size and of broken metadata: what cannot be read raises
            with PIL.Image.open(path) as opened:
                frames = getattr(opened, "n_frames", 1)
                picture = PIL.ImageOps.exif_transpose(opened)
                mode = picture.mode
                values, transparent = pixels(picture)
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise ArgumentError(f"{path} cannot be read as an image: {error}") from None

    notes = []
    if frames > 1:
        notes.append(f"the first of {frames} frames")
    if transparent:
        notes.append("transparent parts over white")
    if mode not in (*GREY, "RGB", "RGBA") and not mode.startswith("I;16"):
        notes.append(f"converted from mode {mode} to RGB")
    grey = values.ndim == 2
    channels = values[None] if grey else np.ascontiguousarray(np.moveaxis(values, -1, 0))
    return Subject(
        title=path.name,
        field=Field("original", channels, (Axis("y (pixels)"), Axis("x (pixels)")), single=grey),
        notes=tuple(notes),
        colours="gray",
        rgb=not grey,
        limits=(0, np.iinfo(values.dtype).max) if values.dtype.kind == "u" else None,
    )


def pixels(picture: Image) -> tuple[np.ndarray, bool]:
    """(height, width) of grey pictures, (height, width, 3) of others; and whether any part is transparent."""
    import PIL.Image

    grey = picture.mode in GREY or picture.mode.startswith("I;16")
    if "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", coloured.size, "white")
        flat = PIL.Image.alpha_composite(white, coloured).convert("L" if grey else "RGB")
        return np.asarray(flat), bool(np.asarray(coloured)[..., 3].min() < 255)
    if picture.mode == "1":
        picture = picture.convert("L")
    elif not grey:
        picture = picture.convert("RGB")
    values = np.asarray(picture)
    return values.astype(values.dtype.newbyteorder("="), copy=False), False
