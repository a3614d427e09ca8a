"""`moss models pull`"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer

from moss_cli.cli.model_choice import HubName, hub_model
from moss_cli.errors import ModelError, amount

if TYPE_CHECKING:
    from pathlib import Path

    from moss_cli.cli.console import Console
    from moss_cli.models.download import Pulled

EXAMPLES = (
    "moss models pull 4b-instruct",
    "moss models pull OpenMOSS-Team/MOSS-Audio-4B-Instruct@main",
    "HF_HUB_CACHE=/mnt/models moss models pull 8b-instruct",
)


def pull_model(context: typer.Context, name: HubName) -> None:
    """Download a model, or what is missing or damaged of it, and print its folder.

    A download that breaks off goes on where it was when the command is run again. Each file is compared with the
    hub's hash of it before it is used. Only weights, configuration and tokenizer are downloaded, never code. The files
    lie in the cache of the Hugging Face hub, which other tools share; HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN,
    HF_HUB_OFFLINE and the variables for proxies are honoured.
    """
    console: Console = context.obj
    entry = hub_model(name, console.typed)
    if entry.hub is None:
        from moss_cli.models.registry import resolve

        console.note(f"{name} is a local model; there is nothing to download")
        typer.echo(resolve(name).folder)
        return
    from moss_cli.cli.transfer import Transfer
    from moss_cli.models.download import pull

    with Transfer(name, console) as transfer:
        pulled = pull(entry.hub, entry.revision, tell=transfer.tell, note=transfer.note)
    for damage in pulled.mended:
        console.note(f"mended: {damage}")
    if pulled.unasked:
        console.note(f"{pulled.unasked.message}; what is here is whole")
    if not pulled.n_fetched:
        console.note(f"{name} is here already")
    else:
        console.note(f"{name} is here: {amount(pulled.listing.size)}, each file as the hub has it")
        _check(name, pulled)
        console.note(f"use it with `--model {shlex.quote(name)}`")
    typer.echo(pulled.folder)


def _check(name: str, pulled: Pulled) -> None:
    """Raise ModelError if what was pulled is no model that the engine runs."""
    from moss_cli.engine.check import check_checkpoint

    try:
        check_checkpoint(pulled.folder)
    except ModelError as error:
        reason = _without_folder(error.message, pulled.folder)
        hint = f"`moss models rm {shlex.quote(name)}` removes it"
        raise ModelError(f"{name} is no model that moss can run: {reason}", hint=hint) from error


def _without_folder(message: str, folder: Path) -> str:
    """A message with the names of files alone, which lie deep in the cache."""
    return message.replace(f"{folder}/", "").replace(str(folder), "it")
