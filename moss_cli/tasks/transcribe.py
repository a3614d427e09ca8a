"""Transcription: what to ask, and how the answer becomes segments."""

from __future__ import annotations

# The maintainers' own words; the models are known to work with them as they stand.
PROMPT_PLAIN = "Transcribe the audio."
PROMPT_SEGMENTS = (
    "Transcribe the audio into sentence-level timestamps using the format [xx.xx]text[yy.yy], where xx.xx and yy.yy "
    "are millisecond-precision timestamps rounded to two decimal places. Concatenate consecutive segments without "
    "breaks, for example [0.00]hello there[2.01][2.01]the weather is nice today[4.32]. Exclude any additional "
    "content such as explanations, headings, or annotations."
)
