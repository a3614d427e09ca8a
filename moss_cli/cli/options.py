"""The options that all analysis commands share, declared once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from moss_cli.cli.help import AUDIO, CLUSTER, DECODING, INPUTS, MESSAGES, MODEL, OUTPUT, TASK
from moss_cli.cli.option import DeviceOption, DtypeOption, ModelOption, bounds, option
from moss_cli.output.formats import COMBINED, FORMATS
from moss_cli.tasks.catalogue import TASKS

Format = StrEnum("Format", FORMATS)  # type: ignore[misc]  # the names are those of the writers

TaskChoice = StrEnum("TaskChoice", {task.replace("-", "_"): task for task in (*TASKS, COMBINED)})  # type: ignore[misc]

Inputs = Annotated[
    list[str],
    typer.Argument(metavar="INPUT", help="Audio or video files, folders, or - for stdin.", show_default=False),
]


@dataclass(frozen=True)
class AnalysisOptions:
    """What every analysis command takes. Field names are the options' names."""

    model: ModelOption = None
    device: DeviceOption = "auto"
    dtype: DtypeOption = "auto"
    include: Annotated[
        list[str] | None,
        option(
            "--include",
            panel=INPUTS,
            help="In folders, analyse only files that match: '*.mp3', 'calls/**'; repeatable.",
            metavar="PATTERN",
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        option("--exclude", panel=INPUTS, help="In folders, skip files that match; repeatable.", metavar="PATTERN"),
    ] = None
    files_from: Annotated[
        str | None,
        option(
            "--files-from",
            panel=INPUTS,
            help="Read more inputs from a file, one per line or NUL-separated; - reads the list from stdin.",
            metavar="LIST",
        ),
    ] = None
    format: Annotated[
        list[Format] | None,
        option(
            "--format",
            "-f",
            panel=OUTPUT,
            help=f"{', '.join(FORMATS)}; repeatable if -o is a folder. [default: from the suffix of -o, else txt]",
            metavar="FORMAT",
        ),
    ] = None
    output: Annotated[
        str | None,
        option(
            "--output",
            "-o",
            panel=OUTPUT,
            help="Write to this file, or to this folder for several inputs or formats. [default: stdout]",
            metavar="PATH",
        ),
    ] = None
    force: Annotated[
        bool, option("--force", panel=OUTPUT, help="Redo finished inputs, and overwrite files that moss did not write.")
    ] = False
    checksum: Annotated[
        bool,
        option(
            "--checksum", panel=OUTPUT, help="Tell by their content whether inputs have changed, not by size and time."
        ),
    ] = False
    prompt: Annotated[
        str | None,
        option("--prompt", panel=TASK, help="Use this instruction instead of the task's own.", metavar="TEXT"),
    ] = None
    context: Annotated[
        str | None,
        option(
            "--context",
            panel=TASK,
            help="Names, terms and the topic of the recording, told to the model: a text, or @FILE.",
            metavar="TEXT|@FILE",
        ),
    ] = None
    start: Annotated[
        str | None,
        option(
            "--start", panel=AUDIO, help="Start of the part to analyse: 90, 1:30, 00:01:30.5 or 1m30s.", metavar="TIME"
        ),
    ] = None
    end: Annotated[str | None, option("--end", panel=AUDIO, help="End of the part to analyse.", metavar="TIME")] = None
    channel: Annotated[
        str,
        option(
            "--channel",
            panel=AUDIO,
            help="Channel to hear: mix, left, right or a number from 1; each: a speaker a channel, for transcribe.",
            metavar="mix|left|right|N|each",
        ),
    ] = "mix"
    track: Annotated[
        int | None,
        option(
            "--track",
            panel=AUDIO,
            help="Audio track of a video or other container, from 1. [default: its default one]",
            metavar="N",
            **bounds("track"),
        ),
    ] = None
    chunk: Annotated[
        float | None,
        option(
            "--chunk",
            panel=AUDIO,
            help="Longest piece of audio given to the model at once. [default: depends on the model]",
            metavar="SECONDS",
            **bounds("chunk"),
        ),
    ] = None
    max_duration: Annotated[
        str, option("--max-duration", panel=AUDIO, help="Refuse inputs longer than this.", metavar="TIME")
    ] = "24h"
    time_markers: Annotated[
        bool | None,
        option(
            "--time-markers/--no-time-markers",
            panel=AUDIO,
            help="Insert elapsed-time markers into the audio prompt. [default: as the model was trained]",
        ),
    ] = None
    vad: Annotated[
        bool, option("--vad/--no-vad", panel=AUDIO, help="Skip audio without speech, for tasks about speech.")
    ] = True
    temperature: Annotated[
        float,
        option(
            "--temperature",
            panel=DECODING,
            help="Randomness of the answer; 0 always takes the most likely token.",
            metavar="T",
            **bounds("temperature"),
        ),
    ] = 0.0
    top_p: Annotated[
        float,
        option(
            "--top-p",
            panel=DECODING,
            help="Sample only from the most likely tokens, up to this total probability.",
            metavar="P",
            **bounds("top_p"),
        ),
    ] = 1.0
    top_k: Annotated[
        int,
        option(
            "--top-k",
            panel=DECODING,
            help="Sample only from this many of the most likely tokens; 0 means all.",
            metavar="N",
            **bounds("top_k"),
        ),
    ] = 50
    think: Annotated[
        bool | None,
        option(
            "--think/--no-think",
            panel=DECODING,
            help="Let the model think before it answers. [default: up to the model]",
        ),
    ] = None
    thinking_budget: Annotated[
        int | None,
        option(
            "--thinking-budget",
            panel=DECODING,
            help="Maximum length of a thought, in tokens.",
            metavar="N",
            **bounds("thinking_budget"),
        ),
    ] = None
    show_thinking: Annotated[
        bool,
        option("--show-thinking", panel=MESSAGES, help="Print thoughts to stderr; JSON output always includes them."),
    ] = False
    batch_size: Annotated[
        str,
        option("--batch-size", panel=MODEL, help="Number of pieces decoded together.", metavar="auto|N"),
    ] = "auto"
    ray: Annotated[
        str | None,
        option(
            "--ray",
            panel=CLUSTER,
            help="Spread the inputs over a Ray cluster: the one that this machine is part of, or the one at ADDRESS.",
            metavar="[ADDRESS]",
        ),
    ] = None
    ray_collect: Annotated[
        bool,
        option("--ray-collect", panel=CLUSTER, help="Send the files to nodes that do not see them. Implies --ray."),
    ] = False
    workers: Annotated[
        int | None,
        option(
            "--workers",
            panel=CLUSTER,
            help="Workers in the cluster. [default: one a GPU, or without any one a node]",
            min=1,
            metavar="N",
        ),
    ] = None
    seed: Annotated[
        int,
        option(
            "--seed",
            panel=DECODING,
            help="Random seed, used when --temperature is above 0.",
            metavar="N",
            **bounds("seed"),
        ),
    ] = 0
    max_new_tokens: Annotated[
        int | None,
        option(
            "--max-new-tokens",
            panel=DECODING,
            help="Maximum length of an answer, in tokens. [default: depends on the length of the audio]",
            metavar="N",
            **bounds("max_new_tokens"),
        ),
    ] = None
    quiet: Annotated[
        bool, option("--quiet", "-q", panel=MESSAGES, help="Print errors only, and why a result is partial.")
    ] = False
    verbose: Annotated[bool, option("--verbose", "-v", panel=MESSAGES, help="Print more about what is being done.")] = (
        False
    )
    progress: Annotated[
        bool | None, option("--progress/--no-progress", panel=MESSAGES, help="Show progress. [default: on a terminal]")
    ] = None
    report: Annotated[
        str | None,
        option("--report", panel=MESSAGES, help="Write a JSON report on every input to this file.", metavar="FILE"),
    ] = None
    debug: Annotated[bool, option("--debug", panel=MESSAGES, help="Show tracebacks.")] = False
