from hypothesis import given
from output_examples import HELLO, TWO_SPEAKERS, envelope, segment, segments

from moss_cli.output.render import render


def test_times_are_seconds_with_milliseconds():
    assert render(envelope(*HELLO), "tsv") == (
        "start\tend\ttext\n0.000\t1.240\tHello there.\n1.500\t3.000\t[laughter] Bye.\n"
    )


def test_speakers_have_a_column_where_any_is_known():
    items = (TWO_SPEAKERS[0], segment(1, 2, "Who?"))
    assert render(envelope(*items), "tsv") == (
        "start\tend\ttext\tspeaker\n0.000\t1.000\tHi.\tS01\n1.000\t2.000\tWho?\t\n"
    )


def test_tabs_line_breaks_and_backslashes_are_escaped():
    assert render(envelope(segment(0, 1, "a\tb\nc\r\nd\\e\u2028f")), "tsv").splitlines()[1] == (
        r"0.000" + "\t" + r"1.000" + "\t" + r"a\tb\nc\r\nd\\e\nf"
    )


def test_text_without_times_has_empty_times():
    assert render(envelope(text="one\ntwo"), "tsv") == "start\tend\ttext\n\t\tone\n\t\ttwo\n"


def test_silence_is_the_header_alone():
    assert render(envelope(text=""), "tsv") == "start\tend\ttext\n"


@given(segments)
def test_every_row_has_the_columns_of_the_header(items):
    rows = [row.split("\t") for row in render(envelope(*items, duration=None), "tsv").splitlines()]
    assert {len(row) for row in rows} == {len(rows[0])}
