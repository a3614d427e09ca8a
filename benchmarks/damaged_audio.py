"""What is heard of files that are joined, cut, holed, offset or say too little of their length, in every format.

Each file holds a burst of sound in the middle of every second. A cell of the table says how long the file is taken to
be, how many of its bursts are heard, and by how many milliseconds the worst of them is off; `!` marks what is wrong: a
length that is off by more than 50 ms, a burst by more than 300 ms or one too many, or a file that is called whole
although half a second or more of it is missing.

    python benchmarks/damaged_audio.py
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile

from moss_cli.audio.decode import load
from moss_cli.errors import MossError

N_SECONDS = 8
_RATE = 16_000
_BURST_S, _AT_S = 0.08, 0.5
_LENGTH_OFF_S, _BURST_OFF_S = 0.05, 0.3


@dataclass(frozen=True)
class Format:
    """How a format is written: by libsndfile where `subtype` is given, else by ffmpeg's `codec` and `container`."""

    suffix: str
    codec: str = ""
    container: str | None = None
    rate: int = 48_000
    video: bool = False
    subtype: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    bit_rate: int = 64_000


FORMATS = {
    "wav": Format("wav", subtype="PCM_16"),
    "flac": Format("flac", subtype="PCM_16"),
    "mp3": Format("mp3", "libmp3lame", rate=44_100),
    "ogg": Format("ogg", subtype="VORBIS"),
    "opus": Format("opus", "libopus", "ogg", options=(("page_duration", "200000"),)),
    "m4a": Format("m4a", "aac", options=(("movflags", "faststart"),)),
    "mp4": Format("mp4", "aac", video=True, options=(("movflags", "faststart"),)),
    "mov": Format("mov", "aac", options=(("movflags", "faststart"),)),
    "mkv": Format("mkv", "aac", video=True),
    "webm": Format("webm", "libopus"),
    "wma": Format("wma", "wmav2", "asf", rate=44_100),
    "avi": Format("avi", "libmp3lame", video=True, rate=44_100),
    "ts": Format("ts", "aac", "mpegts"),
    "aac": Format("aac", "aac", "adts"),
    "amr": Format("amr", "libopencore_amrnb", "amr", rate=8_000, bit_rate=12_200),
    "aiff": Format("aiff", subtype="PCM_16"),
    "caf": Format("caf", subtype="PCM_16"),
}


def bursts(rate: int, n_seconds: int = N_SECONDS) -> np.ndarray:
    """[n] float32: noise that is hardly heard, and a tone of 80 ms in the middle of every second."""
    values = 0.002 * np.random.default_rng(0).standard_normal(n_seconds * rate)
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(round(_BURST_S * rate)) / rate)
    for second in range(n_seconds):
        first = round((second + _AT_S) * rate)
        values[first : first + len(tone)] += tone
    return values.astype(np.float32)


