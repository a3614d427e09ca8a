"""SubRip and WebVTT subtitles.

Blank lines and empty cues go. Cues never overlap: one ends where the next starts at the latest,
and what starts in the same millisecond shares a cue, a line each, as do channels that are heard at
once. A cue of no length gets half a second, or what there is until the next cue or the end of the
file; at the very end of the file it starts that much earlier. A cue that a player cannot show is no
use, and players want end > start.

Text shows as it is. WebVTT has entities for what would break it. SubRip has none, and its readers
take `{...}` for style codes: braces are written fullwidth there. A word joiner, which has no width,
stands within `-->`, `<b` and `\\N` (and, in both formats, within a line that a reader would take
for times or for the next cue's number).
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import zip_longest

from pysubs2 import SSAEvent, SSAFile
from pysubs2.formats.subrip import SubripFormat
from pysubs2.formats.webvtt import WebVTTFormat

from moss_cli.output.cues import Cue, cues
from moss_cli.output.layout import AS_IT_IS, Layout
from moss_cli.output.overlaps import side_by_side
from moss_cli.output.text import lines, one_line
from moss_cli.output.times import clock, to_ms
from moss_cli.output.wrap import fit
from moss_cli.schema import Envelope

SHORTEST_MS = 500  # what a cue of no length is given
WORD_JOINER = "\u2060"

_BRACES = str.maketrans("{}", "\uff5b\uff5d")
_TAG = re.compile(r"<(?=\s*[/!?A-Za-z])")
_CODE = re.compile(r"\\(?=[A-Za-z])")
_FRACTION = re.compile(r"(?<=\d)(?=[.,]\d)")
_NUMBER_LINE = re.compile(r"(?<=\n)(\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """What a player shows from `start_ms` to `end_ms`: one cue, or several that start together."""

    start_ms: int
    end_ms: int
    cues: tuple[Cue, ...]


class _Srt(SubripFormat):
    """Without pysubs2's clamp at 100 hours, which would leave cues of no length."""

    @staticmethod
    def ms_to_timestamp(ms: int) -> str:
        return clock(ms, ",")


class _Vtt(WebVTTFormat):
    @staticmethod
    def ms_to_timestamp(ms: int) -> str:
        return clock(ms, ".")


def to_srt(envelope: Envelope, layout: Layout = AS_IT_IS) -> str:
    """The timed items as SubRip; nothing at all where there are none."""
    return _whole(envelope, SRT, layout)


def to_vtt(envelope: Envelope, layout: Layout = AS_IT_IS) -> str:
    """The timed items as WebVTT; the header alone where there are none."""
    return _whole(envelope, VTT, layout) or "WEBVTT\n"


def lay_out(items: Iterable[Cue], duration_ms: int | None) -> list[Block]:
    """Blocks in order that do not overlap, each with an end after its start.

    None ends after `duration_ms`, the file's length, where that is known (0 counts as unknown).
    """
    blocks = _by_start(items, duration_ms or None)
    if blocks and duration_ms and blocks[-1].start_ms == duration_ms:
        blocks[-2:] = _make_room_at_end(blocks[-2:], duration_ms)
    laid_out = []
    for block, following in zip_longest(blocks, blocks[1:]):
        end_ms = block.end_ms if block.end_ms > block.start_ms else block.start_ms + SHORTEST_MS
        limits = [following.start_ms] if following else [duration_ms] if duration_ms else []
        laid_out.append(replace(block, end_ms=min(end_ms, *limits) if limits else end_ms))
    return laid_out


def _by_start(items: Iterable[Cue], duration_ms: int | None) -> list[Block]:
    blocks: list[Block] = []
    for cue in sorted((cue for cue in items if lines(cue.text)), key=lambda cue: cue.start_ms):
        start_ms = cue.start_ms if duration_ms is None else min(cue.start_ms, duration_ms)
        if blocks and blocks[-1].start_ms == start_ms:
            blocks[-1] = _joined(blocks[-1], Block(start_ms, cue.end_ms, (cue,)))
        else:
            blocks.append(Block(start_ms, cue.end_ms, (cue,)))
    return blocks


