"""Forms compiled to grammars: what the prompts ask for is allowed, and nothing else is."""

from __future__ import annotations

import pytest
from decoding_requests import MOOD

from moss_cli.answers import Form, Grammar, JsonSchema
from moss_cli.engine.engine import Engine
from moss_cli.tasks.transcribe import Transcribe

SEGMENTS = Transcribe().questions[0].form


def fits(engine: Engine, form: Form | None, text: str) -> bool:
    """Whether a text is a whole answer."""
    assert form is not None
    matcher = engine.grammars.matcher(form)
    return bool(matcher.consume_tokens(engine.tokenizer.encode(text)) and matcher.is_accepting())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[0.00]hello there[2.01][2.01]the weather is nice today[4.32]",
        "[12.34]你好，世界！[600.00]",
        "[0.00]so [laughter] funny[1.00]",
    ],
)
def test_what_the_prompt_asks_for_is_allowed(engine: Engine, text: str) -> None:
    assert fits(engine, SEGMENTS, text)


@pytest.mark.parametrize("text", ["hello", "[0.00][1.00]", "[0.0]a", "[0.00]a[1.00]b", "[a]", "[0.00]hello"])
def test_what_it_does_not_ask_for_is_not(engine: Engine, text: str) -> None:
    assert not fits(engine, SEGMENTS, text)


def test_json_has_fixed_white_space(engine: Engine) -> None:
    assert fits(engine, MOOD, '{"mood": "calm", "tempo": null}')
    assert fits(engine, MOOD, '{"mood": "tense", "tempo": 120}')
    assert not fits(engine, MOOD, '{ "mood": "calm", "tempo": null}')
    assert not fits(engine, MOOD, '{"mood":  "calm", "tempo": null}')


def test_each_answer_has_a_matcher_of_its_own(engine: Engine) -> None:
    first, second = engine.grammars.matcher(MOOD), engine.grammars.matcher(MOOD)
    assert first.consume_tokens(engine.tokenizer.encode('{"mood": "calm", "tempo": null}'))
    assert first.is_accepting() and not second.is_accepting()


def test_special_tokens_are_no_text_of_an_answer(engine: Engine) -> None:
    matcher = engine.grammars.matcher(Grammar("start: /(.|\\n)*/"))
    assert matcher.validate_tokens([engine.tokenizer.special["<think>"]]) == 0
    assert matcher.validate_tokens(engine.tokenizer.encode("<think>")) == len(engine.tokenizer.encode("<think>"))


@pytest.mark.parametrize("form", [JsonSchema('{"type": "nothing"}'), Grammar("start: NOTHING_LIKE_THIS")])
def test_a_form_that_cannot_be_compiled_is_an_error(engine: Engine, form: Form) -> None:
    with pytest.raises(ValueError, match=r"."):
        engine.grammars.matcher(form)
