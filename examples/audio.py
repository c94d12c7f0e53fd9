"""Audio: three seconds of a bird's song as a spectrogram, pooled by maximum and by average, to see and to hear.

    python examples/audio.py
    python examples/audio.py --file song.wav --start 0 --end 3

Prints every shape, draws audio.png, and writes audio_max.wav and audio_avg.wav: what pooled spectrograms still hold,
made into sound again. Maxima keep the calls as loud as they are; averages mix them with the silence around.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from poolkit import nn, samples

#: Nothing is drawn: always the same. Maxima keep the loudest cell at 0 dB, averages have it some 7 dB quieter.
FLOORS = {"rows": 128, "columns": 94, "loudest maximum": 0.0, "average quieter by": 5.0}

RATE, N_FFT, HOP = 16000, 512, 256


def sound_of(decibels: Tensor, shape: torch.Size, rounds: int) -> NDArray[np.float32]:
    """The sound of a pooled spectrogram: stretched to its old shape, phases found by Griffin and Lim's iteration."""
    import librosa

    stretched = torch.nn.functional.interpolate(decibels[None, None], shape)[0, 0].numpy()
    return librosa.griffinlim(
        librosa.db_to_amplitude(stretched), n_iter=rounds, hop_length=HOP, n_fft=N_FFT, random_state=0
    )


def main(file: Path | None = None, start: float = 1.5, end: float = 4.5, smoke: bool = False) -> dict[str, float]:
    """Pools the spectrogram of a sound file, a bird's song by default; writes a picture and two sounds here."""
    import librosa
    import soundfile
    from matplotlib.figure import Figure

    path = file or samples.find("birds_10s")
    rate = soundfile.info(path).samplerate
    channels, _ = soundfile.read(path, start=int(start * rate), stop=int(end * rate), dtype="float32", always_2d=True)
    sound = librosa.resample(channels.mean(1), orig_sr=rate, target_sr=RATE)
    print(f"{path.name}, seconds {start:g} to {end:g}, {RATE} Hz, mono: {sound.shape}")
    spectrum = librosa.stft(sound, n_fft=N_FFT, hop_length=HOP)
    print(f"STFT, n_fft {N_FFT}, hop {HOP}: {spectrum.shape}")
    decibels = torch.from_numpy(librosa.amplitude_to_db(np.abs(spectrum), ref=np.max))
    print(f"in dB: {tuple(decibels.shape)}, from {decibels.min():.0f} to {decibels.max():.0f}")

    pooled = {"original": decibels}
    for name, pool in (("max", nn.MaxPool2d(2)), ("avg", nn.AvgPool2d(2))):
        pooled[name] = pool(decibels[None])[0]
        print(
            f"{name} pooling 2 x 2: {tuple(pooled[name].shape)}, the loudest cell {pooled[name].max():.1f} dB, "
            f"half of them below {pooled[name].median():.1f} dB"
        )

    figure = Figure(figsize=(12, 4), layout="constrained")
    for place, (name, map) in zip(figure.subplots(1, 3, sharey=True), pooled.items(), strict=True):
        shown = place.imshow(
            map.numpy(),
            origin="lower",
            aspect="auto",
            cmap="magma",
            extent=(start, end, 0, RATE / 2000),
            vmin=-80,
            vmax=0,
        )
        place.set(title=f"{name}: {map.shape[0]} x {map.shape[1]}", xlabel="time (s)")
    figure.supylabel("frequency (kHz)")
    figure.colorbar(shown, ax=figure.axes, label="dB")
    figure.savefig("audio.png")
    for name in ("max", "avg"):
        soundfile.write(f"audio_{name}.wav", sound_of(pooled[name], decibels.shape, rounds=4 if smoke else 32), RATE)
    print("audio.png, audio_max.wav and audio_avg.wav are written")
    return {
        "rows": pooled["max"].shape[0],
        "columns": pooled["max"].shape[1],
        "loudest maximum": pooled["max"].max().item(),
        "average quieter by": -pooled["avg"].max().item(),
    }


if __name__ == "__main__":
    typer.run(main)
