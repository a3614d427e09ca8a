"""`moss music`"""

from __future__ import annotations

import typer

from moss_cli.cli.options import AnalysisOptions, Inputs, with_analysis_options


@with_analysis_options
def music(context: typer.Context, inputs: Inputs, *, options: AnalysisOptions) -> int:
    """Describe a piece of music: tempo, key, instruments.

    And its style, its mood and its sections with their times.

    \b
    moss music song.mp3
    moss music album/ -o notes/ -f md
    """
    from moss_cli.cli.analyse import analyse
    from moss_cli.tasks.music import DescribeMusic

    return analyse(context.obj, DescribeMusic(options.prompt), inputs, options)
