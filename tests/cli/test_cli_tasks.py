"""The seven commands through one way: every format, every schema."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import jsonschema
import numpy as np
import pysubs2
import pytest
import soundfile

from moss_cli.cli.main import run

SAMPLES = Path(__file__).parents[2] / "samples"
SAMPLE = str(SAMPLES / "weather.wav")
COMMANDS = {
    "transcribe": ["transcribe"],
    "describe-speaker": ["describe-speaker"],
    "emotion": ["emotion"],
    "scene": ["scene"],
    "music": ["music"],
    "ask": ["ask", "What is said?"],
    "summarize": ["summarize", "--style", "meeting"],
}


@pytest.mark.parametrize("task", COMMANDS)
def test_every_command_prints_an_envelope_that_its_schema_accepts(task: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*COMMANDS[task], SAMPLE, "--model", "tiny", "-f", "json", "--max-new-tokens", "200"]) in (0, 3)
    envelope = json.loads(capfd.readouterr().out)
    assert run(["schema", task]) == 0
    schema = json.loads(capfd.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(envelope, schema)
    assert envelope["task"] == task


@pytest.mark.parametrize("task", COMMANDS)
def test_every_command_fails_alike_on_a_file_that_is_not_there(task: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*COMMANDS[task], "no.wav", "--model", "tiny", "-f", "json"]) == 4
    captured = capfd.readouterr()
    envelope = json.loads(captured.out)
    assert (envelope["status"], envelope["error"]["code"], "result" in envelope) == ("error", "not_found", False)
    assert captured.err.splitlines()[-1] == "moss: error: no such file: no.wav"
    assert run(["schema", task]) == 0
    jsonschema.validate(envelope, json.loads(capfd.readouterr().out))


@pytest.mark.parametrize("task", COMMANDS)
def test_every_command_writes_all_formats_that_it_can_have(
    task: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    timed = [] if task == "describe-speaker" else ["-f", "srt", "-f", "vtt"]
    formats = [*timed, "-f", "txt", "-f", "md", "-f", "tsv", "-f", "jsonl"]
    out = f"{tmp_path}/out/"
    assert run([*COMMANDS[task], SAMPLE, "--model", "tiny", *formats, "-o", out, "--max-new-tokens", "200"]) in (0, 3)
    prefix = "weather" if task == "transcribe" else f"weather.{task}"
    written = sorted(p.name for p in Path(out).iterdir() if p.name != ".moss")
    assert written == sorted(f"{prefix}.{fmt}" for fmt in formats[1::2])
    for fmt in timed[1::2]:
        path = Path(out) / f"{prefix}.{fmt}"
        if path.stat().st_size:
            pysubs2.load(str(path))


def test_a_voice_has_no_subtitles(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["describe-speaker", SAMPLE, "--model", "tiny", "-f", "srt"]) == 2
    assert capfd.readouterr().err.splitlines()[-2:] == [
        "moss: error: describe-speaker has no timed items, so it cannot be written as srt",
        "hint: use txt, json, jsonl, md, tsv or csv",
    ]


def test_a_question_needs_no_audio(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", "Are you there?", "--model", "tiny", "-f", "json", "--max-new-tokens", "60"]) in (0, 3)
    envelope = json.loads(capfd.readouterr().out)
    assert envelope["input"] is None
    assert run(["schema", "ask"]) == 0
    jsonschema.validate(envelope, json.loads(capfd.readouterr().out))


def test_a_choice_is_answered_with_one_of_them(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["ask", "What is it?", SAMPLE, "--choice", "rain", "--choice", "wind", "--model", "tiny", "-f", "json"]
    assert run(arguments) == 0
    envelope = json.loads(capfd.readouterr().out)
    assert envelope["result"]["answer"] in ("rain", "wind")
    assert envelope["params"]["choices"] == ["rain", "wind"]


def test_a_single_choice_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", "What is it?", SAMPLE, "--choice", "rain", "--model", "tiny"]) == 2
    assert "one --choice is not enough" in capfd.readouterr().err
    assert run(["ask", "What is it?", SAMPLE, "--choice", " rain", "--choice", "rain", "--model", "tiny"]) == 2
    assert run(["ask", "What is it?", SAMPLE, "--choice", "", "--choice", "rain", "--model", "tiny"]) == 2
    assert "a --choice is empty" in capfd.readouterr().err


def test_a_part_of_no_recording_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", "Why?", "--start", "5", "--model", "tiny"]) == 2
    assert "--start and --end need a recording" in capfd.readouterr().err


def test_a_question_about_a_time_is_asked_of_that_part(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import numpy as np
    import soundfile

    long = tmp_path / "long.wav"
    soundfile.write(long, np.random.default_rng(0).standard_normal(16_000 * 100) * 0.01, 16_000)
    arguments = ["ask", "What is heard at 1:10?", str(long), "--model", "tiny", "-f", "json", "--max-new-tokens", "90"]
    # 100 s are more than tiny takes at once; the 30 s around the moment are not.
    assert run(arguments) in (0, 3)
    envelope = json.loads(capfd.readouterr().out)
    assert (envelope["chunks"][0]["start"], envelope["chunks"][0]["end"]) == (55.0, 85.0)
    assert "from 55 to 85 seconds" in envelope["params"]["prompt"]
    assert envelope["input"]["duration"] == 100.0
    piped = tmp_path / "pipe"
    os.mkfifo(piped)
    with subprocess.Popen(["cp", str(long), str(piped)]):
        arguments[2] = str(piped)
        assert run(arguments) in (0, 3)
    again = json.loads(capfd.readouterr().out)
    assert (again["chunks"], again["result"]) == (envelope["chunks"], envelope["result"])
    # Times in questions are the file's, also where only a part of it is to be heard.
    arguments[2] = str(long)
    assert run([*arguments, "--start", "60", "--end", "80"]) in (0, 3)
    part = json.loads(capfd.readouterr().out)
    assert (part["chunks"][0]["start"], part["chunks"][-1]["end"]) == (60.0, 80.0)
    assert "from 60 to 80 seconds; what is asked about lies from 10 to 10 seconds into it" in part["params"]["prompt"]
    assert run(["ask", "What is heard at 1:10?", str(long), "--model", "tiny", "--start", "80"]) == 2
    assert "asks about 1:10, which is outside the part from 1:20 to 1:40" in capfd.readouterr().err
    assert run(["ask", "What is heard at 5:00?", str(long), "--model", "tiny"]) == 2
    assert "moss: error: the question asks about 5:00, but the recording ends at 1:40" in capfd.readouterr().err


SPOKEN = ("transcribe", "describe-speaker", "emotion", "summarize")  # what there is nothing to say of without speech


@pytest.mark.parametrize("command", SPOKEN)
def test_a_clip_without_speech_is_not_given_to_the_model(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    folder = Path(__file__).parents[1] / "fixtures" / "speech" / "empty"
    silent = str(sorted(folder.glob("*.flac"))[0])
    assert run([command, silent, "--model", "tiny", "-f", "json"]) == 0
    said = capfd.readouterr()
    envelope = json.loads(said.out)
    assert envelope["status"] == "ok"
    assert said.err.endswith(f"{silent}: no speech found\n")
    assert [chunk["finish_reason"] for chunk in envelope["chunks"]] == ["no_speech"]
    assert (envelope["text"], envelope["usage"]["generated_tokens"], envelope["params"]["vad"]) == ("", 0, True)
    assert not any(envelope["result"].values())  # null, or a list of nothing
    assert run([command, silent, "--model", "tiny", "-f", "json", "--no-vad"]) == 0
    envelope = json.loads(capfd.readouterr().out)
    assert [chunk["finish_reason"] for chunk in envelope["chunks"]] == ["stop"]


@pytest.mark.parametrize("command", ["emotion", "describe-speaker"])
def test_a_piece_without_speech_changes_nothing_of_what_is_said_of_the_others(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = {"emotion": "emotion.wav", "describe-speaker": "voice.wav"}[command]
    spoken, rate = soundfile.read(SAMPLES / name, dtype="float32")
    longest = len(spoken) / rate + 0.5
    soundfile.write(tmp_path / "long.wav", np.concatenate([spoken, np.zeros(round(40 * rate), np.float32)]), rate)
    options = ["--model", "tiny", "-f", "json", "--chunk", str(longest)]
    assert run([command, str(tmp_path / "long.wav"), *options]) == 0
    envelope = json.loads(capfd.readouterr().out)
    endings = [chunk["finish_reason"] for chunk in envelope["chunks"]]
    assert endings == ["stop", *["no_speech"] * (len(endings) - 1)]
    assert len(endings) > 1
    end = str(envelope["chunks"][0]["end"])
    assert run([command, str(tmp_path / "long.wav"), *options, "--end", end]) == 0
    alone = json.loads(capfd.readouterr().out)
    assert envelope["result"] == alone["result"]


def test_thoughts_are_split_off_kept_in_json_and_shown_when_asked(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["ask", "What is it?", SAMPLE, "--choice", "rain", "--choice", "wind", "--model", "tiny", "-f", "json"]
    assert run([*arguments, "--think", "--thinking-budget", "3", "--show-thinking"]) == 0
    captured = capfd.readouterr()
    envelope = json.loads(captured.out)
    assert envelope["result"]["answer"] in ("rain", "wind")
    assert envelope["thinking"].endswith("There is no more time to think, so I answer from what I have.")
    assert "moss: thinking: There is no more time to think, so I answer from what I have." in captured.err.splitlines()
    assert (envelope["params"]["think"], envelope["params"]["thinking_budget"]) == (True, 3)
    assert run([*arguments, "--no-think"]) == 0
    assert json.loads(capfd.readouterr().out)["thinking"] is None


def test_what_is_missing_is_said_also_when_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["transcribe", SAMPLE, "--model", "tiny", "-q", "--max-new-tokens", "5"]) == 3
    assert capfd.readouterr().err.splitlines()[-1] == (
        f"moss: warning: {SAMPLE}: the answer reached its maximum length; the rest is missing"
    )


@pytest.mark.parametrize("option", [["--speakers"], ["--language", "English"], ["--prompt", "Write it down."]])
def test_a_model_says_what_it_was_not_trained_for(option: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    run(["transcribe", SAMPLE, "--model", "tiny", "-f", "json", *option])
    assert [w["code"] for w in json.loads(capfd.readouterr().out)["warnings"]][:1] == ["untrained"]


def test_an_embedded_model_needs_no_download(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "pull", "tiny"]) == 0
    captured = capfd.readouterr()
    assert captured.out.strip().endswith("weights/tiny")
    assert captured.err == "moss: tiny is a local model; there is nothing to download\n"


RIGHT = "run `moss ask '{}' {} --model tiny`"


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ([SAMPLE], f"the question must come first, but {SAMPLE} is a file", RIGHT.format("What is said?", SAMPLE)),
        (
            [SAMPLE, "What is said?"],
            f"the question must come first, but {SAMPLE} is a file",
            RIGHT.format("What is said?", SAMPLE),
        ),
        (
            ["talk.MP3"],
            "the question must come first, but talk.MP3 is a file",
            RIGHT.format("What is said?", "talk.MP3"),
        ),
        (["What", "is", "said", SAMPLE], "no such file: is", RIGHT.format("What is said", SAMPLE)),
        ([" "], "the question is empty", None),
    ],
)
def test_what_is_no_question_is_said_so_before_any_work(
    arguments: list[str], error: str, hint: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", *arguments, "--model", "tiny"]) == 2
    lines = [f"moss: error: {error}", *([f"hint: {hint}"] if hint else [])]
    assert capfd.readouterr().err.splitlines() == lines


def test_a_question_may_be_one_word_or_longer_than_a_name_may_be(capfd: pytest.CaptureFixture[str]) -> None:
    for question in ("Who?", "Why " * 100):
        assert run(["ask", question, "--model", "tiny", "--max-new-tokens", "3", "-q"]) == 3
    capfd.readouterr()


@pytest.mark.parametrize("task", ["transcribe", "scene", "summarize"])
def test_an_instruction_of_one_s_own_is_not_empty_and_none_that_a_small_model_knows(
    task: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([task, SAMPLE, "--model", "tiny", "--prompt", " "]) == 2
    assert capfd.readouterr().err.splitlines()[-1] == "moss: error: the prompt is empty"
    assert run([task, SAMPLE, "--model", "tiny", "--prompt", "Say it.", "-f", "json", "--max-new-tokens", "8"]) in (
        0,
        3,
    )
    assert [w["code"] for w in json.loads(capfd.readouterr().out)["warnings"]][:1] == ["untrained"]
