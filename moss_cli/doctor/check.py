"""One line of the report, and looking at something that may break."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from moss_cli.errors import as_moss_error

CheckStatus = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Check:
    """What was looked at and how it stands.

    fix: the command that mends it; every warning and error has one. facts: what stands in the text, for scripts.
    """

    name: str
    status: CheckStatus
    text: str
    fix: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """All checks. can_run: whether the model that is used where none is named can run here."""

    moss: str
    default_model: str | None
    can_run: bool
    checks: tuple[Check, ...]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "checks": [asdict(check) for check in self.checks]}


def tried(name: str, look: Callable[[], Check], *, fix: str) -> Check:
    """What a look gives, or an error of that name where it breaks: one broken thing hides no other."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - whatever is broken is what this line is there to tell
        return Check(name, "error", as_moss_error(error).message, fix)


def tried_all(name: str, look: Callable[[], Iterable[Check]], *, fix: str) -> list[Check]:
    """As `tried`, of a look that gives several."""
    try:
        return list(look())
    except Exception as error:  # noqa: BLE001 - see above
        return [Check(name, "error", as_moss_error(error).message, fix)]


def install(*packages: str, has_pip: bool | None = None) -> str:
    """The command that installs packages beside this moss; uv's environments have no pip."""
    if has_pip is None:
        has_pip = importlib.util.find_spec("pip") is not None
    python = shlex.quote(sys.executable)
    pip = f"{python} -m pip install" if has_pip else f"uv pip install --python {python}"
    return f"{pip} {shlex.join(packages)}"


def listed(names: Sequence[str]) -> str:
    """Names one after another, or `none`."""
    return ", ".join(names) or "none"
