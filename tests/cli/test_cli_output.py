"""Where results go, and what is never overwritten or half written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_run import TINY, Run
from scripted_backend import ScriptedBackend

from moss_cli.output.formats import FORMATS

Moss = Callable[..., Run]
Wav = Callable[..., Path]


def tree(folder: Path) -> list[str]:
    """Every file below `folder`, but for moss's own record."""
    files = (p.relative_to(folder) for p in folder.rglob("*") if not p.is_dir())
    return sorted(str(p) for p in files if ".moss" not in p.parts)


def state() -> Path:
    """The state folder of the user whom the test runs as."""
    return Path(os.environ["MOSS_STATE_DIR"])


@pytest.fixture
def a(wav: Wav) -> Path:
    return wav("a.wav")


@pytest.mark.usefixtures("a")
def test_the_suffix_of_the_output_chooses_the_format(moss: Moss, tmp_path: Path) -> None:
    assert moss(*TINY, "a.wav", "-o", "x.srt") == Run(0, "", [])
    assert (tmp_path / "x.srt").read_text() == "1\n00:00:00,000 --> 00:00:00,050\nhello there\n\n"
    assert moss(*TINY, "a.wav", "-o", "y.SRT", "-f", "srt") == Run(0, "", [])
    assert (tmp_path / "y.SRT").read_text() == (tmp_path / "x.srt").read_text()
    assert moss(*TINY, "a.wav", "-o", "z", "-f", "srt") == Run(0, "", [])
    assert (tmp_path / "z").read_text() == (tmp_path / "x.srt").read_text()


ONE = "moss transcribe --model tiny a.wav"
NO_FORMAT = "there is no format .{}; there are txt, json, jsonl, srt, vtt, md, tsv, csv"


@pytest.mark.usefixtures("a")
@pytest.mark.parametrize(
    ("arguments", "message", "command", "written"),
    [
        (["a.wav", "-o", "x.pdf"], "x.pdf: " + NO_FORMAT.format("pdf"), f"{ONE} -o x.md", ["x.md"]),
        (["a.wav", "-o", "x.docx"], "x.docx: " + NO_FORMAT.format("docx"), f"{ONE} -o x.md", ["x.md"]),
        (["a.wav", "-o", "x.ass"], "x.ass: " + NO_FORMAT.format("ass"), f"{ONE} -o x.srt", ["x.srt"]),
        (["-o", "v1.2", "a.wav"], "v1.2: " + NO_FORMAT.format("2"), f"{ONE} -o v1.2.txt", ["v1.2.txt"]),
        (["a.wav", "-ox.pdf", "-f", "txt"], "x.pdf: " + NO_FORMAT.format("pdf"), f"{ONE} -o x.txt", ["x.txt"]),
        (["a.wav", "-o", "x.srt", "-f", "json"], "-o x.srt and -f json do not agree", f"{ONE} -o x.json", ["x.json"]),
        (
            ["a.wav", "--output=x.jsonl", "--format=json"],
            "-o x.jsonl and -f json do not agree",
            f"{ONE} -o x.json",
            ["x.json"],
        ),
        (
            ["a.wav", "b.wav", "-o", "both.srt"],
            "several inputs cannot go into one file, both.srt",
            f"{ONE} b.wav -o both/ -f srt",
            ["both/a.srt", "both/b.srt"],
        ),
        (
            ["a.wav", "b.wav", "-o", "both.csv"],
            "several inputs cannot go into one file, both.csv",
            f"{ONE} b.wav -f csv > both.csv",
            ["both.csv"],
        ),
        (
            ["a.wav", "-o", "x.srt", "-f", "srt", "-f", "json"],
            "several formats cannot go into one file, x.srt",
            f"{ONE} -o x/ -f srt -f json",
            ["x/a.json", "x/a.srt"],
        ),
        (
            ["a.wav", "-f", "srt", "-f", "txt"],
            "several formats need an output folder",
            f"{ONE} -f srt -f txt -o out/",
            ["out/a.srt", "out/a.txt"],
        ),
        (
            ["a.wav", "b.wav", "-f", "srt"],
            "several inputs as srt need an output folder",
            f"{ONE} b.wav -f srt -o out/",
            ["out/a.srt", "out/b.srt"],
        ),
    ],
)
def test_an_output_that_is_not_what_its_name_says_is_code_2_and_the_hint_writes_it(
    moss: Moss, wav: Wav, tmp_path: Path, arguments: list[str], message: str, command: str, written: list[str]
) -> None:
    wav("b.wav")
    assert moss(*TINY, *arguments) == Run(2, "", [f"moss: error: {message}", f"hint: run `{command}`"])
    assert tree(tmp_path) == ["a.wav", "b.wav"]
    words, _, to = command.partition(" > ")
    right = moss(*words.split()[1:])
    assert right.code == 0
    if to:
        (tmp_path / to).write_text(right.out)
    assert tree(tmp_path) == sorted(["a.wav", "b.wav", *written])


