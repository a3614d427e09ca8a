"""Progress on a terminal; where nobody watches there is no bar, and logs stay readable."""

from __future__ import annotations

from tqdm import tqdm


def seconds_bar(title: str, total_s: float, done_s: float, *, is_shown: bool) -> tqdm:
    """A bar over seconds of work, of which some were done before."""
    form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    return tqdm(desc=title, total=total_s, initial=done_s, bar_format=form, disable=None if is_shown else True)
