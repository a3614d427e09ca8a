"""`moss config show`: what is set, and by what."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from cli_run import Run

from moss_cli.settings import config_folder, config_path

Moss = Callable[..., Run]


def config(text: str) -> None:
    config_path().write_text(text, encoding="utf-8")


def shown(moss: Moss, *arguments: str) -> dict[str, tuple[str, str]]:
    """Of each option, what set it and its value."""
    run = moss("config", "show", *arguments)
    assert (run.code, run.err) == (0, [])
    head, *lines = run.out.splitlines()
    origin, value = head.index("from"), head.index("value")
    return {line[:origin].strip(): (line[origin:value].strip(), line[value:]) for line in lines}


def test_default_then_top_level_then_table_then_variable(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(moss, "scene")["seed"] == ("default", "0")
    config("seed = 1\n\n[scene]\nseed = 2\n")
    assert shown(moss, "music")["seed"] == ("config.toml, line 1", "1")
    assert shown(moss, "scene")["seed"] == ("config.toml, line 4", "2")
    config("scene.seed = 2\nseed = 1\n")
    assert shown(moss, "scene")["seed"] == ("config.toml, line 1", "2")
    monkeypatch.setenv("MOSS_SEED", "3")
    assert shown(moss, "scene")["seed"] == ("MOSS_SEED", "3")
    monkeypatch.setenv("MOSS_SEED", "")
    assert shown(moss, "scene")["seed"] == ("config.toml, line 1", "2")


def test_a_model_comes_from_config_then_the_user_s_models_then_moss(moss: Moss) -> None:
    assert shown(moss)["model"] == ("default", "4b-instruct")
    (config_folder() / "models.toml").write_text('# mine\ndefault = "8b-thinking"\n')
    assert shown(moss)["model"] == ("models.toml, line 2", "8b-thinking")
    config('model = "tiny"')
    assert shown(moss)["model"] == ("config.toml, line 1", "tiny")


def test_what_differs_in_a_command_or_is_its_own_stands_under_its_name(moss: Moss) -> None:
    config("seed = 1\n[scene]\nseed = 2\nvad = true\n[bench]\nkeep = false")
    found = shown(moss)
    assert found["seed"] == ("config.toml, line 1", "1")
    assert found["scene.seed"] == ("config.toml, line 3", "2")
    assert found["scene.vad"] == ("config.toml, line 4", "true")
    assert found["bench.keep"] == ("config.toml, line 6", "false")
    assert found["inspect.force"] == ("default", "false")
    assert found["output"] == ("default", "(stdout)")
    assert "music.seed" not in found and "keep" not in found


def test_what_holds_for_all_commands_is_not_for_the_options_that_no_variable_sets(moss: Moss) -> None:
    config("force = true\ntime_markers = false")
    found = shown(moss, "inspect")
    assert (found["force"], found["time-markers"]) == (("default", "false"), ("default", "true"))
    assert shown(moss, "scene")["force"] == ("config.toml, line 1", "true")


def test_no_line_is_wider_than_80_columns_and_no_value_is_cut(moss: Moss) -> None:
    prompt = "Describe the sound. " * 20
    config(f'prompt = "{prompt}"')
    out = moss("config", "show").out
    assert max(map(len, out.splitlines())) <= 80
    assert " ".join(out.split()).count("Describe the sound.") == 20


def test_json_says_where_each_value_comes_from(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    config('exclude = "old/**"\n[ask]\nseed = 2')
    monkeypatch.setenv("MOSS_TOP_K", "7")
    document = json.loads(moss("config", "show", "-f", "json").out)
    assert document["file"] == str(config_path())
    facts = {(one["command"], one["option"]): one for one in document["options"]}

    def fact(command: str | None, option: str, value: Any, source: str, **more: Any) -> dict[str, Any]:
        empty = {"variable": None, "file": None, "line": None}
        return {"command": command, "option": option, "value": value, "source": source} | empty | more

    assert facts[None, "top-k"] == fact(None, "top-k", 7, "variable", variable="MOSS_TOP_K")
    in_file = {"file": str(config_path())}
    assert facts[None, "exclude"] == fact(None, "exclude", ["old/**"], "config.toml", line=1, **in_file)
    assert facts["ask", "seed"] == fact("ask", "seed", 2, "config.toml", line=3, **in_file)
    assert facts[None, "chunk"] == fact(None, "chunk", None, "default")


def test_a_variable_that_cannot_be_is_named(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSS_TOP_K", "many")
    error = "moss: error: MOSS_TOP_K: it must be a whole number"
    assert moss("config", "show") == Run(2, "", [error, "hint: see `moss transcribe --help`"])


def test_only_a_command_with_options_is_shown(moss: Moss) -> None:
    error = "moss: error: no such command with options: scenes"
    assert moss("config", "show", "scenes") == Run(2, "", [error, "hint: run `moss config show scene`"])
    assert moss("config", "show", "completions").code == 2


def test_an_option_under_both_its_spellings_is_an_error(moss: Moss) -> None:
    config("top-p = 0.5\ntop_p = 0.6")
    error = f"moss: error: {config_path()}, line 2: top-p is set twice"
    assert moss("config", "show") == Run(2, "", [error, "hint: remove one of them"])


def test_the_path_is_printed_whatever_stands_there(moss: Moss) -> None:
    config("broken = [")
    assert moss("config", "path") == Run(0, f"{config_path()}\n", [])


RUN = """
import sys
from moss_cli.cli.main import run
code = run(sys.argv[1:])
print(sorted({"torch", "numpy"} & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("words", [("show",), ("path",), ("set", "model", "tiny"), ("--help",)])
def test_nothing_heavy_is_loaded(words: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-c", RUN, "config", *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "[]")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("config s", ["show", "set"]),
        ("config set mod", ["model"]),
        ("config unset bench.k", ["bench.keep"]),
        ("config show trans", ["transcribe"]),
    ],
)
def test_shells_complete_keys_and_commands(
    moss: Moss, monkeypatch: pytest.MonkeyPatch, words: str, expected: list[str]
) -> None:
    monkeypatch.setenv("_MOSS_COMPLETE", "fish")
    assert [line.partition("\t")[0] for line in moss(*words.split()).out.splitlines()[1:]] == expected
