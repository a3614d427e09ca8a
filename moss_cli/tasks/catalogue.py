"""The tasks, as far as they can be told without loading them: standard library only, for help and completion.

A task is one entry here and one module in this folder. Commands, help, completion, schema, headings, subtitles, tables
and the page of examples are made from the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moss_cli.tasks.reading.task import Task


@dataclass(frozen=True)
class Timeline:
    """Where a result has its timed items, each with a `start` and an `end` in seconds of the file.

    `field`: the result's field that holds them. `text`: the attributes of an item that are shown as its text, joined
    by a colon; those that are null are left out. `heading`: what the list is called in a document; None where it is
    the whole of the result, as in a transcript.
    """

    field: str
    text: tuple[str, ...]
    heading: str | None = None


@dataclass(frozen=True)
class TaskEntry:
    """One task. `name` is its command.

    `module` and `class_name` say where its class is (in `moss_cli.tasks`). `help` is one line, `more` a paragraph,
    `examples` are command lines. `heading`: what a result is called in a document. `main_field`: the result's field
    with the answer in running text, shown first and without its name. `labels`: what fields are called where their own
    name would not do.
    """

    name: str
    module: str
    class_name: str
    heading: str
    help: str
    more: str = ""
    examples: tuple[str, ...] = ()
    main_field: str | None = None
    timeline: Timeline | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> type[Task[Any]]:
        """The task's class. Imports its module, and with it pydantic."""
        loaded: type[Task[Any]] = getattr(import_module(f"moss_cli.tasks.{self.module}"), self.class_name)
        return loaded


# In the order of the help.
CATALOGUE = (
    TaskEntry(
        name="transcribe",
        module="transcribe",
        class_name="Transcribe",
        heading="Transcript",
        help="Transcribe speech, with timestamps.",
        examples=(
            "moss transcribe talk.mp3",
            "moss transcribe talk.mp3 -o talk.srt --max-line-width 42 --max-line-count 2",
            "moss transcribe recordings/ -o out/ -f srt -f json",
            "curl -s https://example.org/a.mp3 | moss transcribe - -f json | jq .text",
        ),
        timeline=Timeline("segments", ("text",)),
    ),
    TaskEntry(
        name="describe-speaker",
        module="describe_speaker",
        class_name="DescribeSpeaker",
        heading="Speaker",
        help="Describe a speaker's voice: gender, age, pitch and more.",
        more="Gives thirteen fields, accent, speed and clarity among them. Do not base decisions about people on them; "
        "see the README.",
        examples=(
            "moss describe-speaker voice.wav",
            "moss describe-speaker calls/ -f jsonl | jq -r '.result.accent'",
        ),
        main_field="summary",
    ),
    TaskEntry(
        name="emotion",
        module="emotion",
        class_name="DescribeEmotion",
        heading="Emotion",
        help="Tell what emotion a voice conveys, and when it changes.",
        more="Says how a voice sounds to the model, not what a person feels. Do not base decisions about people on it; "
        "see the README.",
        examples=(
            "moss emotion voice.wav",
            "moss emotion voice.wav -o voice.emotion.srt",
        ),
        timeline=Timeline("segments", ("emotion", "cue"), heading="Course"),
    ),
    TaskEntry(
        name="scene",
        module="scene",
        class_name="DescribeScene",
        heading="Scene",
        help="Describe where a recording was made and what is heard.",
        examples=(
            "moss scene street.wav",
            "moss scene street.wav -f json | jq '.result.events'",
        ),
        main_field="summary",
        timeline=Timeline("events", ("label",), heading="Events"),
    ),
    TaskEntry(
        name="music",
        module="music",
        class_name="DescribeMusic",
        heading="Music",
        help="Describe music: style, tempo, key and instruments.",
        examples=(
            "moss music song.mp3",
            "moss music album/ -o notes/ -f md",
        ),
        main_field="summary",
        timeline=Timeline("sections", ("label",), heading="Sections"),
        labels={"tempo_bpm": "tempo (BPM)"},
    ),
    TaskEntry(
        name="ask",
        module="ask",
        class_name="Ask",
        heading="Answer",
        help="Ask a question about recordings, or without any.",
        more="A question that names a time is answered from that part of the recording.",
        examples=(
            'moss ask "What is the speaker\'s main point?" talk.mp3',
            'moss ask "What is said at the two-minute mark?" talk.mp3',
            'moss ask "What is falling?" roof.wav --choice rain --choice hail',
        ),
        main_field="answer",
        timeline=Timeline("evidence", ("text",), heading="Evidence"),
    ),
    TaskEntry(
        name="summarize",
        module="summarize",
        class_name="Summarize",
        heading="Summary",
        help="Summarize speech: key points and chapters with times.",
        examples=(
            "moss summarize meeting.m4a --style meeting -o minutes.md",
            "moss summarize lecture.mp3 -f json | jq -r '.result.key_points[]'",
        ),
        main_field="summary",
        timeline=Timeline("chapters", ("title", "summary"), heading="Chapters"),
    ),
)

TASKS = tuple(entry.name for entry in CATALOGUE)

# What every recording deserves where several tasks are done in one pass. Those about speech skip what has none; music
# and questions are for who wants them.
USUAL_TOGETHER = ("transcribe", "describe-speaker", "emotion", "scene", "summarize")


def entry(task: str) -> TaskEntry:
    """The entry of the task of this name. Raises KeyError."""
    return {one.name: one for one in CATALOGUE}[task]
