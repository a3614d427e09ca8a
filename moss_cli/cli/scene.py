"""`moss scene`"""

from __future__ import annotations

import typer

from moss_cli.cli.options import AnalysisOptions, Inputs, with_analysis_options


@with_analysis_options
def scene(context: typer.Context, inputs: Inputs, *, options: AnalysisOptions) -> int:
    """Tell where a recording is made, and what sounds when.

    \b
    moss scene street.wav
    moss scene street.wav -f json | jq '.result.events'
    """
    from moss_cli.cli.analyse import analyse
    from moss_cli.tasks.scene import DescribeScene

    return analyse(context.obj, DescribeScene(options.prompt), inputs, options)
