"""Short videos: frames of red, green and blue, pooled in time and space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from poolkit.errors import ArgumentError
from poolkit.show.field import Axis, Field, Subject

SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg")
MOST_BYTES = 2**30


def read(path: Path, start: float | None = None, end: float | None = None) -> Subject:
    """The frames shown from second `start` to before `end`."""
    import av

    if start is not None and not start >= 0:
        raise ArgumentError(f"start should be at least 0, but got {start:g}")
    first = start or 0.0
    if end is not None and not end > first:
        raise ArgumentError(f"end should be later than start={first:g}, but got {end:g}")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ArgumentError(f"{path} cannot be read as a video: it has no pictures")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = float(stream.average_rate or 1)
            frames, times = wanted(path, container.decode(stream), first, end)
    except av.error.FFmpegError as error:
        raise ArgumentError(f"{path} cannot be read as a video: {error.strerror or error}") from None
    if not frames:
        until = "" if end is None else f" to {end:g}"
        raise ArgumentError(f"{path} is too short: it has no frame from second {first:g}{until}")
    values = np.ascontiguousarray(np.moveaxis(np.stack(frames), -1, 0))
    return Subject(
        title=path.name,
        field=Field("original", values, (Axis("time (s)", times[0], 1 / rate), Axis("y (pixels)"), Axis("x (pixels)"))),
        notes=(f"{len(frames)} frames from second {times[0]:.4g}, {rate:.4g} a second",),
        colours="gray",
        rgb=True,
        limits=(0, 255),
        slices="frame",
    )


def wanted(path: Path, decoded: Any, start: float, end: float | None) -> tuple[list[Any], list[float]]:
    """Frames and their times, as long as they fit into memory."""
    frames: list[Any] = []
    times: list[float] = []
    for frame in decoded:
        time = float(frame.time or 0)
        if end is not None and time >= end:
            break
        if time >= start:
            frames.append(frame.to_ndarray(format="rgb24"))
            times.append(time)
            if frames[0].nbytes * len(frames) > MOST_BYTES:
                raise ArgumentError(
                    f"{path} is too long: {len(frames)} frames of {frames[0].shape[1]} x {frames[0].shape[0]} pixels"
                    f" take more than {MOST_BYTES // 2**20} MiB; choose some seconds by start and end"
                )
    return frames, times
