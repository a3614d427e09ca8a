"""Splitting off what a Thinking checkpoint thought before its answer."""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


def split_thinking(text: str) -> tuple[str | None, str]:
    """The thought and the answer. An empty block is no thought; one that never closes is all thought."""
    stripped = text.lstrip()
    if not stripped.startswith(OPEN):
        return None, text
    thought, closed, answer = stripped.removeprefix(OPEN).partition(CLOSE)
    return thought.strip() or None, answer.lstrip() if closed else ""
