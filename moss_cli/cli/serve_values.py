"""What options of `moss serve` say: tokens, names of hosts, times and sizes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from moss_cli.errors import UsageError
from moss_cli.settings import parse_time

if TYPE_CHECKING:
    from moss_cli.serve.address import Address

TOKEN_VARIABLE = "MOSS_SERVER_TOKEN"
LEAST_TOKEN = 16  # characters; chosen: `openssl rand -hex 16` gives 32
_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def token_of(file: str | None, address: Address) -> str | None:
    """The token that clients need. Raises UsageError where there has to be one and is none, or a short one."""
    token, where = os.environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
    if file is not None:
        where = file
        try:
            token = Path(file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise UsageError(f"the token file {file} cannot be read: {reason}") from error
    if token and (len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        message = f"the token in {where} must have {LEAST_TOKEN} printable ASCII characters or more, and no blanks"
        raise UsageError(message, hint="make one with `openssl rand -hex 16`")
    if file is not None and not token:
        raise UsageError(f"the token file {file} is empty", hint="make one with `openssl rand -hex 16`")
    if not token and not address.is_local:
        message = f"{address.host} can be reached from other machines, so a token is needed"
        raise UsageError(message, hint="run `openssl rand -hex 16 > token`, and add `--token-file token`")
    return token or None


def hosts_of(address: Address, allowed: list[str]) -> frozenset[str] | None:
    """The Host headers that are taken: any where a token is needed anyway, because the server is not local."""
    if not address.is_local:
        return None
    return address.host_names | {name.lower() for name in allowed}


def time_of(name: str, text: str) -> float:
    try:
        return parse_time(text)
    except UsageError as error:
        raise UsageError(f"{name}: {error.message}", hint=error.hint) from error


def seconds_of(name: str, text: str) -> float:
    """A time that is not zero."""
    seconds = time_of(name, text)
    if not seconds:
        raise UsageError(f"{name} must be greater than zero")
    return seconds


def bytes_of(name: str, text: str) -> int:
    """Bytes of `500MB`, `2GB` or `1GiB`. Raises UsageError."""
    number = text.strip().lower()
    unit = number.lstrip("0123456789.").strip()
    factor = _UNITS.get(unit, 1 if unit in ("", "b") else 0)
    try:
        n_bytes = int(float(number.removesuffix(unit)) * factor)
    except ValueError:
        n_bytes = 0
    if n_bytes < 1:
        raise UsageError(f"{name} {text} is no size", hint="write 500MB or 2GB")
    return n_bytes
