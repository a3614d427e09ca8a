import base64
import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from output_examples import HELLO, TWO_SPEAKERS, broken_texts, envelope, segment, texts

from moss_cli.output.links import Place
from moss_cli.output.render import render
from moss_cli.output.text import lines, one_line
from moss_cli.schema import ErrorInfo, InputInfo, Notice
from moss_cli.tasks.reading.timed import Segment, Word

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


FRONT = re.compile(r"---\n(.*?)^---\n\n", re.DOTALL | re.MULTILINE)


def front(markdown):
    """The front matter, as a program reads it."""
    return yaml.safe_load(FRONT.match(markdown)[1])


def body(markdown):
    return FRONT.sub("", markdown, count=1)


def blocks(markdown):
    return [token for token in MARKDOWN.parse(body(markdown)) if token.type == "inline"]


def shown(markdown):
    """Headings, paragraphs and list items as a reader sees them."""
    return ["".join(child.content for child in token.children) for token in blocks(markdown)]


def links(markdown):
    """Where the links lead, in order."""
    opened = (child for token in blocks(markdown) for child in token.children if child.type == "link_open")
    return [child.attrs["href"] for child in opened]


def kinds(markdown):
    return {token.type for token in MARKDOWN.parse(body(markdown))}


PLAIN_KINDS = {
    f"{kind}_{side}"
    for kind in ("heading", "paragraph", "bullet_list", "list_item", "blockquote")
    for side in ("open", "close")
} | {"inline"}


def test_a_transcript_has_front_matter_and_times_that_lead_into_the_recording():
    assert render(envelope(*HELLO), "md") == (
        "---\n"
        'title: "talk.wav"\ntask: "transcribe"\nstatus: "ok"\nsource: "talks/talk.wav"\nduration: 12.34\n'
        'language: "en"\nmodel: "tiny"\ndemo: true\ndtype: "fp32"\ndevice: "cpu"\nmoss: "0.1.0"\n'
        "---\n\n"
        "# [talk.wav](talks/talk.wav)\n\n"
        "## Transcript\n\n"
        "- [0:00.0 – 0:01.2](talks/talk.wav#t=0) Hello there.\n"
        "- [0:01.5 – 0:03.0](talks/talk.wav#t=1.5) \\[laughter] Bye.\n"
    )


def test_one_of_several_documents_has_a_list_in_the_place_of_front_matter():
    assert render(envelope(*HELLO), "md", place=Place(is_alone=False)).startswith(
        "# [talk.wav](talks/talk.wav)\n\n"
        "- **Duration:** 0:12.3\n- **Language:** en\n- **Model:** tiny (demonstration model), fp32 on cpu\n\n"
        "## Transcript\n\n"
    )


def test_words_stand_below_their_segment():
    words = (Word(start=0, end=0.5, word="*Hello*"), Word(start=0.5, end=1.2, word="there."))
    written = render(envelope(Segment(start=0, end=1.2, text="*Hello* there.", words=words)), "md")
    assert written.endswith(") \\*Hello\\* there.\n  - 0:00.0 \\*Hello\\* · 0:00.5 there.\n")


def test_partial_results_and_warnings_come_first():
    warning = Notice(code="loop", message="the model repeated itself", start=2.0, end=4.5)
    text = render(envelope(*HELLO, status="partial", warnings=(warning, Notice(code="x", message="clipped"))), "md")
    assert body(text).startswith(
        "# [talk.wav](talks/talk.wav)\n\n"
        "> - **Partial result:** something was cut or failed.\n"
        "> - **Warning at 0:02.0 – 0:04.5:** the model repeated itself\n"
        "> - **Warning:** clipped\n\n"
        "## Transcript"
    )
    assert front(text)["status"] == "partial"


def test_failure_says_why():
    result = envelope(status="error", result=None, text=None, error=ErrorInfo(code="audio", message="not <audio>"))
    assert "> - **Failed:** not \\<audio>\n" in render(result, "md")
    assert "Transcript" not in render(result, "md")


def test_speakers_are_bold():
    result = envelope(*TWO_SPEAKERS, input=InputInfo(path="-"))
    assert "- **0:00.0 – 0:01.0** **S01:** Hi.\n- **0:01.0 – 0:02.0** **S02:** Ho.\n" in render(result, "md")


def test_an_item_is_one_line_however_long_it_is():
    text = render(envelope(segment(0, 9, "word - 1. # " * 20)), "md")
    assert shown(text)[-1] == text.splitlines()[-1].split(") ")[1].join(["0:00.0 – 0:09.0 ", ""])
    assert shown(text)[-1] == "0:00.0 – 0:09.0 " + ("word - 1. # " * 20).strip()
    assert kinds(text) <= PLAIN_KINDS


