"""`moss ask`"""

from __future__ import annotations

from typing import Annotated

import typer

from moss_cli.cli.options import DECODING, AnalysisOptions, with_analysis_options


@with_analysis_options
def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question.", show_default=False)],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT...]", help="Files, folders, or - for stdin.", show_default=False),
    ] = None,
    choice: Annotated[
        list[str] | None,
        typer.Option("--choice", help="One of the answers to choose from; repeatable.", rich_help_panel=DECODING),
    ] = None,
    *,
    options: AnalysisOptions,
) -> int:
    """Ask a question about recordings, or without any.

    A question that names a time is answered from that part of the recording.

    \b
    moss ask "What is the speaker's main point?" talk.mp3
    moss ask "What is said at the two-minute mark?" talk.mp3
    moss ask "What is falling?" roof.wav --choice rain --choice hail
    """
    from moss_cli.cli.analyse import analyse, answer_text
    from moss_cli.errors import UsageError
    from moss_cli.tasks.ask import MOST_CHOICES, Ask

    choices = tuple(dict.fromkeys(choice or ()))
    if not question.strip():
        raise UsageError("the question is empty")
    if len(choices) == 1 or len(choices) > MOST_CHOICES:
        given = "once" if len(choices) == 1 else f"{len(choices)} times"
        raise UsageError(f"--choice is given {given}", hint=f"give 2 to {MOST_CHOICES} different choices")
    if options.prompt is not None:
        raise UsageError("the question is the prompt; there is no --prompt beside it")
    if not inputs:
        return answer_text(context.obj, Ask(question, choices, has_audio=False), options)
    return analyse(context.obj, Ask(question, choices), inputs, options)
