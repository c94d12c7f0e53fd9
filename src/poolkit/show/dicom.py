"""DICOM files: one image, or frames that make a volume or a clip."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolkit.errors import ArgumentError
from poolkit.show.field import Axis, Field, Subject

SUFFIXES = (".dcm", ".dicom")


def recognised(path: Path) -> bool:
    """Whether a file without an ending, as scanners write them, is one."""
    with path.open("rb") as stream:
        return not path.suffix and stream.read(132)[128:] == b"DICM"


def read(path: Path) -> Subject:
    """The pixels in the unit that they stand for; several frames are pooled along their order too."""
    import pydicom
    from pydicom.errors import InvalidDicomError
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
    from pydicom.pixels.utils import pixel_array

    broken = (AttributeError, KeyError, TypeError, ValueError, NotImplementedError, RuntimeError, OSError, EOFError)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values against the standard: what cannot be read raises
            data = pydicom.dcmread(path)
            colours = str(data.get("PhotometricInterpretation", ""))
            values = pixel_array(data)
            if colours == "PALETTE COLOR":
                values = apply_color_lut(values, data)
            values = apply_modality_lut(values, data)
            axes, coloured = placed(values, data), values.shape[-1:] == (3,) and not colours.startswith("MONO")
    except (*broken, InvalidDicomError, struct.error) as error:
        raise ArgumentError(f"{path} cannot be read as a DICOM image: {error}") from None

    several = values.ndim == 3 + coloured
    whole = np.moveaxis(values, -1, 0) if coloured else values[None]
    return Subject(
        title=path.name,
        field=Field("original", np.ascontiguousarray(whole), axes, single=not coloured),
        notes=(f"{values.shape[0]} frames",) if several else (),
        unit=unit(data),
        colours="gray_r" if colours == "MONOCHROME1" else "gray",
        rgb=coloured,
        limits=(0, np.iinfo(values.dtype).max) if coloured and values.dtype.kind == "u" else None,
        slices="frame",
    )


def placed(values: NDArray[Any], data: Any) -> tuple[Axis, ...]:
    """The axes, in millimetres where the file says how far its pixels lie apart."""
    spacing = data.get("PixelSpacing")
    if spacing:
        inside = [Axis(f"{letter} (mm)", 0.0, float(step)) for letter, step in zip("yx", spacing, strict=True)]
    else:
        inside = [Axis(f"{letter} (pixels)") for letter in "yx"]
    frames = int(data.get("NumberOfFrames") or 1)
    return (Axis("frame"), *inside) if frames > 1 and len(values) == frames else tuple(inside)


def unit(data: Any) -> str:
    named = str(data.get("RescaleType", ""))
    measured = data.get("Modality") == "CT" and "RescaleSlope" in data
    return named if named not in ("", "US") else "HU" if measured else ""
