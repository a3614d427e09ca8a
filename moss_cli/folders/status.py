"""The status of an output folder: what is done in it, what is not, and which runs are active."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from moss_cli import __version__
from moss_cli.errors import UsageError, counted
from moss_cli.folders.journal import UNFINISHED, read_journal
from moss_cli.folders.kinds import check_kind
from moss_cli.folders.leftovers import remove_leftovers
from moss_cli.folders.manifest import Manifest
from moss_cli.folders.manifest_entry import ManifestEntry, result_key
from moss_cli.folders.runs import ActiveRun, active_runs, forget_dead_runs
from moss_cli.output.terminal import one_line
from moss_cli.run.inputs import path_text
from moss_cli.schema import SCHEMA_VERSION

StatusName = Literal["done", "partial", "unfinished", "failed", "changed", "not begun"]
STATUSES: tuple[StatusName, ...] = get_args(StatusName)
FORGOTTEN: tuple[StatusName, ...] = ("unfinished", "failed", "not begun")  # by `clean`


@dataclass(frozen=True)
class InputStatus:
    """One input of an output folder. `changed`: its files are gone or have been changed since they were written.

    `share`: how much of an unfinished one is done, where its length is known. `task` is None while no run has started
    on it.
    """

    path: Path
    status: StatusName
    task: str | None = None
    outputs: tuple[str, ...] = ()
    share: float | None = None
    message: str | None = None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        path, path_bytes = path_text(self.path)
        return {
            "path": path,
            **({} if path_bytes is None else {"path_bytes": path_bytes}),
            "task": self.task,
            "status": self.status,
            "outputs": [path_text(Path(output))[0] for output in self.outputs],
            "share": None if self.share is None else round(self.share, 3),
            "message": None if self.message is None else one_line(self.message),
        }


@dataclass(frozen=True)
class FolderStatus:
    """All inputs of a folder, and the runs that are active in it."""

    folder: Path
    inputs: tuple[InputStatus, ...]
    runs: tuple[ActiveRun, ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        found = Counter(one.status for one in self.inputs)
        return {
            "schema_version": SCHEMA_VERSION,
            "moss": __version__,
            "folder": path_text(self.folder)[0],
            "runs": [asdict(run) for run in self.runs],
            "counts": {status: found[status] for status in STATUSES},
            "inputs": [one.document() for one in self.inputs],
        }

    def lines(self) -> list[str]:
        """The same for people: counts, runs, and a line for each input that is not done."""
        found = Counter(one.status for one in self.inputs)
        counts = ", ".join(f"{found[status]} {status}" for status in STATUSES if found[status])
        lines = [f"{counted(len(self.inputs), 'input')}: {counts}" if self.inputs else "no inputs yet"]
        for run in self.runs:
            who = f"{run.task}, process {run.pid} on {run.host}, since {run.started}" if run.pid else "just starting"
            lines.append(f"active run: {one_line(who)}")
        return [*lines, *(_line(one) for one in self.inputs if one.status != "done")]


def _line(one: InputStatus) -> str:
    share = "" if one.share is None else f", {100 * one.share:.0f} % done"
    task = f" ({one.task})" if one.task else ""
    message = "" if one.message is None else f": {one.message}"
    return one_line(f"{one.status}{share}: {one.path}{task}{message}")


def read_status(folder: Path) -> FolderStatus:
    """The status of an output folder. Raises UsageError where moss has written nothing, OutputError where its state is
    not a folder."""
    manifest = _manifest_of(folder)
    return FolderStatus(folder, _inputs(manifest), tuple(active_runs(manifest.state)))


def _inputs(manifest: Manifest) -> tuple[InputStatus, ...]:
    """The inputs in the order of their paths, each once for each task that was run on it."""
    unfinished = _unfinished(manifest)
    found = {key: _settled(manifest, record) for key, record in manifest.results.items()} | unfinished
    tasks = {key.partition(" ")[0] for key in found}
    begun = {stem for stem in manifest.names for task in tasks if result_key(task, stem) in found}
    rest = [InputStatus(Path(who), "not begun") for stem, who in manifest.names.items() if stem not in begun]
    return tuple(sorted([*found.values(), *rest], key=lambda one: (str(one.path), one.task or "")))


def _manifest_of(folder: Path) -> Manifest:
    manifest = Manifest.load(folder)
    check_kind(manifest.state, is_folder=True)
    if not manifest.state.is_dir():
        shown = one_line(str(folder))
        raise UsageError(f"{shown} is not an output folder of moss", hint="give a folder that was used with -o")
    return manifest


def _settled(manifest: Manifest, record: ManifestEntry) -> InputStatus:
    """The status of an input that a run has finished with."""
    facts = record.failure or record.provenance or {}
    path = Path(str(facts.get("input", "")))
    task = str(record.result).partition(" ")[0]
    if record.failure is not None:
        return InputStatus(path, "failed", task, message=record.failure.get("message"))
    stands = all(manifest.record_of(manifest.folder / name) is record for name in record.files)
    status: StatusName = "changed" if not stands else "partial" if facts.get("status") == "partial" else "done"
    return InputStatus(path, status, task, tuple(record.files))


def _unfinished(manifest: Manifest) -> dict[str, InputStatus]:
    """Inputs of which some chunks are done, by the name of their result."""
    states = {}
    for file in sorted((manifest.state / UNFINISHED).glob("*.jsonl")):
        header, found, _ = read_journal(file)
        if header is None or not found:
            continue
        key = str(header.get("result"))
        share = _share(header, found)
        states[key] = InputStatus(Path(str(header.get("input"))), "unfinished", key.partition(" ")[0], share=share)
    return states


def _share(header: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> float | None:
    """How far the chunks that are done reach."""
    try:
        end_s = max(float(one["span"][1]) for pieces in found.values() for one in pieces)
        return min(1.0, (end_s - float(header["start_s"])) / float(header["total_s"]))
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError):
        return None


@dataclass(frozen=True)
class Cleaned:
    """How many inputs were forgotten, by status, and how many temporary files of killed runs were removed."""

    forgotten: Mapping[StatusName, int]
    n_temporary: int

    def line(self) -> str:
        """The same for people."""
        kinds = ", ".join(f"{n} {status}" for status, n in self.forgotten.items() if n)
        what = [f"forgot {counted(sum(self.forgotten.values()), 'input')} ({kinds})"] if kinds else []
        what += [f"removed {counted(self.n_temporary, 'temporary file')}"] if self.n_temporary else []
        return "; ".join(what) or "nothing to clean"


def clean(folder: Path) -> Cleaned:
    """Forget the inputs without a result (unfinished, failed and not begun), with the names that they were given, and
    remove the files that killed runs left behind. Results stay.

    Raises UsageError where moss has written nothing, or while a run is active.
    """
    manifest = _manifest_of(folder)
    with manifest.locked():  # no run starts meanwhile
        if runs := active_runs(manifest.state):
            pid = f" (process {runs[0].pid} on {one_line(runs[0].host)})" if runs[0].pid else ""
            raise UsageError(f"a run is active in {one_line(str(folder))}{pid}", hint="clean when it has ended")
        forget_dead_runs(manifest.state)
        found = Counter(one.status for one in _inputs(manifest))
        journals = [file for file in (manifest.state / UNFINISHED).glob("*.jsonl") if not file.is_dir()]
        for journal in journals:
            journal.unlink(missing_ok=True)
        n_temporary = remove_leftovers(manifest.folders)
        manifest.forget_unfinished()
    return Cleaned({status: found[status] for status in FORGOTTEN}, n_temporary)
