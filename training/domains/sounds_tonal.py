"""Sound events with a pitch: animals, bells, signals. Parameters are those of `sounds.KINDS`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.domains.sound_shapes import band, coloured, curve, dying, fade, n_samples, sequence, struck, tone, voiced

Parameters = Mapping[str, float]


def dog_bark(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """2 to 4 short barks: a pitch that jumps up and falls, with breath."""
    pieces, at_s = [], 0.0
    for _ in range(rng.integers(2, 5)):
        n = n_samples(p["bark_s"] * rng.uniform(0.85, 1.15))
        f0 = p["f0_hz"] * rng.uniform(0.95, 1.05) * curve([0.75, 1.15, 1.05, 0.85, 0.6], n)
        mouth = curve([700, 1150, 1000, 700], n)
        bark = voiced(f0, [(mouth, 250), (mouth * 2.1, 350)])
        breath = coloured(rng, n, band(500, 3500)) * 0.25 * bark.std()
        bark = (bark + breath) * curve([0.3, 1, 0.9, 0.5, 0.1], n)
        pieces.append((at_s, fade(bark, 0.008, 0.03) * rng.uniform(0.8, 1)))
        at_s += n / 16_000 + p["gap_s"] * rng.uniform(0.85, 1.15)
    return sequence(pieces)


def cat_meow(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """One long vowel that opens and closes."""
    n = n_samples(p["length_s"])
    wobble = 1 + 0.015 * np.sin(2 * np.pi * rng.uniform(5, 8) * np.arange(n) / 16_000)
    f0 = p["f0_hz"] * curve([0.8, 1.05, 1.15, 1.1, 0.95, 0.75], n) * wobble
    mouth = curve([700, 1600, 2000, 1700, 1200, 800], n) * rng.uniform(0.9, 1.1)
    meow = voiced(f0, [(mouth, 300), (mouth * 0 + 900, 300), (mouth * 0 + 3800, 400)])
    return fade(meow * curve([0.2, 0.8, 1, 0.9, 0.6, 0.2], n), 0.04, 0.08)


def bird_song(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """5 to 9 chirps of two kinds by turns, each a pure tone that sweeps."""
    motifs = [(rng.uniform(0.9, 1.2), rng.uniform(0.12, 0.3) * rng.choice([-1, 1])) for _ in range(2)]
    pieces = []
    for i in range(rng.integers(5, 10)):
        n = n_samples(p["note_s"] * rng.uniform(0.8, 1.1))
        height, span = motifs[i % 2]
        f0 = p["f0_hz"] * height * curve([1 - span, 1, 1 + span], n)
        pieces.append((i * p["note_s"] * 1.8, fade(tone(f0, [1, 0.05]), 0.012, 0.02) * rng.uniform(0.7, 1)))
    return sequence(pieces)


def doorbell(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """Ding, dong: two struck bars, the second lower."""
    pieces = []
    for at_s, hz in ((0.0, p["f0_hz"]), (p["gap_s"], p["f0_hz"] * p["ratio"])):
        decay_s = p["decay_s"] * rng.uniform(0.95, 1.05)
        bar = struck([(hz, 1, decay_s), (2 * hz, 0.35, decay_s * 0.8), (3.01 * hz, 0.2, decay_s * 0.6)], decay_s * 0.8)
        pieces.append((at_s, fade(bar, 0.003, 0.1)))
    return sequence(pieces)


def phone_ringing(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """One or two bursts of a bell that is struck many times a second."""
    n = n_samples(p["burst_s"])
    base = p["f0_hz"]
    t = np.arange(n) / 16_000
    bell = sum(
        level * np.sin(2 * np.pi * base * ratio * t + rng.uniform(0, 6.28))
        for ratio, level in ((1, 1), (1.26, 0.8), (2.1, 0.5), (2.76, 0.4))
    )
    beat = 0.12 + (t * p["strikes_hz"] % 1 - 1) ** 2
    burst = fade(np.asarray(bell) * beat, 0.01, 0.08)
    return sequence([(i * (p["burst_s"] + p["gap_s"]), burst) for i in range(rng.integers(1, 3))])


def alarm_beeps(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """4 to 7 equal beeps of one pitch, half of the time on."""
    n = n_samples(0.5 / p["rate_hz"])
    beep = fade(tone(np.full(n, p["f0_hz"]), [1, 0, p["third"]]), 0.006, 0.006)
    return sequence([(i / p["rate_hz"], beep) for i in range(rng.integers(4, 8))])


def siren(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """A bright tone that goes up and down all the time."""
    n = n_samples(p["length_s"])
    turn = np.arange(n) / 16_000 / p["period_s"] + rng.uniform(0, 1)
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * turn) if rng.random() < 0.5 else np.abs(2 * (turn % 1) - 1)
    f0 = p["low_hz"] * (1 + (p["ratio"] - 1) * wave)
    return fade(tone(f0, [1, 0.6, 0.45, 0.35, 0.25, 0.2]), 0.08, 0.12)


def car_horn(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """One long or two honks of two notes together, rich in overtones."""
    if rng.random() < 0.5:
        honks = [(0.0, p["length_s"])]
    else:
        first_s = rng.uniform(0.2, 0.35)
        honks = [(0.0, first_s), (first_s + rng.uniform(0.1, 0.18), p["length_s"])]
    overtones = [1 / k**0.4 for k in range(1, 13)]
    pieces = []
    for at_s, length_s in honks:
        flat = np.full(n_samples(length_s), p["f0_hz"])
        pieces.append((at_s, fade(tone(flat, overtones) + tone(flat * p["ratio"], overtones), 0.02, 0.05)))
    return sequence(pieces)


def whistle(rng: np.random.Generator, p: Parameters) -> np.ndarray:
    """Somebody whistles: one pure tone that glides up and then down."""
    n = n_samples(p["length_s"])
    f0 = p["f0_hz"] * curve([1, 1.02, p["ratio"], p["ratio"], 1.1, 0.95], n)
    breath = coloured(rng, n, band(1000, 4000)) * 0.02
    return fade(tone(f0, [1]) + breath, 0.04, 0.06) * (0.9 + 0.1 * dying(n, 3))
