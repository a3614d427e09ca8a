"""Where shells look for completion scripts, and whether that of moss is there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from moss_cli.doctor.check import Check
from moss_cli.doctor.shells import asked, in_shell, line_of, rc_file_of

_SCRIPTS = {  # below a folder for data
    "bash": "bash-completion/completions/moss",
    "zsh": "zsh/site-functions/_moss",
    "fish": "fish/vendor_completions.d/moss.fish",
}
INSTALL = "moss completions install"


def check_completion(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> Check:
    """Whether the user's shell finds a completion script for moss where it looks for them."""
    shell, home = shell_of(environ), home or Path.home()
    if shell not in _SCRIPTS:
        text = f"not looked for: the shell is {shell or 'not known'}, not bash, zsh or fish"
        return Check("completion", "ok", text, facts={"shell": shell, "script": None})
    found = next((path for path in script_places(shell, environ, home) if os.path.isfile(path)), None)  # noqa: PTH113 - Path.is_file may raise
    facts = {"shell": shell, "script": str(found) if found else None}
    if found:
        loads, folders = (True, ()) if shell == "fish" else asked(shell, environ)
        if loads is not False:
            return Check("completion", "ok", f"{shell}: {found}", facts=facts)
        line = line_of(shell, found, home, known=str(found.parent) in folders)
        fix = f"echo {shlex.quote(line)} >> {in_shell(rc_file_of(shell, environ, home), home)}"
        return Check("completion", "warning", f"{shell}: new shells do not load {found}", fix, facts)
    return Check("completion", "warning", f"not installed for {shell}", f"{INSTALL} {shell}", facts)


def shell_of(environ: Mapping[str, str]) -> str:
    """The user's shell, as $SHELL names it: `zsh`."""
    return Path(environ.get("SHELL", "")).name


def user_script(shell: str, environ: Mapping[str, str], home: Path) -> Path:
    """Where a user's own script for moss goes. Sources: the READMEs of bash-completion and fish; zsh has no place of
    its own, and ~/.zfunc is what others use."""
    if shell == "zsh":
        return home / ".zfunc" / "_moss"
    if shell == "fish":
        return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "fish" / "completions" / "moss.fish"
    own = environ.get("BASH_COMPLETION_USER_DIR", "").partition(":")[0]  # a list, from bash-completion 2.12 on
    return Path(own or user_data(environ, home) / "bash-completion") / "completions" / "moss"


def script_places(shell: str, environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Where a script for moss may lie: the user's, one that a package installed, one in a folder of $FPATH."""
    yield user_script(shell, environ, home)
    data = (environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    yield from (Path(folder) / _SCRIPTS[shell] for folder in (str(user_data(environ, home)), *data) if folder)
    if shell == "zsh":
        yield from (Path(folder) / "_moss" for folder in environ.get("FPATH", "").split(":") if folder)


def user_data(environ: Mapping[str, str], home: Path) -> Path:
    """The user's folder for data."""
    return Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
