"""Volumes from NIfTI files, as magnetic resonance and other scanners make them."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolkit.errors import ArgumentError
from poolkit.show.field import Axis, Field, Subject

SUFFIXES = (".nii", ".nii.gz")


def read(path: Path) -> Subject:
    """The volume turned upright (z, y and x grow towards the head, the front and the right); several are channels."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    broken = (OSError, EOFError, ValueError, ArithmeticError, zlib.error, ImageFileError, HeaderDataError)
    try:
        image: Any = nibabel.as_closest_canonical(nibabel.load(path))
        stored = np.asanyarray(image.dataobj)
        steps, unit = image.header.get_zooms(), image.header.get_xyzt_units()[0]
    except broken as error:
        raise ArgumentError(f"{path} cannot be read as a NIfTI volume: {error}") from None
    values = volumes(path, stored)
    unit = "mm" if unit == "unknown" else unit
    sizes = (*(float(step) for step in steps[:3]), 1.0, 1.0, 1.0)[:3]
    axes = tuple(Axis(f"{letter} ({unit})", 0.0, size or 1.0) for letter, size in zip("xyz", sizes, strict=True))
    return Subject(
        title=path.name,
        field=Field("original", values, axes[::-1], single=len(values) == 1),
        notes=(f"{len(values)} volumes, pooled apart",) if len(values) > 1 else (),
        colours="gray",
        upwards=True,
    )


def volumes(path: Path, stored: NDArray[Any]) -> NDArray[Any]:
    """What is stored as (x, y, z) or (x, y, z, volumes) as (volumes, z, y, x)."""
    if stored.dtype.kind not in "biuf":
        raise ArgumentError(f"{path} holds {stored.dtype}: only real numbers can be pooled")
    if stored.size == 0:
        raise ArgumentError(f"{path} is empty: its shape is {stored.shape}")
    shape = (*stored.shape, 1, 1)
    whole = 4 if stored.ndim > 3 else 3
    if stored.ndim < 2 or any(length > 1 for length in shape[4:]):
        raise ArgumentError(f"{path} has {stored.ndim} axes: (x, y, z) or (x, y, z, volumes) are allowed")
    values = stored.reshape(shape[:whole])
    values = values.transpose(3, 2, 1, 0) if whole == 4 else values.transpose(2, 1, 0)[None]
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))