def write(path: Path, form: Format, *, offset_s: float = 0.0, channels: int = 1, n_seconds: int = N_SECONDS) -> None:
    """The bursts in a format, with timestamps that begin at `offset_s`."""
    values = np.repeat(bursts(form.rate, n_seconds)[:, None], channels, axis=1)
    if form.subtype:
        soundfile.write(path, values, form.rate, subtype=form.subtype, format=form.container or form.suffix.upper())
        return
    layout = "stereo" if channels == 2 else "mono"
    options = dict(form.options) | ({"output_ts_offset": str(offset_s)} if offset_s else {})
    with av.open(str(path), "w", format=form.container, options=options) as output:
        audio = output.add_stream(form.codec, rate=form.rate, layout=layout)
        audio.codec_context.bit_rate = form.bit_rate
        picture = output.add_stream("mpeg4", rate=5, width=64, height=64) if form.video else None
        if picture is not None:
            picture.pix_fmt = "yuv420p"
        n_step = audio.codec_context.frame_size or 1024
        for start in range(0, len(values), n_step):
            if picture is not None and start % (form.rate // 5) < n_step:
                _show(output, picture, start * 5 // form.rate)
            packed = np.ascontiguousarray(values[start : start + n_step]).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
            frame.sample_rate, frame.pts = form.rate, start
            output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
        if picture is not None:
            output.mux(picture.encode(None))


def _show(output: av.container.OutputContainer, picture: av.VideoStream, number: int) -> None:
    noise = np.random.default_rng(number).integers(0, 255, (96, 64), np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, "yuv420p")
    frame.pts = number
    output.mux(picture.encode(frame))


def understated(data: bytes, name: str) -> bytes | None:
    """The file with a length of half of what it is; None where the format says none, or only per packet."""
    edit = bytearray(data)

    def halve(at: int, n_bytes: int, order: str = "big") -> None:
        value = int.from_bytes(edit[at : at + n_bytes], order)  # type: ignore[arg-type]
        edit[at : at + n_bytes] = (value // 2).to_bytes(n_bytes, order)  # type: ignore[arg-type]

    if name == "wav":
        halve(data.find(b"data") + 4, 4, "little")
        halve(4, 4, "little")
    elif name == "aiff":
        halve(data.find(b"SSND") + 4, 4)
        halve(data.find(b"COMM") + 10, 4)
    elif name == "caf":
        halve(data.find(b"data") + 4, 8)
    elif name == "flac":
        value = int.from_bytes(data[18:26], "big")
        edit[18:26] = (value >> 36 << 36 | (value & ((1 << 36) - 1)) // 2).to_bytes(8, "big")
    elif name == "mp3":
        halve(max(data.find(b"Xing"), data.find(b"Info")) + 8, 4)
    elif name in ("mkv", "webm"):
        at = data.find(b"\x44\x89\x88") + 3  # the duration, a double
        edit[at : at + 8] = np.array(np.frombuffer(data[at : at + 8], ">f8") / 2).astype(">f8").tobytes()
    elif name in ("m4a", "mp4", "mov"):
        for box, at in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
            halve(data.find(box) + at, 4)
    elif name == "wma":
        halve(data.find(bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")) + 64, 8, "little")
    elif name == "avi":
        for start in (data.find(b"strh"), data.rfind(b"strh")):
            halve(start + 8 + 32, 4, "little")
    else:
        return None
    return bytes(edit)


def _cut(data: bytes) -> bytes:
    return data[: round(len(data) * 0.601)]  # not between two packets of a transport stream, where nothing shows it


def _holed(data: bytes) -> bytes:
    first, last = len(data) * 4 // 10, len(data) * 6 // 10
    return data[:first] + bytes(last - first) + data[last:]


def onsets(samples: np.ndarray, rate: int = _RATE) -> list[float]:
    """Where the bursts begin, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    if not len(loud):
        return []
    first = np.r_[True, np.diff(loud) > rate // 5]
    return [float(at) / rate for at in loud[first]]


def cell(path: Path, expected_s: float, truth: list[float], *, damaged: bool) -> str:
    """What is heard of a file whose bursts are at `truth`."""
    try:
        audio = load(path)
    except MossError as error:
        return f"{error.code}{'' if damaged else ' !'}"
    heard = onsets(audio.samples)
    off = [min(abs(at - true) for true in truth) for at in heard]
    clear = [distance for distance in off if distance < _BURST_OFF_S]  # damage crackles
    wrong = len(off) - len(clear)
    duration_s = audio.info.duration_s
    bad = wrong > (1 if damaged else 0) or len(clear) > len(truth)
    bad = bad or (audio.complete and (damaged or len(clear) < len(truth)))
    bad = bad or (abs(duration_s - expected_s) > _LENGTH_OFF_S and (audio.complete or not damaged))
    worst = f"{1000 * max(clear):.0f} ms" if clear else "-"
    state = "" if audio.complete else " partial"
    return f"{duration_s:.2f} s, {len(clear)}/{len(truth)}, {worst}{state}{' !' if bad else ''}"


def _cells(name: str, folder: Path) -> list[str]:
    form = FORMATS[name]
    path = folder / f"whole.{form.suffix}"
    write(path, form)
    data = path.read_bytes()
    truth = [second + _AT_S for second in range(N_SECONDS)]
    begins = load(path).samples
    late_s = onsets(begins)[0] - _AT_S  # what the format adds: encoder delay that it cannot say
    length_s = load(path).info.duration_s
    truth = [at + late_s for at in truth]
    twice = truth + [at + length_s for at in truth]
    changed: list[tuple[bytes | None, float, list[float], bool]] = [
        (data, N_SECONDS, truth, False),
        (data + data, 2 * length_s, twice, False),
        (_cut(data), length_s, truth, True),
        (_holed(data), length_s, truth, True),
    ]
    found = []
    for number, (content, expected_s, bursts_at, damaged) in enumerate(changed):
        found.append(_cell_of(folder / f"{number}.{form.suffix}", content, expected_s, bursts_at, damaged=damaged))
    offset = folder / f"offset.{form.suffix}"
    if name in ("mp4", "mov", "mkv", "webm", "wma", "ts"):
        write(offset, form, offset_s=90_000 if name != "ts" else 50_000)
        found.append(cell(offset, length_s, truth, damaged=False))
    else:
        found.append("")
    found.append(
        _cell_of(folder / f"understated.{form.suffix}", understated(data, name), length_s, truth, damaged=False)
    )
    return found


def _cell_of(path: Path, content: bytes | None, expected_s: float, truth: list[float], *, damaged: bool) -> str:
    if content is None:
        return ""
    path.write_bytes(content)
    return cell(path, expected_s, truth, damaged=damaged)


def main() -> None:
    heads = ["format", "whole", "joined with itself", "cut at 60 %", "a fifth zeroed", "offset", "length halved"]
    print("| " + " | ".join(heads) + " |")
    print("| --- " * len(heads) + "|")
    for name in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            print("| " + " | ".join([name, *_cells(name, Path(folder))]) + " |", flush=True)


if __name__ == "__main__":
    main()
