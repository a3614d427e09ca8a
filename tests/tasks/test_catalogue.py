"""The catalogue tells the truth about the tasks, and costs nothing to read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import moss_cli
from moss_cli.schema import Record
from moss_cli.tasks.catalogue import CATALOGUE, TaskEntry, entry

FOLDER = Path(moss_cli.__file__).parent / "tasks"
EACH = pytest.mark.parametrize("one", CATALOGUE, ids=lambda one: one.name)


def item_type(one: TaskEntry) -> type[Record]:
    """The type of a task's timed items."""
    assert one.timeline is not None
    found: type[Record] = get_args(one.load().result_type.model_fields[one.timeline.field].annotation)[0]
    return found


def test_the_folder_of_the_tasks_holds_the_catalogue_the_tasks_and_two_folders() -> None:
    names = {path.name for path in FOLDER.iterdir() if path.name not in ("__init__.py", "__pycache__")}
    assert names == {"catalogue.py", "reading", "question_time", *(f"{one.module}.py" for one in CATALOGUE)}


@EACH
def test_an_entry_loads_the_task_of_its_name(one: TaskEntry) -> None:
    task = one.load()
    assert (task.__name__, task.__module__) == (one.class_name, f"moss_cli.tasks.{one.module}")
    assert task.name == one.name
    assert task.result_type.__module__ == task.__module__


@EACH
def test_the_fields_that_an_entry_names_are_those_of_the_result(one: TaskEntry) -> None:
    fields = one.load().result_type.model_fields
    assert {one.main_field, *one.labels} - {None} <= set(fields)
    if one.timeline is not None:
        assert {"start", "end", *one.timeline.text} <= set(item_type(one).model_fields)
    else:
        assert not [name for name, field in fields.items() if "start" in str(field.annotation)]


@EACH
def test_a_line_of_help_fits_into_the_list_of_commands(one: TaskEntry) -> None:
    assert len(one.help) <= 58
    assert one.help.endswith(".")
    assert all(example.startswith((f"moss {one.name} ", "curl ")) for example in one.examples)


def test_only_a_transcript_is_its_timeline() -> None:
    assert [one.name for one in CATALOGUE if one.timeline and one.timeline.heading is None] == ["transcribe"]


def test_a_task_that_is_not_there_has_no_entry() -> None:
    with pytest.raises(KeyError):
        entry("juggle")


def test_the_catalogue_needs_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import moss_cli.tasks.catalogue; "
        "print({name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "{'moss_cli'}\n"
