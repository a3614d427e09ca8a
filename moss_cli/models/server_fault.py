"""What goes wrong with a request to a server, and what is said of it."""

from __future__ import annotations

from typing import Literal

from moss_cli.errors import ModelError, MossError
from moss_cli.models.address import Server
from moss_cli.settings import ENV_PREFIX

KEY_VARIABLE = ENV_PREFIX + "API_KEY"
TIMEOUT_VARIABLE = ENV_PREFIX + "SERVER_TIMEOUT"

Kind = Literal["unreachable", "untrusted", "silent", "cut", "garbage", "status"]
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # statuses that may be another one the next time


class ServerFault(Exception):
    """A request that came to nothing. `said`: the server's own words, or the system's; `field`: of the request, which
    it is about; `retry_after_s`: when the server wants to be asked again."""

    def __init__(
        self, kind: Kind, said: str, *, status: int = 0, field: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(said)
        self.kind, self.said, self.status, self.field, self.retry_after_s = kind, said, status, field, retry_after_s

    @property
    def may_pass(self) -> bool:
        """Whether the same request may do better later."""
        return self.status in PASSING if self.kind == "status" else self.kind != "untrusted"


def as_model_error(fault: ServerFault, server: Server) -> MossError:
    """A fault that is not of one request alone, in one line with what to do about it."""
    url, said = server.url, fault.said
    if fault.kind == "unreachable":
        hint = "start it with `moss serve`, or check the address" if server.is_local else "check address and network"
        return ModelError(f"cannot reach {url}: {said}", code="server_unreachable", hint=hint)
    if fault.kind == "untrusted":
        hint = "set SSL_CERT_FILE to the certificate of the server's authority"
        return ModelError(f"{url} cannot be trusted: {said}", code="server_untrusted", hint=hint)
    if fault.kind == "silent":
        hint = f"set {TIMEOUT_VARIABLE} to more seconds if it needs longer"
        return ModelError(f"{url} did not answer: {said}", code="server_timeout", hint=hint)
    if fault.kind == "cut":
        return ModelError(f"{url} broke off its answer: {said}", code="server_cut")
    if fault.kind == "garbage":
        return ModelError(f"{url} gave an answer that cannot be read: {said}", code="server_garbage")
    if fault.status in (401, 403):
        hint = f"set {KEY_VARIABLE} to a key of that server"
        return ModelError(f"{url} refuses access ({fault.status}): {said}", code="server_refused", hint=hint)
    if fault.status == 404:
        hint = "an address looks like http://127.0.0.1:8642/v1 or http://127.0.0.1:8642/v1#MODEL"
        return ModelError(f"{url} does not have what was asked for (404): {said}", code="server_not_found", hint=hint)
    if 300 <= fault.status < 400:
        hint = "give the address that it names, if you trust it"
        return ModelError(f"{url} redirects, which is not followed: {said}", code="server_redirect", hint=hint)
    if fault.status == 429:
        return ModelError(f"{url} is too busy (429): {said}", code="server_busy", hint="try a smaller --batch-size")
    return ModelError(f"{url} failed ({fault.status}): {said}", code="server_error")
