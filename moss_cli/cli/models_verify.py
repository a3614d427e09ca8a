"""`moss models verify`"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer

from moss_cli.cli.model_choice import Name
from moss_cli.errors import ModelError, amount, counted

if TYPE_CHECKING:
    from moss_cli.cli.console import Console
    from moss_cli.models.registry import Resolved

EXAMPLES = ("moss models verify 4b-instruct", "moss models verify 4b-instruct || moss models pull 4b-instruct")


def verify_model(context: typer.Context, name: Name) -> None:
    """Check that each file of a model is as the hub has it.

    Every byte is read and compared with the hashes that the hub gave when the model was pulled, and the headers of the
    weights with the configuration. It needs no network. Damaged files are listed, with exit code 5; `moss models pull`
    then downloads these again.
    """
    console: Console = context.obj
    found = _here(name, console)
    known = _check_files(name, found, console)
    from moss_cli.engine.check import check_checkpoint
    from moss_cli.models.quantised import quantised_folder

    check_checkpoint(found.folder)
    if not known:
        typer.echo(f"{name}: the headers fit the configuration; nobody knows the hashes of its files")
    copy = quantised_folder(found)
    if copy.is_dir():
        check_checkpoint(copy)
        typer.echo(f"{name}: the headers of its 4-bit copy fit the configuration")


def _here(name: str, console: Console) -> Resolved:
    """The model, also if files of it are missing that were there. Raises ModelError, UsageError."""
    from moss_cli.cli.model_choice import check_not_served, hub_model
    from moss_cli.models.hub import commit_of, repository_folder
    from moss_cli.models.pulled import read_record
    from moss_cli.models.registry import Resolved, load_registry, resolve

    if entry := load_registry().entries.get(name):
        check_not_served(entry)
    try:
        return resolve(name)
    except ModelError:
        entry = hub_model(name, console.typed)
        commit = commit_of(entry.hub, entry.revision) if entry.hub else None
        if entry.hub is None or commit is None or read_record(entry.hub, commit) is None:
            raise
        return Resolved(entry, repository_folder(entry.hub) / "snapshots" / commit, commit)


def _check_files(name: str, found: Resolved, console: Console) -> bool:
    """Compare every byte, and whether it is known what it should be. Raises ModelError."""
    from moss_cli.cli.transfer import Transfer
    from moss_cli.models.verify import damages, listing_of
    from moss_cli.output.terminal import one_line

    listing = listing_of(found)
    if listing is None:
        return False
    with Transfer(name, console) as transfer:
        wrong = damages(found, listing, lambda n_done, n_bytes: transfer.tell("verifying", n_done, n_bytes))
    for damage in wrong:
        typer.echo(one_line(str(damage)))
    if wrong:
        is_one = len(wrong) == 1
        hint = f"run `moss models pull {shlex.quote(name)}`, which downloads what is wrong again"
        what = "1 file is not as the hub has it" if is_one else f"{len(wrong)} files are not as the hub has them"
        raise ModelError(f"{name}: {what}", hint=hint)
    typer.echo(f"{name}: {counted(len(listing.files), 'file')}, {amount(listing.size)}, all as the hub has them")
    return True
