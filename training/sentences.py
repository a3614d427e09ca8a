"""English sentences over the words of lexicon.txt.

Two sources are mixed. *Patterns* are written-out shapes of sentences; *walks* draw the next
word from what may follow the last one, so that a model trained on them has to hear each word
instead of guessing it from a handful of shapes. `RESERVED_PATTERNS` are never trained on.
"""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path

MIN_WORDS, MAX_WORDS = 3, 10


@cache
def lexicon() -> dict[str, list[str]]:
    """Words by kind, e.g. ``lexicon()["name"]``."""
    kinds: dict[str, list[str]] = {}
    for line in Path(__file__).with_name("lexicon.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            kind, words = line.split(":")
            kinds[kind] = words.split()
    return kinds


@cache
def vocabulary() -> list[str]:
    """Every word once, in the order of the file."""
    return list(dict.fromkeys(word for words in lexicon().values() for word in words))


# Upper-case names are kinds of word or the phrases below; ( ) may be left out, / is a choice.
PHRASES = {
    "NP": ["NAME", "NAME", "the OBJECT", "the ADJECTIVE OBJECT", "a ADJECTIVE OBJECT", "this OBJECT", "that OBJECT"],
    "WHO": ["NAME", "NAME", "NAME", "we", "i", "you", "he", "she", "they", "everyone", "nobody", "NAME and NAME"],
    "HE": ["NAME", "NAME", "he", "she", "it", "everyone", "nobody"],
    "THING": ["the OBJECT", "the ADJECTIVE OBJECT", "a OBJECT", "a ADJECTIVE OBJECT", "this OBJECT", "that OBJECT"],
    "THERE": ["at the PLACE", "in the PLACE", "near the PLACE", "from the PLACE", "to the PLACE", "by the PLACE"],
    "WHEN": ["on DAY", "in MONTH", "at noon", "at midnight", "TIME", "on DAY TIME", "before DAY", "after DAY",
             "until DAY", "by DAY", "this TIME", "at NUMBER", "until TIME", "before noon", "in the TIME"],
    "COUNT": ["NUMBER people", "NUMBER dollars", "NUMBER minutes", "NUMBER hours", "NUMBER more minutes",
              "NUMBER more dollars", "TENS DIGIT dollars", "TENS DIGIT minutes", "NUMBER hundred dollars"],
    "TENS": ["twenty", "thirty", "forty", "fifty"],
    "DIGIT": ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
}  # fmt: skip

PATTERNS = [
    "WHO PAST THING (THERE) (WHEN)",
    "NAME PAST NAME (THERE) (WHEN)",
    "WHO PAST (not) THING and THING",
    "please BASE THING (for NAME/WHEN)",
    "please BASE THING and BASE THING",
    "WHO will (not) BASE THING (WHEN)",
    "the OBJECT is ADJECTIVE and ADJECTIVE",
    "THING was (not) in the PLACE (WHEN)",
    "there is a OBJECT THERE (WHEN)",
    "there are NUMBER people THERE (WHEN)",
    "the meeting starts (on DAY) at NUMBER",
    "the meeting ends (THERE) WHEN",
    "WHO need COUNT (for THING)",
    "NAME needs COUNT (WHEN)",
    "NAME has COUNT for THING",
    "did NAME BASE THING (WHEN)",
    "who PAST THING (THERE) (WHEN)",
    "where did NAME BASE THING (WHEN)",
    "when will they BASE THING",
    "how many people need THING",
    "how many hours until DAY",
    "what did you BASE THERE",
    "what is THERE (WHEN)",
    "hello NAME this is NAME (from the PLACE)",
    "thanks NAME (and NAME) for THING",
    "no the OBJECT is not ADJECTIVE",
    "yes WHO PAST THING (WHEN)",
    "good morning NAME and good TIME NAME",
    "WEATHER and WEATHER (are) near the PLACE",
    "the WEATHER will be ADJECTIVE (in MONTH)",
    "we have WEATHER THERE until TIME",
    "NAME or NAME will BASE THING",
    "WHO PAST THING but not THING",
    "everyone PAST and nobody PAST WHEN",
    "nobody has to BASE THING",
    "the OBJECT of NAME was ADJECTIVE",
    "NUMBER NUMBER NUMBER NUMBER (NUMBER) (NUMBER)",
    "it is ADJECTIVE (and ADJECTIVE) THERE",
    "that is the end of the OBJECT",
    "this OBJECT ends WHEN",
    "more people are THERE (WHEN)",
    "they are ADJECTIVE but we are ADJECTIVE",
    "MONTH NUMBER and MONTH NUMBER",
    "from DAY to DAY it was ADJECTIVE",
    "i need you to BASE THING",
]  # fmt: skip

RESERVED_PATTERNS = [
    "WHEN NAME PAST THING",
    "did you BASE or BASE THING",
    "THING and THING are ADJECTIVE",
    "NAME was THERE with NAME WHEN",
    "the ADJECTIVE WEATHER PAST the OBJECT",
    "NAME is not THERE (but NAME is)",
    "he has NUMBER more hours to BASE",
    "until WHEN will the PLACE be ADJECTIVE",
    "please wait for NAME THERE WHEN",
    "who needs a ADJECTIVE OBJECT WHEN",
    "NUMBER people and NUMBER hours of WEATHER",
    "after the meeting NAME PAST THING",
    "is THING ADJECTIVE or ADJECTIVE",
    "they PAST it and NAME PAST it",
    "NAME has a OBJECT of NUMBER dollars",
]


def from_pattern(rng: random.Random, pattern: str) -> str:
    """One sentence of a pattern, of 3 to 10 words."""
    while True:
        words = _expand(rng, pattern).split()
        if MIN_WORDS <= len(words) <= MAX_WORDS:
            return " ".join(words)


def _expand(rng: random.Random, pattern: str) -> str:
    def option(match: re.Match[str]) -> str:
        return rng.choice(match[1].split("/")) if rng.random() < 0.4 else ""

    pattern = re.sub(r"\(([^)]*)\)", option, pattern)
    while match := re.search(r"\b[A-Z]{2,}\b", pattern):
        name = match[0]
        choices = PHRASES.get(name) or lexicon()[name.lower()]
        pattern = pattern[: match.start()] + rng.choice(choices) + pattern[match.end() :]
    return pattern


# What may stand after a word or a kind of word in a walk. Narrow only where the sound would be
# ambiguous otherwise: "to" and "two", "for" and "four", "red" and the past of "read".
_NOUNISH = ["object", "object", "place", "weather", "time"]
_DETERMINED = ["adjective", "object", "object", "place", "weather", "time"]
_AFTER: dict[str, list[str]] = {
    "the": [*_DETERMINED, "people", "meeting", "end", "hours"],
    "a": ["adjective", "object", "place", "meeting"],
    "of": ["the", "name", "weather", "month", "this", "that"],
    "to": ["the", "base", "place", "name", "the", "everyone"],
    "for": ["the", "a", "name", "day", "this", "that", "everyone"],
    "please": ["base"],
    "will": ["base", "be", "name", "not"],
    "did": ["name", "we", "you", "they", "he", "she"],
    "how": ["many"],
    "two": ["people", "dollars", "minutes", "hours", "more", "number"],
    "four": ["people", "dollars", "minutes", "hours", "more", "number"],
    "many": ["people", "dollars", "minutes", "hours"],
    "on": ["day", "the", "this"],
    "not": ["adjective", "the", "a", "name", "place", "day", "for"],
}
_LOOSE = (
    ["name", "past", "object", "adjective", "day", "month", "number", "time", "place", "weather"] * 3
    + ["base"] * 2
    + ["function"] * 12
)


def walk(rng: random.Random) -> str:
    """A sentence whose every word was drawn from what may follow the one before."""
    n_words = rng.randint(MIN_WORDS, MAX_WORDS)
    words: list[str] = []
    while len(words) < n_words or words[-1] in _AFTER:
        if len(words) >= MAX_WORDS:
            words = words[: rng.randint(0, 4)]
        words.append(_next(rng, words[-1] if words else ""))
    return " ".join(words)


def _next(rng: random.Random, last: str) -> str:
    kinds = lexicon()
    while True:
        choice = rng.choice(_AFTER.get(last, _LOOSE))
        word = rng.choice(kinds[choice]) if choice in kinds else choice
        ambiguous = word == last or (word == "read" and last not in ("to", "will", "please", "they", "we", "i", "you"))
        if word in ("two", "four") and last in kinds["past"] + kinds["base"]:
            ambiguous = ambiguous or rng.random() < 0.7
        if not ambiguous:
            return word


def sentence(rng: random.Random, *, reserved: bool = False) -> str:
    """One sentence. With `reserved`, only of the patterns kept for testing, or a walk."""
    if rng.random() < (0.25 if reserved else 0.5):
        return walk(rng)
    return from_pattern(rng, rng.choice(RESERVED_PATTERNS if reserved else PATTERNS))
