"""`moss describe-speaker`"""

from __future__ import annotations

import typer

from moss_cli.cli.options import AnalysisOptions, Inputs, with_analysis_options


@with_analysis_options
def describe_speaker(context: typer.Context, inputs: Inputs, *, options: AnalysisOptions) -> int:
    """Describe the voice that speaks: gender, pitch and more.

    Thirteen things, age, accent, speed and clarity among them. Not for decisions about people; see the README.

    \b
    moss describe-speaker voice.wav
    moss describe-speaker calls/ -f jsonl | jq -r '.result.accent'
    """
    from moss_cli.cli.analyse import analyse
    from moss_cli.tasks.describe_speaker import DescribeSpeaker

    return analyse(context.obj, DescribeSpeaker(options.prompt), inputs, options)