def _make_room_at_end(last_two: list[Block], duration_ms: int) -> list[Block]:
    """The last block, which starts where the file ends, starts earlier; the one before it is cut by the caller."""
    *before, last = last_two
    if not before:
        return [replace(last, start_ms=max(0, duration_ms - SHORTEST_MS))]
    room_ms = duration_ms - before[0].start_ms
    if room_ms < 2:
        return [_joined(before[0], last)]
    return [*before, replace(last, start_ms=duration_ms - min(SHORTEST_MS, room_ms // 2))]


def _joined(first: Block, second: Block) -> Block:
    return Block(first.start_ms, max(first.end_ms, second.end_ms), first.cues + second.cues)


@dataclass(frozen=True)
class SubtitleFormat:
    """A format: what it begins with, and how a cue's text stands in it."""

    head: str
    _form: type[SubripFormat]
    _body: Callable[[Cue], str]

    def written(self, block: Block, number: int) -> str:
        """A block as it stands in the file, a blank line after it."""
        text = _not_structure("\n".join(self._body(cue) for cue in block.cues), self._form.TIMESTAMP)
        if self._form is _Vtt:
            text = _timed_words(text, block)
        one, written = SSAFile(), io.StringIO()
        one.append(SSAEvent(start=block.start_ms, end=block.end_ms, text=text))
        self._form.to_file(one, written, "", keep_ssa_tags=True)  # else it drops what stands in braces
        return f"{number}\n" + written.getvalue().removeprefix(self.head).removeprefix("1\n")


def _whole(envelope: Envelope, fmt: SubtitleFormat, layout: Layout) -> str:
    duration = _duration(envelope)
    duration_ms = None if duration is None else to_ms(duration)
    fitted = cues(envelope) if layout == AS_IT_IS else fit(cues(envelope), layout, duration_ms)
    if envelope.params.channel == "each":  # who is heard by themselves may speak at once
        fitted = side_by_side(fitted)
    blocks = lay_out(fitted, duration_ms)
    return (fmt.head if blocks else "") + "".join(fmt.written(one, number) for number, one in enumerate(blocks, 1))


def _srt_body(cue: Cue) -> str:
    speaker = one_line(cue.speaker or "")
    text = (f"[{speaker}] " if speaker else "") + "\n".join(lines(cue.text))
    return _TAG.sub("<" + WORD_JOINER, text.translate(_BRACES))


def _vtt_body(cue: Cue) -> str:
    speaker = html.escape(one_line(cue.speaker or ""), quote=False)
    text = html.escape("\n".join(lines(cue.text)), quote=False)
    return f"<v {speaker}>{text}</v>" if speaker else text


SRT = SubtitleFormat("", _Srt, _srt_body)
VTT = SubtitleFormat("WEBVTT\n\n", _Vtt, _vtt_body)


def _timed_words(text: str, block: Block) -> str:
    """WebVTT's `<00:00:01.200>` before each word whose time is known; `text` is what the block's cue became.

    A time has to be later than the one before it and than the cue's start, and earlier than its end.
    """
    if len(block.cues) > 1 or not block.cues[0].words:
        return text
    last_ms, at = block.start_ms, text.index(">") + 1 if text.startswith("<v ") else 0
    for word in block.cues[0].words:
        said = re.compile(rf"(?<!\w){re.escape(html.escape(word.text, quote=False))}").search(text, at)
        if said is None and (found := text.find(html.escape(word.text, quote=False), at)) != at:
            continue
        place = said.start() if said else found
        mark = f"<{clock(word.start_ms, '.')}>" if last_ms < word.start_ms < block.end_ms else ""
        last_ms = word.start_ms if mark else last_ms
        text = text[:place] + mark + text[place:]
        at = place + len(mark) + len(html.escape(word.text, quote=False))
    return "\n".join(_not_times(line, block) for line in text.split("\n"))


def _not_times(line: str, block: Block) -> str:
    """A line that readers do not take for the times of a cue, as some do where there are two: it has a third."""
    times = list(_Vtt.TIMESTAMP.finditer(line))
    if len(times) != 2:
        return line
    later_ms = _Vtt.timestamp_to_ms(times[1].groups()) + 1
    if later_ms < block.end_ms:
        return f"{line.removesuffix('</v>')}<{clock(later_ms, '.')}>" + ("</v>" if line.endswith("</v>") else "")
    return line.replace(f"<{times[1][0]}>", "")


def _not_structure(text: str, timestamp: re.Pattern[str]) -> str:
    """Words that a reader cannot mistake for line break codes, for a line of times or for a cue's number."""
    text = _CODE.sub("\\\\" + WORD_JOINER, text)
    text = text.replace("-->", f"--{WORD_JOINER}>")  # a speaker's name may end in `--` where WebVTT closes its tag
    safe = (
        _FRACTION.sub(WORD_JOINER, line) if len(timestamp.findall(line)) == 2 else line for line in text.split("\n")
    )
    return _NUMBER_LINE.sub(rf"\1{WORD_JOINER}", "\n".join(safe))


def _duration(envelope: Envelope) -> float | None:
    return envelope.input.duration if envelope.input is not None else None
