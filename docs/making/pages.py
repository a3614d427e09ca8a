"""The reference as Markdown: a page for each command, and one for each list of codes, fields and variables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from making.commands import CommandFacts, Option
from making.fields import FieldFacts, fields_of
from making.variables import FILES, VARIABLES
from moss_cli.codes import ERRORS, EXIT_CODES, WARNINGS
from moss_cli.output.json_schema import json_schema
from moss_cli.tasks.catalogue import CATALOGUE

MADE = "<!-- Made by `make reference` from the program; do not edit. -->"
TIMES = "Times are in seconds from the start of the file, rounded to milliseconds."


def all_pages(root: CommandFacts) -> Mapping[str, str]:
    """The text of each page, by its name in docs/reference/."""
    pages = {f"{one.words[0]}.md": command_page(one) for one in root.commands}
    return {
        "README.md": index_page(root),
        **pages,
        "exit-codes.md": exit_codes_page(),
        "codes.md": codes_page(),
        "json.md": json_page(),
        "variables.md": variables_page(root),
    }


def page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", MADE, *filter(None, parts)]) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar in a cell is escaped."""
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def index_page(root: CommandFacts) -> str:
    rows = [(f"[`{one.name}`]({one.words[0]}.md)", one.about[0]) for one in root.commands]
    lists = (
        ("exit-codes.md", "Exit codes", "what a script learns from the code that moss ends with"),
        ("codes.md", "Codes of errors and warnings", "in the JSON and in reports"),
        ("json.md", "Fields of the JSON", "for every task"),
        ("variables.md", "Variables and files", "that moss reads"),
    )
    links = "\n".join(f"- [{title}]({name}): {about}" for name, title, about in lists)
    start = (
        "Every command, option, code, field and variable; commands and options also have manual pages, `man moss`. "
        "Each command has `-h`, `--help`."
    )
    options = table(("option of moss itself", ""), [(_names(one), one.help) for one in root.options])
    return page("Reference", start, table(("command", ""), rows), options, links)


def command_page(command: CommandFacts) -> str:
    body = [section for one in command.commands for section in (f"## {one.name}", *_body(one, "###"))]
    return page(command.name, *_body(command, "##"), *body)


def _body(command: CommandFacts, heading: str) -> Iterator[str]:
    yield from command.about
    yield f"```\n{command.usage}\n```"
    if command.commands:
        yield table(("command", ""), [(f"`{one.name}`", one.about[0]) for one in command.commands])
    if command.arguments:
        yield table(("argument", ""), [(f"`{name}`", help) for name, help in command.arguments])
    if not command.commands:
        for panel, options in command.panels:
            yield f"{heading} {panel}"
            yield table(("option", "value", "default", "", "variable, key"), map(_option_row, options))
    if command.examples:
        yield f"{heading} Examples"
        yield "```\n" + "\n".join(command.examples) + "\n```"


def _option_row(option: Option) -> tuple[str, ...]:
    value = ", ".join(f"`{one}`" for one in option.choices) or (f"`{option.value}`" if option.value else "")
    value = ", ".join(filter(None, (value, option.limits)))
    default = f"`{option.default}`" if option.default and " " not in option.default else option.default
    return _names(option), value, default, option.help, ", ".join(set_by(option))


def _names(option: Option) -> str:
    return ", ".join(f"`{name}`" for name in option.names)


def set_by(option: Option) -> Iterator[str]:
    """The variable and the key of config.toml that set an option, as code."""
    if option.variable:
        yield f"`{option.variable}`"
    if option.key:
        yield f"`{option.key}`" if option.is_shared else f"`{option.key}` in its table"


def exit_codes_page() -> str:
    rows = [(f"{code}", text) for code, text in EXIT_CODES.items()]
    about = "The code of a run over several inputs is 3 if some of them failed and others did not."
    return page("Exit codes", about, table(("code", ""), rows))


def codes_page() -> str:
    errors = "In `error.code` of an envelope whose `status` is `error`, and in the report that `--report` writes."
    warnings = "In `warnings[].code` of an envelope. `start` and `end` say where, if the warning is about a range."
    return page(
        "Codes of errors and warnings",
        "## Errors",
        errors,
        table(("code", ""), [(f"`{code}`", text) for code, text in ERRORS.items()]),
        "## Warnings",
        warnings,
        table(("code", ""), [(f"`{code}`", text) for code, text in WARNINGS.items()]),
    )


def json_page() -> str:
    first = json_schema(CATALOGUE[0].name)
    shared = {name: value for name, value in first["properties"].items() if name not in ("result", "task")}
    envelope = [
        FieldFacts("task", "text", "The task."),
        *fields_of({"properties": shared}, first["$defs"]),
        FieldFacts("result", "object", "What was found, as below for each task. Absent if the status is `error`."),
    ]
    parts = ["## Of every task", _fields_table(sorted(envelope, key=lambda one: _place(one.path)))]
    for entry in CATALOGUE:
        schema = json_schema(entry.name)
        result = schema["$defs"][schema["properties"]["result"]["$ref"].rpartition("/")[2]]
        parts += [f"## result of {entry.name}", _fields_table(fields_of(result, schema["$defs"]))]
    parts += ["## result of analyze", "A field for each task: its own envelope, or null if it was not asked for."]
    start = f"What `-f json` and `-f jsonl` print. `moss schema TASK` prints the same as a JSON Schema. {TIMES}"
    return page("Fields of the JSON", start, *parts)


_ORDER = [
    "schema_version",
    "moss",
    "task",
    "status",
    "input",
    "model",
    "params",
    "result",
    "text",
    "thinking",
    "chunks",
    "warnings",
    "usage",
    "error",
]


def _place(path: str) -> int:
    top = path.partition(".")[0].removesuffix("[]")
    return _ORDER.index(top) if top in _ORDER else len(_ORDER)


def _fields_table(fields: Iterable[FieldFacts]) -> str:
    return table(("field", "type", ""), [(f"`{one.path}`", one.type, one.about) for one in fields])


def variables_page(root: CommandFacts) -> str:
    of_options: dict[str, tuple[str, list[str]]] = {}
    for command in root.commands:
        for option in command.options:
            if option.variable:
                of_options.setdefault(option.variable, (option.names[0], []))[1].append(command.words[0])
    everywhere = max((len(names) for _, names in of_options.values()), default=0)
    rows = []
    for name, (option, commands) in sorted(of_options.items()):
        where = "" if len(commands) == everywhere else ", ".join(f"`{one}`" for one in commands)
        rows.append((f"`{name}`", f"`{option}`", where))
    start = (
        "An option is set by the first of these that names it: the command line, its variable, the command's table "
        "in `config.toml`, what stands above all tables there, the default. An empty variable counts as not set. "
        "A switch is set by `1` or `true`, and taken back by `0` or `false`. See [Settings](../config.md)."
    )
    return page(
        "Variables and files",
        start,
        "## Of options",
        table(("variable", "option", "only for"), rows),
        "## Others",
        table(("variable", ""), [(f"`{name}`", text) for name, text in VARIABLES.items()]),
        "## Files",
        table(("file", ""), [(f"`{name}`", text) for name, text in FILES.items()]),
    )
