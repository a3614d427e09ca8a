"""How an option is declared, and those that commands of several kinds have: model, device, dtype."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from moss_cli.api.options import BOUNDS, Dtype
from moss_cli.cli.help import MODEL


def model_names(incomplete: str) -> list[str]:
    """What shells complete a model's name to."""
    from moss_cli.cli.model_choice import all_names

    return all_names(incomplete)


def device_names(incomplete: str) -> list[str]:
    """What shells complete a device to, as far as it can be told without torch."""
    import sys
    from pathlib import Path

    gpus = sorted(one.name.removeprefix("nvidia") for one in Path("/dev").glob("nvidia[0-9]*"))
    cuda = ["cuda", *(f"cuda:{n}" for n in gpus)] if gpus else []
    names = ["auto", *cuda, *(["mps"] if sys.platform == "darwin" else []), "cpu"]
    return [name for name in names if name.startswith(incomplete)]


def option(*names: str, panel: str, help: str, **settings: Any) -> Any:
    """An option that a MOSS_* variable of its long name can set."""
    longest = max(names, key=len).split("/")[0]
    variable = "MOSS_" + longest.removeprefix("--").replace("-", "_").upper()
    return typer.Option(*names, envvar=variable, show_envvar=False, rich_help_panel=panel, help=help, **settings)


def bounds(name: str) -> dict[str, Any]:
    """What an option with a number may be, as typer is told."""
    kind = int if BOUNDS[name].is_whole else float
    least, greatest = BOUNDS[name].least, BOUNDS[name].greatest
    return {"min": kind(least)} | ({} if greatest is None else {"max": kind(greatest)})


def model_option(help: str) -> Any:
    """`--model`, whose name shells complete."""
    return option("--model", "-m", panel=MODEL, help=help, metavar="NAME", autocompletion=model_names)


ModelOption = Annotated[
    str | None, model_option("A model from `moss models list`, a checkpoint folder, or the URL of a server.")
]
DeviceOption = Annotated[
    str,
    option(
        "--device",
        panel=MODEL,
        help="auto, cuda, cuda:N, mps or cpu.",
        metavar="DEVICE",
        autocompletion=device_names,
    ),
]
DtypeOption = Annotated[Dtype, option("--dtype", panel=MODEL, help="Precision of the weights.")]