def test_text_without_times_is_paragraphs():
    assert render(envelope(text="# one\ntwo"), "md").endswith("## Transcript\n\n\\# one\n\ntwo\n")


def test_silence_is_said():
    assert render(envelope(text=""), "md").endswith("## Transcript\n\n*(nothing)*\n")


def test_stdin_has_a_name_and_no_links():
    text = render(envelope(*HELLO, input=InputInfo(path="-")), "md")
    assert body(text).startswith("# stdin\n")
    assert "- **0:00.0 – 0:01.2** Hello there.\n" in text
    assert (front(text)["title"], front(text)["source"], links(text)) == ("stdin", "-", [])


def test_a_question_stands_in_the_document_and_its_part_in_the_front_matter():
    asked = envelope(*HELLO).params.model_copy(update={"question": "Who *is* it?", "start": 61.5, "end": 75.0})
    text = render(envelope(*HELLO, params=asked), "md")
    assert "- **Question:** Who \\*is\\* it?\n" in text
    found = front(text)
    assert (found["question"], found["start"], found["end"]) == ("Who *is* it?", 61.5, 75.0)


@pytest.mark.parametrize(
    ("document", "link"),
    [
        ("x.md", "in/a%20%28b%29.wav"),
        ("out/x.md", "../in/a%20%28b%29.wav"),
        ("in/x.md", "a%20%28b%29.wav"),
        ("link/x.md", "../../in/a%20%28b%29.wav"),  # a link to out/deep
    ],
)
def test_links_lead_from_where_the_document_lies(
    document: str, link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("in", "out/deep"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "out" / "deep")
    (tmp_path / "in" / "a (b).wav").touch()
    for path in ("in/a (b).wav", str(tmp_path / "in/a (b).wav")):
        result = envelope(*HELLO, input=InputInfo(path=path))
        text = render(result, "md", place=Place(Path(document).parent))
        assert links(text) == [link, f"{link}#t=0", f"{link}#t=1.5"]
        assert (Path(document).parent / unquote_to_bytes(link).decode()).is_file()


@pytest.mark.parametrize(
    ("path", "raw", "link"),
    [
        ("a:b#c?d%.wav", None, "a%3Ab%23c%3Fd%25.wav"),
        ("//host/a.wav", None, "/host/a.wav"),
        ("漢.wav", None, "%E6%BC%A2.wav"),
        ("\\xff.wav", b"\xff.wav", "%FF.wav"),
        ("a\nb>.wav", None, "a%0Ab%3E.wav"),
    ],
)
def test_links_name_any_file(path: str, raw: bytes | None, link: str) -> None:
    info = InputInfo(path=path, path_bytes=None if raw is None else base64.b64encode(raw).decode())
    found = links(render(envelope(*HELLO, input=info), "md"))
    assert found == [link, f"{link}#t=0", f"{link}#t=1.5"]
    assert os.fsdecode(unquote_to_bytes(link)) == (path if raw is None else os.fsdecode(raw)).replace("//", "/")


@given(broken_texts, broken_texts)
def test_front_matter_says_any_text_as_it_is(name: str, language: str) -> None:
    result = envelope(*HELLO, input=InputInfo(path=f"a/{name.replace('/', '') or 'x'}"))
    asked = result.params.model_copy(update={"question": language})
    text = render(envelope(*HELLO, input=result.input, params=asked), "md")
    found = front(text)
    assert result.input is not None
    assert found["source"] == result.input.path.encode(errors="replace").decode()
    assert found["question"] == language.encode(errors="replace").decode()
    assert found.keys() <= {
        *("title", "task", "status", "source", "duration", "language", "question"),
        *("model", "demo", "dtype", "device", "moss"),
    }


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
    assert kinds(written) <= PLAIN_KINDS
    assert shown(written)[0] == name or name in ("-", ".")
    if said := lines(text):
        assert shown(written)[-len(said) :] == said


@given(
    st.lists(
        st.sampled_from(["-", "1.", "2)", "#", "===", "---", "+", ">", "~~~", ":-", "word", "漢字" * 9]), max_size=80
    )
)
def test_no_text_starts_a_block(words):
    written = render(envelope(text=" ".join([*words, "x"])), "md")
    assert kinds(written) <= PLAIN_KINDS
    assert shown(written)[-1] == " ".join([*words, "x"])
