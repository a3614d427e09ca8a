"""`moss inspect`"""

from __future__ import annotations

from typing import Annotated

import typer

from moss_cli.api.options import Dtype

EXAMPLES = ('moss inspect talk.wav --prompt "Describe this audio." --out tensors.npz',)

MARKERS_HELP = "Insert elapsed-time markers into the audio prompt."


def inspect(
    prompt: Annotated[
        str, typer.Option("--prompt", help="The instruction to the model.", metavar="TEXT", show_default=False)
    ],
    out: Annotated[str, typer.Option("--out", help="The .npz file to write.", metavar="FILE", show_default=False)],
    audio: Annotated[
        str | None,
        typer.Argument(metavar="[AUDIO]", help="An audio file; without one, the prompt alone.", show_default=False),
    ] = None,
    new_tokens: Annotated[int, typer.Option("--new-tokens", help="Number of tokens to decode greedily.", min=1)] = 24,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            envvar="MOSS_MODEL",
            show_envvar=False,
            metavar="NAME",
            help="A model from `moss models list`, or a checkpoint folder.",
        ),
    ] = None,
    dtype: Annotated[
        Dtype, typer.Option("--dtype", envvar="MOSS_DTYPE", show_envvar=False, help="Precision of the weights.")
    ] = "auto",
    device: Annotated[
        str,
        typer.Option(
            "--device",
            envvar="MOSS_DEVICE",
            show_envvar=False,
            metavar="DEVICE",
            help="auto, cuda, cuda:N, mps or cpu.",
        ),
    ] = "auto",
    time_markers: Annotated[bool, typer.Option("--time-markers/--no-time-markers", help=MARKERS_HELP)] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write the engine's tensors for one input to a file.

    The file is an .npz; the name, type and shape of each tensor are printed.
    """
    from pathlib import Path

    from moss_cli.output.atomic import check_writable, write_atomic

    target = Path(out)
    check_writable(target, overwrite=force)
    data, lines = _tensors(audio, prompt, new_tokens, model=model, dtype=dtype, device=device, markers=time_markers)
    write_atomic(target, data, overwrite=force)
    typer.echo("\n".join(lines))


def _tensors(
    audio: str | None, prompt: str, new_tokens: int, *, model: str | None, dtype: str, device: str, markers: bool
) -> tuple[bytes, list[str]]:
    """The .npz file, and a line for each tensor in it."""
    import io
    from pathlib import Path

    import numpy as np

    from moss_cli.audio.decode import load
    from moss_cli.engine.engine import load_engine
    from moss_cli.engine.inspect import inspect as tensors
    from moss_cli.models.registry import resolve

    resolved = resolve(model)
    samples = None if audio is None else load(Path(audio)).samples
    engine = load_engine(resolved.folder, device=device, dtype=dtype)
    arrays = tensors(engine, samples, prompt, new_tokens=new_tokens, time_markers=markers)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue(), [f"{name:<12} {one.dtype!s:<8} {list(one.shape)}" for name, one in arrays.items()]
