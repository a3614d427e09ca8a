"""Envelopes for the tests of the writers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from moss_cli.schema import Envelope, InputInfo, ModelInfo, Params
from moss_cli.tasks.reading.timed import Segment
from moss_cli.tasks.transcribe import Transcription

NASTY = [
    "-->",
    "00:00:01,000 --> 00:00:02,000",
    "00:01.000 00:02.000",
    r"{\an8}",
    r"{\b1}",
    r"{\p1}",
    "{brace}",
    r"\N",
    r"\h",
    "C:\\new",
    "<i>",
    "</i>",
    "< b >",
    "a < b > c",
    "&amp;",
    "&",
    "\n\n",
    "\r\n",
    "\u2028",
    "\x85",
    "\x0b",
    "\x00",
    "\x1b[31m",
    "\x9b",
    "\u202eabc\u202c",
    "\ufeff",
    "שלום עולם",
    "42",
    "\n42",
    "[laughter]",
    "NOTE",
    "WEBVTT",
    "|",
    "*a*",
    "_b_",
    "`c`",
    "# d",
    "1. e",
    "- f",
    "\t",
    "~~g~~",
    "===",
    "---",
    "> h",
    "![i](j)",
    "😀",
    "漢字",
]
texts = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=8)), max_size=5).map(" ".join) | st.lists(
    st.sampled_from(NASTY), max_size=4
).map("".join)
broken_texts = st.lists(
    st.one_of(texts, st.text(st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF, categories=["Cs"]), max_size=2))
).map("".join)


def envelope(*segments: Segment, duration: float | None = 12.34, **changes: Any) -> Envelope:
    fields: dict[str, Any] = {
        "moss": "0.1.0",
        "task": "transcribe",
        "status": "ok",
        "input": InputInfo(path="talks/talk.wav", duration=duration, sample_rate=16_000, channels=1, sha256="0" * 64),
        "model": ModelInfo(name="tiny", dtype="fp32", device="cpu", demo=True),
        "params": Params(
            prompt="Transcribe.",
            temperature=0.0,
            top_p=1.0,
            top_k=0,
            seed=0,
            max_new_tokens=64,
            chunk=120.0,
            timestamps="segment",
        ),
        "result": Transcription(language="en", segments=segments),
        "text": " ".join(segment.text for segment in segments),
    }
    return Envelope(**(fields | changes))


def segment(start: float, end: float, text: str, speaker: str | None = None) -> Segment:
    return Segment(start=start, end=end, text=text, speaker=speaker)


def unchecked(text: str, speaker: str | None = None) -> Envelope:
    """With text that validation would refuse, such as lone surrogates."""
    one = Segment.model_construct(start=0.0, end=1.0, text=text, speaker=speaker, words=None)
    whole = envelope()
    result = Transcription.model_construct(language=None, segments=(one,))
    return whole.model_copy(update={"result": result, "text": text})


HELLO = (segment(0.0, 1.24, "Hello there."), segment(1.5, 3.0, "[laughter] Bye."))
TWO_SPEAKERS = (segment(0.0, 1.0, "Hi.", "S01"), segment(1.0, 2.0, "Ho.", "S02"))

segments = st.lists(
    st.builds(
        lambda start, length, text, speaker: segment(start, start + length, text, speaker),
        st.one_of(st.floats(0, 20), st.floats(0, 0.01), st.integers(0, 5).map(float), st.floats(0, 500_000)),
        st.one_of(st.just(0.0), st.floats(0, 10), st.floats(0, 0.01)),
        texts,
        st.one_of(st.none(), st.just("S01"), texts),
    ),
    max_size=6,
)
