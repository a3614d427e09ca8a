"""`moss analyze`"""

from __future__ import annotations

from typing import Annotated

import typer

from moss_cli.cli.help import TASK
from moss_cli.cli.option import option
from moss_cli.cli.options import AnalysisOptions, Inputs
from moss_cli.cli.with_options import with_analysis_options
from moss_cli.tasks.catalogue import TASKS, USUAL_TOGETHER

ABOUT = "Run several tasks over recordings in one pass."
MORE = (
    "Each recording is decoded once, and what tasks hear alike is encoded once. Every task says what its own command "
    f"says. Without --tasks: {', '.join(USUAL_TOGETHER)}, and ask with --question; where nobody speaks, the tasks "
    "about speech say nothing. In an output folder each task has the files of its own command; with -f json there is "
    "also one of all tasks, NAME.analyze.json."
)
EXAMPLES = (
    "moss analyze talk.mp3",
    "moss analyze talk.mp3 --tasks transcribe,emotion,summarize -o talk.md",
    "moss analyze recordings/ -o out/ -f json -f md",
    'moss analyze call.wav --question "What was agreed?" -f json | jq .result.ask.text',
)


def _lists(incomplete: str) -> list[str]:
    """What shells complete a list of tasks to: one task more."""
    before, comma, begun = incomplete.rpartition(",")
    left = (task for task in (*TASKS, "all") if task not in before.split(","))
    return [f"{before}{comma}{task}" for task in left if task.startswith(begun)]


@with_analysis_options
def analyze(
    context: typer.Context,
    inputs: Inputs,
    tasks: Annotated[
        list[str] | None,
        option(
            "--tasks",
            panel=TASK,
            metavar="TASK,...",
            help=f"The tasks: {', '.join(TASKS)}, or all.",
            autocompletion=_lists,
        ),
    ] = None,
    question: Annotated[
        str | None, option("--question", panel=TASK, metavar="TEXT", help="The question of the task ask.")
    ] = None,
    *,
    options: AnalysisOptions,
) -> int:
    """Check which tasks are meant, and run them."""
    from moss_cli.cli.analyse_several import analyse_several, tasks_of

    typed = context.obj.typed
    return analyse_several(context.obj, tasks_of(tasks, question, options, typed), inputs, options)
