"""`moss ask`"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moss_cli.cli.command_line import CommandLine, run_hint
from moss_cli.cli.help import TASK
from moss_cli.cli.option import option
from moss_cli.cli.options import AnalysisOptions
from moss_cli.cli.with_options import with_analysis_options

if TYPE_CHECKING:
    from moss_cli.answers import Turn

EXAMPLE = 'moss ask "What is said?" talk.mp3'


@with_analysis_options
def ask(
    context: typer.Context,
    question: Annotated[
        str | None, typer.Argument(metavar="QUESTION", help="The question to ask.", show_default=False)
    ] = None,
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
    go_on: Annotated[
        bool,
        typer.Option(
            "--continue",
            "-c",
            help="Go on from the last question about INPUT; without it, from the last question.",
            rich_help_panel=TASK,
        ),
    ] = False,
    no_history: Annotated[
        bool, option("--no-history", panel=TASK, help="Do not keep the question and its answer for --continue.")
    ] = False,
    history: Annotated[
        bool,
        typer.Option(
            "--history", help="List earlier questions, about INPUT or all; no question.", rich_help_panel=TASK
        ),
    ] = False,
    clear_history: Annotated[
        bool,
        typer.Option(
            "--clear-history", help="Forget earlier questions, about INPUT or all; no question.", rich_help_panel=TASK
        ),
    ] = False,
    *,
    options: AnalysisOptions,
) -> int:
    """Check the question, and ask it of the inputs or, without any, of the model alone."""
    from moss_cli.api.job import ask_task
    from moss_cli.api.options import JobOptions, as_flag
    from moss_cli.cli.analyse import analyse, answer_text
    from moss_cli.cli.ask_again import going_on, keep
    from moss_cli.cli.ask_history import forget_kept, show_kept
    from moss_cli.cli.history import History
    from moss_cli.errors import UsageError

    console, given = context.obj, inputs or []
    console.quiet, console.verbose = options.quiet, options.verbose
    kept = History(console.warning)
    if history + clear_history + go_on > 1:
        raise UsageError("--history, --clear-history and --continue exclude each other")
    if history or clear_history:
        about = [*([question] if question is not None else []), *given]
        return forget_kept(console, kept, about) if clear_history else show_kept(console, kept, about, options)
    if question is None:
        raise UsageError("missing argument 'QUESTION'", hint="see `moss ask --help`")
    _check_question(question, given, console.typed)
    turns: tuple[Turn, ...] = ()
    if go_on:
        before = going_on(console, kept, question, given, options)
        turns, given, options = before.turns, before.inputs, before.options
    task = ask_task(question, choice or (), JobOptions.of(options), has_audio=bool(given), named=as_flag)
    task = replace(task, turns=turns)
    on_result = None if no_history else partial(keep, kept, task, options)
    if not given:
        return answer_text(console, task, options, on_result=on_result)
    return analyse(console, task, given, options, on_result=on_result)


def _check_question(question: str, inputs: Sequence[str], typed: CommandLine) -> None:
    """Raises UsageError for what is no question: none, a file, or the first word of one without quotation marks."""
    from moss_cli.audio.find import is_audio_name
    from moss_cli.errors import UsageError
    from moss_cli.output.terminal import one_line

    words = [one for one in inputs if _is_word(one) and not os.path.exists(one)]  # noqa: PTH110 - see below
    # Not Path.exists, which raises for a question longer than a name may be.
    exists = os.path.exists(question)  # noqa: PTH110
    if exists or (is_audio_name(Path(question)) and not any(map(str.isspace, question))):
        words = list(typed.words)
        is_file = bool(inputs) and (os.path.exists(inputs[0]) or is_audio_name(Path(inputs[0])))  # noqa: PTH110
        if question in words and inputs and inputs[0] in words and not is_file:  # the wrong way round
            i, j = words.index(question), words.index(inputs[0])
            words[i], words[j] = words[j], words[i]
        elif question in words:
            words.insert(words.index(question), "What is said?")
        message = f"the question must come first, but {one_line(question)} is a file"
        raise UsageError(message, hint=run_hint(CommandLine(tuple(words)), f"for example: {EXAMPLE}"))
    if words and _is_word(question):
        whole = " ".join([question, *words])
        rest = CommandLine(tuple(word for word in typed.words if word not in words)).replaced(question, whole)
        otherwise = f"put the question in quotation marks, as in {EXAMPLE}"
        raise UsageError(f"no such file: {one_line(words[0])}", hint=run_hint(rest, otherwise))


def _is_word(text: str) -> bool:
    """Whether it may be a word of a question, with the marks that stand at words."""
    return text.strip("?!,;:'\"").replace("'", "").replace("-", "").isalnum()
