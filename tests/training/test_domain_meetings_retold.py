"""Thoughts that are given: minutes tell what stands in them, of what is whole, and nothing that is kept for testing."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from moss_cli.tasks.summarize import Summary
from training.domains import meetings_retold
from training.domains.meetings_facts import FACTS, NEXT, OPENERS, POOLS
from training.domains.meetings_retold import ALSO, retold
from training.examples import Asked
from training.sentences import lexicon, vocabulary

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


@pytest.mark.parametrize("kind", FACTS)
def test_half_sentences_are_no_facts(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(meetings_retold, "HOLES", 1.0)
    meant = "|".join(word for name, words in lexicon().items() if name != "function" for word in words)
    slot = re.compile(rf"\b(?:{'|'.join(POOLS)})\b")
    whole = [
        re.compile(slot.sub(f"(?:{meant})", wording.replace("WHEN", rf"(?:(?:on|by|in) (?:{meant})|{'|'.join(NEXT)})")))
        for wording in FACTS[kind][1] + ALSO[kind]
    ]
    for i in range(200):
        line = meetings_retold._fact(random.Random(i), "garden", kind)
        assert not line.point
        assert not any(pattern.fullmatch(line.text) for pattern in whole), line.text


@pytest.mark.parametrize("kind", FACTS)
def test_slips_do_no_harm(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(meetings_retold, "HOLES", 0.0)
    monkeypatch.setattr(meetings_retold, "SLIPS", 1.0)
    for i in range(200):
        line = meetings_retold._fact(random.Random(i), "garden", kind)
        assert line.point and set(line.point.split()) - FRAME <= set(line.text.split())


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
