"""Voices: one voice says one to three sentences, and everything said of it is what was rendered."""

from __future__ import annotations

import random
import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np

from moss_cli.tasks.describe_speaker import FIELDS, DescribeSpeaker
from training.clips import SAMPLE_RATES
from training.domains.speech_effects import (
    breathed,
    choose_pauses,
    draw_noise,
    from_db,
    low_passed,
    pressed,
    recorded,
    with_pauses,
)
from training.domains.speech_parts import (
    GENDERS,
    Band,
    Delivery,
    Said,
    Speaker,
    draw_speaker,
    in_new_process,
    pitch_hz,
    say_all,
    unit_level,
)
from training.examples import SAMPLE_RATE, Asked, Example, Track, in_json
from training.sentences import sentence

SHORTEST_S = 4.0  # of speech, pauses not counted
LONGEST_S = {"fluent": 9.0, "halting": 6.3}
LEAD_S, BETWEEN_S = (0.1, 0.6), (0.2, 0.6)
MOST_SENTENCES = 3
FLITE_SHARE, RESERVED_FLITE_SHARE = 0.1, 0.03
MOST_TRIES = 30  # to find a pitch in a class, before another voice is drawn

# Classes with gaps between them. Pitch is measured: the median fundamental in Hz, on one scale for everybody.
# Men's and women's medium voices do not overlap, so that pitch and formants both tell the gender.
PITCH_HZ = {
    ("male", "low"): (60.0, 106.0),
    ("male", "medium"): (122.0, 140.0),
    ("female", "medium"): (156.0, 175.0),
    ("female", "high"): (205.0, 360.0),
}
SPEED_WPM = {"slow": Band(85, 112), "medium": Band(145, 175), "fast": Band(240, 295)}
VOLUME_DB = {"quiet": Band(-35, -31.5), "medium": Band(-27, -23.5), "loud": Band(-19, -15.5)}
ESPEAK_PITCH = {  # where a voice's pitch is drawn, so that about every class comes as often
    ("male", "low"): Band(5, 48),
    ("male", "medium"): Band(64, 92),
    ("female", "medium"): Band(14, 58),
    ("female", "high"): Band(58, 99),
}
TEXTURES = ("smooth", "harsh", "breathy")
DRIVE = Band(5, 9)  # of a harsh voice, over the limit
BREATH_DB = Band(-2, 6)  # below the voice
CLARITIES = ("clear", "noisy", "muffled")
NOISY_DB, CLEAR_DB = Band(6, 14), Band(28, 50)  # noise below the voice
MUFFLED_HZ = Band(1800, 2600)
FLUENCIES = ("fluent", "halting")
PAUSE_S = Band(0.35, 0.75)
HUMMING = ("white", "pink")  # a clear clip may hum as well, a noisy one hisses or rushes

# A word in which an American voice says an r that a British one drops, and a Scottish one rolls.
TELLING = re.compile(r"[aeiou]r(?![aeiouyr])|[aeiou]re\b")
SPOKEN = {
    "volume": {"quiet": " quietly", "medium": "", "loud": " loudly"},
    "speed": {"slow": "slowly", "medium": "at a medium pace", "fast": "fast"},
}


@dataclass(frozen=True)
class Voiced:
    """What a speaker says in one way; `pitch_hz` is the median fundamental, measured."""

    speaker: Speaker
    delivery: Delivery
    speed: str
    pitch_hz: float
    sentences: tuple[Said, ...]

    @property
    def pitch(self) -> str:
        """The class of the pitch. Raises ValueError where it lies between two."""
        found = pitch_class(self.speaker.gender, self.pitch_hz)
        if found is None:
            raise ValueError(f"{self.pitch_hz} Hz is in no class")
        return found


class Parts(Protocol):
    """Where speech comes from: rendered afresh, or from a bank."""

    def voiced(self, rng: random.Random, *, reserved: bool) -> Voiced:
        """Up to MOST_SENTENCES sentences of one speaker."""


