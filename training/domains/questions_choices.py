"""Other answers that stand beside the right one as choices."""

from __future__ import annotations

import random

from training.domains.questions_asking import PERSON, Form, Found
from training.domains.questions_clips import Clip
from training.sentences import sentence

FEWEST, MOST = 2, 4
LARGEST_NUMBER = 6
STEP_S = 1.0  # lengths among the choices lie at least so far apart


def choices(rng: random.Random, clip: Clip, form: Form, found: Found) -> tuple[str, ...]:
    """Two to four answers in any order, all different, the right one among them."""
    n_others = rng.randint(FEWEST, MOST) - 1
    others = _others(rng, clip, form, found)
    rng.shuffle(others)
    heard = [item.text for item in clip.items if item.text in others]  # these are the hard ones
    first = list(dict.fromkeys([*heard[:2], *others]))
    chosen = [found.answer, *first[:n_others]]
    rng.shuffle(chosen)
    return tuple(chosen)


def _others(rng: random.Random, clip: Clip, form: Form, found: Found) -> list[str]:
    """Answers of the same form that are wrong."""
    match form:
        case "yes or no":
            pool = ["yes", "no"]
        case "person":
            pool = list(PERSON.values())
        case "number":
            pool = [str(n) for n in range(LARGEST_NUMBER + 1)]
        case "seconds":
            return _lengths(rng, found.answer)
        case "sentence":
            pool = [item.text for item in clip.sentences] + [sentence(rng) for _ in range(MOST)]
        case "sound" | "word" | "background":
            pool = list(found.pool)
    return [text for text in dict.fromkeys(pool) if text != found.answer]


def _lengths(rng: random.Random, answer: str) -> list[str]:
    number = answer.split()[0]
    own = float(number)
    digits = len(number.partition(".")[2])
    steps = [k * STEP_S * rng.choice((1, 2) if digits == 0 else (1,)) for k in range(-4, 5) if k]
    return list(dict.fromkeys(f"{own + step:.{digits}f} seconds" for step in steps if own + step > 0))
