"""The commands. Each is a short file of its own, and imports what is heavy only when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from moss_cli import __version__
from moss_cli.cli import (
    ask,
    batch,
    completions,
    demo,
    describe_speaker,
    emotion,
    inspect,
    models,
    music,
    scene,
    schema,
    summarize,
    transcribe,
)
from moss_cli.cli.config import default_map

app = typer.Typer(
    name="moss",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Ask recordings questions: transcripts and more, by the MOSS-Audio models, on this machine.",
    epilog="Try it: moss demo",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"moss {__version__}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Ask recordings questions: transcripts and more, by the MOSS-Audio models, on this machine."""
    # Here, past --help and completion: these work whatever config.toml holds.
    context.default_map = default_map(context.command, context.obj)


app.command("transcribe")(transcribe.transcribe)
app.command("describe-speaker")(describe_speaker.describe_speaker)
app.command("emotion")(emotion.emotion)
app.command("scene")(scene.scene)
app.command("music")(music.music)
app.command("ask")(ask.ask)
app.command("summarize")(summarize.summarize)
app.add_typer(batch.app, name="batch")
app.add_typer(models.app, name="models")
app.command("demo")(demo.demo)
app.command("schema")(schema.schema)
app.command("inspect")(inspect.inspect)
app.command("completions")(completions.completions)
