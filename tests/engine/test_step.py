"""A decode step computes what the decoder computes, and runs as a graph of a size that fits."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from decoding_requests import asked, heard

import moss_cli
from moss_cli.engine.cache import CacheRows, KVCache
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.generate import generate
from moss_cli.engine.graphs import GRAPH_AHEAD, GRAPH_SEEN, Steps, _Graph
from moss_cli.engine.model import Tokens
from moss_cli.engine.prefill import prefill
from moss_cli.engine.row import Row
from moss_cli.engine.step import DecodeStep

TINY = Path(moss_cli.__file__).parent / "weights" / "tiny"


def begun(engine: Engine, n_rows: int) -> tuple[list[Row], KVCache]:
    """Rows of several lengths with a token each, and a cache that holds their prompts."""
    requests = [asked(engine, "word " * 5 * (n + 1)) if n % 2 else heard(engine, n + 1.0) for n in range(n_rows)]
    rows = [Row(n, request, frozenset()) for n, request in enumerate(requests)]
    longest = max(row.n_positions for row in rows) + 1
    cache = KVCache(engine.model.config.language, n_rows, longest, device=torch.device("cpu"), dtype=engine.model.dtype)
    for slot, row in enumerate(rows):
        tokens, past = prefill([row], slot, cache, torch.device("cpu"))
        engine.model(tokens, past)
        row.take(17 + slot)
    return rows, cache


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("n_rows", [1, 2, 5])
@torch.inference_mode()
def test_a_step_gives_what_the_decoder_gives_for_one_new_position_of_each_row(dtype: str, n_rows: int) -> None:
    engine = load_engine(TINY, device="cpu", dtype=dtype)
    rows, cache = begun(engine, n_rows)
    ids = torch.tensor([row.ids[-1] for row in rows])
    positions = torch.tensor([[row.n_positions - 1] for row in rows])
    n_seen = int(positions.max()) + 1
    last = torch.zeros(n_rows, dtype=torch.long)
    expected = engine.model(Tokens(ids[:, None], last), CacheRows(cache, 0, positions, n_seen))
    found = DecodeStep(engine.model)(ids, CacheRows(cache, 0, positions, n_seen))
    if dtype == "fp32":
        assert torch.allclose(found, expected, atol=1e-4)
    assert torch.cosine_similarity(found.float(), expected.float()).min() > 0.9995
    assert found.shape == (n_rows, engine.model.config.language.vocab_size)


@torch.inference_mode()
def test_a_single_row_needs_no_mask_over_all_that_is_stored(tiny: Engine) -> None:
    rows, cache = begun(tiny, 1)
    ids, positions = torch.tensor(rows[0].ids[-1:]), torch.tensor([[rows[0].n_positions - 1]])
    masked = DecodeStep(tiny.model)(ids, CacheRows(cache, 0, positions, 128))
    bare = DecodeStep(tiny.model)(ids, CacheRows(cache, 0, positions, rows[0].n_positions, sees_all=True))
    assert torch.allclose(masked, bare, atol=1e-4)


class ReplayedOneByOne(Steps):
    """In the place of a graph, the operations themselves, over the numbers that a graph would read."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._uses_graphs = True
        self.captured: list[tuple[int, int]] = []

    def _captured(self, numbers: torch.Tensor, cache: KVCache, n_seen: int) -> _Graph:
        self.captured.append((numbers.shape[1], n_seen))
        static, logits = numbers.clone(), torch.zeros(numbers.shape[1], cache.cos.shape[0])

        def replay() -> None:
            found.logits.resize_(0)
            rows = CacheRows(cache, 0, static[1][:, None], n_seen)
            logits = self._step(static[0], rows)
            found.logits.resize_(logits.shape).copy_(logits)

        found = _Graph(SimpleNamespace(replay=replay), static, logits)  # type: ignore[arg-type]
        return found


@torch.inference_mode()
def test_a_graph_of_more_rows_than_are_decoded_gives_each_its_logits(tiny: Engine) -> None:
    rows, cache = begun(tiny, 3)
    cache.resize(5, cache.n_positions)
    expected = Steps(tiny.model)(rows, 0, cache)
    steps = ReplayedOneByOne(tiny.model)
    for _ in range(2):
        assert torch.allclose(steps(rows, 0, cache), expected, atol=1e-4)
    assert steps.captured == [(4, 256)]  # of 3 rows, by the cache's length


@torch.inference_mode()
def test_graphs_are_captured_anew_when_the_cache_has_moved_and_for_other_lengths(tiny: Engine) -> None:
    rows, cache = begun(tiny, 2)
    steps = ReplayedOneByOne(tiny.model)
    cache.resize(2, 3 * GRAPH_SEEN)
    steps(rows, 0, cache)
    expected = steps(rows[:1], 0, cache).clone()
    cache.resize(2, 4 * GRAPH_SEEN)
    assert torch.allclose(steps(rows[:1], 0, cache), expected, atol=1e-4)
    assert steps.captured == [(2, GRAPH_SEEN), (1, GRAPH_SEEN), (1, GRAPH_SEEN)]


def test_where_a_step_cannot_be_captured_decoding_goes_on_without_and_says_so(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    request = heard(tiny, 2.0)
    expected = generate(tiny.model, [request], frozenset())
    # A machine without CUDA, on which capturing fails.
    monkeypatch.setattr("moss_cli.engine.decoding.Steps", lambda model, graphs: _hopeful(model))
    with caplog.at_level(logging.INFO, "moss_cli.engine.graphs"):
        assert generate(tiny.model, [request], frozenset()) == expected
    assert [record.getMessage().startswith("a decode step cannot be captured") for record in caplog.records] == [True]


def _hopeful(model: Any) -> Steps:
    steps = Steps(model)
    steps._uses_graphs = True
    return steps


def test_for_graphs_the_cache_has_room_for_a_few_more_rows_and_a_longer_answer(tiny: Engine) -> None:
    rows = [Row(n, heard(tiny, 2.0, max_new_tokens=3000), frozenset()) for n in range(3)]
    n_now, most = rows[0].n_positions, rows[0].request.most_positions
    eager, graphed = Steps(tiny.model), ReplayedOneByOne(tiny.model)
    assert (eager.rows_for(3), graphed.rows_for(3), graphed.rows_for(99)) == (3, 4, 99)
    assert (eager.positions_for(rows), graphed.positions_for(rows)) == (n_now, n_now + GRAPH_AHEAD)
    short = [Row(3, heard(tiny, 2.0, max_new_tokens=5), frozenset())]
    assert graphed.positions_for(short) == short[0].request.most_positions < most
