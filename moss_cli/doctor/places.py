"""The cache, the configuration, and completion in the shell."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from moss_cli.doctor.check import Check, amount, listed
from moss_cli.models.entry import ModelEntry
from moss_cli.models.hub import hub_cache
from moss_cli.models.registry import load_registry, locate
from moss_cli.settings import ENV_PREFIX, cache_folder, config_folder, config_path, read_toml

OTHER_CACHE = "export HF_HUB_CACHE=FOLDER"  # where there is room, which only the user knows


def check_cache(
    default: ModelEntry | None, *, free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
) -> Check:
    """Where downloads go, and whether the default model still has room there if it is not here yet."""
    folder = hub_cache()
    there = nearest_folder(folder)
    n_free = free(there)
    facts = {"folder": str(folder), "free_bytes": n_free, "quantised": str(cache_folder() / "quantised")}
    text = f"{folder}, {amount(n_free)} free"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check("cache", "error", f"{folder} cannot be written to", OTHER_CACHE, facts)
    needed = default.size if default and default.hub and locate(default) is None else None
    if needed and needed > n_free:
        missing = f"{default.name if default else ''} takes {amount(needed)}, {amount(needed - n_free)} more"
        return Check("cache", "error", f"{text}; {missing}", OTHER_CACHE, facts)
    return Check("cache", "ok", text, facts=facts)


def nearest_folder(path: Path) -> Path:
    """The path, or the first above it that exists."""
    return next((one for one in (path, *path.parents) if one.exists()), Path("/"))


def read_as_toml() -> object:
    """What stands in config.toml, whatever it means. Raises UsageError for what is no TOML."""
    return read_toml(config_path())


def check_config(environ: Mapping[str, str] = os.environ, *, read: Callable[[], object] = read_as_toml) -> Check:
    """Which files and variables set something, and whether the files can be read; config.toml by `read`, which raises
    what is wrong with it."""
    there = [config_folder() / name for name in ("config.toml", "models.toml")]
    files = [str(path) for path in there if path.exists()]
    variables = sorted(name for name in environ if name.startswith(ENV_PREFIX))
    text = f"{listed(files)}; variables: {listed(variables)}" if files else f"no files in {config_folder()}"
    if not files and variables:
        text += f"; variables: {listed(variables)}"
    facts = {"folder": str(config_folder()), "files": files, "variables": variables}
    for path, take in zip(there, (read, load_registry), strict=True):
        try:
            take()
        except Exception as error:  # noqa: BLE001 - told here whatever it is
            return Check("config", "error", str(error), edit(path), facts)
    return Check("config", "ok", text, facts=facts)


def edit(path: Path) -> str:
    """The command that opens a file in the user's editor."""
    return f"${{EDITOR:-vi}} {shlex.quote(str(path))}"


def check_completion(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> Check:
    """Whether the user's shell finds a completion script for moss where it looks for them."""
    shell, home = Path(environ.get("SHELL", "")).name, home or Path.home()
    if shell not in _SCRIPTS:
        text = f"not looked for: the shell is {shell or 'not known'}, not bash, zsh or fish"
        return Check("completion", "ok", text, facts={"shell": shell, "script": None})
    user = _user_script(shell, environ, home)
    data = (environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    places = [user, *(Path(folder) / _SCRIPTS[shell] for folder in data if folder)]
    if shell == "zsh":
        places += [Path(folder) / "_moss" for folder in environ.get("FPATH", "").split(":") if folder]
    found = next((path for path in places if os.path.isfile(path)), None)  # noqa: PTH113 - Path.is_file may raise
    facts = {"shell": shell, "script": str(found) if found else None}
    if found:
        return Check("completion", "ok", f"{shell}: {found}", facts=facts)
    fix = f"mkdir -p {_in_shell(user.parent, home)} && moss completions {shell} > {_in_shell(user, home)}"
    return Check("completion", "warning", f"not installed for {shell}", fix, facts)


_SCRIPTS = {
    "bash": "bash-completion/completions/moss",
    "zsh": "zsh/site-functions/_moss",
    "fish": "fish/vendor_completions.d/moss.fish",
}


def _in_shell(path: Path, home: Path) -> str:
    """A path as a shell takes it, short where it lies at home."""
    if path.is_relative_to(home):
        return f"~/{shlex.quote(str(path.relative_to(home)))}"
    return shlex.quote(str(path))


def _user_script(shell: str, environ: Mapping[str, str], home: Path) -> Path:
    """Where a user's own script for moss goes. Sources: the READMEs of bash-completion and fish; zsh has no place of
    its own, and ~/.zfunc is what others use."""
    if shell == "zsh":
        return home / ".zfunc" / "_moss"
    if shell == "fish":
        return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "fish" / "completions" / "moss.fish"
    own = environ.get("BASH_COMPLETION_USER_DIR")
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "bash-completion"
    return Path(own or data) / "completions" / "moss"
