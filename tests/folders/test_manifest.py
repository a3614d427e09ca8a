"""The record of what was written: who else adds to it, what is torn, what moss's own files are."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from moss_cli.errors import OutputError
from moss_cli.folders import manifest as module
from moss_cli.folders.manifest import Manifest
from moss_cli.folders.manifest_entry import Digest, ManifestEntry


def write(manifest: Manifest, name: str, data: bytes, **about: object) -> Path:
    path = manifest.folder / name
    manifest.announce({path: data}, **about)  # type: ignore[arg-type]
    path.write_bytes(data)
    return path


def test_a_line_is_read_as_it_was_written() -> None:
    line = ManifestEntry(
        {"a\udcff": "/in/a\udcff.wav"}, "transcribe a", {"a.txt": Digest(3, "00")}, {"work": 1}, {"code": "x"}
    )
    parsed = ManifestEntry.parse(line.dump())
    assert parsed is not None
    assert vars(parsed) == vars(line)


NO_LINES = [b"", b"[]", b"3", b'{"files": {"a": [1]}}', b'{"names": 3}', b'{"made": 3}', b"\xff"]
NO_NAMES = [b'{"names": {"a": "/\\ud800"}}', b'{"made": {"input": "a\\u0000"}}', b'{"failure": {"\\u0000": "x"}}']


@pytest.mark.parametrize("text", NO_LINES + NO_NAMES)
def test_what_is_no_line_is_none(text: bytes) -> None:
    assert ManifestEntry.parse(text) is None


def test_files_are_known_by_their_bytes(tmp_path: Path) -> None:
    path = write(Manifest.load(tmp_path), "a.txt", b"hello", result="transcribe a", provenance={"of": "a"})
    os.utime(path, (0, 0))
    line = Manifest.load(tmp_path).record_of(path)
    assert line is not None
    assert (line.provenance, line.result) == ({"of": "a"}, "transcribe a")
    path.write_bytes(b"HELLO")
    assert Manifest.load(tmp_path).record_of(path) is None
    path.unlink()
    assert Manifest.load(tmp_path).record_of(path) is None


def test_what_was_announced_and_not_written_leaves_the_file_before_it_known(tmp_path: Path) -> None:
    """As of runs that were killed between the record and the file."""
    path = write(Manifest.load(tmp_path), "a.txt", b"first", provenance={"of": 1})
    for data in (b"second", b"third"):
        Manifest.load(tmp_path).announce({path: data}, provenance={"of": 2})
    line = Manifest.load(tmp_path).record_of(path)
    assert line is not None
    assert line.provenance == {"of": 1}


def test_a_torn_line_is_passed_over_and_the_next_one_stands(tmp_path: Path) -> None:
    manifest = Manifest.load(tmp_path)
    first = write(manifest, "a.txt", b"a")
    with manifest.file.open("ab") as file:
        file.write(b'{"files": {"b.txt": [')
    second = write(Manifest.load(tmp_path), "c.txt", b"c")
    third = write(manifest, "d.txt", b"d")  # by the run that began before
    record = Manifest.load(tmp_path)
    assert all(record.record_of(path) is not None for path in (first, second, third))


def test_a_line_without_room_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest.load(tmp_path)
    write(manifest, "a.txt", b"a")
    before = manifest.file.read_bytes()

    def full(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_all", full)
        with pytest.raises(OutputError, match="no space left on device") as caught:
            manifest.announce({tmp_path / "b.txt": b"b"})
    assert caught.value.code == "disk_full"
    assert manifest.file.read_bytes() == before
    assert manifest.record_of(write(manifest, "b.txt", b"b")) is not None


def test_runs_beside_each_other_see_each_other_s_lines_and_know_them_from_their_own(tmp_path: Path) -> None:
    slow, fast = Manifest.load(tmp_path), Manifest.load(tmp_path)
    of_fast, of_slow = write(fast, "a.txt", b"a"), write(slow, "b.txt", b"b")
    fast.refresh()
    assert [slow.is_new(path) for path in (of_fast, of_slow)] == [True, False]
    assert [fast.is_new(path) for path in (of_fast, of_slow)] == [False, True]
    assert slow.record_of(of_fast) is not None
    late = Manifest.load(tmp_path)
    assert not late.is_new(of_fast)
    assert late.record_of(of_slow) is not None


def test_a_name_is_given_to_one_input_only(tmp_path: Path) -> None:
    one, other = Manifest.load(tmp_path), Manifest.load(tmp_path)
    one.give(lambda taken: {"talk": "/a/talk.wav"})
    other.give(lambda taken: {"talk.wav" if "talk" in taken else "talk": "/b/talk.wav"})
    assert Manifest.load(tmp_path).names == {"talk": "/a/talk.wav", "talk.wav": "/b/talk.wav"}
    before = one.file.read_bytes()
    other.give(lambda taken: {"talk": "/a/talk.wav"})
    assert one.file.read_bytes() == before


def test_a_record_does_not_grow_for_ever(tmp_path: Path) -> None:
    beside = Manifest.load(tmp_path)
    manifest = Manifest.load(tmp_path)
    for n in range(300):
        path = write(manifest, "a.txt", b"%d" % n, result="transcribe a", provenance={"n": n})
    manifest.compact()
    assert manifest.file.read_bytes().count(b"\n") == 2
    for record in (manifest, beside, Manifest.load(tmp_path)):
        record.refresh()
        line = record.record_of(path)
        assert line is not None
        assert line.provenance == {"n": 299}
    other = write(beside, "b.txt", b"b")
    manifest.refresh()
    assert manifest.record_of(other) is not None
    assert [manifest.is_new(path), manifest.is_new(other)] == [False, True]


def test_a_failure_is_known_until_there_is_a_result(tmp_path: Path) -> None:
    manifest = Manifest.load(tmp_path)
    for _ in range(2):
        manifest.failed("transcribe a", {"input": "/a.wav", "code": "x", "message": "broken"})
    assert manifest.file.read_bytes().count(b"\n") == 1
    assert Manifest.load(tmp_path).results["transcribe a"].failure == {
        "input": "/a.wav",
        "code": "x",
        "message": "broken",
    }
    write(manifest, "a.txt", b"a", result="transcribe a")
    assert Manifest.load(tmp_path).results["transcribe a"].failure is None


def test_what_is_announced_is_on_the_disk_before_the_file_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []
    manifest = Manifest.load(tmp_path)
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(manifest.file.read_bytes()))
    for name in ("a.txt", "b.txt"):
        manifest.announce({tmp_path / name: b"x"})
        assert synced[-1] == manifest.file.read_bytes()
        assert f'"{name}"'.encode() in synced[-1]


def test_a_fifo_is_not_the_empty_file_that_was_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    assert not Digest.of(b"").is_at(tmp_path / "a.txt")
