"""The command line as it should have been."""

from __future__ import annotations

import pytest

from moss_cli.cli.command_line import CommandLine, run_hint
from moss_cli.cli.other_tools import translated

OPTIONS = ["-o", "--output", "-f", "--format", "--language", "--dtype", "--speakers", "--force", "--start", "--end"]


def line(text: str) -> CommandLine:
    return CommandLine(tuple(text.split()))


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("t a -o x b", "t a b"),
        ("t a -ox b", "t a b"),
        ("t a --output x b", "t a b"),
        ("t a --output=x b", "t a b"),
        ("t a -o x --output=y b", "t a b"),
        ("t a --output-not x", "t a --output-not x"),
        ("t a -- -o x", "t a -- -o x"),
        ("t a -o", "t a"),
    ],
)
def test_an_option_is_taken_out_with_its_value_however_that_is_written(typed: str, left: str) -> None:
    assert line(typed).without("-o", "--output") == line(left)


def test_words_are_added_in_front_of_the_double_dash() -> None:
    assert line("t a").added("-f", "x") == line("t a -f x")
    assert line("t -- -a").added("-f", "x") == line("t -f x -- -a")


def test_a_word_or_a_value_is_replaced() -> None:
    assert line("t a --model=a b").replaced("a", "c") == line("t c --model=c b")
    assert line("t a b").replaced("a", "c", "d") == line("t c d b")
    assert line("t a b").replaced("a") == line("t b")


def test_a_command_is_shown_as_a_shell_takes_it_and_a_long_one_as_what_to_change() -> None:
    assert run_hint(CommandLine(("t", "my talk.wav"))) == "run `moss t 'my talk.wav'`"
    assert run_hint(CommandLine(("t", "a" * 400)), "use -f x") == "use -f x"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("transcribe a --output_dir=out/ --lang en", "transcribe a -o out/ --language en"),
        ("transcribe a --compute_type float16 --fp16 False", "transcribe a --dtype fp16"),
        ("transcribe -i a -y --diarize", "transcribe a --force --speakers"),
        ("transcribe a -ss 5 -to 9", "transcribe a --start 5 --end 9"),
        ("transcribe a --hf_token x --word_timestamps True", "transcribe a"),
        ("transcribe a --unknown x -- --lang", "transcribe a --unknown x -- --lang"),
        ("transcribe a -osrt", "transcribe a -osrt"),
    ],
)
def test_options_of_other_programs_become_those_that_the_command_has(typed: str, meant: str) -> None:
    assert translated(typed.split(), OPTIONS) == meant.split()
