"""Progress in bytes: a bar on a terminal, and now and then a line elsewhere."""

from __future__ import annotations

import io

from moss_cli.cli.console import Console
from moss_cli.cli.transfer import Transfer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_than_on_a_terminal_a_line_comes_at_each_tenth_but_not_too_often() -> None:
    stream, now = io.StringIO(), [0.0]
    with Transfer("mine", Console(stream), clock=lambda: now[0]) as transfer:
        for second in range(0, 41):
            now[0] = float(second)
            transfer.tell("downloading", 1_000_000_000 + second * 100_000_000, 5_000_000_000)
    assert stream.getvalue().splitlines() == [
        "moss: downloading mine: 5.0 GB, 1.0 GB of it here already",
        "moss: downloading mine: 1.5 GB of 5.0 GB, 100.0 MB/s, 35 s left",
        "moss: downloading mine: 2.0 GB of 5.0 GB, 100.0 MB/s, 30 s left",
        "moss: downloading mine: 2.5 GB of 5.0 GB, 100.0 MB/s, 25 s left",
        "moss: downloading mine: 3.0 GB of 5.0 GB, 100.0 MB/s, 20 s left",
        "moss: downloading mine: 3.5 GB of 5.0 GB, 100.0 MB/s, 15 s left",
        "moss: downloading mine: 4.0 GB of 5.0 GB, 100.0 MB/s, 10 s left",
        "moss: downloading mine: 4.5 GB of 5.0 GB, 100.0 MB/s, 5 s left",
        "moss: downloading mine: 5.0 GB of 5.0 GB, 100.0 MB/s, 0 s left",
    ]


def test_a_slow_download_says_every_minute_that_it_goes_on() -> None:
    stream, now = io.StringIO(), [0.0]
    with Transfer("mine", Console(stream), clock=lambda: now[0]) as transfer:
        for second in range(0, 131, 10):
            now[0] = float(second)
            transfer.tell("downloading", second * 1_000_000, 10_000_000_000)
    assert stream.getvalue().splitlines() == [
        "moss: downloading mine: 10.0 GB",
        "moss: downloading mine: 60.0 MB of 10.0 GB, 1.0 MB/s, 166 min left",
        "moss: downloading mine: 120.0 MB of 10.0 GB, 1.0 MB/s, 165 min left",
    ]


def test_on_a_terminal_there_is_one_bar_which_is_gone_at_the_end() -> None:
    stream = Terminal()
    with Transfer("mine", Console(stream)) as transfer:
        transfer.tell("checking", 500, 1000)
        transfer.tell("downloading", 2000, 5000)
        transfer.tell("downloading", 5000, 5000)
    shown = stream.getvalue()
    assert "checking mine:  50%" in shown and "downloading mine:  40%" in shown
    assert shown.rstrip("\r").rsplit("\r", 1)[-1].strip() == ""
    assert "moss:" not in shown


def test_what_hinders_several_files_is_said_once() -> None:
    stream = io.StringIO()
    transfer = Transfer("mine", Console(stream))
    for text in ("slow", "slow", "slower", "slow"):
        transfer.note(text)
    assert stream.getvalue().splitlines() == ["moss: slow", "moss: slower", "moss: slow"]
