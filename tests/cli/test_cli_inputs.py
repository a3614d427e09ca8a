"""What can be wrong with an input: its exit code, its one line on stderr, and that the others go on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_run import TINY, Run

Moss = Callable[..., Run]
Wav = Callable[..., Path]

LIST_HINT = "hint: playlists and scripts are not followed: give the audio files themselves"


def test_a_file_that_does_not_exist_is_code_4(moss: Moss) -> None:
    assert moss(*TINY, "gone.wav") == Run(4, "", ["moss: error: no such file: gone.wav"])


def test_a_path_through_a_file_is_code_4(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    assert moss(*TINY, "a.wav/b.wav") == Run(4, "", ["moss: error: no such file: a.wav/b.wav"])


def test_a_folder_without_audio_is_code_2_and_nothing_is_written(moss: Moss, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/readme.txt").write_text("no audio")
    run = moss(*TINY, "notes", "-o", "out/")
    message = "no audio files in the folder notes; 1 file of other kinds was passed over"
    hint = "hint: if some are recordings, add --include '*.txt', for example"
    assert run == Run(2, "", [f"moss: error: {message}", hint])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.wav is empty"),
        (b"not audio, but text\n" * 50, "a.wav is not audio that can be read"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "a.wav is not audio that can be read"),
        (os.urandom(5000), "a.wav is not audio that can be read"),
    ],
    ids=["empty", "text", "half a header", "noise"],
)
def test_what_is_no_audio_is_code_4(moss: Moss, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    assert moss(*TINY, "a.wav") == Run(4, "", [f"moss: error: {message}"])


def test_a_recording_of_no_samples_is_code_4(moss: Moss, wav: Wav) -> None:
    wav("a.wav", 0)
    assert moss(*TINY, "a.wav") == Run(4, "", ["moss: error: a.wav contains no audio samples"])


def test_a_recording_of_three_samples_is_transcribed(moss: Moss, wav: Wav) -> None:
    wav("a.wav", 3)
    run = moss(*TINY, "a.wav", "-f", "jsonl")
    assert run.code == 0
    assert '"duration": 0.0,' in run.out


def test_only_nan_is_code_4_and_some_nan_is_a_warning(moss: Moss, wav: Wav) -> None:
    samples = np.full((1600, 1), 0.1, np.float32)
    samples[160:320] = np.nan
    samples[400] = np.inf
    wav("some.wav", samples, subtype="FLOAT")
    wav("all.wav", samples * np.nan, subtype="FLOAT")
    run = moss(*TINY, "some.wav", "all.wav")
    assert run.code == 3
    assert run.out == "==> some.wav <==\nhello there\n"
    assert run.err == [
        "moss: warning: some.wav: 161 samples between 0.010 and 0.025 s silenced: NaN, infinite or absurdly large",
        "moss: error: all.wav contains only NaN, infinite or absurdly large samples",
    ]


def test_one_broken_sample_is_one_sample(moss: Moss, wav: Wav) -> None:
    samples = np.full((1600, 1), 0.1, np.float32)
    samples[160] = np.nan
    wav("a.wav", samples, subtype="FLOAT")
    run = moss(*TINY, "a.wav")
    assert run.err == [
        "moss: warning: a.wav: 1 sample between 0.010 and 0.010 s silenced: NaN, infinite or absurdly large"
    ]


def test_samples_over_full_scale_are_a_warning(moss: Moss, wav: Wav) -> None:
    wav("a.wav", np.full((1600, 1), 6.0, np.float32), subtype="FLOAT")
    run = moss(*TINY, "a.wav")
    message = "a.wav: samples reach 6, beyond the full scale of 1.0; they are used unchanged"
    assert run == Run(0, "hello there\n", [f"moss: warning: {message}"])


@pytest.mark.parametrize("form", ["WAV", "MP3"])
def test_a_file_cut_in_the_middle_is_code_3_with_what_there_is(moss: Moss, wav: Wav, form: str) -> None:
    path = wav(f"a.{form.lower()}", 48_000, format=form)
    os.truncate(path, path.stat().st_size // 2)
    run = moss(*TINY, path.name)
    assert (run.code, run.out) == (3, "hello there\n")
    assert len(run.err) == 1
    assert run.err[0].startswith(f"moss: warning: {path.name} is cut short: 1.")
    assert run.err[0].endswith(" s of 3 s could be read")


def test_any_channel_count_and_rate_is_taken(moss: Moss, wav: Wav) -> None:
    names = [wav(f"c{n}.wav", 1600, channels=n).name for n in range(1, 9)]
    rates = (8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)
    names += [wav(f"r{rate}.wav", rate // 10, rate).name for rate in rates]
    run = moss(*TINY, *names)
    assert (run.code, run.err) == (0, [])
    assert run.out == "\n".join(f"==> {name} <==\nhello there\n" for name in names)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nreal.wav\n#EXT-X-ENDLIST\n",
    "m3u": "#EXTM3U\n#EXTINF:10,\nreal.wav\n",
    "concat": "ffconcat version 1.0\nfile 'real.wav'\n",
    "pls": "[playlist]\nFile1=real.wav\nNumberOfEntries=1\n",
    "dash": '<?xml version="1.0"?><MPD><Period><BaseURL>real.wav</BaseURL></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_playlists_and_scripts_are_never_followed_whatever_their_name(
    moss: Moss, wav: Wav, tmp_path: Path, kind: str
) -> None:
    real = wav("real.wav")
    suffixes = ("wav", "mp3", "mp4", "m3u8", "m3u", "ffconcat", "sdp", "mpd", "pls", "txt", "flac")
    names = []
    for suffix in suffixes:
        for how, text in (("rel", PLAYLISTS[kind]), ("abs", PLAYLISTS[kind].replace("real.wav", str(real)))):
            names.append(f"{how}.{suffix}")
            (tmp_path / names[-1]).write_text(text)
    run = moss(*TINY, *names)
    assert (run.code, run.out) == (4, "")
    expected = [(f"moss: error: {name} is not audio that can be read", LIST_HINT) for name in names]
    assert run.err == [line for pair in expected for line in pair]


def test_one_bad_input_does_not_stop_the_others(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("a.wav")
    wav("c.wav")
    (tmp_path / "b.wav").write_text("no audio")
    run = moss(*TINY, "a.wav", "b.wav", "c.wav", "-o", "out")
    assert run == Run(3, "", ["moss: error: b.wav is not audio that can be read"])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [".moss", "a.txt", "c.txt"]


def test_only_bad_inputs_are_code_4(moss: Moss, tmp_path: Path) -> None:
    (tmp_path / "b.wav").write_text("no audio")
    run = moss(*TINY, "gone.wav", "b.wav")
    errors = ["moss: error: no such file: gone.wav", "moss: error: b.wav is not audio that can be read"]
    assert run == Run(4, "", errors)


STRANGE = {
    "spaces": ("a  b c.wav", "a  b c.wav", "a  b c.wav"),
    "line feed": ("a\nb.wav", "a\\nb.wav", "a\nb.wav"),
    "escape": ("\x1b[31mred.wav", "\\x1b[31mred.wav", "\u241b[31mred.wav"),
    "markup": ("[bold]x[red].wav", "[bold]x[red].wav", "[bold]x[red].wav"),
    "not utf-8": (os.fsdecode(b"n\xff.wav"), "n\\xff.wav", "n\\xff.wav"),
    "long": ("x" * 251 + ".wav", "x" * 251 + ".wav", "x" * 251 + ".wav"),
    "percent": ("%s{0}.wav", "%s{0}.wav", "%s{0}.wav"),
}


@pytest.mark.parametrize("name", STRANGE.values(), ids=STRANGE)
def test_strange_names_are_read_and_shown_safely(moss: Moss, wav: Wav, tmp_path: Path, name: tuple[str, ...]) -> None:
    path, in_messages, in_headings = name
    assert moss(*TINY, path) == Run(4, "", [f"moss: error: no such file: {in_messages}"])
    wav(path)
    assert moss(*TINY, path) == Run(0, "hello there\n", [])
    assert moss(*TINY, path, "gone").out == f"==> {in_headings} <==\nhello there\n"
    assert moss(*TINY, path, "-o", "out/").code == 0
    written = [p.name for p in (tmp_path / "out").iterdir() if p.name != ".moss"]
    assert written == [path.removesuffix(".wav") + ".txt"]


def test_a_name_too_long_for_any_file_is_an_input_that_fails(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    run = moss(*TINY, "y" * 256, "a.wav")
    assert run.code == 3
    assert run.out == "==> a.wav <==\nhello there\n"
    assert run.err == [f"moss: error: {'y' * 256} cannot be read: File name too long"]


def test_a_name_with_a_dash_in_front_needs_a_double_dash_or_a_folder(moss: Moss, wav: Wav) -> None:
    wav("-x.wav")
    assert moss(*TINY, "-x.wav") == Run(
        2, "", ["moss: error: no such option: -x", "hint: see `moss transcribe --help`"]
    )
    assert moss(*TINY, "--", "-x.wav") == Run(0, "hello there\n", [])
    assert moss(*TINY, "./-x.wav") == Run(0, "hello there\n", [])


def test_an_empty_name_is_refused_and_not_the_working_folder(moss: Moss, wav: Wav) -> None:
    wav("a.wav")
    assert moss(*TINY, "") == Run(2, "", ["moss: error: an input name is empty"])


def test_an_input_given_twice_is_transcribed_once(moss: Moss, wav: Wav) -> None:
    wav("d/a.wav")
    assert moss(*TINY, "d", "d/a.wav", "./d/../d/a.wav").out == "==> d/a.wav <==\nhello there\n"


def test_standard_input_is_an_input_like_others(moss: Moss, wav: Wav) -> None:
    audio = wav("a.wav").read_bytes()
    assert moss(*TINY, "-", stdin=audio) == Run(0, "hello there\n", [])
    assert moss(*TINY, "-", "a.wav", stdin=audio).out == "==> - <==\nhello there\n\n==> a.wav <==\nhello there\n"


def test_standard_input_can_be_given_only_once(moss: Moss) -> None:
    assert moss(*TINY, "-", "-") == Run(2, "", ["moss: error: standard input (-) can only be read once"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input is empty"),
        (b"text", "standard input is not audio that can be read"),
    ],
)
def test_bad_standard_input_is_called_by_its_name_and_does_not_stop_the_others(
    moss: Moss, wav: Wav, content: bytes, message: str
) -> None:
    wav("a.wav")
    assert moss(*TINY, "-", stdin=content) == Run(4, "", [f"moss: error: {message}"])
    run = moss(*TINY, "-", "a.wav", stdin=content)
    assert run == Run(3, "==> a.wav <==\nhello there\n", [f"moss: error: {message}"])


def test_a_warning_about_standard_input_calls_it_so(moss: Moss, wav: Wav) -> None:
    audio = wav("a.wav", np.full((1600, 1), 6.0, np.float32), subtype="FLOAT").read_bytes()
    message = "standard input: samples reach 6, beyond the full scale of 1.0; they are used unchanged"
    assert moss(*TINY, "-", stdin=audio).err == [f"moss: warning: {message}"]


def test_nothing_of_standard_input_is_left_behind(
    moss: Moss, wav: Wav, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spool))
    assert moss(*TINY, "-", stdin=wav("a.wav").read_bytes()).code == 0
    assert moss(*TINY, "-", stdin=b"text").code == 4
    assert list(spool.iterdir()) == []


def test_a_file_called_dash_is_read_by_its_path(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    wav("-")
    assert moss(*TINY, "./-", stdin=b"") == Run(0, "hello there\n", [])


def test_standard_input_is_read_once_where_a_file_has_its_name(moss: Moss, wav: Wav) -> None:
    audio = wav("-").read_bytes()
    run = moss("ask", "what is said at 0:00?", "--model", "tiny", "-", stdin=audio)
    # The canned answer is no JSON; what is read twice would be empty.
    assert run.err == ["moss: error: standard input: none of the model's 3 answers had the required form"]


def test_a_fifo_is_read_to_its_end(moss: Moss, wav: Wav, tmp_path: Path) -> None:
    import threading

    audio = wav("a.wav").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(audio,))
    writer.start()
    run = moss(*TINY, "pipe")
    writer.join()
    assert run == Run(0, "hello there\n", [])


def test_a_device_is_not_read(moss: Moss) -> None:
    assert moss(*TINY, "/dev/zero") == Run(4, "", ["moss: error: /dev/zero is not a regular file"])


def test_a_file_that_may_not_be_read_is_code_4(moss: Moss, wav: Wav) -> None:
    path = wav("a.wav")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    assert moss(*TINY, "a.wav") == Run(4, "", ["moss: error: a.wav cannot be read: permission denied"])


def test_a_recording_longer_than_the_model_takes_is_cut_into_pieces_of_file_time(moss: Moss, wav: Wav) -> None:
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 70 * 16_000).astype(np.float32)
    samples[25 * 16_000 : 26 * 16_000] = samples[50 * 16_000 : 51 * 16_000] = 0
    wav("a.wav", samples)
    run = moss(*TINY, "a.wav", "--chunk", "30", "-f", "json")
    assert run.code == 0
    envelope = json.loads(run.out)
    assert [(chunk["start"], chunk["end"]) for chunk in envelope["chunks"]] == [(0, 25.5), (25.5, 50.5), (50.5, 70)]
    assert [segment["start"] for segment in envelope["result"]["segments"]] == [0, 25.5, 50.5]
    assert envelope["text"] == "hello there hello there hello there"
    assert moss(*TINY, "a.wav", "--chunk", "31").err == [
        "moss: error: --chunk 31 is too long: tiny takes at most 30 s at once"
    ]


def test_a_recording_longer_than_the_limit_is_code_4(moss: Moss, wav: Wav) -> None:
    wav("a.wav", 24_000)
    assert moss(*TINY, "a.wav", "--max-duration", "1") == Run(
        4,
        "",
        [
            "moss: error: a.wav is at least 1.5 s long; the limit is 1 s",
            "hint: raise the limit with --max-duration",
        ],
    )
