"""Samples as a WAV file for a server: every one of them as it is, wherever the server can read that."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from moss_cli.audio.results import SAMPLE_RATE, Samples

_PCM, _FLOAT = 1, 3  # wFormatTag of "Multimedia Programming Interface and Data Specifications 1.0", 1991
_FULL_SCALE = 32768.0


def wav(samples: Samples, *, exact: bool = True) -> bytes:
    """A mono WAV file of [n] float32 samples at 16 kHz.

    In 16 bits where no sample loses by that, as those of most recordings do not, else in 32-bit floats; in 16 bits in
    any case unless `exact`.
    """
    scaled = samples * np.float32(_FULL_SCALE)
    is_whole = bool(np.all(scaled == np.rint(scaled))) and bool(
        np.all((scaled >= -_FULL_SCALE) & (scaled < _FULL_SCALE))
    )
    if is_whole or not exact:
        return _file(_PCM, np.clip(np.rint(scaled), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2"))
    return _file(_FLOAT, samples.astype("<f4"))


def _file(kind: int, values: npt.NDArray[np.int16] | npt.NDArray[np.float32]) -> bytes:
    width, data = values.dtype.itemsize, values.tobytes()
    form = struct.pack("<HHIIHH", kind, 1, SAMPLE_RATE, SAMPLE_RATE * width, width, 8 * width)
    chunks = (
        [(b"fmt ", form)] if kind == _PCM else [(b"fmt ", form + b"\0\0"), (b"fact", struct.pack("<I", len(values)))]
    )
    body = b"WAVE" + b"".join(name + struct.pack("<I", len(one)) + one for name, one in [*chunks, (b"data", data)])
    return b"RIFF" + struct.pack("<I", len(body)) + body
