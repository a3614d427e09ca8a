"""Whether a model can run here, in which dtype, and how fast it was when it was last measured."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import torch

from moss_cli.doctor.check import Check
from moss_cli.doctor.needs import fits, parameters_of, weights_bytes
from moss_cli.engine.checkpoint import read_headers
from moss_cli.engine.config import load_config
from moss_cli.engine.devices import FourBit
from moss_cli.engine.fit import DeviceFacts, pick_dtype
from moss_cli.engine.quantised_copy import read_copy_info
from moss_cli.errors import ModelError, amount
from moss_cli.models.entry import ModelEntry
from moss_cli.models.registry import EMBEDDED, Registry, Resolved, resolve

USE_EMBEDDED = f"export MOSS_MODEL={EMBEDDED}"


@dataclass(frozen=True)
class Placing:
    """Where models are to run, and what they are measured against.

    default: the model that is used where none is named. dtype: as it is asked for. four_bit: what 4bit is on the
    device; four_bit_fix: the command that mends it, where it does not work. kept: what `moss bench` kept.
    """

    default: str
    device: torch.device
    device_name: str
    facts: DeviceFacts
    dtype: str
    four_bit: FourBit
    four_bit_fix: str | None
    kept: tuple[dict[str, Any], ...]


def check_model(name: str, registry: Registry, placing: Placing) -> Check:
    """Whether a model, by its name in models.toml or its folder, is here and fits."""
    entry = registry.entries.get(name) or ModelEntry(name)
    try:
        found = resolve(name)
    except ModelError as error:
        return _missing(entry, error, registry, placing)
    try:
        n_parameters, dtype = _on_disk(found.folder, placing)
    except ModelError as error:
        facts = _facts(name, placing, here=True, dtype=None)
        return Check(_label(name, placing), "error", error.message, _refetch(found), facts)
    entry = replace(found.entry, name=name)  # a folder, or a hub id, is named as the user names it
    facts = _facts(name, placing, here=True, dtype=dtype)
    return _unfit(entry, dtype, n_parameters, registry, placing, facts) or _fit(found, name, dtype, placing, facts)


def _fit(found: Resolved, name: str, dtype: str, placing: Placing, facts: dict[str, Any]) -> Check:
    measured = speed(found.entry.name, _held(dtype, placing), placing)
    told = f"{measured:.3g} x real time" if measured else f"speed: moss bench --model {shlex.quote(name)}"
    text = f"runs as {_shown(dtype, placing)} on {placing.device}; {told}"
    return Check(_label(name, placing), "ok", text, facts=facts | {"real_time": measured})


def _on_disk(folder: Path, placing: Placing) -> tuple[int, str]:
    """How many parameters the checkpoint in a folder has, and in which dtype it would be loaded. Raises ModelError."""
    load_config(folder)
    if read_copy_info(folder):
        n_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        return 2 * n_bytes, "4bit"
    n_parameters = sum(prod(info.shape) for info in read_headers(folder).values())
    return n_parameters, pick_dtype(placing.dtype, n_parameters, placing.facts)


def _refetch(found: Resolved) -> str:
    """The command that gets what is damaged of a checkpoint anew, or does without it."""
    if found.entry.hub is None:
        return USE_EMBEDDED
    return f"moss models pull {shlex.quote(found.entry.name)}"


def _missing(entry: ModelEntry, error: ModelError, registry: Registry, placing: Placing) -> Check:
    """A model that is not here. Only of the default one it is an error that it was not downloaded."""
    n_parameters = parameters_of(entry)
    dtype = pick_dtype(placing.dtype, n_parameters, placing.facts) if n_parameters else None
    facts = _facts(entry.name, placing, here=False, dtype=dtype)
    fix = f"moss models pull {entry.name}" if entry.hub and entry.name in registry.entries else USE_EMBEDDED
    label = _label(entry.name, placing)
    if error.code != "model_missing":
        return Check(label, "error", error.message, fix, facts)
    if dtype and (unfit := _unfit(entry, dtype, n_parameters, registry, placing, facts)):
        return unfit
    size = f", {amount(entry.size)} to download" if entry.size else ""
    would = f"; would run as {_shown(dtype, placing)} on {placing.device}" if dtype else ""
    if entry.name == placing.default:
        return Check(label, "error", f"not on this machine{size}{would}", fix, facts)
    return Check(label, "ok", f"not on this machine{size}{would}", facts=facts)


def _unfit(
    entry: ModelEntry,
    dtype: str,
    n_parameters: int | None,
    registry: Registry,
    placing: Placing,
    facts: dict[str, Any],
) -> Check | None:
    """What keeps a model from running in a dtype, None if nothing does. Of others than the default it is a warning."""
    label, status = _label(entry.name, placing), "error" if entry.name == placing.default else "warning"
    if not fits(entry, dtype, placing.facts, n_parameters):
        needed = amount(weights_bytes(entry, dtype, n_parameters) or 0)
        free = amount(placing.facts.free_bytes)
        text = f"does not fit on {placing.device} as {dtype}: its weights take {needed}, and {free} are free"
        fits_otherwise = placing.dtype != "auto" and fits(entry, "4bit", placing.facts, n_parameters)
        fix = "export MOSS_DTYPE=auto" if fits_otherwise else instead(registry.entries.values(), placing)
        return Check(label, status, text, fix, facts)  # type: ignore[arg-type]
    if dtype == "4bit" and placing.four_bit_fix:
        text = f"fits on {placing.device} only as 4bit, which does not work here"
        return Check(label, status, text, placing.four_bit_fix, facts)  # type: ignore[arg-type]
    return None


def instead(entries: Iterable[ModelEntry], placing: Placing) -> str:
    """The command that chooses the largest model for all tasks that fits, the embedded one if none does."""
    four_bit = "4bit" if placing.facts.type != "mps" else "fp16"
    fitting = [one for one in entries if one.hub and not one.tasks and fits(one, four_bit, placing.facts)]
    if not fitting:
        return USE_EMBEDDED
    # Files of the same size differ by some bytes; then it is the first one.
    largest = max(fitting, key=lambda entry: round(parameters_of(entry) or 0, -8))
    return f"moss models pull {largest.name} && export MOSS_MODEL={largest.name}"


def speed(name: str, held: str, placing: Placing) -> float | None:
    """The most seconds of audio that were transcribed in a second, None where nobody measured it in that dtype here.

    Random weights of a model's size are as good as its own.
    """
    subjects = {("checkpoint", name), ("random", name.partition("-")[0])}
    for one in placing.kept:
        subject, machine = one["subject"], one["machine"]
        is_it = (subject["weights"], subject["name"]) in subjects and subject["dtype"] == held
        if is_it and machine["device_name"] == placing.device_name:
            return max((batch["real_time"] for batch in one.get("batches", ())), default=None)
    return None


def _facts(name: str, placing: Placing, *, here: bool, dtype: str | None) -> dict[str, Any]:
    return {"model": name, "here": here, "device": str(placing.device), "dtype": dtype, "real_time": None}


def _held(dtype: str, placing: Placing) -> str:
    return placing.four_bit if dtype == "4bit" else dtype


def _shown(dtype: str | None, placing: Placing) -> str:
    return f"4bit ({placing.four_bit})" if dtype == "4bit" else str(dtype)


def _label(name: str, placing: Placing) -> str:
    return f"{name} (default)" if name == placing.default else name
