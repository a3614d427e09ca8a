"""What options and commands of other programs are called here, for the hints of errors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

TRANSLATE = "Translate what is said into English."
Meant = TypeVar("Meant")

_DTYPES = {"int8": "4bit", "int4": "4bit", "nf4": "4bit", "q4": "4bit", "float16": "fp16", "half": "fp16"}
_DTYPES |= {"bfloat16": "bf16", "float32": "fp32", "float": "fp32", "full": "fp32", "default": "auto"}

# By option: what people write for its values.
VALUES = {
    "dtype": _DTYPES | {"int8_float16": "4bit", "fp4": "4bit"},
    "device": {"gpu": "cuda", "nvidia": "cuda", "0": "cuda:0", "metal": "mps", "apple": "mps"},
    "timestamps": {"words": "word", "segments": "segment", "sentence": "segment", "no": "none", "off": "none"},
    "style": {"short": "brief", "bullet": "bullets", "minutes": "meeting", "chapter": "chapters"},
}

COMMANDS = {
    **dict.fromkeys(("whisper", "stt", "asr", "run", "transcript", "transcription"), ("transcribe",)),
    **dict.fromkeys(("subtitle", "subtitles", "caption", "captions"), ("transcribe", "-f", "srt")),
    **dict.fromkeys(("speaker", "describe", "voice"), ("describe-speaker",)),
    **dict.fromkeys(("summary", "summarise", "minutes"), ("summarize",)),
    **dict.fromkeys(("question", "chat", "query", "prompt"), ("ask",)),
    **dict.fromkeys(("sound", "sounds", "events"), ("scene",)),
    **dict.fromkeys(("pull", "download", "install"), ("models", "pull")),
    **dict.fromkeys(("list", "ls"), ("models", "list")),
    "translate": ("ask", TRANSLATE),
    "status": ("batch", "status"),
    "clean": ("batch", "clean"),
    "version": ("--version",),
}
# Of groups, by the name of the group.
SUBCOMMANDS = {
    "models": {
        **dict.fromkeys(("download", "get", "install", "fetch", "add"), ("pull",)),
        **dict.fromkeys(("remove", "delete", "uninstall"), ("rm",)),
        "ls": ("list",),
        "info": ("show",),
        "where": ("path",),
    },
    "config": {
        **dict.fromkeys(("get", "list", "ls", "print"), ("show",)),
        **dict.fromkeys(("remove", "rm", "delete", "reset"), ("unset",)),
        "where": ("path",),
    },
    "batch": {"list": ("status",), "show": ("status",)},
}


def _said_yes(value: str) -> bool:
    return value.lower() not in ("false", "no", "0", "off")


def _formats(value: str) -> list[str]:
    names = ("txt", "vtt", "srt", "tsv", "json") if value == "all" else value.split(",")
    return [word for name in names for word in ("-f", name.strip())]


def _named(option: str) -> Callable[[str], list[str]]:
    return lambda value: [option, value]


def _dropped(value: str) -> list[str]:
    return []


# With a value, by the names without dashes and with underscores.
_WITH_VALUE: tuple[tuple[str, Callable[[str], list[str]]], ...] = (
    ("output_dir out_dir outdir save_dir", lambda v: ["-o", v.rstrip("/") + "/"]),
    ("output_file outfile out of", _named("-o")),
    ("output_format out_format fmt", _formats),
    ("word_timestamps highlight_words", lambda v: ["--timestamps", "word"] if _said_yes(v) else []),
    ("vad_filter", lambda v: ["--vad"] if _said_yes(v) else ["--no-vad"]),
    ("model_size model_name model_dir checkpoint", _named("--model")),
    ("compute_type precision quantization", lambda v: ["--dtype", _DTYPES.get(v, v)]),
    ("fp16", lambda v: ["--dtype", "fp16"] if _said_yes(v) else []),
    ("lang l source_lang", _named("--language")),
    ("num_speakers min_speakers max_speakers", lambda v: ["--speakers"]),
    ("chunk_size chunk_length chunk_length_s segment_length", _named("--chunk")),
    ("audio_track audio_stream", _named("--track")),
    ("initial_prompt hotwords", lambda v: ["--context", f"@{v}" if v.startswith("@") else v]),
    ("ss start_time from", _named("--start")),
    ("to end_time", _named("--end")),
    ("input i in file audio input_file", lambda v: [v]),
    ("beam_size best_of patience length_penalty suppress_tokens threads num_workers jobs j hf_token", _dropped),
    ("condition_on_previous_text temperature_increment_on_fallback compression_ratio_threshold", _dropped),
    ("logprob_threshold no_speech_threshold hallucination_silence_threshold clip_timestamps", _dropped),
    ("align_model diarize_model prepend_punctuations append_punctuations max_words_per_line task", _dropped),
)
_FLAGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("overwrite overwrite_output clobber yes y", ("--force",)),
    ("recursive r R print_progress pp print_colors pc stream translate tr", ()),
    ("diarize diarization speaker_labels tinydiarize", ("--speakers",)),
    ("gpu cuda use_gpu", ("--device", "cuda")),
    ("cpu no_gpu ng", ("--device", "cpu")),
    ("no_timestamps nt without_timestamps", ("--timestamps", "none")),
    ("words word_level", ("--timestamps", "word")),
    ("silent no_prints np", ("--quiet",)),
    *((f"{name} o{name} output_{name}", ("-f", name)) for name in ("txt", "json", "srt", "vtt", "tsv", "csv")),
)


def translated(words: Sequence[str], options: Collection[str]) -> list[str]:
    """The words of a command with options of its own in the place of those of other programs.

    `options`: those that it has. What has no counterpart is left out if it changes how the work is done, not what.
    """
    found = list(_words(words, options))
    if found.count("-f") > 1 and "-o" not in found and "--output" not in found:
        found += ["-o", "out/"]
    wants_english = any(name in words for name in ("--translate", "-tr")) or "translate" in _values_of(words, "--task")
    return ["ask", TRANSLATE, *found[1:]] if wants_english and found[:1] == ["transcribe"] else found


def _values_of(words: Sequence[str], option: str) -> list[str]:
    joined = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    return joined + [value for word, value in pairwise(words) if word == option]


def _words(words: Sequence[str], options: Collection[str]) -> Iterator[str]:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            yield from (word, *rest)
            return
        option, equals, value = word.partition("=")
        is_option = option.startswith("-") and option.strip("-") != ""
        if not is_option or option in options or (not option.startswith("--") and option[:2] in options):
            yield word
            continue
        name = option.lstrip("-").replace("-", "_")
        dashed = "--" + name.replace("_", "-")
        if dashed in options:
            yield dashed + equals + value
        elif (takes_value := _row(_WITH_VALUE, name)) is not None:
            if not equals:
                value = rest.pop(0) if rest and not rest[0].startswith("-") else "True"
            yield from _known(takes_value(value), options)
        else:
            is_flag = _row(_FLAGS, name)
            yield from (word,) if is_flag is None else _known(is_flag, options)


def _row(table: Iterable[tuple[str, Meant]], name: str) -> Meant | None:
    return next((meant for names, meant in table if name in names.split()), None)


def _known(words: Sequence[str], options: Collection[str]) -> Sequence[str]:
    """The words, or none where they are an option that the command does not have."""
    return words if not words or not words[0].startswith("-") or words[0] in options else ()
