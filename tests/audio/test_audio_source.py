"""Standard input, and the audio files of a folder."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from audio_files import encode, noise, write

from moss_cli.audio.decode import load
from moss_cli.audio.find import find_audio, is_audio_name
from moss_cli.audio.source import printable, read_stdin
from moss_cli.errors import AudioError, OutputError


def test_standard_input_becomes_a_file_that_is_removed_afterwards(tmp_path: Path) -> None:
    content = encode(tmp_path / "a.m4a", noise(1), 16_000, "alac").read_bytes()
    with read_stdin(io.BytesIO(content)) as path:
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == 0o600
        assert np.array_equal(load(path).samples, noise(1)[:, 0])
    assert not path.exists()


def test_the_file_is_removed_when_its_user_fails() -> None:
    with pytest.raises(BrokenPipeError), read_stdin(io.BytesIO(b"x")) as path:
        raise BrokenPipeError
    assert not path.exists()


def test_empty_standard_input_is_an_error() -> None:
    with pytest.raises(AudioError, match="standard input is empty") as caught, read_stdin(io.BytesIO()):
        pass
    assert caught.value.code == "empty"


def test_standard_input_that_cannot_be_read_is_an_error() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(AudioError, match="standard input cannot be read: Input/output error"), read_stdin(Broken()):
        pass
    closed = io.BytesIO()
    closed.close()
    with pytest.raises(AudioError, match="standard input cannot be read"), read_stdin(closed):
        pass


def test_a_temporary_folder_without_room_is_an_output_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    message = "standard input cannot be stored in /nowhere"
    with pytest.raises(OutputError, match=message) as caught, read_stdin(io.BytesIO(b"x")):
        pass
    assert caught.value.hint == "set TMPDIR to a folder with more space"


@pytest.mark.parametrize(
    "name", ["a.wav", "a.MP3", "a.flac", "a.m4a", "a.webm", "a.mp4", "a.b.OGG", "-x.opus", "a.amr"]
)
def test_audio_and_video_names_are_known(name: str) -> None:
    assert is_audio_name(Path(name))


@pytest.mark.parametrize(
    "suffix",
    [
        "3gpp",
        "3gp2",
        "qta",
        "f4v",
        "f4a",
        "m2t",
        "tod",
        "mod",
        "divx",
        "ogx",
        "ogm",
        "mk3d",
        "dsf",
        "dff",
        "sf",
        "pvf",
        "paf",
        "bwf",
    ],
)
def test_less_common_names_of_what_can_be_read_are_known(suffix: str) -> None:
    assert is_audio_name(Path(f"Recording 1.{suffix}"))


@pytest.mark.parametrize("name", ["a.txt", "a.srt", "a.json", "a", ".wav", "a.m3u8", "a.wav.part", "wav", "a.png"])
def test_other_names_are_not(name: str) -> None:
    assert not is_audio_name(Path(name))


def found(folder: Path) -> list[Path]:
    return list(find_audio(folder).files)


def _touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_is_searched_to_its_depths_in_order(tmp_path: Path) -> None:
    wanted = [tmp_path / name for name in ("a.wav", "b/c.mp3", "b/d/e.M4A", "z.ogg")]
    _touch(*reversed(wanted))
    _touch(tmp_path / "b/notes.txt", tmp_path / ".moss/x.wav", tmp_path / "b/.hidden/y.wav", tmp_path / "b/._c.mp3")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    assert found(tmp_path) == wanted


def test_a_hidden_folder_is_searched_when_it_is_asked_for(tmp_path: Path) -> None:
    _touch(tmp_path / ".recordings/a.wav")
    assert found(tmp_path / ".recordings") == [tmp_path / ".recordings/a.wav"]


def test_links_between_folders_end_and_give_each_file_once(tmp_path: Path) -> None:
    _touch(tmp_path / "in/real/a.wav", tmp_path / "outside/b.wav")
    (tmp_path / "in/real/up").symlink_to(tmp_path / "in")
    (tmp_path / "in/also").symlink_to(tmp_path / "in/real")
    (tmp_path / "in/link").symlink_to(tmp_path / "outside")
    assert found(tmp_path / "in") == [tmp_path / "in/link/b.wav", tmp_path / "in/real/a.wav"]
    (tmp_path / "root").symlink_to(tmp_path / "in/real")
    assert found(tmp_path / "root") == [tmp_path / "root/a.wav", tmp_path / "root/up/link/b.wav"]


def test_what_cannot_be_read_is_listed_apart_and_the_rest_is_found(tmp_path: Path) -> None:
    _touch(tmp_path / "a.wav", tmp_path / "locked/b.wav")
    (tmp_path / "locked").chmod(0)
    try:
        assert tmp_path / "a.wav" in found(tmp_path)
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert found(tmp_path / "missing") == []


def test_names_print_on_one_line_whatever_they_hold() -> None:
    assert printable(Path("a b-é日.wav")) == "a b-é日.wav"
    assert printable(Path("a\n\x1b[31m\u202e.wav")) == r"a\n\x1b[31m\u202e.wav"
    assert printable(Path(os.fsdecode(b"\xff.wav"))) == r"\xff.wav"


def test_writing_and_loading_agree(tmp_path: Path) -> None:
    assert load(write(tmp_path / "-a.wav", noise(0.1))).duration_s == pytest.approx(0.1)
