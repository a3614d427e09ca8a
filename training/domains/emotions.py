"""Emotions: one voice says one to four sentences, each in the prosody of an emotion; it may change between them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from moss_cli.tasks.emotion import DescribeEmotion
from training.clips import SAMPLE_RATES
from training.domains.speech_effects import (
    choose_pauses,
    draw_noise,
    from_db,
    low_passed,
    pressed,
    recorded,
    trembled,
    with_pauses,
)
from training.domains.speech_parts import (
    Band,
    Delivery,
    Said,
    Speaker,
    draw_speaker,
    in_new_process,
    say_all,
    unit_level,
)
from training.examples import SAMPLE_RATE, Example, Track, counted, in_json, may_think, tenths, thought_over
from training.sentences import sentence

LONGEST_S = 12.0
LEAD_S, BETWEEN_S = (0.1, 0.6), Band(0.3, 0.8)
MOST_OF_ONE = 3  # sentences of one emotion in a clip
LEVEL_DB = (-27.0, -22.0)  # of a neutral sentence, dBFS
NOISY, SNR_DB = 0.4, (22.0, 50.0)
CLEARLY_LONGER, LONGER_BY_S = 1.25, 0.7  # the emotion that lasts longest, than the next
FLITE = ("kal16", "slt")  # rms cannot be told how high to speak


@dataclass(frozen=True)
class Prosody:
    """How an emotion sounds. `wpm`, `pitch` and `pitch_range` as espeak-ng has them, `gain_db` against neutral;
    of the effects, those that are there: pauses between words (s), a dull voice (Hz), a pressed one, a tremor."""

    cue: str
    evidence: str
    wpm: Band
    pitch: Band
    pitch_range: Band
    gain_db: Band
    pause_s: Band | None = None
    dull_hz: Band | None = None
    drive: Band | None = None
    tremor_hz: Band | None = None
    tremor_depth: Band = Band(0.75, 0.92)  # noqa: RUF009


EMOTIONS = {
    "neutral": Prosody(
        "even voice",
        "an even pace and an even pitch",
        *(Band(140, 158), Band(42, 52), Band(28, 44), Band(-1, 1)),
    ),
    "happy": Prosody(
        "lively high voice",
        "a quick pace and a pitch that swings widely",
        *(Band(185, 212), Band(70, 84), Band(92, 99), Band(1, 3)),
    ),
    "sad": Prosody(
        "slow low voice",
        "a slow, low and dull voice",
        *(Band(92, 112), Band(10, 24), Band(4, 18), Band(-8, -5)),
        pause_s=Band(0.25, 0.5),
        dull_hz=Band(900, 1400),
    ),
    "angry": Prosody(
        "harsh pressed voice",
        "a harsh and pressed voice at a quick pace",
        *(Band(180, 205), Band(28, 42), Band(60, 80), Band(4, 7)),
        drive=Band(5, 9),
    ),
    "fearful": Prosody(
        "high trembling voice",
        "a high voice that trembles",
        *(Band(215, 245), Band(85, 97), Band(25, 45), Band(-3, 0)),
        tremor_hz=Band(10, 13),  # quicker than syllables follow each other
    ),
}


@dataclass(frozen=True)
class Uttered:
    """A sentence in an emotion: `samples` with a level of 1, `spans_s` are where the voice sounds in it."""

    emotion: str
    text: str
    samples: np.ndarray
    spans_s: tuple[tuple[float, float], ...]
    gain_db: float

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE


class Parts(Protocol):
    """Where speech comes from: rendered afresh, or from a bank."""

    def uttered(self, rng: random.Random, emotions: Sequence[str], *, reserved: bool) -> tuple[Speaker, list[Uttered]]:
        """A sentence for every emotion of a list (none more often than MOST_OF_ONE times), in one voice."""


@dataclass(frozen=True)
class Rendered:
    """Everything rendered afresh: the same sounds for the same state of the generator, unless
    `in_process`, which is quicker."""

    in_process: bool = False

    def uttered(self, rng: random.Random, emotions: Sequence[str], *, reserved: bool) -> tuple[Speaker, list[Uttered]]:
        speaker = draw_speaker(rng, reserved=reserved, flite=FLITE, flite_share=0.06)
        lines = []
        for name in emotions:
            how = EMOTIONS[name]
            wpm, pitch, swing = (band.draw(rng, reserved=reserved) for band in (how.wpm, how.pitch, how.pitch_range))
            lines.append((draw_text(rng, wpm, reserved=reserved), Delivery(wpm, pitch, swing)))
        said = say_all(speaker, lines) if self.in_process else in_new_process(say_all, speaker, lines)
        return speaker, [colour(rng, one, name, reserved=reserved) for one, name in zip(said, emotions, strict=True)]


def draw_text(rng: random.Random, wpm: float, *, reserved: bool) -> str:
    """A sentence that lasts 0.9 to 2.6 s."""
    while True:
        text = sentence(rng, reserved=reserved)
        if 0.9 <= len(text.split()) * 51 / wpm <= 2.6:
            return text


def colour(rng: random.Random, said: Said, emotion: str, *, reserved: bool) -> Uttered:
    """What an emotion does to a sentence after it was spoken."""
    how = EMOTIONS[emotion]
    pauses: list[tuple[float, float]] = []
    if how.pause_s:
        length_s = how.pause_s.draw(rng, reserved=reserved)
        pauses = choose_pauses(rng, said.word_starts_s, rng.randint(1, 2), (length_s, length_s))
    samples, spans = with_pauses(said.samples, pauses)
    if how.dull_hz:
        samples = low_passed(samples, how.dull_hz.draw(rng, reserved=reserved), order=1)
    if how.drive:
        samples = pressed(samples, how.drive.draw(rng, reserved=reserved))
    if how.tremor_hz:
        rate_hz, depth = how.tremor_hz.draw(rng, reserved=reserved), how.tremor_depth.draw(rng, reserved=reserved)
        samples = trembled(samples, rate_hz, depth)
    gain_db = how.gain_db.draw(rng, reserved=reserved)
    return Uttered(emotion, said.text, unit_level(samples), tuple(spans), gain_db)


def draw_emotions(rng: random.Random) -> list[str]:
    """An emotion for each of one to four sentences; in half of the clips it changes, once or twice."""
    n_changes = rng.choice((0, 0, 1, 2))
    runs: list[str] = []
    while len(runs) <= n_changes:
        runs.append(rng.choice([name for name in EMOTIONS if not runs or name != runs[-1]]))
    lengths = [1] * len(runs)
    for _ in range(rng.randint(0, 4 - len(runs)) if n_changes else rng.randint(0, MOST_OF_ONE - 1)):
        lengths[rng.randrange(len(runs))] += 1
    return [name for name, length in zip(runs, lengths, strict=True) for _ in range(length)]


@dataclass(frozen=True)
class Placed:
    """A sentence in a clip, in seconds from its start."""

    start_s: float
    end_s: float
    uttered: Uttered


def example(rng: random.Random, parts: Parts, *, reserved: bool) -> Example:
    """A clip of up to 12 s, and what the `emotion` command asks of it."""
    emotions = draw_emotions(rng)  # once, so that what is tried again does not change how often each comes
    while True:
        speaker, uttered = parts.uttered(rng, emotions, reserved=reserved)
        placed, duration_s = _lay_out(rng, uttered)
        overall = prevailing(_segments(placed))
        if duration_s <= LONGEST_S and overall is not None:
            break
    voice = np.zeros(round(duration_s * SAMPLE_RATE), np.float32)
    level_db = rng.uniform(*LEVEL_DB)
    for one in placed:
        start = round(one.start_s * SAMPLE_RATE)
        gain = np.float32(from_db(level_db + one.uttered.gain_db))
        voice[start : start + len(one.uttered.samples)] = one.uttered.samples * gain
    kind, snr_db, rate = draw_noise(rng, share=NOISY), rng.uniform(*SNR_DB), rng.choice(SAMPLE_RATES)
    settings = {
        "speaker": speaker.name,
        "level_db": round(level_db, 1),
        "noise": kind,
        "snr_db": None if kind == "none" else round(snr_db, 1),
        "sample_rate": rate,
        "text": [one.text for one in uttered],
    }
    samples = recorded(rng, voice, kind, snr_db, rate)
    return _as_example(rng, samples, speaker, placed, overall, settings)


def _lay_out(rng: random.Random, uttered: Sequence[Uttered]) -> tuple[list[Placed], float]:
    """Where the sentences lie, with silence between them, and how long the clip is."""
    at_s = rng.uniform(*LEAD_S)
    placed: list[Placed] = []
    for one in uttered:
        at_s += rng.uniform(BETWEEN_S.low, BETWEEN_S.high) if placed else 0.0
        placed.append(Placed(at_s, at_s + one.duration_s, one))
        at_s += one.duration_s
    return placed, at_s + rng.uniform(*LEAD_S)


Stretch = tuple[float, float, str]  # from, to, emotion


def _segments(placed: Sequence[Placed]) -> list[Stretch]:
    """Adjacent sentences of one emotion as one."""
    groups = (list(group) for _, group in groupby(placed, key=lambda one: one.uttered.emotion))
    return [(group[0].start_s, group[-1].end_s, group[0].uttered.emotion) for group in groups]


def prevailing(segments: Sequence[Stretch]) -> str | None:
    """The emotion that lasts longest in all; None where another lasts nearly as long."""
    lasting: dict[str, float] = defaultdict(float)
    for start_s, end_s, emotion in segments:
        lasting[emotion] += end_s - start_s
    longest, *others = sorted(lasting, key=lambda name: -lasting[name])
    if others and lasting[longest] < max(lasting[others[0]] * CLEARLY_LONGER, lasting[others[0]] + LONGER_BY_S):
        return None
    return longest


def _thought(sentences: Sequence[Stretch]) -> str:
    """How every sentence sounds."""
    return f"heard: {', '.join(f'{name} {tenths(a):.1f}-{tenths(b):.1f}' for a, b, name in sentences)}"


def _as_example(
    rng: random.Random,
    samples: np.ndarray,
    speaker: Speaker,
    placed: Sequence[Placed],
    overall: str,
    settings: dict[str, Any],
) -> Example:
    segments = _segments(placed)
    truth = _result(overall, [(round(a, 3), round(b, 3), name) for a, b, name in segments])
    # Sentence by sentence: the command makes one of adjacent ones that have the same emotion.
    sentences = [(one.start_s, one.end_s, one.uttered.emotion) for one in placed]
    answer = _result(overall, [(tenths(a), tenths(b), name) for a, b, name in sentences])
    tracks = []
    for one in placed:
        labels = (f"emotion/{one.uttered.emotion}", f"gender/{speaker.gender}", f"accent/{speaker.accent}")
        tracks += [Track(one.start_s, one.end_s, label) for label in labels]
        tracks += [Track(one.start_s + a, one.start_s + b, "speech/on") for a, b in one.uttered.spans_s]
    end_s = len(samples) / SAMPLE_RATE
    tracks += counted("sentences", (one.start_s for one in placed), end_s)
    tracks += counted("runs", (start_s for start_s, _, _ in segments), end_s)
    return Example(
        samples,
        {"result": truth, "settings": settings},
        (thought_over(DescribeEmotion().questions[0].prompt, _thought(sentences), in_json(answer), may_think(rng)),),
        tuple(tracks),
        frozenset({"emotion", "gender", "accent", "speech", "sentences", "runs"}),
    )


def _result(overall: str, segments: Sequence[Stretch]) -> dict[str, Any]:
    items = [{"start": a, "end": b, "emotion": name, "cue": EMOTIONS[name].cue} for a, b, name in segments]
    return {"overall": overall, "evidence": EMOTIONS[overall].evidence, "segments": items}
