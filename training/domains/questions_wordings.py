"""How each kind of question is worded; the second tuple of each is kept for testing."""

from __future__ import annotations

import random
from collections.abc import Mapping

Wordings = tuple[tuple[str, ...], tuple[str, ...]]

SAID: dict[str, Wordings] = {
    "said": (
        ("what is said", "what is said in the recording", "which sentence is said", "what do you hear someone say"),
        ("which sentence is said in the recording",),
    ),
    "said first": (
        ("what is said first", "which sentence is said first", "what is the first sentence"),
        ("which is the first sentence", "which sentence is the first"),
    ),
    "said last": (
        ("what is said last", "which sentence is said last", "what is the last sentence"),
        ("which is the last sentence", "which sentence is the last"),
    ),
    "said nth": (
        ("what is the {nth} sentence", "which is the {nth} sentence that is said", "what does the {nth} sentence say"),
        ("which is the {nth} sentence",),
    ),
    "said between": (
        (
            "what is said between {a} and {b} seconds",
            "what is said from {a} to {b} seconds",
            "between 0:{a:02} and 0:{b:02} what is said",
            "which sentence is said between {a} and {b} seconds",
        ),
        ("which sentence is said from {a} to {b} seconds", "what is said between 0:{a:02} and 0:{b:02}"),
    ),
    "said at": (
        (
            "what is said at the {t}-second mark",
            "what is said at {t} seconds",
            "which sentence is said at 0:{t:02}",
            "at {t} seconds what is said",
        ),
        ("which sentence is said at the {t}-second mark", "what is said at 0:{t:02}"),
    ),
    "named": (
        ("which {kind} is named", "which {kind} is mentioned", "what {kind} is named", "which {kind} do you hear"),
        ("what {kind} is mentioned",),
    ),
    "who": (
        ("who is named", "who is mentioned", "which person is named", "whose name is said"),
        ("which person is mentioned",),
    ),
    "adjective": (
        ("what is the {object} like", "which word describes the {object}", "how is the {object} described"),
        ("which word says what the {object} is like",),
    ),
    "colour": (
        ("what colour is the {object}", "which colour is the {object}", "which colour does the {object} have"),
        ("what colour does the {object} have",),
    ),
}

HEARD: dict[str, Wordings] = {
    "heard at": (
        ("what is heard at {t} seconds", "what is heard at the {t}-second mark", "what do you hear at 0:{t:02}"),
        ("what do you hear at {t} seconds", "what is heard at 0:{t:02}"),
    ),
    "sound between": (
        (
            "which sound is heard between {a} and {b} seconds",
            "which sound is heard from {a} to {b} seconds",
            "which sound do you hear between 0:{a:02} and 0:{b:02}",
        ),
        ("which sound do you hear between {a} and {b} seconds",),
    ),
    "sound first": (
        ("which sound comes first", "which sound is heard first", "what is the first sound"),
        ("which is the first sound", "which sound do you hear first"),
    ),
    "sound last": (
        ("which sound comes last", "which sound is heard last", "what is the last sound"),
        ("which is the last sound", "which sound do you hear last"),
    ),
    "sound start": (
        ("when {does} the {sound} start", "when {does} the {sound} begin", "at what time {is_} the {sound} heard"),
        ("at what time {does} the {sound} start",),
    ),
    "is sound": (
        (
            "do you hear {a_sound}",
            "can you hear {a_sound}",
            "is {a_sound} heard",
            "is {a_sound} heard in the recording",
        ),
        ("do you hear {a_sound} in the recording",),
    ),
    "background": (
        ("what is heard in the background", "what do you hear in the background", "which sound is in the background"),
        ("what is in the background",),
    ),
    "is rain": (
        ("does it rain", "is it raining", "do you hear rain", "is there rain in the background"),
        ("can you hear rain", "is there rain"),
    ),
    "is music": (
        ("is there music", "do you hear music", "is music playing", "can you hear music"),
        ("is there music in the recording",),
    ),
    "is speech": (
        ("is there speech", "does anyone speak", "do you hear speech", "is anyone speaking"),
        ("is there speech in the recording",),
    ),
    "n sounds": (
        ("how many sounds are heard", "how many sounds do you hear", "how many sounds are there"),
        ("how many sounds can you hear",),
    ),
    "n times": (
        ("how many times {is_} the {sound} heard", "how many times do you hear the {sound}"),
        ("how many times can you hear the {sound}",),
    ),
    "n barks": (
        ("how many times does the dog bark", "how many barks do you hear", "how many barks are heard"),
        ("how many times do you hear the dog bark",),
    ),
}

