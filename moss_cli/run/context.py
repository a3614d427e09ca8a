"""What a user tells of a recording, beside a task's instruction: names, a glossary, the topic."""

from __future__ import annotations

_HEAD = "Names, terms and topics that may occur in the recording, for reference only:"


def beside(prompt: str, context: str | None) -> str:
    """An instruction with the context before it. It stays word for word, and what is asked for stands last."""
    return prompt if context is None else f"{_HEAD}\n{context}\n\n{prompt}"
