"""Small audio files for the tests, made with soundfile and PyAV."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile


def noise(seconds: float, rate: int = 16_000, channels: int = 1, seed: int = 0) -> np.ndarray:
    """[n, channels] float32 on the grid of 16-bit integers; louder as it goes on, so that every place is unlike."""
    n = round(seconds * rate)
    values = np.random.default_rng(seed).standard_normal((n, channels)) * np.linspace(0.02, 0.15, n)[:, None]
    return (np.round(values.clip(-0.99, 0.99) * 32768) / 32768).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = 16_000, **options: str) -> Path:
    """A file that libsndfile writes, in blocks (it does not survive long ones in Vorbis)."""
    samples = samples[:, None] if samples.ndim == 1 else samples
    with soundfile.SoundFile(path, "w", rate, samples.shape[1], **options) as file:
        for start in range(0, len(samples), 4096):
            file.write(samples[start : start + 4096])
    return path


def encode(
    path: Path,
    samples: np.ndarray,
    rate: int,
    codec: str,
    *,
    container: str | None = None,
    video: bool = False,
    delay_s: float = 0.0,
    options: dict[str, str] | None = None,
) -> Path:
    """A file that ffmpeg writes; `video` adds a black picture a second, `delay_s` lets the sound set in later."""
    samples = samples[:, None] if samples.ndim == 1 else samples
    layout = {1: "mono", 2: "stereo", 8: "7.1"}[samples.shape[1]]
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        audio = output.add_stream(codec, rate=rate, layout=layout)
        if codec == "aac":
            audio.options = {"aac_pns": "0"}  # noise that the decoder draws anew would differ after a seek
        if codec.startswith("wma"):
            audio.codec_context.bit_rate = 64_000  # it refuses to begin without one
        picture = output.add_stream("mpeg4", rate=5, width=32, height=32) if video else None
        if picture is not None:
            picture.pix_fmt = "yuv420p"
            for k in range(int(len(samples) / rate * 5)):
                frame = av.VideoFrame(32, 32, "yuv420p")
                frame.pts = k
                output.mux(picture.encode(frame))
            output.mux(picture.encode(None))
        for start in range(0, len(samples), 1024):
            packed = np.ascontiguousarray(samples[start : start + 1024].reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
            frame.sample_rate = rate
            frame.pts = start + round(delay_s * rate)
            output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    return path


def lag(decoded: np.ndarray, original: np.ndarray, reach: int = 4000) -> int:
    """By how many samples `decoded` comes later than `original`, from their cross-correlation."""
    n = 1 << (len(decoded) + len(original)).bit_length()
    spectrum = np.fft.rfft(decoded, n) * np.conj(np.fft.rfft(original, n))
    correlation = np.fft.irfft(spectrum, n)
    shifts = np.r_[0 : reach + 1, -reach:0]
    return int(shifts[np.argmax(correlation[shifts])])


def bursts(n_seconds: int = 8, rate: int = 16_000) -> np.ndarray:
    """[n] float32: noise that is hardly heard, and a tone of 80 ms in the middle of every second."""
    values = 0.002 * np.random.default_rng(0).standard_normal(n_seconds * rate)
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(round(0.08 * rate)) / rate)
    for second in range(n_seconds):
        first = second * rate + rate // 2
        values[first : first + len(tone)] += tone
    return (np.round(values * 32768) / 32768).astype(np.float32)


def onsets(samples: np.ndarray, rate: int = 16_000) -> list[float]:
    """Where the bursts begin, in seconds, to a hundredth."""
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    first = np.r_[True, np.diff(loud) > rate // 5]
    return [round(float(at) / rate, 2) for at in loud[first]] if len(loud) else []


def zeroed(data: bytes, start: float, end: float) -> bytes:
    """The bytes with zeros in the place of the shares from `start` to `end`."""
    first, last = round(len(data) * start), round(len(data) * end)
    return data[:first] + bytes(last - first) + data[last:]
