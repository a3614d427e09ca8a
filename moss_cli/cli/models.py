"""`moss models`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from moss_cli.cli import models_pull, models_rm, models_verify
from moss_cli.cli.help import Command, examples
from moss_cli.cli.help_command import show_help_alone
from moss_cli.cli.model_choice import AnyName, Name, local_names

if TYPE_CHECKING:
    from moss_cli.cli.console import Console
    from moss_cli.models.entry import ModelEntry

ABOUT = "List, download, check, quantise and remove models."
LIST_EXAMPLES = ("moss models list", "moss models list -f json | jq -r '.[] | select(.here) | .name'")
SHOW_EXAMPLES = ("moss models show 4b-instruct", "moss models show OpenMOSS-Team/MOSS-Audio-4B-Instruct")
PATH_EXAMPLES = ('ls "$(moss models path 4b-instruct)"',)
QUANTIZE_EXAMPLES = ("moss models quantize 4b-instruct", "moss models quantize 4b-instruct -o 4b-4bit/")

app = typer.Typer(rich_markup_mode=None, help=ABOUT)
app.callback(help=ABOUT, invoke_without_command=True)(show_help_alone)

AsJson = Annotated[bool, typer.Option("--json", help="The same as -f json.")]
ShownAs = Annotated[Literal["txt", "json"], typer.Option("--format", "-f", help="Text or JSON.")]


@app.command("list", cls=Command, epilog=examples(LIST_EXAMPLES))
def list_models(shown_as: ShownAs = "txt", as_json: AsJson = False) -> None:
    """List the models: which are here, how large they are, and as what each would run here.

    SIZE is what a model takes on the disk, BF16 and 4-BIT what its weights take in memory. RUNS AS is the precision
    that `--dtype auto` chooses on this machine now, or `too large` if not even 4 bits fit.
    """
    from moss_cli.cli.model_choice import listed_entries, usual_model
    from moss_cli.cli.model_facts import device_facts, model_facts, table

    default, device = usual_model(), device_facts()
    models = [model_facts(entry, default, device) for entry in listed_entries()]
    if as_json or shown_as == "json":
        _print_json([one.document() for one in models])
    else:
        typer.echo("\n".join(table(models)))


@app.command("show", cls=Command, epilog=examples(SHOW_EXAMPLES))
def show_model(context: typer.Context, name: AnyName, shown_as: ShownAs = "txt", as_json: AsJson = False) -> None:
    """Show all that is known of a model."""
    from moss_cli.cli.model_choice import usual_model
    from moss_cli.cli.model_facts import device_facts, model_facts
    from moss_cli.output.terminal import one_line

    facts = model_facts(_known(name, context.obj), usual_model(), device_facts()).document()
    if as_json or shown_as == "json":
        _print_json(facts)
        return
    for key, value in facts.items():
        shown = _shown(key, value)
        if shown:
            typer.echo(f"{key.replace('_', ' '):<15}{one_line(shown)}")


@app.command("path", cls=Command, epilog=examples(PATH_EXAMPLES))
def model_path(name: Name) -> None:
    """Print the folder of a model. Fails if it is not on this machine."""
    from moss_cli.models.registry import resolve

    typer.echo(resolve(name).folder)


app.command("pull", cls=Command, epilog=examples(models_pull.EXAMPLES))(models_pull.pull_model)
app.command("verify", cls=Command, epilog=examples(models_verify.EXAMPLES))(models_verify.verify_model)


@app.command("quantize", cls=Command, epilog=examples(QUANTIZE_EXAMPLES))
def quantize_model(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FOLDER",
            help="A model from `moss models list`, or a checkpoint folder.",
            show_default=False,
            autocompletion=local_names,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Where to write the copy. Without it, where `--dtype 4bit` looks for it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a 4-bit copy of a model, which is what `--dtype 4bit` then loads, and print its folder.

    It takes a quarter of the room and of the time to load. With -o it is a model of its own: `--model FOLDER/`.
    """
    from moss_cli.cli.transfer import Transfer
    from moss_cli.engine.devices import pick_device, pick_four_bit
    from moss_cli.engine.quantised_copy import write_copy
    from moss_cli.models.quantised import quantised_folder
    from moss_cli.models.registry import resolve

    found = resolve(name)
    folder = output or quantised_folder(found)
    kind = pick_four_bit(pick_device("auto"))
    with Transfer(found.entry.name, context.obj) as transfer:

        def tell(n_done: int, n_bytes: int) -> None:
            transfer.tell("quantising", n_done, n_bytes)

        write_copy(found.folder, folder, kind=kind, revision=found.revision, progress=tell)
    typer.echo(folder.absolute())  # a bare name would be that of a listed model to `--model`


app.command("rm", cls=Command, epilog=examples(models_rm.EXAMPLES))(models_rm.remove_model)


def _known(name: str, console: Console) -> ModelEntry:
    """The entry of a name, or of a hub model that is here. Raises ModelError."""
    from moss_cli.cli.model_choice import unknown_model
    from moss_cli.models.registry import load_registry, resolve

    registry = load_registry()
    if name in registry.entries:
        return registry.entries[name]
    if "/" not in name:
        raise unknown_model(name, registry, console.typed)
    return resolve(name).entry


def _shown(key: str, value: object) -> str:
    """A value for people; nothing for one that is not known."""
    from moss_cli.errors import amount

    if isinstance(value, dict):
        shown = "{:g} s".format if key == "piece_seconds" else amount
        return ", ".join(f"{k} {shown(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key == "bytes" and isinstance(value, int):
        return f"{value} ({amount(value)})"
    return "" if value is None else str(value)


def _print_json(value: object) -> None:
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
