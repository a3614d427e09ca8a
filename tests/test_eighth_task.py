"""A new task is one module and one entry in the catalogue: an eighth one, added to a copy of the package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import soundfile

import moss_cli

PACKAGE = Path(moss_cli.__file__).parent

MODULE = '''
"""Noise: what disturbs a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from moss_cli.schema import Record
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import SAID, TEXT, Field, form, in_json, items, read_json
from moss_cli.tasks.reading.merge_rules import joined_labels, merged, prevailing, sentences, timeline, weighed
from moss_cli.tasks.reading.task import Part, Question, Reading, Task
from moss_cli.tasks.reading.timed import Labelled

PROMPT = "What disturbs this recording?"
FIELDS = (
    Field("noise_level", TEXT, "low, medium or high"),
    Field("summary", TEXT, "the noise, in a sentence"),
    Field("noises", items(label=SAID), "a list of start, end and label, in order"),
)


class Noise(Record):
    """Result of `noise`."""

    noise_level: str | None = None
    summary: str | None = None
    noises: tuple[Labelled, ...] = ()


@dataclass(frozen=True)
class DescribeNoise(Task[Noise]):
    """`custom_prompt` replaces the instruction and keeps the form of the answer."""

    custom_prompt: str | None = None
    name: str = "noise"
    result_type: ClassVar[type[Noise]] = Noise
    is_divisible: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        return (Question(in_json(self.custom_prompt or PROMPT, FIELDS), form(FIELDS), n_characters_per_second=15),)

    def read(self, answers: Sequence[str], span: Span) -> Reading[Noise]:
        found = read_json(answers[0], FIELDS)
        noises = tuple(
            Labelled(start=start, end=end, label=item.text("label") or "")
            for start, end, item in found.timed("noises", span, "label")
        )
        result = Noise(noise_level=found.text("noise_level"), summary=found.text("summary"), noises=noises)
        return Reading(result, result.summary or "", complete=found.complete, cut=found.cut)

    def merge(self, parts: Sequence[Part[Noise]]) -> Reading[Noise]:
        """One timeline; the level of most of the recording."""
        result = Noise(
            noise_level=prevailing(weighed(parts, lambda noise: noise.noise_level)),
            summary=sentences(part.reading.result.summary for part in parts),
            noises=timeline(parts, lambda noise: noise.noises, lambda item: item.label, joined_labels),
        )
        return merged(result, result.summary or "", parts)
