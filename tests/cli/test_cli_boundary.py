"""The boundary: whatever is raised becomes one line and an exit code."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_run import TINY, Run

from moss_cli.cli import main
from moss_cli.errors import DeviceError, MossError

Moss = Callable[..., Run]
Wav = Callable[..., Path]
ROOT = Path(__file__).parents[2]


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(argv: object, console: object) -> int:
        raise error

    monkeypatch.setattr(main, "_run", fail)


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (DeviceError("no room", hint="buy memory"), 6, ["moss: error: no room", "hint: buy memory"]),
        (
            RuntimeError("two\nlines  of\x1b[31m it"),
            1,
            [
                "moss: error: unexpected RuntimeError: two lines  of␛[31m it",
                "hint: this is a bug; run again with --debug for details",
            ],
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            ["moss: error: cannot write to standard output: No space left on device"],
        ),
        (MemoryError(), 6, ["moss: error: out of memory", "hint: try a shorter --chunk"]),
        (
            ImportError("libtorch_cpu.so: failed to map segment from shared object"),
            6,
            ["moss: error: out of memory", "hint: try a shorter --chunk"],
        ),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, []),
    ],
)
def test_whatever_is_raised_is_one_line_and_a_code(
    moss: Moss, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, lines: list[str]
) -> None:
    raising(monkeypatch, error)
    assert moss("x") == Run(code, "", lines)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGINT, Run(130, "", ["moss: error: interrupted"])),
        (signal.SIGTERM, Run(143, "", ["moss: error: terminated"])),
        (signal.SIGHUP, Run(143, "", ["moss: error: terminated"])),
    ],
)
@pytest.mark.parametrize("becomes", [None, AttributeError("numpy has no attribute x"), "swallowed"])
def test_a_signal_is_the_reason_also_where_a_library_makes_another_error_of_it(
    moss: Moss, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, expected: Run, becomes: object
) -> None:
    def interrupted(argv: object, console: object) -> int:
        try:
            signal.raise_signal(number)
        except main.Signalled:
            if becomes is None:
                raise
            if isinstance(becomes, Exception):
                raise becomes from None
        return 0

    monkeypatch.setattr(main, "_run", interrupted)
    assert moss("x") == expected


def test_a_second_signal_on_the_way_out_changes_nothing(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr, said = sys.stderr, []

    class Impatient(io.StringIO):
        """Somebody presses Ctrl-C at every word."""

        def write(self, text: str) -> int:
            signal.raise_signal(signal.SIGINT)
            said.append(text)
            return stderr.write(text)

    def interrupted(argv: object, console: object) -> int:
        signal.raise_signal(signal.SIGTERM)
        return 0

    monkeypatch.setattr(main, "_run", interrupted)
    monkeypatch.setattr(sys, "stderr", Impatient())
    assert moss("x") == Run(143, "", ["moss: error: terminated"])
    assert said == ["moss: error: terminated\n"]


def test_a_signal_that_is_ignored_stays_ignored(moss: Moss) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a job in the background of a script
    assert moss("--version").code == 0
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL


def test_messages_on_stderr_are_in_its_encoding() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    main.Console(stream).error(MossError("é\u202e 日"))
    assert stream.buffer.getvalue() == b"moss: error: \\xe9\\u202e \\u65e5\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["a.wav", "b\n[bold].wav"])
def test_verbose_says_what_is_done_by_what_and_how_long_it_is_in_plain_lines(moss: Moss, wav: Wav, name: str) -> None:
    wav(name)
    shown = name.replace("\n", "␊")
    run = moss(*TINY, name, "--verbose")
    doing = ("reading", "loading the model for", "listening to")
    facts = ["moss: model tiny, fp32 on cpu", f"moss: {shown}: 0:00.1 long"]
    assert run == Run(0, "hello there\n", [*(f"moss: {what} {shown}" for what in doing), *facts])
    assert moss(*TINY, name, "--no-progress") == Run(0, "hello there\n", [])


@pytest.mark.parametrize(("shell", "file"), [("bash", "moss.bash"), ("zsh", "_moss"), ("fish", "moss.fish")])
def test_the_packaged_completions_are_those_that_moss_prints(moss: Moss, shell: str, file: str) -> None:
    run = moss("completions", shell)
    assert (run.code, run.err) == (0, [])
    assert run.out.strip() == (ROOT / "completions" / file).read_text(encoding="utf-8").strip()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tr"], ["transcribe"]),
        (["models", "s"], ["show"]),
        (["transcribe", "--for"], ["--format", "--force"]),
        (["transcribe", "-f", "js"], ["json", "jsonl"]),
        (["transcribe", "--dtype", "f"], ["fp16", "fp32"]),
        (["transcribe", "rec"], []),
        (["ask", "-m", "8b"], ["8b-instruct", "8b-thinking"]),
        (["scene", "--model", "./"], []),
        (["models", "path", "ti"], ["tiny"]),
    ],
)
def test_completion_knows_commands_options_and_values_whatever_the_config_holds(
    moss: Moss, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: list[str]
) -> None:
    (Path(os.environ["MOSS_CONFIG_DIR"]) / "config.toml").write_text("broken = [")
    monkeypatch.setenv("_MOSS_COMPLETE", "fish")
    run = moss(*words)
    found = [line.partition("\t")[0] for line in run.out.splitlines()[1:]]
    assert (run.code, found, run.err) == (0, expected, [])


@pytest.mark.parametrize("columns", ["1", "40", "x", ""])
def test_help_is_whole_at_any_width(moss: Moss, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for argv in (["--help"], ["transcribe", "--help"], ["models", "list", "-h"]):
        run = moss(*argv)
        assert (run.code, run.err) == (0, [])
        assert "--help" in run.out
