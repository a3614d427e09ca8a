"""Constrained decoding: only tokens that keep an answer in its grammar can be chosen.

The grammars are llguidance's (Lark with %json and regular expressions). Each row of a batch has
its own; inside <think>…</think> nothing is constrained.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from moss_cli.answers import Form, Grammar
from moss_cli.engine.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

THINK, END_THINK = "<think>", "</think>"
BITS = 32


class Grammars:
    """Compiles grammars for one vocabulary. The vocabulary is prepared at the first use, or by `prepare`
    beside other work: for the released models that takes a second."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, eos_id: int) -> None:
        self._tokenizer, self.vocab_size, self._eos_id = tokenizer, vocab_size, eos_id
        self._preparing: Future[Any] | None = None
        self._matchers: dict[Form, Any] = {}

    def prepare(self) -> None:
        """Begin to prepare the vocabulary in a thread of its own."""
        if self._preparing is None:
            pool = ThreadPoolExecutor(1, thread_name_prefix="grammars")
            self._preparing = pool.submit(self._prepared)
            pool.shutdown(wait=False)

    @cached_property
    def _vocabulary(self) -> Any:
        return self._prepared() if self._preparing is None else self._preparing.result()

    def _prepared(self) -> Any:
        from llguidance import LLTokenizer, TokenizerWrapper

        return LLTokenizer(TokenizerWrapper(_Vocabulary(self._tokenizer, self.vocab_size, self._eos_id)), slices=[])

    def constrain(self, form: Form, *, thinking: bool = True, in_thought: bool = False) -> Constraint:
        """A fresh constraint for one answer. Raises ValueError for a grammar that cannot be compiled.

        thinking: whether a thought may come first; in_thought: whether the prompt has opened one.
        """
        matcher = self._compiled(form).deep_copy()
        special = self._tokenizer.special
        return Constraint(
            matcher, special.get(THINK) if thinking else None, special.get(END_THINK), in_thought=in_thought
        )

    def _compiled(self, form: Form) -> Any:
        """A matcher at its beginning, to be copied: compiling takes longer than some answers' masks."""
        from llguidance import LLMatcher

        if form not in self._matchers:
            matcher = LLMatcher(self._vocabulary, grammar_of(form), log_level=0)
            if matcher.is_error():
                raise ValueError(matcher.get_error())
            self._matchers[form] = matcher
        return self._matchers[form]


def grammar_of(form: Form) -> str:
    """A form in llguidance's syntax. JSON has fixed white space: left free, a sampled answer can wander in blanks to
    the token limit."""
    if isinstance(form, Grammar):
        return form.text
    fixed = {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}
    return f"start: %json {json.dumps(json.loads(form.text) | fixed)}"


class _Vocabulary:
    """A tokenizer under the names that llguidance reads."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, eos_id: int) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id, self.bos_token_id = eos_id, None
        special = set(tokenizer.special.values())
        texts = [b"" if i in special else tokenizer.token_bytes(i) for i in range(vocab_size)]
        # Special tokens, and ids that stand for nothing, are no text that a grammar could ask for.
        self.special_token_ids = [i for i, text in enumerate(texts) if not text]
        self.tokens = [text or f"<[{i}]>".encode() for i, text in enumerate(texts)]

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text)


class Constraint:
    """The grammar of one answer and how far the answer has come in it."""

    def __init__(
        self, matcher: Any, think_id: int | None, end_think_id: int | None, *, in_thought: bool = False
    ) -> None:
        self._matcher, self._think_id, self._end_think_id = matcher, think_id, end_think_id
        self._started = self._thinking = in_thought

    @property
    def active(self) -> bool:
        """Whether the next token is bound: not inside a thought."""
        return not self._thinking

    def fill(self, row: NDArray[np.uint32]) -> None:
        """Write the allowed tokens as bits into `row`, [ceil(vocab / 32)]."""
        self._matcher.unsafe_compute_mask_ptr(row.__array_interface__["data"][0], row.nbytes)
        if not self._started and self._think_id is not None:
            row[self._think_id // BITS] |= np.uint32(1 << (self._think_id % BITS))

    def consume(self, token: int) -> None:
        """Take note of the token that was chosen."""
        if not self._started and token == self._think_id:
            self._thinking = True
        elif self._thinking:
            self._thinking = token != self._end_think_id
        else:
            self._matcher.consume_token(token)
        self._started = True

    @property
    def complete(self) -> bool:
        """Whether the answer may end here."""
        return not self._thinking and bool(self._matcher.is_accepting())


def mask_logits(logits: Tensor, constraints: Sequence[Constraint | None]) -> Tensor:
    """Put -inf into logits [B, vocab] where a row's grammar forbids the token; rows with None stay free."""
    bound = [(row, c) for row, c in enumerate(constraints) if c is not None and c.active]
    if not bound:
        return logits
    import torch

    bits = np.full((len(logits), -(-logits.shape[1] // BITS)), 0xFFFFFFFF, np.uint32)  # all of them allowed
    for row, constraint in bound:
        constraint.fill(bits[row])
    forbidden = np.unpackbits(~bits.view(np.uint8), axis=1, bitorder="little", count=logits.shape[1])
    return logits.masked_fill_(torch.from_numpy(forbidden.view(np.bool_)).to(logits.device), float("-inf"))