'''

ENTRY = """    TaskEntry(
        name="noise",
        module="noise",
        class_name="DescribeNoise",
        heading="Noise",
        help="Describe what disturbs a recording.",
        examples=("moss noise call.wav",),
        main_field="summary",
        timeline=Timeline("noises", ("label",), heading="Noises"),
    ),
"""

# What two pieces said, as the envelope that a run makes of it, in every format.
RENDER = """
import json, sys
from moss_cli.output.json_schema import envelope_type
from moss_cli.output.render import render
from moss_cli.schema import Envelope, InputInfo, ModelInfo, Params
from moss_cli.span import Span
from moss_cli.tasks.catalogue import entry
from moss_cli.tasks.reading.task import Part

task = entry("noise").load()()
said = (
    '{"noise_level": "low", "summary": "A fan hums", "noises": [{"start": 1, "end": 10, "label": "fan"}]}',
    '{"noise_level": "low", "summary": "A door slams", "noises": '
    '[{"start": 0, "end": 4, "label": "Fan"}, {"start": 5.5, "end": 6, "label": "door"}]}',
)
spans = (Span(0.0, 10.0), Span(10.0, 20.0))
parts = [Part(span=span, reading=task.read([text], span)) for span, text in zip(spans, said)]
reading = task.merge(parts)
envelope = Envelope(
    moss="0", task=task.name, status="ok",
    input=InputInfo(path="call.wav", duration=20.0, sample_rate=8000, channels=1, sha256="0"),
    model=ModelInfo(name="m", dtype="fp32", device="cpu"),
    params=Params(prompt=task.questions[0].prompt, temperature=0, top_p=1, top_k=0, seed=0, chunk=10),
    result=reading.result, text=reading.text,
)
formats = {fmt: render(envelope, fmt) for fmt in ("txt", "md", "json", "jsonl", "srt", "vtt", "tsv", "csv")}
assert envelope_type("noise").model_validate_json(formats["json"]) == envelope
json.dump(formats, sys.stdout)
"""

# A whole run of its command, with a model that says what it should.
RUN = """
import sys
from scripted_backend import ScriptedBackend, opening
from moss_cli.cli.main import run

said = '{"noise_level": "low", "summary": "A fan hums.", "noises": [{"start": 1, "end": 3, "label": "fan"}]}'
sys.exit(run(sys.argv[1:], open_backend=opening(ScriptedBackend(lambda request, n: said))))
"""

TXT = """\
A fan hums. A door slams.

noise level  low

0:01.0 – 0:14.0  fan
0:15.5 – 0:16.0  door
"""
MD = """\
## Noise

A fan hums. A door slams.

- **Noise level:** low

### Noises

- [0:01.0 – 0:14.0](call.wav#t=1) fan
- [0:15.5 – 0:16.0](call.wav#t=15.5) door
"""
SRT = """\
1
00:00:01,000 --> 00:00:14,000
fan

2
00:00:15,500 --> 00:00:16,000
door

"""
TSV = """\
file	start	end	label	noise_level	summary
call.wav	1.000	14.000	fan	low	A fan hums. A door slams.
call.wav	15.500	16.000	door	low	A fan hums. A door slams.
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package that has the eighth task."""
    folder = tmp_path_factory.mktemp("eighth")
    package = folder / "moss_cli"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    (package / "weights").symlink_to(PACKAGE / "weights")
    (package / "tasks" / "noise.py").write_text(MODULE.lstrip(), encoding="utf-8")
    catalogue = package / "tasks" / "catalogue.py"
    before, end, after = catalogue.read_text(encoding="utf-8").partition("\n)\n\nTASKS = ")
    assert end, "the catalogue does not end as the test thinks"
    catalogue.write_text(before + "\n" + ENTRY.rstrip() + end + after, encoding="utf-8")
    return folder


def python(copy: Path, *arguments: str, **variables: str) -> str:
    """What Python prints with the copy in the place of the package."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "80", **variables}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def moss(copy: Path, *arguments: str, **variables: str) -> str:
    return python(copy, "-m", "moss_cli", *arguments, **variables)


def test_the_copy_is_what_runs(copy: Path) -> None:
    assert python(copy, "-c", "import moss_cli; print(moss_cli.__file__)") == f"{copy}/moss_cli/__init__.py\n"


def test_the_list_of_commands_has_it(copy: Path) -> None:
    assert "\n  noise             Describe what disturbs a recording.\n" in moss(copy, "--help")


def test_its_help_has_its_text_its_options_and_its_example(copy: Path) -> None:
    shown = moss(copy, "noise", "--help")
    assert shown.startswith(
        "Usage: moss noise [OPTIONS] INPUT...\n\n  Describe what disturbs a recording.\n\nArguments:\n"
    )
    assert "\nTask:\n  --prompt TEXT" in shown
    assert shown.endswith("\nExamples:\n  moss noise call.wav\n")


@pytest.mark.parametrize("words", [["no"], ["schema", "no"]])
def test_shells_complete_it(copy: Path, words: list[str]) -> None:
    assert moss(copy, *words, _MOSS_COMPLETE="bash").split() == ["words", "noise"]


def test_its_results_are_written_in_every_format_and_validate_against_its_schema(copy: Path) -> None:
    written = json.loads(python(copy, "-c", RENDER))
    assert written["txt"] == TXT
    assert written["md"].partition("\n\n## ")[2] == MD.removeprefix("## ")
    assert written["srt"] == SRT
    assert written["vtt"].count("-->") == 2
    assert written["tsv"] == TSV
    assert written["csv"] == TSV.replace("\t", ",")
    schema = json.loads(moss(copy, "schema", "noise"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for fmt in ("json", "jsonl"):
        envelope = json.loads(written[fmt])
        jsonschema.validate(envelope, schema)
        assert envelope["result"] == {
            "noise_level": "low",
            "summary": "A fan hums. A door slams.",
            "noises": [{"start": 1.0, "end": 14.0, "label": "fan"}, {"start": 15.5, "end": 16.0, "label": "door"}],
        }
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(envelope | {"result": {"events": []}}, schema)


def test_its_command_runs_over_a_folder_into_files(copy: Path, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.full(16_000 * 5, 0.1, np.float32), 16_000)
    arguments = [
        "noise",
        str(tmp_path),
        "-o",
        str(tmp_path / "out"),
        "-f",
        "srt",
        "-f",
        "json",
        "--model",
        "tiny",
        "-q",
    ]
    python(copy, "-c", RUN, *arguments, PYTHONPATH=os.pathsep.join((str(copy), str(Path(__file__).parent))))
    assert sorted(path.name for path in (tmp_path / "out").glob("*.noise.*")) == [
        "a.noise.json", "a.noise.srt", "b.noise.json", "b.noise.srt",
    ]  # fmt: skip
    assert "00:00:01,000 --> 00:00:03,000\nfan\n" in (tmp_path / "out" / "a.noise.srt").read_text()
    envelope = json.loads((tmp_path / "out" / "b.noise.json").read_text())
    jsonschema.validate(envelope, json.loads(moss(copy, "schema", "noise")))
    assert (envelope["task"], envelope["status"], envelope["text"]) == ("noise", "ok", "A fan hums.")
