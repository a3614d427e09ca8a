"""The text of an answer while its tokens come, without its thought."""

from __future__ import annotations

from moss_cli.engine.thinking import END_THINK, THINK
from moss_cli.engine.tokenizer import Detokenizer, Tokenizer


class AnswerText:
    """Takes tokens one after another and gives what is certain of the answer's text, never half a character.

    `is_open`: the prompt has begun a thought. What all calls give, joined, is what `split_tokens` gives of the same
    tokens, but for a character that is not whole yet.
    """

    def __init__(self, tokenizer: Tokenizer, *, is_open: bool) -> None:
        self._detokenizer = Detokenizer(tokenizer)
        special = tokenizer.special
        self._open_id, self._close_id = special.get(THINK), special.get(END_THINK)
        can_think = self._open_id is not None and self._close_id is not None
        self._is_thought = is_open and can_think
        self._may_open = can_think and not is_open
        self._held = ""  # blanks before a thought that may yet begin
        self._strips = False  # blanks after a thought are not the answer's

    def push(self, token: int) -> str:
        """What of the text has become certain with this token."""
        if self._is_thought:
            self._is_thought = token != self._close_id
            self._strips = True
            return ""
        if self._may_open and token == self._open_id:
            self._is_thought, self._may_open, self._held = True, False, ""
            return ""
        text = self._detokenizer.push(token)
        if self._may_open:
            self._held += text
            if not self._held.strip():
                return ""
            self._may_open = False
            text, self._held = self._held, ""
        if self._strips:
            text = text.lstrip()
            self._strips = not text
        return text
