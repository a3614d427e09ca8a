"""JSON on stdout: one envelope for each input, failed ones too, and always a whole document."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cli_run import TINY, Run
from scripted_backend import ScriptedBackend

from moss_cli.errors import ModelError
from moss_cli.schema import Envelope

Moss = Callable[..., Run]
Wav = Callable[..., Path]


def checked(document: Any) -> Any:
    jsonschema.validate(document, Envelope.model_json_schema(mode="serialization"))
    return document


def test_one_file_is_an_object(moss: Moss, wav: Wav) -> None:
    wav("a.wav", 4410, 44_100, channels=2)
    run = moss(*TINY, "a.wav", "-f", "json", "--seed", "7")
    document = checked(json.loads(run.out))
    assert (run.code, run.err, document["status"]) == (0, [], "ok")
    assert document["input"]["path"] == "a.wav"
    assert document["input"]["duration"] == 0.1
    assert (document["input"]["sample_rate"], document["input"]["channels"]) == (44_100, 2)
    assert len(document["input"]["sha256"]) == 64
    assert document["model"] == {"name": "tiny", "revision": None, "dtype": "fp32", "device": "cpu", "demo": True}
    assert document["params"]["seed"] == 7
    assert document["result"]["segments"] == [{"start": 0.0, "end": 0.05, "text": "hello there"}]
    assert document["text"] == "hello there"
    assert "error" not in document


def test_a_folder_with_one_file_is_an_array(moss: Moss, wav: Wav) -> None:
    wav("d/a.wav")
    documents = json.loads(moss(*TINY, "d", "-f", "json").out)
    assert [checked(d)["input"]["path"] for d in documents] == ["d/a.wav"]


@pytest.mark.parametrize("fmt", ["json", "jsonl"])
def test_every_input_has_its_envelope_in_order(moss: Moss, wav: Wav, tmp_path: Path, fmt: str) -> None:
    wav("a.wav")
    wav("c.wav")
    (tmp_path / "b.wav").write_text("no audio")
    run = moss(*TINY, "a.wav", "gone.wav", "b.wav", "c.wav", "-f", fmt)
    documents = json.loads(run.out) if fmt == "json" else [json.loads(line) for line in run.out.splitlines()]
    assert run.code == 3
    assert run.err == ["moss: error: no such file: gone.wav", "moss: error: b.wav is not audio that can be read"]
    assert [checked(d)["status"] for d in documents] == ["ok", "error", "error", "ok"]
    assert documents[1]["error"] == {"code": "not_found", "message": "no such file: gone.wav"}
    assert documents[2]["error"] == {"code": "not_audio", "message": "b.wav is not audio that can be read"}
    assert all("result" not in d for d in documents[1:3])


def test_a_single_failed_input_is_an_object_with_its_error(moss: Moss) -> None:
    run = moss(*TINY, "gone.wav", "-f", "json")
    assert (run.code, run.err) == (4, ["moss: error: no such file: gone.wav"])
    assert checked(json.loads(run.out))["error"]["code"] == "not_found"


def test_empty_standard_input_has_an_envelope(moss: Moss) -> None:
    run = moss(*TINY, "-", "-f", "json")
    document = checked(json.loads(run.out))
    assert (run.code, document["input"]["path"], document["error"]["code"]) == (4, "-", "empty")


def test_an_array_is_closed_when_the_model_fails_after_the_first_input(
    moss: Moss, wav: Wav, backend: ScriptedBackend
) -> None:
    def fail() -> None:
        raise ModelError("the weights are damaged")

    backend.at_open = fail
    wav("a.wav")
    run = moss(*TINY, "gone.wav", "a.wav", "-f", "json")
    assert (run.code, run.err) == (5, ["moss: error: no such file: gone.wav", "moss: error: the weights are damaged"])
    assert [checked(d)["input"]["path"] for d in json.loads(run.out)] == ["gone.wav"]


def test_a_path_that_is_not_utf8_is_escaped_and_given_whole(moss: Moss, wav: Wav) -> None:
    wav(os.fsdecode(b"n\xff.wav"))
    document = checked(json.loads(moss(*TINY, os.fsdecode(b"n\xff.wav"), "-f", "json").out))
    assert (document["input"]["path"], document["input"]["path_bytes"]) == ("n\\xff.wav", "bv8ud2F2")


def test_a_cut_file_is_partial_and_says_so(moss: Moss, wav: Wav) -> None:
    path = wav("a.wav", 16_000)
    os.truncate(path, path.stat().st_size // 2)
    run = moss(*TINY, "a.wav", "-f", "json")
    document = checked(json.loads(run.out))
    assert (run.code, document["status"]) == (3, "partial")
    assert [w["code"] for w in document["warnings"]] == ["truncated"]


def test_a_range_is_in_the_file_s_times(moss: Moss, wav: Wav) -> None:
    wav("a.wav", 32_000)
    document = checked(json.loads(moss(*TINY, "a.wav", "-f", "json", "--start", "0.5", "--end", "0:01.25").out))
    assert document["result"]["segments"] == [{"start": 0.5, "end": 0.55, "text": "hello there"}]
    assert (document["params"]["start"], document["params"]["end"]) == (0.5, 1.25)
    assert document["chunks"] == [{"start": 0.5, "end": 1.25, "finish_reason": "stop", "attempts": 1}]
    assert document["usage"]["audio_seconds"] == 0.75