def test_a_hint_is_for_the_task_that_was_run(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    run = moss("describe-speaker", "--model", "tiny", "a.wav", "-o", "x.ass")
    assert run.err[-1] == "hint: run `moss describe-speaker --model tiny a.wav -o x.txt`"


def test_the_hint_of_a_command_that_is_long_is_what_to_change(moss: Moss) -> None:
    run = moss(*TINY, "a" * 400, "-o", "x.pdf")
    assert run.err[-1] == "hint: use -o x.md"


def test_several_results_on_stdout_are_one_table(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("a.wav")
    wav("b.wav")
    (tmp_path / "0.wav").write_text("no audio")
    run = moss(*TINY, "0.wav", "a.wav", "b.wav", "-f", "csv")
    assert run.out.splitlines() == [
        "file,start,end,text,speaker,language",
        "a.wav,0.000,0.050,hello there,,",
        "b.wav,0.000,0.050,hello there,,",
    ]
    assert moss(*TINY, "0.wav", "a.wav", "b.wav", "-f", "tsv").out == run.out.replace(",", "\t")


def test_a_fifo_is_written_directly_whatever_its_suffix(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    import threading

    wav("a.wav")
    os.mkfifo(tmp_path / "x.pipe")
    found = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "x.pipe").read_text()))
    reader.start()
    assert moss(*TINY, "a.wav", "-o", "x.pipe") == Run(0, "", [])
    reader.join()
    assert found == ["hello there\n"]


@pytest.mark.usefixtures("a")
def test_dash_as_output_is_stdout(moss: Moss, tmp_path: Path) -> None:
    assert moss(*TINY, "a.wav", "-o", "-") == Run(0, "hello there\n", [])
    assert tree(tmp_path) == ["a.wav"]


@pytest.mark.usefixtures("a")
def test_a_folder_is_one_that_is_or_ends_in_a_slash(moss: Moss, tmp_path: Path) -> None:
    (tmp_path / "is").mkdir()
    assert moss(*TINY, "a.wav", "-o", "is").code == 0
    assert moss(*TINY, "a.wav", "-o", "new/deep/").code == 0
    assert tree(tmp_path) == ["a.wav", "is/a.txt", "new/deep/a.txt"]


def test_several_inputs_and_formats_go_into_a_folder_that_mirrors_the_inputs(
    moss: Moss, wav: Wav, tmp_path: Path
) -> None:
    wav("in/a.wav")
    wav("in/deep/a.wav")
    wav("in/deep/a.flac", format="FLAC")
    assert moss(*TINY, "in", "-o", "out", "-f", "srt", "-f", "json").code == 0
    stems = ["a", "deep/a.flac", "deep/a.wav"]
    assert tree(tmp_path / "out") == sorted(f"{stem}.{suffix}" for stem in stems for suffix in ("json", "srt"))
    first = json.loads((tmp_path / "out/deep/a.flac.json").read_text())
    assert first["input"]["path"] == "in/deep/a.flac"


@pytest.mark.usefixtures("a")
@pytest.mark.parametrize("formats", [list(FORMATS)])
def test_every_format_is_written(moss: Moss, tmp_path: Path, formats: list[str]) -> None:
    options = [option for fmt in formats for option in ("-f", fmt)]
    assert moss(*TINY, "a.wav", "-o", "out", *options) == Run(0, "", [])
    assert tree(tmp_path / "out") == sorted(f"a.{fmt}" for fmt in formats)
    assert all((tmp_path / "out" / name).stat().st_size for name in tree(tmp_path / "out"))


