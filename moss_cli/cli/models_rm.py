"""`moss models rm`"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moss_cli.cli.command_line import run_hint
from moss_cli.cli.model_choice import RemovableName, hub_model
from moss_cli.errors import ExitCode, ModelError, OutputError, UsageError, amount

if TYPE_CHECKING:
    from moss_cli.cli.console import Console
    from moss_cli.models.entry import ModelEntry
    from moss_cli.models.remove import Removal

EXAMPLES = ("moss models rm 8b-thinking", "moss models rm OpenMOSS-Team/MOSS-Audio-4B-Instruct@main --yes")


def remove_model(
    context: typer.Context,
    name: RemovableName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a downloaded model and its 4-bit copy from this machine.

    Files that another revision of it needs stay. It asks first, and says so if another tool downloaded the model.
    """
    console: Console = context.obj
    entry = hub_model(name, console.typed)
    if entry.hub is None:
        raise _not_of_the_hub(entry)
    removal = _removal(entry)
    if removal is None:
        raise ModelError(f"{name} is not on this machine", code="model_missing", hint="see `moss models list`")
    copy = _copy_of(entry, removal)
    size = removal.size + _size(copy)
    what = f"{name}{' and its 4-bit copy' if copy.is_dir() else ''}, {amount(size)}"
    if not removal.is_ours:
        console.note(f"{name} was downloaded by another tool, which may still need it", always=True)
    if not yes and not _agreed(what, removal, console):
        console.note("nothing was removed", always=True)
        raise typer.Exit(ExitCode.FAILURE)
    _remove(removal, copy)
    console.note(f"removed {what}")


def _not_of_the_hub(entry: ModelEntry) -> UsageError:
    from moss_cli.models.registry import EMBEDDED

    if entry.name == EMBEDDED:
        return UsageError(f"{entry.name} comes with moss and is not removed")
    return UsageError(f"{entry.name} lies in a folder of your own, {entry.path}, which moss does not remove")


def _removal(entry: ModelEntry) -> Removal | None:
    """What there is of a model, also of a download that was not finished."""
    from moss_cli.models.hub import commit_of
    from moss_cli.models.pulled import records
    from moss_cli.models.remove import removal_of

    assert entry.hub is not None
    commits = [commit] if (commit := commit_of(entry.hub, entry.revision)) else []
    if entry.revision is None:
        commits += [one.listing.commit for one in records() if one.listing.hub_id == entry.hub]
    return next((one for commit in commits if (one := removal_of(entry.hub, commit))), None)


def _copy_of(entry: ModelEntry, removal: Removal) -> Path:
    from moss_cli.models.quantised import quantised_folder
    from moss_cli.models.registry import Resolved

    return quantised_folder(Resolved(entry, removal.snapshot, removal.commit))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*")) if folder.is_dir() else 0


def _agreed(what: str, removal: Removal, console: Console) -> bool:
    """Whether the user says yes. Raises UsageError where nobody can be asked."""
    if not (sys.stdin.isatty() and console.is_terminal):
        hint = run_hint(console.typed.added("--yes"))
        raise UsageError("removing a model asks first, and there is no terminal to ask on", hint=hint)
    console.stream.write(f"remove {what}, from {shlex.quote(str(removal.root))}? [y/N] ")
    console.stream.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _remove(removal: Removal, copy: Path) -> None:
    from moss_cli.models.remove import remove

    if copy.is_dir():
        try:
            shutil.rmtree(copy)
        except OSError as error:
            raise OutputError(f"{copy} cannot be removed: {(error.strerror or str(error)).lower()}") from error
    remove(removal)
