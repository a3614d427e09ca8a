"""Files written whole or not at all.

Everything happens relative to one open folder, so that a folder swapped for a link meanwhile leads
nowhere else. Devices, FIFOs and the process's own streams (`/dev/stdout`) are written to directly.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from moss_cli.errors import OutputError, UsageError
from moss_cli.output.terminal import one_line

TEMPORARY_GLOB = ".moss-*.tmp"  # what a killed process may leave behind

_OWN_STREAM = re.compile(r"/dev/(?:stdout|stderr|fd/(\d+))|/proc/self/fd/(\d+)")
_NO_HARD_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def write_atomic(path: Path, data: bytes, *, overwrite: bool, within: Path | None = None) -> None:
    """Write `data` to `path`, to which no reader ever sees anything but the whole.

    `within` is the folder that symlinks may not lead out of: the file's own, unless given.
    Raises UsageError ("exists") for a file that may not be overwritten, OutputError for what cannot
    be written, and BrokenPipeError where the reader of a stream has left.
    """
    with _reported(path):
        descriptor = _own_stream(path)
        if descriptor is not None:
            write_all(descriptor, data)
            return
        target = _target(path, within)
        if _is_device(target):
            _write_to_device(target, data)
            return
        _check_replaceable(target, overwrite=overwrite)
        with _open_folder(target.parent) as folder, _temporary(folder) as (name, descriptor):
            write_all(descriptor, data)
            os.fsync(descriptor)
            _put_in_place(folder, name, target.name, overwrite=overwrite)
            _sync_folder(folder)


def check_writable(path: Path, *, overwrite: bool = False, within: Path | None = None) -> None:
    """Raise what `write_atomic` would raise, as far as can be known before there is data. Leaves nothing behind."""
    with _reported(path):
        descriptor = _own_stream(path)
        if descriptor is not None:
            os.fstat(descriptor)
            return
        target = _target(path, within)
        if _is_device(target):
            if not os.access(target, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        _check_replaceable(target, overwrite=overwrite)
        with _open_folder(target.parent) as folder, _temporary(folder):
            pass


def _own_stream(path: Path) -> int | None:
    """The descriptor that `path` names. Reopening it by name would truncate a file that stdout is redirected to."""
    match = _OWN_STREAM.fullmatch(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps `..`
    if match is None:
        return None
    number = match[1] or match[2]
    if number is not None:
        return int(number)
    return 2 if match[0].endswith("stderr") else 1


def _target(path: Path, within: Path | None) -> Path:
    folder = Path(os.path.realpath(path.parent if within is None else within))
    target = Path(os.path.realpath(path))
    if target.is_symlink():  # a loop, which realpath leaves as it is
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not target.is_relative_to(folder):
        raise OutputError(
            f"cannot write {_shown(path)}: a symbolic link leads out of the folder, to {_shown(target)}",
            hint="give the real path as the output",
        )
    return target


def _mode(target: Path) -> int | None:
    try:
        return target.lstat().st_mode
    except FileNotFoundError:
        return None


def _is_device(target: Path) -> bool:
    mode = _mode(target)
    return mode is not None and not stat.S_ISREG(mode)


def _check_replaceable(target: Path, *, overwrite: bool) -> None:
    if _mode(target) is not None and not overwrite:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _write_to_device(target: Path, data: bytes) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`. Raises OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


@contextmanager
def _open_folder(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _temporary(folder: int) -> Iterator[tuple[str, int]]:
    """Name and descriptor of a new file with the umask's permissions, gone at the end unless renamed.

    It is locked, so that `remove_leftovers` of another run can tell it from one whose writer has died.
    """
    while True:
        name = TEMPORARY_GLOB.replace("*", secrets.token_hex(8))
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
        with suppress(OSError):  # a file system without locks, on which nothing is removed
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)  # it was taken for a leftover in the instant before the lock
    try:
        yield name, descriptor
    finally:
        os.close(descriptor)
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)


def _put_in_place(folder: int, temporary: str, name: str, *, overwrite: bool) -> None:
    if overwrite:
        _rename(folder, temporary, name)
        return
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)  # fails where a file has appeared meanwhile
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        _claim_and_rename(folder, temporary, name)


def _claim_and_rename(folder: int, temporary: str, name: str) -> None:
    """For file systems without hard links (FAT, some network shares): an empty file holds the name for an instant."""
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder))
    try:
        _rename(folder, temporary, name)
    except BaseException:
        os.unlink(name, dir_fd=folder)
        raise


def _rename(folder: int, temporary: str, name: str) -> None:
    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def _sync_folder(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except FileExistsError as error:
        raise UsageError(f"{_shown(path)} already exists", hint="use --force to overwrite it", code="exists") from error
    except FileNotFoundError as error:
        if path.parent.is_dir():
            raise OutputError(f"cannot write {_shown(path)}: a file cannot be created there") from error
        hint = f"mkdir -p {one_line(shlex.quote(str(path.parent)))}"
        raise OutputError(f"folder {_shown(path.parent)} does not exist", hint=hint) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"cannot write {_shown(path)}: {reason}", code=code_of(error)) from error


def code_of(error: OSError) -> str | None:
    """The code of an OutputError, where it has one of its own."""
    return "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None


def _shown(path: Path) -> str:
    return one_line(str(path))
