"""Any audio or video file to mono float32 at 16 kHz, whole (`load`) or block by block (`stream`)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np

from moss_cli.audio.channels import Channel
from moss_cli.audio.results import Audio
from moss_cli.audio.stream import AudioStream


def load(
    path: Path,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    max_duration_s: float = 86400,
    channel: int | Literal["mix"] = "mix",
    track: int | None = None,
) -> Audio:
    """The samples of a file, or of its range [start_s, end_s) in seconds; `channel` and `track` as of `AudioStream`.

    AudioError where it cannot be read or lasts longer than `max_duration_s`; UsageError for a range, channel or track
    that the file does not have.
    """
    limits: dict[str, Any] = {"start_s": start_s, "end_s": end_s, "max_duration_s": max_duration_s}
    with stream(path, **limits, channel=channel, track=track) as audio:
        samples = np.concatenate(list(audio))
        return Audio(samples, audio.offset_s, audio.info(), audio.warnings, audio.complete)


def stream(
    path: Path,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    max_duration_s: float = math.inf,
    channel: Channel = "mix",
    track: int | None = None,
) -> AudioStream:
    """A file, or its range [start_s, end_s) in seconds, to be read block by block in constant memory.

    Its blocks are bit for bit what `load` joins. AudioError where it cannot be read or lasts longer than
    `max_duration_s`, UsageError for a range that no file has, and a channel or track that this one has not; a range
    beyond the end of this file, and a length that its header does not say, come to light at the latest while reading.
    """
    return AudioStream(path, start_s=start_s, end_s=end_s, max_duration_s=max_duration_s, channel=channel, track=track)
