"""`moss models`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moss_cli.cli.help_command import show_help_alone
from moss_cli.cli.options import model_names

if TYPE_CHECKING:
    from moss_cli.cli.command_line import CommandLine
    from moss_cli.models.registry import ModelEntry, Resolved

ABOUT = "List, show, download and quantise models."

app = typer.Typer(rich_markup_mode=None, help=ABOUT)
app.callback(help=ABOUT, invoke_without_command=True)(show_help_alone)


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="A model from `moss models list`.", show_default=False, autocompletion=model_names
    ),
]


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models and whether they are on this machine."""
    from moss_cli.models.quantised import quantised_folder
    from moss_cli.models.registry import load_registry, locate
    from moss_cli.output.terminal import one_line

    registry = load_registry()
    rows = [(entry, locate(entry)) for entry in registry.entries.values()]
    if as_json:
        _print_json([_facts(entry, found, default=entry.name == registry.default) for entry, found in rows])
        return
    width = max(len(one_line(entry.name)) for entry, _ in rows)
    for entry, found in rows:
        here = "here" if found else "server" if entry.url else "not here"
        mark = " (default)" if entry.name == registry.default else ""
        mark += ", 4-bit copy" if found and quantised_folder(found).is_dir() else ""
        typer.echo(f"{one_line(entry.name):<{width}}  {_size(entry):>7}  {here:<8}  {one_line(entry.title)}{mark}")


@app.command("show")
def show_model(
    context: typer.Context, name: Name, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show the details of a model."""
    from moss_cli.models.registry import load_registry, locate
    from moss_cli.output.terminal import one_line

    registry = load_registry()
    entry = _entry(name, context.obj.typed)
    facts = _facts(entry, locate(entry), default=name == registry.default)
    if as_json:
        _print_json(facts)
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            shown = "{:g} s".format if key == "piece_seconds" else _amount
            value = ", ".join(f"{k} {shown(v)}" for k, v in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        if value not in (None, ""):
            typer.echo(f"{key.replace('_', ' '):<15}{one_line(str(value))}")


@app.command("path")
def model_path(name: Name) -> None:
    """Print the folder of a model. Fails if it is not on this machine."""
    from moss_cli.models.registry import resolve

    typer.echo(resolve(name).folder)


@app.command("pull")
def pull_model(context: typer.Context, name: Name) -> None:
    """Download a model at its pinned revision, and print its folder."""
    import sys

    from moss_cli.errors import ModelError
    from moss_cli.models.hub import check_hub, download, is_whole
    from moss_cli.models.registry import locate, resolve

    entry = _entry(name, context.obj.typed)
    if entry.hub is None:
        typer.echo(f"moss: {name} is a local model; there is nothing to download", err=True)
        typer.echo(resolve(name).folder)
        return
    try:
        check_hub(entry.hub, entry.revision)
    except ModelError:
        here = locate(entry)
        if here is None or not is_whole(here.folder):
            raise
        typer.echo(f"moss: {name} is here already", err=True)
        typer.echo(here.folder)
        return
    typer.echo(f"moss: downloading {entry.hub} ({_size(entry)})", err=True)
    if not sys.stderr.isatty():
        typer.echo(download(entry.hub, entry.revision))
        return
    from moss_cli.cli.download_bar import download_bar

    with download_bar(entry.name, entry.size, sys.stderr) as tqdm_class:
        folder = download(entry.hub, entry.revision, tqdm_class=tqdm_class)
    typer.echo(folder)


@app.command("quantize")
def quantize_model(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FOLDER",
            help="A model from `moss models list`, or a checkpoint folder.",
            show_default=False,
            autocompletion=model_names,
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
    import sys

    from moss_cli.engine.devices import pick_device, pick_four_bit
    from moss_cli.engine.quantised_copy import write_copy
    from moss_cli.models.quantised import quantised_folder
    from moss_cli.models.registry import resolve

    found = resolve(name)
    folder = output or quantised_folder(found)
    kind = pick_four_bit(pick_device("auto"))
    if not sys.stderr.isatty():
        write_copy(found.folder, folder, kind=kind, revision=found.revision)
    else:
        from moss_cli.cli.download_bar import bytes_bar

        with bytes_bar(found.entry.name, sys.stderr) as progress:
            write_copy(found.folder, folder, kind=kind, revision=found.revision, progress=progress)
    typer.echo(folder.absolute())  # a bare name would be that of a listed model to `--model`


def _entry(name: str, typed: CommandLine | None = None) -> ModelEntry:
    from moss_cli.cli.command_line import run_hint
    from moss_cli.cli.usage import nearest_of
    from moss_cli.errors import ModelError
    from moss_cli.models.registry import load_registry

    entries = load_registry().entries
    if name not in entries:
        nearest = nearest_of(name, entries)
        known = f"run `moss models list`; known models: {', '.join(entries)}"
        hint = run_hint(typed.replaced(name, nearest)) if nearest and typed else known
        raise ModelError(f"no model named {name}", hint=hint)
    return entries[name]


def _size(entry: ModelEntry) -> str:
    return _amount(entry.size) if entry.size else "-"


def _amount(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def _facts(entry: ModelEntry, found: Resolved | None, *, default: bool) -> dict[str, object]:
    from moss_cli.models.quantised import quantised_folder

    copy = quantised_folder(found) if found else None
    return {
        "name": entry.name,
        "title": entry.title,
        "default": default,
        "demo": entry.demo,
        "thinking": entry.thinking,
        "thinks_over": list(entry.thinks_over),
        "languages": list(entry.languages),
        "hub": entry.hub,
        "url": entry.url,
        "revision": entry.revision,
        "bytes": entry.size,
        "memory": entry.memory,
        "max_seconds": entry.max_seconds,
        "piece_seconds": entry.piece_seconds,
        "path": str(found.folder) if found else None,
        "quantised": str(copy) if copy and copy.is_dir() else None,
    }


def _print_json(value: object) -> None:
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
