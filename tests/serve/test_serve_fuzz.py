"""Malformed requests, as many as a test has time for; benchmarks/serve_fuzz.py sends thousands."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from served import Served, about, wav

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serve_fuzz.py"


def test_whatever_is_sent_is_answered_below_500_and_the_next_request_too(tiny: Served) -> None:
    spec = importlib.util.spec_from_file_location("benchmarks_serve_fuzz", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = script
    spec.loader.exec_module(script)
    statuses, complaints = script.fuzz(tiny.port, 150, seed=1)
    assert complaints == []
    assert statuses["400"] > 50
    assert tiny.chat(about(wav(), max_tokens=1)).status == 200
