"""Whether new shells load a completion script, which they are asked, and the line that has them do so."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_PATIENCE_S = 10  # chosen: a start-up file that takes longer asks for something, or never ends

# What a new interactive shell prints of itself; its start-up files may print as well.
_ASKING = {
    "bash": "complete -p moss >/dev/null 2>&1 || complete -p -D 2>/dev/null | grep -q load && echo moss:loads",
    "zsh": 'print -r -- ; (( $+_comps[moss] )) && print -r -- "moss:loads"; print -r -- "moss:fpath $fpath"',
}


def rc_file_of(shell: str, environ: Mapping[str, str], home: Path) -> Path:
    """The file that a new interactive shell, bash or zsh, reads."""
    return Path(environ.get("ZDOTDIR") or home) / ".zshrc" if shell == "zsh" else home / ".bashrc"


def line_of(shell: str, path: Path, home: Path, *, known: bool) -> str:
    """What has the shell load the script. `known`: whether its folder is in $fpath already."""
    if shell == "bash":
        return f"source {in_shell(path, home)}"
    start = "autoload -Uz compinit; compinit"
    return start if known else f"fpath=({in_shell(path.parent, home)} $fpath); {start}"


def asked(shell: str, environ: Mapping[str, str]) -> tuple[bool | None, tuple[str, ...]]:
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


def in_shell(path: Path, home: Path) -> str:
    """A path as a shell takes it, short where it lies at home."""
    if path.is_relative_to(home):
        return f"~/{shlex.quote(str(path.relative_to(home)))}"
    return shlex.quote(str(path))
