"""Options, variables and config.toml: which wins, and what is said of values that cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_run import TINY, Run

from moss_cli.settings import config_folder

Moss = Callable[..., Run]
Wav = Callable[..., Path]

SEE = "hint: see `moss transcribe --help`"
TIMES = "hint: write 90, 1:30, 00:01:30.5 or 1m30s"
FORMATS = "'txt', 'json', 'jsonl', 'srt', 'vtt', 'md', 'tsv', 'csv'"


def right(options: str) -> str:
    return f"hint: run `moss transcribe --model tiny a.wav b.wav {options}`"


def config(text: str) -> None:
    (config_folder() / "config.toml").write_text(text, encoding="utf-8")


@pytest.fixture(autouse=True)
def a(wav: Wav) -> Path:
    return wav("a.wav")


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (["--nope"], ["moss: error: no such option: --nope", SEE]),
        (
            ["-f", "xml"],
            [f"moss: error: invalid value for '--format' / '-f': 'xml' is not one of {FORMATS}", right("-f json")],
        ),
        (["-o"], ["moss: error: option '-o' requires an argument", SEE]),
        (
            ["--temperature", "nan"],
            ["moss: error: invalid value for '--temperature': it must be at most 10", right("--temperature 10")],
        ),
        (
            ["--temperature", "-1"],
            ["moss: error: invalid value for '--temperature': it must be at least 0", right("--temperature 0")],
        ),
        (["--top-p", "2"], ["moss: error: invalid value for '--top-p': it must be at most 1", right("--top-p 1")]),
        (
            ["--max-new-tokens", "0"],
            ["moss: error: invalid value for '--max-new-tokens': it must be at least 1", right("--max-new-tokens 1")],
        ),
        (
            ["--dtype", "int8"],
            [
                "moss: error: invalid value for '--dtype': 'int8' is not one of 'auto', 'bf16', 'fp16', 'fp32', '4bit'",
                right("--dtype 4bit"),
            ],
        ),
        (["--device", "tpu"], ["moss: error: no such device: tpu", "hint: auto, cuda, cuda:N, mps or cpu"]),
        (["--start", "abc"], ["moss: error: --start: 'abc' is not a time", TIMES]),
        (["--start", "-5"], ["moss: error: --start: '-5' is not a time", TIMES]),
        (["--end", "1:90"], ["moss: error: --end: '1:90' is not a time", TIMES]),
        (["--end", "9" * 400], [f"moss: error: --end: '{'9' * 400}' is not a time", TIMES]),
        (["--start", "9" * 5000 + ":00:00"], [f"moss: error: --start: '{'9' * 5000}:00:00' is not a time", TIMES]),
        (["--max-duration", ""], ["moss: error: --max-duration: '' is not a time", TIMES]),
        (["--max-duration", "0"], ["moss: error: --max-duration must be greater than zero"]),
        (["--end", "0"], ["moss: error: --end 0 is not after the start"]),
        (["--start", "2", "--end", "1"], ["moss: error: --end 1 is not after the start"]),
    ],
    ids=lambda value: " ".join(value)[:24] if value[0].startswith("-") else None,
)
def test_an_option_that_cannot_be_is_code_2_once_for_all_inputs(
    moss: Moss, options: list[str], lines: list[str]
) -> None:
    assert moss(*TINY, "a.wav", "b.wav", *options) == Run(2, "", lines)


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (["help", "trancribe"], ["moss: error: no such command: trancribe", "hint: run `moss help transcribe`"]),
        (["help", "x y"], ["moss: error: no such command: x y", "hint: run `moss --help`"]),
        (["nope"], ["moss: error: no such command 'nope'", "hint: see `moss --help`"]),
        (["transcribe"], ["moss: error: missing argument 'INPUT...'", SEE]),
        (
            ["completions", "tcsh"],
            [
                "moss: error: no such command 'tcsh'",
                "hint: see `moss completions --help`",
            ],
        ),
    ],
)
def test_a_command_that_cannot_be_is_one_line_and_a_hint(moss: Moss, argv: list[str], lines: list[str]) -> None:
    assert moss(*argv) == Run(2, "", lines)


def test_a_start_past_the_end_is_code_2_and_an_end_past_it_a_warning(moss: Moss) -> None:
    run = moss(*TINY, "a.wav", "--start", "9")
    assert run == Run(2, "", ["moss: error: the range starts at 9 s, but a.wav is only 0.1 s long"])
    run = moss(*TINY, "a.wav", "--end", "99")
    assert run == Run(0, "hello there\n", ["moss: warning: a.wav is only 0.1 s long; the range was to end at 99 s"])
    assert moss(*TINY, "a.wav", "--end", "99", "--quiet") == Run(0, "hello there\n", [])


def test_quiet_says_nothing_not_even_that_tiny_is_a_demonstration(
    moss: Moss, capfd: pytest.CaptureFixture[str]
) -> None:
    from moss_cli.cli.main import run

    assert run([*TINY, "a.wav", "--quiet"]) == 0
    assert capfd.readouterr().err == ""


def test_a_traceback_is_shown_only_with_debug(moss: Moss) -> None:
    assert "Traceback (most recent call last):" not in moss(*TINY, "a.wav", "--start", "x").err
    run = moss(*TINY, "a.wav", "--start", "x", "--debug")
    assert run.err[0] == "Traceback (most recent call last):"
    assert run.err[-2:] == ["moss: error: --start: 'x' is not a time", TIMES]


def test_flag_beats_variable_beats_config_beats_default(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    def seed(*argv: str) -> int:
        return int(json.loads(moss(*TINY, "a.wav", "-f", "json", *argv).out)["params"]["seed"])

    assert seed() == 0
    config("seed = 1")
    assert seed() == 1
    config("seed = 1\n[transcribe]\nseed = 2")
    assert seed() == 2
    monkeypatch.setenv("MOSS_SEED", "3")
    assert seed() == 3
    assert seed("--seed", "4") == 4
    monkeypatch.setenv("MOSS_SEED", "")  # counts as not set
    assert seed() == 2
    assert seed("--seed", "4") == 4


def test_config_keys_are_the_long_names_with_either_dash(moss: Moss) -> None:
    for key in ("max-new-tokens", "max_new_tokens"):
        config(f'{key} = 5\nformat = "json"')
        assert json.loads(moss(*TINY, "a.wav").out)["params"]["max_new_tokens"] == 5


def test_a_model_can_come_from_a_variable_or_config(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    config('model = "tiny"')
    assert moss("transcribe", "a.wav") == Run(0, "hello there\n", [])
    monkeypatch.setenv("MOSS_MODEL", "nope")
    assert moss("transcribe", "a.wav").code == 5
    monkeypatch.setenv("MOSS_MODEL", "")
    assert moss("transcribe", "a.wav") == Run(0, "hello there\n", [])


def test_several_formats_can_come_from_config(moss: Moss, tmp_path: Path) -> None:
    config('format = ["srt", "txt"]')
    assert moss(*TINY, "a.wav", "-o", "out") == Run(0, "", [])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [".moss", "a.srt", "a.txt"]


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ('temperature = "hot"', 1, "temperature: it must be a number", "see `moss transcribe --help`"),
        ('\nformat = ["srt", "x"]', 2, f"format: 'x' is not one of {FORMATS}", "see `moss transcribe --help`"),
        ('quiet = "perhaps"', 1, "quiet: it must be true or false", "see `moss transcribe --help`"),
        ("top-p = 2", 1, "top-p: it must be at most 1", "run `moss config set top-p 1`"),
        ("model = true", 1, "model: it must be one value", "see `moss transcribe --help`"),
        ("vad = [true]", 1, "vad: it must be true or false", "see `moss transcribe --help`"),
        ("include = [1, [2]]", 1, "include: it must be text, or a list of texts", "see `moss transcribe --help`"),
        ('start = "1:90"', 1, "start: '1:90' is not a time", "write 90, 1:30, 00:01:30.5 or 1m30s"),
        ('device = "tpu"', 1, "device: no such device: tpu", "write auto, cuda, cuda:N, mps or cpu"),
        ('batch_size = "0"', 1, "batch-size: 0 is neither auto nor a positive number", "write auto, or a number"),
        (
            '# of ask\n[ask]\n\ndtype = "int8"',
            4,
            "ask.dtype: 'int8' is not one of 'auto', 'bf16', 'fp16', 'fp32', '4bit'",
            "run `moss config set ask.dtype 4bit`",
        ),
    ],
)
def test_a_wrong_value_in_config_is_an_error_with_its_line_whatever_is_run(
    moss: Moss, text: str, line: int, message: str, hint: str
) -> None:
    config(text)
    lines = [f"moss: error: {config_folder() / 'config.toml'}, line {line}: {message}", f"hint: {hint}"]
    assert moss(*TINY, "a.wav") == Run(2, "", lines)
    assert moss("schema", "scene") == Run(2, "", lines)
    assert moss("config", "show") == Run(2, "", lines)
    assert moss("transcribe", "--help").code == 0
    assert moss("schema", "--", "--help") == Run(2, "", lines)


def test_a_wrong_value_in_a_variable_is_said_to_stand_there(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSS_TOP_K", "many")
    run = moss(*TINY, "a.wav")
    message = "it must be a whole number (set by MOSS_TOP_K)"
    assert run == Run(2, "", [f"moss: error: invalid value for '--top-k': {message}", SEE])


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ('modle = "tiny"', 1, "there is no option modle", "did you mean model? else run `moss config unset modle`"),
        ("seed = 1\ninputs = 2", 2, "there is no option inputs", "run `moss config unset inputs`"),
        (
            "[transcribe]\nspeaker = true",
            2,
            "there is no option transcribe.speaker",
            "did you mean speakers? else run `moss config unset transcribe.speaker`",
        ),
        (
            "[trancribe]\nseed = 1",
            1,
            "there is no command trancribe",
            "did you mean transcribe? else run `moss config unset trancribe`",
        ),
        ("[models]", 1, "there is no command models", "run `moss config unset models`"),
    ],
)
def test_a_key_that_no_option_has_is_an_error_with_the_nearest_and_the_command_that_mends_it(
    moss: Moss, text: str, line: int, message: str, hint: str
) -> None:
    config(text)
    path = config_folder() / "config.toml"
    lines = [f"moss: error: {path}, line {line}: {message}", f"hint: {hint} to remove it"]
    assert moss(*TINY, "a.wav") == Run(2, "", lines)
    assert moss("config", "unset", hint.rpartition(" ")[2].strip("`")).code == 0
    assert moss(*TINY, "a.wav") == Run(0, "hello there\n", [])


def test_a_key_in_quotes_that_no_command_can_name_is_to_be_removed_by_hand(moss: Moss) -> None:
    config('"a.b" = 1')
    where = f"moss: error: {config_folder() / 'config.toml'}, line 1"
    assert moss(*TINY, "a.wav") == Run(2, "", [f"{where}: there is no option a.b", "hint: remove the line"])


def test_an_option_of_one_command_alone_belongs_in_its_table(moss: Moss) -> None:
    config("keep = false")
    where = f"moss: error: {config_folder() / 'config.toml'}, line 1"
    hint = (
        "hint: write it in the table [bench]: run `moss config unset keep` and then `moss config set bench.keep false`"
    )
    assert moss(*TINY, "a.wav") == Run(2, "", [f"{where}: keep is not an option of all commands", hint])
    assert moss("config", "unset", "keep").code == moss("config", "set", "bench.keep", "false").code == 0
    assert moss(*TINY, "a.wav") == Run(0, "hello there\n", [])


@pytest.mark.parametrize("text", ["model = [", "model", "\0"])
def test_a_broken_config_is_named_and_help_works_all_the_same(moss: Moss, text: str) -> None:
    config(text)
    run = moss(*TINY, "a.wav")
    assert (run.code, run.out, len(run.err)) == (2, "", 1)
    assert run.err[0].startswith(f"moss: error: {config_folder() / 'config.toml'} is not valid TOML: ")
    assert moss("--help").code == moss("help", "scene").code == moss("config", "--help").code == 0
    assert moss("--version").code == 0


def test_a_config_that_is_no_file_is_named(moss: Moss) -> None:
    path = config_folder() / "config.toml"
    path.mkdir()
    assert moss(*TINY, "a.wav") == Run(2, "", [f"moss: error: {path} cannot be read: Is a directory"])


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ('path = "x"\nhub = "a/b"', "1: models.m needs one of a path, a hub id and the url of a server", None),
        ("hub = 5", "2: models.m.hub cannot be 5", "it is text"),
        ("path = 5", "2: models.m.path cannot be 5", "it is text"),
        ('hub = "a/b"\nrevision = 5', "3: models.m.revision cannot be 5", "it is text"),
        ('hub = "a/b"\nbytes = "x"', "3: models.m.bytes cannot be 'x'", "it is a number"),
        ('hub = "a/b"\nbytes = true', "3: models.m.bytes cannot be True", "it is a number"),
        ('hub = "a/b"\nmemory = 3', "3: models.m.memory cannot be 3", "it is a table of numbers"),
        (
            'hub = "a/b"\nmemory = { bf16 = "x" }',
            "3: models.m.memory cannot be {'bf16': 'x'}",
            "it is a table of numbers",
        ),
        ('path = "x"\nlanguages = "en"', "3: models.m.languages cannot be 'en'", "it is a list of names"),
        ('path = "x"\nmax_seconds = nan', "3: models.m.max_seconds cannot be nan", "it is a number"),
        ('path = "x"\nmax_seconds = -1', "3: models.m.max_seconds cannot be -1", "it is a number"),
        ('path = "x"\ndemo = "no"', "3: models.m.demo cannot be 'no'", "it is true or false"),
        ('path = "x"\nmax-seconds = 5', "3: there is no key models.m.max-seconds", "did you mean max_seconds?"),
        ('path = "x"\nlanguage = ["en"]', "3: there is no key models.m.language", "did you mean languages?"),
        ('path = "x"\n\n[model.n]\npath = "y"', "4: there is no key model", "did you mean models?"),
        ('path = "x"\n[xyz]', "3: there is no key xyz", "known keys: default, models"),
    ],
)
def test_a_wrong_entry_in_the_user_s_models_is_named_with_its_line(
    moss: Moss, line: str, message: str, hint: str | None
) -> None:
    path = config_folder() / "models.toml"
    path.write_text(f"[models.m]\n{line}\n")
    expected = Run(2, "", [f"moss: error: {path}, line {message}", *([f"hint: {hint}"] if hint else [])])
    assert moss("transcribe", "-m", "m", "a.wav") == expected
    assert moss("models", "list") == expected


def test_a_default_that_is_no_name_is_named(moss: Moss) -> None:
    path = config_folder() / "models.toml"
    path.write_text("# mine\ndefault = 5")
    assert moss("transcribe", "a.wav") == Run(2, "", [f"moss: error: {path}, line 2: default is not a name"])


def test_a_wrong_choice_in_a_variable_is_not_mended_by_the_same_command(
    moss: Moss, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOSS_DTYPE", "int4")
    run = moss(*TINY, "a.wav")
    assert run.code == 2
    assert run.err[0].endswith("(set by MOSS_DTYPE)") and run.err[1:] == [SEE]
