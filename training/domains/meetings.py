"""Meetings of a few topics: what is said on each, and what the minutes are to say of it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from moss_cli.tasks.summarize import Style, Summarize
from training.clips import NOISES, bandlimit, noise
from training.domains.meetings_bank import MeetingBank
from training.domains.meetings_facts import FACTS, TOPICS
from training.domains.meetings_parts import FIRST, LATER, Cast, Parts, Rendered, Said, Wanted
from training.domains.sounds import active_rms
from training.examples import (
    SAMPLE_RATE,
    Example,
    Segment,
    Track,
    counted,
    in_json,
    may_think,
    tenths,
    thought_over,
)

__all__ = ["FACTS", "STYLES", "TOPICS", "MeetingBank", "Parts", "Rendered", "example"]

STYLES: tuple[Style, ...] = get_args(Style)
SHORTEST_S, LONGEST_S = 12.0, 30.0
N_TOPICS, N_FACTS = (2, 2, 3), (1, 2, 2, 3)
PAUSE_S = (0.25, 0.7)  # within a topic
MARKED_S, UNMARKED_S = (0.4, 1.2), (1.5, 2.5)  # before a topic that is opened by a sentence, and before one that is not
OPENED_SHARE = 0.6  # of the meetings have sentences that open topics
REPLY_SHARE, GREETING_SHARE, CLOSING_SHARE = 0.25, 0.5, 0.25
EDGE_S = (0.1, 0.8)  # before the first sentence, after the last
LEVEL_DB, SPEECH_DB = (-35.0, -15.0), (-3.0, 3.0)  # of the clip; of a sentence beside it
NOISY_SHARE, SNR_DB = 0.4, (20.0, 50.0)
NOISE_STEP = 8_000  # samples
SAMPLE_RATES = (8_000, 16_000, 16_000, 22_050, 44_100, 48_000)
FAMILIES = frozenset({"speech", "topic", "topics", "sentences"})


@dataclass(frozen=True)
class Planned:
    """What is to be said, after which pause, and in which topic's part of the meeting."""

    wanted: Wanted
    pause_s: float
    topic: str = ""


@dataclass(frozen=True)
class Placed:
    """A line and when it is heard, in seconds from the clip's start."""

    start_s: float
    end_s: float
    said: Said
    topic: str


def example(rng: random.Random, parts: Parts, *, reserved: bool) -> Example:
    """A meeting of 12 to 30 s on two or three topics, and its minutes in one of the command's styles."""
    placed, n_samples = _lay_out(rng, parts, reserved=reserved)
    samples, settings = _finish(rng, placed, n_samples)
    style = rng.choice(STYLES)
    result = minutes(placed)
    answer = in_json(timed_minutes(result))
    voices = {said.voice: said.voice.as_dict() for said in (one.said for one in placed)}
    return Example(
        samples=samples,
        truth={"style": style, "result": result, "settings": {**settings, "voices": list(voices.values())}},
        asked=(
            thought_over(
                Summarize(style).questions[0].prompt, thought(placed, result["chapters"]), answer, may_think(rng)
            ),
        ),
        tracks=tuple(_tracks(placed, result["chapters"], n_samples / SAMPLE_RATE)),
        families=FAMILIES,
        spoken=tuple(_segment(one) for one in placed),
    )


def thought(placed: Sequence[Placed], chapters: Sequence[Mapping[str, Any]]) -> str:
    """Every sentence between its times, then its topic and since when that lasts; the topic's last one also says until
    when: what stands there was written just before it."""
    starts = {chapter["title"]: f"{tenths(chapter['start']):.1f}" for chapter in chapters}
    lines = []
    for one, following in zip(placed, [*placed[1:], None], strict=True):
        start, end = (f"{tenths(at_s):.1f}" for at_s in (one.start_s, one.end_s))
        line = f"{start} {one.said.line.text} {end}"
        if one.topic:
            is_last = following is None or following.topic != one.topic
            line += f": {one.topic} {starts[one.topic]}{f'-{end}' if is_last else ''}"
        lines.append(line)
    return "\n".join(lines)


def _tracks(placed: Sequence[Placed], chapters: Sequence[Mapping[str, Any]], duration_s: float) -> list[Track]:
    tracks = [Track(one.start_s, one.end_s, "speech/on") for one in placed]
    tracks += [Track(chapter["start"], chapter["end"], f"topic/{chapter['title']}") for chapter in chapters]
    tracks += counted("topics", (chapter["start"] for chapter in chapters), duration_s)
    return tracks + counted("sentences", (one.start_s for one in placed), duration_s)


def _segment(one: Placed) -> Segment:
    words = [one.start_s + at_s for at_s in one.said.word_starts_s]
    return Segment(one.start_s, one.end_s, one.said.line.text, words)


