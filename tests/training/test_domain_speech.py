"""Spoken sentences: as high and as quick as asked, reserved voices apart, effects that do what they say."""

from __future__ import annotations

import random
import shutil

import numpy as np
import pytest

from training.domains import speech_effects as effects
from training.domains.speech_parts import (
    RESERVED_FLITE,
    Band,
    Delivery,
    Speaker,
    active_rms,
    draw_speaker,
    in_new_process,
    pitch_hz,
    say,
    say_all,
    unit_level,
)
from training.voices import RESERVED_VARIANTS

renderers = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("flite")), reason="needs espeak-ng and flite"
)


def test_a_band_keeps_its_middle_third_for_testing() -> None:
    rng, band = random.Random(1), Band(10, 40)
    trained = [band.draw(rng, reserved=False) for _ in range(500)]
    reserved = [band.draw(rng, reserved=True) for _ in range(500)]
    assert all(10 <= value <= 20 or 30 <= value <= 40 for value in trained)
    assert any(value <= 20 for value in trained) and any(value >= 30 for value in trained)
    assert all(20 <= value <= 30 for value in reserved)


def test_voices_kept_for_testing_are_never_drawn_for_training() -> None:
    rng = random.Random(5)
    trained = [draw_speaker(rng, reserved=False) for _ in range(2000)]
    kept = [draw_speaker(rng, reserved=True) for _ in range(500)]

    def is_reserved(speaker: Speaker) -> bool:
        return speaker.name.endswith(tuple(RESERVED_VARIANTS)) or speaker.name in RESERVED_FLITE

    assert not any(map(is_reserved, trained)) and all(map(is_reserved, kept))
    for speakers in (trained, kept):
        assert {s.gender for s in speakers} == {"male", "female"}
        assert {s.accent for s in speakers} == {"American", "British", "Scottish"}
    assert {s.accent for s in kept if s.name == "awb"} == {"Scottish"}


@pytest.mark.parametrize("hz", [70.0, 140.0, 250.0])
def test_the_pitch_of_a_harmonic_tone_is_measured(hz: float) -> None:
    t = np.arange(16_000) / 16_000
    tone = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 12))
    assert np.median(pitch_hz(np.asarray(tone, np.float32))) == pytest.approx(hz, rel=0.02)


@renderers
def test_a_rendered_voice_is_as_high_and_as_quick_as_it_is_asked_to_be() -> None:
    speaker, text = Speaker("espeak", "en-us+m3", "male", "American"), "the teacher opened a small door"
    slow, quick, high = in_new_process(
        say_all, speaker, [(text, Delivery(100, 30)), (text, Delivery(270, 30)), (text, Delivery(100, 90))]
    )
    assert 2 < slow.duration_s / quick.duration_s < 3.5
    assert np.median(pitch_hz(high.samples)) > 1.6 * np.median(pitch_hz(slow.samples))
    assert len(slow.word_starts_s) == 5 and list(slow.word_starts_s) == sorted(slow.word_starts_s)
    assert active_rms(slow.samples) == pytest.approx(1, abs=1e-4)


@renderers
def test_flite_speaks_as_high_and_as_quick_as_it_is_asked_to() -> None:
    speaker, text = Speaker("flite", "slt", "female", "American"), "the teacher opened a small door"
    low, high = say(text, speaker, Delivery(100, 20)), say(text, speaker, Delivery(200, 80))
    assert low.duration_s / high.duration_s == pytest.approx(2, rel=0.1)
    assert np.median(pitch_hz(low.samples)) == pytest.approx(185 * 0.77, rel=0.1)
    assert np.median(pitch_hz(high.samples)) == pytest.approx(185 * 1.38, rel=0.1)


def tone(seconds: float = 1.0) -> np.ndarray:
    return unit_level(np.sin(np.arange(round(seconds * 16_000)) * 0.2).astype(np.float32))


def test_pauses_are_silent_and_as_long_as_asked() -> None:
    samples, spans = effects.with_pauses(tone(), [(0.25, 0.5), (0.75, 0.4)])
    assert spans == [(0.0, 0.25), (0.75, 1.25), (1.65, 1.9)]
    assert len(samples) == round(1.9 * 16_000)
    assert np.abs(samples[4000:12_000]).max() == 0 and np.abs(samples[20_000:26_400]).max() == 0


def test_effects_do_what_they_say() -> None:
    rng, plain = random.Random(1), tone(2.0)
    hop = plain.reshape(-1, 160)

    def swing(samples: np.ndarray) -> float:
        level = np.sqrt((samples.reshape(-1, 160) ** 2).mean(1))
        return float(np.percentile(level, 5) / np.percentile(level, 95))

    assert swing(hop) > 0.9
    assert swing(effects.trembled(plain, 7.0, 0.7)) < 0.45
    square = effects.pressed(plain, 9.0)
    assert active_rms(square) / np.abs(square).max() > 0.85 > active_rms(plain) / np.abs(plain).max()
    breath = effects.breathed(rng, plain, 0.0)
    assert high_share(breath) > 0.3 > 0.01 > high_share(plain)
    assert high_share(effects.low_passed(breath, 1000.0)) < 0.01
    loud = effects.limited(plain * 2)
    assert np.abs(loud).max() <= 0.98 and effects.limited(plain * 0.1).tobytes() == (plain * np.float32(0.1)).tobytes()


def high_share(samples: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / 16_000)
    return float(power[hz > 2000].sum() / power.sum())
