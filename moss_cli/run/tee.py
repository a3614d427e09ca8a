"""One stream for several readers: what the slower ones have yet to take is held."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Tee(Generic[T]):
    """Gives everything that a stream gives, and what it raises, to each of `n` readers. Unlike `itertools.tee`, it lets
    none of them take an error for the end."""

    def __init__(self, stream: Iterable[T], n: int) -> None:
        self._stream = iter(stream)
        self._held: list[deque[T]] = [deque() for _ in range(n)]
        self._end: BaseException | None = None

    def reader(self, number: int) -> Iterator[T]:
        """All of the stream, for the reader of this number."""
        mine = self._held[number]
        while True:
            if not mine and not self._read():
                return
            yield mine.popleft()

    def _read(self) -> bool:
        """Read one more for all of them; False at the end. Raises what the stream has raised, each time."""
        if self._end is None:
            try:
                one = next(self._stream)
            except BaseException as error:  # noqa: BLE001 - raised for each reader
                self._end = error
            else:
                for held in self._held:
                    held.append(one)
                return True
        if isinstance(self._end, StopIteration):
            return False
        raise self._end


def readers(stream: Iterable[T], n: int) -> list[Iterator[T]]:
    """`n` readers of a stream, each of which gets all of it."""
    tee = Tee(stream, n)
    return [tee.reader(number) for number in range(n)]