def plan(rng: random.Random) -> list[Planned]:
    """A meeting before it is spoken: its topics, all different, and of each different kinds of fact."""
    is_opened = rng.random() < OPENED_SHARE
    lines = [Planned(Wanted("greeting"), 0.0)] if rng.random() < GREETING_SHARE else []
    for i, topic in enumerate(rng.sample(TOPICS, rng.choice(N_TOPICS))):
        wanted = [Wanted("opener", topic, LATER if i else FIRST)] if is_opened else []
        for kind in rng.sample(list(FACTS), rng.choice(N_FACTS)):
            wanted.append(Wanted("fact", topic, kind))
            if rng.random() < REPLY_SHARE:
                wanted.append(Wanted("reply"))
        before_s = rng.uniform(*(MARKED_S if is_opened or not i else UNMARKED_S))
        pauses = [before_s, *(rng.uniform(*PAUSE_S) for _ in wanted[1:])]
        lines += [Planned(one, pause_s, topic) for one, pause_s in zip(wanted, pauses, strict=True)]
    if rng.random() < CLOSING_SHARE:
        lines.append(Planned(Wanted("closing"), rng.uniform(*MARKED_S)))
    return lines


def _lay_out(rng: random.Random, parts: Parts, *, reserved: bool) -> tuple[list[Placed], int]:
    """A meeting of a length that is allowed: its lines with their times, and how many samples it has."""
    while True:
        placed = _speak(rng, parts.cast(rng, reserved=reserved), plan(rng))
        duration_s = placed[-1].end_s + rng.uniform(*EDGE_S)
        if SHORTEST_S <= duration_s <= LONGEST_S:
            return placed, round(duration_s * SAMPLE_RATE)


def _speak(rng: random.Random, cast: Cast, planned: Sequence[Planned]) -> list[Placed]:
    placed: list[Placed] = []
    at_s = rng.uniform(*EDGE_S)
    for i, line in enumerate(planned):
        said = cast.say(rng, line.wanted)
        start = round((at_s + (line.pause_s if i else 0.0)) * SAMPLE_RATE)
        placed.append(Placed(start / SAMPLE_RATE, (start + len(said.samples)) / SAMPLE_RATE, said, line.topic))
        at_s = placed[-1].end_s
    return placed


def minutes(placed: Sequence[Placed]) -> dict[str, Any]:
    """The `result` of a meeting, its fields in the order of the task's. Every style has the same."""
    topics = list(dict.fromkeys(one.topic for one in placed if one.topic))
    chapters = []
    for topic in topics:
        lines = [one for one in placed if one.topic == topic]
        points = [one.said.line.point for one in lines if one.said.line.point]
        start, end = round(lines[0].start_s, 3), round(lines[-1].end_s, 3)
        about = points[0] if points else f"the {topic}"
        chapters.append({"start": start, "end": end, "title": topic, "summary": about})
    named = [f"the {topic}" for topic in topics]
    return {
        "summary": f"the meeting is about {', '.join(named[:-1])} and {named[-1]}",
        "key_points": [one.said.line.point for one in placed if one.said.line.point],
        "chapters": chapters,
    }


def timed_minutes(result: Mapping[str, Any]) -> dict[str, Any]:
    """A `result` with its times as answers give them."""
    chapters = [chapter | {side: tenths(chapter[side]) for side in ("start", "end")} for chapter in result["chapters"]]
    return {**result, "chapters": chapters}


def _finish(rng: random.Random, placed: Sequence[Placed], n_samples: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Set the levels and, in part of the clips, put noise below and take away what a low sample rate cannot hold."""
    level_db = rng.uniform(*LEVEL_DB)
    samples = np.zeros(n_samples, np.float32)
    for one in placed:
        start = round(one.start_s * SAMPLE_RATE)
        gain = _factor(level_db + rng.uniform(*SPEECH_DB)) / active_rms(one.said.samples)
        samples[start : start + len(one.said.samples)] += one.said.samples * np.float32(gain)
    kind, snr_db = None, rng.uniform(*SNR_DB)
    if rng.random() < NOISY_SHARE:
        kind = rng.choice(NOISES)
        n_noise = -(-n_samples // NOISE_STEP) * NOISE_STEP  # a transform of such a length is quick
        wave = noise(np.random.default_rng(rng.getrandbits(48)), kind, n_noise)[:n_samples]
        samples += wave * np.float32(_factor(level_db - snr_db))
    rate = rng.choice(SAMPLE_RATES)
    samples = bandlimit(samples, rate).astype(np.float32)
    samples *= np.float32(min(1.0, 0.99 / max(float(np.abs(samples).max()), 1e-9)))
    settings = {
        "level_db": round(level_db, 1),
        "noise": kind or "none",
        "snr_db": None if kind is None else round(snr_db, 1),
        "sample_rate": rate,
    }
    return samples, settings


def _factor(db: float) -> float:
    return float(10 ** (db / 20))
