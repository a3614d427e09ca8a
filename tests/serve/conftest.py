"""One server of `tiny` for all tests that ask it something real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("uvicorn", reason="needs moss-cli[serve]")
pytest.importorskip("starlette", reason="needs moss-cli[serve]")
pytest.importorskip("python_multipart", reason="needs moss-cli[serve]")

from served import Served, serving


@pytest.fixture(scope="session")
def tiny() -> Iterator[Served]:
    with serving() as served:
        yield served
