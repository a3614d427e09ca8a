"""The commands. Each is a short file of its own, and imports what is heavy only when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from moss_cli.cli import (
    analyze,
    ask,
    batch,
    bench,
    completions,
    config_command,
    demo,
    doctor,
    help_command,
    inspect,
    models,
    schema,
    serve,
    summarize,
    transcribe,
)
from moss_cli.cli.config import default_map, read_settings
from moss_cli.cli.help import Command, examples
from moss_cli.cli.help_command import show_help_alone
from moss_cli.cli.plain_task import plain_command
from moss_cli.errors import UsageError
from moss_cli.tasks.catalogue import CATALOGUE

ABOUT = "Transcribe, describe and question recordings with the MOSS-Audio models, on your own machine."
WITHOUT_CONFIG = ("config", "help")  # what is there to mend it
WITH_OWN_OPTIONS = {"transcribe": transcribe.transcribe, "ask": ask.ask, "summarize": summarize.summarize}

app = typer.Typer(
    name="moss",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=ABOUT,
    epilog="Try it: moss demo",
)


def _version(wanted: bool) -> None:
    if wanted:
        from moss_cli.cli.version import version_line

        typer.echo(version_line())
        raise typer.Exit


@app.callback(help=ABOUT, invoke_without_command=True)
def main(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            callback=_version,
            is_eager=True,
            help="Print the versions of moss and torch, and the device.",
        ),
    ] = False,
) -> None:
    """Set the defaults of config.toml. Past --help and completion, which work whatever stands in it."""
    show_help_alone(context)
    if context.invoked_subcommand in WITHOUT_CONFIG:
        return
    try:
        context.default_map = default_map(context.command, read_settings(context.command))
    except UsageError:
        # Doctor tells what is wrong with the file; to help, the error's own hint may lead.
        if context.invoked_subcommand != "doctor" and not context.obj.typed.asks_for_help():
            raise


for entry in CATALOGUE:
    about = "\n\n".join(filter(None, (entry.help, entry.more)))
    made = WITH_OWN_OPTIONS.get(entry.name) or plain_command(entry)
    app.command(entry.name, cls=Command, help=about, epilog=examples(entry.examples))(made)
about = f"{analyze.ABOUT}\n\n{analyze.MORE}"
app.command("analyze", cls=Command, help=about, epilog=examples(analyze.EXAMPLES))(analyze.analyze)
app.add_typer(batch.app, name="batch")
app.add_typer(models.app, name="models")
app.add_typer(config_command.app, name="config")
app.command("demo", cls=Command, epilog=examples(demo.EXAMPLES))(demo.demo)
app.command("bench", cls=Command, epilog=examples(bench.EXAMPLES))(bench.bench)
app.command("doctor", cls=Command, epilog=examples(doctor.EXAMPLES))(doctor.doctor)
app.command("serve", cls=Command, epilog=examples(serve.EXAMPLES))(serve.serve)
app.command("schema", cls=Command, epilog=examples(schema.EXAMPLES))(schema.schema)
app.command("inspect", cls=Command, epilog=examples(inspect.EXAMPLES))(inspect.inspect)
app.command("help", cls=Command, epilog=examples(help_command.EXAMPLES))(help_command.show_help)
app.add_typer(completions.app, name="completions")