WHOLE: dict[str, Wordings] = {
    "n sentences": (
        ("how many sentences are said", "how many sentences do you hear", "how many sentences are there"),
        ("how many sentences can you hear",),
    ),
    "n speakers": (
        ("how many people speak", "how many speakers are there", "how many people do you hear"),
        ("how many speakers do you hear",),
    ),
    "first gender": (
        (
            "is the first speaker a man or a woman",
            "who speaks first, a man or a woman",
            "does a man or a woman speak first",
        ),
        ("is it a man or a woman who speaks first",),
    ),
    "duration": (
        ("how long is the recording", "how many seconds long is the recording", "what is the length of the recording"),
        ("how many seconds does the recording have",),
    ),
    "pause": (
        (
            "how long is the pause between the {nth} and the {next} sentence",
            "how many seconds are between the {nth} and the {next} sentence",
        ),
        ("how long is the pause after the {nth} sentence",),
    ),
    "speech start": (
        ("when does the speech start", "when does someone start to speak", "when does the first sentence start"),
        ("when does the first sentence begin", "at what time does the speech start"),
    ),
}

STEPS: dict[str, Wordings] = {
    "sound after sentence": (
        (
            "which sound comes right after the {nth} sentence",
            "which sound is heard right after the {nth} sentence",
            "what sound follows the {nth} sentence",
        ),
        ("which sound follows the {nth} sentence", "right after the {nth} sentence, which sound comes"),
    ),
    "sound before sentence": (
        (
            "which sound comes right before the {nth} sentence",
            "which sound is heard right before the {nth} sentence",
        ),
        ("right before the {nth} sentence, which sound comes",),
    ),
    "said after sound": (
        (
            "what is said right after the {sound}",
            "what is said after the {sound}",
            "which sentence comes right after the {sound}",
            "which sentence follows the {sound}",
        ),
        ("which sentence is said right after the {sound}", "right after the {sound}, what is said"),
    ),
    "said before sound": (
        (
            "what is said right before the {sound}",
            "what is said before the {sound}",
            "which sentence comes right before the {sound}",
        ),
        ("which sentence is said right before the {sound}", "right before the {sound}, what is said"),
    ),
    "sound before voice": (
        (
            "which sound comes right before the {who} speaks",
            "which sound is heard right before the {who} speaks",
            "which sound comes before the {who} speaks",
        ),
        ("which sound is heard before the {who} speaks",),
    ),
    "voice after sound": (
        (
            "is it a man or a woman who speaks after the {sound}",
            "who speaks right after the {sound}, a man or a woman",
            "does a man or a woman speak right after the {sound}",
        ),
        ("is it a man or a woman who speaks right after the {sound}",),
    ),
    "sound between sentences": (
        (
            "which sound comes between the {nth} and the {next} sentence",
            "which sound is heard between the {nth} and the {next} sentence",
        ),
        ("what sound comes between the {nth} and the {next} sentence",),
    ),
    "who after sound": (
        ("who is named right after the {sound}", "which name is said right after the {sound}"),
        ("who is mentioned right after the {sound}",),
    ),
    "n sounds after sentence": (
        ("how many sounds come after the {nth} sentence", "how many sounds are heard after the {nth} sentence"),
        ("how many sounds do you hear after the {nth} sentence",),
    ),
    "n sentences before sound": (
        ("how many sentences come before the {sound}", "how many sentences are said before the {sound}"),
        ("how many sentences do you hear before the {sound}",),
    ),
    "is before": (
        (
            "{does} the {sound} come before the {other}",
            "{is_} the {sound} heard before the {other}",
            "do you hear the {sound} before the {other}",
        ),
        ("{is_} the {sound} before the {other}",),
    ),
}

WORDINGS = SAID | HEARD | WHOLE | STEPS
RESERVED_SHARE = 0.5  # of the questions kept for testing that have a wording kept for testing


PLURALS = ("alarm beeps", "footsteps")


def worded(rng: random.Random, kind: str, slots: Mapping[str, object], *, reserved: bool) -> tuple[str, bool]:
    """A question of that kind, as somebody would type it, and whether its wording is kept for testing."""
    trained, kept = WORDINGS[kind]
    is_kept = reserved and rng.random() < RESERVED_SHARE
    sound = slots.get("sound", slots.get("a_sound"))
    verbs = {"does": "do", "is_": "are"} if sound in PLURALS else {"does": "does", "is_": "is"}
    text = rng.choice(kept if is_kept else trained).format(**verbs, **slots)
    style = rng.random()
    if style < 0.75:
        text = text[0].upper() + text[1:]
    return (f"{text}?" if style < 0.9 else text), is_kept
