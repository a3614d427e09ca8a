"""Gives a command the options that all analysis commands share, and the inputs of `--files-from`."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import typer

from moss_cli.cli.options import AnalysisOptions

_TYPERS = "typer_context"  # what the wrapper calls a command's `context`, which is also an option's name


def with_analysis_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the shared options; it receives them as its last argument, `options`."""

    @functools.wraps(command)
    def wrapper(**values: Any) -> int:
        options = AnalysisOptions(**{field.name: values.pop(field.name) for field in fields(AnalysisOptions)})
        values["context"] = values.pop(_TYPERS)
        options = _as_typed(values["context"], options)
        values["inputs"] = _all_inputs(values["context"], values["inputs"], options, needed="inputs" in needed)
        return command(**values, options=options)

    hints = _shared_hints()
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "options"]
    needed = [p.name for p in own if p.default is inspect.Parameter.empty]
    shared = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in fields(AnalysisOptions)
    ]
    own_hints = get_type_hints(command, include_extras=True)
    keyword = [
        p.replace(
            name=_TYPERS if p.name == "context" else p.name,
            kind=inspect.Parameter.KEYWORD_ONLY,
            annotation=own_hints[p.name],
            default=None if p.name == "inputs" else p.default,  # INPUT may be missing beside --files-from
        )
        for p in own
    ]
    wrapper.__signature__ = inspect.Signature([*keyword, *shared])  # type: ignore[attr-defined]
    own_hints[_TYPERS] = own_hints.pop("context")
    wrapper.__annotations__ = {p.name: own_hints[p.name] for p in keyword} | hints
    return wrapper


def _as_typed(context: typer.Context, options: AnalysisOptions) -> AnalysisOptions:
    """The suffix of an `-o FILE` that was typed comes before a format that a variable or config.toml sets."""
    sources = {name: context.get_parameter_source(name) for name in ("format", "output")}
    is_typed = {name: source is not None and source.name == "COMMANDLINE" for name, source in sources.items()}
    if not options.format or not options.output or is_typed["format"] or not is_typed["output"]:
        return options
    from moss_cli.output.formats import format_of

    path = Path(options.output)
    names_file = format_of(path) is not None and not os.path.isdir(path)  # noqa: PTH112 - see output_target
    return replace(options, format=None) if names_file else options


@functools.cache
def _shared_hints() -> dict[str, Any]:
    """The types of the shared options, which take long enough to evaluate that one would notice at each TAB."""
    return get_type_hints(AnalysisOptions, include_extras=True)


def _all_inputs(
    context: typer.Context, inputs: list[str] | None, options: AnalysisOptions, *, needed: bool
) -> list[str] | None:
    """The inputs of the command line and of --files-from. Raises UsageError where some are needed and none given."""
    if options.files_from is not None:
        from moss_cli.cli.input_list import read_list

        return [*(inputs or ()), *read_list(options.files_from, inputs or ())]
    if needed and not inputs:
        from moss_cli.errors import UsageError

        raise UsageError("missing argument 'INPUT...'", hint=f"see `{context.command_path} --help`")
    return inputs
