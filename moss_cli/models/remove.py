"""Removing a checkpoint from the hub's cache, and nothing that another revision or another tool needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moss_cli.errors import OutputError
from moss_cli.models.hub import hub_cache, repository_folder, repository_name
from moss_cli.models.pulled import forget_record, read_record


@dataclass(frozen=True)
class Removal:
    """What there is to remove of a checkpoint. blobs: the files that no other revision has, finished or not. is_ours:
    whether moss downloaded it. whole: whether no other revision is left, and the repository's folder goes."""

    hub_id: str
    commit: str
    blobs: tuple[Path, ...]
    is_ours: bool
    whole: bool

    @property
    def root(self) -> Path:
        return repository_folder(self.hub_id)

    @property
    def snapshot(self) -> Path:
        return self.root / "snapshots" / self.commit

    @property
    def size(self) -> int:
        """Bytes that become free."""
        return sum(path.lstat().st_size for path in self.blobs)


def removal_of(hub_id: str, commit: str) -> Removal | None:
    """What would be removed; None if there is nothing of that revision here."""
    root = repository_folder(hub_id)
    snapshots = root / "snapshots"
    others = [one for one in snapshots.iterdir() if one.name != commit] if snapshots.is_dir() else []
    needed = {blob for one in others for blob in _blobs(one)}
    record = read_record(hub_id, commit)
    names = {file.hash for file in record.listing.files} if record else set()
    listed = [root / "blobs" / f"{name}{end}" for name in sorted(names) for end in ("", ".incomplete")]
    found = dict.fromkeys(path for path in (*_blobs(snapshots / commit), *listed) if path.is_file())
    blobs = tuple(path for path in found if path not in needed and path.is_relative_to(root))
    if not blobs and not (snapshots / commit).is_dir():
        return None
    return Removal(hub_id, commit, blobs, record is not None and record.fetched, not others)


def remove(removal: Removal) -> None:
    """Remove it: first the names, so that at no time half a checkpoint looks like one. Raises OutputError."""
    try:
        if removal.snapshot.is_dir():
            shutil.rmtree(removal.snapshot)
        for reference in sorted((removal.root / "refs").rglob("*")):
            if reference.is_file() and reference.read_text(encoding="ascii", errors="replace") == removal.commit:
                reference.unlink()
        for blob in removal.blobs:
            blob.unlink(missing_ok=True)
        (removal.root / "trees" / f"{removal.commit}.json").unlink(missing_ok=True)  # the library's list of files
        if removal.whole:
            shutil.rmtree(removal.root)
            shutil.rmtree(hub_cache() / ".locks" / repository_name(removal.hub_id), ignore_errors=True)
        forget_record(removal.hub_id, removal.commit)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{error.filename or removal.root} cannot be removed: {reason}") from error


def _blobs(snapshot: Path) -> Iterator[Path]:
    """The files that a revision's names lead to, or that lie there themselves."""
    if not snapshot.is_dir():
        return
    for path in sorted(snapshot.rglob("*")):
        if path.is_symlink():
            yield Path(os.path.normpath(path.parent / path.readlink()))
        elif path.is_file():
            yield path
