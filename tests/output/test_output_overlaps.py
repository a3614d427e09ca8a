"""Several speakers at once in subtitles, whose cues may not overlap."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from moss_cli.output.cues import Cue
from moss_cli.output.overlaps import side_by_side
from moss_cli.output.subtitles import lay_out


def cue(start_ms: int, end_ms: int, text: str, speaker: str | None) -> Cue:
    return Cue(start_ms, end_ms, text, speaker)


def shown(*cues: Cue) -> list[tuple[int, int, str]]:
    return [
        (block.start_ms, block.end_ms, " ".join(one.text for one in block.cues))
        for block in lay_out(side_by_side(cues), None)
    ]


def test_what_is_said_beside_a_long_sentence_is_shown_beside_it_and_the_sentence_stays() -> None:
    found = shown(cue(0, 10_000, "L", "left"), cue(3000, 5000, "R", "right"))
    assert found == [(0, 3000, "L"), (3000, 5000, "L R"), (5000, 10_000, "L")]


def test_a_short_word_is_shown_with_the_rest_of_the_sentence() -> None:
    assert shown(cue(0, 10_000, "L", "left"), cue(3000, 3300, "R", "right")) == [(0, 3000, "L"), (3000, 10_000, "L R")]


def test_speakers_who_overlap_for_a_moment_are_shown_one_after_the_other() -> None:
    assert shown(cue(0, 3000, "L", "left"), cue(2900, 6000, "R", "right")) == [(0, 2900, "L"), (2900, 6000, "R")]


def test_cues_of_one_speaker_and_those_that_do_not_overlap_stay_as_they_are() -> None:
    one = [cue(0, 3000, "a", "left"), cue(2000, 4000, "b", "left")]
    two = [cue(5000, 6000, "c", "left"), cue(6000, 7000, "d", "right"), cue(7000, 7000, "e", None)]
    assert side_by_side([*one, *two]) == [*one, *two]


CUES = st.lists(
    st.builds(
        lambda start, length, speaker: (start, start + length, speaker),
        st.integers(0, 20_000),
        st.integers(0, 5000),
        st.sampled_from(["left", "right", None]),
    ),
    max_size=8,
)


@given(CUES)
def test_nothing_is_lost_and_nothing_overlaps(found: list[tuple[int, int, str | None]]) -> None:
    cues = sorted(
        (cue(start, end, f"t{n}", who) for n, (start, end, who) in enumerate(found)), key=lambda c: c.start_ms
    )
    blocks = lay_out(side_by_side(cues), None)
    assert {one.text for block in blocks for one in block.cues} == {one.text for one in cues}
    for block, following in pairwise(blocks):
        assert block.start_ms < block.end_ms <= following.start_ms
