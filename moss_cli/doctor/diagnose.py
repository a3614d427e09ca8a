"""All checks, each by itself: what breaks one hides no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from moss_cli import __version__
from moss_cli.bench.kept import FILE, kept_results
from moss_cli.bench.machine import this_machine
from moss_cli.doctor.check import Check, Diagnosis, install, tried, tried_all
from moss_cli.doctor.completion import check_completion
from moss_cli.doctor.devices import all_devices, check_four_bit, check_memory, check_no_gpu
from moss_cli.doctor.models import Placing, check_model
from moss_cli.doctor.places import OTHER_CACHE, check_cache, check_config, edit, read_as_toml
from moss_cli.doctor.software import check_moss, check_python, check_torch, torch_facts
from moss_cli.engine.devices import device_facts, pick_device, pick_four_bit
from moss_cli.errors import MossError, as_moss_error
from moss_cli.models.registry import Registry, load_registry
from moss_cli.settings import config_folder, state_folder

ANY_DEVICE = "export MOSS_DEVICE=auto"


def diagnose(
    *,
    model: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    read_config: Callable[[], object] = read_as_toml,
) -> Diagnosis:
    """Look at everything. model, device, dtype: what a command would use that is run without them, None: models.toml's.
    read_config: see `check_config`.

    Raises nothing: what breaks is an error of its line.
    """
    try:
        registry = load_registry()
        models: list[Check] = []
    except Exception as error:  # noqa: BLE001 - see `tried`
        text, fix = as_moss_error(error).message, edit(config_folder() / "models.toml")
        registry, models = Registry("", {}), [Check("models", "error", text, fix)]
    default = model or registry.default
    four_bit = tried("4-bit", partial(_four_bit, device), fix=install("--upgrade", "bitsandbytes"))
    if not models:
        models = _models(registry, default, device, dtype, four_bit)
    checks = (
        *_software(),
        *tried_all("devices", partial(_devices, registry, device), fix="nvidia-smi"),
        four_bit,
        tried("codecs", _codecs, fix=install("--force-reinstall", "av", "soundfile", "soxr")),
        *_places(registry, default, read_config),
        *models,
    )
    can_run = any(check.facts.get("model") == default and check.status != "error" for check in models)
    return Diagnosis(__version__, default or None, can_run, checks)


def _software() -> Iterator[Check]:
    yield tried("moss", check_moss, fix=install("--force-reinstall", "moss-cli"))
    yield tried("Python", check_python, fix=install("--force-reinstall", "moss-cli"))
    yield tried("torch", lambda: check_torch(torch_facts()), fix=install("--force-reinstall", "torch"))


def _devices(registry: Registry, asked: str) -> Iterator[Check]:
    """A line for each device, and one for a device that is asked for and is not here."""
    entries = list(registry.entries.values())
    devices = all_devices()
    if [one.type for one in devices] == ["cpu"]:
        yield check_no_gpu()
    for one in devices:
        yield tried(str(one), partial(check_memory, one, entries), fix="nvidia-smi")
    try:
        pick_device(asked)
    except MossError as error:
        yield Check("device", "error", error.message, ANY_DEVICE, {"device": asked})


def _four_bit(asked: str) -> Check:
    device = _usable(asked)
    return check_four_bit(device, device_facts(device))


def _codecs() -> Check:
    from moss_cli.doctor.codecs import check_codecs  # what it imports may be what is broken

    return check_codecs()


def _usable(asked: str) -> torch.device:
    """The device that is asked for, or the one that would be used without asking where that is not here."""
    try:
        return pick_device(asked)
    except MossError:
        return pick_device("auto")


def _places(registry: Registry, default: str, read_config: Callable[[], object]) -> Iterator[Check]:
    entry = registry.entries.get(default)
    yield tried("cache", partial(check_cache, entry), fix=OTHER_CACHE)
    yield tried("config", partial(check_config, read=read_config), fix=edit(config_folder() / "config.toml"))
    yield tried("completion", check_completion, fix="export SHELL=/bin/bash")


def _models(registry: Registry, default: str, device: str, dtype: str, four_bit: Check) -> list[Check]:
    names = list(registry.entries)
    if default and default not in names:
        names.append(default)

    def look(name: str) -> Check:
        return check_model(name, registry, _placing(default, device, dtype, four_bit))

    return [tried(name, partial(look, name), fix=ANY_DEVICE) for name in names]


def _placing(default: str, asked: str, dtype: str, four_bit: Check) -> Placing:
    """Raises DeviceError, UsageError."""
    device = pick_device(asked)
    return Placing(
        default=default,
        device=device,
        device_name=this_machine(device).device_name,
        facts=device_facts(device),
        dtype=dtype,
        four_bit=pick_four_bit(device),
        four_bit_fix=four_bit.fix if four_bit.status == "error" else None,
        kept=tuple(kept_results(_text_of(state_folder() / FILE))),
    )


def _text_of(path: Path) -> str | None:
    """What stands in a file; None where there is none that can be read, as of figures that were never kept."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
