"""Compiling the forms of answers to grammars, which are llguidance's: Lark with %json and regular expressions."""

from __future__ import annotations

import json
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING

from moss_cli.answers import Form, Grammar
from moss_cli.engine.tokenizer import Tokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

MOST_KEPT = 64  # compiled grammars, beside the vocabulary; chosen: the commands have a dozen, a server's clients any


class Grammars:
    """Compiles grammars for one vocabulary. The vocabulary is prepared at the first use, or by `prepare`
    beside other work: for the released models that takes a second."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, eos_id: int) -> None:
        self._tokenizer, self.vocab_size, self._eos_id = tokenizer, vocab_size, eos_id
        self._preparing: Future[LLTokenizer] | None = None
        self._matchers: OrderedDict[Form, LLMatcher] = OrderedDict()  # those used last at the end

    def prepare(self) -> None:
        """Begin to prepare the vocabulary in a thread of its own."""
        if self._preparing is None:
            pool = ThreadPoolExecutor(1, thread_name_prefix="grammars")
            self._preparing = pool.submit(self._prepared)
            pool.shutdown(wait=False)

    @cached_property
    def _vocabulary(self) -> LLTokenizer:
        return self._prepared() if self._preparing is None else self._preparing.result()

    def _prepared(self) -> LLTokenizer:
        from llguidance import LLTokenizer, TokenizerWrapper

        return LLTokenizer(TokenizerWrapper(_Vocabulary(self._tokenizer, self.vocab_size, self._eos_id)), slices=[])

    def matcher(self, form: Form) -> LLMatcher:
        """What holds one answer to its form. Raises ValueError for a form that cannot be compiled."""
        from llguidance import LLMatcher

        if form not in self._matchers:
            matcher = LLMatcher(self._vocabulary, grammar_of(form), log_level=0)
            if matcher.is_error():
                raise ValueError(matcher.get_error())
            self._matchers[form] = matcher
            if len(self._matchers) > MOST_KEPT:
                self._matchers.popitem(last=False)
        self._matchers.move_to_end(form)
        return self._matchers[form].deep_copy()  # compiling takes longer than some answers' masks


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
