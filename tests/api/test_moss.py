"""`Moss`, with the embedded model: the same results as the commands, loaded once, nothing passed over in silence."""

from __future__ import annotations

import gc
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moss_cli import AudioError, ModelError, Moss, MossError, MossWarning, OutputError, TaskResult, UsageError
from moss_cli.cli.main import run
from moss_cli.run.job import Step

SAMPLES = Path(__file__).parents[2] / "samples"
MEETING, WEATHER = str(SAMPLES / "meeting.wav"), str(SAMPLES / "weather.wav")

pytestmark = pytest.mark.filterwarnings("ignore::moss_cli.MossWarning")


@pytest.fixture(scope="module")
def moss() -> Iterator[Moss]:
    with Moss("tiny", device="cpu") as opened:
        yield opened


def printed(capfd: pytest.CaptureFixture[str], *line: str) -> str:
    capfd.readouterr()
    assert run([*line, "--model", "tiny", "--device", "cpu"]) in (0, 3)
    return capfd.readouterr().out


def without_usage(text: str) -> dict[str, Any]:
    envelope: dict[str, Any] = json.loads(text)
    usage = envelope.pop("usage")
    return envelope | {"tokens": (usage["prompt_tokens"], usage["generated_tokens"])}


CALLS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "transcribe": (
        MEETING,
        {"timestamps": "none", "start": 1, "end": "0:07"},
        ["--timestamps", "none", "--start", "1"],
    ),
    "describe_speaker": ("voice.wav", {}, []),
    "emotion": ("emotion.wav", {"think": False}, ["--no-think"]),
    "scene": ("scene.wav", {"temperature": 0.7, "seed": 3}, ["--temperature", "0.7", "--seed", "3"]),
    "music": ("music.wav", {"prompt": "What is played?"}, ["--prompt", "What is played?"]),
    "summarize": ("minutes.wav", {"style": "meeting", "chunk": 8}, ["--style", "meeting", "--chunk", "8"]),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_method_gives_what_its_command_prints(moss: Moss, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    file, options, flags = CALLS[name]
    path = str(SAMPLES / file)
    flags = [*flags, "--end", "0:07"] if "end" in options else flags
    out = printed(capfd, name.replace("_", "-"), path, *flags, "-f", "json")
    assert without_usage(getattr(moss, name)(path, **options).json()) == without_usage(out)


@pytest.mark.parametrize("audio", [[str(SAMPLES / "station.wav")], []])
def test_a_question_gives_what_its_command_prints(
    moss: Moss, audio: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    choices = [] if audio else ["--choice", "red", "--choice", "blue"]
    out = printed(capfd, "ask", "What is said?", *audio, *choices, "-f", "json", "--max-new-tokens", "60")
    answer = moss.ask("What is said?", *audio, choices=choices[1::2], max_new_tokens=60)
    assert without_usage(answer.json()) == without_usage(out)


def test_the_segments_of_a_transcript(moss: Moss) -> None:
    found = moss.transcribe(MEETING)
    assert [(one.start, one.end, one.text) for one in found.segments] == [
        (0.62, 1.97, "good morning everyone"),
        (2.44, 4.6, "the meeting starts on monday at nine"),
        (4.85, 7.29, "david needs twenty minutes for the budget"),
    ]
    assert (found.status, found.warnings, found.path, found.error) == ("ok", (), MEETING, None)
    assert str(found).splitlines() == [one.text for one in found.segments]
    assert found.text == " ".join(one.text for one in found.segments)
    assert repr(found) == f"<transcribe of {MEETING}: ok>"


def test_several_inputs_are_an_iterator_and_one_that_fails_leaves_the_others_alone(moss: Moss) -> None:
    found = moss.transcribe(path for path in (MEETING, "gone.wav", Path(WEATHER)))
    assert not isinstance(found, TaskResult)
    first, second, third = found
    assert [one.status for one in (first, second, third)] == ["ok", "error", "ok"]
    assert [one.path for one in (first, second, third)] == [MEETING, "gone.wav", WEATHER]
    assert str(second) == repr(second) == "<transcribe of gone.wav: error, no such file: gone.wav>"
    assert json.loads(second.json())["error"] == {"code": "not_found", "message": "no such file: gone.wav"}
    for use in (lambda: second.text, lambda: second.segments, lambda: second.to_srt(), lambda: second.save("x.srt")):
        with pytest.raises(AudioError, match=r"^no such file: gone\.wav$"):
            use()


def test_several_tasks_in_one_pass_say_what_each_says_alone(moss: Moss) -> None:
    alone = {"transcribe": moss.transcribe(MEETING), "emotion": moss.emotion(MEETING), "ask": moss.ask("Why?", MEETING)}
    together = moss.analyze(MEETING, iter(["emotion", "transcribe"]), question="Why?")
    assert list(together) == ["transcribe", "emotion", "ask"]
    for task, result in together.items():
        assert without_usage(result.json()) == without_usage(alone[task].json())
    assert list(moss.analyze(MEETING)) == ["transcribe", "describe-speaker", "emotion", "scene", "summarize"]


def test_several_tasks_over_several_inputs_come_together_input_by_input(moss: Moss) -> None:
    one = Path(WEATHER).read_bytes()
    given: list[Any] = [one, str(SAMPLES / "gone.wav"), MEETING]
    first, second, third = moss.analyze(given, ["transcribe", "scene"])
    assert [result.path for result in first.values()] == ["-", "-"]
    assert first["transcribe"].text == "the storm will be cold in january"
    assert {result.status for result in second.values()} == {"error"}
    assert [result.path for result in third.values()] == [MEETING, MEETING]
    with pytest.raises(AudioError, match="no such file"):
        moss.analyze(str(SAMPLES / "gone.wav"), ["transcribe", "scene"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tasks": ["emotoin"]}, "no such task: 'emotoin'"),
        ({"tasks": "emotion"}, "tasks is no list of names: 'emotion'"),
        ({"tasks": 5}, "tasks is no list of names: 5"),
        ({"tasks": iter(["emotoin"])}, "no such task: 'emotoin'"),
        ({"tasks": []}, "tasks is empty"),
        ({"prompt": "Say cheese"}, "analyze takes no prompt: an instruction is for one task"),
        ({"tasks": ["ask"]}, "the task ask needs a question"),
        ({"tasks": ["ask"], "question": " "}, "the question is empty"),
    ],
)
def test_tasks_that_cannot_be_meant_are_usage_errors(moss: Moss, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        moss.analyze(MEETING, **given)
    assert raised.value.message == message


def test_no_inputs_are_no_results(moss: Moss) -> None:
    assert list(moss.transcribe([])) == []


def test_one_that_fails_raises_its_error(moss: Moss) -> None:
    with pytest.raises(AudioError, match=r"^no such file: gone\.wav$") as raised:
        moss.scene("gone.wav")
    assert raised.value.code == "not_found"


def test_bytes_and_file_objects_are_inputs_and_leave_no_files(
    moss: Moss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data = Path(WEATHER).read_bytes()
    expected = moss.transcribe(WEATHER)
    with Path(WEATHER).open("rb") as file:
        found = [moss.transcribe(data), *moss.transcribe([io.BytesIO(data), file])]
    for one in found:
        assert one.path == "-"
        assert one.segments == expected.segments
        assert one.envelope.input is not None and expected.envelope.input is not None
        assert one.envelope.input.sha256 == expected.envelope.input.sha256
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (b"", "the audio is empty"),
        (b"no audio", "the audio is not audio that can be read"),
    ],
)
def test_what_is_wrong_with_bytes_is_said_without_the_name_of_a_temporary_file(
    moss: Moss, audio: bytes, message: str
) -> None:
    [failed] = moss.transcribe([audio])
    assert str(failed.error) == message
    assert failed.envelope.error is not None and failed.envelope.error.message == message


def test_an_iterator_that_is_left_leaves_no_files(moss: Moss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    results = moss.transcribe([Path(WEATHER).read_bytes()] * 3)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("audio", [[7], [None], [io.StringIO("text")], [""]])
def test_what_is_no_input_is_a_usage_error(moss: Moss, audio: list[Any]) -> None:
    with pytest.raises(UsageError):
        list(moss.transcribe(audio))


@pytest.mark.parametrize("name", ["transcribe", "scene", "analyze"])
@pytest.mark.parametrize("audio", [None, 3])
def test_nothing_is_no_input_but_for_a_question(moss: Moss, name: str, audio: Any) -> None:
    with pytest.raises(UsageError) as raised:
        getattr(moss, name)(audio)
    assert raised.value.message == f"{type(audio).__name__} is no input"


def test_a_file_called_minus_is_a_file(moss: Moss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_bytes(Path(WEATHER).read_bytes())
    assert moss.transcribe("-").segments == moss.transcribe(WEATHER).segments


def test_a_partial_result_says_so_and_warns(moss: Moss) -> None:
    with pytest.warns(MossWarning) as warned:
        found = moss.summarize(str(SAMPLES / "minutes.wav"), max_new_tokens=5)
    assert found.status == "partial"
    assert [one.code for one in found.warnings] == ["cut"]
    assert [str(one.message) for one in warned] == [f"{found.path}: {found.warnings[0].message}"]
    assert warned[0].filename == __file__


def test_a_name_that_drives_a_terminal_does_so_in_no_warning(moss: Moss, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m.wav"
    path.write_bytes((SAMPLES / "minutes.wav").read_bytes())
    with pytest.warns(MossWarning) as warned:
        found = moss.summarize(path, max_new_tokens=5)
    assert "\x1b" not in str(warned[0].message) + repr(found)


def test_the_demonstration_model_warns_once() -> None:
    moss = Moss("tiny", device="cpu")
    with pytest.warns(MossWarning, match="^tiny is a demonstration model") as warned:
        moss.transcribe(WEATHER)
        moss.transcribe(WEATHER)
    assert len(warned) == 1


def test_the_model_is_loaded_once_when_it_is_first_needed_and_again_after_close() -> None:
    steps: list[Step] = []
    moss = Moss("tiny", device="cpu", on_step=steps.append)
    assert steps == []
    for n_loads in (1, 1, 2):
        if n_loads == 2:
            moss.close()
        result = moss.transcribe(WEATHER)
        assert len([one for one in steps if one.what == "loading"]) == n_loads
        assert result.envelope.usage is not None
    assert {one.what for one in steps} == {"loading", "reading", "listening", "answering"}


def test_the_end_of_a_with_block_frees_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from moss_cli.engine import engine

    models: list[weakref.ref[Any]] = []
    load = engine.load_engine

    def noted(*arguments: Any, **options: Any) -> engine.Engine:
        loaded = load(*arguments, **options)
        models.append(weakref.ref(loaded.model))
        return loaded

    monkeypatch.setattr(engine, "load_engine", noted)
    with Moss("tiny", device="cpu") as moss:
        moss.transcribe(WEATHER)
        gc.collect()
        [model] = models
        assert model() is not None
    assert model() is None


def test_a_model_that_is_not_here_is_an_error_at_once_with_its_hint() -> None:
    with pytest.raises(ModelError) as raised:
        Moss("8b-thinking")
    assert raised.value.code == "model_missing"
    assert raised.value.__notes__ == [f"hint: {raised.value.hint}"]
    with pytest.raises(ModelError):
        Moss(Path("tiny"))  # a folder


def test_a_second_call_within_an_iterator_is_an_error_and_not_a_deadlock(moss: Moss) -> None:
    results = moss.transcribe([WEATHER, MEETING])
    next(results)
    with pytest.raises(UsageError, match="not at its end"):
        moss.scene(WEATHER)
    assert [one.path for one in results] == [MEETING]
    assert moss.transcribe(WEATHER).status == "ok"


def test_threads_wait_for_each_other(moss: Moss) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(moss.transcribe(MEETING).text)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [moss.transcribe(MEETING).text] * 3


@pytest.mark.parametrize("fmt", ["txt", "json", "jsonl", "srt", "vtt", "md", "tsv", "csv"])
def test_a_result_is_written_in_every_format_as_the_command_writes_it(
    moss: Moss, fmt: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = moss.transcribe(WEATHER)
    path = found.save(tmp_path / f"x.{fmt}")
    out = printed(capfd, "transcribe", WEATHER, "-f", fmt)
    if "json" in fmt:
        assert without_usage(path.read_text()) == without_usage(out)
    else:
        assert found.to(fmt) == out
        link = os.path.relpath(WEATHER, path.parent)  # what a document in a file leads to
        assert path.read_text() == (out.replace(f"]({WEATHER}", f"]({link}") if fmt == "md" else out)


def test_a_file_that_exists_is_overwritten_only_when_that_is_said(moss: Moss, tmp_path: Path) -> None:
    found, path = moss.transcribe(WEATHER), tmp_path / "x.srt"
    path.write_text("mine")
    with pytest.raises(UsageError) as raised:
        found.save(path)
    assert (raised.value.code, raised.value.hint, path.read_text()) == ("exists", "save it with overwrite=True", "mine")
    found.save(path, overwrite=True)
    assert path.read_text() == found.to_srt()


def test_what_cannot_be_saved_is_an_error(moss: Moss, tmp_path: Path) -> None:
    found = moss.transcribe(WEATHER, timestamps="none")
    with pytest.raises(UsageError, match="no format has this suffix"):
        found.save(tmp_path / "x.docx")
    with pytest.raises(UsageError, match="srt needs timestamps"):
        found.save(tmp_path / "x.srt")
    with pytest.raises(OutputError):
        found.save(tmp_path / "gone" / "x.txt")
    with pytest.raises(UsageError, match="max_line_count needs max_line_width"):
        found.to_vtt(max_line_count=2)
    assert list(tmp_path.iterdir()) == []


def test_importing_the_package_imports_nothing_heavy_and_its_names_no_torch() -> None:
    program = (
        "import sys, moss_cli; heavy = {'torch', 'numpy', 'pydantic', 'typer'};"
        "assert not heavy & set(sys.modules); assert 'Moss' in dir(moss_cli);"
        "from moss_cli import *; assert issubclass(MossError, Exception);"
        "Moss('tiny'); assert not {'torch', 'typer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_error_is_a_moss_error() -> None:
    import moss_cli

    errors = [getattr(moss_cli, name) for name in moss_cli.__all__ if name.endswith("Error")]
    assert len(errors) == 7
    assert all(issubclass(error, MossError) for error in errors)
    with pytest.raises(AttributeError, match="no attribute 'Mos'"):
        moss_cli.Mos  # noqa: B018
