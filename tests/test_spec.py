"""The tables of the product's contract, copied, beside the program: nothing of them is missing.

What has been promised and is not there yet stands in NOT_YET; a line of it that is there fails, too.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from moss_cli.cli.app import app
from moss_cli.cli.main import run
from moss_cli.output.json_schema import json_schema

ROOT: Any = get_command(app)
SAMPLE = str(Path(__file__).parents[1] / "samples" / "weather.wav")

COMMANDS = """
transcribe describe-speaker emotion scene music ask summarize analyze demo schema doctor bench inspect serve help
models:list models:show models:pull models:path models:verify models:quantize models:rm
batch:status batch:clean config:show config:path config:set config:unset
completions:bash completions:zsh completions:fish completions:install
"""
SEVEN = "transcribe describe-speaker emotion scene music ask summarize"
OPTIONS = """
-m --model --dtype --device -f --format -o --output --prompt --start --end --chunk --temperature --top-p --top-k --seed
--max-new-tokens --think --no-think --thinking-budget --show-thinking --context --channel --track --time-markers
--no-time-markers --vad --no-vad --batch-size --max-duration --force -q --quiet -v --verbose --progress --no-progress
--debug --checksum
"""
OWN_OPTIONS = {
    "transcribe": "--timestamps --speakers --language --max-line-width --max-line-count",
    "ask": "--choice -c --continue",
    "summarize": "--style",
    "analyze": "--tasks",
    "models rm": "--yes",
    "inspect": "--prompt --out --new-tokens --model --dtype --device --no-time-markers",
}
VALUES = {
    "transcribe --dtype": "auto bf16 fp16 fp32 4bit",
    "transcribe --format": "txt json jsonl srt vtt md tsv csv",
    "transcribe --timestamps": "segment word none",
    "summarize --style": "brief bullets meeting chapters",
}
RESULTS = {
    "transcribe": {"": "language segments", "segments": "start end text speaker words", "words": "start end word"},
    "describe-speaker": {
        "": "gender age accent pitch volume speed texture clarity fluency emotion tone personality summary"
    },
    "emotion": {"": "overall evidence segments", "segments": "start end emotion cue"},
    "scene": {"": "setting atmosphere summary events", "events": "start end label"},
    "music": {
        "": "style tempo_bpm key instruments mood summary sections",
        "sections": "start end label",
    },
    "ask": {"": "answer evidence", "evidence": "start end text"},
    "summarize": {"": "summary key_points chapters", "chapters": "start end title summary"},
}
ENVELOPE = {
    "": "schema_version moss task status input model params result text thinking chunks warnings usage error",
    "input": "path path_bytes duration sample_rate channels sha256",
    "model": "name revision dtype device demo",
    "chunks": "start end finish_reason attempts",
    "warnings": "code message start end",
    "usage": "audio_seconds prompt_tokens generated_tokens load_seconds seconds",
    "error": "code message",
}

NOT_YET: set[str] = set()


def command(words: list[str]) -> Any:
    found = ROOT
    for word in words:
        found = getattr(found, "commands", {}).get(word)
    return found


def options(words: list[str]) -> set[str]:
    found = command(words)
    params = [] if found is None else [p for p in found.params if p.param_type_name == "option"]
    return {name for p in params for name in (*p.opts, *p.secondary_opts)}


def marked(names: list[str]) -> list[Any]:
    """As parameters of a test; those that are not there yet are expected to fail."""
    late = pytest.mark.xfail(reason="not there yet", strict=True)
    return [pytest.param(name, marks=late if name in NOT_YET else ()) for name in names]


@pytest.mark.parametrize("name", marked(COMMANDS.split()))
def test_every_command_is_there(name: str) -> None:
    assert command(name.split(":")) is not None


@pytest.mark.parametrize(
    "name",
    marked(
        [
            *(f"{task} {option}" for task in SEVEN.split() for option in OPTIONS.split()),
            *(f"{words} {option}" for words, own in OWN_OPTIONS.items() for option in own.split()),
        ]
    ),
)
def test_every_option_is_there(name: str) -> None:
    *words, option = name.split()
    assert option in options(words)


@pytest.mark.parametrize("name", VALUES)
def test_every_value_of_an_option_can_be_chosen(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    task, option = name.split()
    for value in VALUES[name].split():
        assert run([task, "gone.wav", option, value, "-m", "tiny", "--device", "cpu"]) == 4, capfd.readouterr().err


@pytest.mark.parametrize("task", SEVEN.split())
def test_every_shared_option_has_its_variable(task: str) -> None:
    """Precedence: flag, then MOSS_* variable; named after the option's long name."""
    found = {p.opts[0] if p.opts[0].startswith("--") else p.opts[-1]: p for p in command([task]).params}
    for option in set(OPTIONS.split()) & set(found):
        if option.startswith("--"):
            assert found[option].envvar == "MOSS_" + option[2:].upper().replace("-", "_")


def fields(schema: dict[str, Any], name: str) -> list[str]:
    """The fields of an object of an envelope, or of the items of a list."""
    text = json.dumps(schema["properties"][name])
    kind = next(kind for kind in schema["$defs"] if f'"#/$defs/{kind}"' in text)
    return list(schema["$defs"][kind]["properties"])


@pytest.mark.parametrize("task", SEVEN.split())
def test_the_envelope_and_the_result_have_every_field(task: str) -> None:
    schema = json_schema(task)
    assert list(schema["properties"]) == ENVELOPE[""].split()
    for name, expected in ENVELOPE.items():
        assert not name or set(fields(schema, name)) >= set(expected.split())
    result = schema["$defs"][schema["properties"]["result"]["$ref"].rpartition("/")[2]]
    for name, expected in RESULTS[task].items():
        if not name:
            assert list(result["properties"]) == expected.split()
            continue
        inside = next(s for s in (result, *schema["$defs"].values()) if name in s["properties"])
        assert set(fields(inside | {"$defs": schema["$defs"]}, name)) >= set(expected.split())
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["transcribe", SAMPLE, "-m", "tiny", "--device", "cpu"], 0),
        (["transcribe", SAMPLE, "--no-such-option"], 2),
        (["transcribe", SAMPLE, "-m", "tiny", "--start", "9:00"], 2),
        (["transcribe", SAMPLE, "-m", "tiny", "--device", "cpu", "--max-new-tokens", "4"], 3),
        (["transcribe", "gone.wav", "-m", "tiny"], 4),
        (["transcribe", SAMPLE, "-m", "no-such-model"], 5),
        (["transcribe", SAMPLE], 5),
        (["transcribe", SAMPLE, "-m", "tiny", "--device", "cuda:99"], 6),
        (["transcribe", SAMPLE, "-m", "tiny", "-o", "no/such/folder/a.txt"], 1),
        ([], 0),
        (["models"], 0),
        (["help"], 0),
        (["help", "scene"], 0),
        (["-V"], 0),
    ],
)
def test_exit_codes(line: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "MOSS_MODEL" not in os.environ
    assert run(line) == code


def test_with_no_model_chosen_and_none_here_both_ways_on_are_said(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["transcribe", SAMPLE]) == 5
    hint = capfd.readouterr().err.splitlines()[-1]
    assert "moss models pull 4b-instruct" in hint and "10.5 GB" in hint and "--model tiny" in hint
