"""Every format that can be made here, at five rates, mono and stereo, whole and in parts, against what went in.

A row is a format. `late` is what it adds before the sound, where it has no place to say so. A cell says in how many of
the files (rates and channel counts that the codec takes) all is right: the length within 50 ms, or the one packet that
such a format adds behind the sound too; every burst that should be heard within 5 ms (whole and ranged) or 100 ms
(damaged); and nothing of half a second or more missing without a word. What is not right is listed below the table.
Zeros in plain samples are silence, so there is nothing to see in a fifth of them.

    python benchmarks/differential_audio.py [FORMAT ...]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import soundfile
from damaged_audio import N_SECONDS, Format, onsets, write

from moss_cli.audio.decode import load
from moss_cli.errors import MossError

RATES = (8_000, 16_000, 22_050, 44_100, 48_000)
_CRACKLES = 2  # of damage, one at each side
_PADDED = {"aac", "ts aac", "flv aac", "mkv aac", "avi mp3", "wav IMA_ADPCM", "wav MS_ADPCM"}  # to whole packets
_PLAIN = ("wav", "aiff", "au", "caf", "w64", "rf64", "mov pcm", "avi pcm")
_LENGTH_OFF_S, _PADDED_OFF_S, _BURST_OFF_S, _DAMAGED_OFF_S = 0.05, 0.13, 0.005, 0.1
_RANGE_S = (2.3, 6.7)
_PAGES = (("page_duration", "200000"),)

FORMATS = {
    **{f"wav {kind}": Format("wav", subtype=kind) for kind in ("PCM_16", "PCM_U8", "PCM_24", "FLOAT", "ALAW", "ULAW")},
    **{
        f"wav {kind}": Format("wav", subtype=kind)
        for kind in ("IMA_ADPCM", "MS_ADPCM", "GSM610", "NMS_ADPCM_32", "G721_32")
    },
    "aiff": Format("aiff", subtype="PCM_16"),
    "au": Format("au", subtype="PCM_16"),
    "caf": Format("caf", subtype="PCM_16"),
    "caf alac": Format("caf", subtype="ALAC_16"),
    "w64": Format("w64", subtype="PCM_16"),
    "rf64": Format("rf64", subtype="PCM_16"),
    "flac": Format("flac", subtype="PCM_16"),
    "ogg vorbis": Format("ogg", subtype="VORBIS"),
    "ogg opus": Format("opus", "libopus", "ogg", options=_PAGES),
    "ogg flac": Format("oga", "flac", "ogg", options=_PAGES),
    "mp3": Format("mp3", "libmp3lame"),
    "m4a aac": Format("m4a", "aac"),
    "m4a alac": Format("m4a", "alac"),
    "mp4 opus": Format("mp4", "libopus"),
    "mp4 flac": Format("mp4", "flac"),
    "mov pcm": Format("mov", "pcm_s16le"),
    "mkv aac": Format("mkv", "aac"),
    "mkv mp3": Format("mkv", "libmp3lame"),
    "mkv flac": Format("mkv", "flac"),
    "webm opus": Format("webm", "libopus"),
    "wma v1": Format("wma", "wmav1", "asf"),
    "wma v2": Format("wma", "wmav2", "asf"),
    "avi mp3": Format("avi", "libmp3lame"),
    "avi pcm": Format("avi", "pcm_s16le"),
    "ts aac": Format("ts", "aac", "mpegts"),
    "ts mp2": Format("ts", "mp2", "mpegts"),
    "aac": Format("aac", "aac", "adts"),
    "ac3": Format("ac3", "ac3", "ac3"),
    "flv aac": Format("flv", "aac"),
    "amr": Format("amr", "libopencore_amrnb", "amr", rate=8_000, bit_rate=12_200),
    "wavpack": Format("wv", "wavpack"),
    "tta": Format("tta", "tta"),
}
Edit = Callable[[bytes], bytes]


def _cut(share: float) -> Edit:
    return lambda data: data[: round(len(data) * share)]


def _one_byte(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


def _zeroed(data: bytes) -> bytes:
    first, last = len(data) * 2 // 5, len(data) * 3 // 5
    return data[:first] + bytes(last - first) + data[last:]


DAMAGE: dict[str, Edit] = {
    "cut at 30 %": _cut(0.301),
    "60 %": _cut(0.601),
    "90 %": _cut(0.901),
    "one byte": _one_byte,
    "zeroed fifth": _zeroed,
}
COLUMNS = ["whole", "range", "joined", *DAMAGE]


def _files(form: Format, folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a format at all rates and channel counts that can be written, and what tells them apart."""
    for rate in RATES:
        for channels in (1, 2):
            path = folder / f"{rate}-{channels}.{form.suffix}"
            try:
                write(path, replace(form, rate=rate), channels=channels)
            except (av.error.FFmpegError, soundfile.LibsndfileError, ValueError):
                continue
            yield f"{rate} Hz x{channels}", path


