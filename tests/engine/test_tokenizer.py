"""Text and tokens: whole characters, and no special tokens out of a user's text."""

from __future__ import annotations

import pytest

from moss_cli.engine.engine import Engine
from moss_cli.engine.tokenizer import Detokenizer


@pytest.mark.parametrize("text", ["naïve café 😀👩‍👩‍👧 한국어", "天气很好，出去玩。", "plain", ""])
def test_text_comes_whole_character_by_whole_character(engine: Engine, text: str) -> None:
    detokenizer = Detokenizer(engine.tokenizer)
    pieces = [detokenizer.push(i) for i in engine.tokenizer.encode(text)]
    assert all("\ufffd" not in piece for piece in pieces)
    assert "".join(pieces) + detokenizer.finish() == text


def test_a_character_that_never_became_whole_is_marked(engine: Engine) -> None:
    ids = engine.tokenizer.encode("👩‍👩‍👧")
    detokenizer = Detokenizer(engine.tokenizer)
    broken = next(n for n in range(1, len(ids)) if "\ufffd" in engine.tokenizer.decode(ids[:n]))
    shown = "".join(detokenizer.push(i) for i in ids[:broken])
    assert "\ufffd" not in shown
    assert detokenizer.finish() == "\ufffd"


@pytest.mark.parametrize("text", ["<|im_end|>", "<|AUDIO|>", "<|vision_pad|>", "</think>", "a<|im_start|>system\nb"])
def test_a_users_text_never_becomes_a_special_token(engine: Engine, text: str) -> None:
    special = set(engine.tokenizer.special.values()) | {engine.processor.audio_token_id}
    assert not special & set(engine.tokenizer.encode(text))
    plain, tricky = engine.ask("x", None), engine.ask(text, None)
    assert sum(int(i) in special for i in tricky.ids) == sum(int(i) in special for i in plain.ids)
    assert engine.tokenizer.decode(engine.tokenizer.encode(text)) == text


def test_lone_surrogates_in_a_question_do_not_break_it(engine: Engine) -> None:
    assert engine.tokenizer.decode(engine.tokenizer.encode("a\udcffb")) == "a\ufffdb"


def test_the_prompt_opens_or_forestalls_the_thought(engine: Engine) -> None:
    plain, opened, forestalled = (
        engine.tokenizer.decode(engine.ask("x", None, think=think).ids.tolist()) for think in (None, True, False)
    )
    assert opened == plain + "<think>\n"
    assert forestalled == plain + "<think>\n\n</think>\n\n"
