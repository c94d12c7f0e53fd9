"""NumPy arrays from .npy and .npz files."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolkit.errors import ArgumentError
from poolkit.show.field import Axis, Field, Subject

SUFFIXES = (".npy", ".npz")
BROKEN = (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def read(path: Path, key: str | None = None, rank: int | None = None) -> Subject:
    """The last `rank` axes are pooled, by default two where there are two; one before them holds channels."""
    values, name = stored(path, key)
    if values.dtype.kind not in "biuf":
        raise ArgumentError(f"{name} holds {values.dtype}: only real numbers can be pooled")
    if not 1 <= values.ndim <= 3:
        raise ArgumentError(f"{name} has {values.ndim} axes: 1, 2 or 3 are allowed")
    if values.size == 0:
        raise ArgumentError(f"{name} is empty: its shape is {values.shape}")
    if rank is None:
        rank = min(values.ndim, 2)
    if rank not in (1, 2, 3) or values.ndim - rank not in (0, 1):
        allowed = " or ".join(str(r) for r in (values.ndim - 1, values.ndim) if r > 0)
        raise ArgumentError(f"rank should be {allowed} for {name} of shape {values.shape}, but got {rank}")

    single = values.ndim == rank
    axes = tuple(Axis(f"{letter} (cells)") for letter in "zyx"[3 - rank :])
    return Subject(
        title=name,
        field=Field("original", values[None] if single else values, axes, single),
    )


def stored(path: Path, key: str | None) -> tuple[NDArray[Any], str]:
    """The array in a file, and its name; nothing in the file is ever executed."""
    try:
        # A map of the file: an array larger than the memory is read as it is used.
        loaded = np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            if key is not None:
                raise ArgumentError(f"key={key!r} is for .npz archives, and {path.name} holds one array")
            values, name = loaded, path.name
        else:
            with loaded as archive:
                key = chosen(path, key, archive.files)
                values, name = archive[key], f"{path.name}[{key}]"
    except ArgumentError:
        raise
    except BROKEN as error:
        reason = "it is none, or one of Python objects" if "allow_pickle" in str(error) else str(error)
        raise ArgumentError(f"{path} cannot be read as an array: {reason}") from None
    return values.astype(values.dtype.newbyteorder("="), copy=False), name


def chosen(path: Path, key: str | None, keys: list[str]) -> str:
    if not keys:
        raise ArgumentError(f"{path} holds no array")
    if key is None and len(keys) == 1:
        return keys[0]
    if key is None:
        raise ArgumentError(f"{path} holds several arrays: choose one by its key, which can be {', '.join(keys)}")
    if key not in keys:
        raise ArgumentError(f"key should be one of {', '.join(keys)} in {path}, but got {key}")
    return key
