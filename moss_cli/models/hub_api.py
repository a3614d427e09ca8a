"""Asking the hub: what a model consists of, and the bytes of a file from some place on.

HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and proxies are huggingface_hub's to honour, whose client this is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from moss_cli.errors import ModelError, MossError, UsageError
from moss_cli.models.hub import COMMIT
from moss_cli.models.hub_file import HASH, HubFile, Listing, is_pickle, is_wanted

_PART, _BEYOND = 206, 416  # statuses: a range as asked for; one that starts behind the end
_AGAIN = (408, 429, 500, 502, 503, 504)  # what passes
_LATER = "run the same command again later"


class Passing(Exception):
    """The hub did not answer, or not now: the same may work a little later.

    error: what is said where it does not. wait_s: how long the hub asks to wait.
    """

    def __init__(self, error: MossError, wait_s: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait_s = wait_s


def hub_host() -> str:
    """The hub that is asked, for messages."""
    from huggingface_hub import constants

    return constants.ENDPOINT.partition("://")[2]


def list_files(hub_id: str, revision: str | None) -> Listing:
    """What a hub model has at a revision, None for the main one. Raises ModelError, UsageError, Passing."""
    from huggingface_hub import HfApi, constants

    try:
        api = HfApi(endpoint=constants.ENDPOINT)
        info = api.model_info(hub_id, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT, files_metadata=True)
    except Exception as error:
        raise _said(hub_id, revision, error) from error
    if info.sha is None or not COMMIT.fullmatch(info.sha):
        raise _no_hub()
    files = tuple(_hub_file(one) for one in info.siblings or () if is_wanted(one.rfilename))
    if not any(file.name.endswith(".safetensors") for file in files):
        pickled = any(is_pickle(one.rfilename) for one in info.siblings or ())
        hint = (
            "pickled weights are not read: look for one with safetensors" if pickled else "is this a MOSS-Audio model?"
        )
        raise ModelError(f"{hub_id} has no safetensors weights", hint=hint, code="fetch_failed")
    return Listing(hub_id, info.sha, files)


def _hub_file(sibling: Any) -> HubFile:
    digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
    size = sibling.lfs.size if sibling.lfs else sibling.size
    if not isinstance(digest, str) or not HASH.fullmatch(digest) or not isinstance(size, int):
        raise _no_hub()
    return HubFile(sibling.rfilename, size, digest)


@contextmanager
def opened(listing: Listing, file: HubFile, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
    """The bytes of a file, as they come, and from which on: 0 where the hub gives only the whole, and nothing then
    where what it has ends before `start`.

    Raises ModelError, Passing; also for what goes wrong while they are iterated over. MossErrors of the block pass.
    """
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    url = f"{constants.ENDPOINT}/{listing.hub_id}/resolve/{listing.commit}/{quote(file.name)}"
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with get_session().stream(
            "GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT, follow_redirects=True
        ) as response:
            if response.status_code == _BEYOND:
                yield 0, iter(())
                return
            hf_raise_for_status(response)
            yield _start_of(response, start), response.iter_bytes()
    except (MossError, Passing):
        raise
    except Exception as error:
        raise _said(listing.hub_id, listing.commit, error) from error


def _start_of(response: Any, asked: int) -> int:
    """Where in the file an answer starts: where it was asked to, or at 0. Raises ModelError."""
    if response.status_code != _PART:
        return 0
    said = str(response.headers.get("Content-Range", ""))
    if not said.startswith(f"bytes {asked}-"):
        raise _refusal(f"{hub_host()} gives another part than asked for: {said or 'it does not say which'}", _LATER)
    return asked


def _said(hub_id: str, revision: str | None, error: Exception) -> Exception:
    """What is wrong between this machine and the hub, and what to do about it; Passing for what may pass."""
    from huggingface_hub import errors

    host, at = hub_host(), f" at {revision}" if revision else ""
    if isinstance(error, errors.HFValidationError):
        return UsageError(f"{hub_id} cannot be a hub id", hint="it is written ORG/NAME")
    if not isinstance(error, OSError) and isinstance(error, (ValueError, KeyError, TypeError, AttributeError)):
        return _no_hub()
    if isinstance(error, errors.OfflineModeIsEnabled):
        return _refusal("the variable HF_HUB_OFFLINE forbids downloads", "unset it, and run the same command again")
    if isinstance(error, errors.GatedRepoError):
        hint = f"ask for access at https://{host}/{hub_id}, set HF_TOKEN, and run the same command again"
        return _refusal(f"{hub_id} is open only to those who asked for it", hint)
    if isinstance(error, errors.RevisionNotFoundError):
        return _refusal(f"{host} has no revision {revision} of {hub_id}", "check the revision: a commit, branch or tag")
    if isinstance(error, errors.RepositoryNotFoundError):
        hint = "check the name; what is private needs HF_TOKEN"
        return _refusal(f"{host} has no model {hub_id}, or does not show it to you", hint)
    if isinstance(error, errors.HfHubHTTPError):
        return _of_status(hub_id + at, error.response.status_code, error)
    return Passing(
        _refusal(
            f"{host} cannot be reached: {_reason(error)}",
            "check the network and run the same command again, or copy a checkpoint here and use --model FOLDER/",
        )
    )


def _of_status(what: str, status: int, error: Any) -> Exception:
    """An answer that is an error, by its status."""
    host = hub_host()
    if status == 401:
        return _refusal(f"{host} does not accept the token", "set HF_TOKEN to one that is valid, or unset it")
    if status == 403:
        return _refusal(f"{host} does not let you have {what}", "set HF_TOKEN to a token that may read it")
    if status == 429:
        wait_s = _wanted_wait_s(error.response.headers)
        later = f"in {wait_s:.0f} s" if wait_s else "later"
        said = _refusal(f"{host} has had too many requests from here", f"run the same command again {later}")
        return Passing(said, wait_s)
    refusal = _refusal(f"{host} did not give {what}: {_reason(error)}", _LATER)
    return Passing(refusal, _wanted_wait_s(error.response.headers)) if status in _AGAIN else refusal


def _wanted_wait_s(headers: Any) -> float | None:
    """How long the hub asks to wait, in seconds (Retry-After), None where it does not say."""
    asked = str(headers.get("Retry-After", "")).strip()
    return float(asked) if asked.isascii() and asked.isdigit() else None


def _no_hub() -> ModelError:
    """What answers is another server, or the page of a network to log in to."""
    return _refusal(
        f"{hub_host()} does not answer as a hub does", "check HF_ENDPOINT, and whether the network wants a login"
    )


def _refusal(message: str, hint: str) -> ModelError:
    return ModelError(message, hint=hint, code="fetch_failed")


def _reason(error: Exception) -> str:
    """What an error says, in a line: without its number, and without what huggingface_hub adds to a status."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        phrase = getattr(error.response, "reason_phrase", "")  # type: ignore[attr-defined]
        return f"error {status} {phrase.lower()}".rstrip()
    text = os.fspath(str(error)).split("\n")[0]
    text = text.partition("] ")[2] or text
    return " ".join(text.split()).lower() or type(error).__name__.lower()
