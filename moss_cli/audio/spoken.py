"""Where somebody surely speaks: the other end of what `vad` is used for, which is where nobody does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.audio.silero import FRAME_SAMPLES
from moss_cli.span import Span

# The defaults of Silero VAD's own `get_speech_timestamps`.
SURE = 0.5  # probability of speech from which a frame is held for speech
LEAST_SPEECH_S = 0.25  # shorter bursts are none
LEAST_PAUSE_S = 0.1  # shorter pauses lie within speech


def spoken_stretches(probability: npt.NDArray[np.float32]) -> list[Span]:
    """The spans in which somebody surely speaks, by the probability of speech in each 32 ms, [n_frames].

    In seconds from the first frame's start, in order.
    """
    edges = np.flatnonzero(np.diff(np.pad((probability >= SURE).astype(np.int8), 1)))
    frame_s = FRAME_SAMPLES / SAMPLE_RATE
    joined: list[Span] = []
    for start_s, end_s in (edges.reshape(-1, 2) * frame_s).tolist():
        if joined and start_s - joined[-1].end_s < LEAST_PAUSE_S:
            joined[-1] = Span(joined[-1].start_s, end_s)
        else:
            joined.append(Span(start_s, end_s))
    return [one for one in joined if one.duration_s >= LEAST_SPEECH_S]
