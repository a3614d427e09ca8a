"""What is known of an output folder: what is done in it, what is not, and who is at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from moss_cli import __version__
from moss_cli.errors import UsageError, counted
from moss_cli.folders.journal import UNFINISHED, read_journal
from moss_cli.folders.kinds import check_kind
from moss_cli.folders.leftovers import remove_leftovers
from moss_cli.folders.lines import Line, result_key
from moss_cli.folders.manifest import Manifest
from moss_cli.folders.names import path_text
from moss_cli.folders.runs import RunAtWork, forget_dead_runs, runs_at_work
from moss_cli.output.terminal import one_line
from moss_cli.schema import SCHEMA_VERSION

Status = Literal["done", "partial", "unfinished", "failed", "changed", "not begun"]
STATUSES: tuple[Status, ...] = ("done", "partial", "unfinished", "failed", "changed", "not begun")
FORGOTTEN: tuple[Status, ...] = ("unfinished", "failed", "not begun")  # by `clean`


@dataclass(frozen=True)
class InputState:
    """One input of an output folder. `changed`: its files are gone or no longer as they were written.

    `share`: of an unfinished one, how much of it is done, where its length is known. `task` is None while no run has
    come to it.
    """

    path: Path
    status: Status
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
class FolderState:
    """All of a folder, as `read_state` found it."""

    folder: Path
    inputs: tuple[InputState, ...]
    runs: tuple[RunAtWork, ...]

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
        lines = [f"{counted(len(self.inputs), 'input')}: {counts}" if self.inputs else "nothing was done here yet"]
        for run in self.runs:
            who = f"{run.task}, process {run.pid} on {run.host}, since {run.started}" if run.pid else "just beginning"
            lines.append(f"a run at work: {one_line(who)}")
        return [*lines, *(_line(one) for one in self.inputs if one.status != "done")]


def _line(one: InputState) -> str:
    share = "" if one.share is None else f", {100 * one.share:.0f} % done"
    task = f" ({one.task})" if one.task else ""
    message = "" if one.message is None else f": {one.message}"
    return one_line(f"{one.status}{share}: {one.path}{task}{message}")


def read_state(folder: Path) -> FolderState:
    """What is known of an output folder. Raises UsageError where no run ever was, OutputError for a state that is no
    folder."""
    manifest = _manifest_of(folder)
    return FolderState(folder, _inputs(manifest), tuple(runs_at_work(manifest.state)))


def _inputs(manifest: Manifest) -> tuple[InputState, ...]:
    """The inputs in their order, each as often as there are tasks that came to it."""
    unfinished = _unfinished(manifest)
    found = {key: _settled(manifest, line) for key, line in manifest.results.items()} | unfinished
    tasks = {key.partition(" ")[0] for key in found}
    begun = {stem for stem in manifest.names for task in tasks if result_key(task, stem) in found}
    rest = [InputState(Path(who), "not begun") for stem, who in manifest.names.items() if stem not in begun]
    return tuple(sorted([*found.values(), *rest], key=lambda one: (str(one.path), one.task or "")))


def _manifest_of(folder: Path) -> Manifest:
    manifest = Manifest.load(folder)
    check_kind(manifest.state, is_folder=True)
    if not manifest.state.is_dir():
        shown = one_line(str(folder))
        raise UsageError(f"moss has written nothing into {shown}", hint="name a folder that was given as -o")
    return manifest


def _settled(manifest: Manifest, line: Line) -> InputState:
    """What came of an input that some run was done with."""
    facts = line.failure or line.made or {}
    path = Path(str(facts.get("input", "")))
    task = str(line.result).partition(" ")[0]
    if line.failure is not None:
        return InputState(path, "failed", task, message=line.failure.get("message"))
    stands = all(manifest.line_of(manifest.folder / name) is line for name in line.files)
    status: Status = "changed" if not stands else "partial" if facts.get("status") == "partial" else "done"
    return InputState(path, status, task, tuple(line.files))


def _unfinished(manifest: Manifest) -> dict[str, InputState]:
    """Inputs of which some pieces are done, by the name of their result."""
    states = {}
    for file in sorted((manifest.state / UNFINISHED).glob("*.jsonl")):
        header, found, _ = read_journal(file)
        if header is None or not found:
            continue
        key = str(header.get("result"))
        share = _share(header, found)
        states[key] = InputState(Path(str(header.get("input"))), "unfinished", key.partition(" ")[0], share=share)
    return states


def _share(header: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> float | None:
    """How far the pieces that are done reach."""
    try:
        end_s = max(float(one["span"][1]) for pieces in found.values() for one in pieces)
        return min(1.0, (end_s - float(header["start_s"])) / float(header["total_s"]))
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError):
        return None


@dataclass(frozen=True)
class Cleaned:
    """How many inputs were forgotten, by what had become of them, and how many files of killed runs removed."""

    forgotten: Mapping[Status, int]
    n_temporary: int

    def line(self) -> str:
        """The same for people."""
        kinds = ", ".join(f"{n} {status}" for status, n in self.forgotten.items() if n)
        what = [f"forgot {counted(sum(self.forgotten.values()), 'input')} ({kinds})"] if kinds else []
        what += [f"removed {counted(self.n_temporary, 'temporary file')}"] if self.n_temporary else []
        return "; ".join(what) or "there is nothing to clean"


def clean(folder: Path) -> Cleaned:
    """Forget the inputs without a result (unfinished ones, failures, and those that were not begun, with the names they
    were given), and remove the files that killed runs left behind. Results stay.

    Raises UsageError where no run ever was, or one is at work.
    """
    manifest = _manifest_of(folder)
    with manifest.locked():  # no run begins meanwhile
        if runs := runs_at_work(manifest.state):
            pid = f" (process {runs[0].pid} on {one_line(runs[0].host)})" if runs[0].pid else ""
            raise UsageError(f"a run is at work on {one_line(str(folder))}{pid}", hint="clean when it is over")
        forget_dead_runs(manifest.state)
        found = Counter(one.status for one in _inputs(manifest))
        journals = [file for file in (manifest.state / UNFINISHED).glob("*.jsonl") if not file.is_dir()]
        for journal in journals:
            journal.unlink(missing_ok=True)
        n_temporary = remove_leftovers(manifest.folders)
        manifest.tidy_all()
    return Cleaned({status: found[status] for status in FORGOTTEN}, n_temporary)
