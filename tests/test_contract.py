"""What scripts build on, frozen: JSON Schemas, keys, exit codes, names and options.

The schemas and options stand in tests/fixtures/contract/, as printed. After a change that is meant:

    python tests/test_contract.py

writes them anew. Read the diff before it is committed.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import typer

from moss_cli import errors
from moss_cli.cli.app import app
from moss_cli.cli.main import CLOSED_STDOUT, run
from moss_cli.errors import ExitCode, MossError
from moss_cli.folders.runs import ActiveRun
from moss_cli.folders.status import FolderStatus, InputStatus
from moss_cli.output.formats import COMBINED, FORMATS, has_times
from moss_cli.output.json_schema import json_schema
from moss_cli.schema import SCHEMA_VERSION
from moss_cli.tasks.catalogue import TASKS

FROZEN = Path(__file__).parent / "fixtures" / "contract"
OPTIONS = FROZEN / "options.json"
SAMPLE = str(Path(__file__).parents[1] / "samples" / "weather.wav")

CHANGED = f"""Scripts build on this. Where something is gone, or means something else than before, SCHEMA_VERSION in
moss_cli/schema.py must change (it is {SCHEMA_VERSION!r}). Where something is new, or only a description is another, it
stays. CHANGELOG.md tells users either way. Then `python tests/test_contract.py` writes tests/fixtures/contract/ anew.
"""

COMMANDS = (*TASKS, COMBINED)
ALWAYS = ["schema_version", "moss", "task", "status", "input", "model", "params"]
ANSWERED = [*ALWAYS, "result", "text", "thinking", "chunks", "warnings", "usage"]
FAILED = [*ALWAYS, "text", "thinking", "chunks", "warnings", "usage", "error"]
KEYS = {
    "input": "path duration sample_rate channels sha256",
    "model": "name revision dtype device demo",
    "params": "prompt temperature top_p top_k seed max_new_tokens chunk start end time_markers timestamps speakers"
    " language vad think thinking_budget question choices style context turns channel track",
    "result": "language segments",
    "chunks": "start end finish_reason attempts",
    "warnings": "code message start end",
    "usage": "audio_seconds prompt_tokens generated_tokens load_seconds seconds",
    "error": "code message",
}
EXIT_CODES = {
    "OK": 0,
    "FAILURE": 1,
    "USAGE": 2,
    "INCOMPLETE": 3,
    "NO_AUDIO": 4,
    "MODEL": 5,
    "DEVICE": 6,
    "SCHEMA": 7,
    "INTERRUPTED": 130,
    "TERMINATED": 143,
}
EXIT_CODES_OF_ERRORS = {"failure": 1, "usage": 2, "output": 1, "audio": 4, "model": 5, "device": 6, "schema": 7}


def changes(old: Any, new: Any, at: str = "") -> Iterator[str]:
    """What became of each part of a JSON document, a line each."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            path = f"{at}.{key}" if at else key
            if key not in new:
                yield f"gone: {path}"
            elif key not in old:
                yield f"new: {path}"
            else:
                yield from changes(old[key], new[key], path)
    elif old != new:
        yield f"changed: {at}: {json.dumps(old)} is now {json.dumps(new)}"


def assert_frozen(name: str, now: Any) -> None:
    path = FROZEN / name
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = list(changes(old, now))
    assert not found, "\n".join([CHANGED, f"{name}:", *found])


def options() -> dict[str, dict[str, Any]]:
    """Every option and argument of the seven commands and of analyze: its names, default, variable and choices."""
    callbacks = {info.name: info.callback for info in app.registered_commands}
    found = {}
    for task in COMMANDS:
        callback = callbacks[task]
        assert callback is not None
        hints = get_type_hints(callback)
        for parameter in typer.main.get_command(app).commands[task].params:  # type: ignore[attr-defined]
            if parameter.param_type_name == "option":
                names = "/".join(filter(None, (", ".join(parameter.opts), ", ".join(parameter.secondary_opts))))
                facts = {"default": parameter.default, "variable": parameter.envvar, "repeatable": parameter.multiple}
            else:
                names = parameter.metavar
                facts = {"required": parameter.required, "repeatable": parameter.nargs == -1}
            facts["choices"] = choices(hints[parameter.name])
            found[f"{task} {names}"] = {key: value for key, value in facts.items() if value or key == "default"}
    return found


