"""`moss config`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from moss_cli.cli.help import Command, examples
from moss_cli.cli.help_command import show_help_alone
from moss_cli.errors import UsageError

if TYPE_CHECKING:
    from moss_cli.cli.config import Options

ABOUT = "Show and change the settings in config.toml."
SHOW_EXAMPLES = ("moss config show", "moss config show transcribe -f json")
SET_EXAMPLES = (
    "moss config set model 4b-instruct",
    "moss config set transcribe.speakers true",
    "moss config set exclude '*.tmp' 'old/**'",
)
UNSET_EXAMPLES = ("moss config unset model", "moss config unset transcribe.speakers")
AS_TYPED = {"ignore_unknown_options": True}  # `--seed` is a key here, and -1 a value

app = typer.Typer(rich_markup_mode=None, help=ABOUT)
app.callback(help=ABOUT, invoke_without_command=True)(show_help_alone)


def _keys(incomplete: str) -> list[str]:
    from moss_cli.cli.app import app as whole
    from moss_cli.cli.config import options_of, shared_keys

    options = options_of(typer.main.get_command(whole))
    keys = [*shared_keys(options), *(f"{name}.{key}" for name, own in options.items() for key in own)]
    return [key for key in keys if key.startswith(incomplete)]


def _choices(context: typer.Context, incomplete: str) -> list[str]:
    """The values that the option of the key in front can have, as far as there is a list of them."""
    from moss_cli.cli.config import options_of

    if not context.args:
        return []
    command, name = _split(context.args[0])
    options = options_of(context.find_root().command)
    owners = [options.get(command, {})] if command else options.values()
    option = next((own[name] for own in owners if name in own), None)
    if option is None:
        return []
    if option.is_flag:
        return [word for word in ("true", "false") if word.startswith(incomplete)]
    return [item.value for item in option.shell_complete(context, incomplete)]


def _commands(incomplete: str) -> list[str]:
    from moss_cli.cli.app import app as whole
    from moss_cli.cli.config import options_of

    return [n for n, own in options_of(typer.main.get_command(whole)).items() if own and n.startswith(incomplete)]


Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="An option's long name, or COMMAND.OPTION for one command.",
        show_default=False,
        autocompletion=_keys,
    ),
]


@app.command("show", cls=Command, epilog=examples(SHOW_EXAMPLES))
def show(
    context: typer.Context,
    command: Annotated[
        str | None, typer.Argument(metavar="[COMMAND]", help="One command's options.", autocompletion=_commands)
    ] = None,
    format: Annotated[Literal["txt", "json"], typer.Option("--format", "-f", help="Text or JSON.")] = "txt",
) -> None:
    """Show what every option is set to, and where.

    A variable comes before config.toml, a command's table in it before what holds for all commands. Without COMMAND,
    COMMAND.OPTION is an option that differs there, or that only this command has.
    """
    import json

    from moss_cli.cli.config import read_settings
    from moss_cli.cli.config_show import check_command, table, values_of, values_of_all
    from moss_cli.settings import config_path

    group: Any = context.find_root().command
    if command is not None:
        check_command(group, command)
    settings = read_settings(group)
    values = values_of_all(group, settings) if command is None else values_of(group, command, settings)
    if format == "json":
        document = {"file": str(config_path()), "options": [one.document() for one in values]}
        typer.echo(json.dumps(document, indent=1))
    else:
        typer.echo(table(values), nl=False)


@app.command("path")
def path() -> None:
    """Print where config.toml is, or would be."""
    from moss_cli.settings import config_path

    typer.echo(config_path())


@app.command("set", context_settings=AS_TYPED, cls=Command, epilog=examples(SET_EXAMPLES))
def set_option(
    context: typer.Context,
    key: Key,
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="VALUE...",
            help="Its value; several for an option that is repeatable.",
            autocompletion=_choices,
        ),
    ],
) -> None:
    """Set an option in config.toml, for all commands or for one."""
    import os

    from moss_cli.cli.config import Setting, options_of
    from moss_cli.cli.config_edit import with_value
    from moss_cli.settings import config_path

    group: Any = context.find_root().command
    command, name = _split(key)
    options = options_of(group)
    owners = Setting(command, name, None, ()).commands(options)
    if not owners:
        raise _unknown(command, name, options, values)
    option = options[owners[0]][name]
    value = _checked(group, owners, option, key, values)
    _write(with_value(_text(), command, name, value))
    context.obj.note(f"{key} is set in {config_path()}")
    if option.envvar and os.environ.get(option.envvar):
        context.obj.warning(f"the variable {option.envvar} is set, and comes first")


@app.command("unset", context_settings=AS_TYPED, cls=Command, epilog=examples(UNSET_EXAMPLES))
def unset_option(context: typer.Context, key: Key) -> None:
    """Remove an option, or the table of a command, from config.toml."""
    from moss_cli.cli.command_line import run_hint
    from moss_cli.cli.config import normalised
    from moss_cli.cli.config_edit import keys_in, without
    from moss_cli.cli.usage import nearest_of
    from moss_cli.output.terminal import one_line
    from moss_cli.settings import config_path

    command, name = _split(key)
    text = _text()
    left = without(text, command, name)
    if left is None and command is None:
        left = without(text, name, None)  # the table of this name
    if left is None:
        keys = keys_in(text)
        elsewhere = (one for one in keys if normalised(one.rpartition(".")[2]) == name)
        nearest = next(elsewhere, None) or nearest_of(key, keys)
        hint = run_hint(f"moss config unset {nearest}") if nearest else "run `moss config show`"
        raise UsageError(f"{config_path()} does not set {one_line(key)}", hint=hint)
    _write(left)
    context.obj.note(f"{one_line(key)} is no longer set in {config_path()}")


def _split(key: str) -> tuple[str | None, str]:
    """Command and option: `top_p` is (None, "top-p"), `ask.seed` is ("ask", "seed")."""
    from moss_cli.cli.config import normalised

    command, dot, name = key.rpartition(".")
    return (normalised(command) if dot else None), normalised(name)


def _checked(group: Any, owners: list[str], option: Any, key: str, values: list[str]) -> Any:
    """The value as config.toml has it. Raises UsageError for one that a command cannot have."""
    from moss_cli.cli.config_values import check_value

    if len(values) > 1 and not option.multiple:
        raise UsageError(f"{key}: it has one value", hint="put quotes around a value with blanks")
    if option.multiple and len(values) == 1:
        values = _listed(values[0])
    if option.name == "model":
        _check_model(key, values[0])
    given = values if option.multiple else values[0]
    checked = [check_value(group.commands[name], option, key, given) for name in owners][-1]
    if any("\ud800" <= character <= "\udfff" for value in values for character in value):
        raise UsageError(f"{key}: it must be UTF-8 text")
    if isinstance(checked, (bool, int, float)):
        return checked
    return values if len(values) > 1 else values[0]


def _listed(value: str) -> list[str]:
    """The texts of a list as config.toml has it; else the one text."""
    import tomllib

    try:
        found = tomllib.loads(f"list = {value}")["list"] if value.startswith("[") else None
    except tomllib.TOMLDecodeError:
        found = None
    return found if isinstance(found, list) and found and all(isinstance(one, str) for one in found) else [value]


def _check_model(key: str, name: str) -> None:
    """Raise UsageError for a name that can be none of a model: no entry, no folder, no hub id, no server's address."""
    from moss_cli.cli.command_line import run_hint
    from moss_cli.cli.usage import nearest_of
    from moss_cli.models.registry import load_registry
    from moss_cli.output.terminal import one_line

    known = load_registry().entries
    if name in known or "/" in name:
        return
    nearest = nearest_of(name, known)
    hint = run_hint(f"moss config set {key} {nearest}") if nearest else f"known models: {', '.join(known)}"
    raise UsageError(f"{key}: no model named {one_line(name)}" if name else f"{key}: the name is empty", hint=hint)


