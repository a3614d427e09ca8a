"""Who may ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scripted_backend import ScriptedBackend
from served import JOB, Served, about, serving, wav

from moss_cli.serve.address import LOOPBACK_NAMES
from moss_cli.serve.config import ServeConfig

TOKEN = "0123456789abcdef-token"


@pytest.fixture(scope="module")
def local() -> Iterator[Served]:
    hosts = LOOPBACK_NAMES | {"moss.example.org"}
    with serving(ServeConfig(JOB, hosts=hosts), ScriptedBackend()) as served:
        yield served


@pytest.fixture(scope="module")
def guarded() -> Iterator[Served]:
    with serving(ServeConfig(JOB, token=TOKEN), ScriptedBackend()) as served:
        yield served


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8642", "LOCALHOST", "localhost.:80", "[::1]:8642", "moss.example.org", "127.0.0.1"]
)
def test_names_of_this_machine_and_allowed_ones_are_taken(local: Served, host: str) -> None:
    assert local.get("/v1/models", host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8642", "", "[::2]"])
def test_a_name_that_leads_here_from_elsewhere_is_refused(local: Served, host: str) -> None:
    got = local.get("/v1/models", host=host)
    assert (got.status, got.code) == (403, "host_not_allowed")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"origin": "http://localhost:1"},
    ],
)
def test_pages_of_other_sites_are_refused(local: Served, headers: dict[str, str]) -> None:
    got = local.chat(about(wav()), **headers)
    assert (got.status, got.code) == (403, "cross_origin")
    assert "access-control-allow-origin" not in got.headers


def test_what_a_page_can_post_without_asking_first_is_no_request(local: Served) -> None:
    got = local.chat(about(wav()), content_type="text/plain")
    assert (got.status, got.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Bearer \xe9"],
)
def test_without_the_token_nothing_is_answered(guarded: Served, authorization: str) -> None:
    for got in (
        guarded.chat(about(wav()), authorization=authorization),
        guarded.get("/v1/models", authorization=authorization),
        guarded.get("/metrics", authorization=authorization),
        guarded.get("/nowhere", authorization=authorization),
    ):
        assert (got.status, got.code, got.headers["www-authenticate"]) == (401, "invalid_api_key", "Bearer")


def test_with_the_token_all_is_answered_and_health_without(guarded: Served) -> None:
    assert guarded.chat(about(wav()), authorization=f"Bearer {TOKEN}").status == 200
    assert guarded.get("/v1/models", authorization=f"bearer {TOKEN}").status == 200
    assert guarded.get("/health").json["status"] == "ok"
