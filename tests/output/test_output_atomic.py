import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from moss_cli.errors import ExitCode, OutputError, UsageError
from moss_cli.output import atomic
from moss_cli.output.atomic import TEMPORARY_GLOB, check_writable, write_atomic


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def failing(code):
    def fail(*_args, **_kwargs):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture
def umask_027():
    old = os.umask(0o027)
    yield
    os.umask(old)


def test_file_is_written_and_nothing_else(tmp_path):
    write_atomic(tmp_path / "talk.srt", b"whole", overwrite=False)
    assert (tmp_path / "talk.srt").read_bytes() == b"whole"
    assert names(tmp_path) == ["talk.srt"]


def test_empty_file_can_be_written(tmp_path):
    write_atomic(tmp_path / "talk.srt", b"", overwrite=False)
    assert (tmp_path / "talk.srt").read_bytes() == b""


@pytest.mark.usefixtures("umask_027")
@pytest.mark.parametrize("overwrite", [False, True])
def test_permissions_are_the_umasks(tmp_path, overwrite):
    write_atomic(tmp_path / "talk.srt", b"", overwrite=overwrite)
    assert stat.S_IMODE((tmp_path / "talk.srt").stat().st_mode) == 0o640


def test_existing_file_stays_unless_told(tmp_path):
    path = tmp_path / "talk.srt"
    path.write_bytes(b"old")
    for refuse in (lambda: write_atomic(path, b"new", overwrite=False), lambda: check_writable(path)):
        with pytest.raises(UsageError) as caught:
            refuse()
        assert caught.value.message == f"{path} already exists"
        assert caught.value.hint == "use --force to overwrite it"
        assert caught.value.code == "exists"
        assert caught.value.exit_code == ExitCode.USAGE
    assert path.read_bytes() == b"old"
    check_writable(path, overwrite=True)
    write_atomic(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["talk.srt"]


@pytest.mark.parametrize("hard_links", [True, False])
def test_file_that_appears_meanwhile_is_not_overwritten(tmp_path, monkeypatch, hard_links):
    path = tmp_path / "talk.srt"
    sync = os.fsync

    def appear(descriptor):
        path.write_bytes(b"theirs")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", appear)
    if not hard_links:
        monkeypatch.setattr(os, "link", failing(errno.EPERM))
    with pytest.raises(UsageError, match="exists"):
        write_atomic(path, b"ours", overwrite=False)
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["talk.srt"]


@pytest.mark.usefixtures("umask_027")
def test_file_systems_without_hard_links_are_served(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    write_atomic(tmp_path / "talk.srt", b"whole", overwrite=False)
    assert (tmp_path / "talk.srt").read_bytes() == b"whole"
    assert names(tmp_path) == ["talk.srt"]
    monkeypatch.setattr(os, "rename", failing(errno.EIO))
    with pytest.raises(OutputError, match="input/output error"):
        write_atomic(tmp_path / "b.srt", b"whole", overwrite=False)
    assert names(tmp_path) == ["talk.srt"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("step", ["write", "fsync", "rename", "link"])
def test_death_at_any_step_leaves_no_half_written_file(tmp_path, overwrite, step):
    path = tmp_path / "talk.srt"
    if overwrite:
        path.write_bytes(b"old")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom moss_cli.output.atomic import write_atomic\n"
        f"os.{step} = lambda *a, **k: os._exit(9)\n"
        f"write_atomic(Path(sys.argv[1]), b'new', overwrite={overwrite})\n"
    )
    died = subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode
    reached = step in ("write", "fsync") or step == ("rename" if overwrite else "link")
    assert died == (9 if reached else 0)
    if reached:
        assert path.exists() == overwrite
    assert not path.exists() or path.read_bytes() == (b"old" if reached else b"new")
    assert {left.name for left in tmp_path.iterdir()} <= {"talk.srt", *(p.name for p in tmp_path.glob(TEMPORARY_GLOB))}


@pytest.mark.parametrize("step", ["write", "fsync", "link"])
def test_interruption_leaves_nothing(tmp_path, monkeypatch, step):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "talk.srt", b"new", overwrite=False)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("step", "number", "expected", "code"),
    [
        ("write", errno.ENOSPC, "no space left on device", "disk_full"),
        ("fsync", errno.EDQUOT, "quota exceeded", "disk_full"),
        ("open", errno.EROFS, "read-only file system", "output"),
        ("open", errno.EACCES, "permission denied", "output"),
        ("link", errno.EIO, "input/output error", "output"),
    ],
)
def test_failure_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, step, number, expected, code):
    path = tmp_path / "new\nline.srt"
    with monkeypatch.context() as patch:
        patch.setattr(os, step, failing(number))
        with pytest.raises(OutputError) as caught:
            write_atomic(path, b"new", overwrite=False)
    assert caught.value.message.startswith(f"cannot write {tmp_path}/new␊line.srt: ")
    assert expected in caught.value.message
    assert caught.value.code == code
    assert names(tmp_path) == []


def test_part_written_by_the_system_is_completed(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data[:3])))
    write_atomic(tmp_path / "talk.srt", b"0123456789", overwrite=False)
    assert (tmp_path / "talk.srt").read_bytes() == b"0123456789"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_full_device_is_reported():
    with pytest.raises(OutputError, match=r"^cannot write /dev/full: no space left on device$"):
        write_atomic(Path("/dev/full"), b"x", overwrite=False)


def test_missing_folder_is_named(tmp_path):
    for refuse in (
        lambda path: write_atomic(path, b"", overwrite=False),
        check_writable,
    ):
        with pytest.raises(OutputError) as caught:
            refuse(tmp_path / "no such" / "talk.srt")
        assert caught.value.message == f"folder {tmp_path}/no such does not exist"
        assert caught.value.hint == f"mkdir -p '{tmp_path}/no such'"


def test_impossible_places_are_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="not a directory"):
        check_writable(tmp_path / "file" / "talk.srt")
    with pytest.raises(OutputError, match="is a directory"):
        check_writable(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="is a directory"):
        write_atomic(tmp_path, b"", overwrite=True)
    with pytest.raises(OutputError, match="file name too long"):
        check_writable(tmp_path / ("x" * 256))
    assert names(tmp_path) == ["file"]


def test_longest_names_can_be_written(tmp_path):
    write_atomic(tmp_path / ("x" * 255), b"whole", overwrite=False)
    assert names(tmp_path) == ["x" * 255]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission_is_refused_before_the_work(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(OutputError, match="permission denied"):
        check_writable(tmp_path / "locked" / "talk.srt")


def test_checking_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "talk.srt")
    assert names(tmp_path) == []


def test_names_that_are_not_utf8_are_written(tmp_path):
    path = tmp_path / os.fsdecode(b"a\xff.srt")
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    path.unlink()
    write_atomic(path, b"whole", overwrite=False)
    assert [os.fsencode(left.name) for left in tmp_path.iterdir()] == [b"a\xff.srt"]
    with pytest.raises(UsageError) as caught:
        write_atomic(path, b"whole", overwrite=False)
    assert caught.value.message == f"{tmp_path}/a\\xff.srt already exists"


def test_folder_that_cannot_be_synced_is_no_failure(tmp_path, monkeypatch):
    sync = os.fsync

    def files_only(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(atomic.os, "fsync", files_only)
    write_atomic(tmp_path / "talk.srt", b"whole", overwrite=False)
    assert names(tmp_path) == ["talk.srt"]
