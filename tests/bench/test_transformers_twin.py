"""Beside transformers: where answers part, and, where it is installed, that both answer alike."""

from __future__ import annotations

import pytest
import torch

from moss_cli.bench.plan import Plan
from moss_cli.bench.shapes import parse_shape
from moss_cli.bench.subject import load_shape
from moss_cli.bench.transformers_twin import build_twin, check_transformers, compare, first_difference
from moss_cli.errors import UsageError


def test_the_first_token_at_which_any_answer_differs() -> None:
    assert first_difference([[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5, 6]]) is None
    assert first_difference([[1, 2, 3], [4, 5, 6]], [[1, 2, 9], [4, 8, 6]]) == 1
    assert first_difference([[1], [4]], [[2], [4]]) == 0


def test_without_transformers_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(UsageError) as caught:
        check_transformers()
    assert str(caught.value) == "transformers is not installed"
    assert caught.value.hint == "pip install transformers, where moss is"


@pytest.mark.parametrize("shape", ["tiny", "256x2:vocab=512"])
def test_the_same_weights_give_the_same_tokens(shape: str) -> None:
    pytest.importorskip("transformers")
    subject = load_shape(parse_shape(shape), device="cpu", dtype="fp32")
    twin = build_twin(subject)
    comparison = compare(subject, twin, Plan(batches=(1, 3), new_tokens=8), lambda doing: None)
    assert comparison.other == twin.name == f"transformers {check_transformers()}"
    assert [(one.batch, one.turns, one.first_difference) for one in comparison.batches] == [(1, 5, None), (3, 5, None)]
    for one in comparison.batches:
        assert one.ratio == one.theirs_s / one.ours_s
        assert one.ratio_least <= one.ratio_most
        assert one.threads in twin.threads
    assert torch.get_num_threads() == 1


def test_another_answer_would_be_noticed() -> None:
    pytest.importorskip("transformers")
    subject = load_shape(parse_shape("tiny"), device="cpu", dtype="fp32")
    twin = build_twin(subject)
    with torch.no_grad():
        twin.model.lm_head.weight.copy_(twin.model.lm_head.weight.flip(0))
    comparison = compare(subject, twin, Plan(batches=(1,), new_tokens=4), lambda doing: None)
    assert comparison.batches[0].first_difference == 0
