"""`moss ask --continue`: what a question goes on from, and what is kept for the next one."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_run import Run
from scripted_backend import ScriptedBackend, cut, noise

from moss_cli.settings import state_folder

Moss = Callable[..., Run]
Wav = Callable[..., Path]

PACKAGE = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def answers(backend: ScriptedBackend) -> None:
    """Each question has an answer of its own: its number."""
    backend.say = lambda request, n: json.dumps({"answer": f"Answer {n}.", "evidence": []})


@pytest.fixture
def kept() -> Path:
    return state_folder() / "questions.jsonl"


@pytest.fixture
def ask(moss: Moss) -> Callable[..., Run]:
    return lambda *words: moss("ask", "--model", "tiny", *words)


def turns(backend: ScriptedBackend) -> list[list[tuple[str, str]]]:
    """Of each request."""
    return [[(turn.question, turn.answer) for turn in request.turns] for request in backend.asked]


def test_three_questions_deep_over_two_recordings(moss: Moss, ask: Moss, wav: Wav, backend: ScriptedBackend) -> None:
    wav("a.wav", noise(1.0, seed=1))
    wav("b.wav", noise(1.0, seed=2))
    ask("Who?", "a.wav")
    ask("What?", "b.wav")
    assert ask("-c", "When?", "a.wav").err[0] == "moss: going on about a.wav, from 1 question"
    assert ask("-c", "Where?").err[0] == "moss: going on about a.wav, from 2 questions"
    ask("--continue", "Which?", "b.wav")
    ask("-c", "Why?", "b.wav")
    assert turns(backend) == [
        [],
        [],
        [("Who?", "Answer 1.")],
        [("Who?", "Answer 1."), ("When?", "Answer 3.")],
        [("What?", "Answer 2.")],
        [("What?", "Answer 2."), ("Which?", "Answer 5.")],
    ]
    assert [request.prompt.split("?")[0] for request in backend.asked] == [
        "Who",
        "What",
        "When",
        "Where",
        "Which",
        "Why",
    ]


def test_a_question_without_it_begins_anew(ask: Moss, wav: Wav, backend: ScriptedBackend) -> None:
    wav("a.wav")
    ask("Who?", "a.wav")
    ask("What?", "a.wav")
    ask("-c", "When?")
    assert turns(backend)[-1] == [("What?", "Answer 2.")]


def test_the_turns_stand_in_the_envelope_and_make_a_small_model_s_answer_meaningless(ask: Moss, wav: Wav) -> None:
    wav("a.wav")
    first = json.loads(ask("Who?", "a.wav", "-f", "json").out)
    again = json.loads(ask("-c", "When?", "a.wav", "-f", "json").out)
    assert (first["params"]["turns"], first["warnings"]) == (None, [])
    assert again["params"]["turns"] == [{"question": "Who?", "answer": "Answer 1."}]
    assert [one["code"] for one in again["warnings"]] == ["untrained"]
    assert first["params"] | {"turns": 0, "question": 0, "prompt": 0} == again["params"] | {
        "turns": 0,
        "question": 0,
        "prompt": 0,
    }


def test_a_question_without_a_recording_can_be_gone_on_from(ask: Moss, backend: ScriptedBackend) -> None:
    ask("Who?")
    said = ask("-c", "When?")
    assert said.err[0] == "moss: going on about what was asked without a recording, from 1 question"
    assert turns(backend)[-1] == [("Who?", "Answer 1.")]
    assert backend.asked[-1].clip is None


def test_a_recording_that_has_changed_begins_anew(ask: Moss, wav: Wav, backend: ScriptedBackend) -> None:
    wav("a.wav", noise(1.0, seed=1))
    ask("Who?", "a.wav")
    wav("a.wav", noise(1.0, seed=2))
    said = ask("-c", "When?", "a.wav")
    assert said.err[0] == "moss: warning: a.wav has changed since it was asked about; this question begins anew"
    ask("-c", "Where?")
    assert turns(backend) == [[], [], [("When?", "Answer 2.")]]


def test_a_recording_that_was_moved_is_the_same_one(ask: Moss, wav: Wav, backend: ScriptedBackend) -> None:
    path = wav("a.wav")
    ask("Who?", "a.wav")
    path.rename(path.with_name("b.wav"))
    ask("-c", "When?", "b.wav")
    assert turns(backend)[-1] == [("Who?", "Answer 1.")]
    assert ask("-c", "Where?", "a.wav").err[0] == "moss: error: no such file: a.wav"


def test_one_that_was_not_asked_about_begins_anew(ask: Moss, wav: Wav, backend: ScriptedBackend) -> None:
    wav("a.wav")
    said = ask("-c", "Who?", "a.wav")
    assert (said.code, said.err) == (
        0,
        ["moss: warning: a.wav was not asked about before; this question begins anew"],
    )
    assert turns(backend) == [[]]


def test_a_part_that_was_asked_about_is_heard_again_unless_a_question_names_another(
    ask: Moss, wav: Wav, backend: ScriptedBackend
) -> None:
    wav("a.wav", noise(100.0))
    ask("What is said between 0:40 and 0:50?", "a.wav")
    said = ask("-c", "Who says it?")
    assert said.err[0] == "moss: going on about a.wav, from 00:00:35.000 to 00:00:55.000, from 1 question"
    ask("-c", "And in the last 10 seconds?")
    ask("-c", "And then?")
    ask("-c", "Anything?", "--start", "0", "--end", "3")
    assert [round(len(samples) / 16_000) for samples in backend.heard] == [20, 20, 15, 15, 3]
    assert [len(one) for one in turns(backend)] == [0, 1, 2, 3, 4]


def test_the_model_that_was_chosen_answers_again(moss: Moss, ask: Moss, wav: Wav) -> None:
    wav("a.wav")
    ask("Who?", "a.wav")
    said = moss("ask", "-c", "When?", "-f", "json")
    assert said.err[0] == "moss: going on about a.wav with tiny, from 1 question"
    assert json.loads(said.out)["model"]["name"] == "tiny"


def test_only_single_questions_that_were_answered_are_kept(
    ask: Moss, wav: Wav, backend: ScriptedBackend, kept: Path
) -> None:
    wav("a.wav")
    wav("in/b.wav")
    ask("Who?", "a.wav", "in/b.wav")
    ask("Who?", "in")
    ask("Who?", "gone.wav")
    ask("Who?", "a.wav", "--no-history")
    backend.say = lambda request, n: cut('{"answer": "an')
    ask("Who?", "a.wav")
    assert not kept.exists()


def test_a_variable_keeps_nothing(ask: Moss, wav: Wav, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSS_NO_HISTORY", "1")
    wav("a.wav")
    assert ask("Who?", "a.wav").code == 0
    assert not kept.exists()


def test_without_keeping_a_question_it_still_goes_on(ask: Moss, wav: Wav, backend: ScriptedBackend) -> None:
    wav("a.wav")
    ask("Who?", "a.wav")
    ask("-c", "When?", "--no-history")
    ask("-c", "Where?")
    assert turns(backend)[1:] == [[("Who?", "Answer 1.")]] * 2


def test_only_the_user_can_read_it(ask: Moss, wav: Wav, kept: Path) -> None:
    wav("a.wav")
    before = os.umask(0)
    try:
        ask("Who?", "a.wav")
    finally:
        os.umask(before)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


DAMAGE = (b"\xff\xfe\0", b"[" * 100_000, b"{}", b"[]", b'{"time": 1}', b'{"question": "Who?", "ans')


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_damage_is_a_warning_and_what_is_whole_is_gone_on_from(
    ask: Moss, wav: Wav, backend: ScriptedBackend, kept: Path, damage: bytes
) -> None:
    wav("a.wav")
    ask("Who?", "a.wav")
    kept.write_bytes(damage + b"\n" + kept.read_bytes() + damage)  # the last line has no end
    said = ask("-c", "When?", "a.wav")
    warning = f"moss: warning: 2 lines of {kept} cannot be read and are left out; "
    assert said.err[0] == warning + "`moss ask --clear-history` begins it anew"
    assert said.code == 0
    ask("-c", "Where?")
    assert turns(backend)[1:] == [[("Who?", "Answer 1.")], [("Who?", "Answer 1."), ("When?", "Answer 2.")]]
    assert ask("--clear-history").err == ["moss: 5 questions forgotten"]
    assert ask("--history").err == ["moss: no questions are kept"]


def test_something_else_in_its_place_is_a_warning(ask: Moss, wav: Wav, kept: Path) -> None:
    wav("a.wav")
    os.mkfifo(kept)
    said = ask("-c", "Who?", "a.wav")
    assert said.code == 0
    assert said.err == [
        f"moss: warning: the history of questions cannot be read: {kept} is not a regular file",
        "moss: warning: a.wav was not asked about before; this question begins anew",
        f"moss: warning: the question cannot be kept for --continue: {kept} is not a regular file",
    ]


def test_a_state_folder_that_is_none_is_a_warning(
    ask: Moss, wav: Wav, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav("a.wav")
    (tmp_path / "state").write_bytes(b"")
    monkeypatch.setenv("MOSS_STATE_DIR", str(tmp_path / "state"))
    said = ask("Who?", "a.wav")
    assert (said.code, len(said.err)) == (0, 1)
    assert said.err[0].startswith("moss: warning: the question cannot be kept for --continue: ")


FILE = "hint: give a recording: run `moss ask --model tiny -c 'Who?' talk.mp3`"


def test_what_cannot_be_gone_on_from_is_a_usage_error(ask: Moss, moss: Moss, wav: Wav, tmp_path: Path) -> None:
    path = wav("in/a.wav")
    wav("b.wav")
    assert ask("-c", "Who?") == Run(2, "", ["moss: error: there is no question to go on from", FILE])
    several = ["moss: error: --continue goes on about one recording, and several are given"]
    several += ["hint: ask about each of them with a command of its own"]
    assert ask("-c", "Who?", "in/a.wav", "b.wav") == Run(2, "", several)
    folder = ["moss: error: --continue goes on about one recording, and in is a folder", "hint: give one of its files"]
    assert ask("-c", "Who?", "in") == Run(2, "", folder)
    piped = "moss: error: --continue needs a file: what comes through a pipe cannot be heard again"
    assert moss("ask", "--model", "tiny", "-c", "Who?", "-", stdin=path.read_bytes()) == Run(2, "", [piped])
    assert moss("ask", "--model", "tiny", "Who?", "-", stdin=path.read_bytes()).code == 0
    last = "moss: error: the last question was about what came through a pipe, which cannot be heard again"
    assert ask("-c", "Who?") == Run(2, "", [last, FILE.replace("a recording", "the recording")])
    assert ask("-c", "Who?", "in/a.wav").code == 0  # the same bytes
    missing = ["moss: error: missing argument 'QUESTION'", "hint: see `moss ask --help`"]
    assert ask("-c") == Run(2, "", missing)


def test_the_history_is_listed_by_recording_and_printed_as_json(ask: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("a.wav", noise(1.0, seed=1))
    wav("b.wav", noise(1.0, seed=2))
    ask("Who \x1b[31m[bold]?", "a.wav")
    ask("When?", "b.wav")
    ask("-c", "Where?", "b.wav")
    listed = ask("--history").out.splitlines()
    assert [line for line in listed if not line.startswith("==>")] == [
        "> Who \u241b[31m[bold]?",
        "Answer 1.",
        "",
        "> When?",
        "Answer 2.",
        "> Where?",
        "Answer 3.",
    ]
    assert [line.split(", ", 1)[1] for line in listed if line.startswith("==>")] == [
        f"{tmp_path}/a.wav, tiny <==",
        f"{tmp_path}/b.wav, tiny <==",
    ]
    document = json.loads(ask("--history", "b.wav", "-f", "json").out)
    assert list(document) == ["schema_version", "moss", "questions"]
    assert [(q["question"], q["answer"], q["continues"]) for q in document["questions"]] == [
        ("When?", "Answer 2.", False),
        ("Where?", "Answer 3.", True),
    ]
    assert list(document["questions"][0]) == ["time", "path", "sha256", "model", "question", "answer", "continues"]
    assert [json.loads(line)["question"] for line in ask("--history", "-f", "jsonl", "b.wav").out.splitlines()] == [
        "When?",
        "Where?",
    ]
    assert ask("--history", "-f", "srt").code == 2
    assert ask("--history", "-o", "h.json").code == 2
    assert ask("--history", "--clear-history").code == 2


@pytest.mark.parametrize("option", ["--history", "--clear-history"])
def test_what_nothing_was_asked_about_is_not_passed_over(ask: Moss, wav: Wav, option: str) -> None:
    wav("a.wav", noise(1.0, seed=1))
    wav("b.wav", noise(1.0, seed=2))
    ask("Who?", "a.wav")
    assert ask(option, "b.wav").err == ["moss: no questions are kept about b.wav"]
    missed = ask(option, "aa.wav")
    assert (missed.code, missed.out) == (2, "")
    assert missed.err[0] == "moss: error: no such file, and no questions about one of that name: aa.wav"
    assert missed.err[1] == "hint: see `moss ask --history`"


def test_one_recording_s_questions_can_be_forgotten(ask: Moss, wav: Wav) -> None:
    wav("a.wav", noise(1.0, seed=1))
    wav("b.wav", noise(1.0, seed=2))
    ask("Who?", "a.wav")
    ask("When?", "b.wav")
    assert ask("--clear-history", "a.wav").err == ["moss: 1 question forgotten"]
    assert [q["question"] for q in json.loads(ask("--history", "-f", "json").out)["questions"]] == ["When?"]


def test_an_old_long_conversation_is_gone_on_from_in_part(ask: Moss, wav: Wav, backend: ScriptedBackend) -> None:
    wav("a.wav")
    backend.say = lambda request, n: json.dumps({"answer": "x" * 6000, "evidence": []})
    for question in ("Who?", "When?", "Where?", "Why?"):
        ask("-c", question, "a.wav")
    said = ask("-c", "What?", "a.wav")
    assert said.err[0] == "moss: warning: only the last 3 questions of 4 can be gone on from"
    assert [question for question, _ in turns(backend)[-1]] == ["When?", "Where?", "Why?"]


def test_it_goes_on_in_another_process(tmp_path: Path) -> None:
    """As after a reboot: all that is known lies on the disk."""

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "moss_cli", "ask", *words, "-f", "json"]
        done = subprocess.run(command, cwd=PACKAGE, capture_output=True, check=True, text=True)
        return done.stdout

    first = json.loads(run("What is said?", "samples/weather.wav", "--model", "tiny"))
    again = json.loads(run("-c", "What is said?"))
    assert again["params"]["turns"] == [{"question": "What is said?", "answer": first["text"]}]
    assert again["input"]["sha256"] == first["input"]["sha256"]