def _faults(
    path: Path, expected_s: float, truth: list[float], off_s: float, *, whole: bool, length_off_s: float, **part: float
) -> str:
    """What is wrong with what is heard of a file; empty if nothing."""
    try:
        audio = load(path, **part)
    except MossError as error:
        return error.code if whole else ""
    heard = np.array(onsets(audio.samples)) + audio.offset_s
    near = [min(np.abs(heard - at), default=9.0) for at in truth]
    n_heard = sum(distance < off_s for distance in near)
    if whole and not audio.complete:
        return f"called damaged: {audio.warnings[0].message.partition(': ')[2]}"
    if n_heard < len(truth) and audio.complete:
        return f"{n_heard}/{len(truth)} bursts, the worst {1000 * max(near):.0f} ms off, and called whole"
    if audio.complete and abs(audio.info.duration_s - expected_s) > length_off_s:
        return f"{audio.info.duration_s:.3f} s long instead of {expected_s:.3f}"
    wrong = [at for at in heard if min(abs(at - true) for true in truth) > _DAMAGED_OFF_S]
    return f"bursts at {[round(float(at), 2) for at in wrong]}" if len(wrong) > _CRACKLES else ""


def _row(name: str, folder: Path) -> tuple[list[str], list[str]]:
    """The cells of a format, and its faults."""
    right, n_files, faults, late_ms = dict.fromkeys(COLUMNS, 0), 0, [], set[int]()
    for kind, path in _files(FORMATS[name], folder):
        n_files += 1
        data, audio = path.read_bytes(), load(path)
        late_s = onsets(audio.samples)[0] - 0.5 if len(onsets(audio.samples)) else 0.0
        length_off_s = _PADDED_OFF_S if name in _PADDED else _LENGTH_OFF_S
        late_ms.add(round(1000 * late_s))
        length_s = audio.info.duration_s
        truth = [second + 0.5 + late_s for second in range(N_SECONDS)]
        ranged = [at for at in truth if _RANGE_S[0] < at < _RANGE_S[1]]
        found = {
            "whole": _faults(path, N_SECONDS + late_s, truth, _BURST_OFF_S, whole=True, length_off_s=length_off_s),
            "range": _faults(
                path,
                length_s,
                ranged,
                _BURST_OFF_S,
                whole=True,
                length_off_s=_LENGTH_OFF_S,
                start_s=_RANGE_S[0],
                end_s=_RANGE_S[1],
            ),
        }
        path.write_bytes(data + data)
        twice = truth + [at + length_s for at in truth]
        found["joined"] = _faults(path, 2 * length_s, twice, _DAMAGED_OFF_S, whole=True, length_off_s=_LENGTH_OFF_S)
        for column, edit in DAMAGE.items():
            if column == "zeroed fifth" and name.startswith(_PLAIN) and name != "caf alac":
                found[column] = ""
                continue
            path.write_bytes(edit(data))
            found[column] = _faults(path, length_s, truth, _DAMAGED_OFF_S, whole=False, length_off_s=length_off_s)
        for column, fault in found.items():
            right[column] += not fault
            if fault:
                faults.append(f"{name}, {kind}, {column}: {fault}")
    late = f"{min(late_ms)} to {max(late_ms)} ms" if len(late_ms) > 1 else f"{late_ms.pop()} ms" if late_ms else ""
    return [late, *(f"{right[column]}/{n_files}" for column in COLUMNS)], faults


def main() -> None:
    print("| format | late | " + " | ".join(COLUMNS) + " |")
    print("| --- " * (len(COLUMNS) + 2) + "|")
    every: list[str] = []
    for name in sys.argv[1:] or FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            cells, faults = _row(name, Path(folder))
        print("| " + " | ".join([name, *cells]) + " |", flush=True)
        every += faults
    print("\n" + "\n".join(f"- {fault}" for fault in every))


if __name__ == "__main__":
    main()
