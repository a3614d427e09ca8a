"""Voices made others: their times go with their sound, and what they are changed by can be measured."""

from __future__ import annotations

import random

import numpy as np
import pytest

from training.speakers import CHANGED_SHARE, FLITE_SHARE, NARROW, UNCHANGED, Change, draw_change, filtered, weights
from training.voices import Spoken

RATE = 16_000


def clicks(*starts_s: float) -> Spoken:
    """Two seconds in which a short tone begins at each time."""
    samples = np.zeros(2 * RATE, np.float32)
    for start_s in starts_s:
        first = round(start_s * RATE)
        samples[first : first + 400] = np.sin(np.arange(400) * 0.5)
    return Spoken(" ".join("tick" for _ in starts_s), samples, list(starts_s))


def beginnings(samples: np.ndarray) -> list[float]:
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    return [loud[0] / RATE, *(loud[1:][np.diff(loud) > 1_000] / RATE)]


@pytest.mark.parametrize("speed", [0.85, 1.0, 1.17])
def test_words_begin_where_they_are_heard_at_any_speed(speed: float) -> None:
    changed = Change(speed, (3.0, -3.0))(clicks(0.2, 0.9, 1.5))
    assert len(changed.samples) == pytest.approx(2 * RATE / speed, abs=2)
    np.testing.assert_allclose(changed.word_starts_s, beginnings(changed.samples), atol=0.006)


def test_a_faster_voice_is_a_higher_one() -> None:
    tone = Spoken("a", np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE).astype(np.float32), [0.0])
    changed = Change(1.1)(tone).samples
    assert np.argmax(np.abs(np.fft.rfft(changed))) * RATE / len(changed) == pytest.approx(220, abs=2)


def test_a_filter_changes_the_balance_and_not_the_peak() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    darker = filtered(noise, (12.0, -12.0))
    assert darker.dtype == np.float32 and np.abs(darker).max() == pytest.approx(np.abs(noise).max(), rel=1e-5)
    level = np.abs(np.fft.rfft(darker))
    fall_db = 20 * np.log10(level[200:600].mean() / level[4_000:7_000].mean())
    assert 12 < fall_db < 20  # the gains lie on a line over log frequency: +4 dB at 370 Hz, -10 dB at 5.4 kHz
    np.testing.assert_allclose(filtered(noise, (0.0, 0.0))[64:-64], noise[64:-64], atol=1e-4)


def test_speakers_are_changed_as_often_and_as_far_as_said() -> None:
    rng = random.Random(1)
    for engine, share in CHANGED_SHARE.items():
        drawn = [draw_change(rng, engine, NARROW) for _ in range(2_000)]
        changed = [one for one in drawn if one != UNCHANGED]
        assert len(changed) / len(drawn) == pytest.approx(share, abs=0.04)
        assert all(1 / NARROW <= one.speed <= NARROW for one in changed)
        assert min(one.speed for one in changed) < 0.93 and max(one.speed for one in changed) > 1.07


def test_a_bank_gives_as_much_of_flite_as_said() -> None:
    rows = [{"voice": {"engine": "flite" if i % 10 == 0 else "espeak"}} for i in range(50)]
    drawn = random.Random(2).choices(range(50), weights(rows), k=4_000)
    assert sum(i % 10 == 0 for i in drawn) / 4_000 == pytest.approx(FLITE_SHARE, abs=0.03)
    assert weights(rows[1:3]) == [1.0, 1.0] and weights([]) == []
