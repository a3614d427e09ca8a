"""The options of Python are those of the command line: the same names, defaults and bounds, checked in one place."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

from moss_cli import Moss, UsageError
from moss_cli.api.job import ask_task, make_job
from moss_cli.api.options import BOUNDS, JobOptions, SharedOptions, TaskOptions, as_flag
from moss_cli.cli.app import app
from moss_cli.cli.options import AnalysisOptions
from moss_cli.models.registry import resolve
from moss_cli.run.job import Job
from moss_cli.tasks.catalogue import TASKS
from moss_cli.tasks.transcribe import Transcribe

OF_A_MOSS = {"device", "dtype", "batch_size"}
# Of the command line alone: which files, on which machines, where results go, and what is said beside them.
ELSEWHERE = {
    *("model", "include", "exclude", "files_from", "format", "output", "force", "checksum"),
    *("ray", "ray_collect", "workers"),
    *("show_thinking", "quiet", "verbose", "progress", "report", "debug"),
}


def job(**options: Any) -> Job:
    return make_job(Transcribe(), resolve("tiny"), JobOptions(**options))


def test_every_option_of_the_commands_that_decides_a_result_is_one_of_python() -> None:
    ours = {field.name: field.default for field in fields(JobOptions)}
    theirs = {field.name: field.default for field in fields(AnalysisOptions)}
    assert ours == {name: value for name, value in theirs.items() if name not in ELSEWHERE}
    assert TaskOptions.__optional_keys__ == ours.keys() - OF_A_MOSS
    assert SharedOptions.__optional_keys__ == TaskOptions.__optional_keys__ - {"prompt"}


@pytest.mark.parametrize("task", TASKS)
def test_every_command_has_a_method_with_its_own_options_and_their_defaults(task: str) -> None:
    command = typer.main.get_command(app).commands[task]  # type: ignore[attr-defined]
    of_the_output = {"times", "max_line_width", "max_line_count"}  # what `TaskResult.to` takes
    shared = {field.name for field in fields(AnalysisOptions)} | of_the_output | {"inputs", "help"}
    theirs = {one.name: one.default for one in command.params if one.name not in shared}
    if task == "ask":
        theirs = {"question": None, "choices": theirs.pop("choice")}
    method = inspect.signature(getattr(Moss, task.replace("-", "_")))
    ours = {name: one.default for name, one in method.parameters.items() if name not in ("self", "audio", "options")}
    empty = (None, (), inspect.Parameter.empty)
    assert ours.keys() == theirs.keys()
    assert {name: value for name, value in ours.items() if value not in empty} == {
        name: value for name, value in theirs.items() if value not in empty
    }


@pytest.mark.parametrize("name", sorted(BOUNDS.keys() & {field.name for field in fields(JobOptions)}))
def test_numbers_are_held_to_their_bounds(name: str) -> None:
    bounds = BOUNDS[name]
    kind = int if bounds.is_whole else float
    step = 1 if bounds.is_whole else 0.01
    assert job(**{name: kind(bounds.least)})
    wrong: list[Any] = [kind(bounds.least) - step, float("nan"), "1", True]
    if bounds.greatest is not None:
        assert job(**{name: kind(bounds.greatest)})
        wrong.append(kind(bounds.greatest) + step)
    if bounds.is_whole:
        wrong.append(float(bounds.least))
    for value in wrong:
        with pytest.raises(UsageError, match=f"^{name} must be "):
            job(**{name: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "dtype must be one of 'auto', 'bf16', 'fp16', 'fp32', '4bit', and not 'int8'"),
        ({"vad": "no"}, "vad must be True or False"),
        ({"think": 1}, "think must be True, False or None"),
        ({"start": -1.0}, "start: -1.0 is not a time"),
        ({"start": float("inf")}, "start: inf is not a time"),
        ({"end": "soon"}, "end: 'soon' is not a time"),
        ({"start": 5, "end": "0:05"}, "end 0:05 is not after the start"),
        ({"prompt": " "}, "the prompt is empty"),
        ({"prompt": 5}, "prompt must be a text, and not 5"),
        ({"device": 0}, "device must be a text, and not 0"),
        ({"chunk": 31}, "chunk 31 is too long: tiny takes at most 30 s at once"),
        ({"batch_size": 0}, "batch_size 0 is neither auto nor a positive number"),
        ({"batch_size": True}, "batch_size True is neither auto nor a positive number"),
        ({"max_duration": 0}, "max_duration must be greater than zero"),
        ({"device": "gpu"}, "no such device: gpu"),
    ],
)
def test_an_option_that_cannot_be_meant_is_a_usage_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        job(**options)
    assert raised.value.message == message


def test_times_are_seconds_or_what_the_command_line_takes() -> None:
    made = job(start=90, end="1:30.5", max_duration="2h")
    assert (made.start_s, made.end_s, made.max_duration_s) == (90.0, 90.5, 7200.0)


def test_messages_call_an_option_what_its_user_does() -> None:
    with pytest.raises(UsageError, match=r"^--max-duration must be greater than zero$"):
        make_job(Transcribe(), resolve("tiny"), JobOptions(max_duration="0"), named=as_flag)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (["one"], "one choice is not enough"),
        (["one", " one "], "one choice is not enough"),
        (["one", " "], "a choice is empty"),
        ([str(n) for n in range(27)], "27 choices are too many"),
        ("yes", "the choices are one text: 'yes'"),
    ],
)
def test_choices_are_two_or_more_different_texts(choices: Any, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        ask_task("What?", choices, JobOptions(), has_audio=True)
    assert raised.value.message == message


def test_what_does_not_go_with_a_question_is_an_error() -> None:
    moss, arguments = Moss("tiny"), {"prompt": "Say it."}
    with pytest.raises(UsageError, match="ask takes no prompt"):
        moss.ask("What?", "a.wav", **arguments)  # type: ignore[misc]
    with pytest.raises(UsageError, match="start and end need a recording"):
        moss.ask("What?", start=1)
    with pytest.raises(UsageError, match="the question is empty"):
        moss.ask(" ", "a.wav")


def test_an_unknown_option_is_a_type_error_that_names_those_there_are() -> None:
    with pytest.raises(TypeError, match=r"there is no option 'temprature'; there are channel, chunk, context, end, "):
        Moss("tiny").transcribe("a.wav", temprature=1)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="there is no option 'device'"):
        Moss("tiny").transcribe("a.wav", device="cpu")  # type: ignore[call-overload]


def test_options_are_checked_before_an_iterator_is_begun() -> None:
    with pytest.raises(UsageError, match="timestamps must be one of 'segment', 'word', 'none', and not 'words'"):
        Moss("tiny").transcribe([Path("a.wav")], timestamps="words")  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="style must be one of"):
        Moss("tiny").summarize([Path("a.wav")], style="long")  # type: ignore[call-overload]


def test_variables_and_the_config_file_are_for_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSS_SEED", "7")
    monkeypatch.setenv("MOSS_MODEL", "no-such-model")
    assert job().seed == 0
    assert Moss("tiny")
