"""Mixed clips: people speak while a scene goes on, and both what is said and what is heard are known."""

from __future__ import annotations

import random

from training.clips import said
from training.domains import beds
from training.domains.questions_asking import order, people
from training.domains.questions_clips import Wish, draw_clip
from training.domains.questions_parts import Parts, Rendered
from training.examples import Example

__all__ = ["Parts", "Rendered", "example"]

N_SENTENCES, N_EVENTS = (1, 2, 2, 3), (1, 1, 2)


def example(rng: random.Random, parts: Parts, *, reserved: bool) -> Example:
    """A clip of 3 to 14 s with sentences and sound events in any order, over a bed; nothing is asked of it."""
    clip = None
    while clip is None:  # of a clip that would be too long, another one is drawn
        n_sentences = rng.choice(N_SENTENCES)
        wish = Wish(order(rng, n_sentences, rng.choice(N_EVENTS)), speakers=people(rng, n_sentences))
        clip = draw_clip(rng, parts, wish, reserved=reserved)
    events = [{"start": round(e.start_s, 3), "end": round(e.end_s, 3), "label": e.text} for e in clip.sounds]
    truth = said(clip.spoken) | {"events": events, "setting": beds.KINDS[clip.bed].setting, "settings": clip.settings}
    return Example(clip.samples, truth, (), clip.tracks, clip.families, clip.spoken)
