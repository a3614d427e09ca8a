"""The tasks that answer in a form: whatever the model says becomes a result that keeps the rules."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.answers import JsonSchema
from moss_cli.output.formats import FORMATS
from moss_cli.output.json_schema import envelope_type, json_schema
from moss_cli.output.render import render
from moss_cli.schema import Envelope, InputInfo, ModelInfo, Params
from moss_cli.span import Span
from moss_cli.tasks.ask import Ask, Evidence
from moss_cli.tasks.catalogue import CATALOGUE
from moss_cli.tasks.describe_speaker import DescribeSpeaker, SpeakerDescription
from moss_cli.tasks.emotion import DescribeEmotion
from moss_cli.tasks.music import DescribeMusic
from moss_cli.tasks.reading.task import Reading, Task
from moss_cli.tasks.reading.timed import Labelled
from moss_cli.tasks.scene import DescribeScene, read_events
from moss_cli.tasks.summarize import Chapter, Summarize
from moss_cli.tasks.transcribe import Transcribe

SPAN = Span(60.0, 80.0)
TASKS: list[Task[Any]] = [
    Transcribe(),
    Transcribe("none"),
    Transcribe(speakers=True),
    DescribeSpeaker(),
    DescribeEmotion(),
    DescribeScene(),
    DescribeScene("What is going on here?"),
    DescribeMusic(),
    Ask("What is said?"),
    Ask("Which?", choices=("rain", "wind", "snow")),
    Summarize(),
]
FORMS = [task for task in TASKS if task.name != "transcribe"]


def envelope(task: Task[Any], reading: Reading[Any]) -> Envelope:
    return Envelope(
        moss="0.1.0",
        task=task.name,
        status="ok",
        input=InputInfo(path="a.wav", duration=100.0, sample_rate=16_000, channels=1, sha256="0" * 64),
        model=ModelInfo(name="tiny", dtype="fp32", device="cpu"),
        params=Params(
            prompt=task.questions[0].prompt, temperature=0, top_p=1, top_k=0, seed=0, chunk=600, **task.params
        ),
        result=reading.result,
        text=reading.text,
        warnings=reading.notices,
    )


@cache
def validator(task: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema(task))


def times(result: Any) -> list[tuple[float, float]]:
    lists = [v for v in result.model_dump().values() if isinstance(v, list | tuple)]
    return [(item["start"], item["end"]) for items in lists for item in items if isinstance(item, dict)]


def assert_keeps_the_rules(task: Task[Any], reading: Reading[Any]) -> None:
    """What SPEC promises of every result, and that every format can write it."""
    assert type(reading.result) is task.result_type
    for start, end in times(reading.result):
        assert SPAN.start_s <= start <= end <= SPAN.end_s
    assert times(reading.result) == sorted(times(reading.result))
    made = envelope(task, reading)
    for fmt in FORMATS:
        render(made, fmt).encode()
    written = json.loads(render(made, "json"))
    validator(task.name).validate(written)
    assert json.loads(envelope_type(task.name).model_validate(written).model_dump_json()) == written


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.name}-{len(task.questions)}")
@given(data=st.data())
def test_any_text_becomes_a_result_that_keeps_the_rules(task: Task[Any], data: st.DataObject) -> None:
    answers = data.draw(st.lists(st.text(), min_size=len(task.questions), max_size=len(task.questions)))
    assert_keeps_the_rules(task, task.read(answers, SPAN))


KEYS = sorted(
    {"start", "end", "label", "text", "title", "emotion", "cue"}
    | {n for one in CATALOGUE for n in one.load().result_type.model_fields}
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=25,
)


@pytest.mark.parametrize("task", FORMS, ids=lambda task: f"{task.name}-{len(task.questions)}")
@given(values=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8), cut=st.integers(0, 400))
def test_any_json_whole_or_broken_off_becomes_a_result(task: Task[Any], values: dict[str, Any], cut: int) -> None:
    text = json.dumps(values)
    for answer in (text, text[:cut], f"```json\n{text}\n```"):
        assert_keeps_the_rules(task, task.read([answer] * len(task.questions), SPAN))


def test_a_speaker_is_read_field_by_field() -> None:
    answer = '{"gender": "female", "age": null, "pitch": " high ", "summary": "A high voice."}'
    reading = DescribeSpeaker().read([answer], SPAN)
    assert reading.text == "A high voice."
    assert reading.result.model_dump() == {
        **dict.fromkeys(SpeakerDescription.model_fields),
        "gender": "female",
        "pitch": "high",
        "summary": "A high voice.",
    }


def test_events_are_read_line_by_line_in_file_times() -> None:
    answer = "0.0 - 1.5: rain begins\nnonsense\n3 - 2.5: a door\n 4.25 – 99: wind \n5 - 6:"
    assert read_events(answer, SPAN) == (
        Labelled(start=60.0, end=61.5, label="rain begins"),
        Labelled(start=64.25, end=80.0, label="wind"),
    )


def test_an_answer_that_broke_off_keeps_what_it_had_and_is_not_complete() -> None:
    reading = Summarize().read(['{"summary": "All is well.", "key_points": ["One", "Tw'], SPAN)
    assert not reading.complete
    assert reading.result.model_dump()["summary"] == "All is well."
    assert reading.result.model_dump()["key_points"] == ("One", "Tw")


def test_what_is_said_of_each_sentence_is_told_for_each_change() -> None:
    said = [(0.5, 2.0, "calm"), (2.4, 3.0, "Calm"), (3.5, 4.0, "angry"), (4.2, 5.0, "calm"), (8.0, 9.0, "calm")]
    segments = [{"start": a, "end": b, "emotion": name, "cue": f"cue {a}"} for a, b, name in said]
    answer = json.dumps({"overall": "calm", "evidence": "even", "segments": segments})
    result = DescribeEmotion().read([answer], Span(10.0, 20.0)).result
    assert [(s.start, s.end, s.emotion, s.cue) for s in result.segments] == [
        (10.5, 13.0, "calm", "cue 0.5"),
        (13.5, 14.0, "angry", "cue 3.5"),
        (14.2, 15.0, "calm", "cue 4.2"),
        (18.0, 19.0, "calm", "cue 8.0"),  # long after the one before
    ]


def test_chapters_and_evidence_lie_in_the_file() -> None:
    chapters = Summarize().read(
        [
            '{"summary": null, "key_points": [], '
            '"chapters": [{"start": 1, "end": 9, "title": "Opening", "summary": null}]}'
        ],
        SPAN,
    )
    assert chapters.result.model_dump()["chapters"] == (Chapter(start=61, end=69, title="Opening").model_dump(),)
    answer = Ask("x").read(['{"answer": "Yes.", "evidence": [{"start": 2, "end": 3.5, "text": "yes"}]}'], SPAN)
    assert answer.result.model_dump()["evidence"] == (Evidence(start=62, end=63.5, text="yes").model_dump(),)


@pytest.mark.parametrize(
    ("answer", "expected"), [("B", "wind"), (" c.", "snow"), ("", None), ("Z", None), ("<|x", None)]
)
def test_a_choice_is_one_of_those_given_or_none(answer: str, expected: str | None) -> None:
    reading = Ask("Which?", choices=("rain", "wind", "snow")).read([answer], SPAN)
    assert reading.result.model_dump()["answer"] == expected
    assert reading.complete is (expected is not None)


def test_four_choices_are_asked_for_in_the_maintainers_words() -> None:
    prompt = Ask("What falls?", choices=("rain", "snow", "hail", "night")).questions[0].prompt
    assert prompt == (
        "Choose the most suitable answer from options A, B, C, and D for the question on the next line. You should "
        "output only A, B, C, or D. Do not provide any additional explanations or content.\n"
        "Question:What falls?\nA. rain\nB. snow\nC. hail\nD. night"
    )


def test_the_maintainers_prompts_are_sent_as_they_stand() -> None:
    assert (
        DescribeSpeaker()
        .questions[0]
        .prompt.startswith("Describe the vocal characteristics in the audio in JSON format. ")
    )
    assert (
        DescribeScene().questions[0].prompt.startswith("Analyze the audio and describe the main sound events in chrono")
    )
    assert (
        DescribeMusic()
        .questions[0]
        .prompt.startswith("Please describe this piece of music in terms of style and tempo, ")
    )


@pytest.mark.parametrize("task", FORMS, ids=lambda task: f"{task.name}-{len(task.questions)}")
def test_a_prompt_that_asks_for_prose_gets_one_sentence_that_describes_the_json(task: Task[Any]) -> None:
    for question in task.questions:
        if isinstance(question.form, JsonSchema):
            assert "JSON" in question.prompt
