"""What `moss models list` and `show` tell of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moss_cli.doctor.needs import fits, parameters_of
from moss_cli.engine.fit import DeviceFacts, DtypeName, facts_without_torch, pick_dtype
from moss_cli.errors import amount
from moss_cli.models.quantised import quantised_folder
from moss_cli.models.registry import locate
from moss_cli.output.terminal import one_line

if TYPE_CHECKING:
    from moss_cli.models.entry import ModelEntry


@dataclass(frozen=True)
class ModelFacts:
    """A model as it stands on this machine. size: bytes on the disk if it is here, else to download. dtype: what
    `--dtype auto` would load it in, None where its size is not known; fits: whether it fits in that."""

    entry: ModelEntry
    folder: Path | None
    revision: str | None
    copy: Path | None
    size: int | None
    dtype: DtypeName | None
    fits: bool
    is_default: bool

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        entry = self.entry
        return {
            "name": entry.name,
            "title": entry.title,
            "default": self.is_default,
            "here": self.folder is not None,
            "demo": entry.demo,
            "thinking": entry.thinking,
            "thinks_over": list(entry.thinks_over),
            "tasks": list(entry.tasks),
            "languages": list(entry.languages),
            "hub": entry.hub,
            "url": entry.url,
            "revision": self.revision or entry.revision,
            "bytes": self.size,
            "memory": entry.memory,
            "runs_as": self.dtype if self.fits else None,
            "max_seconds": entry.max_seconds,
            "piece_seconds": entry.piece_seconds,
            "path": None if self.folder is None else str(self.folder),
            "quantised": None if self.copy is None else str(self.copy),
        }

    def notes(self) -> str:
        """What stands behind a model's row."""
        marks = {"default": self.is_default, "demo": self.entry.demo, "4-bit copy": self.copy is not None}
        return ", ".join(mark for mark, holds in marks.items() if holds)


def device_facts() -> DeviceFacts:
    """What `--device auto` chooses and has; torch is only imported where there may be a GPU."""
    if facts := facts_without_torch():
        return facts
    from moss_cli.engine import devices

    return devices.device_facts(devices.pick_device("auto"))


def model_facts(entry: ModelEntry, default: str, device: DeviceFacts) -> ModelFacts:
    """How a model stands."""
    found = locate(entry)
    size = entry.size if found is None else _on_disk(found.folder)
    copy = quantised_folder(found) if found else None
    n_parameters = parameters_of(entry) or (size // 2 if size else None)
    dtype = pick_dtype("auto", n_parameters, device) if n_parameters else None
    return ModelFacts(
        entry=entry,
        folder=found.folder if found else None,
        revision=found.revision if found else None,
        copy=copy if copy and copy.is_dir() else None,
        size=size,
        dtype=dtype,
        fits=dtype is not None and fits(entry, dtype, device, n_parameters),
        is_default=entry.name == default,
    )


def _on_disk(folder: Path) -> int:
    """Bytes of the files of a checkpoint, those that links lead to included."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


HEADINGS = ("NAME", "HERE", "SIZE", "BF16", "4-BIT", "RUNS AS")


def table(models: Sequence[ModelFacts]) -> list[str]:
    """A row for each model, under headings; of the usual names none is wider than 80 columns."""
    rows = [HEADINGS, *(_row(one) for one in models)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    ends = ["", *(one.notes() for one in models)]
    lines = []
    for row, end in zip(rows, ends, strict=True):
        cells = [cell.rjust(width) if i in (2, 3, 4) else cell.ljust(width) for i, (cell, width) in _wide(row, widths)]
        lines.append("  ".join([*cells, end]).rstrip())
    return lines


def _wide(row: Sequence[str], widths: Sequence[int]) -> list[tuple[int, tuple[str, int]]]:
    return list(enumerate(zip(row, widths, strict=True)))


def _row(one: ModelFacts) -> tuple[str, ...]:
    n_bytes = parameters_of(one.entry)
    bf16 = one.entry.memory.get("bf16") or (2 * n_bytes if n_bytes else one.size)
    runs_as = "?" if one.dtype is None else one.dtype if one.fits else "too large"
    here = "server" if one.entry.url else "yes" if one.folder else "no"
    return (
        one_line(one.entry.name),
        here,
        _shown(one.size),
        _shown(bf16),
        _shown(one.entry.memory.get("4bit")),
        runs_as,
    )


def _shown(n_bytes: int | None) -> str:
    return "-" if n_bytes is None else amount(n_bytes)
