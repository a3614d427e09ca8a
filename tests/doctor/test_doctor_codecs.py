"""A tone in each kind of file, made and read here."""

from __future__ import annotations

import numpy as np
import pytest
from mending import is_command

from moss_cli.doctor.codecs import KINDS, NoEncoderError, SampleKind, check_codecs, heard, sample_of

NAMES = ["wav", "flac", "mp3", "ogg", "opus", "m4a", "aac", "mp4", "mkv", "webm"]


def tone(hz: float = 440.0, seconds: float = 0.5) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * 16_000)) / 16_000).astype(np.float32)


def test_every_usual_kind_decodes_here() -> None:
    check = check_codecs()
    assert list(check.facts) == NAMES
    assert set(check.facts.values()) <= {"decodes", "no encoder"}
    assert (check.status, check.fix) == ("ok", None)
    assert {check.facts[name] for name in ("wav", "flac", "ogg", "m4a", "aac", "mp4", "mkv")} == {"decodes"}


def test_the_samples_are_of_their_kinds() -> None:
    heads = {kind.name: sample_of(kind)[:12] for kind in KINDS if kind.name in ("wav", "flac", "ogg", "mp4", "mkv")}
    assert (heads["wav"][:4], heads["flac"][:4], heads["ogg"][:4]) == (b"RIFF", b"fLaC", b"OggS")
    assert (heads["mp4"][4:8], heads["mkv"][:4]) == (b"ftyp", b"\x1aE\xdf\xa3")


def test_a_kind_that_does_not_decode_is_an_error_that_names_it() -> None:
    def make(kind: SampleKind) -> bytes:
        return b"no audio at all" * 100 if kind.name in ("mp3", "webm") else sample_of(kind)

    check = check_codecs(make)
    assert check.status == "error"
    assert check.text.startswith("do not decode: mp3, webm (not_audio); wav, ")
    assert (check.facts["mp3"], check.facts["flac"]) == ("not_audio", "decodes")
    assert is_command(check.fix)


def test_without_an_encoder_a_kind_is_not_tried_and_no_error() -> None:
    def make(kind: SampleKind) -> bytes:
        if kind.name == "opus":
            raise NoEncoderError("libopus")
        return sample_of(KINDS[0])

    check = check_codecs(make)
    assert (check.status, check.facts["opus"]) == ("ok", "no encoder")
    assert check.text.endswith("decode; not tried, as PyAV has no encoder here: opus")


def test_an_encoder_that_pyav_lacks_is_told_apart() -> None:
    with pytest.raises(NoEncoderError):
        sample_of(SampleKind("none", "wav", "no_such_encoder"))


def test_whatever_else_breaks_is_told_with_the_kind() -> None:
    def make(kind: SampleKind) -> bytes:
        raise OSError("no space")

    assert check_codecs(make).facts == dict.fromkeys(NAMES, "OSError: no space")


def test_only_the_tone_counts_as_decoded() -> None:
    assert heard(tone()) == "decodes"
    assert heard(tone(880)) == "another sound than what was encoded"
    assert heard(tone() * 0) == "another sound than what was encoded"
    assert heard(tone(seconds=0.2)) == "0.20 s instead of 0.5 s"
    assert heard(np.zeros(0, np.float32)) == "0.00 s instead of 0.5 s"
