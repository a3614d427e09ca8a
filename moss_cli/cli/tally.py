"""What came of each input of a run, and all of them added up: for people, and as the JSON report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from moss_cli import __version__
from moss_cli.audio.source import printable
from moss_cli.errors import ExitCode, counted
from moss_cli.output import terminal
from moss_cli.output.formats import FORMATS
from moss_cli.output.times import human, to_ms
from moss_cli.run.inputs import path_text
from moss_cli.schema import SCHEMA_VERSION, Notice

ReportStatus = Literal["done", "skipped", "partial", "failed", "interrupted"]

MOST_LINES = 20  # of a kind; chosen
MOST_SUFFIXES = 6  # chosen


@dataclass(frozen=True)
class ReportEntry:
    """What came of one input. `is_silent`: nothing was said of it, for nobody speaks in it."""

    path: Path
    status: ReportStatus
    outputs: tuple[Path, ...] = ()
    code: str | None = None
    message: str | None = None
    exit_code: int = ExitCode.OK
    warnings: tuple[Notice, ...] = ()
    audio_s: float = 0.0
    is_silent: bool = False

    def document(self) -> dict[str, Any]:
        """As it stands in the JSON report."""
        path, path_bytes = path_text(self.path)
        return {
            "path": path,
            **({} if path_bytes is None else {"path_bytes": path_bytes}),
            "status": self.status,
            **({"outputs": [path_text(output)[0] for output in self.outputs]} if self.outputs else {}),
            "code": self.code,
            "message": None if self.message is None else terminal.one_line(self.message),
            **({"no_speech": True} if self.is_silent else {}),
            "warnings": [notice.model_dump() for notice in self.warnings],
        }


@dataclass(frozen=True)
class Tally:
    """All of a run: `audio_s` of audio analysed in `seconds`. `resumes`: a later run goes on from what it has done.

    `kept`: files in the place of results that were left as they are, and why. `passed_over`: how many files of the
    folders were not looked at, by their suffixes.
    """

    entries: Sequence[ReportEntry]
    started: datetime
    finished: datetime
    seconds: float
    resumes: bool = False
    kept: Mapping[Path, str] = field(default_factory=dict)
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @property
    def audio_s(self) -> float:
        return sum(entry.audio_s for entry in self.entries)

    def document(self, task: str) -> dict[str, Any]:
        """The JSON report."""
        found = Counter(entry.status for entry in self.entries)
        statuses: tuple[ReportStatus, ...] = ("done", "skipped", "partial", "failed", "interrupted")
        return {
            "schema_version": SCHEMA_VERSION,
            "moss": __version__,
            "started": _iso(self.started),  # third: what `_REPORT` knows a report by
            "finished": _iso(self.finished),
            "counts": {status: found[status] for status in statuses},
            "audio_seconds": round(self.audio_s, 3),
            "seconds": round(self.seconds, 3),
            "task": task,
            **({"kept": [path_text(path)[0] for path in self.kept]} if self.kept else {}),
            **({"passed_over": dict(self.passed_over)} if self.passed_over else {}),
            "inputs": [entry.document() for entry in self.entries],
        }

    def lines(self) -> list[str]:
        """The same for people: counts, what was left alone, where nobody speaks, and how long it took. What went wrong
        was said when it did."""
        why = Counter(entry.message if entry.status == "skipped" else entry.status for entry in self.entries)
        order = ["done", *sorted(str(name) for name in why if name not in ("done", "partial", "failed", "interrupted"))]
        counts = [f"{why[name]} {name}" for name in (*order, "partial", "failed") if why[name]]
        counts += [f"{why['interrupted']} not done"] if why["interrupted"] else []
        took = f"{human(to_ms(self.audio_s))} of audio in {human(to_ms(self.seconds))}"
        speed = [f"{took}, {times(self.audio_s / self.seconds)} real time"] if self.audio_s and self.seconds else []
        onward = "; the next run will continue from there" if self.resumes and why["interrupted"] else ""
        silent = [printable(entry.path) for entry in self.entries if entry.is_silent]
        total = f"{counted(len(self.entries), 'input')}: {', '.join(counts)}{onward}"
        return [total, *self.left_alone(), *_listed("no speech found", silent), *speed]

    def left_alone(self) -> list[str]:
        """What a run did not touch: files of the user's own, and files that it took for no recordings. That results lie
        beside recordings goes without saying."""
        lines = []
        for reason in dict.fromkeys(self.kept.values()):
            lines += _listed(f"{reason}, kept", [printable(path) for path, why in self.kept.items() if why == reason])
        passed_over = {suffix: n for suffix, n in self.passed_over.items() if suffix.removeprefix(".") not in FORMATS}
        if passed_over:
            found = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
            most = [f"{n} {terminal.one_line(suffix) or 'without a suffix'}" for suffix, n in found[:MOST_SUFFIXES]]
            rest = sum(n for _, n in found[MOST_SUFFIXES:])
            kinds = ", ".join([*most, *([f"{rest} others"] if rest else [])])
            n = counted(sum(passed_over.values()), "file")
            lines.append(f"passed over {n} by name ({kinds}); --include '*.SUFFIX' takes them")
        return lines


def _listed(what: str, names: Sequence[str]) -> list[str]:
    """A line for each name, up to a limit."""
    more = [f"{what}: and {len(names) - MOST_LINES} more"] if len(names) > MOST_LINES else []
    return [f"{what}: {name}" for name in names[:MOST_LINES]] + more


def times(speed: float) -> str:
    """`0.42x`, `3.4x`, `120x`"""
    return f"{speed:.2f}x" if speed < 1 else f"{speed:.1f}x" if speed < 100 else f"{speed:.0f}x"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