def _unknown(command: str | None, name: str, options: Options, values: list[str]) -> UsageError:
    """The error of a key that no option has, with the command that was meant."""
    from moss_cli.cli.command_line import CommandLine, run_hint
    from moss_cli.cli.config import shared_keys
    from moss_cli.cli.usage import nearest_of
    from moss_cli.output.terminal import one_line

    key = name if command is None else f"{command}.{name}"
    owners = [f"{one}.{name}" for one, own in options.items() if name in own and command is None]
    known = [*shared_keys(options), *(f"{one}.{inner}" for one, own in options.items() for inner in own)]
    nearest = next(iter(owners), None) or nearest_of(key, known)
    hint = run_hint(CommandLine(("config", "set", nearest, *values))) if nearest else "run `moss config show`"
    return UsageError(f"there is no option {one_line(key)}", hint=hint)


def _text() -> str:
    """What stands in config.toml; nothing where there is none. Raises UsageError for what is not TOML."""
    from moss_cli.settings import config_path, read_toml

    path = config_path()
    read_toml(path)
    return path.read_bytes().decode("utf-8-sig") if path.exists() else ""


def _write(text: str) -> None:
    from moss_cli.errors import OutputError
    from moss_cli.output.atomic import write_atomic
    from moss_cli.settings import config_path

    path = config_path().resolve()  # people keep such files elsewhere, and link to them
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    write_atomic(path, text.encode(), overwrite=True)
