"""Splitting off what a Thinking checkpoint thought before its answer."""

from __future__ import annotations

from collections.abc import Sequence

from moss_cli.engine.tokenizer import Tokenizer

THINK, END_THINK = "<think>", "</think>"


def split_tokens(ids: Sequence[int], tokenizer: Tokenizer, *, is_open: bool = False) -> tuple[str | None, str]:
    """The thought and the answer in a model's tokens; `is_open`: the prompt has begun the thought.

    Where the vocabulary has tokens for the marks, only these are marks: `</think>` in a question that a
    thought quotes is text.
    """
    open_id, close_id = tokenizer.special.get(THINK), tokenizer.special.get(END_THINK)
    ids = list(ids)
    if open_id is None or close_id is None:
        return split_thinking(tokenizer.decode(ids))
    if not is_open:
        start = ids.index(open_id) if open_id in ids else None
        if start is None or tokenizer.decode(ids[:start]).strip():
            return None, tokenizer.decode(ids)
        ids = ids[start + 1 :]
    end = ids.index(close_id) if close_id in ids else len(ids)
    return tokenizer.decode(ids[:end]).strip() or None, tokenizer.decode(ids[end + 1 :]).lstrip()


def split_thinking(text: str) -> tuple[str | None, str]:
    """The thought and the answer. An empty block is no thought; one that never closes is all thought."""
    stripped = text.lstrip()
    if not stripped.startswith(THINK):
        return None, text
    thought, closed, answer = stripped.removeprefix(THINK).partition(END_THINK)
    return thought.strip() or None, answer.lstrip() if closed else ""
