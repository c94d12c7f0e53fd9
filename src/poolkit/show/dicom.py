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


def slices(folder: Path) -> list[Path]:
    """The DICOM files of a folder."""
    return [path for path in sorted(folder.iterdir()) if path.is_file() and named(path)]


def named(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or recognised(path)


def read(path: Path) -> Subject:
    """The pixels in the unit that they stand for; several frames are pooled along their order too.

    A folder is the volume whose slices its files are.
    """
    if path.is_dir():
        return stacked(path)
    values, data = decoded(path)
    colours = str(data.get("PhotometricInterpretation", ""))
    coloured = values.shape[-1:] == (3,) and not colours.startswith("MONO")
    whole = np.moveaxis(values, -1, 0) if coloured else values[None]
    return Subject(
        title=path.name,
        field=Field("original", np.ascontiguousarray(whole), placed(values, data), single=not coloured),
        notes=(f"{values.shape[0]} frames",) if values.ndim == 3 + coloured else (),
        unit=unit(data),
        colours="gray_r" if colours == "MONOCHROME1" else "gray",
        rgb=coloured,
        limits=(0, np.iinfo(values.dtype).max) if coloured and values.dtype.kind == "u" else None,
        slices="frame",
    )


def decoded(path: Path) -> tuple[NDArray[Any], Any]:
    """The pixels and all else that the file says."""
    import pydicom
    from pydicom.errors import InvalidDicomError
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
    from pydicom.pixels.utils import pixel_array

    broken = (AttributeError, KeyError, TypeError, ValueError, NotImplementedError, RuntimeError, OSError, EOFError)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values against the standard: what cannot be read raises
            data = pydicom.dcmread(path)
            values = pixel_array(data)
            if data.get("PhotometricInterpretation") == "PALETTE COLOR":
                values = apply_color_lut(values, data)
            return apply_modality_lut(values, data), data
    except (*broken, InvalidDicomError, struct.error) as error:
        raise ArgumentError(f"{path} cannot be read as a DICOM image: {error}") from None


def stacked(folder: Path) -> Subject:
    """The slices of a folder in the order in which they lie in space."""
    parts = [(*decoded(path), path) for path in slices(folder)]
    first = parts[0][1]
    for values, data, path in parts:
        if values.ndim != 2 or values.shape != parts[0][0].shape:
            raise ArgumentError(
                f"{path} is no slice of one volume: its shape is {values.shape}, not {parts[0][0].shape}"
            )
        if data.get("SeriesInstanceUID") != first.get("SeriesInstanceUID"):
            raise ArgumentError(f"{folder} holds slices of several volumes: {path.name} is of another series")
    heights = [height(data, first) for _, data, _ in parts]
    order = np.argsort(heights, kind="stable")
    steps = np.diff(np.sort(heights))
    upright = Axis("z (mm)", 0.0, float(np.median(steps))) if steps.size and steps.min() > 0 else Axis("slice")
    return Subject(
        title=folder.name,
        field=Field(
            "original", np.stack([parts[i][0] for i in order])[None], (upright, *placed(*parts[0][:2])), single=True
        ),
        notes=(f"{len(parts)} slices",),
        unit=unit(first),
        colours="gray_r" if first.get("PhotometricInterpretation") == "MONOCHROME1" else "gray",
    )


def height(data: Any, first: Any) -> float:
    """How far a slice lies along the direction in which the first one looks; its number, if the file does not say."""
    directions, place = first.get("ImageOrientationPatient"), data.get("ImagePositionPatient")
    if not directions or not place:
        return float(data.get("InstanceNumber") or 0)
    across, down = np.array(directions, float).reshape(2, 3)
    return float(np.cross(across, down) @ np.array(place, float))


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
