import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from moss_cli.errors import OutputError
from moss_cli.output.atomic import check_writable, write_atomic


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folders(tmp_path):
    inside, outside = tmp_path / "out", tmp_path / "elsewhere"
    inside.mkdir()
    outside.mkdir()
    return inside, outside


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("exists", [False, True])
def test_link_out_of_the_folder_is_refused(folders, overwrite, exists):
    inside, outside = folders
    target = outside / "talk.srt"
    if exists:
        target.write_bytes(b"theirs")
    (inside / "talk.srt").symlink_to(target)
    for refuse in (
        lambda path: write_atomic(path, b"ours", overwrite=overwrite),
        lambda path: check_writable(path, overwrite=overwrite),
    ):
        with pytest.raises(OutputError, match="leads out of the folder"):
            refuse(inside / "talk.srt")
    assert target.exists() == exists
    assert (inside / "talk.srt").is_symlink()


def test_link_within_the_folder_is_followed(folders):
    inside, _ = folders
    (inside / "sub").mkdir()
    (inside / "talk.srt").symlink_to("sub/real.srt")
    write_atomic(inside / "talk.srt", b"ours", overwrite=False)
    assert (inside / "talk.srt").is_symlink()
    assert (inside / "sub" / "real.srt").read_bytes() == b"ours"


def test_linked_folder_out_of_the_output_folder_is_refused(folders):
    inside, outside = folders
    (inside / "sub").symlink_to(outside)
    with pytest.raises(OutputError, match="leads out of the folder"):
        write_atomic(inside / "sub" / "talk.srt", b"ours", overwrite=True, within=inside)
    assert names(outside) == []
    write_atomic(inside / "sub" / "talk.srt", b"ours", overwrite=True)  # the folder that the user named
    assert names(outside) == ["talk.srt"]


def test_loop_of_links_is_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OutputError, match="symbolic links"):
        write_atomic(tmp_path / "a", b"", overwrite=True)


def test_fifo_is_written_to_directly(tmp_path):
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    check_writable(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    write_atomic(fifo, b"x" * 200_000, overwrite=False)
    reader.join(timeout=10)
    assert read == [b"x" * 200_000]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_reader_that_leaves_is_a_broken_pipe(tmp_path):
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: fifo.open("rb").close())
    reader.start()
    with pytest.raises(BrokenPipeError):
        write_atomic(fifo, b"x" * 2_000_000, overwrite=False)
    reader.join(timeout=10)


def test_null_device_takes_everything():
    check_writable(Path("/dev/null"))
    write_atomic(Path("/dev/null"), b"x", overwrite=False)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_socket_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(OutputError, match="cannot write s: "):
            write_atomic(Path("s"), b"x", overwrite=True)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_redirected_stdout_is_added_to(tmp_path, name):
    code = (
        "import sys\nfrom pathlib import Path\nfrom moss_cli.output.atomic import check_writable, write_atomic\n"
        "check_writable(Path(sys.argv[1]))\nwrite_atomic(Path(sys.argv[1]), b'new\\n', overwrite=False)\n"
    )
    log = tmp_path / "log"
    log.write_text("old\n")
    with log.open("a") as stdout:
        subprocess.run([sys.executable, "-c", code, name], stdout=stdout, check=True)
    assert log.read_text() == "old\nnew\n"


def test_closed_stream_is_refused():
    with pytest.raises(OutputError, match="bad file descriptor"):
        check_writable(Path("/dev/fd/987"))
