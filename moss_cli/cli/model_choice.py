"""Which model a command of `moss models` means, and what shells complete its name to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moss_cli.errors import ModelError, MossError, UsageError

if TYPE_CHECKING:
    from moss_cli.cli.command_line import CommandLine
    from moss_cli.models.entry import ModelEntry
    from moss_cli.models.registry import Registry


def all_names(incomplete: str) -> list[str]:
    """The models of models.toml, and what was pulled beside them."""
    return _completed(incomplete, here=False, of_hub=False)


def pullable_names(incomplete: str) -> list[str]:
    """The models that are on the hub."""
    return _completed(incomplete, here=False, of_hub=True)


def local_names(incomplete: str) -> list[str]:
    """The models that are on this machine."""
    return _completed(incomplete, here=True, of_hub=False)


def hub_local_names(incomplete: str) -> list[str]:
    """The models on this machine that came from the hub."""
    return _completed(incomplete, here=True, of_hub=True)


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A model from `moss models list`, or ORG/NAME[@REVISION].",
        show_default=False,
        autocompletion=local_names,
    ),
]
AnyName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A model from `moss models list`, or ORG/NAME[@REVISION].",
        show_default=False,
        autocompletion=all_names,
    ),
]
HubName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A model from `moss models list`, or ORG/NAME[@REVISION]: any on the hub that has the format.",
        show_default=False,
        autocompletion=pullable_names,
    ),
]
RemovableName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A downloaded model: a name from `moss models list`, or ORG/NAME[@REVISION].",
        show_default=False,
        autocompletion=hub_local_names,
    ),
]


def _completed(incomplete: str, *, here: bool, of_hub: bool) -> list[str]:
    """Nothing where models.toml cannot be read."""
    from moss_cli.models.registry import locate

    try:
        entries = listed_entries()
        return [
            entry.name
            for entry in entries
            if entry.name.startswith(incomplete)
            and not (of_hub and entry.hub is None)
            and not (here and locate(entry) is None)
        ]
    except MossError:
        return []


def listed_entries() -> list[ModelEntry]:
    """The models of models.toml, and what was pulled beside them. Raises UsageError."""
    from moss_cli.models.pulled import records
    from moss_cli.models.registry import hub_entry, load_registry, locate

    registry = load_registry()
    entries = list(registry.entries.values())
    known = {(entry.hub, found.revision) for entry in entries if (found := locate(entry))}
    for record in records():
        hub_id, commit = record.listing.hub_id, record.listing.commit
        main = hub_entry(hub_id, None, registry)
        found = locate(main)
        entry = main if found and found.revision == commit else hub_entry(hub_id, commit, registry)
        if locate(entry) and (hub_id, commit) not in known:
            entries.append(entry)
            known.add((hub_id, commit))
    return entries


def usual_model() -> str:
    """The name of the model that commands use without --model: that of MOSS_MODEL, else of config.toml, else of
    models.toml. Raises UsageError."""
    import os

    from moss_cli.models.registry import load_registry
    from moss_cli.settings import config_path, read_toml

    return os.environ.get("MOSS_MODEL") or str(read_toml(config_path()).get("model") or load_registry().default)


def hub_model(name: str, typed: CommandLine) -> ModelEntry:
    """The model of a name that a command on the hub is given; its `hub` is None for one that lies in a folder.

    Raises ModelError, UsageError.
    """
    from moss_cli.cli.command_line import run_hint
    from moss_cli.models.registry import hub_entry, is_hub_id, load_registry

    registry = load_registry()
    if name in registry.entries:
        check_not_served(registry.entries[name])
        return registry.entries[name]
    base, at, revision = name.partition("@")
    if at and not revision:
        raise UsageError(f"{name} names no revision", hint=run_hint(typed.replaced(name, base)))
    if at and base in registry.entries:
        hub_id = registry.entries[base].hub
        hint = run_hint(typed.replaced(name, f"{hub_id}@{revision}")) if hub_id else None
        raise UsageError(f"the revision of {base} is set in models.toml", hint=hint)
    if is_hub_id(base):
        return hub_entry(base, revision or None, registry)
    raise unknown_model(name, registry, typed)


def check_not_served(entry: ModelEntry) -> None:
    """Raise UsageError for a model of which nothing is on this machine."""
    if entry.url is not None:
        raise UsageError(f"{entry.name} is a model of the server {entry.url}, and none of this machine")


def unknown_model(name: str, registry: Registry, typed: CommandLine) -> ModelError:
    """The error of a name that is in no models.toml."""
    from moss_cli.cli.command_line import run_hint
    from moss_cli.cli.usage import nearest_of

    nearest = nearest_of(name, registry.entries)
    known = f"run `moss models list`; known models: {', '.join(registry.entries)}"
    hint = run_hint(typed.replaced(name, nearest)) if nearest else known
    return ModelError(f"no model named {name}", hint=hint)
