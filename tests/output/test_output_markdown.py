from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from output_examples import HELLO, TWO_SPEAKERS, envelope, segment, texts

from moss_cli.output.render import render
from moss_cli.output.text import lines, one_line
from moss_cli.schema import ErrorInfo, InputInfo, Notice
from moss_cli.tasks.reading.timed import Segment, Word

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shown(markdown):
    """Headings, paragraphs and list items as a reader sees them; a soft break is a space."""
    found = []
    for token in MARKDOWN.parse(markdown):
        if token.type == "inline":
            found.append("".join(" " if child.type == "softbreak" else child.content for child in token.children))
    return found


def kinds(markdown):
    return {token.type for token in MARKDOWN.parse(markdown)}


PLAIN_KINDS = {
    f"{kind}_{side}"
    for kind in ("heading", "paragraph", "bullet_list", "list_item", "blockquote")
    for side in ("open", "close")
} | {"inline"}


def test_transcript_is_a_list_with_times():
    assert render(envelope(*HELLO), "md") == (
        "# talk.wav\n\n"
        "- **Duration:** 0:12.3\n- **Language:** en\n- **Model:** tiny (demonstration model), fp32 on cpu\n\n"
        "## Transcript\n\n"
        "- **0:00.0 – 0:01.2** Hello there.\n- **0:01.5 – 0:03.0** \\[laughter] Bye.\n"
    )


def test_words_stand_below_their_segment():
    words = (Word(start=0, end=0.5, word="*Hello*"), Word(start=0.5, end=1.2, word="there."))
    written = render(envelope(Segment(start=0, end=1.2, text="*Hello* there.", words=words)), "md")
    assert written.endswith("- **0:00.0 – 0:01.2** \\*Hello\\* there.\n  - 0:00.0 \\*Hello\\* · 0:00.5 there.\n")


def test_partial_results_and_warnings_come_first():
    warning = Notice(code="loop", message="the model repeated itself", start=2.0, end=4.5)
    text = render(envelope(*HELLO, status="partial", warnings=(warning, Notice(code="x", message="clipped"))), "md")
    assert text.startswith(
        "# talk.wav\n\n"
        "> - **Partial result:** something was cut or failed.\n"
        "> - **Warning at 0:02.0 – 0:04.5:** the model repeated itself\n"
        "> - **Warning:** clipped\n\n"
        "- **Duration:**"
    )


def test_failure_says_why():
    result = envelope(status="error", result=None, text=None, error=ErrorInfo(code="audio", message="not <audio>"))
    assert "> - **Failed:** not \\<audio>\n" in render(result, "md")
    assert "Transcript" not in render(result, "md")


def test_speakers_are_bold():
    assert "- **0:00.0 – 0:01.0** **S01:** Hi.\n- **0:01.0 – 0:02.0** **S02:** Ho.\n" in render(
        envelope(*TWO_SPEAKERS), "md"
    )


def test_long_text_is_wrapped_inside_its_item():
    text = render(envelope(segment(0, 9, "word - 1. # " * 20)), "md")
    assert max(len(line) for line in text.splitlines()) <= 80
    assert shown(text)[-1] == "0:00.0 – 0:09.0 " + ("word - 1. # " * 20).strip()
    assert kinds(text) <= PLAIN_KINDS


def test_text_without_times_is_paragraphs():
    assert render(envelope(text="# one\ntwo"), "md").endswith("## Transcript\n\n\\# one\n\ntwo\n")


def test_silence_is_said():
    assert render(envelope(text=""), "md").endswith("## Transcript\n\n*(nothing)*\n")


def test_stdin_has_a_name():
    assert render(envelope(input=InputInfo(path="-")), "md").startswith("# stdin\n")


@given(texts, texts)
def test_text_shows_as_it_is(text, speaker):
    written = render(envelope(segment(0, 1, text, speaker)), "md")
    assert kinds(written) <= PLAIN_KINDS
    if lines(text):
        label = f"{one_line(speaker)}: " if one_line(speaker) else ""
        assert shown(written)[-1] == f"0:00.0 – 0:01.0 {label}{one_line(text)}"


@given(texts)
def test_paragraphs_and_names_show_as_they_are(text):
    name = one_line(text.replace("/", "")) or "x"
    written = render(envelope(text=text, input=InputInfo(path=f"a/{name}")), "md")
    assert kinds(written) <= PLAIN_KINDS | {"em_open"}
    assert shown(written)[0] == name or name in ("-", ".")
    if said := lines(text):
        assert shown(written)[-len(said) :] == said


@given(
    st.lists(
        st.sampled_from(["-", "1.", "2)", "#", "===", "---", "+", ">", "~~~", ":-", "word", "漢字" * 9]), max_size=80
    )
)
def test_no_wrapped_line_starts_a_block(words):
    written = render(envelope(segment(0, 1, " ".join(["x", *words]))), "md")
    assert kinds(written) <= PLAIN_KINDS
    assert shown(written)[-1] == " ".join(["0:00.0 – 0:01.0 x", *words])
