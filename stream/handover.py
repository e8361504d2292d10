"""Bounded hand-over queue between two threads, and background workers.

The only file of the project that knows threads and locks.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from enum import Enum
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class WhenFull(Enum):
    """What a full buffer does with the next item."""

    WAIT = "wait"
    """Hold the producer back and lose nothing: for files."""
    DROP_OLDEST = "drop_oldest"
    """Stay current and count the loss: for live feeds."""


class Handover(Generic[T]):
    """Runs `upstream` in a thread of its own; iterating receives its items in order.

    An error upstream is raised here, in the consumer, behind the items that came before it.
    Leaving the `with` block stops the thread whether the buffer is full, empty or abandoned;
    an upstream generator is closed in its own thread.
    """

    def __init__(self, upstream: Iterable[T], *, size: int, when_full: WhenFull = WhenFull.WAIT) -> None:
        if size < 1:
            raise ValueError(f"a hand-over holds at least one item, not {size}")
        self.dropped = 0
        """Items lost to newer ones so far."""
        self._upstream = upstream
        self._size = size
        self._when_full = when_full
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._pump, name="handover", daemon=True)

    def __enter__(self) -> Handover[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
        self._thread.join()
        if error is None and self._error is not None:  # nobody has been reported it yet
            failure, self._error = self._error, None
            raise failure

    @property
    def waiting(self) -> int:
        """Items in the buffer now."""
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended or self._closed)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        raise StopIteration

    def _pump(self) -> None:
        try:
            items = iter(self._upstream)
            with contextlib.ExitStack() as opened:
                if isinstance(items, Generator):
                    opened.callback(items.close)
                for item in items:
                    if not self._put(item):
                        break
        except BaseException as error:  # carried to the consumer, never swallowed
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Store `item`; False when nobody wants any more."""
        with self._changed:
            if self._when_full is WhenFull.WAIT:
                self._changed.wait_for(lambda: len(self._items) < self._size or self._closed)
            elif len(self._items) == self._size:
                self._items.popleft()
                self.dropped += 1
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed


class BackgroundWorker(Generic[T]):
    """Runs `work` in a thread of its own; `put` gives it items and never waits.

    `work` takes them with `take`, and returns when `closed`. A full buffer is emptied: what comes behind a hole is of
    no use to a stream.
    """

    def __init__(self, work: Callable[[BackgroundWorker[T]], None], *, size: int) -> None:
        self.closed = False
        """Whether the items that wait are the last."""
        self._size = size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name="handover", daemon=True)

    def __enter__(self) -> BackgroundWorker[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        self._thread.join()
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise what `work` has failed with, once."""
        with self._changed:
            error, self._error = self._error, None
        if error is not None:
            raise error

    def put(self, item: T) -> list[T]:
        """Leave an item; what was thrown away for want of space: nothing, or all that waited and the item itself."""
        with self._changed:
            lost: list[T] = []
            if len(self._items) >= self._size:
                lost = [*self._items, item]
                self._items.clear()
            else:
                self._items.append(item)
            self._changed.notify_all()
        return lost

    def take(self, timeout_s: float) -> T | None:
        """The next item; None when none came in time, or none will any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self.closed, timeout_s)
            return self._items.popleft() if self._items else None

    def empty(self) -> list[T]:
        """Throw away what waits, and say what that was."""
        with self._changed:
            lost = list(self._items)
            self._items.clear()
        return lost

    def _run(self) -> None:
        try:
            self._work(self)
        except BaseException as error:  # carried to whoever asks
            with self._changed:
                self._error = error


class BackgroundResult(Generic[T]):
    """The result of something that may take long, asked for without waiting: names looked up, hosts knocked at.

    It has a thread of its own, which nobody waits for.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self.result: T | None = None
        """None until it is `done`, or where it failed."""
        self.done = False
        self._work = work
        threading.Thread(target=self._run, name="later", daemon=True).start()

    def _run(self) -> None:
        try:
            self.result = self._work()
        finally:
            self.done = True
