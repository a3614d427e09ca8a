"""Thoughts that are given: minutes tell what stands in them, of what is whole, and nothing that is kept for testing."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from moss_cli.schema import Summary
from training.domains.meetings_facts import FACTS, NEXT, OPENERS, POOLS
from training.domains.meetings_retold import ALSO, retold
from training.examples import Asked
from training.sentences import vocabulary

LINE = re.compile(r"(\d+\.\d) ([a-z ]+) (\d+\.\d)(?:: (\w+) (\d+\.\d)(?:-(\d+\.\d))?)?")
FRAME = {"the", "is", "needs", "will", "on", "at", "by", "in", "meeting", "dollars"}


@pytest.fixture(scope="module")
def told() -> list[tuple[Asked, list[tuple[str, ...]], dict[str, Any]]]:
    found = []
    for i in range(400):
        asked = retold(random.Random(i))
        lines = [LINE.fullmatch(line) for line in asked.given.split("\n")[1:-1]]
        found.append(
            (asked, [match.groups("") for match in lines if match], json.loads(asked.answer[len(asked.given) :]))
        )
        assert all(lines) and asked.answer.startswith(asked.given)
    return found


def test_every_point_stands_in_one_line_of_the_thought(told: list[Any]) -> None:
    for asked, lines, result in told:
        texts = [set(line[1].split()) | {line[3]} for line in lines]
        for point in result["key_points"]:
            assert any(set(point.split()) - FRAME <= text for text in texts), (asked.given, point)
        Summary.model_validate(result)


def test_half_sentences_are_no_facts_and_slips_do_no_harm(told: list[Any]) -> None:
    n_facts = n_points = 0
    for _, lines, result in told:
        fillers = {"good", "thanks", "hello", "everyone", "end", "ends", "start", "move"}
        n_facts += sum(bool(line[3]) and not fillers & set(line[1].split()) for line in lines)
        n_points += len(result["key_points"])
    assert 0.78 < n_points / n_facts < 0.95


def test_chapters_are_the_topics_with_their_times(told: list[Any]) -> None:
    for _, lines, result in told:
        topics = list(dict.fromkeys(line[3] for line in lines if line[3]))
        assert [chapter["title"] for chapter in result["chapters"]] == topics
        for chapter in result["chapters"]:
            own = [line for line in lines if line[3] == chapter["title"]]
            assert [chapter["start"], chapter["end"]] == [float(own[0][0]), float(own[-1][2])]
            assert {line[4] for line in own} == {own[0][0]}
            assert [line[5] for line in own] == [*[""] * (len(own) - 1), own[-1][2]]


def test_nothing_is_as_it_is_said_or_kept(told: list[Any]) -> None:
    kept = [wording for *_, wordings in FACTS.values() for wording in wordings] + [*OPENERS[2], *OPENERS[3]]
    assert not set(kept) & {wording for wordings in ALSO.values() for wording in wordings}
    slots = "|".join([*POOLS, "WHEN"])
    patterns = [re.compile(re.sub(rf"\b(?:{slots})\b", r"[a-z ]+?", wording)) for wording in kept]
    for _, lines, result in told:
        words = {word for line in lines for word in line[1].split()}
        assert words <= set(vocabulary())
        for line in lines:
            assert not any(pattern.fullmatch(line[1]) for pattern in patterns), line
        for point in result["key_points"]:
            assert not any(_is_said(kind, point) for kind in FACTS), point


def _is_said(kind: str, point: str) -> bool:
    """Whether a point is one that a meeting can have."""
    whens = f"on DAY|by DAY|in MONTH|{'|'.join(NEXT)}"
    pattern = FACTS[kind][0].replace("WHEN", f"(?:{whens})")
    for slot, words in POOLS.items():
        pattern = re.sub(rf"\b{slot}\b", f"(?:{'|'.join(words)})", pattern)
    return re.fullmatch(pattern, point) is not None
