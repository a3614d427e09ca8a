"""What moss wrote into files that were named one by one: it overwrites these, and no others, without --force.

What a folder's own manifest says of a file in it counts too: once moss has written a folder's results, that is where
all of its files are recorded. Otherwise records lie in the user's state folder, so that none appears beside a file.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from moss_cli.errors import OutputError
from moss_cli.folders.manifest import Manifest
from moss_cli.folders.unfinished import make_private
from moss_cli.run.inputs import identity
from moss_cli.settings import state_folder

FILES = "files"  # the folder of records, below the state folder


def files_elsewhere() -> Manifest:
    """The record, in the state folder, of the files that were named one by one, by their absolute paths. Raises
    OutputError where it is not a regular file."""
    return Manifest.load(Path("/"), state_folder() / FILES)


class SingleFile:
    """A file that a result goes into. Raises OutputError where records are not in a regular file."""

    def __init__(self, path: Path) -> None:
        self._path = Path(identity(path))
        self._beside = Manifest.load(path.parent)
        self._elsewhere = files_elsewhere()
        self._name_beside = path

    @property
    def is_ours(self) -> bool:
        """Whether moss wrote what lies there, and nobody has changed it since."""
        beside = self._beside.record_of(self._name_beside) is not None
        return beside or self._elsewhere.record_of(self._path) is not None

    def announce(self, data: bytes) -> None:
        """Record what is about to be written. Where that cannot be done, the next run will need --force."""
        with suppress(OutputError, OSError):
            if self._beside.file.exists():
                self._beside.announce({self._name_beside: data})
                return
            make_private(self._elsewhere.state)
            self._elsewhere.announce({self._path: data})
            self._elsewhere.compact()
