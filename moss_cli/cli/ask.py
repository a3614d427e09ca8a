"""`moss ask`"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from moss_cli.cli.command_line import CommandLine, run_hint
from moss_cli.cli.help import TASK
from moss_cli.cli.options import AnalysisOptions, with_analysis_options

EXAMPLE = 'moss ask "What is said?" talk.mp3'


@with_analysis_options
def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question to ask.", show_default=False)],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT...]", help="Audio or video files, folders, or - for stdin.", show_default=False),
    ] = None,
    choice: Annotated[
        list[str] | None,
        typer.Option(
            "--choice", metavar="TEXT", help="A possible answer to choose from; repeatable.", rich_help_panel=TASK
        ),
    ] = None,
    *,
    options: AnalysisOptions,
) -> int:
    """Check the question, and ask it of the inputs or, without any, of the model alone."""
    from moss_cli.api.job import ask_task
    from moss_cli.api.options import JobOptions, as_flag
    from moss_cli.cli.analyse import analyse, answer_text

    _check_question(question, inputs or [], context.obj.typed)
    task = ask_task(question, choice or (), JobOptions.of(options), has_audio=bool(inputs), named=as_flag)
    if not inputs:
        return answer_text(context.obj, task, options)
    return analyse(context.obj, task, inputs, options)


def _check_question(question: str, inputs: Sequence[str], typed: CommandLine) -> None:
    """Raises UsageError for what is no question: none, a file, or the first word of one without quotation marks."""
    from moss_cli.audio.find import is_audio_name
    from moss_cli.errors import UsageError
    from moss_cli.output.terminal import one_line

    words = [one for one in inputs if one.isalpha() and not os.path.exists(one)]  # noqa: PTH110 - see below
    # Not Path.exists, which raises for a question longer than a name may be.
    exists = os.path.exists(question)  # noqa: PTH110
    if exists or (is_audio_name(Path(question)) and not any(map(str.isspace, question))):
        words = list(typed.words)
        if question in words and inputs and inputs[0] in words:  # the wrong way round
            i, j = words.index(question), words.index(inputs[0])
            words[i], words[j] = words[j], words[i]
        elif question in words:
            words.insert(words.index(question), "What is said?")
        message = f"the question must come first, but {one_line(question)} is a file"
        raise UsageError(message, hint=run_hint(CommandLine(tuple(words)), f"for example: {EXAMPLE}"))
    if words and question.isalpha():
        whole = " ".join([question, *words])
        rest = CommandLine(tuple(word for word in typed.words if word not in words)).replaced(question, whole)
        otherwise = f"put the question in quotation marks, as in {EXAMPLE}"
        raise UsageError(f"no such file: {one_line(words[0])}", hint=run_hint(rest, otherwise))
