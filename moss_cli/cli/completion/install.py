"""The script of a shell where that shell looks for it, and whether new shells will load it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from moss_cli.cli.completion.reply import VARIABLE
from moss_cli.doctor.completion import in_shell, user_script
from moss_cli.errors import OutputError, UsageError

SCRIPTS = Path(__file__).parent / "scripts"
FILES = {"bash": "moss.bash", "zsh": "_moss", "fish": "moss.fish"}
_PATIENCE_S = 10  # chosen: a start-up file that takes longer asks for something, or never ends

# What a new interactive shell prints of itself; its start-up files may print as well.
_ASKING = {
    "bash": "complete -p moss >/dev/null 2>&1 || complete -p -D 2>/dev/null | grep -q load && echo moss:loads",
    "zsh": 'print -r -- ; (( $+_comps[moss] )) && print -r -- "moss:loads"; print -r -- "moss:fpath $fpath"',
}


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
    loads, folders = (True, ()) if shell == "fish" else _asked(shell, environ)
    rc_file = Path(environ.get("ZDOTDIR") or home) / ".zshrc" if shell == "zsh" else home / ".bashrc"
    line = None if loads else _line(shell, path, home, known=str(path.parent) in folders)
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


def _line(shell: str, path: Path, home: Path, *, known: bool) -> str:
    """What has the shell load the script. `known`: whether its folder is in $fpath already."""
    if shell == "bash":
        return f"source {in_shell(path, home)}"
    start = "autoload -Uz compinit; compinit"
    return start if known else f"fpath=({in_shell(path.parent, home)} $fpath); {start}"


def _asked(shell: str, environ: Mapping[str, str]) -> tuple[bool | None, tuple[str, ...]]:
    """Whether a new interactive shell completes moss, and its $fpath; None where it does not say."""
    try:
        process = subprocess.Popen(
            [shell, "-ic", _ASKING[shell]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,  # without a terminal that it could take
        )
    except OSError:
        return None, ()
    try:
        said = process.communicate(timeout=_PATIENCE_S)[0].decode("utf-8", "replace").splitlines()
    except subprocess.TimeoutExpired:
        return None, ()
    finally:
        _end(process)
    folders = next((line.split()[1:] for line in reversed(said) if line.startswith("moss:fpath ")), [])
    if shell == "zsh" and not folders:
        return None, ()
    return "moss:loads" in said, tuple(folders)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a shell and what it has started."""
    with suppress(OSError):  # gone already
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdout is not None:
        process.stdout.close()
    process.wait()
