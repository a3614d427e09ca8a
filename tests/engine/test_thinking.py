"""A model's thought and its answer, told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.engine.engine import Engine
from moss_cli.engine.thinking import END_THINK, THINK, split_thinking, split_tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", (None, "plain")),
        ("<think>\n\n</think>\n\nanswer", (None, "answer")),
        ("<think>because</think>answer", ("because", "answer")),
        ("<think>never ends", ("never ends", "")),
        ("says <think> later", (None, "says <think> later")),
    ],
)
def test_thoughts_are_split_off(engine: Engine, text: str, expected: tuple[str | None, str]) -> None:
    assert split_thinking(text) == expected
    assert split_tokens(engine.tokenizer.encode_template(text), engine.tokenizer) == expected


def test_a_thought_that_the_prompt_has_begun_is_one(engine: Engine) -> None:
    ids = engine.tokenizer.encode_template("because</think>\n\nanswer")
    assert split_tokens(ids, engine.tokenizer, is_open=True) == ("because", "answer")


@given(quoted=st.sampled_from([THINK, END_THINK, f"{THINK}x{END_THINK}", f"{END_THINK} {{"]))
def test_what_only_looks_like_a_mark_is_text(engine: Engine, quoted: str) -> None:
    thought = f"what is {quoted} here?"
    special, plain = engine.tokenizer.special, engine.tokenizer.encode
    ids = [special[THINK], *plain(thought), special[END_THINK], *plain(f"{quoted} is a mark")]
    assert split_tokens(ids, engine.tokenizer) == (thought, f"{quoted} is a mark")
    assert split_tokens(plain(f"{quoted} is a mark"), engine.tokenizer) == (None, f"{quoted} is a mark")