def choices(hint: Any) -> list[str]:
    """The values that a type of an option names, if it does."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if inspect.isclass(hint) and issubclass(hint, Enum):
        return [member.value for member in hint]
    return [value for part in get_args(hint) for value in choices(part)]


@pytest.mark.parametrize("task", COMMANDS)
def test_the_schema_of_a_task_is_the_frozen_one(task: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", task]) == 0
    assert_frozen(f"{task}.json", json.loads(capfd.readouterr().out))


def test_nothing_else_is_frozen() -> None:
    schemas = [f"{task}.json" for task in COMMANDS]
    assert sorted(path.name for path in FROZEN.iterdir()) == sorted([*schemas, OPTIONS.name])


def test_the_options_of_the_commands_are_the_frozen_ones() -> None:
    assert_frozen(OPTIONS.name, options())


@pytest.fixture
def envelope(capfd: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """What a real run prints."""

    def envelope_of(*argv: str, code: int) -> dict[str, Any]:
        assert run(["transcribe", *argv, "--model", "tiny", "--device", "cpu", "-f", "json"]) == code
        document: dict[str, Any] = json.loads(capfd.readouterr().out)
        return document

    return envelope_of


def assert_keys(envelope: dict[str, Any], expected: list[str]) -> None:
    """Keys of the envelope and of what is in it. An empty list has no keys to compare."""
    assert list(envelope) == expected, CHANGED
    for name, keys in KEYS.items():
        values = envelope.get(name) or []
        for value in values if isinstance(values, list) else [values]:
            assert list(value) == keys.split(), f"{CHANGED}\n{name}"


def test_the_keys_of_a_whole_result(envelope: Callable[..., dict[str, Any]]) -> None:
    whole = envelope(SAMPLE, code=ExitCode.OK)
    assert whole["status"] == "ok"
    assert_keys(whole, ANSWERED)
    assert [list(segment) for segment in whole["result"]["segments"]] == [["start", "end", "text"]], CHANGED


def test_the_keys_of_a_cut_result(envelope: Callable[..., dict[str, Any]]) -> None:
    cut = envelope(SAMPLE, "--max-new-tokens", "4", code=ExitCode.INCOMPLETE)
    assert cut["status"] == "partial"
    assert cut["warnings"]
    assert_keys(cut, ANSWERED)


def test_the_keys_of_a_failed_result(envelope: Callable[..., dict[str, Any]]) -> None:
    failed = envelope("gone.wav", code=ExitCode.NO_AUDIO)
    assert failed["status"] == "error"
    assert_keys(failed, FAILED)


def test_the_keys_of_a_folder_s_status() -> None:
    run_marker, one = ActiveRun(1, "host", "ask", "2026-01-01T00:00:00Z"), InputStatus(Path("a.wav"), "done")
    document = FolderStatus(Path("out"), (one,), (run_marker,)).document()
    assert list(document) == ["schema_version", "moss", "folder", "runs", "counts", "inputs"], CHANGED
    assert list(document["runs"][0]) == ["pid", "host", "task", "started"], CHANGED
    assert list(document["counts"]) == ["done", "partial", "unfinished", "failed", "changed", "not begun"], CHANGED
    assert list(document["inputs"][0]) == ["path", "task", "status", "outputs", "share", "message"], CHANGED


def test_exit_codes() -> None:
    assert {code.name: code.value for code in ExitCode} == EXIT_CODES, CHANGED
    assert CLOSED_STDOUT == 141, CHANGED


def test_the_exit_code_of_each_kind_of_error() -> None:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, MossError)]
    assert {kind.default_code: kind.exit_code.value for kind in kinds} == EXIT_CODES_OF_ERRORS, CHANGED


def test_the_names_of_formats_and_tasks() -> None:
    assert FORMATS == ("txt", "json", "jsonl", "srt", "vtt", "md", "tsv", "csv"), CHANGED
    assert TASKS == ("transcribe", "describe-speaker", "emotion", "scene", "music", "ask", "summarize"), CHANGED
    assert [task for task in TASKS if not has_times(task, None)] == ["describe-speaker"], CHANGED


def test_what_changed_is_named() -> None:
    old = {"a": {"b": 1, "c": [1]}, "d": 0}
    new = {"a": {"c": [1, 2], "e": 2}, "d": 0}
    assert list(changes(old, new)) == ["gone: a.b", "changed: a.c: [1] is now [1, 2]", "new: a.e"]
    assert list(changes(old, old)) == []


def write() -> None:
    """Freeze what there is now."""
    FROZEN.mkdir(parents=True, exist_ok=True)
    for task in COMMANDS:
        (FROZEN / f"{task}.json").write_text(json.dumps(json_schema(task), indent=2) + "\n", encoding="utf-8")
    # A line each, so that a diff shows whole options.
    lines = [f"  {json.dumps(name)}: {json.dumps(facts)}" for name, facts in options().items()]
    OPTIONS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write()
