"""The official client, as somebody writes who has read its first page; and the local commands, which say the same."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from served import Served

from moss_cli.answers import JsonSchema
from moss_cli.audio.decode import load
from moss_cli.backends.opening import open_backend
from moss_cli.backends.protocol import Answered, Backend, Request
from moss_cli.models.registry import resolve
from moss_cli.output.render import render
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.runner import Runner
from moss_cli.schema import Envelope
from moss_cli.tasks.transcribe import Timestamps, Transcribe

openai = pytest.importorskip("openai", reason="needs the openai package")

SAMPLES = Path(__file__).parents[2] / "samples"
MEETING = SAMPLES / "meeting.wav"
SAID = "good morning everyone the meeting starts on monday at nine david needs twenty minutes for the budget"
SCHEMA = {"type": "object", "properties": {"label": {"type": "string", "maxLength": 20}}, "required": ["label"]}


@pytest.fixture(scope="module")
def client(tiny: Served) -> Any:
    return openai.OpenAI(base_url=tiny.url, api_key="unused", max_retries=0)


@pytest.fixture(scope="module")
def local() -> Backend:
    return open_backend(resolve("tiny"), device="cpu", dtype="fp32", n_together=None, has_forms=True)


def transcribed(path: Path, timestamps: Timestamps = "segment") -> Envelope:
    """What `moss transcribe --dtype fp32` makes of a file."""
    runner = Runner(Job(Transcribe(timestamps), resolve("tiny"), dtype="fp32"))
    [outcome] = runner.run([Input(path)])
    return outcome.envelope


def answered(backend: Backend, request: Request) -> str:
    """What the local backend answers."""
    backend.submit(request)
    while True:
        for event in backend.step():
            if isinstance(event, Answered):
                return event.reply.text


def messages(path: Path, prompt: str) -> list[dict[str, Any]]:
    data = base64.b64encode(path.read_bytes()).decode()
    audio = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    return [{"role": "user", "content": [audio, {"type": "text", "text": prompt}]}]


def test_a_transcription(client: Any) -> None:
    with MEETING.open("rb") as file:
        assert client.audio.transcriptions.create(model="tiny", file=file).text == SAID


@pytest.mark.parametrize(("asked", "fmt"), [("text", "txt"), ("srt", "srt"), ("vtt", "vtt")])
@pytest.mark.parametrize("name", ["meeting.wav", "minutes.wav"])
def test_a_transcription_as_text_is_that_of_the_command_byte_for_byte(
    client: Any, asked: str, fmt: str, name: str
) -> None:
    with (SAMPLES / name).open("rb") as file:
        told = client.audio.transcriptions.create(model="tiny", file=file, response_format=asked)
    assert told == render(transcribed(SAMPLES / name), fmt)


def test_a_verbose_transcription_has_the_segments_and_words_of_the_command(client: Any) -> None:
    with MEETING.open("rb") as file:
        told = client.audio.transcriptions.create(
            model="tiny", file=file, response_format="verbose_json", timestamp_granularities=["segment", "word"]
        )
    segments = transcribed(MEETING, "word").model_dump()["result"]["segments"]
    assert told.text == SAID and told.duration == 7.584 and told.language is None
    assert [(one.start, one.end, one.text) for one in told.segments] == [
        (one["start"], one["end"], one["text"]) for one in segments
    ]
    assert [(one.start, one.end, one.word) for one in told.words] == [
        (word["start"], word["end"], word["word"]) for one in segments for word in one["words"]
    ]


def test_a_chat_with_audio_answers_as_the_local_engine_does(client: Any, local: Backend) -> None:
    [clip] = local.listen([load(MEETING).samples])
    told = client.chat.completions.create(model="tiny", messages=messages(MEETING, "Transcribe the audio."))
    assert told.choices[0].message.content == answered(local, Request("Transcribe the audio.", clip, n_characters=4096))
    assert told.choices[0].message.content == SAID
    assert (told.choices[0].finish_reason, told.model) == ("stop", "tiny")
    assert told.usage.total_tokens == told.usage.prompt_tokens + told.usage.completion_tokens > 100


def test_a_streamed_chat_says_the_same_in_pieces(client: Any) -> None:
    chunks = list(
        client.chat.completions.create(
            model="tiny",
            messages=messages(MEETING, "Transcribe the audio."),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(piece or "" for piece in pieces) == SAID
    assert len([piece for piece in pieces if piece]) > 5
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 17)


def test_a_json_schema_holds_and_the_answer_is_the_local_one(client: Any, local: Backend) -> None:
    [clip] = local.listen([load(MEETING).samples])
    told = client.chat.completions.create(
        model="tiny",
        messages=messages(MEETING, "Transcribe the audio."),
        response_format={"type": "json_schema", "json_schema": {"name": "label", "schema": SCHEMA, "strict": True}},
    )
    content = told.choices[0].message.content
    assert set(json.loads(content)) == {"label"}
    form = JsonSchema(json.dumps(SCHEMA))
    assert content == answered(local, Request("Transcribe the audio.", clip, form=form, n_characters=4096))


def test_the_models_are_listed(client: Any) -> None:
    assert [one.id for one in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "moss"


def test_errors_are_the_clients_own(client: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-4o' here; this server has 'tiny'"):
        client.chat.completions.create(model="gpt-4o", messages=messages(MEETING, "What is this?"))
    with pytest.raises(openai.BadRequestError, match=r"notes\.txt is not"):
        client.audio.transcriptions.create(model="tiny", file=("notes.txt", b"no audio at all"))
