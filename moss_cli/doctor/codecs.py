"""Whether the usual kinds of files decode: a tone in each is made in memory, and read as any input is."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from moss_cli.audio.decode import load
from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.doctor.check import Check, install, listed
from moss_cli.errors import AudioError, as_moss_error

if TYPE_CHECKING:
    from av.container import OutputContainer

RATE, SECONDS, TONE_HZ = 48_000, 0.5, 440.0
SLACK_S, SLACK_HZ = 0.15, 10.0  # chosen: coders pad to whole frames, of 43 ms at the most here


class NoEncoderError(Exception):
    """PyAV has no encoder to make a sample with, which says nothing of its decoder."""


@dataclass(frozen=True)
class SampleKind:
    """A kind of file: its name, container and encoder as ffmpeg has them, and whether it has pictures, too.

    Without an encoder it is libsndfile that writes it: PyAV's wheels have none for Vorbis.
    """

    name: str
    container: str
    encoder: str | None = None
    video: bool = False


KINDS = (
    SampleKind("wav", "WAV"),
    SampleKind("flac", "FLAC"),
    SampleKind("mp3", "mp3", "libmp3lame"),
    SampleKind("ogg", "OGG"),
    SampleKind("opus", "ogg", "libopus"),
    SampleKind("m4a", "ipod", "aac"),
    SampleKind("aac", "adts", "aac"),
    SampleKind("mp4", "mp4", "aac", video=True),
    SampleKind("mkv", "matroska", "aac", video=True),
    SampleKind("webm", "webm", "libopus"),
)
Make = Callable[[SampleKind], bytes]


def check_codecs(make: Make | None = None) -> Check:
    """Which kinds decode; `make` makes the bytes of a sample of a kind, or raises NoEncoderError."""
    results = {kind.name: tried_kind(kind, make or sample_of) for kind in KINDS}
    right = [name for name, result in results.items() if result == "decodes"]
    untried = [name for name, result in results.items() if result == "no encoder"]
    reasons: dict[str, list[str]] = {}
    for name, result in results.items():
        if name not in {*right, *untried}:
            reasons.setdefault(result, []).append(name)
    wrong = [f"{listed(names)} ({reason})" for reason, names in reasons.items()]
    text = f"{listed(right)} decode"
    if untried:
        text += f"; not tried, as PyAV has no encoder here: {listed(untried)}"
    if not wrong:
        return Check("codecs", "ok", text, facts=dict(results))
    fix = install("--force-reinstall", "av", "soundfile", "soxr")
    return Check("codecs", "error", f"do not decode: {'; '.join(wrong)}; {text}", fix, dict(results))


def tried_kind(kind: SampleKind, make: Make) -> str:
    """`decodes`, `no encoder`, or what went wrong."""
    try:
        with tempfile.NamedTemporaryFile(prefix="moss-doctor-", suffix=f".{kind.name}") as file:
            file.write(make(kind))
            file.flush()
            return heard(load(Path(file.name)).samples)
    except NoEncoderError:
        return "no encoder"
    except AudioError as error:
        return error.code
    except Exception as error:  # noqa: BLE001 - one kind that breaks is told with the others
        return as_moss_error(error).message


def heard(samples: np.ndarray) -> str:
    """`decodes` for samples of the tone, or what else they are. samples: [n] float32 at 16 kHz."""
    seconds = len(samples) / SAMPLE_RATE
    if abs(seconds - SECONDS) > SLACK_S:
        return f"{seconds:.2f} s instead of {SECONDS} s"
    loudest = int(np.abs(np.fft.rfft(samples)).argmax()) * SAMPLE_RATE / len(samples)
    return "decodes" if abs(loudest - TONE_HZ) <= SLACK_HZ else "another sound than what was encoded"


def sample_of(kind: SampleKind) -> bytes:
    """A file of that kind with half a second of the tone. Raises NoEncoderError."""
    samples = 0.25 * np.sin(2 * np.pi * TONE_HZ * np.arange(round(RATE * SECONDS)) / RATE).astype(np.float32)
    file = io.BytesIO()
    if kind.encoder is None:
        soundfile.write(file, samples, RATE, format=kind.container)
    else:
        _encode(file, samples, kind.encoder, kind)
    return file.getvalue()


def _encode(file: io.BytesIO, samples: np.ndarray, encoder: str, kind: SampleKind) -> None:
    """Have ffmpeg write [n] float32 into a file."""
    import av
    from av.audio.stream import AudioStream
    from av.codec.codec import UnknownCodecError

    try:
        for name in (encoder, *(["mpeg4"] if kind.video else [])):
            av.Codec(name, "w")
    except UnknownCodecError as error:
        raise NoEncoderError(encoder) from error
    with av.open(file, "w", format=kind.container) as output:
        audio = output.add_stream(encoder, rate=RATE, layout="mono")
        assert isinstance(audio, AudioStream)
        if kind.video:
            _add_pictures(output)
        for start in range(0, len(samples), 1024):
            block = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], "flt", "mono")
            block.sample_rate, block.pts = RATE, start
            output.mux(audio.encode(block))
        output.mux(audio.encode(None))


def _add_pictures(output: OutputContainer) -> None:
    """Three black ones."""
    import av

    picture = output.add_stream("mpeg4", rate=5, width=32, height=32, pix_fmt="yuv420p")
    for index in range(3):
        frame = av.VideoFrame(32, 32, "yuv420p")
        frame.pts = index
        output.mux(picture.encode(frame))
    output.mux(picture.encode(None))
