"""`moss bench`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from moss_cli.cli.help import MODEL, OUTPUT, TASK
from moss_cli.cli.option import DeviceOption, ModelOption, option
from moss_cli.errors import ModelError, OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moss_cli.bench.plan import Plan
    from moss_cli.bench.result import Result
    from moss_cli.bench.subject import Subject
    from moss_cli.cli.console import Console

BenchDtypeChoice = Literal["auto", "bf16", "fp16", "fp32", "4bit", "nf4", "int4"]
EXAMPLES = (
    "moss bench --shape 4b --dtype 4bit",
    "moss bench --model tiny --batch 1,8,16",
    "moss bench --shape 1024x12 --compare transformers -f json > bench.json",
)
SHAPE_HELP = (
    "Measure random weights of this size: tiny, 4b, 8b, or HIDDENxLAYERS such as 1024x12; "
    "`:layers=N` and `:vocab=N` change one of them."
)
BATCH_HELP = "How many answers are decoded together, one number after another."
COMPARE_HELP = "Measure this in turns with moss: the same weights, prompts and tokens."
DTYPE_HELP = "Precision of the weights; nf4 and int4 are what 4bit can be."
KEEP_HELP = "Keep the figures for `moss doctor`."


def bench(
    context: typer.Context,
    model: ModelOption = None,
    shape: Annotated[
        str | None, typer.Option("--shape", rich_help_panel=MODEL, metavar="SHAPE", help=SHAPE_HELP)
    ] = None,
    dtype: Annotated[BenchDtypeChoice, option("--dtype", panel=MODEL, help=DTYPE_HELP)] = "auto",
    device: DeviceOption = "auto",
    batch: Annotated[str, typer.Option("--batch", rich_help_panel=TASK, metavar="N,N", help=BATCH_HELP)] = "1,8",
    audio_seconds: Annotated[
        float,
        typer.Option(
            "--audio-seconds", rich_help_panel=TASK, min=1.0, max=2400.0, metavar="SECONDS", help="Length of a clip."
        ),
    ] = 30.0,
    new_tokens: Annotated[
        int,
        typer.Option(
            "--new-tokens", rich_help_panel=TASK, min=4, max=4096, metavar="N", help="Length of an answer, in tokens."
        ),
    ] = 32,
    beside: Annotated[
        Literal["transformers"] | None, typer.Option("--compare", rich_help_panel=TASK, help=COMPARE_HELP)
    ] = None,
    shown_as: Annotated[
        Literal["txt", "json"], typer.Option("--format", "-f", rich_help_panel=OUTPUT, help="How to print the figures.")
    ] = "txt",
    keep: Annotated[bool, typer.Option("--keep/--no-keep", rich_help_panel=OUTPUT, help=KEEP_HELP)] = True,
) -> None:
    """Measure the speed of this machine.

    Loading, memory, encoder, prefill and decoding, beside what the machine can do at best. With --shape it needs no
    model: nothing is downloaded or written but the figures.
    """
    from moss_cli.bench.plan import Plan

    named = context.get_parameter_source("model").name == "COMMANDLINE"  # type: ignore[union-attr]
    if shape is not None and named:
        raise UsageError("--model and --shape exclude each other", hint="give one of them")
    plan = Plan(batches(batch), audio_seconds, new_tokens)
    result = _measured(context.obj, model, shape, plan, dtype=dtype, device=device, beside=beside)
    if keep:
        _keep(context.obj, result)
    if shown_as == "json":
        import json

        typer.echo(json.dumps(result.document(), indent=2))
    else:
        from moss_cli.bench.table import table

        typer.echo(table(result), nl=False)


def batches(text: str) -> tuple[int, ...]:
    """`1,8,32` as numbers. Raises UsageError."""
    numbers = [int(part) if part.strip().isascii() and part.strip().isdigit() else 0 for part in text.split(",")]
    if not all(0 < n <= 1024 for n in numbers):
        raise UsageError(f"--batch {text}: not numbers from 1 to 1024", hint="write 1,8,32")
    return tuple(numbers)


def _measured(
    console: Console,
    model: str | None,
    shape: str | None,
    plan: Plan,
    *,
    dtype: str,
    device: str,
    beside: str | None,
) -> Result:
    """Load what is to be measured, and measure it."""
    load = _loading(model, shape)  # what is wrong with the arguments is said before torch is loaded

    from dataclasses import replace

    from moss_cli.bench.bench import bench as measure
    from moss_cli.bench.transformers_twin import build_twin, check_transformers, compare

    def tell(doing: str) -> None:
        console.check_stop()
        if console.is_terminal or console.verbose:
            console.note(doing)

    if beside is not None:
        check_transformers()
    tell("loading")
    subject = load(device, dtype)
    result = measure(subject, plan, tell)
    if beside is None:
        return result
    tell("loading the same weights into transformers")
    twin = build_twin(subject)
    return replace(result, comparison=compare(subject, twin, plan, tell))


def _loading(model: str | None, shape: str | None) -> Callable[[str, str], Subject]:
    """What loads a shape, or else a model, onto a device in a dtype. Raises UsageError, ModelError."""
    if shape is not None:
        from moss_cli.bench.shapes import parse_shape

        named = parse_shape(shape)

        def load_random(device: str, dtype: str) -> Subject:
            from moss_cli.bench.subject import load_shape

            return load_shape(named, device=device, dtype=dtype)

        return load_random

    from moss_cli.models.registry import resolve

    try:
        resolved = resolve(model)
    except ModelError as error:
        if error.code == "model_missing" and error.hint is not None:
            error.hint += "; without a model, measure a size with `--shape 4b`"
        raise

    def load_checkpoint(device: str, dtype: str) -> Subject:
        from moss_cli.bench.subject import load_folder
        from moss_cli.models.quantised import quantised_folder

        return load_folder(
            resolved.entry.name,
            resolved.folder,
            device=device,
            dtype=dtype,
            revision=resolved.revision,
            copy=quantised_folder(resolved),
        )

    return load_checkpoint


def _keep(console: Console, result: Result) -> None:
    """Write the figures where they are kept. What they are for is worth a warning, not a failure."""
    from moss_cli.bench.kept import FILE, with_result
    from moss_cli.output.atomic import write_atomic
    from moss_cli.settings import state_folder

    path = state_folder() / FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = path.read_text(encoding="utf-8") if path.exists() else None
        write_atomic(path, with_result(kept, result).encode(), overwrite=True)
    except (OSError, UnicodeDecodeError, OutputError) as error:
        console.warning(f"the figures are not kept: {error}")
