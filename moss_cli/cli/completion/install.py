"""The script of a shell where that shell looks for it, and whether new shells will load it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moss_cli.cli.completion.reply import VARIABLE
from moss_cli.doctor.completion import user_script
from moss_cli.doctor.shells import asked, line_of, rc_file_of
from moss_cli.errors import OutputError, UsageError

SCRIPTS = Path(__file__).parent / "scripts"
FILES = {"bash": "moss.bash", "zsh": "_moss", "fish": "moss.fish"}


@dataclass(frozen=True)
class Installed:
    """A script in its place. `line`: what its shell still needs in `rc_file`, None where it needs nothing; `is_sure`:
    whether the shell itself said so."""

    shell: str
    path: Path
    is_new: bool
    rc_file: Path
    line: str | None
    is_sure: bool


def script_of(shell: str) -> str:
    """The completion script of a shell."""
    return (SCRIPTS / FILES[shell]).read_text(encoding="utf-8")


def install(shell: str, environ: Mapping[str, str], home: Path) -> Installed:
    """Put a shell's script where it looks. Raises UsageError for a file there that is not ours, OutputError."""
    from moss_cli.output.atomic import write_atomic

    path, script = user_script(shell, environ, home), script_of(shell)
    before = _ours(path)
    if before != script:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {path.parent}: {error.strerror}") from error
        write_atomic(path.resolve(), script.encode(), overwrite=True)
    loads, folders = (True, ()) if shell == "fish" else asked(shell, environ)
    rc_file = rc_file_of(shell, environ, home)
    line = None if loads else line_of(shell, path, home, known=str(path.parent) in folders)
    return Installed(shell, path, before != script, rc_file, line, loads is not None)


def uninstall(shell: str, environ: Mapping[str, str], home: Path) -> Path | None:
    """Remove the script that `install` wrote; None where there is none. Raises UsageError for a file that is not
    ours, OutputError."""
    path = user_script(shell, environ, home)
    if _ours(path) is None:
        return None
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(f"cannot remove {path}: {error.strerror}") from error
    return path


def _ours(path: Path) -> str | None:
    """The script that lies there, None where there is none. Raises UsageError for something else."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror}") from error
    if VARIABLE not in text:
        raise UsageError(f"{path} is not a completion script of moss", hint="move it away, and try again")
    return text