@dataclass(frozen=True)
class Rendered:
    """Everything rendered afresh: the same sounds for the same state of the generator, unless
    `in_process`, which is quicker."""

    in_process: bool = False

    def voiced(self, rng: random.Random, *, reserved: bool) -> Voiced:
        share = RESERVED_FLITE_SHARE if reserved else FLITE_SHARE
        while True:
            speaker = draw_speaker(rng, reserved=reserved, flite_share=share)
            pitch = rng.choice([name for gender, name in ESPEAK_PITCH if gender == speaker.gender])
            speed = rng.choice(list(SPEED_WPM))
            for _ in range(MOST_TRIES):  # with the same voice: that one is hard to place must not make it rarer
                found = self._try(rng, speaker, pitch, speed, reserved=reserved)
                if found is not None:
                    return found

    def _try(self, rng: random.Random, speaker: Speaker, pitch: str, speed: str, *, reserved: bool) -> Voiced | None:
        delivery = Delivery(
            SPEED_WPM[speed].draw(rng, reserved=reserved),
            ESPEAK_PITCH[speaker.gender, pitch].draw(rng, reserved=reserved),
        )
        texts = [draw_text(rng, delivery.wpm, reserved=reserved) for _ in range(MOST_SENTENCES)]
        lines = [(text, delivery) for text in texts]
        said = say_all(speaker, lines) if self.in_process else in_new_process(say_all, speaker, lines)
        measured = _measured_hz(speaker.gender, said)
        return None if measured is None else Voiced(speaker, delivery, speed, measured, tuple(said))


def draw_text(rng: random.Random, wpm: float, *, reserved: bool) -> str:
    """A sentence that lasts 1.5 to 4.5 s, with a word that tells the accent."""
    while True:
        text = sentence(rng, reserved=reserved)
        if 1.5 <= len(text.split()) * 51 / wpm <= 4.5 and TELLING.search(text):
            return text


def _measured_hz(gender: str, said: list[Said]) -> float | None:
    """The median fundamental; None where not all sentences are in one class of pitch."""
    heard = [pitch_hz(one.samples) for one in said]
    if not min(map(len, heard)):
        return None
    classes = {pitch_class(gender, float(np.median(hz))) for hz in heard}
    return None if len(classes) > 1 or None in classes else float(np.median(np.concatenate(heard)))


def pitch_class(gender: str, hz: float) -> str | None:
    """The class of a median fundamental; None in a gap between classes."""
    ranges = ((name, low, high) for (whose, name), (low, high) in PITCH_HZ.items() if whose == gender)
    return next((name for name, low, high in ranges if low <= hz <= high), None)


@dataclass(frozen=True)
class Manner:
    """What is done to a voice: a class of each kind."""

    texture: str
    clarity: str
    fluency: str
    volume: str


def draw_manner(rng: random.Random) -> Manner:
    clarity = rng.choices(CLARITIES, (3, 1, 1))[0]
    # Harshness and breath lie where a muffled recording has nothing.
    texture = "smooth" if clarity == "muffled" else rng.choices(TEXTURES, (2, 1, 1))[0]
    return Manner(texture, clarity, rng.choices(FLUENCIES, (3, 2))[0], rng.choice(list(VOLUME_DB)))


@dataclass(frozen=True)
class Placed:
    """A sentence in a clip: from when to when, and the stretches of it in which the voice sounds."""

    start_s: float
    end_s: float
    sounding_s: tuple[tuple[float, float], ...]


def example(rng: random.Random, parts: Parts, *, reserved: bool) -> Example:
    """A clip of about 3 to 13 s, and what the `describe-speaker` command asks of it."""
    voiced = parts.voiced(rng, reserved=reserved)
    manner = draw_manner(rng)
    chosen = _choose(rng, voiced.sentences, LONGEST_S[manner.fluency])
    voice, placed, fluency = _speak(rng, chosen, manner, reserved=reserved)
    manner = replace(manner, fluency=fluency)
    samples, settings = _record(rng, voice, manner, reserved=reserved)
    n_words, spoken_s = sum(len(one.text.split()) for one in chosen), sum(one.duration_s for one in chosen)
    settings |= {
        "speaker": voiced.speaker.name,
        "delivery": voiced.delivery.as_dict(),
        "pitch_hz": round(voiced.pitch_hz),
        "words_per_minute": round(60 * n_words / spoken_s),
        "text": [one.text for one in chosen],
    }
    return _as_example(samples, voiced, manner, placed, settings)


def _choose(rng: random.Random, sentences: tuple[Said, ...], longest_s: float) -> list[Said]:
    """As many sentences as it takes to have SHORTEST_S of speech; one more at times, where `longest_s` allows it."""
    left = rng.sample(sentences, len(sentences))
    chosen = [left.pop()]
    while left:
        spoken_s = sum(one.duration_s for one in chosen)
        more = spoken_s < SHORTEST_S or (len(chosen) == 1 and rng.random() < 0.5)
        if not more or spoken_s + left[-1].duration_s > longest_s:
            break
        chosen.append(left.pop())
    return chosen


