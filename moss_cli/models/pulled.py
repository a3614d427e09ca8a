"""What moss pulled from the hub: a small file a model and commit, with the hashes of its files.

They lie in the user's state folder, and hold no more than what the hub said; whether the files are there, the hub's
cache tells.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from moss_cli.errors import OutputError
from moss_cli.models.hub import COMMIT, is_checkpoint, is_whole, repository_folder, repository_name, size_of
from moss_cli.models.hub_file import HASH, HubFile, Listing, is_wanted
from moss_cli.settings import state_folder


@dataclass(frozen=True)
class PullRecord:
    """What a pull asked for. fetched: whether moss downloaded any of it, rather than another tool all."""

    listing: Listing
    fetched: bool


def read_record(hub_id: str, commit: str) -> PullRecord | None:
    """What is known of a pull; None if there was none, or the file is not one of ours any more."""
    return _read(_path(hub_id, commit))


def known_listing(hub_id: str, commit: str) -> Listing | None:
    """What the files of a checkpoint should be that moss pulled, or another tool: in the hub's cache the names that
    links lead to are hashes. None where neither says."""
    if record := read_record(hub_id, commit):
        return record.listing
    folder = repository_folder(hub_id) / "snapshots" / commit
    if not is_checkpoint(folder) or not is_whole(folder):
        return None
    paths = [path for path in sorted(folder.iterdir()) if path.is_symlink() and is_wanted(path.name)]
    blobs = [(path, path.readlink().name) for path in paths]
    files = tuple(HubFile(path.name, size_of(path), blob) for path, blob in blobs if HASH.fullmatch(blob))
    return Listing(hub_id, commit, files) if files else None


def records() -> Iterator[PullRecord]:
    """Every pull that is known."""
    for path in sorted((state_folder() / "pulled").glob("*/*.json")):
        if record := _read(path):
            yield record


def write_record(record: PullRecord) -> None:
    """Keep what is known of a pull. Raises OutputError."""
    path = _path(record.listing.hub_id, record.listing.commit)
    text = json.dumps({"hub": record.listing.hub_id, **_without_id(record)}, indent=1)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        hint = "make room there, or have MOSS_STATE_DIR name another folder"
        raise OutputError(f"{path} cannot be written: {(error.strerror or '').lower()}", hint=hint) from error


def forget_record(hub_id: str, commit: str) -> None:
    """Remove what is known of a pull, if anything is."""
    path = _path(hub_id, commit)
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _without_id(record: PullRecord) -> dict[str, object]:
    files = [asdict(file) for file in record.listing.files]
    return {"commit": record.listing.commit, "fetched": record.fetched, "files": files}


def _path(hub_id: str, commit: str) -> Path:
    return state_folder() / "pulled" / repository_name(hub_id) / f"{commit}.json"


def _read(path: Path) -> PullRecord | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        files = tuple(HubFile(**file) for file in values["files"])
        listing = Listing(values["hub"], values["commit"], files)
        fetched = values["fetched"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_ours = (
        isinstance(listing.hub_id, str)
        and COMMIT.fullmatch(str(listing.commit))
        and isinstance(fetched, bool)
        and all(isinstance(one.name, str) and "/" not in one.name and type(one.size) is int for one in files)
        and all(HASH.fullmatch(str(one.hash)) for one in files)
    )
    return PullRecord(listing, fetched) if is_ours else None
