"""Sounds: read, mixed to mono, resampled, and shown as they are or as a spectrogram in dB."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from poolkit.errors import ArgumentError
from poolkit.show.field import Axis, Field, Subject

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au")
HIGHEST_RATE = 768_000


class Recording(NamedTuple):
    """A part of a sound, mono, at the sample rate wanted."""

    samples: NDArray[Any]
    start: float
    notes: tuple[str, ...]


def spectrogram(
    path: Path,
    start: float | None = None,
    end: float | None = None,
    *,
    sample_rate: int = 16000,
    n_fft: int = 512,
    hop_length: int = 256,
) -> Subject:
    """Seconds `start` to `end` of a sound as a spectrogram, in dB below its loudest cell."""
    check_rate(sample_rate)
    if n_fft < 2:
        raise ArgumentError(f"n_fft should be at least 2, but got {n_fft}")
    if hop_length < 1:
        raise ArgumentError(f"hop_length should be at least 1, but got {hop_length}")

    import librosa
    import numpy as np

    remark = f", n_fft {n_fft}, hop length {hop_length}"
    recording = recorded(path, start, end, sample_rate, n_fft, f"n_fft={n_fft}", remark)
    samples = recording.samples
    spectrum = np.abs(librosa.stft(samples, n_fft=n_fft, hop_length=hop_length))
    decibels = librosa.amplitude_to_db(spectrum, ref=np.max)
    time = Axis("time (s)", recording.start, hop_length / sample_rate)
    frequency = Axis("frequency (Hz)", 0.0, sample_rate / n_fft)
    return Subject(
        title=path.name,
        field=Field("spectrogram", decibels[None], (frequency, time), single=True),
        source=("recording", samples.shape, samples.dtype),
        notes=recording.notes,
        unit="dB",
        colours="magma",
        upwards=True,
        square=False,
    )


def waveform(path: Path, start: float | None = None, end: float | None = None, *, sample_rate: int = 16000) -> Subject:
    """The samples of seconds `start` to `end` themselves."""
    check_rate(sample_rate)
    recording = recorded(path, start, end, sample_rate, 1, "a waveform", "")
    axis = Axis("time (s)", recording.start, 1 / sample_rate)
    field = Field("waveform", recording.samples[None], (axis,), single=True)
    return Subject(path.name, field, notes=recording.notes, square=False)


def check_rate(sample_rate: int) -> None:
    if not 1 <= sample_rate <= HIGHEST_RATE:
        raise ArgumentError(f"sample_rate should be from 1 to {HIGHEST_RATE} Hz, but got {sample_rate}")


def recorded(
    path: Path, start: float | None, end: float | None, sample_rate: int, least: int, needed_by: str, remark: str
) -> Recording:
    """The seconds wanted, of which at least so many samples must be left."""
    import librosa
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate, channels = file.samplerate, file.channels
            duration = file.frames / rate
            start, end = interval(path, start, end, duration)
            samples, _ = librosa.load(file, sr=sample_rate, mono=True, offset=start, duration=end - start)
    except soundfile.LibsndfileError as error:
        raise ArgumentError(f"{path} cannot be read as a sound: {error.error_string}") from None
    except librosa.ParameterError as error:
        raise ArgumentError(f"{path} cannot be used: {error}") from None
    if len(samples) < least:
        raise ArgumentError(
            f"{path} is too short: seconds {start:g}-{end:g} are {len(samples)} samples at {sample_rate} Hz,"
            f" and {needed_by} needs at least {least}"
        )
    notes = [f"seconds {start:g}-{end:g} of {duration:g}{remark}"]
    if channels > 1:
        notes.append(f"{channels} channels mixed to one")
    if rate != sample_rate:
        notes.append(f"resampled from {rate} to {sample_rate} Hz")
    return Recording(samples, start, tuple(notes))


def interval(path: Path, start: float | None, end: float | None, duration: float) -> tuple[float, float]:
    """The seconds wanted, which must lie within the sound."""
    if duration == 0:
        raise ArgumentError(f"{path} is too short: it holds no samples")
    length = f"{duration:g} s, the length of {path}"
    if start is not None and not 0 <= start < duration:
        raise ArgumentError(f"start should be from 0 to less than {length}, but got {start:g}")
    start = start or 0.0
    if end is not None and (math.isnan(end) or end <= start):
        raise ArgumentError(f"end should be later than start={start:g}, but got {end:g}")
    if end is not None and end > duration:
        raise ArgumentError(f"end should be at most {length}, but got {end:g}")
    return start, duration if end is None else end