def _speak(
    rng: random.Random, sentences: list[Said], manner: Manner, *, reserved: bool
) -> tuple[np.ndarray, list[Placed], str]:
    """The sentences one after the other with a level of 1, where they lie, and the fluency that came of it."""
    pieces = [np.zeros(round(rng.uniform(*LEAD_S) * SAMPLE_RATE), np.float32)]
    placed: list[Placed] = []
    most = 0 if manner.fluency == "fluent" else 3 if len(sentences) == 1 else 2
    length_s = PAUSE_S.draw(rng, reserved=reserved)
    pauses = [choose_pauses(rng, one.word_starts_s, most, (length_s * 0.9, length_s * 1.1)) for one in sentences]
    fluency = "halting" if all(len(at) >= 2 for at in pauses) else "fluent"
    at = len(pieces[0])
    for i, (one, at_words) in enumerate(zip(sentences, pauses, strict=True)):
        samples, spans = with_pauses(one.samples, at_words if fluency == "halting" else [])
        gap = round(rng.uniform(*BETWEEN_S) * SAMPLE_RATE) if i else 0
        at += gap
        start_s = at / SAMPLE_RATE
        pieces += [np.zeros(gap, np.float32), samples]
        at += len(samples)
        placed.append(Placed(start_s, at / SAMPLE_RATE, tuple((start_s + a, start_s + b) for a, b in spans)))
    pieces.append(np.zeros(round(rng.uniform(*LEAD_S) * SAMPLE_RATE), np.float32))
    voice = np.concatenate(pieces)
    if manner.texture == "harsh":
        voice = pressed(voice, DRIVE.draw(rng, reserved=reserved))
    elif manner.texture == "breathy":
        voice = breathed(rng, voice, BREATH_DB.draw(rng, reserved=reserved))
    return voice, placed, fluency


def _record(
    rng: random.Random, voice: np.ndarray, manner: Manner, *, reserved: bool
) -> tuple[np.ndarray, dict[str, Any]]:
    """Set clarity and level. Returns the clip's samples and what was set."""
    cutoff_hz = MUFFLED_HZ.draw(rng, reserved=reserved) if manner.clarity == "muffled" else None
    if cutoff_hz is not None:
        voice = low_passed(voice, cutoff_hz, order=6)
    asked_db = VOLUME_DB[manner.volume].draw(rng, reserved=reserved)
    voice = unit_level(voice) * np.float32(from_db(asked_db))
    noisy = manner.clarity == "noisy"
    kind = draw_noise(rng, share=1.0, kinds=HUMMING) if noisy else draw_noise(rng, share=0.5)
    snr_db = (NOISY_DB if noisy else CLEAR_DB).draw(rng, reserved=reserved)
    rate = rng.choice(SAMPLE_RATES)
    settings = {
        "level_db": round(asked_db, 1),
        "noise": kind,
        "snr_db": None if kind == "none" else round(snr_db, 1),
        "muffled_hz": None if cutoff_hz is None else round(cutoff_hz),
        "sample_rate": rate,
    }
    return recorded(rng, voice, kind, snr_db, rate), settings


def summary(gender: str, accent: str, pitch: str, speed: str, volume: str) -> str:
    """One sentence: `a Scottish woman with a high voice speaks loudly and fast`."""
    article = "an" if accent == "American" else "a"
    noun = "man" if gender == GENDERS[0] else "woman"
    loud, fast = SPOKEN["volume"][volume], SPOKEN["speed"][speed]
    link = " and " if loud and speed != "medium" else " "
    return f"{article} {accent} {noun} with a {pitch} voice speaks{loud}{link}{fast}"


def _as_example(
    samples: np.ndarray, voiced: Voiced, manner: Manner, placed: list[Placed], settings: dict[str, Any]
) -> Example:
    speaker = voiced.speaker
    known = {
        **{"gender": speaker.gender, "accent": speaker.accent, "pitch": voiced.pitch, "speed": voiced.speed},
        **asdict(manner),
    }
    said = summary(speaker.gender, speaker.accent, voiced.pitch, voiced.speed, manner.volume)
    result = {field.name: {**known, "summary": said}.get(field.name) for field in FIELDS}
    tracks = [Track(p.start_s, p.end_s, f"{family}/{value}") for p in placed for family, value in known.items()]
    tracks += [Track(start_s, end_s, "speech/on") for p in placed for start_s, end_s in p.sounding_s]
    return Example(
        samples,
        {"result": result, "settings": settings},
        tuple(Asked(question.prompt, in_json(result)) for question in DescribeSpeaker().questions),
        tuple(tracks),
        frozenset({"speech", *known}),
    )
