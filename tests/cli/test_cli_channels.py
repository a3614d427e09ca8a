"""`--channel` and `--track`: whose voice is heard, and who is said to have spoken."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from cli_run import TINY, Run
from scripted_backend import ScriptedBackend, noise

from moss_cli.audio.results import SAMPLE_RATE
from moss_cli.backends.protocol import Request
from moss_cli.cli.main import run
from moss_cli.settings import config_folder

Moss = Callable[..., Run]
Wav = Callable[..., Path]

SPEECH = Path(__file__).parents[1] / "fixtures" / "speech" / "training"


@pytest.fixture
def call(wav: Wav) -> Path:
    """Two channels; what is heard of the right one is louder."""
    return wav("call.wav", np.stack([noise(3.0), 3 * noise(3.0, seed=1)], 1))


def is_right(request: Request) -> bool:
    assert request.clip is not None
    return bool(np.abs(request.clip.samples).max() > 0.15)  # type: ignore[attr-defined]


def two_voices(request: Request, n: int) -> str:
    return "[0.50]of course[1.00]" if is_right(request) else "[0.00]can you hear me[0.40][1.20]good[2.00]"


def test_each_channel_is_a_speaker_and_what_they_say_comes_in_order(
    moss: Moss, call: Path, backend: ScriptedBackend
) -> None:
    backend.say = two_voices
    envelope = json.loads(moss(*TINY, "call.wav", "--channel", "each", "-f", "json").out)
    assert envelope["result"]["segments"] == [
        {"start": 0.0, "end": 0.4, "text": "can you hear me", "speaker": "left"},
        {"start": 0.5, "end": 1.0, "text": "of course", "speaker": "right"},
        {"start": 1.2, "end": 2.0, "text": "good", "speaker": "left"},
    ]
    assert envelope["text"] == "can you hear me of course good"
    assert [(one["channel"], one["start"], one["end"]) for one in envelope["chunks"]] == [
        ("left", 0.0, 3.0),
        ("right", 0.0, 3.0),
    ]
    assert (envelope["params"]["channel"], envelope["usage"]["audio_seconds"]) == ("each", 3.0)
    assert envelope["warnings"] == []


@pytest.mark.parametrize(
    ("fmt", "expected"),
    [
        ("txt", "[left] can you hear me\n[right] of course\n[left] good\n"),
        (
            "srt",
            "1\n00:00:00,000 --> 00:00:00,400\n[left] can you hear me\n\n"
            "2\n00:00:00,500 --> 00:00:01,000\n[right] of course\n\n3\n00:00:01,200 --> 00:00:02,000\n[left] good\n\n",
        ),
        (
            "vtt",
            "WEBVTT\n\n1\n00:00:00.000 --> 00:00:00.400\n<v left>can you hear me</v>\n\n"
            "2\n00:00:00.500 --> 00:00:01.000\n<v right>of course</v>\n\n"
            "3\n00:00:01.200 --> 00:00:02.000\n<v left>good</v>\n",
        ),
    ],
)
def test_every_format_says_who_speaks(
    moss: Moss, call: Path, backend: ScriptedBackend, fmt: str, expected: str
) -> None:
    backend.say = two_voices
    assert moss(*TINY, "call.wav", "--channel", "each", "-f", fmt).out.rstrip("\n") == expected.rstrip("\n")


def test_who_speaks_at_once_stands_at_once_in_subtitles(moss: Moss, call: Path, backend: ScriptedBackend) -> None:
    backend.say = lambda request, n: "[1.00]of course[1.60]" if is_right(request) else "[0.00]can you hear me[2.50]"
    assert moss(*TINY, "call.wav", "--channel", "each", "-f", "srt").out.rstrip("\n").split("\n") == [
        *("1", "00:00:00,000 --> 00:00:01,000", "[left] can you hear me", ""),
        *("2", "00:00:01,000 --> 00:00:01,600", "[left] can you hear me", "[right] of course", ""),
        *("3", "00:00:01,600 --> 00:00:02,500", "[left] can you hear me"),
    ]


def test_one_channel_is_heard_alone(moss: Moss, call: Path, backend: ScriptedBackend) -> None:
    for channel in ("left", "1", "RIGHT", "2"):
        envelope = json.loads(moss(*TINY, "call.wav", "--channel", channel, "-f", "json").out)
        assert envelope["params"]["channel"] in (1, 2)
        assert "channel" not in envelope["chunks"][0]
        assert "speaker" not in envelope["result"]["segments"][0]
    assert [is_right(request) for request in backend.asked] == [False, False, True, True]


def test_a_mono_recording_has_one_channel_and_no_speakers(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    each = json.loads(moss(*TINY, "a.wav", "--channel", "each", "-f", "json").out)
    mixed = json.loads(moss(*TINY, "a.wav", "-f", "json").out)
    assert each["params"].pop("channel") == "each"
    assert mixed["params"].pop("channel") == "mix"
    assert {**each, "usage": None} == {**mixed, "usage": None}


def test_a_copy_is_not_heard_twice(moss: Moss, wav: Wav, backend: ScriptedBackend) -> None:
    wav("a.wav", np.repeat(noise(3.0)[:, None], 2, axis=1))
    said = moss(*TINY, "a.wav", "--channel", "each", "-f", "json")
    assert said.err == ["moss: warning: a.wav: channel 2 is a copy of another, which alone is heard"]
    assert len(backend.asked) == 1
    assert [set(one) for one in json.loads(said.out)["result"]["segments"]] == [{"start", "end", "text"}]


def test_a_long_call_is_cut_in_each_channel_and_told_apart_in_the_journal(
    moss: Moss, wav: Wav, backend: ScriptedBackend
) -> None:
    wav("call.wav", np.stack([noise(60.0), 3 * noise(60.0, seed=1)], 1))
    words = (*TINY, "call.wav", "--channel", "each", "-o", "out/", "-f", "json", "--batch-size", "1")
    n_asked = 0

    def say(request: Request, n: int) -> str:
        nonlocal n_asked
        n_asked += 1
        if n_asked == 9:
            raise KeyboardInterrupt
        return "[0.10]right[0.50]" if is_right(request) else "[0.10]left[0.50]"

    backend.say = say
    assert moss(*words).code == 130
    assert moss(*words).code == 0
    whole = json.loads(Path("out/call.json").read_text(encoding="utf-8"))
    segments = whole["result"]["segments"]
    assert {(one["speaker"], one["text"]) for one in segments} == {("left", "left"), ("right", "right")}
    spans = [(one["channel"], one["start"]) for one in whole["chunks"]]
    assert len(set(spans)) == len(spans) == n_asked - 1  # nothing was asked twice but what was cut off
    assert [one["start"] for one in segments] == sorted(one["start"] for one in segments)
    starts = [one["start"] for one in whole["chunks"]]
    assert max(later - earlier for earlier, later in pairwise(starts)) <= 8.0  # side by side


def test_another_channel_or_track_is_other_work(moss: Moss, call: Path, backend: ScriptedBackend) -> None:
    for options in ((), ("--channel", "left"), ("--channel", "each"), ("--track", "1")):
        assert moss(*TINY, "call.wav", "-o", "out/", *options).code == 0
    assert len(backend.asked) == 5
    assert moss(*TINY, "call.wav", "-o", "out/", "--track", "1").err == ["moss: call.wav: already done"]


def test_a_question_goes_on_about_the_same_channel(moss: Moss, call: Path, backend: ScriptedBackend) -> None:
    backend.say = lambda request, n: json.dumps({"answer": "Yes.", "evidence": []})
    moss("ask", "Who?", "call.wav", "--model", "tiny", "--channel", "right", "--track", "1")
    envelope = json.loads(moss("ask", "-c", "Why?", "-f", "json").out)
    assert (envelope["params"]["channel"], envelope["params"]["track"]) == (2, 1)
    assert [is_right(request) for request in backend.asked] == [True, True]
    for channel, heard in (("left", 1), ("mix", "mix")):  # a choice stands
        envelope = json.loads(moss("ask", "-c", "Why?", "--channel", channel, "-f", "json").out)
        assert envelope["params"]["channel"] == heard


EACH_IS_FOR = [
    "moss: error: --channel each is for transcribe, where each channel is a speaker",
    "hint: name the channel, as in --channel left, or leave it out to hear them all",
]


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (("emotion", "--channel", "each"), EACH_IS_FOR),
        (("ask", "Who?", "--channel", "each"), EACH_IS_FOR),
        (
            ("transcribe", "--channel", "each", "--speakers"),
            ["moss: error: --speakers and --channel each both say who speaks", "hint: drop one of them"],
        ),
        (
            ("transcribe", "--channel", "each", "--timestamps", "none"),
            [
                "moss: error: --channel each puts what the channels say in the order of its times",
                "hint: drop --timestamps none",
            ],
        ),
        (
            ("transcribe", "--channel", "middle"),
            ["moss: error: --channel middle is no channel", "hint: write mix, left, right, each, or a number from 1"],
        ),
        (
            ("transcribe", "--channel", "3"),
            [
                "moss: error: call.wav has 2 channels; there is no channel 3",
                "hint: --channel takes 1 to 2 for it, mix and each",
            ],
        ),
        (
            ("transcribe", "--track", "2"),
            ["moss: error: call.wav has 1 audio track; there is no track 2", "hint: leave --track out"],
        ),
    ],
)
def test_what_cannot_be_heard_is_a_usage_error(
    moss: Moss, call: Path, words: tuple[str, ...], lines: list[str]
) -> None:
    assert moss(*words, "call.wav", "--model", "tiny") == Run(2, "", lines)


def test_config_toml_can_set_it_and_is_checked(moss: Moss, call: Path, backend: ScriptedBackend) -> None:
    config = config_folder() / "config.toml"
    config.write_text("channel = 2\n", encoding="utf-8")
    moss(*TINY, "call.wav")
    assert is_right(backend.asked[0])
    config.write_text('channel = "middle"\n', encoding="utf-8")
    assert moss(*TINY, "call.wav").err[0].endswith("config.toml, line 1: channel: --channel middle is no channel")


def clip(number: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """A clip of somebody who speaks, at 16 kHz, and what is said when."""
    labels = [json.loads(line) for line in (SPEECH / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    samples, rate = soundfile.read(SPEECH / labels[number]["file"], dtype="float32")
    return soxr.resample(samples, rate, SAMPLE_RATE), labels[number]["segments"]


# Seconds at which clips begin. In the middle both speak at once.
LEFT, RIGHT = ((0.0, 3), (9.0, 10)), ((4.0, 13), (14.0, 5))


def test_a_call_of_two_voices_has_two_speakers_and_the_right_words_at_the_right_times(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    both = np.zeros((21 * SAMPLE_RATE, 2), np.float32)
    expected = []
    for column, speaker, clips in ((0, "left", LEFT), (1, "right", RIGHT)):
        for start_s, number in clips:
            samples, said = clip(number)
            at = round(start_s * SAMPLE_RATE)
            both[at : at + len(samples), column] += samples
            expected += [(speaker, one["text"], one["start"] + start_s, one["end"] + start_s) for one in said]
    soundfile.write(tmp_path / "call.wav", both, SAMPLE_RATE)
    assert run([*TINY, str(tmp_path / "call.wav"), "--channel", "each", "-f", "json"]) == 0
    found = json.loads(capfd.readouterr().out)["result"]["segments"]
    expected.sort(key=lambda one: one[2])
    assert [(one["speaker"], one["text"]) for one in found] == [one[:2] for one in expected]
    for one, (_, _, start, end) in zip(found, expected, strict=True):
        assert (one["start"], one["end"]) == (pytest.approx(start, abs=0.25), pytest.approx(end, abs=0.25))
