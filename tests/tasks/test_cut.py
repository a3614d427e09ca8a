"""An answer that ends at a limit is noticed: what it says is all in the result, and `cut` names what ended there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moss_cli.answers import Grammar, JsonSchema
from moss_cli.span import Span
from moss_cli.tasks.ask import Ask
from moss_cli.tasks.describe_speaker import DescribeSpeaker
from moss_cli.tasks.emotion import DescribeEmotion
from moss_cli.tasks.music import DescribeMusic
from moss_cli.tasks.reading.json_answers import LONGEST_TEXT, MOST_ITEMS, broken_off
from moss_cli.tasks.reading.task import Part, Task
from moss_cli.tasks.scene import EVENTS_FORM, DescribeScene
from moss_cli.tasks.summarize import Summarize
from moss_cli.tasks.transcribe import Transcribe

SPAN = Span(0.0, 270.0)
PROMPT = "What is going on?"
IN_JSON: list[Task[Any]] = [
    DescribeSpeaker(),
    DescribeSpeaker(PROMPT),
    DescribeEmotion(),
    DescribeScene(PROMPT),
    DescribeMusic(),
    Ask("What is said?"),
    Ask("Why?", has_audio=False),
    Summarize(),
]
WHOLE = '{"setting": "a street", "atmosphere": "calm", "summary": "Cars pass."}'


def schema_of(task: Task[Any]) -> dict[str, Any]:
    [question] = task.questions
    assert isinstance(question.form, JsonSchema)
    schema: dict[str, Any] = json.loads(question.form.text)
    return schema


def limits(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of what has a limit in a form; `[]` stands for an item of a list."""
    if "maxLength" in schema or "maxItems" in schema:
        yield path
    for name, inside in schema.get("properties", {}).items():
        yield from limits(inside, (*path, name))
    if "items" in schema:
        yield from limits(schema["items"], (*path, "[]"))


def filled(schema: dict[str, Any], at: tuple[str, ...] | None, less: int = 0) -> Any:
    """The shortest value of a form, but for what is at the path `at`: that is as long as it may be, less so much."""
    if "properties" in schema:
        return {
            name: filled(inside, at[1:] if at and at[0] == name else None, less)
            for name, inside in schema["properties"].items()
        }
    if schema["type"] == "array":
        if at == ():
            return [filled(schema["items"], None)] * (schema["maxItems"] - less)
        return [filled(schema["items"], at[1:], less)] if at else []
    if "number" in schema["type"]:
        return 1
    return "x" * (schema["maxLength"] - less if at == () else 1)


CASES = [(task, path) for task in IN_JSON for path in limits(schema_of(task))]
IDS = [f"{task.name}-{'.'.join(path)}" for task, path in CASES]


@pytest.mark.parametrize(("task", "path"), CASES, ids=IDS)
def test_the_field_that_ends_at_a_limit_of_its_form_is_named(task: Task[Any], path: tuple[str, ...]) -> None:
    schema = schema_of(task)
    answer = filled(schema, path)
    jsonschema.validate(answer, schema)
    assert task.read([json.dumps(answer)], SPAN).cut == (path[0],)


@pytest.mark.parametrize(("task", "path"), CASES, ids=IDS)
def test_one_less_is_whole(task: Task[Any], path: tuple[str, ...]) -> None:
    reading = task.read([json.dumps(filled(schema_of(task), path, less=1))], SPAN)
    assert (reading.complete, reading.cut) == (True, ())


@pytest.mark.parametrize("task", IN_JSON, ids=lambda task: task.name)
@given(data=st.data())
@settings(max_examples=60)
def test_an_answer_that_breaks_off_is_not_complete_and_names_the_field(task: Task[Any], data: st.DataObject) -> None:
    schema = schema_of(task)
    values, ascii_only = data.draw(answers(schema)), data.draw(st.booleans())
    members = [f'"{name}": {json.dumps(values[name], ensure_ascii=ascii_only)}' for name in schema["properties"]]
    text = "{" + ", ".join(members) + "}"
    at = data.draw(st.integers(0, len(text) - 1))
    reading = task.read([text[:at]], SPAN)
    ends = [len("{" + ", ".join(members[: n + 1])) for n in range(len(members))]  # where the comma after each stands
    [*_, name] = (name for name, start in zip(schema["properties"], [-1, *ends], strict=False) if start < at)
    assert (reading.complete, reading.cut) == (False, (name,))


