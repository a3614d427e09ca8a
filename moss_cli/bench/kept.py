"""The last figures of each model on each device, as the document that keeps them."""

from __future__ import annotations

import json
from typing import Any

from moss_cli.bench.result import Result

FILE = "bench.json"


def with_result(kept: str | None, result: Result) -> str:
    """The document with a result in the place of the last one of the same subject, device and dtype. One that cannot be
    read is begun anew: it holds nothing that measuring again would not give."""
    documents = [one for one in kept_results(kept) if _key(one) != _key(result.document())]
    return json.dumps({"results": [*documents, result.document()]}, indent=1) + "\n"


def kept_results(kept: str | None) -> list[dict[str, Any]]:
    """The results in the document, as JSON has them; none of one that cannot be read."""
    try:
        results = json.loads(kept or "{}").get("results", [])
        return [one for one in results if _key(one)]
    except (ValueError, AttributeError, KeyError, TypeError):
        return []


def _key(document: dict[str, Any]) -> tuple[str, ...]:
    subject, machine = document["subject"], document["machine"]
    return subject["name"], subject["weights"], subject["dtype"], machine["device"], machine["device_name"]
