"""`moss config set` and `unset`: changes that keep the rest of the file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_run import Run
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.cli.config_edit import with_value, without
from moss_cli.settings import config_folder, config_path

Moss = Callable[..., Run]

COMMENTED = """\
# mine
seed = 1 # first

include = [ # what there is
  "*.mp3",
]

# of transcripts
[transcribe]
speakers = true # who
top_p = 0.5
"""


def config(text: str) -> None:
    config_path().write_text(text, encoding="utf-8")


def said(run: Run) -> list[str]:
    assert (run.code, run.out) == (0, "")
    return run.err


def test_set_and_unset_leave_the_rest_as_it_was(moss: Moss) -> None:
    config(COMMENTED)
    assert said(moss("config", "set", "seed", "2")) == [f"moss: seed is set in {config_path()}"]
    moss("config", "set", "transcribe.top-p", "0.25")
    changed = COMMENTED.replace("seed = 1", "seed = 2").replace("0.5", "0.25")
    assert config_path().read_text() == changed
    moss("config", "set", "device", "cuda:1")
    changed = changed.replace("]\n\n# of", ']\ndevice = "cuda:1"\n\n# of', 1)
    assert config_path().read_text() == changed
    moss("config", "unset", "transcribe.speakers")
    moss("config", "unset", "device")
    assert config_path().read_text() == changed.replace('device = "cuda:1"\n', "").replace(
        "speakers = true # who\n", ""
    )
    moss("config", "unset", "transcribe")
    assert "# mine\nseed = 2 # first\n\ninclude = [ # what there is\n" in config_path().read_text()
    assert tomllib.loads(config_path().read_text()) == {"seed": 2, "include": ["*.mp3"]}


def test_the_first_key_stands_before_the_tables_and_what_is_said_of_the_first(moss: Moss) -> None:
    config("# mine\n\n# of ask\n[ask]\nseed = 1\n")
    moss("config", "set", "vad", "false")
    assert config_path().read_text() == "# mine\n\nvad = false\n\n# of ask\n[ask]\nseed = 1\n"


def test_unset_of_what_is_not_set_names_the_nearest(moss: Moss) -> None:
    config(COMMENTED)
    error = f"moss: error: {config_path()} does not set "
    for key, nearest in (("sed", "seed"), ("top-p", "transcribe.top_p"), ("transcribe.speaker", "transcribe.speakers")):
        hint = f"hint: run `moss config unset {nearest}`"
        assert moss("config", "unset", key) == Run(2, "", [error + key, hint])
    assert config_path().read_text() == COMMENTED


def test_a_value_is_kept_as_what_it_is(moss: Moss) -> None:
    words = (
        ("seed", "7"),
        ("chunk", "30"),
        ("vad", "no"),
        ("model", "./a b"),
        ("include", "*.mp3"),
        ("max_duration", "9"),
    )
    for key, value in words:
        moss("config", "set", key, value)
    moss("config", "set", "exclude", '["a/**", "b"]')
    moss("config", "set", "ask.choice", "yes", "no")
    assert tomllib.loads(config_path().read_text()) == {
        "seed": 7,
        "chunk": 30.0,
        "vad": False,
        "model": "./a b",
        "include": "*.mp3",
        "max-duration": "9",
        "exclude": ["a/**", "b"],
        "ask": {"choice": ["yes", "no"]},
    }
    assert moss("schema", "scene").code == 0


def test_a_text_may_have_several_lines_but_must_be_utf_8(moss: Moss) -> None:
    moss("config", "set", "prompt", "Who?\n\tWhen?\x7f")
    assert tomllib.loads(config_path().read_text()) == {"prompt": "Who?\n\tWhen?\x7f"}
    error = "moss: error: prompt: it must be UTF-8 text"
    assert moss("config", "set", "prompt", "a\udcff") == Run(2, "", [error])


def test_line_ends_of_other_systems_stay(moss: Moss) -> None:
    config_path().write_bytes(b"# a\r\nseed = 1\r\nvad = true\r\n\r\n[ask]\r\nseed = 2\r\n")
    moss("config", "set", "seed", "3")
    moss("config", "set", "device", "cpu")
    moss("config", "unset", "ask.seed")
    assert config_path().read_bytes() == (b'# a\r\nseed = 3\r\nvad = true\r\ndevice = "cpu"\r\n\r\n[ask]\r\n')


def test_an_option_may_be_written_as_on_the_command_line(moss: Moss) -> None:
    moss("config", "set", "--top-p", "0.5")
    assert config_path().read_text() == "top-p = 0.5\n"
    moss("config", "unset", "--top_p")
    assert config_path().read_text() == ""


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("sed", "3"), "there is no option sed", "run `moss config set seed 3`"),
        (("keep", "false"), "there is no option keep", "run `moss config set bench.keep false`"),
        (("scene.sede", "3"), "there is no option scene.sede", "run `moss config set scene.seed 3`"),
        (("seed", "x"), "seed: it must be a whole number", "see `moss transcribe --help`"),
        (("seed", "-1"), "seed: it must be at least 0", "run `moss config set seed 0`"),
        (("seed", "1", "2"), "seed: it has one value", "put quotes around a value with blanks"),
        (
            ("dtype", "zzz"),
            "dtype: 'zzz' is not one of 'auto', 'bf16', 'fp16', 'fp32', '4bit'",
            "see `moss transcribe --help`",
        ),
        (("chunk", "inf"), "chunk: it must be a number, and not inf", "see `moss transcribe --help`"),
        (("model", "tinyy"), "model: no model named tinyy", "run `moss config set model tiny`"),
        (
            ("analyze.tasks", "scene,musik"),
            "analyze.tasks: no such task: musik",
            "there are transcribe, describe-speaker, emotion, scene, music, ask, summarize",
        ),
    ],
)
def test_what_cannot_be_is_not_set(moss: Moss, words: tuple[str, ...], error: str, hint: str) -> None:
    run = moss("config", "set", *words)
    assert run == Run(2, "", [f"moss: error: {error}", f"hint: {hint}"])
    assert not config_path().exists()


def test_a_model_that_there_is_none_of_is_said_with_its_place_and_the_nearest_name(
    moss: Moss, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert moss("config", "set", "model", "tinyy").err[1] == "hint: run `moss config set model tiny`"
    config('model = "tinyy"\n')
    error = "moss: error: no model named tinyy"
    assert moss("transcribe", "a.wav").err[0] == f"{error} (set by {config_path()})"
    monkeypatch.setenv("MOSS_MODEL", "tinyy")
    assert moss("transcribe", "a.wav").err[0] == f"{error} (set by MOSS_MODEL)"
    assert moss("transcribe", "a.wav", "-m", "tinyy").err == [error, "hint: run `moss transcribe a.wav -m tiny`"]


def test_the_model_that_is_set_is_the_default_of_the_list(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    moss("config", "set", "model", "8b-instruct")
    assert [one.split()[0] for one in moss("models", "list").out.splitlines() if "default" in one] == ["8b-instruct"]
    monkeypatch.setenv("MOSS_MODEL", "tiny")
    assert "yes" in next(one for one in moss("models", "show", "tiny").out.splitlines() if one.startswith("default"))


def test_a_key_that_is_wrong_does_not_keep_others_from_being_set(moss: Moss) -> None:
    config('modle = "tiny"\n')
    moss("config", "set", "seed", "1")
    assert config_path().read_text() == 'modle = "tiny"\nseed = 1\n'


def test_set_makes_the_folder_and_follows_a_link(moss: Moss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSS_CONFIG_DIR", str(tmp_path / "a" / "b"))
    moss("config", "set", "seed", "1")
    real = tmp_path / "real.toml"
    config_path().rename(real)
    config_path().symlink_to(real)
    moss("config", "set", "seed", "2")
    assert real.read_text() == "seed = 2\n"
    assert config_path().is_symlink()
    assert [path.name for path in config_folder().iterdir()] == ["config.toml"]


def test_a_folder_that_cannot_be_made_is_code_1(moss: Moss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOSS_CONFIG_DIR", str(tmp_path / "file" / "moss"))
    error = f"moss: error: cannot make the folder {tmp_path}/file/moss: Not a directory"
    assert moss("config", "set", "seed", "2") == Run(1, "", [error])


def test_a_variable_that_comes_first_is_a_warning(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSS_SEED", "5")
    warning = "moss: warning: the variable MOSS_SEED is set, and comes first"
    assert moss("config", "set", "seed", "1").err == [f"moss: seed is set in {config_path()}", warning]


def test_a_broken_file_is_named_and_not_changed(moss: Moss) -> None:
    config("broken = [")
    run = moss("config", "set", "seed", "1")
    assert (run.code, run.err[0].partition(" is not")[0]) == (2, f"moss: error: {config_path()}")
    assert config_path().read_text() == "broken = ["


KEYS = st.sampled_from(["seed", "top-p", "max-duration"])
VALUES = st.one_of(st.integers(0, 99), st.booleans(), st.text())
TABLES = st.sampled_from([None, "ask", "describe-speaker"])
HEADS = st.sampled_from(["", "# head\n", "# head\n\n", "include = [\n  '[x]', # y\n]\n", "ask.quiet = true\n"])
TAILS = st.sampled_from(["", "\n# of scene\n[scene]\nseed = 4 # four\n", "[describe_speaker] # d\nvad = true"])


@given(HEADS, TAILS, st.lists(st.tuples(TABLES, KEYS, VALUES), max_size=5))
def test_any_changes_give_what_was_set_and_keep_every_comment(
    head: str, tail: str, changes: list[tuple[str | None, str, Any]]
) -> None:
    text = head + tail
    expected = tomllib.loads(text)
    for table, key, value in changes:
        text = with_value(text, table, key, value)
        name = "describe_speaker" if table == "describe-speaker" and table.replace("-", "_") in expected else table
        (expected if name is None else expected.setdefault(name, {}))[key] = value
        assert tomllib.loads(text) == expected
    for comment in ("# head", "# y", "# of scene", "# four", "# d"):
        assert (comment in text) == (comment in head + tail)
    for table, key, _ in changes:
        left = without(text, table, key)
        text = text if left is None else left
    assert {k: v for k, v in tomllib.loads(text).items() if v != {}} == tomllib.loads(head + tail)
