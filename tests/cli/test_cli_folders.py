"""Folders and lists of inputs: what is chosen of them, and trees that were made to be trouble."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from cli_run import TINY, Run
from hypothesis import given
from hypothesis import strategies as st
from scripted_backend import ScriptedBackend, all_is_read

from moss_cli.cli.inputs import collect, skip_by
from moss_cli.output.formats import FORMATS

Moss = Callable[..., Run]
Wav = Callable[..., Path]

TREE = ("a.wav", "B.MP3", "calls/a.wav", "calls/old/a.wav", "calls/old/b.flac", "old/c.wav", "x[1].wav", "café.wav")


def outputs(folder: Path) -> list[str]:
    """What is in an output folder, relative to it."""
    files = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(str(path.relative_to(folder)) for path in files if ".moss" not in path.parts)


@pytest.mark.parametrize(
    ("include", "exclude", "chosen"),
    [
        ([], [], TREE),
        (["*.wav"], [], [name for name in TREE if name.endswith(".wav")]),
        (["*.wav", "*.flac"], ["old"], ["a.wav", "calls/a.wav", "x[1].wav", "café.wav"]),
        (["calls"], [], ["calls/a.wav", "calls/old/a.wav", "calls/old/b.flac"]),
        (["calls/*"], [], ["calls/a.wav", "calls/old/a.wav", "calls/old/b.flac"]),
        (["calls/*.wav"], [], ["calls/a.wav"]),
        (["calls/**/*.wav"], [], ["calls/a.wav", "calls/old/a.wav"]),
        (["**/old/**"], [], ["calls/old/a.wav", "calls/old/b.flac", "old/c.wav"]),
        (["/old/"], [], ["old/c.wav"]),
        (["./a.wav"], [], ["a.wav"]),
        ([], ["calls/"], ["a.wav", "B.MP3", "old/c.wav", "x[1].wav", "café.wav"]),
        (["a.wav"], ["/calls/old"], ["a.wav", "calls/a.wav"]),
        (["?.wav"], [], ["a.wav", "calls/a.wav", "calls/old/a.wav", "old/c.wav"]),
        (["[!a].*"], [], ["B.MP3", "calls/old/b.flac", "old/c.wav"]),
        ([r"x\[1\].wav"], [], ["x[1].wav"]),
        (["*.wav", "!a.wav"], ["x*"], ["old/c.wav", "café.wav"]),
        ([], ["*.wav", "!calls/**"], ["B.MP3", "calls/a.wav", "calls/old/a.wav", "calls/old/b.flac"]),
        ([], ["/*", "!/calls"], ["calls/a.wav", "calls/old/a.wav", "calls/old/b.flac"]),
        (["cafe\N{COMBINING ACUTE ACCENT}.wav"], [], ["café.wav"]),
    ],
)
def test_include_and_exclude_choose_by_name_by_path_and_by_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, include: list[str], exclude: list[str], chosen: Sequence[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in TREE:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    found = collect(["in"], include=include, exclude=exclude).inputs
    assert [str(one.path) for one in found] == sorted(f"in/{name}" for name in chosen)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--include", "*.ogg"], "--include and --exclude select no audio files in the folder in"),
        (["--exclude", "*"], "--include and --exclude select no audio files in the folder in"),
        (["--include", "[z-a]"], "--include '[z-a]' is not a valid pattern: bad character range z-a"),
        (["--exclude", "/"], "--exclude '/' matches nothing"),
        (["--exclude", ""], "--exclude '' matches nothing"),
        (["--include", " "], "--include ' ' matches nothing"),
        (["--include", "#1.wav"], "--include '#1.wav' matches nothing"),
        (["--exclude", "!"], "--exclude '!' is not a valid pattern"),
        (["--exclude", "a\\"], "--exclude 'a\\\\' is not a valid pattern"),
    ],
)
def test_a_choice_that_leaves_nothing_or_cannot_be_meant_is_code_2(
    moss: Moss, wav: Wav, options: list[str], message: str
) -> None:
    wav("in/a.wav")
    run = moss(*TINY, "in", *options)
    assert (run.code, run.out, run.err[0]) == (2, "", f"moss: error: {message}")


def test_a_file_that_is_named_is_taken_whatever_is_excluded(moss: Moss, wav: Wav) -> None:
    wav("in/a.wav")
    wav("b.wav")
    assert moss(*TINY, "in", "b.wav", "--exclude", "b.wav").out.count("==>") == 2


def test_a_tree_is_mirrored_and_names_that_collide_are_told_apart(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    for name in ("a.wav", "deep/er/a.wav", "deep/a.flac", "deep/a.wav"):
        wav(f"in/{name}", format="FLAC" if name.endswith("flac") else "WAV")
    assert moss(*TINY, "in", "-o", "out", "-f", "srt").code == 0
    assert outputs(tmp_path / "out") == ["a.srt", "deep/a.flac.srt", "deep/a.wav.srt", "deep/er/a.srt"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"a.wav\nb c.wav\n", ["a.wav", "b c.wav"]),
        (b"a.wav\n\n  \nb c.wav", ["a.wav", "b c.wav"]),
        (b"a.wav\r\nb c.wav\r\n", ["a.wav", "b c.wav"]),
        (b"\xef\xbb\xbfa.wav\n", ["a.wav"]),
        (b" a.wav \n", [" a.wav "]),
        (b"#a.wav\n", ["#a.wav"]),
        (b"n\xff.wav\n", ["n\\xff.wav"]),
        (b"-\n", ["-"]),
        (b"a\nb.wav\0c\r\n.wav\0", ["a\nb.wav", "c\r\n.wav"]),
        (b"a\n\0\0b.wav", ["a\n", "b.wav"]),
    ],
)
def test_a_list_has_a_name_on_each_line_or_between_nul_bytes(
    moss: Moss, wav: Wav, tmp_path: Path, content: bytes, names: list[str]
) -> None:
    (tmp_path / "list").write_bytes(content)
    listed = [json.loads(line) for line in moss(*TINY, "--files-from", "list", "-f", "jsonl").out.splitlines()]
    assert [envelope["status"] for envelope in listed] == ["error"] * len(names)
    assert [envelope["error"]["code"] for envelope in listed] == ["not_found"] * len(names)
    run = moss(*TINY, "--files-from", "-", "-f", "jsonl", stdin=content)
    assert [json.loads(line)["input"]["path"].removeprefix(f"{tmp_path}/") for line in run.out.splitlines()] == names


def test_a_list_can_name_folders_and_comes_after_what_is_named_itself(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    for name in ("in/b.wav", "in/c.ogg", "a.wav", "z.wav"):
        wav(name)
    (tmp_path / "list").write_text("in/\na.wav\n")
    run = moss(*TINY, "z.wav", "--files-from", "list", "--include", "*.wav")
    assert run.out == "\n".join(f"==> {name} <==\nhello there\n" for name in ("z.wav", "in/b.wav", "a.wav"))


def test_a_list_of_one_is_several_inputs_as_a_folder_is(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("a.wav")
    (tmp_path / "list").write_text("a.wav\n")
    assert isinstance(json.loads(moss(*TINY, "--files-from", "list", "-f", "json").out), list)
    assert moss(*TINY, "--files-from", "list", "-o", "out").code == 0
    assert outputs(tmp_path / "out") == ["a.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--files-from", "gone"], "the list gone cannot be read: no such file or directory"),
        (["--files-from", "empty"], "the list empty is empty"),
        (["--files-from", "-"], "the list on standard input is empty"),
        (["--files-from", "-", "-"], "standard input (-) can only be read once"),
        ([], "missing argument 'INPUT...'"),
    ],
)
def test_a_list_that_gives_nothing_is_code_2(moss: Moss, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "empty").write_bytes(b"\n \n")
    run = moss(*TINY, *arguments)
    assert (run.code, run.out, run.err[0]) == (2, "", f"moss: error: {message}")


def test_ask_takes_a_list_too(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("a.wav")
    (tmp_path / "list").write_text("a.wav\n")
    run = moss("ask", "What is said?", "--model", "tiny", "--files-from", "list", "-f", "jsonl")
    assert [json.loads(line)["input"]["path"] for line in run.out.splitlines()] == ["a.wav"]


HOSTILE = ["a  b.wav", "line\nfeed.wav", os.fsdecode(b"n\xff.wav"), "x" * 251 + ".wav", "%s{0}[red].wav", "-f.wav"]


def test_a_hostile_tree_is_searched_whole_and_mirrored(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    """Strange names, links in circles and to nowhere, hidden files, folders called like audio."""
    deep = "in/" + "d/" * 60
    wanted = [*(f"in/{name}" for name in HOSTILE), f"{deep}deep.wav"]
    for name in (*wanted, "in/.hidden.wav", "in/.trash/a.wav", "elsewhere/linked.wav"):
        wav(name)
    (tmp_path / "in/folder.wav").mkdir()
    (tmp_path / "in/d/loop").symlink_to("../..")
    (tmp_path / "in/self").symlink_to("self")
    (tmp_path / "in/there").symlink_to("../elsewhere")
    (tmp_path / "in/gone.wav").symlink_to("nowhere.wav")
    run = moss(*TINY, "in", "-o", "out", "--report", "report.json")
    assert run.code == 3
    assert run.err == ["moss: warning: in/gone.wav cannot be read: a broken link"]
    taken = [*(name.removeprefix("in/") for name in wanted), "there/linked.wav"]
    assert outputs(tmp_path / "out") == sorted(name.removesuffix(".wav") + ".txt" for name in taken)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["counts"] == {"done": 8, "skipped": 0, "partial": 0, "failed": 1, "interrupted": 0}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "in", "out", "report.json"]


def test_a_folder_that_may_not_be_listed_is_said_and_the_rest_is_done(
    moss: Moss, wav: Wav, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("in/a.wav", "in/locked/b.wav"):
        wav(name)
    scandir = os.scandir

    def locked(path: Any) -> Any:
        if str(path).endswith("locked"):  # also where root runs the tests, whom nothing is locked to
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    run = moss(*TINY, "in", "-o", "out")
    assert (run.code, run.err) == (3, ["moss: warning: the folder in/locked cannot be read: permission denied"])
    assert run.summary[0] == "2 inputs: 1 done, 1 failed"
    assert outputs(tmp_path / "out") == ["a.txt"]
    run = moss(*TINY, "in/locked", "-o", "out")
    assert run == Run(4, "", ["moss: error: the folder in/locked cannot be read: permission denied"])


def test_files_that_vanish_and_change_during_the_run_fail_alone(
    moss: Moss, wav: Wav, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: ScriptedBackend
) -> None:
    """While the first one is open, and not yet read, the model is loaded: then it grows, and the second one goes."""
    monkeypatch.setattr("moss_cli.run.prefetch.AHEAD_S", 10.0)
    paths = [wav(f"in/{name}", 40 * 16_000) for name in ("a.wav", "b.wav", "c.wav")]

    def load() -> None:
        with paths[0].open("ab") as file:
            file.write(bytes(2000))
        paths[1].unlink()

    backend.at_open = load
    run = moss(*TINY, "in", "-o", "out")
    assert run.code == 3
    errors = ["in/a.wav changed while it was being read", "no such file: in/b.wav"]
    assert run.err == [f"moss: error: {error}" for error in errors]
    assert run.summary[0] == "3 inputs: 1 done, 2 failed"
    assert outputs(tmp_path / "out") == ["c.txt"]


def test_outputs_beside_the_inputs_are_no_inputs_of_the_next_run(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    for name in ("in/a.wav", "in/sub/b.wav"):
        wav(name)
    argv = [*TINY, "in", "-o", "in"]
    for fmt in FORMATS:
        argv += ["-f", fmt]
    for what in ("2 done", "2 already done"):
        run = moss(*argv)
        assert (run.code, run.err, run.summary[0]) == (0, [], f"2 inputs: {what}")
        assert not [line for line in run.summary if line.startswith("passed over")]
    suffixes = sorted([*FORMATS, "wav"])
    assert outputs(tmp_path / "in") == [f"{stem}.{suffix}" for stem in ("a", "sub/b") for suffix in suffixes]


@pytest.mark.parametrize("output", ["out/", "out/a.txt", "there/"])
@pytest.mark.parametrize("force", [(), ("--force",)])
def test_an_input_inside_the_output_folder_is_never_overwritten(
    moss: Moss, wav: Wav, tmp_path: Path, output: str, force: Sequence[str]
) -> None:
    audio = wav("out/a.txt").read_bytes()  # audio, whatever it is called
    (tmp_path / "there").symlink_to("out")
    run = moss(*TINY, "out/a.txt", "-o", output, *force)
    result = "there/a.txt" if output == "there/" else "out/a.txt"
    assert run == Run(2, "", [f"moss: error: {result} is the input itself", "hint: choose another output"])
    assert (tmp_path / "out/a.txt").read_bytes() == audio


def test_nothing_is_written_through_a_link_that_leads_out_of_the_output_folder(
    moss: Moss, wav: Wav, tmp_path: Path
) -> None:
    for name in ("in/a.wav", "in/sub/b.wav", "in/z.wav"):
        wav(name)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sub").symlink_to("../elsewhere")
    wav("in/sub/deeper/c.wav")
    run = moss(*TINY, "in", "-o", "out")
    assert run.code == 3
    assert run.summary[0] == "4 inputs: 2 done, 2 failed"
    assert run.err[0] == (
        "moss: error: cannot write out/sub/b.txt: a symbolic link leads out of the folder, "
        f"to {tmp_path}/elsewhere/b.txt"
    )
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "out/a.txt").read_text() == (tmp_path / "out/z.txt").read_text() == "hello there\n"


def test_an_output_not_of_moss_is_kept_and_the_others_are_written(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    for name in "abcd":
        wav(f"in/{name}.wav")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/b.txt").write_text("mine")
    run = moss(*TINY, "in", "-o", "out")
    assert run == Run(0, "", [])
    assert run.summary[:2] == ["4 inputs: 3 done, 1 kept", "not written by moss, kept: out/b.txt"]
    texts = {path.stem: path.read_text() for path in (tmp_path / "out").glob("*.txt")}
    assert texts == {"a": "hello there\n", "b": "mine", "c": "hello there\n", "d": "hello there\n"}


def test_chunks_of_several_files_are_answered_together_and_results_stay_in_order(
    moss: Moss, wav: Wav, backend: ScriptedBackend
) -> None:
    names = [wav(f"in/{k}.wav").name for k in range(5)]
    backend.pace, backend.at_step = 4, all_is_read
    run = moss(*TINY, "in", "--batch-size", "3")
    assert backend.most_together == 3
    assert run.out == "\n".join(f"==> in/{name} <==\nhello there\n" for name in names)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_stars_within_a_name_match_as_a_shell_has_them(pattern: str, name: str) -> None:
    if pattern.startswith("**") or not pattern or not name:  # `**` alone spans folders
        return
    assert skip_by([], [pattern])(name, False) is fnmatchcase(name, pattern)


def test_files_that_are_passed_over_by_their_names_are_counted(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("in/a.wav")
    for name in ("b.xyz", "c.XYZ", "deep/d", "e.jpg", ".hidden.xyz", "notes.txt"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    run = moss(*TINY, "in", "--report", "r.json")
    assert (run.code, run.err) == (0, [])
    line = "passed over 4 files by name (2 .xyz, 1 without a suffix, 1 .jpg); --include '*.SUFFIX' takes them"
    assert run.summary == [line]
    passed_over = json.loads((tmp_path / "r.json").read_text())["passed_over"]
    assert passed_over == {".xyz": 2, "": 1, ".jpg": 1, ".txt": 1}
    assert moss(*TINY, "in", "--exclude", "*.[xX]*", "--exclude", "deep", "--exclude", "*.jpg").summary == []


def test_include_takes_what_it_names_whatever_the_suffix(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("in/memo.xyz")
    wav("in/calls/b.wav")
    wav("in/calls/talk.dat")
    (tmp_path / "in/calls/notes.txt").write_text("no audio")
    for pattern, found in {
        "*.xyz": ["memo.xyz"],
        "memo.*": ["memo.xyz"],
        "*.dat": ["calls/talk.dat"],
        "calls/": ["calls/b.wav"],
        "calls/**": ["calls/b.wav"],
        "./calls/*.dat": ["calls/talk.dat"],
    }.items():
        run = moss(*TINY, "in", "--include", pattern)
        assert (run.code, run.err) == (0, [])
        assert [line for line in run.out.splitlines() if line.startswith("==>")] == [f"==> in/{n} <==" for n in found]


def test_a_corrected_file_is_kept_beside_others_that_are_made_and_a_later_run_has_nothing_to_do(
    moss: Moss, wav: Wav, tmp_path: Path, backend: ScriptedBackend
) -> None:
    wav("in/a.wav")
    argv = [*TINY, "in/a.wav", "-o", "out/", "-f", "srt"]
    moss(*argv)
    (tmp_path / "out/a.srt").write_text("mine")
    kept = ["changed by you, kept: out/a.srt"]
    assert moss(*argv) == Run(0, "", [], kept)
    run = moss(*argv, "-f", "json")
    assert (run.code, run.err, run.summary) == (0, [], kept)
    assert outputs(tmp_path / "out") == ["a.json", "a.srt"]
    asked = len(backend.asked)
    run = moss(*argv, "-f", "json")
    assert (run.code, run.err, run.summary) == (0, ["moss: in/a.wav: already done"], kept)
    assert len(backend.asked) == asked
    assert (tmp_path / "out/a.srt").read_text() == "mine"
    assert moss(*argv, "--force", "--quiet") == Run(0, "", [])
    assert (tmp_path / "out/a.srt").read_text().startswith("1\n00:00")


@pytest.mark.parametrize("first", [["in/a.mp3"], ["in/a.wav"], ["in"]])
def test_names_do_not_depend_on_what_was_done_before(
    moss: Moss, wav: Wav, tmp_path: Path, first: Sequence[str]
) -> None:
    wav("in/a.mp3", format="MP3")
    wav("in/a.wav")
    moss(*TINY, *first, "-o", "out/")
    assert moss(*TINY, "in", "-o", "out/").code == 0
    assert outputs(tmp_path / "out") == ["a.mp3.txt", "a.wav.txt"]


ENCODINGS = {
    "utf-16 of Notepad": b"\xff\xfe" + "wanted é.wav\r\n".encode("utf-16-le"),
    "utf-16, big end first": b"\xfe\xff" + "wanted é.wav\n".encode("utf-16-be"),
    "utf-32": b"\xff\xfe\0\0" + "wanted é.wav\r\n".encode("utf-32-le"),
    "utf-8 with a mark": b"\xef\xbb\xbf" + "wanted é.wav\r\n".encode(),
    "utf-16 with NULs between": b"\xff\xfe" + "wanted é.wav\0".encode("utf-16-le"),
}


@pytest.mark.parametrize("content", ENCODINGS.values(), ids=ENCODINGS)
def test_a_list_is_read_by_its_byte_order_mark(moss: Moss, wav: Wav, tmp_path: Path, content: bytes) -> None:
    for name in ("wanted é.wav", "other.wav"):
        wav(name)
    (tmp_path / "list").write_bytes(content)
    assert moss(*TINY, "--files-from", "list").out == "==> wanted é.wav <==\nhello there\n"


SAVE = "hint: save it as UTF-8"


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("./a.wav\r\n".encode("utf-16-le"), ["the list list is UTF-16 without a byte order mark", SAVE]),
        ("./a.wav\n".encode("utf-16-be"), ["the list list is UTF-16 without a byte order mark", SAVE]),
        ("xyz".encode("utf-16-le"), ["the list list is UTF-16 without a byte order mark", SAVE]),
        (b"\xff\xfe\x00\xd8", ["the list list is not the UTF-16 that it begins as", SAVE]),
        (
            b"a.wav\n.\n",
            ["the list list names a folder, ., as if it were a file", "hint: write ./ in the list to have it searched"],
        ),
        (
            b"in\0",
            [
                "the list list names a folder, in, as if it were a file",
                "hint: write in/ in the list to have it searched",
            ],
        ),
    ],
)
def test_a_list_that_is_not_meant_as_it_reads_is_code_2(
    moss: Moss, wav: Wav, tmp_path: Path, content: bytes, lines: list[str]
) -> None:
    wav("in/a.wav")
    (tmp_path / "list").write_bytes(content)
    assert moss(*TINY, "--files-from", "list") == Run(2, "", [f"moss: error: {lines[0]}", *lines[1:]])


def test_a_list_may_hold_names_of_one_letter_and_folders_that_are_written_as_such(
    moss: Moss, wav: Wav, tmp_path: Path
) -> None:
    for name in ("a", "b", "in/c.wav"):
        wav(name)
    (tmp_path / "list").write_bytes(b"a\0b\0in/\0")
    assert moss(*TINY, "--files-from", "list").out.count("==>") == 3