@pytest.mark.usefixtures("a")
def test_files_have_the_permissions_of_the_umask(moss: Moss, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        moss(*TINY, "a.wav", "-o", "x.txt")
    finally:
        os.umask(before)
    assert (tmp_path / "x.txt").stat().st_mode & 0o777 == 0o640
    assert (state() / "files").stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("a")
def test_what_moss_did_not_write_is_overwritten_only_with_force(moss: Moss, tmp_path: Path) -> None:
    mine = tmp_path / "x.txt"
    mine.write_text("mine")
    assert moss(*TINY, "a.wav", "-o", "x.txt") == Run(
        2, "", ["moss: error: x.txt already exists", "hint: use --force to overwrite it"]
    )
    assert mine.read_text() == "mine"
    assert moss(*TINY, "a.wav", "-o", "x.txt", "--force") == Run(0, "", [])
    assert mine.read_text() == "hello there\n"


@pytest.mark.usefixtures("a")
def test_what_moss_wrote_is_overwritten_until_somebody_changes_it(moss: Moss, tmp_path: Path) -> None:
    for _ in range(2):
        assert moss(*TINY, "a.wav", "-o", "x.txt") == Run(0, "", [])
    with (tmp_path / "x.txt").open("a") as file:
        file.write("my correction\n")
    assert moss(*TINY, "a.wav", "-o", "x.txt").code == 2
    assert (tmp_path / "x.txt").read_text() == "hello there\nmy correction\n"


def test_in_a_folder_the_existing_file_is_kept_and_the_others_are_written(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("a.wav")
    wav("b.wav")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.txt").write_text("mine")
    run = moss(*TINY, "a.wav", "b.wav", "-o", "out")
    assert run == Run(0, "", [])
    assert run.summary[:2] == ["2 inputs: 1 done, 1 kept", "not written by moss, kept: out/a.txt"]
    assert (tmp_path / "out/a.txt").read_text() == "mine"
    assert (tmp_path / "out/b.txt").read_text() == "hello there\n"


@pytest.mark.usefixtures("a")
def test_a_file_that_appears_meanwhile_is_not_overwritten_and_the_others_go_on(
    moss: Moss, wav: Wav, tmp_path: Path, backend: ScriptedBackend
) -> None:
    def appear(n: int) -> None:
        if n == 1:
            (tmp_path / "out/a.txt").write_text("of another program")

    backend.at_step = appear
    wav("b.wav")
    run = moss(*TINY, "a.wav", "b.wav", "-o", "out")
    assert run == Run(0, "", [])
    assert run.summary[1] == "not written by moss, kept: out/a.txt"
    assert (tmp_path / "out/a.txt").read_text() == "of another program"
    assert tree(tmp_path / "out") == ["a.txt", "b.txt"]


@pytest.mark.usefixtures("a")
def test_nothing_but_the_file_appears_beside_it(moss: Moss, tmp_path: Path) -> None:
    for _ in range(2):
        assert moss(*TINY, "a.wav", "-o", "x.txt") == Run(0, "", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "x.txt"]


@pytest.mark.usefixtures("a")
def test_a_file_that_was_named_itself_is_moss_s_own_in_a_folder_too(moss: Moss, tmp_path: Path) -> None:
    moss(*TINY, "a.wav", "-o", "a.txt")
    assert moss(*TINY, "a.wav", "-o", "./", "--timestamps", "none") == Run(0, "", [])
    assert (tmp_path / "a.txt").read_text() == "[0.00]hello there[0.05]\n"


@pytest.mark.usefixtures("a")
def test_a_folder_s_own_record_says_what_moss_wrote_into_it_too(moss: Moss, tmp_path: Path) -> None:
    moss(*TINY, "a.wav", "-o", "out/")
    assert moss(*TINY, "a.wav", "-o", "out/a.txt", "--timestamps", "none") == Run(0, "", [])
    record = (tmp_path / "out/.moss/outputs.jsonl").read_bytes()
    assert moss(*TINY, "a.wav", "-o", "out/other.txt") == Run(0, "", [])
    assert b'"other.txt"' in (tmp_path / "out/.moss/outputs.jsonl").read_bytes().removeprefix(record)
    assert not (state() / "files").exists()


@pytest.mark.usefixtures("a")
def test_a_single_output_does_not_decide_the_input_s_name_in_its_folder(moss: Moss, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    moss(*TINY, "a.wav", "-o", "out/other.txt")
    moss(*TINY, "a.wav", "-o", "out/")
    assert tree(tmp_path / "out") == ["a.txt", "other.txt"]


@pytest.mark.usefixtures("a")
@pytest.mark.parametrize(
    "content", ["", "[]", '{"names": 3}', '{"names": {}, "files": {"x.txt": [1]}}\n', "[" * 99_999]
)
def test_a_damaged_record_means_that_nothing_is_moss_s_own(moss: Moss, tmp_path: Path, content: str) -> None:
    moss(*TINY, "a.wav", "-o", "x.txt")
    (state() / "files/outputs.jsonl").write_text(content)
    assert moss(*TINY, "a.wav", "-o", "x.txt").code == 2
    assert moss(*TINY, "a.wav", "-o", "x.txt", "--force") == Run(0, "", [])
    assert moss(*TINY, "a.wav", "-o", "x.txt") == Run(0, "", [])


@pytest.mark.usefixtures("a")
def test_where_no_record_can_be_kept_a_result_is_written_all_the_same(moss: Moss, tmp_path: Path) -> None:
    (state() / "files").write_text("in the way")
    assert moss(*TINY, "a.wav", "-o", "x.txt") == Run(0, "", [])
    assert (tmp_path / "x.txt").read_text() == "hello there\n"
    assert moss(*TINY, "a.wav", "-o", "x.txt").code == 2


@pytest.mark.usefixtures("a")
@pytest.mark.parametrize(
    ("output", "code", "lines"),
    [
        ("no/such/x.txt", 1, ["moss: error: folder no/such does not exist", "hint: mkdir -p no/such"]),
        ("a.wav/x.txt", 1, ["moss: error: cannot write a.wav/x.txt: not a directory"]),
        ("a.wav/", 2, ["moss: error: a.wav is a file; the output has to be a folder here"]),
        ("/dev/full", 1, ["moss: error: cannot write /dev/full: no space left on device"]),
        ("/proc/x.txt", 1, ["moss: error: cannot write /proc/x.txt: a file cannot be created there"]),
        ("/proc/x/", 1, ["moss: error: cannot create the folder /proc/x: No such file or directory"]),
        ("z" * 256, 1, [f"moss: error: cannot write {'z' * 256}: file name too long"]),
        ("", 2, ["moss: error: the output name is empty"]),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else None,
)
def test_what_cannot_be_written_is_said_before_the_work(
    moss: Moss, tmp_path: Path, output: str, code: int, lines: list[str]
) -> None:
    if output.startswith("/") and not Path(output).parent.exists():
        pytest.skip("this system has no such folder")
    assert moss(*TINY, "a.wav", "-o", output) == Run(code, "", lines)
    assert tree(tmp_path) == ["a.wav"]


@pytest.mark.usefixtures("a")
def test_a_read_only_folder_is_code_1(moss: Moss, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    if os.access(tmp_path / "out", os.W_OK):
        pytest.skip("root may write everywhere")
    assert moss(*TINY, "a.wav", "-o", "out/x.txt") == Run(
        1, "", ["moss: error: cannot write out/x.txt: permission denied"]
    )


@pytest.mark.usefixtures("a")
def test_a_link_out_of_the_folder_is_not_followed(moss: Moss, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "precious.txt").write_text("precious")
    (tmp_path / "out/x.txt").symlink_to(tmp_path / "precious.txt")
    run = moss(*TINY, "a.wav", "-o", "out/x.txt", "--force")
    target = tmp_path / "precious.txt"
    assert run == Run(
        1,
        "",
        [
            f"moss: error: cannot write out/x.txt: a symbolic link leads out of the folder, to {target}",
            "hint: give the real path as the output",
        ],
    )
    assert target.read_text() == "precious"


@pytest.mark.usefixtures("a")
def test_devices_are_written_directly(moss: Moss, tmp_path: Path) -> None:
    assert moss(*TINY, "a.wav", "-o", "/dev/null") == Run(0, "", [])
    assert moss(*TINY, "a.wav", "-o", "/dev/stdout") == Run(0, "hello there\n", [])
    assert tree(tmp_path) == ["a.wav"]


def test_a_failed_input_writes_no_file(moss: Moss, tmp_path: Path) -> None:
    run = moss(*TINY, "gone.wav", "-o", "x.json")
    assert run == Run(4, "", ["moss: error: no such file: gone.wav"])
    assert tree(tmp_path) == []


@pytest.mark.usefixtures("a")
def test_a_usage_error_makes_no_folder(moss: Moss, tmp_path: Path) -> None:
    assert moss(*TINY, "a.wav", "-o", "out/", "--start", "x").code == 2
    assert moss("transcribe", "a.wav", "-o", "out/").code == 5
    assert tree(tmp_path) == ["a.wav"]
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("a")
@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["a.wav", "-f", "vtt", "--timestamps", "none"],
            [
                "moss: error: vtt needs timestamps",
                "hint: remove --timestamps none, or use txt",
            ],
        ),
        (
            ["a.wav", "b.wav", "-o", "/dev/null"],
            ["moss: error: /dev/null is a file; the output has to be a folder here"],
        ),
    ],
)
def test_outputs_that_do_not_fit_are_code_2(moss: Moss, arguments: list[str], lines: list[str]) -> None:
    assert moss(*TINY, *arguments) == Run(2, "", lines)


@pytest.mark.usefixtures("a")
def test_a_format_without_times_of_words_says_so_and_the_others_have_them(moss: Moss, backend: ScriptedBackend) -> None:
    backend.say = lambda request, n: "[0.00]hi you[0.05]" if n % 2 else "[0.00]hi[0.02][0.02]you[0.05]"
    words = ["a.wav", "--timestamps", "word"]
    warning = "moss: warning: srt cannot hold the times of words; vtt, json, md, tsv and csv can"
    assert moss(*TINY, *words, "-f", "srt").err == [warning]
    for fmt, shown in (("vtt", "<00:00:00.020>you"), ("md", "0:00.0 you"), ("tsv", "0.020\t0.050\tyou")):
        run = moss(*TINY, *words, "-f", fmt)
        assert run.err == []
        assert shown in run.out


def test_a_typed_suffix_comes_before_a_format_that_is_set(
    moss: Moss, wav: Wav, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav("a.wav")
    monkeypatch.setenv("MOSS_FORMAT", "srt")
    assert moss("transcribe", "a.wav", "-o", "a.md", "--model", "tiny").code == 0
    assert Path("a.md").read_text().startswith("---\n")
    assert moss("transcribe", "a.wav", "-o", "out/", "--model", "tiny").code == 0
    assert [path.name for path in Path("out").glob("[!.]*")] == ["a.srt"]
    disagree = moss("transcribe", "a.wav", "-o", "b.md", "-f", "json", "--model", "tiny")
    assert disagree.err[0] == "moss: error: -o b.md and -f json do not agree"


def test_times_are_shown_in_txt_where_that_is_asked_for(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    assert moss(*TINY, "a.wav", "--times").out == "[00:00.0 → 00:00.1] hello there\n"
    run = moss(*TINY, "a.wav", "--times", "--timestamps", "none")
    assert (run.code, run.err) == (2, ["moss: error: --times needs timestamps", "hint: remove --timestamps none"])


def test_a_document_of_its_own_has_front_matter_and_several_on_stdout_have_none(moss: Moss, wav: Wav) -> None:
    wav("in/a.wav"), wav("in/b.wav")
    assert moss(*TINY, "in/a.wav", "-f", "md").out.startswith('---\ntitle: "a.wav"\n')
    out = moss(*TINY, "in", "-f", "md").out
    assert out.startswith("# [a.wav](in/a.wav)\n\n- **Duration:** ")
    assert "\n\n# [b.wav](in/b.wav)\n\n- **Duration:** " in out
    assert "---" not in out


def test_links_lead_from_the_folder_that_a_document_is_written_to(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("in/sub/a.wav")
    assert moss(*TINY, "in", "-o", "out/deep/", "-f", "md").code == 0
    assert "\n# [a.wav](../../../in/sub/a.wav)\n" in (tmp_path / "out/deep/sub/a.md").read_text()
    assert moss(*TINY, "in/sub/a.wav", "-o", "in/x.md").code == 0
    assert "[0:00.0 – 0:00.1](sub/a.wav#t=0) hello there\n" in (tmp_path / "in/x.md").read_text()