def answers(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Short answers of a form."""
    if "properties" in schema:
        return st.fixed_dictionaries({name: answers(inside) for name, inside in schema["properties"].items()})
    if schema["type"] == "array":
        return st.lists(answers(schema["items"]), max_size=3)
    if "number" in schema["type"]:
        return st.integers(1, 200)
    return st.text('abc {}[],:"\\é', max_size=6)


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ("", "summary"),
        ("no object", "summary"),
        ("{", "summary"),
        ('{"summary": "It rai', "summary"),
        ('{"summary": "It rained, {"', "summary"),
        ('{"summary": "It rained.", ', "key_points"),
        ('{"summary": "It rained.", "key_po', "key_points"),
        ('{"summary": "a \\" b", "key_points": ["a", "b, c", ', "key_points"),
        ('{"summary": null, "key_points": [], "chapters": [{"start": 1, "end": 2, "ti', "chapters"),
        ('{"summary": null, "chapters": [], "key_points": ["a"', "key_points"),
        ('Here it is: {"summary": "x", "key_points": [', "key_points"),
    ],
)
def test_the_field_in_which_an_answer_broke_off(answer: str, field: str) -> None:
    assert broken_off(answer, ["summary", "key_points", "chapters"]) == field
    assert Summarize().read([answer], SPAN).cut == (field,)


def test_ninety_events_are_all_there() -> None:
    lines = "\n".join(f"{i * 3}.0 - {i * 3 + 1}.5: sound number {i}" for i in range(90))
    reading = DescribeScene().read([lines, WHOLE], SPAN)
    assert [event.label for event in reading.result.events] == [f"sound number {i}" for i in range(90)]
    assert reading.result.events[-1].end == 268.5
    assert (reading.complete, reading.cut) == (True, ())


def test_ninety_emotions_are_all_there() -> None:
    segments = [{"start": i * 3, "end": i * 3 + 2, "emotion": f"mood {i}", "cue": "c" * 900} for i in range(90)]
    reading = DescribeEmotion().read([json.dumps({"overall": "mixed", "evidence": "", "segments": segments})], SPAN)
    assert [segment.emotion for segment in reading.result.segments] == [f"mood {i}" for i in range(90)]
    assert (reading.complete, reading.cut) == (True, ())


def test_two_hundred_words_of_evidence_and_a_summary_of_four_thousand_characters_are_all_there() -> None:
    said = " ".join(f"word{i}" for i in range(200))
    evidence = [{"start": 1, "end": 2, "text": said}]
    answered = Ask("Why?").read([json.dumps({"answer": "Because.", "evidence": evidence})], SPAN)
    assert (answered.result.evidence[0].text, answered.cut) == (said, ())
    felt = DescribeEmotion().read([json.dumps({"overall": "sad", "evidence": said, "segments": []})], SPAN)
    assert (felt.result.evidence, felt.cut) == (said, ())
    summary = ("It was said. " * 308)[:4000].strip()
    summed = Summarize().read([json.dumps({"summary": summary, "key_points": [], "chapters": []})], SPAN)
    assert (summed.result.summary, summed.cut) == (summary, ())


@pytest.mark.parametrize(
    ("n_lines", "n_characters", "cut"),
    [
        (MOST_ITEMS, 5, ("events",)),
        (MOST_ITEMS - 1, 5, ()),
        (2, LONGEST_TEXT, ("events",)),
        (2, LONGEST_TEXT - 1, ()),
    ],
)
def test_a_list_of_events_that_ends_at_a_limit_is_named(n_lines: int, n_characters: int, cut: tuple[str, ...]) -> None:
    lines = "\n".join(f"{i}.0 - {i}.5: {'x' * n_characters}" for i in range(n_lines))
    reading = DescribeScene().read([lines, WHOLE], Span(0.0, 2000.0))
    assert (len(reading.result.events), reading.cut) == (n_lines, cut)


def test_the_form_of_events_has_the_limits_that_are_looked_for() -> None:
    assert isinstance(EVENTS_FORM, Grammar)
    assert f"NEXT{{0,{MOST_ITEMS - 1}}}" in EVENTS_FORM.text
    assert EVENTS_FORM.text.count(f"[^\\n]{{1,{LONGEST_TEXT}}}") == 2


def test_what_was_cut_in_a_piece_is_cut_in_the_whole_each_field_once() -> None:
    task = DescribeMusic()
    readings = [task.read([f'{{"style": "{"x" * n}", "sections": ['], SPAN) for n in (1, LONGEST_TEXT, 1)]
    whole = task.merge([Part(span=SPAN, reading=reading) for reading in readings])
    assert (whole.complete, whole.cut) == (False, ("sections", "style"))


def test_the_second_pass_adds_what_was_cut_in_it() -> None:
    task = Summarize()
    span = Span(0.0, 0.0)
    merged = replace(task.unspoken(SPAN), cut=("chapters",))
    overall = task.read([json.dumps({"summary": "x" * LONGEST_TEXT, "key_points": []})], span)
    assert task.with_overall(merged, overall).cut == ("chapters", "summary")


@pytest.mark.parametrize("task", [*IN_JSON, DescribeScene(), Transcribe()], ids=lambda task: task.name)
def test_where_nobody_speaks_nothing_is_cut(task: Task[Any]) -> None:
    reading = task.unspoken(SPAN)
    assert (reading.complete, reading.cut, reading.text) == (True, (), "")


@pytest.mark.parametrize(
    ("task", "is_divisible"),
    [
        (Transcribe(), True),
        (DescribeEmotion(), True),
        (DescribeScene(), True),
        (DescribeMusic(), True),
        (DescribeSpeaker(), False),
        (Ask("Why?"), False),
        (Summarize(), False),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_timelines_are_asked_for_in_halves(task: Task[Any], is_divisible: bool) -> None:
    assert task.is_divisible is is_divisible


@pytest.mark.parametrize(
    ("task", "n_characters"),
    [
        (Summarize(), 8192 + 270 * 15),
        (DescribeScene(), 4096 + 270 * 15),
        (DescribeEmotion(), 4096 + 270 * 15),
        (DescribeMusic(), 4096 + 270 * 10),
        (Ask("Why?"), 4096 + 270 * 10),
        (DescribeSpeaker(), 4096),
        (Transcribe(), 64 + 270 * 20),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_there_is_room_for_an_honest_answer(task: Task[Any], n_characters: int) -> None:
    assert task.questions[0].room(270.0) == n_characters
